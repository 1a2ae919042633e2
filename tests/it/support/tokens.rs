//! Tokens, good ones and every kind of bad one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::keys::{SigningKey, base64url, shared_rs256};

pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs() as i64
}

/// A token before it is signed. Starts as a good one: alice's, for `jira-api`.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    pub payload: Value,
}

impl Token {
    /// A good RS256 token of an issuer, signed by the key that it publishes as `k1`.
    pub fn of(issuer: &str) -> Self {
        let now = unix_now();
        Self {
            header: json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"}),
            payload: json!({
                "iss": issuer, "aud": "jira-api", "sub": "f4f3a1de", "client_id": "portal",
                "preferred_username": "alice", "iat": now - 5, "exp": now + 600,
            }),
        }
    }

    /// Sets a header member; `Value::Null` stays null, use [`Token::without`] to remove a claim.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().expect("an object").remove(name);
        self
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload[name] = value.into();
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.payload
            .as_object_mut()
            .expect("an object")
            .remove(name);
        self
    }

    /// Signed by the shared RS256 key.
    pub fn signed(&self) -> String {
        self.signed_by(shared_rs256())
    }

    pub fn signed_by(&self, key: &SigningKey) -> String {
        sign_raw(&self.header.to_string(), &self.payload.to_string(), key)
    }
}

/// Signs header and payload as they stand: for JSON that no library would write.
pub fn sign_raw(header: &str, payload: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", base64url(signature))
}
