//! The steady load: an open loop, so a service that gets slow does not get fewer requests.

use std::{
    collections::HashMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use reqwest::{Client, Response};

use crate::{
    product::{CREDENTIALS, SEEN},
    tally::{Came, Expect, Tally},
    traffic::{Shown, Traffic},
};

/// Requests in a second, unless `FAULTS_RPS` says otherwise.
const RATE: u64 = 500;
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(5);
/// Who is not woken for so long was given no turn by the machine, and Envoy's patience ran out meanwhile.
const STALL: Duration = Duration::from_millis(100);
/// After that everybody has something to catch up with.
const SETTLED: Duration = Duration::from_secs(1);
/// A load that makes no progress for so long has died.
const PATIENCE: Duration = Duration::from_mins(2);

/// A load that goes on until it is dropped.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    rate: u64,
}

struct Shared {
    stop: AtomicBool,
    phases: Mutex<Phases>,
}

/// A request belongs to the phase in which it began.
#[derive(Default)]
struct Phases {
    now: u64,
    by_number: HashMap<u64, Phase>,
    /// Of all phases.
    begun: u64,
    ended: u64,
    wrong: Vec<String>,
    /// When the machine has last stood still.
    stalled: Option<(Instant, Instant)>,
}

#[derive(Default)]
struct Phase {
    begun: u64,
    tally: Tally,
    ended: u64,
}

impl Load {
    /// Requests through this Envoy.
    pub fn start(envoy: &str, traffic: Traffic) -> Self {
        let text = env::var("FAULTS_RPS").ok();
        let rate = text.map_or(RATE, |text| text.parse().expect("a number"));
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            phases: Mutex::default(),
        });
        let driver = Driver {
            url: format!("http://{envoy}/rest/api/2/myself"),
            shared: Arc::clone(&shared),
            traffic,
            rate,
        };
        Self {
            shared,
            thread: Some(thread::spawn(move || driver.run())),
            rate,
        }
    }

    /// What comes of the next so many seconds' requests.
    pub fn seconds(&self, seconds: u64) -> Tally {
        let wanted = seconds * self.rate;
        let phase = self.shared.next_phase();
        self.wait(|phases| phases.by_number[&phase].begun >= wanted);
        self.end(phase)
    }

    /// Waits until so many seconds' requests have begun, whatever phase it is.
    pub fn pass(&self, seconds: u64) {
        let begun = || self.shared.phases.lock().unwrap().begun;
        let wanted = begun() + seconds * self.rate;
        self.wait(|phases| phases.begun >= wanted);
    }

    /// What comes of the requests that begin while this goes on.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Tally) {
        let phase = self.shared.next_phase();
        let done = work();
        (done, self.end(phase))
    }

    /// What was wrong in any phase, or between them.
    pub fn wrong(&self) -> Vec<String> {
        self.shared.phases.lock().unwrap().wrong.clone()
    }

    /// Waits for the last answer of a phase.
    fn end(&self, phase: u64) -> Tally {
        self.shared.next_phase();
        let all =
            |phases: &Phases| phases.by_number[&phase].ended == phases.by_number[&phase].begun;
        self.wait(all);
        let mut phases = self.shared.phases.lock().unwrap();
        phases.by_number.remove(&phase).expect("once").tally
    }

    fn wait(&self, done: impl Fn(&Phases) -> bool) {
        let mut last = (0, Instant::now());
        loop {
            let phases = self.shared.phases.lock().unwrap();
            if done(&phases) {
                return;
            }
            let progress = phases.begun + phases.ended;
            drop(phases);
            if progress != last.0 {
                last = (progress, Instant::now());
            }
            assert!(last.1.elapsed() < PATIENCE, "the load has died");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let ended = self.thread.take().expect("once").join();
        assert!(
            ended.is_ok() || thread::panicking(),
            "the load has panicked"
        );
    }
}

impl Shared {
    /// Returns its number.
    fn next_phase(&self) -> u64 {
        let mut phases = self.phases.lock().unwrap();
        phases.now += 1;
        let now = phases.now;
        phases.by_number.insert(now, Phase::default());
        // Nobody asks for what lies between two phases.
        phases.by_number.retain(|number, phase| {
            *number == now || phase.begun > phase.ended || *number + 2 >= now
        });
        now
    }

    fn begin(&self, requests: u64) -> u64 {
        let mut phases = self.phases.lock().unwrap();
        let now = phases.now;
        phases.begun += requests;
        phases.by_number.entry(now).or_default().begun += requests;
        now
    }

    fn end(&self, phase: u64, shown: &Shown, came: Came, began: Instant) {
        let now = Instant::now();
        let mut phases = self.phases.lock().unwrap();
        let stalled = phases.stalled;
        let is_disturbed = stalled.is_some_and(|(from, to)| began < to + SETTLED && now > from);
        if let Came::Wrong(what) = &came {
            phases.wrong.push(what.clone());
        }
        phases.ended += 1;
        let phase = phases
            .by_number
            .get_mut(&phase)
            .expect("requests under way");
        phase.ended += 1;
        if is_disturbed && matches!(came, Came::Undecided | Came::Unanswered(_)) {
            phase.tally.disturbed();
        } else {
            let took = now - began;
            phase.tally.count(shown.class, &shown.expect, came, took);
        }
    }
}

struct Driver {
    url: String,
    shared: Arc<Shared>,
    traffic: Traffic,
    rate: u64,
}

impl Driver {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(self.drive());
    }

    async fn drive(self) {
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut begin = Instant::now();
        let (mut sent, mut last) = (0, begin);
        let mut ticks = tokio::time::interval(TICK);
        while !self.shared.stop.load(Ordering::Acquire) {
            ticks.tick().await;
            let (before, now) = (last, Instant::now());
            last = now;
            if now - before > STALL {
                self.shared.phases.lock().unwrap().stalled = Some((before, now));
                // What was missed is not made up for: that would be a flood.
                begin += now - before;
            }
            let due = u64::try_from(begin.elapsed().as_millis()).expect("not that long");
            let due = due * self.rate / 1000;
            // One lot at a time belongs to one phase.
            let phase = self.shared.begin(due - sent);
            for number in sent..due {
                let shown = self.traffic.request(number);
                let (client, url) = (client.clone(), self.url.clone());
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    let began = Instant::now();
                    let came = ask(&client, &url, &shown).await;
                    shared.end(phase, &shown, came, began);
                });
            }
            sent = due;
        }
    }
}

/// What a request has led to.
async fn ask(client: &Client, url: &str, shown: &Shown) -> Came {
    let request = client.get(url).bearer_auth(&shown.token);
    let request = request.header("x-remote-user", "mallory");
    match request.send().await {
        Ok(answer) => judge(answer, &shown.expect).await,
        // Without its URL, which says nothing new.
        Err(error) => Came::Unanswered(error.without_url().to_string()),
    }
}

async fn judge(answer: Response, expect: &Expect) -> Came {
    let status = answer.status().as_u16();
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let (seen, credentials) = (header(SEEN), header(CREDENTIALS));
    if status == 200 {
        let right = match expect {
            Expect::User(user) => seen == format!("x-remote-user={user}") && credentials == "0",
            Expect::Denied => false,
        };
        return if right {
            Came::Right
        } else {
            Came::Wrong(format!("{seen}, {credentials} credentials for {expect:?}"))
        };
    }
    if seen != "-" {
        return Came::Wrong(format!("a {status} of the product"));
    }
    let body = answer.text().await.unwrap_or_default();
    match (status, expect) {
        (401, Expect::Denied) => Came::Right,
        (503, _) if body.contains("temporarily_unavailable") => Came::Undecided,
        (400..=403, _) => Came::FalseDenial(format!("{status} {body}")),
        _ => Came::Unanswered(format!("{status} {body}")),
    }
}
