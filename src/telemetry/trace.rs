//! Spans: what a check did, told to OpenTelemetry. A service without a [`Tracer`] does none of this.
//!
//! A span is kept as a few numbers while it lasts and becomes a record when it has ended, so that
//! nothing that is not recorded costs more than the numbers (docs/adr/0014).

mod check;
mod context;
mod export;

use std::{borrow::Cow, sync::Arc};

use http::HeaderMap;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;

pub(crate) use self::context::TRACEPARENT;
pub use self::export::{Exporter, TracingError};
use self::{context::TRACESTATE, export::Queue};
use crate::{clock::Clock, config::TracingConfig, metrics::Metrics, request::Headers};

/// Begins spans, and takes them when they have ended. Cheap to clone.
#[derive(Clone)]
pub struct Tracer(Arc<Shared>);

struct Shared {
    /// The share of the traces that begin here which are recorded.
    sample: f64,
    /// Random bits for a trace and for a span.
    ids: fn() -> (u128, u64),
    clock: Arc<dyn Clock>,
    queue: Queue,
    scope: InstrumentationScope,
}

/// The call of a check, before its request has been read.
pub struct Arrival {
    tracer: Tracer,
    at: Instant,
    parent: Option<SpanContext>,
}

/// Something that has begun and not ended. Clones are the same span: whoever asks in its name needs one.
#[derive(Clone)]
pub struct Span {
    tracer: Tracer,
    context: SpanContext,
    parent: Option<SpanContext>,
    began: Instant,
}

/// What is told of a span at its end.
pub(crate) struct Ended {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) status: Status,
    pub(crate) attributes: Vec<KeyValue>,
}

impl Tracer {
    /// As configured, and what sends its spans. Must be called on the runtime that is to send them.
    pub fn new(
        config: &TracingConfig,
        metrics: &Metrics,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Exporter), TracingError> {
        let (queue, queued) = Queue::new(metrics.clone());
        let tracer = Self::with(config.sample, rand::random, Arc::clone(clock), queue);
        Ok((tracer, Exporter::new(queued, config)?))
    }

    fn with(sample: f64, ids: fn() -> (u128, u64), clock: Arc<dyn Clock>, queue: Queue) -> Self {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Arc::new(Shared {
            sample,
            ids,
            clock,
            queue,
            scope,
        }))
    }

    /// The call of a check; these are the headers of the call itself.
    pub fn arrival(&self, at: Instant, headers: &HeaderMap) -> Arrival {
        let lines = |name| {
            headers
                .get_all(name)
                .iter()
                .map(http::HeaderValue::as_bytes)
        };
        Arrival {
            tracer: self.clone(),
            at,
            parent: context::parent(lines(TRACEPARENT), lines(TRACESTATE)),
        }
    }

    /// A trace of its own, of something that no check has asked for.
    pub fn root(&self) -> Span {
        self.begin(None, self.now())
    }

    /// A recorded parent is followed, and so is one that is not; without one, chance decides.
    fn begin(&self, parent: Option<SpanContext>, began: Instant) -> Span {
        let (trace_bits, span_bits) = (self.0.ids)();
        let span_id = SpanId::from(span_bits);
        let context = if let Some(parent) = &parent {
            let (flags, state) = (parent.trace_flags(), parent.trace_state().clone());
            SpanContext::new(parent.trace_id(), span_id, flags, false, state)
        } else {
            let trace_id = TraceId::from(trace_bits);
            let flags = self.chance(trace_id);
            SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE)
        };
        Span {
            tracer: self.clone(),
            context,
            parent,
            began,
        }
    }

    /// The last bits of a trace id are random (§ "Considerations for trace-id field generation").
    fn chance(&self, trace_id: TraceId) -> TraceFlags {
        const ALL: f64 = 4_294_967_296.0;
        let [.., a, b, c, d] = trace_id.to_bytes();
        let random = f64::from(u32::from_be_bytes([a, b, c, d])) / ALL;
        if random < self.0.sample {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::NOT_SAMPLED
        }
    }

    fn now(&self) -> Instant {
        self.0.clock.now().instant
    }
}

impl Arrival {
    /// The span of the check, once its request is known, or known to be unreadable. The call's own parent is nearer
    /// than the request's: it is the span of the gateway that waits for the answer.
    pub fn span(self, request: Option<&Headers>) -> Span {
        let of_request = || {
            let headers = request?;
            let lines = |name| headers.named(name).map(|header| header.value);
            context::parent(lines(TRACEPARENT), lines(TRACESTATE))
        };
        self.tracer.begin(self.parent.or_else(of_request), self.at)
    }
}

impl Span {
    /// Whether it will be recorded.
    pub fn is_recorded(&self) -> bool {
        self.context.is_sampled()
    }

    /// The trace in which it will be found.
    pub fn recorded_in(&self) -> Option<TraceId> {
        let trace = self.context.trace_id();
        self.is_recorded().then_some(trace)
    }

    /// A span of what is asked in the name of this one. Begins now.
    pub(crate) fn child(&self) -> Self {
        self.tracer
            .begin(Some(self.context.clone()), self.tracer.now())
    }

    /// The header for whoever is asked.
    pub(crate) fn traceparent(&self) -> String {
        context::traceparent(&self.context)
    }

    /// Ends it now. What it was is worked out only if it is recorded.
    pub(crate) fn end(self, what: impl FnOnce() -> Ended) {
        if !self.is_recorded() {
            return;
        }
        let Self {
            tracer,
            context,
            parent,
            began,
        } = self;
        let Ended {
            name,
            kind,
            status,
            attributes,
        } = what();
        let shared = &tracer.0;
        let end_time = shared.clock.wall();
        let took = tracer.now().saturating_duration_since(began);
        shared.queue.put(SpanData {
            parent_span_id: parent
                .as_ref()
                .map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: parent.as_ref().is_some_and(SpanContext::is_remote),
            span_context: context,
            span_kind: kind,
            name,
            start_time: end_time.checked_sub(took).unwrap_or(end_time),
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: shared.scope.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
