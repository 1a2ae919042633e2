//! Runs the calls of a connection in the task of the connection.
//!
//! Almost every check is answered at its first turn: its message has come with its headers, and what it asks for is
//! remembered. A task of the runtime for each would cost more than that. Those that have to wait are kept here, too.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hyper::rt::Executor;

/// Turns in a row, before other connections of the thread have theirs.
const TURNS: usize = 64;
/// Answers that are written together. With more in a write the client would have nothing to do while we decide, and we
/// nothing while it reads; with fewer there are more system calls.
const WRITTEN_TOGETHER: usize = 16;

/// From its headers to the end of its answer.
type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a connection leaves the calls that it has read. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<VecDeque<Call>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.with(|calls| calls.push_back(Box::pin(call)));
    }
}

impl Calls {
    fn with<T>(&self, access: impl FnOnce(&mut VecDeque<Call>) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection and its calls. Ends when the connection does; what is not answered then has nobody to be answered to.
pub(super) struct Running<C> {
    connection: Pin<Box<C>>,
    read: Calls,
    /// Theirs is the next turn.
    next: VecDeque<Call>,
    waiting: FuturesUnordered<Call>,
}

impl<C: Future> Running<C> {
    /// `read` is where this connection leaves its calls.
    pub(super) fn new(connection: C, read: Calls) -> Self {
        Self {
            connection: Box::pin(connection),
            read,
            next: VecDeque::new(),
            waiting: FuturesUnordered::new(),
        }
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }

    /// Answers that many calls, or all that there are; the connection writes the answers when it is polled next.
    fn take_turns(&mut self, most: usize, context: &mut Context<'_>) -> usize {
        let turns = self.next.len().min(most);
        for mut call in self.next.drain(..turns) {
            if call.as_mut().poll(context).is_pending() {
                self.waiting.push(call);
            }
        }
        turns
    }
}

impl<C: Future> Future for Running<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let mut left = TURNS;
        loop {
            if let Poll::Ready(ended) = self.connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            if self.next.is_empty() {
                let Self { read, next, .. } = &mut *self;
                read.with(|read| mem::swap(read, next));
            }
            if self.next.is_empty() {
                break;
            }
            if left == 0 {
                context.waker().wake_by_ref();
                break;
            }
            left -= self.take_turns(left.min(WRITTEN_TOGETHER), context);
        }
        // Their answers wake the connection.
        while let Poll::Ready(Some(())) = self.waiting.poll_next_unpin(context) {}
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use tokio::sync::oneshot;

    use super::*;

    /// How often a task has been woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once: whether the connection has ended, and how often it has asked for another poll by now.
    fn poll<C: Future>(running: &mut Running<C>, woken: &Arc<Woken>) -> (bool, usize) {
        let waker = Waker::from(Arc::clone(woken));
        let polled = Pin::new(running).poll(&mut Context::from_waker(&waker));
        (polled.is_ready(), woken.0.load(Ordering::Relaxed))
    }

    fn counting(answered: &Arc<AtomicUsize>) -> impl Future<Output = ()> + Send + 'static {
        let answered = Arc::clone(answered);
        async move {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_has_so_many_turns_and_then_others_have_theirs() {
        let (read, answered) = (Calls::default(), Arc::<AtomicUsize>::default());
        for _ in 0..=TURNS {
            read.execute(counting(&answered));
        }
        let mut running = Running::new(pending::<()>(), read);
        let woken = Arc::default();

        assert_eq!(poll(&mut running, &woken), (false, 1));
        assert_eq!(answered.load(Ordering::Relaxed), TURNS);

        assert_eq!(poll(&mut running, &woken), (false, 1));
        assert_eq!(answered.load(Ordering::Relaxed), TURNS + 1);
    }

    #[test]
    fn a_call_that_waits_keeps_no_other_waiting() {
        let (read, answered) = (Calls::default(), Arc::<AtomicUsize>::default());
        let (tell, told) = oneshot::channel::<()>();
        read.execute(async { drop(told.await) });
        read.execute(counting(&answered));
        let mut running = Running::new(pending::<()>(), read);
        let woken = Arc::default();

        // Who waits for several things is polled once more than there is need for, to be fair to others.
        while poll(&mut running, &woken).1 > 0 {
            woken.0.store(0, Ordering::Relaxed);
        }
        assert_eq!(answered.load(Ordering::Relaxed), 1);
        assert_eq!(running.waiting.len(), 1);

        drop(tell);
        assert!(woken.0.load(Ordering::Relaxed) > 0);
        let _ = poll(&mut running, &woken);
        assert!(running.waiting.is_empty());
    }

    #[test]
    fn answers_are_written_before_a_connection_rests() {
        let (read, answered) = (Calls::default(), Arc::<AtomicUsize>::default());
        read.execute(counting(&answered));
        let written = Arc::new(AtomicUsize::new(0));
        let connection = {
            let (answered, written) = (Arc::clone(&answered), Arc::clone(&written));
            poll_fn(move |_| {
                written.store(answered.load(Ordering::Relaxed), Ordering::Relaxed);
                Poll::<()>::Pending
            })
        };
        let mut running = Running::new(connection, read);

        assert_eq!(poll(&mut running, &Arc::default()), (false, 0));
        assert_eq!(written.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn answers_leave_a_few_at_a_time() {
        let (read, answered) = (Calls::default(), Arc::<AtomicUsize>::default());
        for _ in 0..=WRITTEN_TOGETHER {
            read.execute(counting(&answered));
        }
        let written = Arc::<Mutex<Vec<usize>>>::default();
        let connection = {
            let (answered, written) = (Arc::clone(&answered), Arc::clone(&written));
            poll_fn(move |_| {
                let answered = answered.load(Ordering::Relaxed);
                written.lock().expect("whole").push(answered);
                Poll::<()>::Pending
            })
        };
        let mut running = Running::new(connection, read);

        assert_eq!(poll(&mut running, &Arc::default()), (false, 0));

        let written = written.lock().expect("whole");
        assert_eq!(*written, [0, WRITTEN_TOGETHER, WRITTEN_TOGETHER + 1]);
    }

    #[test]
    fn calls_end_with_their_connection() {
        let (read, (tell, told)) = (Calls::default(), oneshot::channel::<()>());
        read.execute(async { drop(told.await) });
        let (end, ended) = oneshot::channel::<()>();
        let mut running = Running::new(ended, read);
        assert!(!poll(&mut running, &Arc::default()).0);

        drop(end);

        assert!(poll(&mut running, &Arc::default()).0);
        drop(running);
        assert!(tell.is_closed());
    }
}
