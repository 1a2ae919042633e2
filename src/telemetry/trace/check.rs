//! What the span of a check says. The same as its log line, but for what the client has written: no
//! host and no path.

use std::sync::Arc;

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanKind, Status},
};

use super::{Ended, Span};
use crate::{
    identity::Identity,
    pipeline::Decision,
    request::Request,
    response,
    verdict::{self, Denial, DenialStatus, Grant},
};

/// The methods that OpenTelemetry knows.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

impl Span {
    /// Ends the span of a check.
    pub fn end_check(self, decision: &Decision, request: Option<&Request>) {
        self.end(|| Ended {
            name: "check".into(),
            kind: SpanKind::Server,
            status: status(decision),
            attributes: attributes(decision, request),
        });
    }
}

/// A denial is an answer; that there is none is the failure.
fn status(decision: &Decision) -> Status {
    match &decision.verdict {
        Err(denial) if denial.status() == DenialStatus::ServiceUnavailable => {
            Status::error(denial.reason())
        }
        Ok(_) | Err(_) => Status::Unset,
    }
}

/// At most so many.
const ATTRIBUTES: usize = 15;

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        self.0.extend(value.map(|value| KeyValue::new(key, value)));
    }
}

fn attributes(decision: &Decision, request: Option<&Request>) -> Vec<KeyValue> {
    let trail = &decision.trail;
    let verdict = decision.verdict.as_ref();
    let status = |denial: &Denial| i64::from(denial.status().code());
    let denial = verdict::denial(&decision.verdict);
    let name = |identity: &Arc<Identity>| identity.username.to_string();
    let user = verdict.ok().and_then(Grant::identity);
    let application = trail.application.as_ref();

    let mut to = Attributes(Vec::with_capacity(ATTRIBUTES));
    let word = if verdict.is_ok() { "allow" } else { "deny" };
    to.add("atlassian_authz.verdict", Some(word));
    let sent = verdict.map_or_else(status, |_| 200);
    to.add("atlassian_authz.status", Some(sent));
    let reason = response::reason(&decision.verdict);
    to.add("atlassian_authz.reason", Some(reason));
    to.add("atlassian_authz.code", denial.map(Denial::code));
    let enforcement = trail.enforcement.as_str();
    to.add("atlassian_authz.enforcement", Some(enforcement));
    let would_be = denial.filter(|_| verdict.is_ok()).map(status);
    to.add("atlassian_authz.would_be", would_be);
    let application = application.map(|one| Arc::clone(&one.name));
    to.add("atlassian_authz.application", application);
    to.add("atlassian_authz.provider", trail.provider.clone());
    let credential = trail.credential.as_str();
    to.add("atlassian_authz.credential", Some(credential));
    to.add("atlassian_authz.cached", Some(trail.cached));
    let token = trail.token_id.map(|id| id.to_string());
    to.add("atlassian_authz.token_id", token);
    to.add("enduser.id", user.map(name));
    let refused = trail.refused.as_ref().map(name);
    to.add("atlassian_authz.refused_user", refused);
    let id = request.and_then(|request| request.id.clone());
    to.add("atlassian_authz.request_id", id);
    let method = request.map(|request| method(&request.method));
    to.add("http.request.method", method);
    to.0
}

/// Any other is text of a client.
fn method(written: &str) -> &'static str {
    METHODS
        .into_iter()
        .find(|known| *known == written)
        .unwrap_or("_OTHER")
}
