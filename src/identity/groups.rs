//! The groups and roles that a token names.
//!
//! "None" and "unknown" are two answers: a provider that could not put all groups into a token says
//! so, and a rule about groups must then refuse instead of deciding on half of them.

use crate::verify::{
    claims::{ClaimPath, Claims},
    strict_json::{Json, Members},
};

/// More groups than any token holds in its bytes, but not than a pathological answer does.
const MAX_GROUPS: usize = 1024;

/// What a user belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These and no others.
    Known(Vec<String>),
    /// The token tells of some, or in a way that is not understood.
    Unknown,
    /// Such tokens tell of none: an API token, or a provider without `groups`.
    Untold,
}

/// Where groups are, and how they are written.
#[derive(Clone, Debug)]
pub struct GroupRule {
    /// Their values count together; never empty.
    pub claims: Vec<ClaimPath>,
    /// How each is written.
    pub format: GroupFormat,
    /// Put before each.
    pub prefix: String,
    /// Their presence says that groups were left out.
    pub unknown_if_present: Vec<ClaimPath>,
}

/// How groups are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupFormat {
    /// A list of strings.
    List,
    /// One string of words.
    Words,
    /// The names of an object's members, or of the objects of a list.
    Keys,
}

impl Groups {
    /// The groups, if they are known.
    pub fn known(&self) -> Option<&[String]> {
        match self {
            Self::Known(groups) => Some(groups),
            Self::Unknown | Self::Untold => None,
        }
    }

    pub(super) fn weight(&self) -> usize {
        let names = self.known().unwrap_or_default().iter();
        names.map(|name| name.len() + size_of::<String>()).sum()
    }
}

impl GroupRule {
    /// Reads the groups of a verified token. An absent claim holds none: providers leave it out of
    /// the tokens of users without groups.
    pub fn read(&self, claims: &Claims) -> Groups {
        let is_false = |value: Json<'_>| matches!(value, Json::Bool(false));
        let overflows = |path: &ClaimPath| claims.at(path).is_some_and(|value| !is_false(value));
        if self.unknown_if_present.iter().any(overflows) {
            return Groups::Unknown;
        }
        let mut groups = Vec::new();
        for value in self.claims.iter().filter_map(|path| claims.at(path)) {
            match self.format.names(value) {
                Some(names) if groups.len() + names.len() <= MAX_GROUPS => {
                    let full = |name| format!("{}{name}", self.prefix);
                    groups.extend(names.into_iter().map(full));
                }
                Some(_) | None => return Groups::Unknown,
            }
        }
        groups.sort_unstable();
        groups.dedup();
        Groups::Known(groups)
    }
}

impl GroupFormat {
    /// `None`: the value is not of this format.
    fn names(self, value: Json<'_>) -> Option<Vec<&str>> {
        match (self, value) {
            (Self::List, Json::Array(list)) => list.iter().map(Json::as_str).collect(),
            (Self::Words, Json::Text(words)) => Some(words.split_ascii_whitespace().collect()),
            (Self::Keys, Json::Object(members)) => Some(keys(members)),
            (Self::Keys, Json::Array(list)) => {
                let names = list.iter().map(|entry| entry.as_object().map(keys));
                Some(names.collect::<Option<Vec<_>>>()?.concat())
            }
            _ => None,
        }
    }
}

fn keys(members: Members<'_>) -> Vec<&str> {
    members.iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).expect("a path")
    }

    fn read(rule: &GroupRule, claims: Value) -> Groups {
        let Value::Object(members) = claims else {
            panic!("an object")
        };
        rule.read(&Claims::for_test(members))
    }

    fn known(names: &[&str]) -> Groups {
        Groups::Known(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn rule(format: GroupFormat) -> GroupRule {
        GroupRule {
            claims: vec![path("/realm/roles"), path("groups")],
            format,
            prefix: String::new(),
            unknown_if_present: vec![path("hasgroups"), path("/_claim_names/groups")],
        }
    }

    #[test]
    fn the_values_of_all_claims_count_together() {
        let list = rule(GroupFormat::List);
        let claims = json!({"realm": {"roles": ["b", "a"]}, "groups": ["/dev/x", "a"]});
        assert_eq!(read(&list, claims), known(&["/dev/x", "a", "b"]));
        assert_eq!(read(&list, json!({})), known(&[]));
    }

    #[test]
    fn a_prefix_keeps_the_groups_of_two_providers_apart() {
        let partner = GroupRule {
            prefix: "partner-".to_owned(),
            ..rule(GroupFormat::List)
        };
        let groups = read(&partner, json!({"groups": ["admins", "partner-"]}));
        assert_eq!(groups, known(&["partner-admins", "partner-partner-"]));
    }

    #[test]
    fn a_claim_of_another_type_makes_the_groups_unknown() {
        let list = rule(GroupFormat::List);
        for other in [
            json!("a"),
            json!(["a", 1]),
            json!({"a": 1}),
            json!(null),
            json!(1),
        ] {
            assert_eq!(
                read(&list, json!({"groups": other, "realm": {"roles": ["a"]}})),
                Groups::Unknown,
                "{other}"
            );
        }
        assert_eq!(
            read(&rule(GroupFormat::Words), json!({"groups": ["a"]})),
            Groups::Unknown
        );
        assert_eq!(
            read(&rule(GroupFormat::Keys), json!({"groups": [["a"]]})),
            Groups::Unknown
        );
    }

    #[test]
    fn groups_that_did_not_fit_into_the_token_are_unknown_and_not_none() {
        let list = rule(GroupFormat::List);
        for overage in [
            json!({"_claim_names": {"groups": "src1"}}),
            json!({"hasgroups": true, "groups": []}),
            json!({"hasgroups": "true", "groups": ["a"]}),
        ] {
            assert_eq!(read(&list, overage), Groups::Unknown);
        }
        assert_eq!(
            read(&list, json!({"hasgroups": false, "groups": ["a"]})),
            known(&["a"])
        );
        let too_many: Vec<String> = (0..=MAX_GROUPS).map(|n| n.to_string()).collect();
        assert_eq!(read(&list, json!({"groups": too_many})), Groups::Unknown);
    }

    #[test]
    fn words_and_member_names_are_read_too() {
        assert_eq!(
            read(&rule(GroupFormat::Words), json!({"groups": "b  a"})),
            known(&["a", "b"])
        );
        let keys = rule(GroupFormat::Keys);
        assert_eq!(
            read(&keys, json!({"groups": {"user": {"org": "x"}, "dev": {}}})),
            known(&["dev", "user"])
        );
        assert_eq!(
            read(&keys, json!({"groups": [{"user": {}}, {"dev": {}}]})),
            known(&["dev", "user"])
        );
    }
}
