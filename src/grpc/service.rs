//! The method `Check`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Body;
use tokio::time::Instant;

use super::{
    Checks,
    message::{self, Unreadable},
};
use crate::{clock::Clock, deadline, metrics::Metrics, telemetry::Telemetry, verify::Unavailable};

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

/// When the headers of a call came, and when it must be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) arrived: Instant,
    pub(super) deadline: Instant,
}

impl AuthorizationService {
    /// Answers a call with these headers, with a `CheckResponse` as gRPC sends it.
    pub(super) async fn serve(
        &self,
        checks: &Checks,
        headers: &HeaderMap,
        body: impl Body<Data = Bytes>,
        Times { arrived, deadline }: Times,
    ) -> Result<Bytes, Unreadable> {
        let check = deadline::by(deadline, message::read(body)).await;
        let now = self.clock.now();
        let arrival = self.telemetry.arrival(arrived, headers);
        let answer = match check {
            Ok(Ok(check)) => checks.answer(check, now, deadline, arrival).await,
            Ok(Err(unreadable)) => return Err(unreadable),
            Err(_elapsed) => checks.unread(Unavailable::Deadline, arrival),
        };
        let answered = self.clock.instant();
        let took = answered.saturating_duration_since(now.instant);
        self.metrics.count_decision(&answer.decision, took);
        self.telemetry
            .tell(&answer.decision, answer.request.as_ref(), answer.span, took);
        Ok(answer.framed)
    }
}

impl Checks {
    /// How long Envoy waits for the answer to a call with these headers, or we do.
    pub(super) fn time_for(&self, headers: &HeaderMap) -> Duration {
        time_for(headers, self.check_timeout)
    }
}

fn time_for(headers: &HeaderMap, longest: Duration) -> Duration {
    let asked = headers
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse_grpc_timeout)
        .map(|timeout| {
            timeout
                .checked_sub(ANSWER_BEFORE_TIMEOUT)
                .unwrap_or(timeout / 2)
        });
    asked.map_or(longest, |asked| asked.min(longest))
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
pub(super) mod tests {
    use http::HeaderValue;
    use http_body_util::{BodyExt, Full};
    use prost::Message;

    use super::*;
    use crate::{
        clock::SystemClock,
        config::schema::Log,
        pb::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse},
        pipeline::{CacheLimits, Pipeline, TokenCache, TokenMemory},
        response::IdentityHeader,
        route::{Enforcement, Routes},
    };

    /// Denies everything.
    pub(in crate::grpc) fn service_without_applications() -> AuthorizationService {
        let limits = CacheLimits {
            ttl: Duration::ZERO,
            entries: 1,
            bytes: 1,
        };
        let checks = Checks {
            pipeline: Pipeline::new(
                Routes::default(),
                TokenMemory::new(TokenCache::new(&[0; 32], limits)),
                None,
                Enforcement::Enforce,
            ),
            identity_header: Arc::new(IdentityHeader::new("x-remote-user", &[]).expect("a name")),
            trusted_hops: 0,
            check_timeout: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
        };
        AuthorizationService {
            checks: Arc::new(ArcSwap::from_pointee(checks)),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            telemetry: Telemetry::new(Log::default(), None),
        }
    }

    /// A call with an empty message.
    pub(in crate::grpc) fn a_call() -> http::Request<Full<Bytes>> {
        let mut call = http::Request::new(Full::new(Bytes::from_static(&[0; 5])));
        *call.uri_mut() = http::Uri::from_static("/envoy.service.auth.v3.Authorization/Check");
        call
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_from_the_headers_of_the_call() {
        let service = service_without_applications();
        let arrived = SystemClock.now().instant;
        let after = async |late: Duration| {
            let mut call = a_call();
            let timeout = HeaderValue::from_static("200m");
            call.headers_mut().insert("grpc-timeout", timeout);
            tokio::time::sleep_until(arrived + late).await;
            let checks = service.checks.load();
            let deadline = arrived + checks.time_for(call.headers());
            let times = Times { arrived, deadline };
            let (head, body) = call.into_parts();
            let answer = service.serve(&checks, &head.headers, body, times).await;
            let answer = answer.expect("a check");
            let answer = CheckResponse::decode(message::in_frame(&answer)).expect("an answer");
            let denied = match answer.http_response {
                Some(HttpResponse::DeniedResponse(denied)) => denied,
                other => panic!("{other:?}"),
            };
            denied.status.expect("a status").code
        };

        assert_eq!(after(Duration::from_millis(190)).await, 400);
        assert_eq!(after(Duration::from_millis(191)).await, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_message_does_not_come_is_denied_at_its_deadline() {
        let service = service_without_applications();
        let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::pending());
        let headers = HeaderMap::new();
        let arrived = SystemClock.instant();
        let checks = service.checks.load();
        let deadline = arrived + checks.time_for(&headers);

        let times = Times { arrived, deadline };
        let answer = service.serve(&checks, &headers, body, times).await;

        assert_eq!(SystemClock.instant(), deadline);
        let answer = CheckResponse::decode(message::in_frame(&answer.expect("an answer")));
        let answer = answer.expect("an answer");
        let reason = answer.dynamic_metadata.expect("metadata").fields["reason"].clone();
        assert_eq!(reason, prost_types::Value::from("deadline"));
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
