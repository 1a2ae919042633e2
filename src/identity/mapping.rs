//! From a claim to a user name: one claim, a fixed order of steps, each all or nothing.

use std::collections::HashMap;

use super::username::{Username, UsernameError, UsernamePolicy};
use crate::verify::{
    Verified,
    claims::{ClaimPath, Claims},
};

/// How a provider's tokens become users.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Tokens with a user behind them.
    pub rule: UsernameRule,
    /// Tokens without one: client → user. A client that is not here is refused.
    pub machine_clients: HashMap<String, Username>,
}

/// The steps, in the order in which they are applied: `map`, `regex`, `strip_domain`, `prefix`,
/// `lower_case`, then the policy.
#[derive(Clone, Debug)]
pub struct UsernameRule {
    /// The claim that names the user; must be a string.
    pub claim: ClaimPath,
    /// Exact value → name. A value that is not here is refused.
    pub map: Option<HashMap<String, String>>,
    /// Anchored; its first group is the name. A value that does not match is refused.
    pub regex: Option<regex::Regex>,
    /// `@domain` to cut off. A value of another domain is refused: `alice@evil` is not `alice`.
    pub strip_domain: Option<String>,
    /// Put before the name, so that two providers cannot name the same user.
    pub prefix: String,
    /// The products compare names without case; one spelling serves rules and logs.
    pub lower_case: bool,
    /// What the result must be.
    pub policy: UsernamePolicy,
}

/// Why a verified token stands for no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The claim is absent.
    #[error("the token has no such user name claim as configured")]
    ClaimMissing,
    /// The claim is a number, a list, …
    #[error("the user name claim is not a string")]
    ClaimType,
    /// `email` without `email_verified: true`.
    #[error("the token's email is not verified")]
    UnverifiedEmail,
    /// `map` has no such value.
    #[error("the user name claim's value is not in username.map")]
    NotInMap,
    /// `regex` does not match.
    #[error("the user name claim's value does not match username.regex")]
    NoMatch,
    /// `strip_domain` is another domain.
    #[error("the user name claim's value is not of the domain username.strip_domain")]
    OtherDomain,
    /// The result breaks the policy.
    #[error(transparent)]
    Username(#[from] UsernameError),
    /// A client-credentials token of a client that is not in `machine_clients`.
    #[error("the token has no user behind it and its client is not in machine_clients")]
    UnknownMachine,
}

impl MappingError {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ClaimMissing | Self::ClaimType => "username_claim",
            Self::UnverifiedEmail => "email_not_verified",
            Self::NotInMap | Self::NoMatch | Self::OtherDomain => "username_not_mapped",
            Self::Username(_) => "username_refused",
            Self::UnknownMachine => "machine_client_not_mapped",
        }
    }
}

impl Mapping {
    /// The user of a token.
    pub fn username(&self, verified: &Verified) -> Result<Username, MappingError> {
        if verified.facts.is_machine {
            let client = verified
                .facts
                .client
                .as_ref()
                .ok_or(MappingError::UnknownMachine)?;
            return self
                .machine_clients
                .get(client)
                .cloned()
                .ok_or(MappingError::UnknownMachine);
        }
        self.rule.apply(&verified.claims)
    }
}

impl UsernameRule {
    /// The user name that the claims give.
    pub fn apply(&self, claims: &Claims) -> Result<Username, MappingError> {
        let value = claims.at(&self.claim).ok_or(MappingError::ClaimMissing)?;
        let value = value.as_str().ok_or(MappingError::ClaimType)?;
        if self.claim.as_str() == "email" && !claims.is_true("email_verified") {
            return Err(MappingError::UnverifiedEmail);
        }
        self.name(value)
    }

    /// The user name that a value of the claim gives.
    pub fn name(&self, value: &str) -> Result<Username, MappingError> {
        let name = self.transform(value)?;
        Ok(Username::parse(&name, &self.policy)?)
    }

    fn transform(&self, value: &str) -> Result<String, MappingError> {
        let mut name = value;
        if let Some(map) = &self.map {
            name = map.get(name).ok_or(MappingError::NotInMap)?;
        }
        if let Some(regex) = &self.regex {
            let captured = regex.captures(name).and_then(|groups| groups.get(1));
            name = captured.ok_or(MappingError::NoMatch)?.as_str();
        }
        if let Some(domain) = &self.strip_domain {
            // Exactly one @: `admin@corp.example@evil` has two readings (GHSA-c5c4-8r6x-56w3).
            let (local, found) = name.split_once('@').ok_or(MappingError::OtherDomain)?;
            if !found.eq_ignore_ascii_case(domain) {
                return Err(MappingError::OtherDomain);
            }
            name = local;
        }
        // A prefix alone would make one user of all whose name is empty.
        if name.is_empty() {
            return Err(UsernameError::Empty.into());
        }
        let mut name = [&self.prefix, name].concat();
        if self.lower_case {
            name.make_ascii_lowercase();
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::username::anchored, *};

    fn rule() -> UsernameRule {
        UsernameRule {
            claim: ClaimPath::parse("preferred_username").expect("a path"),
            map: None,
            regex: None,
            strip_domain: None,
            prefix: String::new(),
            lower_case: true,
            policy: UsernamePolicy::default(),
        }
    }

    fn apply(rule: &UsernameRule, claims: Value) -> Result<String, MappingError> {
        let Value::Object(members) = claims else {
            panic!("an object")
        };
        rule.apply(&Claims::for_test(members))
            .map(|name| name.to_string())
    }

    fn named(rule: &UsernameRule, name: &str) -> Result<String, MappingError> {
        apply(rule, json!({"preferred_username": name}))
    }

    #[test]
    fn the_claim_must_be_a_string() {
        assert_eq!(named(&rule(), "Alice").as_deref(), Ok("alice"));
        assert_eq!(apply(&rule(), json!({})), Err(MappingError::ClaimMissing));
        for bad in [
            json!(7),
            json!(null),
            json!(true),
            json!(["alice"]),
            json!({"alice": 1}),
        ] {
            assert_eq!(
                apply(&rule(), json!({"preferred_username": bad})),
                Err(MappingError::ClaimType),
                "{bad}"
            );
        }
        assert_eq!(named(&rule(), ""), Err(UsernameError::Empty.into()));
        assert_eq!(
            named(&rule(), "alice\r\nx"),
            Err(UsernameError::Character.into())
        );
    }

    #[test]
    fn an_email_counts_only_when_the_provider_says_it_is_verified() {
        let email = UsernameRule {
            claim: ClaimPath::parse("email").expect("a path"),
            strip_domain: Some("corp.example".to_owned()),
            ..rule()
        };
        assert_eq!(
            apply(
                &email,
                json!({"email": "alice@corp.example", "email_verified": true})
            )
            .as_deref(),
            Ok("alice")
        );
        for unverified in [json!(false), json!("true"), json!(1), json!(null)] {
            let claims = json!({"email": "alice@corp.example", "email_verified": unverified});
            assert_eq!(
                apply(&email, claims),
                Err(MappingError::UnverifiedEmail),
                "{unverified}"
            );
        }
        let as_pointer = UsernameRule {
            claim: ClaimPath::parse("/email").expect("a path"),
            ..email.clone()
        };
        for rule in [&email, &as_pointer] {
            assert_eq!(
                apply(rule, json!({"email": "alice@corp.example"})),
                Err(MappingError::UnverifiedEmail)
            );
        }
    }

    #[test]
    fn a_domain_is_stripped_only_if_it_is_the_right_one() {
        let strip = UsernameRule {
            strip_domain: Some("corp.example".to_owned()),
            ..rule()
        };
        assert_eq!(named(&strip, "alice@corp.example").as_deref(), Ok("alice"));
        assert_eq!(named(&strip, "Alice@CORP.example").as_deref(), Ok("alice"));
        for other in [
            "alice",
            "alice@evil.example",
            "alice@corp.example.evil",
            "alice@xcorp.example",
            "alice@evil@corp.example",
            "alice@corp.example@evil",
        ] {
            assert_eq!(
                named(&strip, other),
                Err(MappingError::OtherDomain),
                "{other}"
            );
        }
        assert_eq!(
            named(&strip, "@corp.example"),
            Err(UsernameError::Empty.into())
        );
        assert_eq!(
            named(&strip, "admin@corp.example"),
            Err(UsernameError::Reserved.into()),
            "reserved after the transformation"
        );
    }

    #[test]
    fn a_prefix_separates_the_users_of_two_providers() {
        let partner = UsernameRule {
            prefix: "partner-".to_owned(),
            ..rule()
        };
        assert_eq!(named(&partner, "admin").as_deref(), Ok("partner-admin"));
        assert_eq!(named(&partner, ""), Err(UsernameError::Empty.into()));
    }

    #[test]
    fn a_map_holds_exact_pairs_and_nothing_else_passes() {
        let mapped = UsernameRule {
            map: Some(HashMap::from([
                ("u-1".to_owned(), "alice".to_owned()),
                ("u-2".to_owned(), "a;b".to_owned()),
            ])),
            ..rule()
        };
        assert_eq!(named(&mapped, "u-1").as_deref(), Ok("alice"));
        assert_eq!(named(&mapped, "U-1"), Err(MappingError::NotInMap));
        assert_eq!(named(&mapped, "alice"), Err(MappingError::NotInMap));
        assert_eq!(
            named(&mapped, "u-2"),
            Err(UsernameError::Character.into()),
            "the policy holds for mapped names too"
        );
    }

    #[test]
    fn a_regex_matches_the_whole_value_and_yields_its_group() {
        let captured = UsernameRule {
            regex: Some(anchored("corp:([a-z]+)(?::x)?").expect("a regex")),
            ..rule()
        };
        assert_eq!(named(&captured, "corp:alice").as_deref(), Ok("alice"));
        assert_eq!(named(&captured, "corp:alice:x").as_deref(), Ok("alice"));
        for other in [
            "xcorp:alice",
            "corp:alice\n",
            "corp:alice:y",
            "alice",
            "corp:",
        ] {
            assert_eq!(
                named(&captured, other),
                Err(MappingError::NoMatch),
                "{other:?}"
            );
        }
        let alternatives = UsernameRule {
            regex: Some(anchored("(a)|b(c)").expect("a regex")),
            ..rule()
        };
        assert_eq!(
            named(&alternatives, "bc"),
            Err(MappingError::NoMatch),
            "the first group took no part"
        );
    }
}
