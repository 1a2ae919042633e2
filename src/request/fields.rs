//! The fields of a protobuf message, as they lie in it.
//!
//! Most of a check is header lines. As objects each of them would be three references to the same bytes, counted up and
//! down for every check; here it is two places in them.

use std::ops::Range;

use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field},
};

/// The message is no `CheckRequest`. Says no more: what is wrong may quote what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is no CheckRequest")]
pub struct NoCheck;

impl From<DecodeError> for NoCheck {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// Where something lies.
pub(super) type Place = Range<usize>;

/// What is left to read of a message.
pub(super) struct Fields<'m> {
    bytes: &'m [u8],
    left: Place,
}

impl<'m> Fields<'m> {
    /// The message is all of this.
    pub(super) fn of(bytes: &'m [u8]) -> Self {
        Self::within(bytes, 0..bytes.len())
    }

    /// The message lies in this place.
    pub(super) fn within(bytes: &'m [u8], place: Place) -> Self {
        Self { bytes, left: place }
    }

    /// The next of these fields, all of which are texts, bytes or messages. Others are skipped.
    pub(super) fn next(&mut self, wanted: &[u32]) -> Result<Option<(u32, Place)>, NoCheck> {
        loop {
            let mut rest = self.bytes.get(self.left.clone()).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let (tag, wire_type) = decode_key(&mut rest)?;
            if !wanted.contains(&tag) {
                skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
                self.left.start = self.left.end - rest.len();
                continue;
            }
            check_wire_type(WireType::LengthDelimited, wire_type)?;
            let length = usize::try_from(decode_varint(&mut rest)?).map_err(|_huge| NoCheck)?;
            let (begin, most) = (self.left.end - rest.len(), rest.len());
            self.left.start = begin + Some(length).filter(|it| *it <= most).ok_or(NoCheck)?;
            return Ok(Some((tag, begin..self.left.start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::{encode_key, encode_varint};

    use super::*;

    fn bytes(tag: u32, value: &[u8]) -> Vec<u8> {
        let mut field = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut field);
        encode_varint(value.len().try_into().expect("short"), &mut field);
        field.extend_from_slice(value);
        field
    }

    fn number(tag: u32, value: u64) -> Vec<u8> {
        let mut field = Vec::new();
        encode_key(tag, WireType::Varint, &mut field);
        encode_varint(value, &mut field);
        field
    }

    fn read(message: &[u8], wanted: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, NoCheck> {
        let (mut fields, mut read) = (Fields::of(message), Vec::new());
        while let Some((tag, place)) = fields.next(wanted)? {
            read.push((tag, message[place].to_vec()));
        }
        Ok(read)
    }

    #[test]
    fn wanted_fields_are_found_in_their_order_and_others_are_skipped() {
        let long = vec![7; 300];
        let message = [
            number(1, 300),
            bytes(2, b"a"),
            bytes(3, b"unwanted"),
            bytes(900, &long),
            bytes(2, b""),
        ]
        .concat();
        let found = [(2, b"a".to_vec()), (900, long), (2, Vec::new())];
        assert_eq!(read(&message, &[2, 900]), Ok(found.to_vec()));
        assert_eq!(read(&message, &[]), Ok(Vec::new()));
        assert_eq!(read(b"", &[2]), Ok(Vec::new()));
    }

    #[test]
    fn a_message_ends_where_its_place_does() {
        let inner = bytes(1, b"inner");
        let outer = [bytes(2, &inner), bytes(1, b"outer")].concat();
        let (_, place) = Fields::of(&outer).next(&[2]).expect("fields").expect("one");
        let mut fields = Fields::within(&outer, place);
        let (_, text) = fields.next(&[1]).expect("fields").expect("one");
        assert_eq!(&outer[text], b"inner");
        assert_eq!(fields.next(&[1]), Ok(None));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let whole = bytes(2, b"abc");
        for cut in 1..whole.len() {
            assert!(read(&whole[..cut], &[2]).is_err(), "{cut}");
            assert!(read(&whole[..cut], &[3]).is_err(), "{cut}");
        }
        // Of another kind than the field is.
        assert!(read(&number(2, 1), &[2]).is_err());
        assert!(read(&number(2, 1), &[3]).is_ok());
        // Longer than there are numbers for.
        let huge = [&[0x12][..], &[0xff; 9], &[0x01]].concat();
        assert!(read(&huge, &[2]).is_err());
    }
}
