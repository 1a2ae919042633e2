//! What may be ordered.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    access::network,
    api_token::{self, AccessLevel, Owner, PathPrefix, Scope},
    identity::{Username, UsernameError, UsernamePolicy},
};

/// Longest name of a token, in characters.
const LONGEST_NAME: usize = 64;
/// Longest reason, in characters.
const LONGEST_REASON: usize = 200;
/// Longest time for which a replaced token may work on.
const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);
/// Most paths, and most networks, of one token.
const MOST_LIMITS: usize = 32;

/// For a secret that somebody has put where everybody can read it.
const TOKEN_INSTEAD: &str = "must not hold an API token";

/// An order that can be carried out.
#[derive(Debug)]
pub struct Order {
    /// For whom.
    pub owner: Owner,
    /// What they call it.
    pub name: Text,
    /// What it may do.
    pub scope: Scope,
    /// For how long.
    pub lifetime: Duration,
}

/// An order as it is written.
#[derive(Clone, Debug, Default)]
pub struct Written<'a> {
    /// For whom.
    pub user: &'a str,
    /// What they call it.
    pub name: &'a str,
    /// `30d`
    pub expires: &'a str,
    /// Reading or everything.
    pub access: AccessLevel,
    /// Names of applications.
    pub applications: &'a [String],
    /// Canonical paths.
    pub paths: &'a [String],
    /// Networks, or single addresses.
    pub networks: &'a [String],
}

/// The rules of a configuration.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Longest life of a token.
    pub max_lifetime: Duration,
    /// Most active tokens of a user.
    pub max_per_user: u32,
    /// Most tokens that a user may make in an hour.
    pub max_created_per_hour: u32,
    /// How long a replaced token works on, unless the asker says otherwise.
    pub rotation_overlap: Duration,
    /// Whom a token may stand for.
    pub usernames: UsernamePolicy,
    /// All applications.
    pub applications: BTreeSet<String>,
}

/// A text for people: letters, digits and printable ASCII, nothing that could move a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

/// What was asked for breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {why}")]
pub struct Invalid {
    /// The member of the order.
    pub member: &'static str,
    /// A sentence with the remedy.
    pub why: String,
}

fn invalid(member: &'static str, why: impl Into<String>) -> Invalid {
    Invalid {
        member,
        why: why.into(),
    }
}

impl Text {
    /// The name of a token.
    pub fn name(text: &str) -> Result<Self, Invalid> {
        Self::parse("name", text, LONGEST_NAME)
    }

    /// Why something is done.
    pub fn reason(text: &str) -> Result<Self, Invalid> {
        Self::parse("reason", text, LONGEST_REASON)
    }

    fn parse(member: &'static str, text: &str, longest: usize) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
        if text.trim().is_empty() || text.chars().count() > longest || !text.chars().all(plain) {
            return Err(invalid(
                member,
                format!("must be 1 to {longest} letters, digits, spaces or plain punctuation"),
            ));
        }
        // What is written here is kept, shown and logged.
        let mut ends = text.char_indices().filter_map(|(at, _)| text.get(at..));
        if ends.any(api_token::is_own) {
            return Err(invalid(member, TOKEN_INSTEAD));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Rules {
    /// Checks an order as it is written.
    pub fn order(&self, written: &Written<'_>) -> Result<Order, Invalid> {
        Ok(Order {
            owner: self.owner(written.user)?,
            name: Text::name(written.name)?,
            lifetime: self.lifetime(lasting("expires", written.expires)?)?,
            scope: Scope {
                access: written.access,
                applications: self.applications(written.applications)?,
                paths: few("paths", written.paths, |path| {
                    PathPrefix::parse(path).map_err(|error| error.to_string())
                })?,
                networks: few("networks", written.networks, network)?,
            },
        })
    }

    /// The user of a token.
    pub fn owner(&self, user: &str) -> Result<Owner, Invalid> {
        if api_token::is_own(user) {
            return Err(invalid("user", TOKEN_INSTEAD));
        }
        let owner = Owner::new(user);
        Username::parse(owner.as_str(), &self.usernames)
            .map(|_| owner)
            .map_err(|error| {
                // The error's own words name the setting of providers.
                let is_reserved = error == UsernameError::Reserved;
                let own_words = "the name is reserved (api_tokens.allow_reserved)".to_owned();
                invalid(
                    "user",
                    if is_reserved {
                        own_words
                    } else {
                        error.to_string()
                    },
                )
            })
    }

    /// The life of a token.
    pub fn lifetime(&self, lifetime: Duration) -> Result<Duration, Invalid> {
        if lifetime < Duration::from_secs(1) || lifetime > self.max_lifetime {
            let hours = self.max_lifetime.as_secs() / 3600;
            let longest = if hours.is_multiple_of(24) {
                format!("{}d", hours / 24)
            } else {
                format!("{hours}h")
            };
            return Err(invalid(
                "expires",
                format!("must be at least 1s and at most {longest} (api_tokens.max_lifetime)"),
            ));
        }
        Ok(lifetime)
    }

    /// How long a replaced token works on.
    pub fn overlap(&self, overlap: Option<Duration>) -> Result<Duration, Invalid> {
        match overlap {
            Some(overlap) if overlap > LONGEST_OVERLAP => {
                Err(invalid("overlap", "must be at most 7d"))
            }
            Some(overlap) => Ok(overlap),
            None => Ok(self.rotation_overlap),
        }
    }

    fn applications(&self, names: &[String]) -> Result<BTreeSet<String>, Invalid> {
        if names.is_empty() {
            return Err(invalid(
                "applications",
                "at least one application must be named",
            ));
        }
        // The name is not repeated: it may be a token, put in the wrong place. So it is with all of these.
        if names.iter().any(|name| !self.applications.contains(name)) {
            let known: Vec<_> = self.applications.iter().map(String::as_str).collect();
            return Err(invalid(
                "applications",
                format!(
                    "one of them does not exist, there are only {}",
                    known.join(", ")
                ),
            ));
        }
        Ok(names.iter().cloned().collect())
    }
}

/// Reads a duration such as `30d`.
pub fn lasting(member: &'static str, text: &str) -> Result<Duration, Invalid> {
    crate::config::duration(text)
        .ok_or_else(|| invalid(member, "must be a duration such as 12h or 90d"))
}

fn few<T, E: ToString>(
    member: &'static str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Invalid> {
    if texts.len() > MOST_LIMITS {
        return Err(invalid(member, format!("at most {MOST_LIMITS} of them")));
    }
    let parsed = texts.iter().map(|text| parse(text));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|why: E| invalid(member, why.to_string()))
}

#[cfg(test)]
mod tests;
