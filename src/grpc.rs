//! The edge: Envoy's call comes in, an answer goes out, whatever happens in between.

mod fail_closed;
pub mod listener;
pub mod server;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::{Response, Status, metadata::MetadataMap};

pub use fail_closed::FailClosedLayer;

use crate::{
    clock::{Clock, Now},
    metrics::Metrics,
    pb::envoy::service::auth::v3::{
        CheckRequest, CheckResponse, authorization_server::Authorization,
    },
    pipeline::{Decision, Pipeline},
    request::Request,
    response::{self, IdentityHeader},
    telemetry,
    verify::Unavailable,
};

/// The answer leaves this much earlier than Envoy stops waiting: a late answer is an error to
/// Envoy, and `failure_mode_allow` lets errors pass.
const ANSWER_BEFORE_TIMEOUT: Duration = Duration::from_millis(10);

/// Answers checks. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationService {
    /// What the configuration says.
    pub pipeline: Arc<Pipeline>,
    /// The header that carries the user.
    pub identity_header: Arc<IdentityHeader>,
    /// Longest check.
    pub check_timeout: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts answers.
    pub metrics: Metrics,
}

/// One answered check.
pub struct Answer {
    /// The verdict and what was learnt on the way.
    pub decision: Decision,
    /// The request, if it could be read.
    pub request: Option<Request>,
    /// What Envoy gets.
    pub response: CheckResponse,
}

impl AuthorizationService {
    /// Decides about one check.
    pub async fn answer(&self, check: CheckRequest, now: Now, deadline: Instant) -> Answer {
        let (request, decision) = match Request::parse(check) {
            Ok(request) => {
                let decision = self.pipeline.check(&request, now, deadline).await;
                (Some(request), decision)
            }
            Err(malformed) => (None, Decision::denied(malformed)),
        };
        // A grant that comes too late is none: Envoy may already have given up on it.
        let decision = if self.clock.now().instant > deadline {
            Decision {
                verdict: Err(Unavailable::Deadline.into()),
                ..decision
            }
        } else {
            decision
        };
        let headers = request.as_ref().map(|request| &request.headers);
        let response = response::encode(&decision, headers, &self.identity_header);
        Answer {
            decision,
            request,
            response,
        }
    }

    fn deadline(&self, metadata: &MetadataMap, now: Now) -> Instant {
        let asked = metadata
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(parse_grpc_timeout)
            .map(|timeout| {
                timeout
                    .checked_sub(ANSWER_BEFORE_TIMEOUT)
                    .unwrap_or(timeout / 2)
            });
        now.instant + asked.map_or(self.check_timeout, |asked| asked.min(self.check_timeout))
    }
}

#[tonic::async_trait]
impl Authorization for AuthorizationService {
    async fn check(
        &self,
        call: tonic::Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let now = self.clock.now();
        let deadline = self.deadline(call.metadata(), now);
        let answer = self.answer(call.into_inner(), now, deadline).await;
        let took = self
            .clock
            .now()
            .instant
            .saturating_duration_since(now.instant);
        self.metrics.count_decision(&answer.decision, took);
        telemetry::log_decision(&answer.decision, answer.request.as_ref(), took);
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
