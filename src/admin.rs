//! The operator's HTTP port: health, metrics, status, and the admin API. The pages answer nothing that is secret;
//! the port still belongs on loopback or behind a network policy.

pub mod api;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;

use api::Api;

use crate::{
    clock::{Clock, Now},
    metrics::Metrics,
    pipeline::Pipeline,
    verify::keyring::Keyring,
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages tell about. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// Whether checks should be sent here.
    pub ready: Arc<AtomicBool>,
    /// The counters.
    pub metrics: Metrics,
    /// The cache.
    pub pipeline: Arc<Pipeline>,
    /// The keys of every provider, by its name.
    pub keyrings: Arc<Vec<(Arc<str>, Arc<Keyring>)>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started: Now,
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

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let page = admin.metrics.render(admin.pipeline.cache_sizes());
    ([(header::CONTENT_TYPE, OPENMETRICS)], page)
}

async fn statusz(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let now = admin.clock.now().instant;
    let providers: Vec<_> = admin
        .keyrings
        .iter()
        .map(|(provider, keyring)| json!({"provider": &**provider, "keys": keyring.status(now)}))
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": admin.ready.load(Ordering::Acquire),
        "uptime_seconds": now.saturating_duration_since(admin.started.instant).as_secs(),
        "cache": admin.pipeline.cache_sizes(),
        "api_tokens": admin.pipeline.api_tokens().map(|api_tokens| api_tokens.memory().status(now)),
        "providers": providers,
    }))
}
