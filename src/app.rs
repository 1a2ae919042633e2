//! Puts a configuration to work: the only constructor, the only place that starts tasks, and the
//! only one that knows how the service stops.

mod api;
mod parts;
mod tokens;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use futures_util::future;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tracing::{info, warn};

use self::{api::ApiParts, parts::Parts, tokens::OwnTokens};
use crate::{
    admin::{self, Admin, api::Api},
    clock::Clock,
    config::{Config, Limits, Listen, Shutdown},
    grpc::{
        AuthorizationService, FailClosedLayer,
        listener::Listener,
        server::{MAX_MESSAGE_BYTES, Served, Workers},
    },
    inspect::Inspector,
    metrics::Metrics,
    outbound::{Outbound, UnusableCertificates},
    pb::{
        FILE_DESCRIPTOR_SET, envoy::service::auth::v3::authorization_server::AuthorizationServer,
    },
    pipeline::{CacheLimits, Pipeline, TokenCache},
    store::FileError,
    verify::keyring::{KeyFetcher, Keyring},
};

/// Health services that follow readiness. `""` is what most probes ask, the full name what Envoy
/// asks.
const READINESS_SERVICES: [&str; 3] = ["", "envoy.service.auth.v3.Authorization", "readiness"];
const LIVENESS_SERVICE: &str = "liveness";
/// A dead provider must not keep the service from starting, nor a slow one: after this time it is
/// ready all the same, and that provider's tokens are answered 503.
const LONGEST_START: Duration = Duration::from_secs(5);

/// A configuration at work, not yet listening.
pub struct App {
    /// Answers checks.
    pub service: AuthorizationService,
    keyrings: Arc<Vec<(Arc<str>, Arc<Keyring>)>>,
    fetchers: Vec<(Arc<Keyring>, KeyFetcher)>,
    inspectors: Arc<Vec<Inspector>>,
    api: Option<Arc<Api>>,
    own_tokens: Option<OwnTokens>,
    listen: Listen,
    shutdown: Shutdown,
}

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// See [`UnusableCertificates`].
    #[error("provider {provider}: {source}")]
    Certificates {
        /// The provider's name.
        provider: String,
        /// The cause.
        source: UnusableCertificates,
    },
    /// The file of our own tokens is not safe.
    #[error("api_tokens.store: {0}")]
    TokenFile(#[from] FileError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// Why a running service ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port or socket cannot be had.
    #[error("cannot listen on {address} (listen.{setting})")]
    Listen {
        /// As configured.
        address: String,
        /// The member of `listen`.
        setting: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start the serving threads")]
    Threads(#[source] io::Error),
    /// The reflection service refuses our descriptors.
    #[error("cannot set up gRPC reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl App {
    /// Builds everything that a configuration describes. Must be called on the control runtime.
    pub fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        let metrics = Metrics::new();
        let mut parts = Parts::new(metrics.clone(), Arc::clone(&clock));
        let accepted = api::accepted_at(&config);
        for provider in config.providers {
            let outbound = Outbound::new(config.urls, provider.authorities.clone());
            let outbound = outbound.map_err(|source| AppError::Certificates {
                provider: provider.name.clone(),
                source,
            })?;
            parts.add_provider(provider, &outbound);
        }
        let names: Vec<_> = config
            .applications
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let bytes = config.limits.cache_bytes;
        let own_tokens = config
            .api_tokens
            .map(|api_tokens| OwnTokens::build(api_tokens, names, bytes, &metrics, &clock))
            .transpose()?;
        let judge = own_tokens.as_ref().map(|own| own.judge.clone());
        let routes = parts.routes(config.applications);
        let api = config.admin.map(|rights| ApiParts {
            selector: parts.shared_selector(rights.providers.clone()),
            applications: accepted,
            rights,
        });
        let cache = TokenCache::new(&random()?, config.limits.into());
        let service = AuthorizationService {
            pipeline: Arc::new(Pipeline::new(routes, cache, judge, config.enforcement)),
            identity_header: Arc::new(config.identity_header),
            trusted_hops: config.trusted_hops,
            check_timeout: config.limits.check_timeout,
            clock,
            metrics,
        };
        let inspectors = Arc::new(parts.inspectors());
        let desk = own_tokens.as_ref().map(|own| own.desk.clone());
        Ok(Self {
            api: api.map(|api| api.with(&service, &inspectors, desk)),
            service,
            inspectors,
            keyrings: Arc::new(parts.keyrings),
            fetchers: parts.fetchers,
            own_tokens,
            listen: config.listen,
            shutdown: config.shutdown,
        })
    }

    /// Starts to fetch keys, on the current runtime, until the tracker's tasks are dropped.
    pub fn keep_keys_fresh(&mut self, tasks: &TaskTracker) {
        for (keyring, fetcher) in self.fetchers.drain(..) {
            tasks.spawn(keyring.keep_fresh(fetcher));
        }
    }

    /// Who can ask the provider of this name.
    pub fn inspector(&self, provider: &str) -> Option<&Inspector> {
        let mut inspectors = self.inspectors.iter();
        inspectors.find(|inspector| &*inspector.provider.name == provider)
    }

    /// Waits until every provider has been asked for its keys once, but not for ever.
    pub async fn providers_tried(&self) {
        let all = async {
            for (_, keyring) in self.keyrings.iter() {
                keyring.tried_once().await;
            }
        };
        if timeout(LONGEST_START, all).await.is_err() {
            warn!("starting without the keys of a provider that does not answer");
        }
    }

    /// Waits until the store of our own tokens has answered once, but not for ever.
    async fn store_tried(&self) {
        if let Some(api_tokens) = self.service.pipeline.api_tokens()
            && timeout(LONGEST_START, api_tokens.memory().heard_once())
                .await
                .is_err()
        {
            warn!("starting without the token store, which does not answer");
        }
    }

    /// Which issuers' keys could not be fetched the last time, and why; for a person.
    pub fn provider_problems(&self) -> Vec<String> {
        let now = self.service.clock.now().instant;
        let problem = |(provider, keyring): &(Arc<str>, Arc<Keyring>)| {
            let status = keyring.status(now);
            Some(format!(
                "provider {provider}, issuer {}: {}",
                status.issuer, status.last_error?
            ))
        };
        self.keyrings.iter().filter_map(problem).collect()
    }

    /// Listens and serves until `stop` yields, then drains; a second `stop` cuts the draining short.
    pub async fn serve(mut self, mut stop: mpsc::Receiver<()>) -> Result<(), ServeError> {
        let (grpc, admin) = self.listen.bind().await?;
        let tasks = TaskTracker::new();
        let ready = Arc::new(AtomicBool::new(false));
        let health = HealthReporter::new();
        set_readiness(&health, ServingStatus::NotServing).await;
        health
            .set_service_status(LIVENESS_SERVICE, ServingStatus::Serving)
            .await;
        let draining = CancellationToken::new();
        let workers = Arc::new(self.workers(&grpc, &health, &draining)?);

        self.keep_keys_fresh(&tasks);
        let own_tokens = self.own_tokens.take().map(|own| own.start(&tasks));
        tasks.spawn(serve_admin(admin, self.admin(&ready), self.api.take()));
        let accepting = {
            let (workers, draining) = (Arc::clone(&workers), draining.clone());
            tasks.spawn(async move { workers.accept(grpc, draining).await })
        };
        self.until_stopped(&mut stop, &ready, &health).await;
        self.drain(stop, &ready, &health, &draining).await;
        // The acceptor holds the listener and the threads; it is gone now or never was.
        drop(accepting.await);
        if let Some(workers) = Arc::into_inner(workers) {
            finish(workers, self.shutdown.drain_timeout).await;
        }
        if let Some(own_tokens) = own_tokens {
            own_tokens.finish().await;
        }
        info!("stopped");
        Ok(())
    }

    fn workers(
        &self,
        grpc: &Listener,
        health: &HealthReporter,
        draining: &CancellationToken,
    ) -> Result<Workers, ServeError> {
        let health = tonic_health::server::HealthService::from_health_reporter(health.clone());
        let served = Served {
            routes: self.grpc_services(HealthServer::new(health))?,
            fail_closed: FailClosedLayer::new(
                &self.service.identity_header,
                self.service.metrics.clone(),
                Arc::clone(&self.service.clock),
            ),
            max_connection_age: self.shutdown.max_connection_age,
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Workers::start(cores, &served, grpc, draining).map_err(ServeError::Threads)
    }

    fn grpc_services(&self, health: HealthServer<impl Health>) -> Result<Routes, ServeError> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let authorization = AuthorizationServer::new(self.service.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Routes::new(authorization)
            .add_service(health)
            .add_service(reflection)
            .prepare())
    }

    fn admin(&self, ready: &Arc<AtomicBool>) -> Admin {
        Admin {
            ready: Arc::clone(ready),
            metrics: self.service.metrics.clone(),
            pipeline: Arc::clone(&self.service.pipeline),
            keyrings: Arc::clone(&self.keyrings),
            clock: Arc::clone(&self.service.clock),
            started: self.service.clock.now(),
        }
    }

    /// Ready once every provider has been tried. Returns when `stop` yields, ready or not: a service
    /// that is told to go does not wait for its providers first.
    async fn until_stopped(
        &self,
        stop: &mut mpsc::Receiver<()>,
        ready: &AtomicBool,
        health: &HealthReporter,
    ) {
        tokio::select! {
            _ = future::join(self.providers_tried(), self.store_tried()) => {}
            _ = stop.recv() => return,
        }
        ready.store(true, Ordering::Release);
        set_readiness(health, ServingStatus::Serving).await;
        info!("ready");
        stop.recv().await;
    }

    /// NOT_SERVING first, and serve on: Envoy must have looked elsewhere before connections close.
    async fn drain(
        &self,
        mut stop: mpsc::Receiver<()>,
        ready: &AtomicBool,
        health: &HealthReporter,
        draining: &CancellationToken,
    ) {
        info!(delay = ?self.shutdown.drain_delay, "stopping: not ready any more, still serving");
        ready.store(false, Ordering::Release);
        set_readiness(health, ServingStatus::NotServing).await;
        // Ended by the delay or by the second signal, whichever is first.
        drop(timeout(self.shutdown.drain_delay, stop.recv()).await);
        info!(within = ?self.shutdown.drain_timeout, "stopping: finishing checks in flight");
        draining.cancel();
    }
}

impl Listen {
    async fn bind(&self) -> Result<(Listener, TcpListener), ServeError> {
        let refused = |setting, address: String| {
            move |source| ServeError::Listen {
                address,
                setting,
                source,
            }
        };
        let grpc = Listener::bind(&self.grpc).await;
        let grpc = grpc.map_err(refused("grpc", self.grpc.to_string()))?;
        let admin = TcpListener::bind(self.admin).await;
        let admin = admin.map_err(refused("admin", self.admin.to_string()))?;
        let admin_address = admin.local_addr().map(|address| address.to_string());
        info!(
            grpc = grpc.address(),
            admin = admin_address.unwrap_or_default(),
            "listening"
        );
        Ok((grpc, admin))
    }
}

async fn set_readiness(health: &HealthReporter, status: ServingStatus) {
    for service in READINESS_SERVICES {
        health.set_service_status(service, status).await;
    }
}

async fn serve_admin(listener: TcpListener, admin: Admin, api: Option<Arc<Api>>) {
    let router = admin::router(admin, api);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        warn!(%error, "the admin port has ended");
    }
}

/// Waits for the serving threads; a connection that never ends (a health Watch) is left behind.
async fn finish(workers: Workers, within: Duration) {
    let joined = tokio::task::spawn_blocking(move || workers.join());
    if timeout(within, joined).await.is_err() {
        warn!("connections were still open at the end");
    }
}

fn random() -> Result<[u8; 32], AppError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_unspecified| AppError::NoRandomness)?;
    Ok(bytes)
}

impl From<Limits> for CacheLimits {
    fn from(limits: Limits) -> Self {
        Self {
            ttl: limits.cache_ttl,
            entries: limits.cache_entries,
            bytes: limits.cache_bytes,
        }
    }
}
