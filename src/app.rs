//! Puts a configuration to work: the only constructor, the only place that starts tasks, and the
//! only one that knows how the service stops.

mod api;
mod error;
mod generation;
mod parts;
mod ports;
mod readiness;
mod reload;
mod tokens;
mod traces;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tracing::{info, warn};

use self::{
    generation::Generation,
    ports::{Ports, Secured, serve_admin, serve_health},
    readiness::Readiness,
    reload::{Current, Fixed, pages},
    tokens::OwnTokens,
    traces::{Traces, tracer},
};
use crate::{
    admin::{self, Process},
    clock::Clock,
    config::{Config, Listen, Shutdown},
    grpc::{
        AuthorizationService, Checks, FailClosed,
        server::{Served, Workers},
    },
    inspect::Inspector,
    metrics::Metrics,
    pb::FILE_DESCRIPTOR_SET,
    telemetry::{
        Logging, Telemetry,
        trace::{Exporter, Tracer},
    },
    tls::TlsPort,
};

pub use error::{AppError, ServeError};
pub use reload::Source;

/// A configuration at work, not yet listening.
pub struct App {
    generation: Generation,
    surroundings: Surroundings,
    listen: Listen,
    fixed: Fixed,
    telemetry: Telemetry,
    exporter: Option<Exporter>,
}

/// What every part is given.
#[derive(Clone)]
struct Surroundings {
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    tracer: Option<Tracer>,
}

/// How a running service is told what to do.
#[derive(Debug)]
pub struct Control {
    /// To stop; a second time, to stop sooner.
    pub stop: mpsc::Receiver<()>,
    /// To read the configuration again now.
    pub reload: mpsc::Receiver<()>,
}

impl App {
    /// Builds everything that a configuration describes. Must be called on the control runtime.
    pub fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        let metrics = Metrics::new();
        let (tracer, exporter) = tracer(config.tracing.as_ref(), &metrics, &clock)?;
        let telemetry = Telemetry::new(config.log, tracer.clone());
        let surroundings = Surroundings {
            clock,
            metrics,
            tracer,
        };
        let (listen, fixed) = (config.listen.clone(), Fixed::of(&config));
        let generation = Generation::build(config, &surroundings, None)?;
        generation.announce();
        Ok(Self {
            generation,
            surroundings,
            listen,
            fixed,
            telemetry,
            exporter,
        })
    }

    /// Writes a line about every decision to the log.
    #[must_use]
    pub fn logging_to(mut self, logging: &Logging) -> Self {
        let clock = Arc::clone(&self.surroundings.clock);
        self.telemetry.log_to(logging, clock);
        self
    }

    /// Answers checks.
    pub fn checks(&self) -> &Arc<Checks> {
        &self.generation.checks
    }

    /// Starts to fetch keys, on the current runtime, until the tracker's tasks are dropped.
    pub fn keep_keys_fresh(&mut self, tasks: &TaskTracker) {
        self.generation.keep_keys_fresh(tasks);
    }

    /// Who can ask the provider of this name.
    pub fn inspector(&self, provider: &str) -> Option<&Inspector> {
        let mut inspectors = self.generation.inspectors.iter();
        inspectors.find(|inspector| &*inspector.provider.name == provider)
    }

    /// Waits until every provider has been asked for its keys once, but not for ever.
    pub async fn providers_tried(&self) {
        self.generation.providers_tried().await;
    }

    /// Which issuers' keys could not be fetched the last time, and why; for a person.
    pub fn provider_problems(&self) -> Vec<String> {
        let now = self.surroundings.clock.now().instant;
        let problems = self
            .generation
            .keyrings()
            .filter_map(|(provider, keyring)| {
                let status = keyring.status(now);
                Some(format!(
                    "provider {provider}, issuer {}: {}",
                    status.issuer, status.last_error?
                ))
            });
        problems.collect()
    }

    /// Listens and serves until `control.stop` yields, then drains; a second one cuts the draining short. What changes
    /// at the `source` is taken up meanwhile; `None`: nothing can.
    pub async fn serve(
        mut self,
        control: Control,
        source: Option<Source>,
    ) -> Result<(), ServeError> {
        let Control { mut stop, reload } = control;
        let ports = Ports::bind(&self.listen).await?;
        let secured = Secured::of(&self.listen, &self.surroundings);
        let service = self.service();
        let readiness = Readiness::new().await;
        let draining = CancellationToken::new();
        let workers = Workers::start(
            &self.served(
                &service,
                &readiness,
                ports.grpc.secured_by(secured.grpc.clone()),
            )?,
            &draining,
        );
        let workers = Arc::new(workers.map_err(ServeError::Threads)?);

        let tasks = TaskTracker::new();
        self.generation.start(&tasks);
        let traces = Traces::start(self.exporter.take(), &tasks);
        let process = self.process(&readiness);
        let pages = Arc::new(ArcSwap::from_pointee(pages(&process, &self.generation)));
        let admin = admin::current(Arc::clone(&pages));
        tasks.spawn(serve_admin(ports.admin, secured.admin.clone(), admin));
        if let Some(health) = ports.health {
            tasks.spawn(serve_health(health, readiness.server()));
        }
        let accepting = {
            let (workers, draining) = (Arc::clone(&workers), draining.clone());
            tasks.spawn(async move { workers.accept(ports.grpc, draining).await })
        };
        let mut current = Current {
            generation: self.generation,
            service,
            pages,
            secured,
            process,
            surroundings: self.surroundings,
            tasks,
            fixed: self.fixed,
        };
        until_stopped(&mut current, &mut stop, &readiness, (source, reload)).await;
        let shutdown = current.generation.shutdown;
        drain(shutdown, stop, &readiness, &draining).await;
        // The acceptor holds the listener and the threads; it is gone now or never was.
        drop(accepting.await);
        if let Some(workers) = Arc::into_inner(workers) {
            finish(workers, shutdown.drain_timeout).await;
        }
        if let Some(own_tokens) = &current.generation.own_tokens {
            own_tokens.finish().await;
        }
        traces.finish().await;
        info!("stopped");
        Ok(())
    }

    fn service(&self) -> AuthorizationService {
        AuthorizationService {
            checks: Arc::new(ArcSwap::new(Arc::clone(&self.generation.checks))),
            clock: Arc::clone(&self.surroundings.clock),
            metrics: self.surroundings.metrics.clone(),
            telemetry: self.telemetry.clone(),
        }
    }

    fn served(
        &self,
        service: &AuthorizationService,
        readiness: &Readiness,
        tls: Option<TlsPort>,
    ) -> Result<Served, ServeError> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let others = Routes::new(readiness.server())
            .add_service(reflection)
            .prepare();
        let identity = &self.generation.checks.identity_header;
        Ok(Served {
            calls: FailClosed::new(service.clone(), identity, others),
            clock: Arc::clone(&self.surroundings.clock),
            max_connection_age: self.generation.shutdown.max_connection_age,
            tls,
        })
    }

    fn process(&self, readiness: &Readiness) -> Process {
        let Surroundings { clock, metrics, .. } = self.surroundings.clone();
        Process {
            ready: readiness.flag(),
            metrics,
            started: clock.now(),
            clock,
            on_disk: Arc::default(),
        }
    }
}

/// Ready once every provider has been tried. Returns when `stop` yields, ready or not: a service
/// that is told to go does not wait for its providers first.
async fn until_stopped(
    current: &mut Current,
    stop: &mut mpsc::Receiver<()>,
    readiness: &Readiness,
    (source, reload): (Option<Source>, mpsc::Receiver<()>),
) {
    tokio::select! {
        () = current.generation.tried() => {}
        _ = stop.recv() => return,
    }
    readiness.set(true).await;
    info!("ready");
    tokio::select! {
        () = current.follow(source, reload) => {}
        _ = stop.recv() => {}
    }
}

/// NOT_SERVING first, and serve on: Envoy must have looked elsewhere before connections close.
async fn drain(
    shutdown: Shutdown,
    mut stop: mpsc::Receiver<()>,
    readiness: &Readiness,
    draining: &CancellationToken,
) {
    info!(delay = ?shutdown.drain_delay, "stopping: not ready any more, still serving");
    readiness.set(false).await;
    // Ended by the delay or by the second signal, whichever is first.
    drop(timeout(shutdown.drain_delay, stop.recv()).await);
    info!(within = ?shutdown.drain_timeout, "stopping: finishing checks in flight");
    draining.cancel();
}

/// Waits for the serving threads; a connection that never ends (a health Watch) is left behind.
async fn finish(workers: Workers, within: Duration) {
    let joined = tokio::task::spawn_blocking(move || workers.join());
    if timeout(within, joined).await.is_err() {
        warn!("connections were still open at the end");
    }
}
