//! Our own tokens, put to work: the store, what is remembered of it, and the two tasks beside the requests.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    api_token::{ApiTokenId, Peppers},
    clock::Clock,
    config::ApiTokensConfig,
    desk::Desk,
    holder::{ApiTokenParts, ApiTokens, Memory},
    metrics::Metrics,
    store::{FileError, Follower, Patience, Store},
    usage::{self, Note, Writer},
};

/// How often the tokens are counted.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// The parts of our own tokens.
pub(super) struct OwnTokens {
    /// Judges them.
    pub(super) judge: ApiTokens,
    /// Issues them.
    pub(super) desk: Desk,
    store: Arc<Store>,
    memory: Arc<Memory>,
    notes: mpsc::Receiver<Note>,
    usage_interval: Duration,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

/// The tasks beside the requests.
pub(super) struct TokenTasks {
    stop: CancellationToken,
    writer: JoinHandle<()>,
}

/// Tells the memory what has changed.
struct Feed {
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
}

impl Follower for Feed {
    fn changed(&self, id: ApiTokenId, revision: i64) {
        self.memory.changed(id, revision);
    }

    fn forget_everything(&self) {
        self.memory.forget_everything();
    }

    fn heard(&self) {
        self.memory.heard(self.clock.now().instant);
    }
}

impl OwnTokens {
    /// Puts the parts together; connects to nothing yet. Must be called on the control runtime, where the
    /// store's connections will live.
    pub(super) fn build(
        config: ApiTokensConfig,
        applications: impl IntoIterator<Item = String>,
        memory_bytes: u64,
        metrics: &Metrics,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, FileError> {
        let store = Arc::new(Store::open_lazily(&config.location, Patience::default())?);
        let memory = Arc::new(Memory::new(memory_bytes, clock.now().instant));
        let (notes_in, notes) = usage::queue(metrics.clone());
        let rules = config.rules(applications);
        let (usernames, usage_interval) = (config.usernames, config.usage_interval);
        let peppers: Arc<Peppers> = Arc::new(config.peppers);
        Ok(Self {
            judge: ApiTokens::new(ApiTokenParts {
                store: Arc::clone(&store),
                peppers: Arc::clone(&peppers),
                usernames,
                memory: Arc::clone(&memory),
                notes: notes_in,
                metrics: metrics.clone(),
                runtime: Handle::current(),
            }),
            desk: Desk::new(Arc::clone(&store), peppers, rules, Arc::clone(clock)),
            store,
            memory,
            notes,
            usage_interval,
            metrics: metrics.clone(),
            clock: Arc::clone(clock),
        })
    }

    /// Starts to follow the store's changes, to write down uses, and to count.
    pub(super) fn start(self, tasks: &TaskTracker) -> TokenTasks {
        let stop = CancellationToken::new();
        let feed = Feed {
            memory: Arc::clone(&self.memory),
            clock: Arc::clone(&self.clock),
        };
        let store = Arc::clone(&self.store);
        tasks.spawn(async move { store.follow(&feed).await });
        tasks.spawn(count(self.desk, self.metrics.clone()));
        let writer = Writer {
            notes: self.notes,
            store: self.store,
            interval: self.usage_interval,
            clock: self.clock,
            metrics: self.metrics,
        };
        let writer = tasks.spawn(writer.run(stop.clone()));
        TokenTasks { stop, writer }
    }
}

impl TokenTasks {
    /// Writes down what is left.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        if self.writer.await.is_err() {
            warn!("the last uses of API tokens were not written down");
        }
    }
}

/// For whoever must be told before tokens end, and before a former pepper goes.
async fn count(desk: Desk, metrics: Metrics) {
    let mut ticks = time::interval(COUNT_EVERY);
    loop {
        ticks.tick().await;
        if let Ok(census) = desk.census().await {
            metrics.set_api_tokens(&census);
        }
    }
}
