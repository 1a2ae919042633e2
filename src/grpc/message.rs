//! A unary call of gRPC: one message comes, one goes (gRPC over HTTP/2, `Length-Prefixed-Message`).
//!
//! A check does not take the way through tonic that other calls take. Codecs, streams of messages, compression and status
//! codes are what other services need, and what it costs is half of what deciding costs (docs/adr/0016).

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt, Either};
use hyper::body::{Body, Frame};

use crate::request::{Check, NoCheck};

/// Largest `CheckRequest`. Envoy's own limit on headers is 60 KiB by default.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Whether the message is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;
/// More than most answers have.
const USUAL_ANSWER_BYTES: usize = 768;

/// Why a call is no check.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The connection or the call ended before the message did.
    #[error("the call has no end")]
    Cut,
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("the message is larger than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    /// None, half a one, or more than one.
    #[error("the call holds something else than one message")]
    NotOne,
    /// Nobody has been told that we could read that.
    #[error("the message is compressed")]
    Compressed,
    /// Not protobuf, or not text where text must be.
    #[error(transparent)]
    NoCheck(#[from] NoCheck),
}

/// What answers a call: a message, or whatever tonic has for other calls than checks.
pub(super) type Reply = Either<Message, tonic::body::Body>;

/// One message, and the status OK. Its length is not told beforehand, which gRPC does not ask for.
#[derive(Debug)]
pub(super) struct Message {
    framed: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// Reads the one message of a call. Most come in one piece, which is not copied.
pub(super) async fn read(call: impl Body<Data = Bytes>) -> Result<Check, Unreadable> {
    let mut call = pin!(call);
    let (mut first, mut pieces) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = call.frame().await {
        let frame = frame.map_err(|_cut| Unreadable::Cut)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let length = first.len().max(pieces.len()) + piece.len();
        if length > PREFIX_BYTES + MAX_MESSAGE_BYTES {
            return Err(Unreadable::TooLarge);
        }
        if first.is_empty() {
            first = piece;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&first);
            }
            pieces.extend_from_slice(&piece);
        }
        if call.is_end_stream() {
            break;
        }
    }
    let whole = if pieces.is_empty() {
        first
    } else {
        pieces.freeze()
    };
    Ok(Check::decode(unframed(whole)?)?)
}

fn unframed(mut bytes: Bytes) -> Result<Bytes, Unreadable> {
    let compressed = bytes.try_get_u8().map_err(|_short| Unreadable::NotOne)?;
    let length = bytes.try_get_u32().map_err(|_short| Unreadable::NotOne)?;
    if usize::try_from(length) != Ok(bytes.len()) {
        return Err(Unreadable::NotOne);
    }
    if compressed != 0 {
        return Err(Unreadable::Compressed);
    }
    Ok(bytes)
}

/// A message as it is sent; `write` appends it.
pub(super) fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(USUAL_ANSWER_BYTES);
    // It is not compressed. Its length is known afterwards.
    frame.resize(PREFIX_BYTES, 0);
    write(&mut frame);
    let length = u32::try_from(frame.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    for (to, byte) in frame.iter_mut().skip(1).zip(length.to_be_bytes()) {
        *to = byte;
    }
    frame.into()
}

/// The message alone.
pub(super) fn in_frame(frame: &[u8]) -> &[u8] {
    frame.get(PREFIX_BYTES..).unwrap_or_default()
}

/// The answer to a call: this message, and the status OK.
pub(super) fn answer(framed: Bytes) -> Response<Reply> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(Either::Left(Message {
        framed: Some(framed),
        trailers: Some(trailers),
    }));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

impl Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.framed.take() {
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};

    async fn said(frame: Vec<u8>) -> String {
        match read(Full::new(Bytes::from(frame))).await {
            Ok(_) => "a check".to_owned(),
            Err(unreadable) => unreadable.to_string(),
        }
    }

    fn frame(flag: u8, length: usize, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(length).expect("short");
        [&[flag], &length.to_be_bytes()[..], bytes].concat()
    }

    #[tokio::test]
    async fn a_call_holds_exactly_one_message() {
        let check = CheckRequest {
            attributes: Some(AttributeContext::default()),
        };
        let bytes = check.encode_to_vec();
        let not_one = Unreadable::NotOne.to_string();
        for (call, says) in [
            (frame(0, bytes.len(), &bytes), "a check"),
            (frame(0, 0, &[]), "a check"),
            (Vec::new(), &not_one),
            (vec![0, 0, 0, 0], &not_one),
            (frame(0, bytes.len() + 1, &bytes), &not_one),
            (frame(0, bytes.len() - 1, &bytes), &not_one),
            ([frame(0, 0, &[]), frame(0, 0, &[])].concat(), &not_one),
            (frame(1, bytes.len(), &bytes), "the message is compressed"),
            (frame(0, 2, b"\x0a\xff"), "the message is no CheckRequest"),
            (
                frame(0, MAX_MESSAGE_BYTES + 1, &vec![0; MAX_MESSAGE_BYTES + 1]),
                "the message is larger than 1048576 bytes",
            ),
        ] {
            assert_eq!(said(call.clone()).await, says, "{:?}", call.get(..16));
        }
    }

    /// What is said of a call whose message comes in such pieces.
    async fn said_of_pieces(frame: &[u8], bytes: usize) -> String {
        let pieces = frame.chunks(bytes).map(Bytes::copy_from_slice);
        let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        match read(StreamBody::new(stream::iter(frames))).await {
            Ok(_) => "a check".to_owned(),
            Err(unreadable) => unreadable.to_string(),
        }
    }

    #[tokio::test]
    async fn a_message_in_pieces_is_the_same_message() {
        let good = frame(0, 2, b"\x0a\x00");
        let cut = frame(0, 3, b"\x0a\x00");
        let large = frame(0, MAX_MESSAGE_BYTES + 1, &vec![0; MAX_MESSAGE_BYTES + 1]);
        for bytes in [1, 2, 5, 6, 7] {
            assert_eq!(said_of_pieces(&good, bytes).await, "a check", "{bytes}");
            let not_one = Unreadable::NotOne.to_string();
            assert_eq!(said_of_pieces(&cut, bytes).await, not_one, "{bytes}");
        }
        for bytes in [1024, 16 * 1024, MAX_MESSAGE_BYTES] {
            let too_large = Unreadable::TooLarge.to_string();
            assert_eq!(said_of_pieces(&large, bytes).await, too_large, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_message_of_the_largest_size_is_read() {
        // An unknown field, which may hold anything.
        let filler = MAX_MESSAGE_BYTES - 5;
        let mut bytes = vec![0x7a];
        prost::encoding::encode_varint(u64::try_from(filler).expect("short"), &mut bytes);
        bytes.resize(MAX_MESSAGE_BYTES, 0);
        bytes.truncate(1 + 3 + filler);
        assert_eq!(said(frame(0, bytes.len(), &bytes)).await, "a check");
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            drop(unframed(Bytes::from(bytes)));
        }
    }
}
