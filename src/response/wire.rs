//! Protobuf, written as it is sent: an answer is a few constants with a name between them, and needs no tree of objects.
//!
//! The numbers are those of `proto/`; a test reads every answer back and holds it against prost's own encoding.

use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};

/// `envoy.service.auth.v3.CheckResponse`
pub(super) mod check_response {
    pub(in crate::response) const STATUS: u32 = 1;
    pub(in crate::response) const DENIED_RESPONSE: u32 = 2;
    pub(in crate::response) const OK_RESPONSE: u32 = 3;
    pub(in crate::response) const DYNAMIC_METADATA: u32 = 4;
}

/// `google.rpc.Status`, and `envoy.type.v3.HttpStatus`
pub(super) mod status {
    pub(in crate::response) const CODE: u32 = 1;
}

/// `envoy.service.auth.v3.OkHttpResponse`
pub(super) mod ok_response {
    pub(in crate::response) const HEADERS: u32 = 2;
    pub(in crate::response) const HEADERS_TO_REMOVE: u32 = 5;
}

/// `envoy.service.auth.v3.DeniedHttpResponse`
pub(super) mod denied_response {
    pub(in crate::response) const STATUS: u32 = 1;
    pub(in crate::response) const HEADERS: u32 = 2;
    pub(in crate::response) const BODY: u32 = 3;
}

/// `envoy.config.core.v3.HeaderValueOption`, and the `HeaderValue` in it
pub(super) mod header {
    pub(in crate::response) const HEADER: u32 = 1;
    pub(in crate::response) const APPEND_ACTION: u32 = 3;
    pub(in crate::response) const KEY: u32 = 1;
    pub(in crate::response) const VALUE: u32 = 2;
}

/// `google.protobuf.Struct`: a map, whose entries have a key and a value
pub(super) mod google_struct {
    pub(in crate::response) const FIELDS: u32 = 1;
    pub(in crate::response) const KEY: u32 = 1;
    pub(in crate::response) const VALUE: u32 = 2;
    pub(in crate::response) const STRING_VALUE: u32 = 3;
}

/// A message that grows at its end, behind whatever was there before it.
#[derive(Debug)]
pub(super) struct Message<'m>(pub(super) &'m mut Vec<u8>);

impl Message<'_> {
    /// A field with text.
    pub(super) fn text(&mut self, tag: u32, text: &str) {
        encode_key(tag, WireType::LengthDelimited, self.0);
        encode_varint(u64::try_from(text.len()).unwrap_or(u64::MAX), self.0);
        self.0.put_slice(text.as_bytes());
    }

    /// A field with a number. Zero is left out, as protobuf has it.
    pub(super) fn number(&mut self, tag: u32, number: u32) {
        if number != 0 {
            encode_key(tag, WireType::Varint, self.0);
            encode_varint(number.into(), self.0);
        }
    }

    /// A field with a message, which is there even when it is empty.
    pub(super) fn message(&mut self, tag: u32, write: impl FnOnce(&mut Message<'_>)) {
        encode_key(tag, WireType::LengthDelimited, self.0);
        let begin = self.0.len();
        // Room for its length, which is known afterwards and seldom needs more.
        self.0.put_u8(0);
        write(self);
        let length = self.0.len() - begin - 1;
        if let (Ok(short @ ..0x80), Some(room)) = (u8::try_from(length), self.0.get_mut(begin)) {
            *room = short;
            return;
        }
        let mut varint = Vec::new();
        encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut varint);
        self.0.splice(begin..=begin, varint);
    }

    /// Fields that were written before.
    pub(super) fn fields(&mut self, fields: &[u8]) {
        self.0.put_slice(fields);
    }
}
