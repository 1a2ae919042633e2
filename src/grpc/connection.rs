//! What every connection does, of whatever kind: it knows how long its calls have waited, and writes an answer at once.

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

use super::stream::Stream;
use crate::clock::Clock;

/// A served connection, as its HTTP/2 server sees it.
///
/// It does not offer vectored writes. Where they are offered, h2 hands the message of an answer to the kernel from where
/// it lies, and the trailers, which end the answer, with a second system call. Where they are not, it gathers the frames
/// of small messages, and so whole answers, in one buffer first. Copying some hundred bytes is cheaper than a system
/// call, and an answer that is written at once is never half written when the process is killed.
pub(super) struct Connection {
    stream: Stream,
    read: LastRead,
    clock: Arc<dyn Clock>,
}

/// How many calls have had their turn on a thread. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicU64>);

/// When a connection was last read from. Cheap to clone.
///
/// A thread reads what has come on a connection, finds the calls in it, and then answers them, one after the other. When a
/// call is found, this is when its headers were read.
#[derive(Clone, Debug)]
pub(super) struct LastRead(Arc<Reading>);

#[derive(Debug)]
struct Reading {
    opened: Instant,
    turns: Turns,
    /// Since the connection was opened.
    nanoseconds: AtomicU64,
    /// How many calls had had their turn.
    turn: AtomicU64,
}

/// A call that has been found.
#[derive(Debug)]
pub(super) struct Arrived {
    since: Instant,
    turns: Turns,
    /// How many calls had had their turn.
    turn: u64,
}

/// What a call has waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    /// When its headers were read.
    pub(super) since: Instant,
    /// How many calls had their turn before.
    pub(super) behind: u64,
}

impl LastRead {
    pub(super) fn new(opened: Instant, turns: Turns) -> Self {
        Self(Arc::new(Reading {
            opened,
            turns,
            nanoseconds: AtomicU64::new(0),
            turn: AtomicU64::new(0),
        }))
    }

    fn set(&self, now: Instant) {
        let Reading {
            opened,
            turns,
            nanoseconds,
            turn,
        } = &*self.0;
        let since = now.saturating_duration_since(*opened).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        nanoseconds.store(since, Ordering::Relaxed);
        turn.store(turns.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A call has been found in what was read.
    pub(super) fn arrived(&self) -> Arrived {
        let read = Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed));
        Arrived {
            since: self.0.opened + read,
            turns: self.0.turns.clone(),
            turn: self.0.turn.load(Ordering::Relaxed),
        }
    }
}

impl Arrived {
    /// The turn of the call has come.
    pub(super) fn turn(self) -> Queued {
        let turn = self.turns.0.fetch_add(1, Ordering::Relaxed);
        Queued {
            since: self.since,
            behind: turn.saturating_sub(self.turn),
        }
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, read: LastRead, clock: Arc<dyn Clock>) -> Self {
        Self {
            stream,
            read,
            clock,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.read.set(self.clock.instant());
        }
        read
    }
}

/// `is_write_vectored` stays `false`, as it is for every writer that does not say otherwise.
impl AsyncWrite for Connection {
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
