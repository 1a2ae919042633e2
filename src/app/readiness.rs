//! Whether checks should be sent here, as gRPC health and as the admin port tell it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, HealthService},
};

/// Health services that follow readiness. `""` is what most probes ask, the full name what Envoy
/// asks.
const READINESS_SERVICES: [&str; 3] = ["", "envoy.service.auth.v3.Authorization", "readiness"];
const LIVENESS_SERVICE: &str = "liveness";

/// Whether checks should be sent here.
pub(super) struct Readiness {
    flag: Arc<AtomicBool>,
    reporter: HealthReporter,
}

impl Readiness {
    /// Alive, not ready.
    pub(super) async fn new() -> Self {
        let readiness = Self {
            flag: Arc::default(),
            reporter: HealthReporter::new(),
        };
        readiness.set(false).await;
        let reporter = &readiness.reporter;
        reporter
            .set_service_status(LIVENESS_SERVICE, ServingStatus::Serving)
            .await;
        readiness
    }

    pub(super) async fn set(&self, ready: bool) {
        self.flag.store(ready, Ordering::Release);
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in READINESS_SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Tells it over gRPC.
    pub(super) fn server(&self) -> HealthServer<impl Health + use<>> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
