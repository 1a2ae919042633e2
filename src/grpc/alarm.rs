//! Wakes the task of a connection, unless it is at work.
//!
//! An answer wakes the task that writes it, which is the one that has just made it and goes on to write. Without this the
//! runtime would give that task another turn after each answer, to find that nothing is left to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// The task looks at everything that there is before it rests.
const AT_WORK: u8 = 1;
/// Something has happened since it began to look.
const RUNG: u8 = 2;

/// What the futures of a connection ring instead of the waker of its task.
#[derive(Default)]
pub(super) struct Alarm {
    task: AtomicWaker,
    state: AtomicU8,
}

impl Alarm {
    /// This task looks at everything from here on: what has rung so far needs no other turn.
    pub(super) fn work(&self, task: &Waker) {
        self.task.register(task);
        self.state.swap(AT_WORK, Ordering::AcqRel);
    }

    /// The task has looked at everything. Whatever has rung meanwhile may have come behind it: then it has another turn.
    pub(super) fn rest(&self) {
        if self.state.swap(0, Ordering::AcqRel) & RUNG != 0 {
            self.task.wake();
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RUNG, Ordering::AcqRel) & AT_WORK == 0 {
            self.task.wake();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        sync::{atomic::AtomicUsize, mpsc},
        thread,
        time::Duration,
    };

    use super::*;

    /// How often a task has been woken.
    #[derive(Default)]
    pub(in crate::grpc) struct Woken(pub(in crate::grpc) AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells another thread.
    struct Tells(mpsc::Sender<()>);

    impl Wake for Tells {
        fn wake(self: Arc<Self>) {
            // Who has seen everything does not listen any more.
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_task_at_work_is_woken_once_and_when_it_rests() {
        let (alarm, woken) = (Arc::<Alarm>::default(), Arc::<Woken>::default());
        let times = || woken.0.load(Ordering::Relaxed);
        let (ring, task) = (
            Waker::from(Arc::clone(&alarm)),
            Waker::from(Arc::clone(&woken)),
        );

        alarm.work(&task);
        ring.wake_by_ref();
        ring.wake_by_ref();
        assert_eq!(times(), 0);
        alarm.rest();
        assert_eq!(times(), 1);

        // At rest, every time; the runtime makes one of several.
        alarm.work(&task);
        alarm.rest();
        assert_eq!(times(), 1);
        ring.wake_by_ref();
        assert_eq!(times(), 2);
    }

    #[test]
    fn what_rang_before_the_task_looked_needs_no_other_turn() {
        let (alarm, woken) = (Arc::<Alarm>::default(), Arc::<Woken>::default());
        let (ring, task) = (
            Waker::from(Arc::clone(&alarm)),
            Waker::from(Arc::clone(&woken)),
        );

        alarm.work(&task);
        ring.wake_by_ref();
        alarm.work(&task);
        alarm.rest();

        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    }

    /// Nothing that happens is forgotten, on whatever thread: the task looks once more after everything that has rung.
    #[test]
    fn everything_that_rings_is_looked_at() {
        const THINGS: usize = 10_000;
        let (alarm, happened) = (Arc::<Alarm>::default(), Arc::<AtomicUsize>::default());
        let (sender, woken) = mpsc::channel();
        let task = Waker::from(Arc::new(Tells(sender)));
        alarm.work(&task);
        alarm.rest();
        let ring = Waker::from(Arc::clone(&alarm));
        let counts = Arc::clone(&happened);
        let other = thread::spawn(move || {
            for _ in 0..THINGS {
                counts.fetch_add(1, Ordering::Relaxed);
                ring.wake_by_ref();
            }
        });
        let mut seen = 0;
        while seen < THINGS {
            let woken = woken.recv_timeout(Duration::from_secs(20));
            woken.expect("woken for what has not been seen");
            alarm.work(&task);
            seen = happened.load(Ordering::Relaxed);
            alarm.rest();
        }
        other.join().expect("rang");
    }
}
