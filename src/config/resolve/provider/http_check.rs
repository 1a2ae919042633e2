//! The form `http_check`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Resolver, Section, WrittenRules, generic::Form};
use crate::{
    config::{
        JudgeConfig,
        document::child,
        schema::{self, BoundBy, ClaimDocument, ClaimReading, ClientPlace, Method},
    },
    outbound::UrlPolicy,
    verify::{
        claims::{Expiry, TypPolicy},
        http_check::{
            ClaimSource, Client, Condition, Document, Expect, HttpCheck, Reading, TokenCall,
            TokenPlace,
        },
        remote::RemoteCheck,
    },
};

const MOST_CALLS: usize = 2;
/// Set by us, or no business of a configuration.
const RESERVED_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
];
/// The claims that name the client.
const CLIENT_CLAIMS: [&str; 4] = ["client_id", "azp", "appid", "cid"];

impl Resolver<'_> {
    pub(super) fn http_check(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        written: &schema::HttpCheck,
        urls: UrlPolicy,
    ) -> Option<JudgeConfig> {
        let place = &form.place;
        let name = section.name;
        if written.calls.is_empty() || written.calls.len() > MOST_CALLS {
            self.problem(
                &format!("{place}/calls"),
                format!("{name}: 'calls' must be one or two requests"),
            );
        }
        let calls: Vec<_> = written
            .calls
            .iter()
            .enumerate()
            .map(|(at, call)| self.call(section, &format!("{place}/calls/{at}"), call, urls))
            .collect();
        let claims = self.claims(section, place, written);
        self.needed_claims(section, form, written);
        let timeout = self.call_timeout(place, &written.timeout);
        let believed_for = self.belief(place, &written.cache_ttl);
        let taken = self.taken(section, place, &written.tokens);
        let rules = WrittenRules {
            typ: TypPolicy::AccessToken,
            leeway: self.leeway(place, &written.leeway),
            expiry: Expiry::Optional,
            required: &written.required_claims,
            machine_if: &written.machine_if,
        };
        let rules = self.claim_rules(section, form, &rules);
        let equal = written.equal_claims.clone();
        Some(JudgeConfig::Remote {
            check: RemoteCheck::Http(HttpCheck {
                calls: calls.into_iter().collect::<Option<_>>()?,
                claims,
                equal: equal.into_iter().collect(),
                timeout,
            }),
            rules,
            believed_for,
            taken,
        })
    }

    fn call(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::HttpCall,
        urls: UrlPolicy,
    ) -> Option<TokenCall> {
        let url = self.endpoint(section, &format!("{place}/url"), &written.url, urls);
        let token = self.token_place(section, place, written);
        let headers = self.headers(section, place, &written.headers);
        let client = match &written.client {
            Some(client) => Some(self.http_client(section, place, client, token.as_ref())?),
            None => None,
        };
        let success = self.expect(section, &format!("{place}/success"), &written.success);
        let invalid = written.invalid.iter().enumerate();
        let invalid = invalid
            .map(|(at, expect)| self.expect(section, &format!("{place}/invalid/{at}"), expect))
            .collect();
        Some(TokenCall {
            post: written.method == Method::Post,
            url: url?,
            token: token?,
            headers,
            client,
            success,
            invalid,
        })
    }

    fn token_place(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::HttpCall,
    ) -> Option<TokenPlace> {
        let is_post = written.method == Method::Post;
        let name = written.token_name.clone();
        match (written.token, name, is_post) {
            (schema::TokenPlace::Bearer, None, _) => Some(TokenPlace::Bearer),
            (schema::TokenPlace::Query, Some(name), _) => Some(TokenPlace::Query(name)),
            (schema::TokenPlace::Form, Some(name), true) => Some(TokenPlace::Form(name)),
            (schema::TokenPlace::Json, Some(name), true) => Some(TokenPlace::Json(name)),
            (schema::TokenPlace::Bearer, Some(_), _) => self.wrong(
                section,
                place,
                "token_name",
                "is not used with token: bearer",
            ),
            (_, None, _) => {
                let why = "is missing: which parameter or member carries the token?";
                self.wrong(section, place, "token_name", why)
            }
            (_, _, false) => {
                let why = "must be POST: a form or JSON body carries the token";
                self.wrong(section, place, "method", why)
            }
        }
    }

    fn wrong<T>(
        &mut self,
        section: &Section<'_>,
        place: &str,
        member: &str,
        why: &str,
    ) -> Option<T> {
        self.problem(
            &format!("{place}/{member}"),
            format!("{}: '{member}' {why}", section.name),
        );
        None
    }

    fn http_client(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::HttpClient,
        token: Option<&TokenPlace>,
    ) -> Option<Client> {
        let secret = self.secret(
            section.name,
            &format!("{place}/client/secret"),
            &written.secret,
        )?;
        let id = written.id.clone();
        match (written.sent, token) {
            (ClientPlace::Basic, Some(TokenPlace::Bearer)) => {
                let why = "and a bearer token cannot both be in Authorization";
                self.wrong(section, place, "client", why)
            }
            (ClientPlace::Basic, _) => Some(Client::Basic { id, secret }),
            (ClientPlace::AppAccessToken, _) => Some(Client::AppAccessToken { id, secret }),
        }
    }

    fn headers(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &BTreeMap<String, String>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in written {
            let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
            match parsed {
                (Ok(name), Ok(value)) if !RESERVED_HEADERS.contains(&name.as_str()) => {
                    headers.insert(name, value);
                }
                (Ok(_), Ok(_)) => self.problem(
                    &child(&format!("{place}/headers"), name),
                    format!("{}: the header '{name}' cannot be set here", section.name),
                ),
                _ => self.problem(
                    &child(&format!("{place}/headers"), name),
                    format!(
                        "{}: '{name}' is not a header, or its value is none",
                        section.name
                    ),
                ),
            }
        }
        headers
    }

    fn expect(&mut self, section: &Section<'_>, place: &str, written: &schema::Expect) -> Expect {
        let mut conditions = Vec::new();
        for (member, pointer, wanted) in [
            ("is_true", &written.is_true, true),
            ("is_false", &written.is_false, false),
        ] {
            if let Some(pointer) = pointer {
                self.pointer(section, &format!("{place}/{member}"), pointer);
                conditions.push(Condition::Is(pointer.clone(), wanted));
            }
        }
        for (pointer, wanted) in &written.equals {
            self.pointer(section, &format!("{place}/equals"), pointer);
            conditions.push(Condition::Equals(pointer.clone(), wanted.clone()));
        }
        if !(200..=599).contains(&written.status) || (300..400).contains(&written.status) {
            let why = "must be a status from 200 to 599, and no redirect";
            let _: Option<()> = self.wrong(section, place, "status", why);
        }
        Expect {
            status: written.status,
            conditions,
        }
    }

    fn pointer(&mut self, section: &Section<'_>, place: &str, pointer: &str) {
        if !pointer.starts_with('/') {
            self.problem(
                place,
                format!(
                    "{}: '{pointer}' must be a JSON pointer such as /user/id",
                    section.name
                ),
            );
        }
    }

    fn claims(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::HttpCheck,
    ) -> Vec<(String, ClaimSource)> {
        let mut claims = Vec::new();
        for (name, source) in &written.claims {
            let at = child(&format!("{place}/claims"), name);
            self.pointer(section, &format!("{at}/at"), &source.at);
            let document = match source.document {
                ClaimDocument::First => Document::Answer(0),
                ClaimDocument::Second => Document::Answer(1),
                ClaimDocument::Token => Document::Token,
            };
            if document == Document::Answer(1) && written.calls.len() < MOST_CALLS {
                let _: Option<()> = self.wrong(section, &at, "in", "is second: there is one call");
            }
            let source = ClaimSource {
                document,
                pointer: source.at.clone(),
                reading: reading(source.read),
            };
            claims.push((name.clone(), source));
        }
        claims
    }

    /// A claim that is asked for and never read would refuse every token.
    fn needed_claims(&mut self, section: &Section<'_>, form: &Form, written: &schema::HttpCheck) {
        let has = |claim: &str| written.claims.contains_key(claim);
        let mut missing = Vec::new();
        if written.bound_by == BoundBy::Audience && !form.audiences.is_empty() && !has("aud") {
            missing.push("aud".to_owned());
        }
        if form.clients.is_some() && !CLIENT_CLAIMS.into_iter().any(has) {
            missing.push("client_id".to_owned());
        }
        let user = form.username.as_ref();
        let user = user.map(|username| match username.claim.strip_prefix('/') {
            Some(pointer) => pointer.split('/').next().unwrap_or(pointer),
            None => &username.claim,
        });
        let asked = user
            .into_iter()
            .chain(written.required_claims.keys().map(String::as_str))
            .chain(
                written
                    .equal_claims
                    .iter()
                    .flat_map(|(one, other)| [one.as_str(), other.as_str()]),
            );
        missing.extend(asked.filter(|claim| !has(claim)).map(str::to_owned));
        missing.sort_unstable();
        missing.dedup();
        for claim in missing {
            self.problem(
                &format!("{}/claims", form.place),
                format!(
                    "{}: 'claims' does not say where '{claim}' is read from",
                    section.name
                ),
            );
        }
    }
}

fn reading(written: ClaimReading) -> Reading {
    match written {
        ClaimReading::Value => Reading::Value,
        ClaimReading::Integer => Reading::Integer,
        ClaimReading::NumericDate => Reading::NumericDate,
        ClaimReading::NumericDateOrNever => Reading::NumericDateOrNever,
        ClaimReading::Rfc3339 => Reading::Rfc3339,
        ClaimReading::Lifetime => Reading::Lifetime,
        ClaimReading::Boolean => Reading::Boolean,
    }
}
