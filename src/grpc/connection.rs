//! What every connection does, of whatever kind: it tells when it was last heard, and writes an answer at once.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tonic::transport::server::Connected;

use super::listener::Stream;
use crate::clock::Clock;

/// A served connection.
///
/// It does not offer vectored writes. Where they are offered, h2 hands the message of an answer to the kernel from where
/// it lies, and the trailers, which end the answer, with a second system call. Where they are not, it gathers the frames
/// of small messages, and so whole answers, in one buffer first. Copying some hundred bytes is cheaper than a system
/// call, and an answer that is written at once is never half written when the process is killed.
pub(super) struct Connection<S> {
    stream: S,
    heard: Heard,
    clock: Arc<dyn Clock>,
}

/// When a connection was last heard. Every call on it finds this among its extensions.
///
/// One thread reads what has come on a connection and then answers the calls in it, one after the other: when a call's
/// turn comes, this is when its headers were read, however many calls were before it.
#[derive(Clone, Debug)]
pub(super) struct Heard(Arc<LastRead>);

#[derive(Debug)]
struct LastRead {
    opened: Instant,
    /// Since then.
    nanoseconds: AtomicU64,
}

impl Heard {
    pub(super) fn new(opened: Instant) -> Self {
        Self(Arc::new(LastRead {
            opened,
            nanoseconds: AtomicU64::new(0),
        }))
    }

    fn set(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.opened).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.nanoseconds.store(since, Ordering::Relaxed);
    }

    /// The moment.
    pub(super) fn at(&self) -> Instant {
        self.0.opened + Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed))
    }
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, clock: Arc<dyn Clock>) -> Self {
        let heard = Heard::new(clock.now().instant);
        Self {
            stream,
            heard,
            clock,
        }
    }
}

impl<S: Stream> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.heard.set(self.clock.now().instant);
        }
        read
    }
}

/// `is_write_vectored` stays `false`, as it is for every writer that does not say otherwise.
impl<S: Stream> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Stream> Connected for Connection<S> {
    type ConnectInfo = Heard;

    fn connect_info(&self) -> Heard {
        self.heard.clone()
    }
}
