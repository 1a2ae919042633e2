//! The way out, and in whose name it is taken: a request that a traced check causes is a span of its
//! own, and tells the server to which trace it belongs.
//!
//! The server is another organisation more often than not. It gets the `traceparent`, random numbers,
//! and neither `tracestate` nor `baggage`, which may say anything.

use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status},
};
use reqwest::{Method, RequestBuilder};
use url::Url;

use super::{Answered, Call, Fetched, Get, Outbound, OutboundError};
use crate::telemetry::trace::{Ended, Span, TRACEPARENT};

/// The way out, for something that may be traced.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    outbound: &'a Outbound,
    span: Option<&'a Span>,
}

impl Outbound {
    /// Requests that this span causes, if there is one.
    pub fn in_the_name_of<'a>(&'a self, span: Option<&'a Span>) -> Way<'a> {
        Way {
            outbound: self,
            span,
        }
    }
}

impl Way<'_> {
    /// Fetches a document, whole or not at all.
    pub async fn get(self, get: Get<'_>) -> Result<Fetched, OutboundError> {
        let exchange = Exchange::begin(self.span, Method::GET, get.url);
        let fetched = self.outbound.get(get, &exchange).await;
        let status = fetched.as_ref().map(|fetched| match fetched {
            Fetched::Document { .. } => 200,
            Fetched::NotModified { .. } => 304,
        });
        exchange.end(status.map_err(|error| *error));
        fetched
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(self, call: Call<'_>) -> Result<Answered, OutboundError> {
        let exchange = Exchange::begin(self.span, call.body.method(), &call.url);
        let answered = self.outbound.call(call, &exchange).await;
        let status = answered.as_ref().map(|answered| answered.status);
        exchange.end(status.map_err(|error| *error));
        answered
    }
}

/// One request and its answer; without a span there is nothing to tell of them.
pub(super) struct Exchange(Option<Open>);

struct Open {
    span: Span,
    method: Method,
    /// Host and port. The path may say whom the request is about, and the query may hold a token.
    server: Option<(String, u16)>,
}

impl Exchange {
    fn begin(parent: Option<&Span>, method: Method, url: &Url) -> Self {
        Self(parent.map(|parent| {
            let host = url.host_str().filter(|_| parent.is_recorded());
            let server = host.zip(url.port_or_known_default());
            Open {
                span: parent.child(),
                method,
                server: server.map(|(host, port)| (host.to_owned(), port)),
            }
        }))
    }

    /// Tells the server to which trace the request belongs.
    pub(super) fn mark(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.0 {
            Some(open) => request.header(TRACEPARENT, open.span.traceparent()),
            None => request,
        }
    }

    fn end(self, outcome: Result<u16, OutboundError>) {
        if let Some(open) = self.0 {
            let Open {
                span,
                method,
                server,
            } = open;
            span.end(|| Ended {
                name: method.to_string().into(),
                kind: SpanKind::Client,
                status: status(outcome),
                attributes: attributes(&method, server, outcome),
            });
        }
    }
}

/// What a 4xx means depends on the question: to one provider it is "a bad token", to another "who are
/// you?". The span of the check says which.
fn status(outcome: Result<u16, OutboundError>) -> Status {
    match outcome {
        Ok(status) if status < 500 => Status::Unset,
        Ok(_) => Status::error("server error"),
        Err(error) => Status::error(error.to_string()),
    }
}

fn attributes(
    method: &Method,
    server: Option<(String, u16)>,
    outcome: Result<u16, OutboundError>,
) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method.to_string())];
    if let Some((host, port)) = server {
        attributes.push(KeyValue::new("server.address", host));
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
    let status = match outcome {
        Ok(status)
        | Err(OutboundError::Redirect(status) | OutboundError::Status { status, .. }) => {
            Some(status)
        }
        Err(_) => None,
    };
    let status = status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
    attributes.extend(status);
    let error = outcome.err().map(OutboundError::reason);
    attributes.extend(error.map(|reason| KeyValue::new("error.type", reason)));
    attributes
}
