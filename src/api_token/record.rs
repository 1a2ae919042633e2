//! A token as the store knows it: everything but its secret.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiTokenId, Digest, Scope};

/// The user whom a token stands for, as the store has it: text, not yet a user name that the product may
/// see. Lower case, as the products compare names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Owner(String);

/// Who changes something, for the audit trail: `alice`, `cli:root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(String);

/// One token. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its public name.
    pub id: ApiTokenId,
    /// Whom it stands for.
    pub owner: Owner,
    /// What its owner calls it.
    pub name: String,
    /// What is known of its secret.
    pub digest: Digest,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: i64,
    /// By whom.
    pub created_by: String,
    /// It ends before this moment.
    pub expires_at: i64,
    /// It has been ended.
    pub revocation: Option<Revocation>,
    /// The token that it was made to replace.
    pub replaces: Option<ApiTokenId>,
    /// The token that replaces it; it ends soon.
    pub replaced_by: Option<ApiTokenId>,
    /// When it was last seen, give or take minutes.
    pub last_used_at: Option<i64>,
    /// From which address.
    pub last_used_from: Option<String>,
    /// Grows with every change of any token.
    pub revision: i64,
}

/// The end of a token before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// Unix seconds.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Whether a token can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// It has been ended before its time.
    Revoked,
}

impl Owner {
    /// As the products compare names.
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Actor {
    /// An operator at the command line.
    pub fn command_line(login: &str) -> Self {
        Self(format!("cli:{login}"))
    }

    /// A user, known by their own token of an identity provider.
    pub fn user(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// For the audit trail.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl State {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl TokenRecord {
    /// Whether it can be used at this moment (Unix seconds).
    pub fn state(&self, now: i64) -> State {
        if self.revocation.is_some() {
            State::Revoked
        } else if now < self.expires_at {
            State::Active
        } else {
            State::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_token::PepperId;

    fn record(expires_at: i64, revocation: Option<Revocation>) -> TokenRecord {
        let scope = r#"{"access":"read","applications":["jira"]}"#;
        TokenRecord {
            id: ApiTokenId::parse("abcdefghijkl").expect("an id"),
            owner: Owner::new("alice"),
            name: "ci".to_owned(),
            digest: Digest {
                pepper: PepperId::from_store("p".to_owned()),
                mac: [0; 32],
            },
            scope: serde_json::from_str(scope).expect("a scope"),
            created_at: 0,
            created_by: "cli:root".to_owned(),
            expires_at,
            revocation,
            replaces: None,
            replaced_by: None,
            last_used_at: None,
            last_used_from: None,
            revision: 1,
        }
    }

    #[test]
    fn a_token_is_active_before_its_end_unless_it_was_ended() {
        let state = |now| record(100, None).state(now);
        assert_eq!(state(99), State::Active);
        assert_eq!(state(100), State::Expired);
        assert_eq!(state(101), State::Expired);
        let ended = Revocation {
            at: 1,
            by: "alice".to_owned(),
            reason: "lost".to_owned(),
        };
        for now in [0, 99, 100] {
            assert_eq!(record(100, Some(ended.clone())).state(now), State::Revoked);
        }
        for state in [State::Active, State::Expired, State::Revoked] {
            assert_eq!(serde_json::json!(state), state.as_str());
        }
    }

    #[test]
    fn the_audit_trail_tells_an_operator_from_a_user() {
        assert_eq!(Actor::command_line("root").as_str(), "cli:root");
        assert_eq!(Actor::user("alice").as_str(), "alice");
    }
}
