use std::{collections::HashMap, time::Duration};

use opentelemetry_sdk::trace::SpanData;

use super::{export::Queued, *};
use crate::{
    clock::tests::PausedClock,
    metrics::Present,
    pb::envoy::service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Request as Inner},
    },
    request::Request,
};

const OF_CALL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OF_REQUEST: &str = "00-11111111111111111111111111111111-2222222222222222-01";

struct Lab {
    tracer: Tracer,
    queued: Queued,
    metrics: Metrics,
}

impl Lab {
    fn new(sample: f64, ids: fn() -> (u128, u64)) -> Self {
        let metrics = Metrics::new();
        let (queue, queued) = Queue::new(metrics.clone());
        Self {
            tracer: Tracer::with(sample, ids, Arc::new(PausedClock), queue),
            queued,
            metrics,
        }
    }

    fn arrival(&self, traceparent: &[&str]) -> Arrival {
        let mut headers = HeaderMap::new();
        for text in traceparent {
            headers.append(TRACEPARENT, text.parse().expect("a value"));
        }
        self.tracer.arrival(self.tracer.now(), &headers)
    }

    fn dropped(&self) -> String {
        let page = self.metrics.render(&Present::default());
        let name = "atlassian_authz_spans_dropped_total ";
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a metric").to_owned()
    }

    fn ended(&mut self) -> Option<SpanData> {
        self.queued.spans.try_recv().ok()
    }
}

fn request(traceparent: &str) -> Request {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let http = HttpRequest {
        host: "jira.example.com".to_owned(),
        path: "/".to_owned(),
        headers,
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Inner { http: Some(http) }),
        ..AttributeContext::default()
    };
    let check = CheckRequest {
        attributes: Some(attributes),
    };
    Request::parse(check, 0).expect("a request")
}

fn nothing() -> Ended {
    Ended {
        name: "x".into(),
        kind: SpanKind::Internal,
        status: Status::Unset,
        attributes: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_parent_is_that_of_the_call_else_that_of_the_request_else_there_is_none() {
    let lab = Lab::new(0.0, || (7, 8));
    let own = request(OF_REQUEST);
    let bad = request(&OF_REQUEST.replace('1', "x"));
    for (of_call, of_request, trace) in [
        (&[OF_CALL][..], Some(&own), OF_CALL),
        (&[OF_CALL], Some(&bad), OF_CALL),
        (&[OF_CALL], None, OF_CALL),
        (&[], Some(&own), OF_REQUEST),
        (&["00-no-parent-01"], Some(&own), OF_REQUEST),
        (&[OF_CALL, OF_CALL], Some(&own), OF_REQUEST),
        (&[], Some(&bad), "00-00000000000000000000000000000007"),
        (&[], None, "00-00000000000000000000000000000007"),
    ] {
        let headers = of_request.map(|request| &request.headers);
        let traceparent = lab.arrival(of_call).span(headers).traceparent();
        let (mine, _) = traceparent.split_at(35);
        assert!(trace.starts_with(mine), "{of_call:?} {traceparent}");
        let recorded = if trace.len() == 55 { "01" } else { "00" };
        let rest = traceparent.trim_start_matches(mine);
        assert_eq!(rest, format!("-0000000000000008-{recorded}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_parent_is_followed_whatever_chance_would_say() {
    for sample in [0.0, 0.5, 1.0] {
        let lab = Lab::new(sample, || (u128::MAX, 8));
        assert!(lab.arrival(&[OF_CALL]).span(None).is_recorded());
        let unsampled = format!("{}0", OF_CALL.trim_end_matches('1'));
        assert!(!lab.arrival(&[&unsampled]).span(None).is_recorded());
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_traces_that_begin_here_is_recorded() {
    let lowest: fn() -> (u128, u64) = || (1 << 127, 1);
    let half: fn() -> (u128, u64) = || (1 << 31, 1);
    let below_half: fn() -> (u128, u64) = || ((1 << 31) - 1, 1);
    let highest: fn() -> (u128, u64) = || (u128::MAX, 1);
    for (sample, ids, recorded) in [
        (0.0, lowest, false),
        (0.5, lowest, true),
        (0.5, below_half, true),
        (0.5, half, false),
        (0.5, highest, false),
        (1.0, lowest, true),
        (1.0, highest, true),
    ] {
        let lab = Lab::new(sample, ids);
        assert_eq!(lab.tracer.root().is_recorded(), recorded, "{sample}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_lasts_from_its_beginning_to_its_end_and_has_its_children() {
    let mut lab = Lab::new(1.0, || (7, rand::random()));
    let span = lab.arrival(&[OF_CALL]).span(None);
    let child = span.child();
    tokio::time::advance(Duration::from_millis(250)).await;
    child.clone().end(nothing);
    tokio::time::advance(Duration::from_millis(750)).await;
    span.clone().end(nothing);

    let asked = lab.ended().expect("the child's");
    let check = lab.ended().expect("its own");
    for (ended, took) in [(&asked, 250), (&check, 1000)] {
        let lasted = ended.end_time.duration_since(ended.start_time);
        assert_eq!(lasted.ok(), Some(Duration::from_millis(took)));
        assert_eq!(ended.end_time, PausedClock.wall());
        let trace = ended.span_context.trace_id().to_string();
        assert_eq!(OF_CALL.split('-').nth(1), Some(&*trace));
    }
    let parent = check.parent_span_id.to_string();
    assert_eq!(OF_CALL.split('-').nth(2), Some(&*parent));
    assert!(check.parent_span_is_remote);
    assert_eq!(asked.parent_span_id, check.span_context.span_id());
    assert!(!asked.parent_span_is_remote);
    assert_ne!(asked.span_context.span_id(), check.span_context.span_id());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_recorded_is_not_even_put_into_words() {
    let mut lab = Lab::new(0.0, || (7, 8));
    let span = lab.tracer.root();
    span.child().end(|| panic!("nobody will read it"));
    span.end(|| panic!("nobody will read it"));
    assert_eq!(lab.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_spans_and_counts_them_and_nobody_waits() {
    let mut lab = Lab::new(1.0, rand::random);
    for _ in 0..5000 {
        lab.tracer.root().end(nothing);
    }
    assert_eq!(lab.dropped(), "904");
    assert_eq!(std::iter::from_fn(|| lab.ended()).count(), 4096);
    lab.tracer.root().end(nothing);
    assert!(lab.ended().is_some(), "there is room again");

    let Lab {
        tracer,
        queued,
        metrics,
    } = lab;
    let (_, other) = Queue::new(metrics.clone());
    drop(queued);
    tracer.root().end(nothing);
    let lab = Lab {
        tracer,
        queued: other,
        metrics,
    };
    assert_eq!(lab.dropped(), "905", "nobody will send it any more");
}
