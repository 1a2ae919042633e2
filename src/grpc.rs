//! Step 1, the edge: Envoy's call comes in, an answer goes out, whatever happens in between.

mod fail_closed;
pub mod listener;
pub mod server;
pub mod trial;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tonic::{Response, Status, metadata::MetadataMap};

use fail_closed::Arrived;
pub use fail_closed::FailClosedLayer;

use crate::{
    clock::{Clock, Now},
    metrics::Metrics,
    pb::envoy::service::auth::v3::{
        CheckRequest, CheckResponse, authorization_server::Authorization,
    },
    pipeline::{Decision, Occasion, Pipeline},
    request::Request,
    response::{self, IdentityHeader},
    telemetry::{
        Telemetry,
        trace::{Arrival, Span},
    },
};

/// The answer leaves this much earlier than Envoy stops waiting: a late answer is an error to
/// Envoy, and `failure_mode_allow` lets errors pass.
const ANSWER_BEFORE_TIMEOUT: Duration = Duration::from_millis(10);

/// Answers checks, by the configuration that holds when they come. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationService {
    /// What the configuration says. A check sees one configuration from its beginning to its end.
    pub checks: Arc<ArcSwap<Checks>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts answers.
    pub metrics: Metrics,
    /// Tells about them.
    pub telemetry: Telemetry,
}

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
    /// What Envoy gets.
    pub response: CheckResponse,
    /// The span of the check, until it is told how it ended.
    pub span: Option<Span>,
}

impl Checks {
    /// Decides about one check; without an `arrival` it is not traced.
    pub async fn answer(
        &self,
        check: CheckRequest,
        now: Now,
        deadline: Instant,
        arrival: Option<Arrival>,
    ) -> Answer {
        let request = Request::parse(check, self.trusted_hops);
        let headers = request.as_ref().ok().map(|request| &request.headers);
        let span = arrival.map(|arrival| arrival.span(headers));
        let (request, decision) = match request {
            Ok(request) => {
                let occasion = Occasion {
                    now,
                    deadline,
                    span: span.as_ref(),
                };
                let decision = self.pipeline.check(&request, occasion).await;
                (Some(request), decision)
            }
            Err(malformed) => (None, Decision::denied(malformed)),
        };
        // A grant that comes too late is none: Envoy may already have given up on it.
        let decision = if self.clock.now().instant > deadline {
            decision.too_late()
        } else {
            decision
        };
        let headers = request.as_ref().map(|request| &request.headers);
        let response = response::encode(&decision, headers, &self.identity_header);
        Answer {
            decision,
            request,
            response,
            span,
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

    fn deadline(&self, metadata: &MetadataMap, arrived: Instant) -> Instant {
        let asked = metadata
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(parse_grpc_timeout)
            .map(|timeout| {
                timeout
                    .checked_sub(ANSWER_BEFORE_TIMEOUT)
                    .unwrap_or(timeout / 2)
            });
        arrived + asked.map_or(self.check_timeout, |asked| asked.min(self.check_timeout))
    }
}

#[tonic::async_trait]
impl Authorization for AuthorizationService {
    async fn check(
        &self,
        call: tonic::Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let checks = self.checks.load();
        let now = self.clock.now();
        let arrived = call.extensions().get::<Arrived>();
        let arrived = arrived.map_or(now.instant, |Arrived(instant)| *instant);
        let deadline = checks.deadline(call.metadata(), arrived);
        let arrival = self.telemetry.arrival(arrived, call.metadata().as_ref());
        let answer = checks
            .answer(call.into_inner(), now, deadline, arrival)
            .await;
        let took = self
            .clock
            .now()
            .instant
            .saturating_duration_since(now.instant);
        self.metrics.count_decision(&answer.decision, took);
        self.telemetry
            .tell(&answer.decision, answer.request.as_ref(), answer.span, took);
        Ok(Response::new(answer.response))
    }
}

/// gRPC over HTTP/2, `TimeoutValue TimeoutUnit`: at most eight digits and one letter.
fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(value),
        "M" => Duration::from_mins(value),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SystemClock,
        config::schema::Log,
        pb::envoy::service::auth::v3::check_response::HttpResponse,
        pipeline::{CacheLimits, TokenCache, TokenMemory},
        route::{Enforcement, Routes},
    };

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_from_the_headers_of_the_call() {
        let limits = CacheLimits {
            ttl: Duration::ZERO,
            entries: 1,
            bytes: 1,
        };
        let cache = TokenCache::new(&[0; 32], limits);
        let checks = Checks {
            pipeline: Pipeline::new(
                Routes::default(),
                TokenMemory::new(cache),
                None,
                Enforcement::Enforce,
            ),
            identity_header: Arc::new(IdentityHeader::new("x-remote-user", &[]).expect("a name")),
            trusted_hops: 0,
            check_timeout: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
        };
        let service = AuthorizationService {
            checks: Arc::new(ArcSwap::from_pointee(checks)),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            telemetry: Telemetry::new(Log::default(), None),
        };
        let arrived = SystemClock.now().instant;
        let after = async |late: Duration| {
            let mut call = tonic::Request::new(CheckRequest::default());
            call.metadata_mut()
                .insert("grpc-timeout", "200m".parse().expect("a value"));
            call.extensions_mut().insert(Arrived(arrived));
            tokio::time::sleep_until(arrived + late).await;
            let answer = service.check(call).await.expect("an answer");
            let denied = match answer.into_inner().http_response {
                Some(HttpResponse::DeniedResponse(denied)) => denied,
                other => panic!("{other:?}"),
            };
            denied.status.expect("a status").code
        };

        assert_eq!(after(Duration::from_millis(190)).await, 400);
        assert_eq!(after(Duration::from_millis(191)).await, 503);
    }

    #[test]
    fn grpc_timeouts_are_read_as_the_protocol_writes_them() {
        assert_eq!(parse_grpc_timeout("200m"), Some(Duration::from_millis(200)));
        assert_eq!(parse_grpc_timeout("1S"), Some(Duration::from_secs(1)));
        assert_eq!(
            parse_grpc_timeout("99999999H"),
            Some(Duration::from_hours(99_999_999))
        );
        for bad in [
            "",
            "m",
            "200",
            "-1S",
            "1.5S",
            "999999999S",
            "1x",
            "1 S",
            "\u{e9}",
        ] {
            assert_eq!(parse_grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
