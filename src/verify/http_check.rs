//! Checks a token with the requests that its provider offers instead of introspection: userinfo,
//! tokeninfo, "check a token".
//!
//! Providers say "invalid" in many ways: 401, 400, 404, 200 with `ok: false`. Each call knows the
//! ways of its endpoint; what it does not know is a failure of the provider and never an answer
//! about the token.

mod expect;
mod reading;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

pub use expect::{Condition, Expect};
pub use reading::{ClaimSource, Document, Reading};

use super::{
    Rejection,
    claims::Claims,
    remote::CheckError,
    strict_json::{self, Limits},
};
use crate::{
    clock::Now,
    outbound::{Answered, Authorization, Body, Call, Way},
};

/// One or two requests, and the claims that their answers hold.
#[derive(Debug)]
pub struct HttpCheck {
    /// In this order; all must succeed.
    pub calls: Vec<TokenCall>,
    /// Name of the claim, and its source.
    pub claims: Vec<(String, ClaimSource)>,
    /// Pairs of claims that must be there and equal.
    pub equal: Vec<(String, String)>,
    /// Longest wait for each answer.
    pub timeout: Duration,
}

/// One request about a token.
#[derive(Debug)]
pub struct TokenCall {
    /// GET or POST.
    pub post: bool,
    /// Without the token.
    pub url: Url,
    /// Where the token is put.
    pub token: TokenPlace,
    /// Further headers.
    pub headers: HeaderMap,
    /// Who we are there.
    pub client: Option<Client>,
    /// The answer to a good token.
    pub success: Expect,
    /// Answers to a bad one.
    pub invalid: Vec<Expect>,
}

/// Where a token is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Bearer,
    /// This parameter of a form.
    Form(String),
    /// This member of a JSON document.
    Json(String),
    /// This query parameter.
    Query(String),
}

/// Who we are at an endpoint.
#[derive(Debug)]
pub enum Client {
    /// `Authorization: Basic`.
    Basic {
        /// Our identifier.
        id: String,
        /// Our secret.
        secret: SecretString,
    },
    /// `access_token=id|secret` in the query.
    AppAccessToken {
        /// Our identifier.
        id: String,
        /// Our secret.
        secret: SecretString,
    },
}

impl HttpCheck {
    /// Asks about a token. The claims are those of a good token, not yet held against any rule.
    pub async fn ask(
        &self,
        outbound: Way<'_>,
        token: &str,
        now: Now,
    ) -> Result<Claims, CheckError> {
        let mut answers = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let answered = outbound.call(call.request(token, self.timeout)).await?;
            answers.push(call.read(&answered)?);
        }
        self.read(&answers, token, now)
    }

    fn read(
        &self,
        answers: &[Map<String, Value>],
        token: &str,
        now: Now,
    ) -> Result<Claims, CheckError> {
        let payload = self
            .claims
            .iter()
            .any(|(_, source)| source.document == Document::Token)
            .then(|| payload(token))
            .transpose()?;
        let mut claims = Map::new();
        for (name, source) in &self.claims {
            let document = match source.document {
                Document::Answer(number) => answers.get(number),
                Document::Token => payload.as_ref(),
            };
            let document = document.ok_or(CheckError::Answer("a document is missing"))?;
            if let Some(value) = source.read(document, now)? {
                claims.insert(name.clone(), value);
            }
        }
        let differ = |(one, other): &(String, String)| {
            !claims.contains_key(one) || claims.get(one) != claims.get(other)
        };
        if self.equal.iter().any(differ) {
            return Err(Rejection::ClaimsDiffer.into());
        }
        Ok(Claims::new(claims.into()))
    }
}

/// The payload of a token that its provider has just confirmed, byte for byte. What is no plain JWT
/// cannot be bound to anybody.
fn payload(token: &str) -> Result<Map<String, Value>, Rejection> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Rejection::MalformedJws);
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_bad| Rejection::MalformedJws)?;
    strict_json::parse_object(&bytes, Limits::TOKEN).map_err(|error| Rejection::Json {
        part: "payload",
        error,
    })
}

impl TokenCall {
    fn request<'a>(&'a self, token: &'a str, timeout: Duration) -> Call<'a> {
        let mut url = self.url.clone();
        if let TokenPlace::Query(name) = &self.token {
            url.query_pairs_mut().append_pair(name, token);
        }
        let mut authorization = match self.token {
            TokenPlace::Bearer => Authorization::Bearer(token),
            TokenPlace::Form(_) | TokenPlace::Json(_) | TokenPlace::Query(_) => Authorization::None,
        };
        match &self.client {
            Some(Client::Basic { id, secret }) => {
                authorization = Authorization::Basic(id, secret.expose_secret());
            }
            Some(Client::AppAccessToken { id, secret }) => {
                let value = format!("{id}|{}", secret.expose_secret());
                url.query_pairs_mut().append_pair("access_token", &value);
            }
            None => {}
        }
        let body = match &self.token {
            TokenPlace::Form(name) => Body::Form(vec![(name, token)]),
            TokenPlace::Json(name) => Body::Json(json!({ name: token }).to_string()),
            TokenPlace::Bearer | TokenPlace::Query(_) if self.post => Body::Empty,
            TokenPlace::Bearer | TokenPlace::Query(_) => Body::None,
        };
        Call {
            url,
            body,
            authorization,
            headers: &self.headers,
            timeout,
        }
    }

    /// The document of a good token.
    fn read(&self, answered: &Answered) -> Result<Map<String, Value>, CheckError> {
        let document = strict_json::parse_object(&answered.body, Limits::DOCUMENT);
        let known = document.as_ref().ok();
        // Bad tokens first: an answer that fits both must not pass.
        let is_invalid = |expect: &Expect| expect.fits(answered.status, known);
        if answered.retry_after.is_none() && self.invalid.iter().any(is_invalid) {
            return Err(Rejection::Inactive.into());
        }
        if self.success.fits(answered.status, known) {
            return document.map_err(|_why| CheckError::Answer("it is not one strict JSON object"));
        }
        Err(self.failure(answered))
    }

    fn failure(&self, answered: &Answered) -> CheckError {
        match answered.status {
            429 => CheckError::Throttled(answered.retry_after),
            _ if answered.retry_after.is_some() => CheckError::Throttled(answered.retry_after),
            401 if self.client.is_none() => Rejection::Inactive.into(),
            401 | 403 if self.client.is_some() => CheckError::CredentialsRefused(answered.status),
            200 => CheckError::Answer("it is neither that to a good token nor that to a bad one"),
            status => CheckError::Status(status),
        }
    }
}

#[cfg(test)]
mod tests;
