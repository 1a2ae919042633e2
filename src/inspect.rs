//! "Get username attribute": what a provider says of a token, and what the configuration makes of
//! it. For operators who choose a claim; it decides about no request.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    clock::Now,
    credential::BearerToken,
    identity::{Identity, MappingError, Stability},
    provider::{Judge, NotSelected, Provider, Selected, Selector},
    verify::{
        Rejection, TokenError, Verified, Voucher, claims::Claims, jwt::IssuerKeys,
        strict_json::escaped,
    },
};

/// Most attributes that are listed: an answer of a provider has dozens.
const MAX_ATTRIBUTES: usize = 500;

/// What is known of a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inspection {
    /// Everything that the provider vouches for.
    pub attributes: Vec<Attribute>,
    /// Why the token is refused all the same; absent if it is not.
    pub refused: Option<Refused>,
    /// The groups; absent when they are unknown.
    pub groups: Option<Vec<String>>,
    /// The value of `X-Remote-User`; absent when there is none.
    pub user: Option<String>,
}

/// One value of the token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attribute {
    /// As `username.claim` would name it.
    pub path: String,
    /// As the provider wrote it.
    pub value: Value,
    /// How far it can be relied on as a name.
    pub note: &'static str,
}

/// Which rule refuses a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// One word, from a closed set.
    pub reason: &'static str,
    /// A sentence.
    pub why: String,
}

/// Why nothing can be said of a token.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The token is not one that this provider would ever be shown.
    #[error("{0}; nothing was sent to the provider")]
    NotItsToken(#[from] NotSelected),
    /// Its provider does not vouch for it, or cannot be asked.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// A provider, and the rule by which it would be chosen.
#[derive(Debug)]
pub struct Inspector {
    /// Whom to ask.
    pub provider: Arc<Provider>,
    /// Finds this provider and no other.
    pub selector: Selector,
}

impl Inspector {
    /// Asks the provider about a token.
    pub async fn inspect(
        &self,
        token: BearerToken<'_>,
        now: Now,
        deadline: Instant,
    ) -> Result<Inspection, InspectError> {
        let (claims, voucher, rules) = match (self.selector.select(token)?, &self.provider.judge) {
            (Selected::Jwt { issuer, jws }, Judge::Jwt(verifier)) => {
                let keys = IssuerKeys {
                    keyring: &issuer.keyring,
                    required: &issuer.required,
                };
                let (claims, key) = verifier.signed(jws, keys, now, deadline).await?;
                (claims, Voucher::Key(key), &verifier.rules)
            }
            (Selected::Remote(_), Judge::Remote(verifier)) => {
                let claims = verifier.claims(token.expose(), now, None).await?;
                let voucher = Voucher::Answer(verifier.believed_for);
                (claims, voucher, &verifier.rules)
            }
            (Selected::Jwt { .. } | Selected::Remote(_), _) => {
                return Err(TokenError::from(Rejection::Issuer).into());
            }
        };
        let attributes = self.attributes(&claims);
        let judged = rules.check(&claims, now).map(|facts| Verified {
            claims,
            facts,
            voucher,
        });
        Ok(self.concluded(attributes, judged))
    }

    fn concluded(
        &self,
        attributes: Vec<Attribute>,
        judged: Result<Verified, Rejection>,
    ) -> Inspection {
        let nothing = Inspection {
            attributes,
            refused: None,
            groups: None,
            user: None,
        };
        let verified = match judged {
            Ok(verified) => verified,
            Err(rejection) => {
                return Inspection {
                    refused: Some(Refused {
                        reason: rejection.reason(),
                        why: rejection.to_string(),
                    }),
                    ..nothing
                };
            }
        };
        let (name, keep) = (Arc::clone(&self.provider.name), &self.provider.keep);
        match Identity::establish(verified, name, &self.provider.mapping, keep) {
            Ok(identity) => Inspection {
                groups: identity.groups.known().map(<[String]>::to_vec),
                user: Some(identity.username.to_string()),
                ..nothing
            },
            Err(error) => Inspection {
                refused: Some(refused(error)),
                ..nothing
            },
        }
    }

    fn attributes(&self, claims: &Claims) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        for (name, value) in &claims.members() {
            // A name that begins with a slash can only be written as a pointer.
            let path = if name.starts_with('/') {
                format!("/{}", escaped(name))
            } else {
                name.clone()
            };
            self.add(path, &format!("/{}", escaped(name)), value, &mut attributes);
        }
        attributes.truncate(MAX_ATTRIBUTES);
        attributes
    }

    /// Objects are opened, so that every value has the path that names it.
    fn add(&self, path: String, pointer: &str, value: &Value, to: &mut Vec<Attribute>) {
        if let Value::Object(members) = value
            && !members.is_empty()
        {
            self.open(pointer, members, to);
            return;
        }
        let note = Stability::of(&path, self.provider.unstable).in_words();
        to.push(Attribute {
            path,
            value: value.clone(),
            note,
        });
    }

    fn open(&self, pointer: &str, members: &Map<String, Value>, to: &mut Vec<Attribute>) {
        for (name, value) in members {
            let pointer = format!("{pointer}/{}", escaped(name));
            self.add(pointer.clone(), &pointer, value, to);
        }
    }
}

fn refused(error: MappingError) -> Refused {
    Refused {
        reason: error.reason(),
        why: error.to_string(),
    }
}
