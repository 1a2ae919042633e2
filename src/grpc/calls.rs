//! Runs the calls of a connection in the task of the connection.
//!
//! Almost every check is answered at its first turn: its message has come with its headers, and what it asks for is
//! remembered. A task of the runtime for each would cost more than that. Those that have to wait are kept here, too.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hyper::rt::Executor;

use super::alarm::Alarm;

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
    alarm: Arc<Alarm>,
    /// Rings the alarm.
    waker: Waker,
}

impl<C: Future> Running<C> {
    /// `read` is where this connection leaves its calls.
    pub(super) fn new(connection: C, read: Calls) -> Self {
        let alarm = Arc::<Alarm>::default();
        Self {
            connection: Box::pin(connection),
            read,
            next: VecDeque::new(),
            waiting: FuturesUnordered::new(),
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
        }
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }

    /// Polls the connection, which writes what has been answered, and answers what it reads, until it reads no more.
    fn run(&mut self, task: &Waker) -> Poll<C::Output> {
        let Self {
            connection,
            read,
            next,
            waiting,
            alarm,
            waker,
        } = self;
        let mut context = Context::from_waker(waker);
        let mut left = TURNS;
        loop {
            alarm.work(task);
            if let Poll::Ready(ended) = connection.as_mut().poll(&mut context) {
                return Poll::Ready(ended);
            }
            if next.is_empty() {
                read.with(|read| mem::swap(read, next));
            }
            if next.is_empty() {
                return Poll::Pending;
            }
            if left == 0 {
                task.wake_by_ref();
                return Poll::Pending;
            }
            left -= answer(next, left.min(WRITTEN_TOGETHER), &mut context, waiting);
        }
    }
}

/// Answers that many calls, or all that there are; those that are not answered at once wait.
fn answer(
    next: &mut VecDeque<Call>,
    most: usize,
    context: &mut Context<'_>,
    waiting: &FuturesUnordered<Call>,
) -> usize {
    let turns = next.len().min(most);
    for mut call in next.drain(..turns) {
        if call.as_mut().poll(context).is_pending() {
            waiting.push(call);
        }
    }
    turns
}

impl<C: Future> Future for Running<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let ran = self.run(context.waker());
        if ran.is_pending() {
            // Their answers wake the connection.
            let Self { waiting, waker, .. } = &mut *self;
            let mut context = Context::from_waker(waker);
            while let Poll::Ready(Some(())) = waiting.poll_next_unpin(&mut context) {}
        }
        self.alarm.rest();
        ran
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::oneshot;

    use super::*;
    use crate::grpc::alarm::tests::Woken;

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

    /// A connection, and what leaves an answer with it, as h2 does.
    fn woken_by_answers() -> (impl Future<Output = ()>, impl FnOnce() + Clone + Send) {
        let polled_by = Arc::<Mutex<Option<Waker>>>::default();
        let waker = Arc::clone(&polled_by);
        let connection = poll_fn(move |context| {
            *polled_by.lock().expect("whole") = Some(context.waker().clone());
            Poll::Pending
        });
        let leave = move || waker.lock().expect("whole").take().expect("polled").wake();
        (connection, leave)
    }

    #[test]
    fn an_answer_asks_for_no_turn_but_the_one_it_is_written_in() {
        let (read, (connection, leave)) = (Calls::default(), woken_by_answers());
        read.execute(async { leave() });
        let mut running = Running::new(connection, read);

        assert_eq!(poll(&mut running, &Arc::default()), (false, 0));
    }

    #[test]
    fn an_answer_that_comes_behind_the_connection_asks_for_another_turn() {
        let (read, (connection, leave)) = (Calls::default(), woken_by_answers());
        let mut answer = Some(leave);
        let mut turns = 0..2;
        read.execute(poll_fn(move |_| {
            turns.next();
            // In the second, where it waits.
            if !turns.is_empty() {
                return Poll::Pending;
            }
            answer.take().expect("once")();
            Poll::Ready(())
        }));
        let mut running = Running::new(connection, read);

        assert_eq!(poll(&mut running, &Arc::default()), (false, 1));
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
