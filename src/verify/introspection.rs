//! Token introspection (RFC 7662).
//!
//! `active` must be the boolean `true`. `false` is the whole answer: the token is bad. Whatever else
//! comes back is a failure of the provider, and above all a 401: that is about our own credentials.

mod client;

use std::time::Duration;

use http::HeaderMap;
use url::Url;

pub use client::{AssertionKey, ClientAuthentication, UnusableKey};

use super::{
    Rejection,
    claims::Claims,
    remote::CheckError,
    strict_json::{self, Json, Limits},
};
use crate::{
    clock::Now,
    outbound::{Answered, Body, Call, Way},
};

/// An introspection endpoint, and who we are there.
#[derive(Debug)]
pub struct Introspection {
    /// The endpoint.
    pub endpoint: Url,
    /// Who asks.
    pub client: ClientAuthentication,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// The answer's `iss`, if it has one, must be one of these; empty: any.
    pub issuers: Vec<String>,
}

impl Introspection {
    /// Asks about a token. The answer is that of a good token, not yet held against any rule.
    pub async fn ask(
        &self,
        outbound: Way<'_>,
        token: &str,
        now: Now,
    ) -> Result<Claims, CheckError> {
        let proof = self.client.prove(&self.endpoint, now)?;
        let mut form = vec![("token", token), ("token_type_hint", "access_token")];
        form.extend(proof.parameters());
        let answered = outbound
            .call(Call {
                url: self.endpoint.clone(),
                body: Body::Form(form),
                authorization: proof.authorization(),
                headers: &HeaderMap::new(),
                timeout: self.timeout,
            })
            .await?;
        self.read(&answered)
    }

    /// Reads an answer: the claims of a good token, not yet held against any rule.
    pub fn read(&self, answered: &Answered) -> Result<Claims, CheckError> {
        match answered.status {
            200 => {}
            401 | 403 if answered.retry_after.is_none() => {
                return Err(CheckError::CredentialsRefused(answered.status));
            }
            429 => return Err(CheckError::Throttled(answered.retry_after)),
            _ if answered.retry_after.is_some() => {
                return Err(CheckError::Throttled(answered.retry_after));
            }
            status => return Err(CheckError::Status(status)),
        }
        // RFC 9701 answers are signed JWTs, which nobody has asked for.
        if answered.media_type != "application/json" {
            return Err(CheckError::Answer("its media type is not application/json"));
        }
        let members = strict_json::read_object(&answered.body, Limits::DOCUMENT)
            .map_err(|_why| CheckError::Answer("it is not one strict JSON object"))?;
        match members.get("active") {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Err(Rejection::Inactive.into()),
            // "true" in quotes, 1, null: a server that guesses makes us guess (RFC 7662 §2.2).
            _ => return Err(CheckError::Answer("'active' is not a boolean")),
        }
        let claims = Claims::new(members);
        self.judge_kind(&claims)?;
        Ok(claims)
    }

    /// RFC 7662 §2.2: `token_type` as in RFC 6749 §5.1. A bound token (`DPoP`) must not pass as a
    /// bearer token, nor a refresh token as an access token.
    fn judge_kind(&self, claims: &Claims) -> Result<(), Rejection> {
        let kind = claims.text("token_type")?;
        let accepted = |kind: &str| {
            kind.eq_ignore_ascii_case("bearer") || kind.eq_ignore_ascii_case("access_token")
        };
        if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("dpop")) {
            return Err(Rejection::SenderConstrained);
        }
        if kind.is_some_and(|kind| !accepted(kind)) {
            return Err(Rejection::NotAnAccessToken("token_type"));
        }
        let issuer = claims.text("iss")?;
        let foreign = |issuer: &str| !self.issuers.iter().any(|known| known == issuer);
        if !self.issuers.is_empty() && issuer.is_some_and(foreign) {
            return Err(Rejection::Issuer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
