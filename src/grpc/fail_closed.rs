//! The first line and the last: nothing but a `CheckResponse` leaves the method `Check`, and a call that comes too late
//! does not get far.
//!
//! To Envoy every gRPC error is "no answer", and with `failure_mode_allow: true` the request then
//! passes with the client's own identity header. So whatever goes wrong below — a panic, a message
//! that is too large or no protobuf, a time-out of the server — is answered with a 503 denial.

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{error, warn};

use super::{
    AuthorizationService,
    connection::LastRead,
    message::{self, Unreadable},
};
use crate::{
    clock::Now,
    metrics::Metrics,
    pipeline::Decision,
    response::{self, IdentityHeader},
    verify::Unavailable,
};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Of the time that a call has, the part in which its turn must come. Its thread answers in the order in which calls come:
/// one that has waited for so long is behind many others, and so is every one after it. Some of them can be
/// answered in time only if the others are not decided at all. Another quarter may have passed before it was read.
const SHARE_OF_WAITING: u32 = 4;
/// With fewer calls before it, it was not for them that a call has waited: the machine had something else to do.
const MANY: u64 = 16;

/// Answers checks before a gRPC server does.
#[derive(Clone)]
pub struct FailClosedLayer(Arc<Front>);

struct Front {
    service: AuthorizationService,
    fallback: Fallback,
}

/// A gRPC server behind [`FailClosedLayer`].
#[derive(Clone)]
pub struct FailClosed<S> {
    checks: FailClosedLayer,
    others: S,
}

struct Fallback {
    /// Complete gRPC messages.
    undecided: Bytes,
    overloaded: Bytes,
    /// The second in which overload was last logged.
    told: AtomicI64,
}

impl FailClosedLayer {
    /// Prepares the answers that need no decision.
    pub fn new(service: AuthorizationService, identity: &IdentityHeader) -> Self {
        let message = |why: Unavailable| {
            let undecided = Decision::denied(why);
            message::framed(&response::encode(&undecided, None, identity))
        };
        let fallback = Fallback {
            undecided: message(Unavailable::Internal),
            overloaded: message(Unavailable::Overloaded),
            told: AtomicI64::new(i64::MIN),
        };
        Self(Arc::new(Front { service, fallback }))
    }

    async fn answer(self, call: Request<Body>) -> Response<Body> {
        let Front { service, fallback } = &*self.0;
        let metrics = &service.metrics;
        let answered = AssertUnwindSafe(async {
            let now = service.clock.now();
            let read = call.extensions().get::<LastRead>();
            let queued = read.map(LastRead::turn);
            let arrived = queued.map_or(now.instant, |queued| queued.since);
            let checks = service.checks.load();
            let time = checks.time_for(call.headers());
            let waited = now.instant.saturating_duration_since(arrived);
            let is_behind_many = queued.is_some_and(|queued| queued.behind >= MANY);
            if is_behind_many && waited > time / SHARE_OF_WAITING {
                return fallback.unread(waited, now, metrics);
            }
            match service.serve(&checks, call, arrived, arrived + time).await {
                Ok(response) => message::answer(message::framed(&response)),
                Err(unreadable) => fallback.instead_of(&unreadable, metrics),
            }
        });
        let answered = answered.catch_unwind().await;
        answered.unwrap_or_else(|panic| fallback.after(&*panic, metrics))
    }
}

impl<S> Layer<S> for FailClosedLayer {
    type Service = FailClosed<S>;

    fn layer(&self, others: S) -> FailClosed<S> {
        FailClosed {
            checks: self.clone(),
            others,
        }
    }
}

impl<S> Service<Request<Body>> for FailClosed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.others.poll_ready(context)
    }

    fn call(&mut self, call: Request<Body>) -> Self::Future {
        if call.uri().path() == CHECK {
            Box::pin(self.checks.clone().answer(call).map(Ok))
        } else {
            Box::pin(self.others.call(call))
        }
    }
}

impl Fallback {
    fn undecided(&self) -> Response<Body> {
        message::answer(self.undecided.clone())
    }

    fn instead_of(&self, unreadable: &Unreadable, metrics: &Metrics) -> Response<Body> {
        warn!(%unreadable, "a check could not be read and is answered 503");
        metrics.count_replaced_error();
        self.undecided()
    }

    fn after(&self, panic: &(dyn Any + Send), metrics: &Metrics) -> Response<Body> {
        // The message of a panic may hold a value: only its size is logged. The panic hook has
        // already logged the place.
        error!(
            payload_bytes = size_of_val(panic),
            "a check panicked and is answered 503"
        );
        metrics.count_panic();
        self.undecided()
    }

    fn unread(&self, waited: Duration, now: Now, metrics: &Metrics) -> Response<Body> {
        metrics.count_decision(&Decision::denied(Unavailable::Overloaded), waited);
        // What is too much to answer is too much to log.
        if self.told.swap(now.unix_seconds, Ordering::Relaxed) != now.unix_seconds {
            warn!(
                ?waited,
                "overloaded: checks that have waited too long are answered 503 unread"
            );
        }
        message::answer(self.overloaded.clone())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::BodyExt;
    use prost::Message;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        grpc::connection::Turns,
        grpc::service::tests::{a_call, service_without_applications},
        pb::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse},
    };

    /// The status that the client gets for a call whose turn comes so long after it was read, and after so many others.
    async fn status_after(waited: Duration, others: u64) -> i32 {
        let service = service_without_applications();
        let identity = IdentityHeader::new("x-remote-user", &[]).expect("a name");
        let layer = FailClosedLayer::new(service, &identity);
        let read = LastRead::new(SystemClock.instant(), Turns::default());
        for _ in 0..others {
            read.turn();
        }
        let mut call = a_call();
        let second = HeaderValue::from_static("1S");
        call.headers_mut().insert("grpc-timeout", second);
        call.extensions_mut().insert(read);
        tokio::time::advance(waited).await;

        let answer = layer.answer(call).await;

        let collected = answer.into_body().collect().await.expect("an answer");
        let status = collected.trailers().and_then(|it| it.get("grpc-status"));
        assert_eq!(status.map(HeaderValue::as_bytes), Some(&b"0"[..]));
        let message = collected.to_bytes();
        let response = CheckResponse::decode(&message[5..]).expect("an answer");
        match response.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => denied.status.expect("a status").code,
            other => panic!("{other:?}"),
        }
    }

    /// A second, less what Envoy needs, has 247.5 ms of waiting. The call would be 400: it holds no request.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_has_waited_long_behind_many_is_answered_503_unread() {
        assert_eq!(status_after(Duration::from_millis(247), MANY).await, 400);
        assert_eq!(status_after(Duration::from_millis(248), MANY).await, 503);
        assert_eq!(status_after(Duration::ZERO, 1_000).await, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_the_machine_has_kept_waiting_is_decided_if_there_is_time() {
        assert_eq!(
            status_after(Duration::from_millis(980), MANY - 1).await,
            400
        );
        assert_eq!(status_after(Duration::from_millis(991), 0).await, 503);
    }
}
