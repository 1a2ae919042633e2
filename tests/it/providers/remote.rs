//! Providers that are asked about every token.

use serde_json::{Value, json};

macro_rules! answer {
    ($path:literal) => {
        answer!($path, |_| {})
    };
    ($path:literal, $change:expr) => {
        published(
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/it/providers/fixtures/",
                $path,
                ".json"
            )),
            $change,
        )
    };
}

mod http_check;
mod introspection;

use super::frame::{Case, Expected, Subject, published};
use crate::support::{idp::Answer, tokens::Token};

pub use http_check::slack_user_info;

/// The answers of a provider to one token.
type Answers = Vec<(&'static str, Answer)>;
/// Changes the document of a path.
type Change<'c> = &'c dyn Fn(&str, &mut Value);

/// What a provider's answers have in common with all others, and where they differ.
struct Spec {
    preset: &'static str,
    provider: &'static str,
    hosts: &'static [&'static str],
    /// A token for a case; different for each.
    token: fn(case: &str) -> String,
    /// The path that is asked first.
    path: &'static str,
    /// What a good token is answered with, changed.
    good: fn(Change<'_>) -> Answers,
    user: &'static str,
    invalid: Answer,
    throttled: Answer,
    /// The answer to wrong credentials of ours, where we have any.
    refused: Option<Answer>,
    more: Vec<Case>,
    exceptions: Vec<(&'static str, &'static str)>,
}

const UNCHANGED: Change<'static> = &|_, _| {};

fn denied(reason: &'static str) -> Expected {
    Expected::Denied(401, reason)
}

fn nobody(reason: &'static str) -> Expected {
    Expected::Denied(403, reason)
}

fn undecided(reason: &'static str) -> Expected {
    Expected::Denied(503, reason)
}

impl Spec {
    fn subject(self) -> Subject {
        let mut cases = vec![self.case("valid_user", UNCHANGED, Expected::User(self.user))];
        cases.push(
            Case::new(
                "remote_invalid_form",
                (self.token)("invalid"),
                denied("token_inactive"),
            )
            .answered(self.path, self.invalid.clone()),
        );
        // The breaker opens after ten failures in ten seconds.
        let mut failures = self.failures();
        assert!(failures.len() < 10);
        failures[0].afresh = true;
        let mut throttled = Case::new(
            "remote_429",
            (self.token)("429"),
            undecided("provider_throttled"),
        )
        .answered(self.path, self.throttled.clone());
        throttled.afresh = true;
        cases.extend(self.more);
        cases.extend(failures);
        cases.push(throttled);
        Subject {
            preset: self.preset,
            provider: self.provider,
            hosts: self.hosts,
            cases,
            exceptions: self.exceptions,
        }
    }

    /// A good token's answers, changed.
    fn case(&self, name: &'static str, change: Change<'_>, expected: Expected) -> Case {
        let case = Case::new(name, (self.token)(name), expected);
        let answers = (self.good)(change);
        answers
            .into_iter()
            .fold(case, |case, (path, answer)| case.answered(path, answer))
    }

    fn failures(&self) -> Vec<Case> {
        let json = ["content-type: application/json"];
        let good = format!(
            "{{\"active\":true,\"ok\":true,\"pad\":\"{}\"}}",
            "x".repeat(70_000)
        );
        let page = include_str!("fixtures/generic/html_200.json");
        let mut failures: Vec<(&'static str, Answer, &'static str)> = vec![
            ("remote_5xx", Answer::status("500 X", &json, "{\"active\":true}"), "provider_error"),
            ("remote_timeout", Answer::Hang, "provider_timeout"),
            ("remote_html_200", published(page, |_| {}), "provider_error"),
            (
                "remote_truncated_body",
                Answer::Raw(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"active\":true"
                        .to_vec(),
                ),
                "provider_error",
            ),
            ("remote_oversized_body", Answer::Json(good), "provider_error"),
            (
                "remote_redirect",
                Answer::status("307 X", &["location: /jwks"], ""),
                "provider_error",
            ),
            (
                "duplicate_json_member",
                Answer::Json("{\"active\":true,\"active\":true,\"ok\":true,\"sub\":\"1\"}".to_owned()),
                "provider_error",
            ),
        ];
        if let Some(refused) = &self.refused {
            let reason = "provider_credentials_refused";
            failures.push(("remote_own_credentials_wrong", refused.clone(), reason));
        }
        if self.preset.contains("introspection")
            || ["okta_org", "pingfederate", "zitadel"].contains(&self.preset)
        {
            let text = include_str!("fixtures/generic/introspect_active_string.json");
            failures.push((
                "remote_active_is_string",
                published(text, |_| {}),
                "provider_error",
            ));
        }
        let case = |(name, answer, reason): (&'static str, Answer, &'static str)| {
            Case::new(name, (self.token)(name), undecided(reason)).answered(self.path, answer)
        };
        failures.into_iter().map(case).collect()
    }
}

pub fn subjects() -> Vec<Subject> {
    let specs = introspection::specs().into_iter();
    specs
        .chain(http_check::specs())
        .map(Spec::subject)
        .collect()
}

/// A claim of the first document, set.
fn set(pointer: &'static str, value: Value) -> impl Fn(&str, &mut Value) {
    move |_, body| {
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        let member = member.replace("~1", "/");
        let parent = body.pointer_mut(parent);
        // Another document of the same provider does not have it.
        if let Some(parent) = parent.and_then(Value::as_object_mut)
            && parent.contains_key(&member)
        {
            parent.insert(member, value.clone());
        }
    }
}

/// A claim of a document, removed or added.
fn edit(change: impl Fn(&mut serde_json::Map<String, Value>)) -> impl Fn(&str, &mut Value) {
    move |_, body| change(body.as_object_mut().expect("an object"))
}

/// The two cases in which the name is a text of the wrong kind.
fn misnamed(spec: &mut Spec, pointer: &'static str, reason: &'static str) {
    for (name, value) in [
        ("username_claim_with_crlf", json!("jdoe\r\nx: y")),
        ("username_not_mapped", json!("jdoe@evil.example")),
    ] {
        let case = spec.case(name, &set(pointer, value), nobody(reason));
        spec.more.push(case);
    }
}

fn jwt_of(issuer: &str, case: &str) -> String {
    Token::of(issuer).claim("jti", case).signed()
}
