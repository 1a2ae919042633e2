//! What is told about checks, besides what is counted: a log line and a span for each, and nothing
//! secret in any of them.

mod log;
pub mod trace;

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
pub use log::{Logging, TelemetryError, init};
use tokio::time::Instant;

use self::{
    log::{DecisionLog, Told},
    trace::{Arrival, Span, Tracer},
};
use crate::{clock::Clock, config::schema::Log, pipeline::Decision, request::Request};

/// Tells about checks, as the configuration says.
#[derive(Clone)]
pub struct Telemetry {
    log: DecisionLog,
    tracer: Option<Tracer>,
}

impl Telemetry {
    /// Nothing is logged yet. Chance decides with the dice of the machine.
    pub fn new(log: Log, tracer: Option<Tracer>) -> Self {
        Self {
            log: DecisionLog::new(log, rand::random),
            tracer,
        }
    }

    /// Writes lines about decisions to the log from now on.
    pub fn log_to(&mut self, logging: &Logging, clock: Arc<dyn Clock>) {
        self.log.write_to(logging, clock);
    }

    /// The call of a check, for its span; these are the headers of the call. `None`: nothing is traced.
    pub fn arrival(&self, at: Instant, headers: &HeaderMap) -> Option<Arrival> {
        let tracer = self.tracer.as_ref();
        tracer.map(|tracer| tracer.arrival(at, headers))
    }

    /// Tells about one answered check.
    pub fn tell(
        &self,
        decision: &Decision,
        request: Option<&Request>,
        span: Option<Span>,
        took: Duration,
    ) {
        let trace = span.as_ref().and_then(Span::recorded_in);
        if let Some(span) = span {
            span.end_check(decision, request);
        }
        self.log.write(Told {
            decision,
            request,
            trace,
            took,
        });
    }
}
