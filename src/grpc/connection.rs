//! What every connection does, of whatever kind: it writes an answer at once.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A served connection, as its HTTP/2 server sees it.
///
/// It does not offer vectored writes. Where they are offered, h2 hands the message of an answer to the kernel from where
/// it lies, and the trailers, which end the answer, with a second system call. Where they are not, it gathers the frames
/// of small messages, and so whole answers, in one buffer first. Copying some hundred bytes is cheaper than a system
/// call, and an answer that is written at once is never half written when the process is killed.
pub(super) struct Connection(pub(super) Stream);

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

/// `is_write_vectored` stays `false`, as it is for every writer that does not say otherwise.
impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
