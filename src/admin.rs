//! The operator's HTTP port: health, metrics, status, and the admin API. The pages answer nothing that is secret;
//! the port still belongs on loopback or behind a network policy.

pub mod api;
pub mod listener;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tower::{ServiceExt, service_fn};

use api::Api;

use crate::{
    clock::{Clock, Now},
    grpc::Checks,
    metrics::{KeysNow, Metrics, Present, ProviderNow},
    provider::Provider,
    route::Enforcement,
    verify::keyring::Keyring,
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages tell about. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// What outlives a configuration.
    pub process: Process,
    /// What the configuration says that holds.
    pub checks: Arc<Checks>,
    /// The keys of every provider, by its name.
    pub keyrings: Arc<[(Arc<str>, Arc<Keyring>)]>,
    /// All providers.
    pub providers: Arc<[Arc<Provider>]>,
    /// What is done with decisions about each application.
    pub enforcements: Arc<BTreeMap<String, Enforcement>>,
    /// Which configuration it is.
    pub generation: u64,
    /// Since when it holds.
    pub since: Now,
}

/// What the pages tell about the process. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    /// Whether checks should be sent here.
    pub ready: Arc<AtomicBool>,
    /// The counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started: Now,
    /// How the configuration on disk stands to the one that holds.
    pub on_disk: Arc<ArcSwap<OnDisk>>,
}

/// How the configuration on disk stands to the one that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OnDisk {
    /// It is refused, and the one before goes on.
    pub failed: bool,
    /// Why.
    pub problems: Vec<String>,
    /// Its sections that hold only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// The routes of the port; `None`: without the admin API.
pub fn router(admin: Admin, api: Option<Arc<Api>>) -> Router {
    let pages = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/statusz", get(statusz))
        .with_state(admin);
    match api {
        Some(api) => pages.merge(api::router(api)),
        None => pages,
    }
}

/// The routes of whichever configuration holds when a request comes.
pub fn current(routers: Arc<ArcSwap<Router>>) -> Router {
    Router::new().fallback_service(service_fn(move |request: Request| {
        let router = Router::clone(&routers.load());
        async move { Ok::<_, Infallible>(router.oneshot(request).await) }
    }))
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.process.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let now = admin.process.clock.now().instant;
    let keys: Vec<_> = admin
        .keyrings
        .iter()
        .map(|(provider, keyring)| (provider, keyring.status(now)))
        .collect();
    let keys = keys.iter().map(|(provider, status)| KeysNow {
        provider,
        issuer: &status.issuer,
        keys: status.keys,
        confirmed: status.confirmed_unix_seconds,
    });
    let providers = admin.providers.iter().map(|provider| ProviderNow {
        name: &provider.name,
        is_unbound: provider.is_unbound,
        circuit_open: provider.asked().map(|asked| asked.circuit_open),
    });
    let applications = admin.enforcements.iter();
    let pipeline = &admin.checks.pipeline;
    let present = Present {
        generation: admin.generation,
        cache: pipeline.cache_sizes(),
        keys: keys.collect(),
        providers: providers.collect(),
        applications: applications
            .map(|(name, enforcement)| (name.as_str(), *enforcement))
            .collect(),
        store_up: pipeline
            .api_tokens()
            .map(|api_tokens| !api_tokens.memory().is_silent(now)),
    };
    let page = admin.process.metrics.render(&present);
    ([(header::CONTENT_TYPE, OPENMETRICS)], page)
}

async fn statusz(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let Process {
        ready,
        clock,
        started,
        on_disk,
        ..
    } = &admin.process;
    let now = clock.now().instant;
    let keys = admin.keyrings.iter();
    let keys = keys
        .map(|(provider, keyring)| json!({"provider": &**provider, "keys": keyring.status(now)}));
    let asked = admin.providers.iter().filter_map(|provider| {
        let asked = provider.asked()?;
        Some(json!({"provider": &*provider.name, "asked": asked}))
    });
    let pipeline = &admin.checks.pipeline;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": ready.load(Ordering::Acquire),
        "uptime_seconds": now.saturating_duration_since(started.instant).as_secs(),
        "config": {
            "generation": admin.generation,
            "loaded_unix_seconds": admin.since.unix_seconds,
            "reload": &**on_disk.load(),
        },
        "cache": pipeline.cache_sizes(),
        "api_tokens": pipeline.api_tokens().map(|api_tokens| api_tokens.memory().status(now)),
        "providers": keys.chain(asked).collect::<Vec<_>>(),
    }))
}
