//! Our own tokens, put to work: the store, what is remembered of it, and the tasks beside the requests.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::Surroundings;
use crate::{
    api_token::{ApiTokenId, Peppers},
    clock::Clock,
    config::{ApiTokensConfig, Edition},
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
    engine: Arc<Engine>,
}

/// What goes on under configurations that say the same about our own tokens.
struct Engine {
    edition: Edition,
    memory_bytes: u64,
    store: Arc<Store>,
    memory: Arc<Memory>,
    peppers: Arc<Peppers>,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    Built(Box<Beginning>),
    Running(Tasks),
    #[default]
    Ended,
}

/// What the tasks beside the requests begin with.
struct Beginning {
    notes: mpsc::Receiver<Note>,
    usage_interval: Duration,
    desk: Desk,
    surroundings: Surroundings,
}

/// The tasks beside the requests.
struct Tasks {
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
    /// Puts the parts together, or takes them over from `before`; connects to nothing yet. Must be called on the
    /// control runtime, where the store's connections will live.
    pub(super) fn build(
        config: ApiTokensConfig,
        applications: impl IntoIterator<Item = String>,
        memory_bytes: u64,
        surroundings: &Surroundings,
        before: Option<&Self>,
    ) -> Result<Self, FileError> {
        let rules = config.rules(applications);
        let clock = Arc::clone(&surroundings.clock);
        let same = before.filter(|before| {
            (before.engine.edition, before.engine.memory_bytes) == (config.edition, memory_bytes)
        });
        if let Some(Self { judge, engine, .. }) = same {
            let (store, peppers) = (Arc::clone(&engine.store), Arc::clone(&engine.peppers));
            return Ok(Self {
                judge: judge.clone(),
                desk: Desk::new(store, peppers, rules, clock),
                engine: Arc::clone(engine),
            });
        }
        let metrics = &surroundings.metrics;
        let store = Arc::new(Store::open_lazily(&config.location, Patience::default())?);
        let memory = Arc::new(Memory::new(memory_bytes, clock.now().instant));
        let (notes_in, notes) = usage::queue(metrics.clone());
        let peppers: Arc<Peppers> = Arc::new(config.peppers);
        let desk = Desk::new(Arc::clone(&store), Arc::clone(&peppers), rules, clock);
        let beginning = Beginning {
            notes,
            usage_interval: config.usage_interval,
            desk: desk.clone(),
            surroundings: surroundings.clone(),
        };
        Ok(Self {
            judge: ApiTokens::new(ApiTokenParts {
                store: Arc::clone(&store),
                peppers: Arc::clone(&peppers),
                usernames: config.usernames,
                memory: Arc::clone(&memory),
                notes: notes_in,
                metrics: metrics.clone(),
                runtime: Handle::current(),
            }),
            desk,
            engine: Arc::new(Engine {
                edition: config.edition,
                memory_bytes,
                store,
                memory,
                peppers,
                state: Mutex::new(State::Built(Box::new(beginning))),
            }),
        })
    }

    /// Starts to follow the store's changes, to write down uses, and to count; once.
    pub(super) fn start(&self, tasks: &TaskTracker) {
        let mut state = self.engine.state();
        *state = match std::mem::take(&mut *state) {
            State::Built(beginning) => State::Running(self.engine.begin(*beginning, tasks)),
            begun @ (State::Running(_) | State::Ended) => begun,
        };
    }

    /// Whether both stand on the same tasks.
    pub(super) fn goes_on_in(&self, other: Option<&Self>) -> bool {
        other.is_some_and(|other| Arc::ptr_eq(&self.engine, &other.engine))
    }

    /// Ends the tasks; what was taken down is written.
    pub(super) async fn finish(&self) {
        let state = std::mem::take(&mut *self.engine.state());
        if let State::Running(tasks) = state {
            tasks.stop.cancel();
            if tasks.writer.await.is_err() {
                warn!("the last uses of API tokens were not written down");
            }
        }
    }
}

impl Engine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, beginning: Beginning, tasks: &TaskTracker) -> Tasks {
        let stop = CancellationToken::new();
        let Surroundings { clock, metrics, .. } = beginning.surroundings;
        let feed = Feed {
            memory: Arc::clone(&self.memory),
            clock: Arc::clone(&clock),
        };
        let store = Arc::clone(&self.store);
        let follow = async move { store.follow(&feed).await };
        tasks.spawn(until(stop.clone(), follow));
        tasks.spawn(until(stop.clone(), count(beginning.desk, metrics.clone())));
        let writer = Writer {
            notes: beginning.notes,
            store: Arc::clone(&self.store),
            interval: beginning.usage_interval,
            clock,
            metrics,
        };
        let writer = tasks.spawn(writer.run(stop.clone()));
        Tasks { stop, writer }
    }
}

async fn until<T>(stop: CancellationToken, task: impl Future<Output = T>) {
    drop(stop.run_until_cancelled(task).await);
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
