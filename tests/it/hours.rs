//! Minutes, hours and a day, on a clock that the test moves: the whole walk in this process, its providers
//! real servers. Real time passes only while one of them answers.

mod answers;
mod jumps;
mod keys;

use std::{
    fs,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{self, Sender},
    },
    time::Duration,
};

use atlassian_authz::{
    app::App,
    clock::{Clock, Now},
    config::Config,
};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::support::{
    idp::Idp,
    service::{Check, Outcome, whole},
    tokens::unix_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// Both clocks of a machine: the one that tokio has paused, and one on the wall that can be set.
struct MovedClock {
    begin: Instant,
    /// Of the wall at the beginning.
    wall: AtomicI64,
}

impl Clock for MovedClock {
    fn now(&self) -> Now {
        let instant = Instant::now();
        let passed = instant.duration_since(self.begin).as_secs();
        Now {
            unix_seconds: self.wall.load(Ordering::Relaxed) + passed as i64,
            instant,
        }
    }
}

/// A service in this process.
struct Hours {
    app: App,
    clock: Arc<MovedClock>,
    tasks: TaskTracker,
    /// tokio moves a paused clock on by itself when it is idle, unless a blocking task runs.
    _time_stands_still: Sender<()>,
}

impl Hours {
    /// The service, with the keys of its providers if they answer.
    async fn start(config: &str) -> Self {
        let (time_stands_still, until) = mpsc::channel();
        drop(tokio::task::spawn_blocking(move || until.recv()));
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("config.yaml");
        fs::write(&file, whole(config)).expect("written");
        let config = Config::load(&file).expect("a good configuration");
        let clock = Arc::new(MovedClock {
            begin: Instant::now(),
            wall: AtomicI64::new(unix_now()),
        });
        let shared: Arc<dyn Clock> = Arc::<MovedClock>::clone(&clock);
        let mut app = App::build(config, shared).expect("an application");
        let tasks = TaskTracker::new();
        app.keep_keys_fresh(&tasks);
        soon(app.providers_tried()).await;
        Self {
            app,
            clock,
            tasks,
            _time_stands_still: time_stands_still,
        }
    }

    /// The answer to this token, and how long the service took by its own clock.
    async fn timed(&self, token: &str) -> (Outcome, Duration) {
        let now = self.clock.now();
        let check = Check::get("/rest/api/2/myself").bearer(token).build();
        let answer = self
            .app
            .checks()
            .answer(check, now, now.instant + SECOND, None);
        let answer = self.while_it_waits(answer).await;
        let took = self.clock.now().instant - now.instant;
        (Outcome::read(answer.response()), took)
    }

    async fn ask(&self, token: &str) -> Outcome {
        self.timed(token).await.0
    }

    /// Servers have real time to answer; then the clock moves, a hundredth of a second at a time.
    async fn while_it_waits<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            for _ in 0..20 {
                tokio::select! {
                    biased;
                    done = &mut future => return done,
                    () = real_pause() => {}
                }
            }
            tokio::time::advance(SECOND / 100).await;
        }
    }

    /// Lets time pass, a step at a time, and gives servers real time to answer in each.
    async fn pass(&self, time: Duration, step: Duration, idp: &Idp) {
        let end = self.clock.now().instant + time;
        let mut seen = idp.received().len();
        while self.clock.now().instant < end {
            tokio::time::advance(step.min(end - self.clock.now().instant)).await;
            real_pause().await;
            let received = idp.received().len();
            if received != seen {
                // Its answer is on its way back.
                seen = received;
                real_pauses(20).await;
            }
        }
    }

    /// Sets the clock on the wall.
    fn set_wall(&self, by: Duration, back: bool) {
        let by = by.as_secs() as i64;
        self.clock
            .wall
            .fetch_add(if back { -by } else { by }, Ordering::Relaxed);
    }

    /// The time on its wall.
    fn wall(&self) -> i64 {
        self.clock.now().unix_seconds
    }
}

impl Drop for Hours {
    fn drop(&mut self) {
        self.tasks.close();
    }
}

/// The clock stands still, and with it every time limit: what should have happened after a minute of real time
/// never will.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..30_000 {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = real_pause() => {}
        }
    }
    panic!("it never happened");
}

async fn real_pauses(count: u32) {
    for _ in 0..count {
        real_pause().await;
    }
}

async fn real_pause() {
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)))
        .await
        .expect("sleeps");
}

/// Allowed as alice.
#[track_caller]
fn assert_alice(outcome: &Outcome, what: &str) {
    assert_eq!(
        outcome.user(),
        Some("alice"),
        "{what}: {}",
        outcome.reason()
    );
}

#[track_caller]
fn assert_status(outcome: &Outcome, status: i32, what: &str) {
    assert_eq!(outcome.status, status, "{what}: {}", outcome.reason());
    assert_eq!(outcome.user(), None, "{what}");
}
