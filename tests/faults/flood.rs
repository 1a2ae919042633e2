//! Far more requests than anybody can want, straight at the replicas, from somebody who has no right.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use tonic::transport::Channel;

use crate::support::service::{Check, Outcome};

/// Requests that are under way at the same time, at each replica.
const UNDER_WAY: u64 = 8;
const FEW_UNDER_WAY: u64 = 2;

/// A flood that goes on until it is ended. Each of its requests must be refused.
pub struct Flood {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    denied: AtomicU64,
    undecided: AtomicU64,
    failed: AtomicU64,
}

/// What came of it.
#[derive(Clone, Copy)]
pub struct Flooded {
    pub denied: u64,
    pub undecided: u64,
    /// gRPC errors, which are no answers of ours.
    pub failed: u64,
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            denied,
            undecided,
            failed,
        } = self;
        write!(
            f,
            "flood: {denied} x 401, {undecided} x 503, {failed} errors"
        )
    }
}

impl Flood {
    /// `token` makes the token of a number.
    pub fn start(replicas: &[&str], token: impl Fn(u64) -> String + Send + Sync + 'static) -> Self {
        Self::of(UNDER_WAY, replicas, token)
    }

    /// One that leaves the machine of the test something for others.
    pub fn gentle(
        replicas: &[&str],
        token: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::of(FEW_UNDER_WAY, replicas, token)
    }

    fn of(
        under_way: u64,
        replicas: &[&str],
        token: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let addresses: Vec<_> = replicas.iter().map(|it| format!("http://{it}")).collect();
        let run = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(flood(under_way, addresses, run, Arc::new(token)));
        });
        Self { shared, thread }
    }

    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    pub fn end(self) -> Flooded {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.join().expect("only refusals");
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Flooded {
            denied: count(&self.shared.denied),
            undecided: count(&self.shared.undecided),
            failed: count(&self.shared.failed),
        }
    }
}

async fn flood<T>(under_way: u64, addresses: Vec<String>, shared: Arc<Shared>, token: Arc<T>)
where
    T: Fn(u64) -> String + Send + Sync + 'static,
{
    let mut streams = tokio::task::JoinSet::new();
    for address in addresses {
        let client = AuthorizationClient::connect(address)
            .await
            .expect("connects");
        for _ in 0..under_way {
            let (client, shared, token) = (client.clone(), Arc::clone(&shared), Arc::clone(&token));
            streams.spawn(stream(client, shared, token));
        }
    }
    while let Some(ended) = streams.join_next().await {
        ended.expect("only refusals");
    }
}

async fn stream<T: Fn(u64) -> String>(
    mut client: AuthorizationClient<Channel>,
    shared: Arc<Shared>,
    token: Arc<T>,
) {
    while !shared.stop.load(Ordering::Acquire) {
        let number = shared.sent.fetch_add(1, Ordering::Relaxed);
        let check = request(&token(number));
        let counter = match client.check(check).await {
            Err(_) => &shared.failed,
            Ok(answer) => match Outcome::of(answer.into_inner()).status {
                401 => &shared.denied,
                503 => &shared.undecided,
                status => panic!("{status} for a token of the flood"),
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn request(token: &str) -> CheckRequest {
    Check::get("/rest/api/2/myself").bearer(token).build()
}
