//! What an application asks of those whom a token names: the section `access`.
//!
//! Each part only takes away, and knows nothing of the others; a request passes if all of them let it.

pub mod rule;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

pub use rule::Rule;

/// All parts. `None`: the operator asks nothing of that kind.
#[derive(Debug, Default)]
pub struct Access {
    /// Names in lower case.
    pub users: Option<AllowDeny<BTreeSet<String>>>,
    /// Groups of users.
    pub groups: Option<GroupAccess>,
    /// Where requests may come from.
    pub networks: Option<AllowDeny<Vec<IpNet>>>,
    /// The only methods that pass.
    pub methods: Option<BTreeSet<String>>,
    /// What access tokens must be good for.
    pub scopes: Option<ScopeAccess>,
    /// Groups of users besides those that their tokens name.
    pub members: Arc<GroupMembers>,
    /// In the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// Those who may, and those who may not; the second wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowDeny<S> {
    /// The only ones that pass; `None`: all.
    pub allow: Option<S>,
    /// Those that do not pass.
    pub deny: S,
}

/// Who may do what by their groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAccess {
    /// The groups that may read and write; `None`: everybody may.
    pub allow: Option<BTreeSet<String>>,
    /// The groups that may only read.
    pub read_only: BTreeSet<String>,
}

/// User name in lower case → further groups. What the operator knows, and no restriction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMembers(pub BTreeMap<String, Vec<String>>);

/// What a user may do by their groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRights {
    /// Everything that the product lets them.
    Full,
    /// Reading.
    ReadOnly,
    /// Nothing: they are in none of the groups.
    NoMember,
    /// Nothing: it is unknown which groups they are in.
    Unknown,
}

/// Scopes that an access token must have, all of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeAccess {
    /// To read.
    pub read: Vec<String>,
    /// To change anything.
    pub write: Vec<String>,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is something else.
    #[error("must be networks such as 10.0.0.0/8, or addresses")]
    Shape,
    /// It says more than a network does.
    #[error("{written} has bits beyond its length: write {}", written.trunc())]
    HostBits {
        /// As it was written.
        written: IpNet,
    },
}

/// Reads `10.0.0.0/8`, or an address alone. Host bits are no mistake to live with: they would look like a limit that
/// is not there.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_neither| NetworkError::Shape)?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(NetworkError::HostBits { written: network })
    }
}

impl<S> AllowDeny<S> {
    fn takes(&self, has: impl Fn(&S) -> bool) -> bool {
        self.allow.as_ref().is_none_or(&has) && !has(&self.deny)
    }
}

impl AllowDeny<BTreeSet<String>> {
    /// Whether a user passes, in whatever case the name is written.
    pub fn takes_user(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.takes(|names| names.contains(&name))
    }
}

impl AllowDeny<Vec<IpNet>> {
    /// Whether a request from this address passes. One that comes from nowhere does not.
    pub fn takes_address(&self, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| {
            self.takes(|networks| networks.iter().any(|network| network.contains(&address)))
        })
    }
}

impl GroupMembers {
    /// The user's further groups; `None`: the operator says nothing about this user.
    pub fn of(&self, user: &str) -> Option<&[String]> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&user.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

impl GroupAccess {
    /// What somebody in these groups may do; `None`: they are unknown. Who might be in a group that may only read
    /// only reads.
    pub fn rights(&self, groups: Option<[&[String]; 2]>) -> GroupRights {
        let Some(groups) = groups else {
            return match (&self.allow, self.read_only.is_empty()) {
                (Some(_), _) => GroupRights::Unknown,
                (None, true) => GroupRights::Full,
                (None, false) => GroupRights::ReadOnly,
            };
        };
        let is_in = |wanted: &BTreeSet<String>| {
            let mut groups = groups.iter().copied().flatten();
            groups.any(|group| wanted.contains(group))
        };
        if is_in(&self.read_only) {
            GroupRights::ReadOnly
        } else if self.allow.as_ref().is_none_or(is_in) {
            GroupRights::Full
        } else {
            GroupRights::NoMember
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn set(of: &[&str]) -> BTreeSet<String> {
        names(of).into_iter().collect()
    }

    fn groups(allow: Option<&[&str]>, read_only: &[&str]) -> GroupAccess {
        GroupAccess {
            allow: allow.map(set),
            read_only: set(read_only),
        }
    }

    fn rights(access: &GroupAccess, of: Option<&[&str]>) -> GroupRights {
        let of = of.map(names);
        access.rights(of.as_ref().map(|of| [of.as_slice(), &[]]))
    }

    #[test]
    fn a_user_must_be_in_one_of_the_groups_and_reading_groups_win() {
        let access = groups(Some(&["users"]), &["auditors"]);
        assert_eq!(rights(&access, Some(&["x", "users"])), GroupRights::Full);
        assert_eq!(rights(&access, Some(&["auditors"])), GroupRights::ReadOnly);
        let both: &[&str] = &["auditors", "users"];
        assert_eq!(rights(&access, Some(both)), GroupRights::ReadOnly);
        for none in [vec!["Users", "users2", "user", ""], vec![]] {
            assert_eq!(rights(&access, Some(&none)), GroupRights::NoMember);
        }
    }

    #[test]
    fn unknown_groups_are_no_groups() {
        assert_eq!(
            rights(&groups(Some(&["users"]), &[]), None),
            GroupRights::Unknown
        );
        assert_eq!(
            rights(&groups(None, &["auditors"]), None),
            GroupRights::ReadOnly
        );
        assert_eq!(rights(&groups(None, &[]), None), GroupRights::Full);
        assert_eq!(
            rights(&groups(None, &["auditors"]), Some(&["x"])),
            GroupRights::Full
        );
    }

    #[test]
    fn the_operator_can_name_the_groups_of_a_user() {
        let named = BTreeMap::from([("svc-ci".to_owned(), names(&["users"]))]);
        let members = GroupMembers(named);
        let access = groups(Some(&["users"]), &[]);
        let further = members.of("SVC-CI").expect("named");
        assert_eq!(access.rights(Some([&[], further])), GroupRights::Full);
        assert_eq!(members.of("svc"), None);
    }

    #[test]
    fn who_is_denied_does_not_pass_although_allowed() {
        let users = |allow: Option<&[&str]>, deny: &[&str]| AllowDeny {
            allow: allow.map(set),
            deny: set(deny),
        };
        assert!(users(None, &["bob"]).takes_user("alice"));
        assert!(!users(None, &["bob"]).takes_user("BOB"));
        assert!(!users(Some(&["bob"]), &["bob"]).takes_user("bob"));
        assert!(users(Some(&["bob"]), &[]).takes_user("Bob"));
        assert!(!users(Some(&[]), &[]).takes_user("bob"));
    }

    #[test]
    fn an_address_that_is_not_known_is_in_no_network() {
        let parse = |networks: &[&str]| -> Vec<IpNet> {
            networks
                .iter()
                .map(|one| one.parse().expect("a network"))
                .collect()
        };
        let access = AllowDeny {
            allow: None,
            deny: parse(&["10.6.0.0/16", "2001:db8::/32"]),
        };
        let takes = |address: &str| access.takes_address(address.parse().ok());
        assert!(takes("10.7.0.1") && takes("2001:db9::1"));
        assert!(!takes("10.6.255.255") && !takes("2001:db8::1") && !takes("unknown"));
    }
}
