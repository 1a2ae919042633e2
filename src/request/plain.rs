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
    /// A request to `x.example`.
    pub(crate) fn plain(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let pseudo = [(":method", method)];
        let headers = pseudo
            .iter()
            .chain(headers)
            .map(|(key, value)| HeaderValue {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
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
