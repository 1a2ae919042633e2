//! What an operator must look after: the configuration on disk, and the certificates.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    Metrics,
    labels::{OutcomeLabels, PortLabels},
};

/// How taking up a configuration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It holds.
    Applied,
    /// It has problems, and the one before goes on.
    Refused,
}

impl ReloadOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Upkeep {
    reloads: Family<OutcomeLabels, Counter>,
    reload_failed: Gauge,
    needs_restart: Gauge,
    certificate_ends: Family<PortLabels, Gauge>,
    failed_handshakes: Family<PortLabels, Counter>,
}

impl Upkeep {
    pub(super) fn register(&self, to: &mut Registry) {
        // They begin at 0: an increase from nothing is none to Prometheus.
        for outcome in [ReloadOutcome::Applied, ReloadOutcome::Refused] {
            let outcome = outcome.as_str();
            drop(self.reloads.get_or_create(&OutcomeLabels { outcome }));
        }
        to.register(
            "config_reloads",
            "Changed configurations, by what became of them",
            self.reloads.clone(),
        );
        to.register(
            "config_reload_failed",
            "1: the configuration on disk is refused, and an older one goes on",
            self.reload_failed.clone(),
        );
        to.register(
            "config_needs_restart",
            "1: a part of the configuration on disk holds only after a restart",
            self.needs_restart.clone(),
        );
        to.register(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate of a port ends",
            self.certificate_ends.clone(),
        );
        to.register(
            "tls_failed_handshakes",
            "Connections that ended before they were secure",
            self.failed_handshakes.clone(),
        );
    }
}

impl Metrics {
    /// Counts a configuration that has changed on disk.
    pub fn count_reload(&self, outcome: ReloadOutcome) {
        let labels = OutcomeLabels {
            outcome: outcome.as_str(),
        };
        self.upkeep.reloads.get_or_create(&labels).inc();
    }

    /// How the configuration on disk stands to the one that holds.
    pub fn set_on_disk(&self, refused: bool, needs_restart: bool) {
        self.upkeep.reload_failed.set(refused.into());
        self.upkeep.needs_restart.set(needs_restart.into());
    }

    /// Tells when the certificate of a port ends (Unix seconds).
    pub fn set_certificate_end(&self, port: &'static str, at: i64) {
        let labels = PortLabels { port };
        self.upkeep.certificate_ends.get_or_create(&labels).set(at);
        drop(self.upkeep.failed_handshakes.get_or_create(&labels));
    }

    /// Counts a connection that ended before it was secure.
    pub fn count_failed_handshake(&self, port: &'static str) {
        let labels = PortLabels { port };
        self.upkeep.failed_handshakes.get_or_create(&labels).inc();
    }
}
