//! The claims of a verified token, and the rules they must keep (RFC 7519 §4, RFC 8725, RFC 9068).
//!
//! A claim of the wrong type is a refusal, never "absent": libraries that skipped a string `exp`
//! made tokens eternal (CVE-2026-25537).

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::{
    Rejection,
    strict_json::{Json, Object, unescaped},
};
use crate::clock::Now;

/// Most entries of `aud`.
const MAX_AUDIENCES: usize = 16;
/// 9999-12-31T23:59:59Z: later is no date but an attempt to overflow one.
const LAST_DATE: f64 = 253_402_300_799.0;

/// The payload of a token whose signature is right. Has no `Debug`.
pub struct Claims(Object);

/// Where a claim stands: the exact name of a member, or a JSON pointer (RFC 6901) into it.
/// Names like `https://example.com/user` are members, not paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    written: String,
    /// The member of the claims, then the way into its value.
    steps: Vec<String>,
}

impl ClaimPath {
    /// `None` when the path is empty. `/email` is the same path as `email`.
    pub fn parse(path: &str) -> Option<Self> {
        let steps: Vec<String> = match path.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(unescaped).collect(),
            None => vec![path.to_owned()],
        };
        let written = match steps.as_slice() {
            [member] => member.clone(),
            _ => path.to_owned(),
        };
        (!written.is_empty()).then_some(Self { written, steps })
    }

    /// As written in the configuration; the name of a member as itself.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl Claims {
    pub(super) fn new(members: Object) -> Self {
        Self(members)
    }

    /// Claims that no key has signed.
    #[cfg(test)]
    pub(crate) fn for_test(members: Map<String, Value>) -> Self {
        Self(members.into())
    }

    /// Whether a claim is the boolean `true`, and not a string that says so.
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Json::Bool(true)))
    }

    /// The value at a path.
    pub fn at(&self, path: &ClaimPath) -> Option<Json<'_>> {
        let (member, inside) = path.steps.split_first()?;
        let steps = inside.iter();
        steps.fold(self.0.get(member), |value, step| value?.step(step))
    }

    /// The value of a member.
    pub(super) fn get(&self, name: &str) -> Option<Json<'_>> {
        self.0.get(name)
    }

    /// Every member, for a person who chooses among them.
    pub fn members(&self) -> Map<String, Value> {
        self.0.members().to_map()
    }

    /// Whether each of these claims is exactly this string.
    pub(super) fn require(&self, wanted: &BTreeMap<String, String>) -> Result<(), Rejection> {
        let differs = |(name, value): (&String, &String)| {
            self.get(name).and_then(Json::as_str) != Some(value)
        };
        if wanted.iter().any(differs) {
            return Err(Rejection::RequiredClaim);
        }
        Ok(())
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Rejection> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Rejection::ClaimType(name)),
        }
    }

    /// A `NumericDate` (RFC 7519 §2), its fraction dropped.
    fn date(&self, name: &'static str) -> Result<Option<i64>, Rejection> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let Json::Number(number) = value else {
            return Err(Rejection::ClaimType(name));
        };
        let seconds = number.as_f64().ok_or(Rejection::ClaimType(name))?;
        if !(0.0..=LAST_DATE).contains(&seconds) {
            return Err(Rejection::ClaimType(name));
        }
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "bounded above by LAST_DATE, below by zero"
        )]
        let whole = seconds.floor() as i64;
        Ok(Some(whole))
    }
}

/// Whom a token may be meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// One of these; never empty.
    OneOf(Vec<String>),
    /// Not asked: something else binds the token, or `accept_unbound_tokens: true` was written.
    Any,
}

/// Which header `typ` an access token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypPolicy {
    /// RFC 9068 §4: `at+jwt` only.
    AccessToken,
    /// `JWT` and none too, as issuers before RFC 9068 send it. Tokens that look like an ID token
    /// are refused by their claims then.
    Legacy,
    /// `JWT` and none: the operator wants ID tokens.
    IdToken,
}

/// Whether a token must say when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// RFC 9068 §2.2: it must, and its life is bounded.
    Required {
        /// Longest accepted life.
        max_lifetime: Duration,
    },
    /// The provider is asked again and again, and some tokens of it have no end.
    Optional,
}

/// How a provider marks a token that no user stands behind (client credentials).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineMarker {
    /// The claim is there.
    Present(String),
    /// The claim is not there.
    Absent(String),
    /// The claim is this string.
    Equals(String, String),
    /// The claim is a string that begins so.
    StartsWith(String, String),
}

impl MachineMarker {
    fn marks(&self, claims: &Claims) -> bool {
        let text = |claim: &str| claims.get(claim).and_then(Json::as_str);
        match self {
            Self::Present(claim) => claims.get(claim).is_some(),
            Self::Absent(claim) => claims.get(claim).is_none(),
            Self::Equals(claim, value) => text(claim) == Some(value),
            Self::StartsWith(claim, prefix) => {
                text(claim).is_some_and(|value| value.starts_with(prefix))
            }
        }
    }
}

/// The rules of one provider.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// `aud`
    pub audiences: Audiences,
    /// The parties that may have obtained the token; `None`: any.
    pub clients: Option<Vec<String>>,
    /// Header `typ`.
    pub typ: TypPolicy,
    /// Allowed difference of clocks.
    pub leeway: Duration,
    /// Whether a token must end, and when.
    pub expiry: Expiry,
    /// Claims that must be these strings.
    pub required: BTreeMap<String, String>,
    /// How client-credentials tokens are recognised, besides `sub` being the client.
    pub machine_markers: Vec<MachineMarker>,
}

/// What the rules have established about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Valid before this moment, leeway included (Unix seconds).
    pub valid_until: i64,
    /// Who obtained the token.
    pub client: Option<String>,
    /// No user stands behind it.
    pub is_machine: bool,
    /// `scope` or `scp`.
    pub scopes: Vec<String>,
}

impl ClaimRules {
    /// Whether a token with this header `typ` (lower case, without `application/`) can be an access
    /// token (RFC 8725 §3.11). Needs no key, so it is asked before one is looked for.
    pub fn accept_typ(&self, typ: Option<&str>) -> Result<(), Rejection> {
        match (typ, self.typ) {
            (Some("at+jwt"), TypPolicy::AccessToken | TypPolicy::Legacy)
            | (Some("jwt") | None, TypPolicy::Legacy | TypPolicy::IdToken) => Ok(()),
            (Some(_) | None, _) => Err(Rejection::Typ),
        }
    }

    /// Applies every rule about the claims.
    pub fn check(&self, claims: &Claims, now: Now) -> Result<Facts, Rejection> {
        self.check_kind(claims)?;
        let valid_until = self.check_time(claims, now)?;
        self.check_audience(claims)?;
        let client = client(claims)?;
        if let Some(allowed) = &self.clients
            && !client.is_some_and(|client| allowed.iter().any(|allowed| allowed == client))
        {
            return Err(Rejection::Client);
        }
        claims.require(&self.required)?;
        Ok(Facts {
            valid_until,
            client: client.map(str::to_owned),
            is_machine: self.is_machine(claims, client)?,
            scopes: scopes(claims)?,
        })
    }

    /// RFC 8725 §3.12: one kind of token must not pass as another.
    fn check_kind(&self, claims: &Claims) -> Result<(), Rejection> {
        const OTHER_KINDS: [&str; 6] = [
            "id",
            "refresh",
            "offline",
            "logout",
            "serialized-id",
            "dpop",
        ];
        // OIDC Core §3.1.3.6, §3.3.2.11; RFC 8417 §2.2: access tokens have none of these. `nonce`
        // is the mark of an ID token when the header does not tell.
        let marks: &[&'static str] = match self.typ {
            TypPolicy::AccessToken | TypPolicy::Legacy => {
                &["at_hash", "c_hash", "s_hash", "events"]
            }
            TypPolicy::IdToken => &["events"],
        };
        for mark in marks {
            if claims.get(mark).is_some() {
                return Err(Rejection::NotAnAccessToken(mark));
            }
        }
        if self.typ == TypPolicy::Legacy && claims.get("nonce").is_some() {
            return Err(Rejection::NotAnAccessToken("nonce"));
        }
        // Cognito and Keycloak write the kind of token into the payload.
        let (usage, kind) = (claims.text("token_use")?, claims.text("typ")?);
        let wanted = if self.typ == TypPolicy::IdToken {
            "id"
        } else {
            "access"
        };
        if usage.is_some_and(|usage| usage != wanted) {
            return Err(Rejection::NotAnAccessToken("token_use"));
        }
        let kind = kind.map(str::to_ascii_lowercase);
        if kind.is_some_and(|kind| kind != wanted && OTHER_KINDS.contains(&kind.as_str())) {
            return Err(Rejection::NotAnAccessToken("typ"));
        }
        if claims.get("cnf").is_some() {
            return Err(Rejection::SenderConstrained);
        }
        Ok(())
    }

    fn check_time(&self, claims: &Claims, now: Now) -> Result<i64, Rejection> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let leeway = seconds(self.leeway);
        let expires = claims.date("exp")?;
        let issued = claims.date("iat")?;
        let not_before = claims.date("nbf")?;

        let expires = match (expires, self.expiry) {
            (Some(expires), _) => expires,
            (None, Expiry::Required { .. }) => return Err(Rejection::ClaimMissing("exp")),
            // The provider has just said that the token is good, and is soon asked again.
            (None, Expiry::Optional) => i64::MAX,
        };
        let valid_until = expires.saturating_add(leeway);
        if now.unix_seconds >= valid_until {
            return Err(Rejection::Expired);
        }
        let latest = now.unix_seconds.saturating_add(leeway);
        for (name, date) in [("nbf", not_before), ("iat", issued)] {
            if date.is_some_and(|date| date > latest) {
                return Err(Rejection::NotYetValid(name));
            }
        }
        if let Expiry::Required { max_lifetime } = self.expiry {
            let lifetime = expires.saturating_sub(issued.unwrap_or(now.unix_seconds));
            if lifetime > seconds(max_lifetime) {
                return Err(Rejection::LifetimeTooLong);
            }
        }
        Ok(valid_until)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Rejection> {
        let named = audiences(claims)?;
        match (&self.audiences, named) {
            (Audiences::Any, _) => Ok(()),
            (Audiences::OneOf(_), None) => Err(Rejection::ClaimMissing("aud")),
            (Audiences::OneOf(ours), Some(named)) => named
                .iter()
                .any(|audience| ours.iter().any(|our| our == audience))
                .then_some(())
                .ok_or(Rejection::Audience),
        }
    }

    /// RFC 9068 §5: a client that registers under the name `admin` gets `sub: admin`.
    fn is_machine(&self, claims: &Claims, client: Option<&str>) -> Result<bool, Rejection> {
        let subject = claims.text("sub")?;
        let subject_is_client = subject.is_some() && subject == client;
        Ok(subject_is_client
            || self
                .machine_markers
                .iter()
                .any(|marker| marker.marks(claims)))
    }
}

/// RFC 7519 §4.1.3: a string, or an array of strings.
fn audiences(claims: &Claims) -> Result<Option<Vec<&str>>, Rejection> {
    const WRONG_TYPE: Rejection = Rejection::ClaimType("aud");
    match claims.get("aud") {
        None => Ok(None),
        Some(Json::Array(many)) if many.iter().len() > MAX_AUDIENCES => {
            Err(Rejection::TooManyAudiences)
        }
        Some(Json::Array(many)) => {
            let names: Option<Vec<_>> = many.iter().map(Json::as_str).collect();
            names.map(Some).ok_or(WRONG_TYPE)
        }
        Some(one) => Ok(Some(vec![one.as_str().ok_or(WRONG_TYPE)?])),
    }
}

/// The party that obtained the token, under the names that providers use. Two that differ are no
/// answer.
fn client(claims: &Claims) -> Result<Option<&str>, Rejection> {
    let mut client = None;
    for name in ["client_id", "azp", "appid", "cid"] {
        match (client, claims.text(name)?) {
            (_, None) => {}
            (None, found) => client = found,
            (Some(known), Some(found)) if known == found => {}
            (Some(_), Some(_)) => return Err(Rejection::Client),
        }
    }
    Ok(client)
}

/// RFC 9068 §2.2.3 `scope`; Entra writes `scp` the same way, Okta writes `scp` as an array.
fn scopes(claims: &Claims) -> Result<Vec<String>, Rejection> {
    let (name, value) = match (claims.get("scope"), claims.get("scp")) {
        (Some(value), _) => ("scope", value),
        (None, Some(value)) => ("scp", value),
        (None, None) => return Ok(Vec::new()),
    };
    match value {
        Json::Text(list) => Ok(list
            .split(' ')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()),
        Json::Array(list) => list
            .iter()
            .map(|scope| {
                scope
                    .as_str()
                    .map(str::to_owned)
                    .ok_or(Rejection::ClaimType(name))
            })
            .collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => {
            Err(Rejection::ClaimType(name))
        }
    }
}

#[cfg(test)]
mod tests;
