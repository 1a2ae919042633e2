//! The end of a process, and of a connection: nobody who asks loses an answer.

use std::{net::TcpStream, thread};

use prost::Message;
use serde_json::{Value, json};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    connect, end_of, framed,
    h2::{Connection, Ended, Frame},
    health, runtime,
};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    eventually,
    idp::{Answer, DISCOVERY, Idp},
    service::{Check, Outcome, Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

/// The last line of a good end.
const STOPPED: &str = "\"message\":\"stopped\"";

/// Envoy's advice from the reference configuration: another replica is tried, whatever broke.
fn retrying() -> Value {
    json!({"grpc_service": {"retry_policy": {
        "retry_on": "connect-failure,refused-stream,reset,unavailable",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "1s"},
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }],
        "host_selection_retry_max_attempts": 5,
    }}})
}

fn health_checked() -> Value {
    json!({
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
        "health_checks": [{
            "timeout": "1s", "interval": "0.2s", "no_traffic_interval": "0.2s",
            "unhealthy_threshold": 2, "healthy_threshold": 1,
            "grpc_health_check": {"service_name": health::AUTHORIZATION},
        }],
    })
}

fn draining(idp: &Idp, shutdown: &str) -> String {
    format!(
        "{}limits: {{ check_timeout: 1m }}\nshutdown: {{ {shutdown} }}\n",
        config_for(idp)
    )
}

/// A call whose message has begun and not ended.
struct InFlight {
    stream: u32,
    rest: Vec<u8>,
}

impl InFlight {
    fn begin(line: &mut Connection, token: &str) -> Self {
        let check = Check::get("/x").bearer(token).build();
        let mut message = framed(&check.encode_to_vec());
        let rest = message.split_off(message.len() / 2);
        let stream = line.begin_check(&[]);
        line.data(stream, &message, false);
        // A whole call after it: the server has certainly seen the half.
        let whole = line.check(&check, &[]);
        let ended = line.end_of(whole);
        assert!(matches!(ended, Ended::Message(_)), "{ended:?}");
        Self { stream, rest }
    }

    fn finish(self, line: &mut Connection) {
        line.data(self.stream, &self.rest, true);
        let ended = line.end_of(self.stream);
        let Ended::Message(answer) = ended else {
            panic!("the call in flight was lost: {ended:?}");
        };
        assert_eq!(Outcome::of(*answer).user(), Some("alice"));
    }
}

/// Statuses of this many requests in each of four threads.
fn load(envoy: &Envoy, token: &str, each: usize) -> Vec<u16> {
    let bearer = format!("Authorization: Bearer {token}");
    let one = |_| client::get(&envoy.address, "/rest/api/2/myself", &[&bearer]).status;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..each).map(one).collect::<Vec<_>>()))
            .collect();
        let statuses = threads.into_iter().flat_map(|it| it.join().expect("ends"));
        statuses.collect()
    })
}

#[test]
fn sigterm_says_not_serving_serves_on_and_finishes_what_is_in_flight() {
    let idp = Idp::start();
    // The delay never ends by itself here: it takes the second signal.
    let config = draining(&idp, "drain_delay: 1h, drain_timeout: 1m");
    let mut service = Service::with_config(&config);
    let token = Token::of(&idp.issuer).signed();
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));

    // In flight: half of its message is still to come.
    let mut line = Connection::open(&service.grpc);
    let in_flight = InFlight::begin(&mut line, &token);

    service.process.signal("TERM");
    service.process.wait_for("the delay", |line| {
        line.contains("still serving").then_some(())
    });
    eventually("NOT_SERVING", || {
        let status = health::ask(&runtime, &channel, health::AUTHORIZATION);
        (status == Ok(ServingStatus::NotServing)).then_some(())
    });
    for name in ["", "readiness"] {
        let status = health::ask(&runtime, &channel, name);
        assert_eq!(status, Ok(ServingStatus::NotServing), "{name:?}");
    }
    let live = health::ask(&runtime, &channel, "liveness");
    assert_eq!(live, Ok(ServingStatus::Serving));
    assert_eq!(service.admin_page("/readyz").0, 503);
    assert_eq!(service.admin_page("/livez").0, 200);
    // On the old connection and on a new one.
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let mut late = Connection::open(&service.grpc);
    let call = late.check(&Check::get("/x").bearer(&token).build(), &[]);
    let Ended::Message(answer) = late.end_of(call) else {
        panic!("no answer while draining");
    };
    assert_eq!(Outcome::of(*answer).user(), Some("alice"));

    service.process.signal("TERM");
    assert_goaway_before_close(&mut late);
    eventually("a closed port", || {
        TcpStream::connect(&service.grpc).is_err().then_some(())
    });
    assert!(service.process.exited().is_none(), "a check is in flight");
    in_flight.finish(&mut line);
    drop((line, channel));
    assert_eq!(end_of(&mut service.process, STOPPED).0, Some(0));
}

/// Reads to the end: the server asks first, without an error, then closes.
fn assert_goaway_before_close(line: &mut Connection) {
    let goaways: Vec<_> = std::iter::from_fn(|| line.next())
        .filter(|frame| matches!(frame, Frame::GoAway { .. }))
        .collect();
    let no_new_calls = Frame::GoAway {
        last_stream: 0x7fff_ffff,
        code: 0,
    };
    assert_eq!(goaways.first(), Some(&no_new_calls));
    assert!(
        goaways
            .iter()
            .all(|frame| matches!(frame, Frame::GoAway { code: 0, .. })),
        "{goaways:?}"
    );
}

#[test]
fn a_watch_that_stays_open_does_not_keep_the_process() {
    let idp = Idp::start();
    let config = draining(&idp, "drain_delay: 0s, drain_timeout: 500ms");
    let mut service = Service::with_config(&config);
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    let mut watch = runtime
        .block_on(HealthClient::new(channel).watch(HealthCheckRequest::default()))
        .expect("watches")
        .into_inner();
    let first = runtime.block_on(watch.message()).expect("no error");
    assert_eq!(
        first.map(|answer| answer.status()),
        Some(ServingStatus::Serving)
    );
    // Nor does a connection that has not even said which protocol it speaks.
    let silent = TcpStream::connect(&service.grpc).expect("connects");

    service.process.signal("TERM");

    let (code, _) = end_of(
        &mut service.process,
        "connections were still open at the end",
    );
    assert_eq!(code, Some(0));
    drop((watch, silent));
}

#[test]
fn sigterm_during_the_start_does_not_wait_for_the_providers() {
    let idp = Idp::start();
    idp.answer(DISCOVERY, Answer::Hang);
    let mut service = Service::unready(&config_for(&idp));
    eventually("the first fetch", || {
        (idp.count(DISCOVERY) > 0).then_some(())
    });

    service.process.signal("TERM");

    let (code, output) = end_of(&mut service.process, STOPPED);
    assert_eq!(code, Some(0));
    assert!(
        !output.contains("\"message\":\"ready\""),
        "ready after SIGTERM:\n{output}"
    );
}

#[test]
fn a_replica_that_stops_loses_no_request() {
    let idp = Idp::start();
    let config = draining(&idp, "drain_delay: 1s, drain_timeout: 10s");
    let (mut leaves, stays) = (Service::with_config(&config), Service::with_config(&config));
    let upstream = Upstream::start();
    let envoy = Options::new(&leaves.grpc, upstream.port)
        .filter(retrying())
        .replicas(&[&stays.grpc], health_checked())
        .start();
    let token = Token::of(&idp.issuer).signed();
    let decided = |service: &Service| service.decisions().len();
    eventually("both replicas in use", || {
        load(&envoy, &token, 1);
        (decided(&leaves) > 0 && decided(&stays) > 0).then_some(())
    });

    leaves.process.signal("TERM");
    let mut statuses = Vec::new();
    eventually("the end of one replica", || {
        statuses.extend(load(&envoy, &token, 20));
        leaves.process.exited()
    });
    statuses.extend(load(&envoy, &token, 50));

    assert_eq!(leaves.process.wait().code(), Some(0));
    assert!(statuses.len() >= 280, "{}", statuses.len());
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!(failed, 0, "of {}", statuses.len());
}

#[test]
fn connections_that_grow_old_are_renewed_and_no_call_fails() {
    let idp = Idp::start();
    let config = draining(
        &idp,
        "drain_delay: 0s, drain_timeout: 10s, max_connection_age: 1s",
    );
    let mut service = Service::with_config(&config);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port).start();
    let token = Token::of(&idp.issuer).signed();

    // Without retries: GOAWAY must be enough.
    let closed = || envoy.stat("cluster.authz.upstream_cx_close_notify");
    let mut statuses = Vec::new();
    eventually("three renewals", || {
        statuses.extend(load(&envoy, &token, 10));
        (closed() >= 3).then_some(())
    });
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!(failed, 0, "of {}", statuses.len());
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
    assert_eq!(
        envoy.stat("cluster.authz.upstream_cx_destroy_with_active_rq"),
        0
    );

    // A call that is in flight when its connection grows old is answered on it.
    let mut line = Connection::open(&service.grpc);
    let in_flight = InFlight::begin(&mut line, &token);
    let asked = std::iter::from_fn(|| line.next())
        .find(|frame| matches!(frame, Frame::GoAway { .. }))
        .expect("GOAWAY before the end");
    assert_eq!(
        asked,
        Frame::GoAway {
            last_stream: 0x7fff_ffff,
            code: 0
        }
    );
    in_flight.finish(&mut line);

    // An idle connection is asked to go too.
    let mut idle = Connection::open(&service.grpc);
    assert_goaway_before_close(&mut idle);

    // A client that goes when it is asked, and asks again what was not taken (RFC 9113 §6.8).
    let check = Check::get("/x").bearer(&token).build();
    let mut line = Connection::open(&service.grpc);
    let mut renewals = 0;
    while renewals < 2 {
        let call = line.check(&check, &[]);
        let ended = line.end_of(call);
        let taken = line.goaway.is_none_or(|last| call <= last);
        match ended {
            Ended::Message(answer) => assert_eq!(Outcome::of(*answer).user(), Some("alice")),
            other => assert!(!taken, "a call that was taken is lost: {other:?}"),
        }
        if line.goaway.is_some() {
            line = Connection::open(&service.grpc);
            renewals += 1;
        }
    }

    service.process.signal("TERM");
    assert_eq!(service.process.wait().code(), Some(0));
}
