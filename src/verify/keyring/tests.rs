//! Every test runs on a paused clock that moves only when the test says so, against a real HTTP
//! server. Nothing here waits for real time to pass.

use std::{
    net::TcpListener,
    pin::pin,
    sync::mpsc::{self, Sender},
};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    super::{discovery::Discovery, keys::tests::signing as keys},
    *,
};
use crate::{
    clock::{Clock, Now, tests::PausedClock},
    metrics::{Metrics, Present},
    outbound::{ExtraAuthorities, Outbound, UrlPolicy},
};

#[path = "../../../tests/it/support/idp.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    let_underscore_drop,
    reason = "shared with the integration tests, which use all of it"
)]
pub(in crate::verify) mod idp;
mod requests;
mod schedule;

use idp::{Answer, DISCOVERY, Idp, JWKS, jwks};
use keys::{SigningKey, shared_es256};

const MAX_STALE: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);
/// The first refresh after a success, with the dice of these tests.
const INTERVAL: Duration = Duration::from_mins(5);
const LOOPBACK: UrlPolicy = UrlPolicy {
    allow_loopback_http: true,
};

fn now() -> Now {
    PausedClock.now()
}

/// A keyring with the task that keeps it fresh.
struct Lab {
    keyring: Arc<Keyring>,
    finished: watch::Receiver<u64>,
    metrics: Metrics,
    task: JoinSet<()>,
    /// tokio moves a paused clock on by itself when it is idle, unless a blocking task runs.
    _time_stands_still: Sender<()>,
}

impl Lab {
    /// Begins to fetch; the outcome of the first fetch is not awaited.
    fn start(source: KeySource) -> Self {
        let (time_stands_still, until) = mpsc::channel();
        let mut task = JoinSet::new();
        drop(tokio::task::spawn_blocking(move || until.recv()));
        let keyring = Arc::new(Keyring::new("issuer".to_owned(), MAX_STALE));
        let finished = keyring.finished.subscribe();
        let metrics = Metrics::new();
        let fetcher = KeyFetcher {
            provider: "idp".into(),
            source,
            outbound: Outbound::new(LOOPBACK, ExtraAuthorities::default()).expect("a client"),
            metrics: metrics.clone(),
            clock: Arc::new(PausedClock),
            dice: || 0.5,
            tracer: None,
        };
        task.spawn(keyring.keep_fresh(fetcher));
        Self {
            keyring,
            finished,
            metrics,
            task,
            _time_stands_still: time_stands_still,
        }
    }

    /// With a fixed address, after the first fetch.
    async fn of(idp: &Idp) -> Self {
        let mut lab = Self::start(fixed(idp));
        lab.fetched().await;
        lab
    }

    /// The end of a fetch that has been asked for.
    async fn fetched(&mut self) {
        soon(self.finished.changed())
            .await
            .expect("the keyring lives");
    }

    fn is_fetching(&self) -> bool {
        self.keyring.gate.lock().expect("not poisoned").refreshing
    }

    /// Lets the time pass, and the task see it.
    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// No fetch starts before this time has passed; then one does, and ends.
    async fn fetches_after(&mut self, time: Duration) {
        self.pass(time.checked_sub(SECOND / 100).expect("longer"))
            .await;
        assert!(!self.is_fetching(), "a fetch before {time:?}");
        self.pass(SECOND / 50).await;
        assert!(
            self.is_fetching() || self.has_news(),
            "no fetch after {time:?}"
        );
        self.fetched().await;
    }

    fn has_news(&self) -> bool {
        self.finished.has_changed().expect("the keyring lives")
    }

    async fn find(&self, kid: &str) -> Result<Candidates, Unavailable> {
        let patience = now().instant + Duration::from_millis(100);
        let found = self
            .keyring
            .find(Some(kid), Algorithm::ES256, now(), patience);
        soon(found).await
    }

    async fn has(&self, kid: &str) -> bool {
        matches!(self.find(kid).await, Ok(Candidates::Keys(_)))
    }

    async fn refuses(&self, kid: &str, why: Unavailable) -> bool {
        self.find(kid).await.err() == Some(why)
    }

    async fn does_not_know(&self, kid: &str) -> bool {
        matches!(self.find(kid).await, Ok(Candidates::Unknown))
    }

    fn status(&self) -> KeyringStatus {
        self.keyring.status(now().instant)
    }

    fn error(&self) -> String {
        self.status().last_error.unwrap_or_default()
    }

    fn metric(&self, outcome: &str) -> String {
        let page = self.metrics.render(&Present::default());
        let line = format!("provider=\"idp\",issuer=\"issuer\",outcome=\"{outcome}\"}} ");
        page.lines()
            .find_map(|text| Some(text.split_once(&line)?.1.to_owned()))
            .unwrap_or_default()
    }
}

fn fixed(idp: &Idp) -> KeySource {
    KeySource::Fixed(format!("{}{JWKS}", idp.issuer).parse().expect("a URL"))
}

fn discovered(idp: &Idp) -> KeySource {
    KeySource::Discovered(Discovery {
        issuer: idp.issuer.clone(),
        hosts: vec!["127.0.0.1".to_owned()],
        urls: LOOPBACK,
    })
}

/// A provider that publishes these keys, all with the same material.
fn publishing(kids: &[&str]) -> Idp {
    let idp = Idp::start();
    publish(&idp, kids);
    idp
}

fn publish(idp: &Idp, kids: &[&str]) {
    idp.answer(JWKS, Answer::Json(set(kids)));
}

fn set(kids: &[&str]) -> String {
    let keys: Vec<Value> = kids.iter().map(|kid| shared_es256().jwk(kid)).collect();
    jwks(&keys)
}

fn last_etag(idp: &Idp) -> Option<String> {
    let requests = idp.received();
    let last = requests.last().expect("a request");
    last.headers.get("if-none-match").cloned()
}

fn failing() -> Answer {
    Answer::status("500 Internal Server Error", &[], "")
}

/// Waits, in real time, until the provider has received so many requests.
async fn until_received(idp: &Idp, requests: usize) {
    let received = async {
        while idp.received().len() < requests {
            real_pause().await;
        }
    };
    soon(received).await;
}

/// The runtime's clock stands still, and with it every time limit: what should have happened after
/// a minute of real time never will.
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

async fn real_pause() {
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)))
        .await
        .expect("sleeps");
}
