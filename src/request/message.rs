//! The part of a `CheckRequest` that is read, and how: without copying it.
//!
//! The numbers are those of `proto/`. On the wire, text is bytes and a map is a list of pairs, so texts that are only
//! compared stay where they came, and two entries for one key are not merged by a library before anybody has seen them.
//! What is not named here is skipped.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Check {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attributes {
    #[prost(message, optional, tag = "1")]
    pub(super) source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<HttpAttributes>,
    #[prost(message, repeated, tag = "10")]
    pub(super) context_extensions: Vec<Pair>,
}

/// `AttributeContext.Peer`, its `Address` and the `SocketAddress` in that.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Address {
    #[prost(message, optional, tag = "1")]
    pub(super) socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SocketAddress {
    #[prost(string, tag = "2")]
    pub(super) address: String,
}

/// `AttributeContext.Request`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpAttributes {
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<Http>,
}

/// `AttributeContext.HttpRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Http {
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) headers: Vec<Pair>,
    #[prost(string, tag = "4")]
    pub(super) path: String,
    #[prost(string, tag = "5")]
    pub(super) host: String,
    #[prost(message, optional, tag = "13")]
    pub(super) header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) raw_value: Bytes,
}

/// An entry of a map from text to text.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pair {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}
