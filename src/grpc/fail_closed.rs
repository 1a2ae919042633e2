//! The first line and the last: nothing but a `CheckResponse` leaves the method `Check`, and a call that comes too late
//! does not get far.
//!
//! To Envoy every gRPC error is "no answer", and with `failure_mode_allow: true` the request then
//! passes with the client's own identity header. So whatever goes wrong below — a panic, a message
//! that is too large or no protobuf, a time-out of the server — is answered with a 503 denial.

use std::{
    any::Any,
    error::Error,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::Either;
use hyper::body::Body;
use tonic::{Status, service::Routes};
use tower::Service;
use tracing::{error, warn};

use super::{
    AuthorizationService,
    message::{self, Reply, Unreadable},
    service::Times,
    turns::{Arrived, Queued},
};
use crate::{
    clock::{Clock, Now},
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

/// Answers calls: checks, and whatever else there is. Cheap to clone.
#[derive(Clone)]
pub struct FailClosed(Arc<Front>);

struct Front {
    service: AuthorizationService,
    fallback: Fallback,
    others: Routes,
}

struct Fallback {
    /// Complete gRPC messages.
    undecided: Bytes,
    overloaded: Bytes,
    /// The second in which overload was last logged.
    told: AtomicI64,
}

impl FailClosed {
    /// Prepares the answers that need no decision. `others`: the other gRPC services.
    pub fn new(service: AuthorizationService, identity: &IdentityHeader, others: Routes) -> Self {
        let message = |why: Unavailable| {
            let undecided = Decision::denied(why);
            message::framed(|to| response::encode(to, &undecided, None, identity))
        };
        let fallback = Fallback {
            undecided: message(Unavailable::Internal),
            overloaded: message(Unavailable::Overloaded),
            told: AtomicI64::new(i64::MIN),
        };
        Self(Arc::new(Front {
            service,
            fallback,
            others,
        }))
    }

    /// Answers a call, whatever happens.
    pub(super) fn answer<B>(
        self,
        call: Request<B>,
        arrived: Arrived,
    ) -> impl Future<Output = Response<Reply>> + Send + use<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // Here, because the future would have room for the whole beside the parts.
        let (head, body) = call.into_parts();
        async move {
            if head.uri.path() == CHECK {
                self.0.answer_check(&head.headers, body, arrived).await
            } else {
                // In a box: they are rare, and every call would take the room of the largest.
                let call = Request::from_parts(head, body);
                Box::pin(answer_other(self.0.others.clone(), call)).await
            }
        }
    }
}

impl Front {
    async fn answer_check(
        &self,
        headers: &HeaderMap,
        body: impl Body<Data = Bytes>,
        arrived: Arrived,
    ) -> Response<Reply> {
        let Self {
            service, fallback, ..
        } = self;
        let metrics = &service.metrics;
        // One expression: a future that has a name first takes its room twice.
        let answered = AssertUnwindSafe(async {
            let queued = arrived.begin();
            let checks = service.checks.load();
            let time = checks.time_for(headers);
            if let Some((waited, now)) = too_late(queued, time, &*service.clock) {
                return fallback.unread(waited, now, metrics);
            }
            let deadline = queued.since + time;
            let times = Times {
                arrived: queued.since,
                deadline,
            };
            match service.serve(&checks, headers, body, times).await {
                Ok(framed) => message::answer(framed),
                Err(unreadable) => fallback.instead_of(&unreadable, metrics),
            }
        })
        .catch_unwind()
        .await;
        answered.unwrap_or_else(|panic| fallback.after(&*panic, metrics))
    }
}

/// How long a call has waited, if that is too long, and what time it is.
fn too_late(queued: Queued, time: Duration, clock: &dyn Clock) -> Option<(Duration, Now)> {
    if queued.behind < MANY {
        return None;
    }
    let now = clock.now();
    let waited = now.instant.saturating_duration_since(queued.since);
    (waited > time / SHARE_OF_WAITING).then_some((waited, now))
}

/// Answers a call that is no check.
async fn answer_other<B>(mut others: Routes, call: Request<B>) -> Response<Reply>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let answered = others.call(call.map(tonic::body::Body::new));
    let answer = match AssertUnwindSafe(answered).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Err(_panic) => Status::internal("it panicked").into_http(),
    };
    answer.map(Either::Right)
}

impl Fallback {
    fn undecided(&self) -> Response<Reply> {
        message::answer(self.undecided.clone())
    }

    fn instead_of(&self, unreadable: &Unreadable, metrics: &Metrics) -> Response<Reply> {
        warn!(%unreadable, "a check could not be read and is answered 503");
        metrics.count_replaced_error();
        self.undecided()
    }

    fn after(&self, panic: &(dyn Any + Send), metrics: &Metrics) -> Response<Reply> {
        // The message of a panic may hold a value: only its size is logged. The panic hook has
        // already logged the place.
        error!(
            payload_bytes = size_of_val(panic),
            "a check panicked and is answered 503"
        );
        metrics.count_panic();
        self.undecided()
    }

    fn unread(&self, waited: Duration, now: Now, metrics: &Metrics) -> Response<Reply> {
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
        clock::SystemClock,
        grpc::{
            service::tests::{a_call, service_without_applications},
            turns::{Begun, Turns},
        },
        pb::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse},
    };

    /// The status that the client gets for a call whose turn comes so long after it was read, and after so many others.
    async fn status_after(waited: Duration, others: u64) -> i32 {
        let service = service_without_applications();
        let identity = IdentityHeader::new("x-remote-user", &[]).expect("a name");
        let front = FailClosed::new(service, &identity, Routes::default());
        let turns = Turns::new(Arc::new(SystemClock), Begun::default());
        let arrived = turns.arrived();
        for _ in 0..others {
            turns.arrived().begin();
        }
        let mut call = a_call();
        let second = HeaderValue::from_static("1S");
        call.headers_mut().insert("grpc-timeout", second);
        tokio::time::advance(waited).await;

        let answer = front.answer(call, arrived).await;

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

    /// It would end the calls of the whole connection, checks among them.
    #[tokio::test]
    async fn a_panic_in_another_call_is_an_error_of_that_call() {
        async fn broken() -> &'static str {
            panic!("broken")
        }
        let others = Routes::from(axum::Router::new().fallback(broken));
        let call = Request::new(http_body_util::Full::new(Bytes::new()));

        let answer = answer_other(others, call).await;

        let internal = Some(&HeaderValue::from_static("13"));
        assert_eq!(answer.headers().get("grpc-status"), internal);
    }
}
