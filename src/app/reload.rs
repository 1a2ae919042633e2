//! Takes up a configuration that has changed on disk, while checks go on.
//!
//! The files are looked at once a second instead of being watched: that sees every way in which they change (a write,
//! a rename, the symbolic links of Kubernetes, a mount) on every file system, and costs a few system calls
//! (docs/adr/0015).

use std::{future::pending, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::{sync::mpsc, task::spawn_blocking, time};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{AppError, Generation, Secured, Surroundings};
use crate::{
    admin::{self, Admin, OnDisk, Process},
    config::{Config, Files, GrpcAddress, Problems, schema},
    grpc::AuthorizationService,
    metrics::ReloadOutcome,
};

/// How often the files are looked at. A change is taken up when they have not changed since the last look: several
/// files are seldom written at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the configuration comes from.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What was read at the start.
    pub files: Files,
}

/// What only a restart changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fixed {
    grpc: GrpcAddress,
    other_ports: [Option<std::net::SocketAddr>; 2],
    speaks_tls: [bool; 2],
    log: schema::Log,
    tracing: Option<schema::Tracing>,
    max_connection_age: Duration,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let listen = &config.listen;
        Self {
            grpc: listen.grpc.clone(),
            other_ports: [Some(listen.admin), listen.health],
            speaks_tls: [listen.grpc_tls.is_some(), listen.admin_tls.is_some()],
            log: config.log,
            tracing: config.effective.tracing.clone(),
            max_connection_age: config.shutdown.max_connection_age,
        }
    }

    /// The sections in which they differ.
    fn different(&self, other: &Self) -> Vec<&'static str> {
        let ports = |one: &Self| (one.grpc.clone(), one.other_ports, one.speaks_tls);
        let differences = [
            ("listen", ports(self) != ports(other)),
            ("log", self.log != other.log),
            ("tracing", self.tracing != other.tracing),
            (
                "shutdown.max_connection_age",
                self.max_connection_age != other.max_connection_age,
            ),
        ];
        let different = differences.into_iter().filter(|(_, differs)| *differs);
        different.map(|(section, _)| section).collect()
    }
}

/// The configuration that holds, and all that changes with it.
pub(super) struct Current {
    pub(super) generation: Generation,
    pub(super) service: AuthorizationService,
    pub(super) pages: Arc<ArcSwap<Router>>,
    pub(super) secured: Secured,
    pub(super) process: Process,
    pub(super) surroundings: Surroundings,
    pub(super) tasks: TaskTracker,
    pub(super) fixed: Fixed,
}

/// What came of looking at the files.
enum Looked {
    Unchanged,
    /// Something is being written.
    Changing(Files),
    Changed,
}

impl Current {
    /// Takes up what changes, for ever. May be dropped at any time. `None`: nothing can change.
    pub(super) async fn follow(&mut self, source: Option<Source>, mut asked: mpsc::Receiver<()>) {
        let Some(mut source) = source else {
            return pending().await;
        };
        let mut ticks = time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut changing = None;
        loop {
            let look = tokio::select! {
                Some(()) = asked.recv() => Looked::Changed,
                _ = ticks.tick() => look(&source.files, changing.take()).await,
            };
            match look {
                Looked::Unchanged => {}
                Looked::Changing(files) => changing = Some(files),
                Looked::Changed => self.reload(&mut source).await,
            }
        }
    }

    async fn reload(&mut self, source: &mut Source) {
        let path = source.path.clone();
        // Rules are compiled and files are read there, which takes its time.
        let Ok((config, files)) = spawn_blocking(move || Config::read(&path)).await else {
            warn!("reading the configuration has panicked");
            return self.refused(vec!["internal error".to_owned()]);
        };
        source.files = files;
        match config {
            Ok(config) => {
                let needs_restart = self.fixed.different(&Fixed::of(&config));
                if config.edition == self.generation.edition {
                    info!("the configuration is the one that holds already");
                } else if let Err(error) = self.take_up(config).await {
                    return self.refused(vec![error.to_string()]);
                }
                self.settled(OnDisk {
                    needs_restart,
                    ..OnDisk::default()
                });
            }
            Err(Problems(problems)) => {
                self.refused(problems.iter().map(ToString::to_string).collect());
            }
        }
    }

    /// Makes a configuration hold: keys first, then at once and for all.
    async fn take_up(&mut self, config: Config) -> Result<(), AppError> {
        let listen = config.listen.clone();
        let mut next = Generation::build(config, &self.surroundings, Some(&self.generation))?;
        next.start(&self.tasks);
        next.tried().await;
        self.service.checks.store(Arc::clone(&next.checks));
        self.pages.store(Arc::new(pages(&self.process, &next)));
        self.secured.replace(&listen);
        next.announce();
        self.surroundings
            .metrics
            .count_reload(ReloadOutcome::Applied);
        info!(generation = next.number, "a changed configuration holds");
        let before = std::mem::replace(&mut self.generation, next);
        self.retire(before);
        Ok(())
    }

    /// Checks that began before may still need what is left of the old configuration.
    fn retire(&self, before: Generation) {
        let goes_on = |own: &super::OwnTokens| own.goes_on_in(self.generation.own_tokens.as_ref());
        if let Some(own_tokens) = before.own_tokens.filter(|own| !goes_on(own)) {
            let longest = before.checks.check_timeout;
            self.tasks.spawn(async move {
                time::sleep(longest).await;
                own_tokens.finish().await;
            });
        }
    }

    fn refused(&self, problems: Vec<String>) {
        self.surroundings
            .metrics
            .count_reload(ReloadOutcome::Refused);
        for problem in &problems {
            warn!(
                problem,
                "the changed configuration is refused, the one before goes on"
            );
        }
        let needs_restart = self.process.on_disk.load().needs_restart.clone();
        self.settled(OnDisk {
            failed: true,
            problems,
            needs_restart,
        });
    }

    fn settled(&self, on_disk: OnDisk) {
        for section in &on_disk.needs_restart {
            warn!(section, "a changed section holds only after a restart");
        }
        let metrics = &self.surroundings.metrics;
        metrics.set_on_disk(on_disk.failed, !on_disk.needs_restart.is_empty());
        self.process.on_disk.store(Arc::new(on_disk));
    }
}

/// Looks at the files beside the runtime, on which connections are accepted.
async fn look(read: &Files, changing: Option<Files>) -> Looked {
    let files = read.clone();
    let Ok(now) = spawn_blocking(move || files.now()).await else {
        return Looked::Unchanged;
    };
    if now == *read {
        Looked::Unchanged
    } else if changing.as_ref() == Some(&now) {
        Looked::Changed
    } else {
        Looked::Changing(now)
    }
}

/// The operators' pages about a configuration.
pub(super) fn pages(process: &Process, generation: &Generation) -> Router {
    let keyrings = generation.keyrings();
    let keyrings = keyrings.map(|(provider, keyring)| (Arc::clone(provider), Arc::clone(keyring)));
    let admin = Admin {
        process: process.clone(),
        checks: Arc::clone(&generation.checks),
        keyrings: keyrings.collect(),
        providers: generation.providers().cloned().collect(),
        enforcements: Arc::clone(&generation.enforcements),
        generation: generation.number,
        since: generation.begun,
    };
    admin::router(admin, generation.api.clone())
}
