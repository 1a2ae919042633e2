//! Requests as tests write them.

use super::Request;
use crate::pb::envoy::{
    config::core::v3::{HeaderMap, HeaderValue},
    service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Request as HttpAttributes},
    },
};

impl Request {
    /// A request to `x.example`, with the pseudo-header that Envoy adds.
    pub(crate) fn plain(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(key, value)| (*key, value.as_bytes()));
        let pseudo = (":method", method.as_bytes());
        let lines: Vec<_> = std::iter::once(pseudo).chain(headers).collect();
        Self::raw(method, target, &lines)
    }

    /// A request to `x.example`, with these header lines.
    pub(crate) fn raw(method: &str, target: &str, lines: &[(&str, &[u8])]) -> Self {
        let headers = lines.iter().map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.to_vec().into(),
            ..HeaderValue::default()
        });
        let http = HttpRequest {
            method: method.to_owned(),
            path: target.to_owned(),
            host: "x.example".to_owned(),
            header_map: Some(HeaderMap {
                headers: headers.collect(),
            }),
            ..HttpRequest::default()
        };
        let attributes = AttributeContext {
            request: Some(HttpAttributes { http: Some(http) }),
            ..AttributeContext::default()
        };
        let check = CheckRequest {
            attributes: Some(attributes),
        };
        Self::parse(check, 0).expect("a request")
    }
}
