//! Sends spans while the service runs, and what is left of them at its end.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    clock::Clock,
    config::TracingConfig,
    metrics::Metrics,
    telemetry::trace::{Exporter, Tracer, TracingError},
};

/// The last spans may take so long. They are worth less than a process that ends when it is told to.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What makes spans and what sends them, if they are wanted.
pub(super) fn tracer(
    config: Option<&TracingConfig>,
    metrics: &Metrics,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<Tracer>, Option<Exporter>), TracingError> {
    let tracing = config.map(|config| Tracer::new(config, metrics, clock));
    Ok(tracing.transpose()?.unzip())
}

/// The task that sends spans, if there is one.
pub(super) struct Traces {
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Traces {
    pub(super) fn start(exporter: Option<Exporter>, tasks: &TaskTracker) -> Self {
        let stop = CancellationToken::new();
        let task = exporter.map(|exporter| tasks.spawn(exporter.run(stop.clone())));
        Self { task, stop }
    }

    /// Sends what is left, but not for ever.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        if let Some(task) = self.task
            && timeout(LAST_SPANS, task).await.is_err()
        {
            warn!("the last spans were not sent: the collector does not answer");
        }
    }
}
