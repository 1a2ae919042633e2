//! What an application asks of those whom a token names (docs/ACCESS.md).

use std::net::IpAddr;

use super::{
    super::{
        Ruling,
        json::{self, Json},
        path,
    },
    Known, Request, Token,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Jira,
    Confluence,
    Bitbucket,
}

/// IPv4: the address, and how many bits of it count.
pub type Network = ([u8; 4], u32);

pub struct Access {
    pub product: Product,
    pub context_path: &'static str,
    /// `product_default`
    pub denied_paths: bool,
    pub denied_users: &'static [&'static str],
    /// `allow`, `read_only`
    pub groups: Option<(&'static [&'static str], &'static [&'static str])>,
    /// `allow`, `deny`
    pub networks: Option<(Network, Network)>,
    pub methods: Option<&'static [&'static str]>,
    /// `read`, `write`
    pub scopes: Option<(&'static [&'static str], &'static [&'static str])>,
    /// A rule of `rules`: what it denies, by user and path.
    pub denies: Option<fn(&str, &str) -> bool>,
}

impl Access {
    pub fn permits(&self, known: &Known<'_>, request: &Request) -> Ruling<()> {
        let has = |scopes: &[&str]| {
            let mut scopes = scopes.iter();
            scopes.all(|scope| known.facts.scopes.iter().any(|one| one == scope))
        };
        check(has(known.provider.required_scopes), "required_scopes")?;
        self.permits_user(&known.user, groups(known), request)?;
        if let Some((read, write)) = self.scopes {
            check(
                has(if self.reads(request)? { read } else { write }),
                "access.scopes",
            )?;
        }
        Ok(())
    }

    /// docs/API-TOKENS.md, "What a token may do". It has no scopes of OAuth, and names no groups.
    pub fn permits_token(&self, token: &Token, application: &str, request: &Request) -> Ruling<()> {
        check(
            token.applications.contains(&application),
            "another application",
        )?;
        check(
            token
                .network
                .is_none_or(|network| is_in(request.source, network)),
            "another network",
        )?;
        if !token.writes || token.path.is_some() {
            check(path::is_canonical(request.path()), "two readings")?;
        }
        let is_below = |path| {
            let rest = request.path().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        check(token.path.is_none_or(is_below), "another path")?;
        check(token.writes || self.reads(request)?, "only reads")?;
        self.permits_user(token.owner, None, request)
    }

    fn permits_user(&self, user: &str, groups: Option<Vec<&str>>, request: &Request) -> Ruling<()> {
        if self.denied_paths {
            check(path::is_canonical(request.path()), "two readings")?;
            check(!self.is_closed(request.path()), "denied_paths")?;
        }
        let lower = user.to_ascii_lowercase();
        check(!self.denied_users.contains(&lower.as_str()), "access.users")?;
        if let Some((allow, read_only)) = self.groups {
            self.groups_permit(groups, (allow, read_only), request)?;
        }
        if let Some((allow, deny)) = self.networks {
            let is_in = |network| is_in(request.source, network);
            check(is_in(allow) && !is_in(deny), "access.networks")?;
        }
        if let Some(methods) = self.methods {
            let method = if request.method == "HEAD" {
                "GET"
            } else {
                request.method.as_str()
            };
            check(methods.contains(&method), "access.methods")?;
        }
        if let Some(denies) = self.denies {
            check(path::is_canonical(request.path()), "two readings")?;
            check(!denies(user, request.path()), "access.rules")?;
        }
        Ok(())
    }

    /// Unknown groups are no groups.
    fn groups_permit(
        &self,
        groups: Option<Vec<&str>>,
        (allow, read_only): (&[&str], &[&str]),
        request: &Request,
    ) -> Ruling<()> {
        let groups = groups.ok_or("unknown groups")?;
        if groups.iter().any(|group| read_only.contains(group)) {
            return if self.reads(request)? {
                Ok(())
            } else {
                Err("only reads")
            };
        }
        let is_member = groups.iter().any(|group| allow.contains(group));
        if is_member {
            Ok(())
        } else {
            Err("in no group")
        }
    }

    /// What is not known to be reading is writing.
    fn reads(&self, request: &Request) -> Ruling<bool> {
        let path = request.path();
        if !path::is_canonical(path) {
            return Err("two readings");
        }
        let is_safe = ["GET", "HEAD", "OPTIONS"].contains(&request.method.as_str());
        let below = path.strip_prefix(self.context_path).unwrap_or_default();
        let segments: Vec<&str> = below.split('/').skip(1).collect();
        Ok(match (self.product, segments.as_slice()) {
            (Product::Bitbucket, ["scm", _, _, "info", "refs"]) => {
                is_safe && request.query() == Some("service=git-upload-pack")
            }
            (Product::Bitbucket, ["scm", _, _, "git-upload-pack"]) => {
                is_safe || request.method == "POST"
            }
            _ => is_safe,
        })
    }

    /// The table of docs/ACCESS.md, "Which application".
    fn is_closed(&self, path: &str) -> bool {
        let mut closed = vec![
            "rest/pat",
            "rest/auth",
            "rest/oauth2",
            "rest/basicauth",
            "rest/ksso",
            "plugins/servlet/oauth",
            "plugins/servlet/oauth2",
            "plugins/servlet/restauth",
        ];
        match self.product {
            // `latest` is every version, so every version is closed.
            Product::Jira => {
                closed.extend(["rest/api/*/myself/password", "rest/api/*/user/password"]);
            }
            Product::Bitbucket => closed.extend(["rest/access-tokens", "rest/keys", "rest/ssh"]),
            Product::Confluence => {}
        }
        let lower = path.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').skip(1).collect();
        let context: Vec<&str> = self.context_path.split('/').skip(1).collect();
        let begins: &[usize] = if context.is_empty() {
            &[0, 1]
        } else {
            &[context.len()]
        };
        if !segments.starts_with(&context) {
            return false;
        }
        begins.iter().any(|begin| {
            let below = segments.get(*begin..).unwrap_or_default();
            closed.iter().any(|prefix| begins_with(below, prefix))
        })
    }
}

/// In whole segments; `*` is any version.
fn begins_with(segments: &[&str], prefix: &str) -> bool {
    let wanted: Vec<&str> = prefix.split('/').collect();
    let is_version = |segment: &str| {
        segment == "latest" || segment.starts_with(|one: char| one.is_ascii_digit())
    };
    segments.len() >= wanted.len()
        && segments
            .iter()
            .zip(wanted)
            .all(|(segment, wanted)| *segment == wanted || (wanted == "*" && is_version(segment)))
}

fn check(permitted: bool, why: &'static str) -> Ruling<()> {
    permitted.then_some(()).ok_or(why)
}

/// `None`: they are unknown.
fn groups<'k>(known: &'k Known<'_>) -> Option<Vec<&'k str>> {
    match json::get(&known.claims, known.provider.groups?) {
        None => Some(Vec::new()),
        Some(Json::List(list)) if list.len() <= 1024 => list.iter().map(Json::as_text).collect(),
        Some(_) => None,
    }
}

fn is_in(source: Option<IpAddr>, (network, length): Network) -> bool {
    let Some(IpAddr::V4(address)) = source else {
        return false;
    };
    let mask = u32::MAX << (32 - length);
    u32::from(address) & mask == u32::from_be_bytes(network) & mask
}
