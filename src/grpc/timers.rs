//! What a connection waits for besides its client.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::{
    runtime::Handle,
    time::{sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::turns::Turns;

/// The timers of a connection. Cheap to clone.
///
/// Another runtime looks after them. A thread that serves waits for its clients and nothing else then: while it has a
/// timer, it reads the clock around every wait, and the kernel sets an alarm up and takes it away again.
#[derive(Clone)]
pub(super) struct Timers {
    elsewhere: Handle,
    turns: Turns,
}

/// A time that passes.
#[derive(Debug)]
pub(super) struct Passing(AbortOnDropHandle<()>);

impl Timers {
    /// `elsewhere` looks after them.
    pub(super) fn new(elsewhere: Handle, turns: Turns) -> Self {
        Self { elsewhere, turns }
    }

    /// So long.
    pub(super) fn pass(&self, duration: Duration) -> Passing {
        self.until(async move { sleep(duration).await })
    }

    fn until(&self, then: impl Future<Output = ()> + Send + 'static) -> Passing {
        Passing(AbortOnDropHandle::new(self.elsewhere.spawn(then)))
    }
}

impl Timer for Timers {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.pass(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.until(async move { sleep_until(deadline.into()).await }))
    }

    fn now(&self) -> Instant {
        self.turns.last().into_std()
    }
}

impl Sleep for Passing {}

impl Future for Passing {
    type Output = ();

    /// Has passed, too, when nobody looks after it any more: the process is about to end.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}
