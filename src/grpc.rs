//! Step 1, the edge: Envoy's call comes in, an answer goes out, whatever happens in between.

mod alarm;
mod calls;
mod connection;
mod fail_closed;
mod http2;
pub mod listener;
mod message;
pub mod server;
mod service;
pub mod stream;
mod timers;
pub mod trial;
mod turns;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

pub use fail_closed::FailClosed;
pub use service::AuthorizationService;

use crate::{
    clock::{Clock, Now},
    pipeline::{Decision, Occasion, Pipeline},
    request::{Check, Request},
    response::{self, IdentityHeader},
    telemetry::trace::{Arrival, Span},
    verify::Unavailable,
};

/// What one configuration says about checks.
pub struct Checks {
    /// Decides.
    pub pipeline: Pipeline,
    /// The header that carries the user.
    pub identity_header: Arc<IdentityHeader>,
    /// Addresses at the right end of `X-Forwarded-For` that are believed.
    pub trusted_hops: u8,
    /// Longest check.
    pub check_timeout: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// One answered check.
pub struct Answer {
    /// The verdict and what was learnt on the way.
    pub decision: Decision,
    /// The request, if it could be read.
    pub request: Option<Request>,
    /// What Envoy gets: a `CheckResponse` as gRPC sends it.
    framed: Bytes,
    /// The span of the check, until it is told how it ended.
    pub span: Option<Span>,
}

impl Answer {
    /// What it says: an encoded `CheckResponse`.
    pub fn response(&self) -> &[u8] {
        message::in_frame(&self.framed)
    }
}

impl Checks {
    /// Decides about one check; without an `arrival` it is not traced.
    pub async fn answer(
        &self,
        check: impl Into<Check>,
        now: Now,
        deadline: Instant,
        arrival: Option<Arrival>,
    ) -> Answer {
        let request = Request::parse(check, self.trusted_hops);
        let headers = request.as_ref().ok().map(|request| &request.headers);
        let span = arrival.map(|arrival| arrival.span(headers));
        let occasion = Occasion {
            now,
            deadline,
            span: span.as_ref(),
        };
        let decision = match &request {
            Ok(request) => self.pipeline.check(request, occasion).await,
            Err(malformed) => Decision::denied(*malformed),
        };
        // A grant that comes too late is none: Envoy may already have given up on it.
        let decision = if self.clock.instant() > deadline {
            decision.too_late()
        } else {
            decision
        };
        let headers = request.as_ref().ok().map(|request| &request.headers);
        let framed = message::framed(|to| {
            response::encode(to, &decision, headers, &self.identity_header);
        });
        Answer {
            decision,
            request: request.ok(),
            framed,
            span,
        }
    }

    /// The answer to a check that could not even be read.
    fn unread(&self, why: Unavailable, arrival: Option<Arrival>) -> Answer {
        let decision = Decision::denied(why);
        Answer {
            framed: message::framed(|to| {
                response::encode(to, &decision, None, &self.identity_header);
            }),
            decision,
            request: None,
            span: arrival.map(|arrival| arrival.span(None)),
        }
    }

    /// Answers alike, explains itself, and leaves no notes about the tokens that it meets.
    #[must_use]
    pub fn for_trials(&self) -> Self {
        Self {
            pipeline: self.pipeline.for_trials(),
            identity_header: Arc::clone(&self.identity_header),
            trusted_hops: self.trusted_hops,
            check_timeout: self.check_timeout,
            clock: Arc::clone(&self.clock),
        }
    }
}
