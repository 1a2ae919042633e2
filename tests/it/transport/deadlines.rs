//! Time: a check that cannot be decided in time is denied in time, and one that is given up
//! disturbs nobody.

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use prost::Message;
use serde_json::json;

use super::{
    connect, framed,
    h2::{Connection, Ended},
    runtime,
};
use crate::support::{
    client,
    envoy::Options,
    eventually,
    idp::{Answer, Idp, JWKS, jwks},
    keys::{other_rs256, shared_rs256},
    service::{Check, Outcome, Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

/// A check that has to wait: its key is new, and the provider holds its answer back.
fn waiting(idp: &Idp) -> CheckRequest {
    let token = Token::of(&idp.issuer).header("kid", "k2");
    let token = token.signed_by(other_rs256());
    Check::get("/x").bearer(&token).build()
}

fn both_keys() -> String {
    jwks(&[shared_rs256().jwk("k1"), other_rs256().jwk("k2")])
}

/// The answer to a call that must not be allowed: the denial, or `None` when there was none.
fn not_allowed(ended: Ended, what: &str) -> Option<Outcome> {
    match ended {
        Ended::Message(message) => {
            let outcome = Outcome::of(*message);
            assert_eq!(outcome.status, 503, "{what}");
            let reasons = ["deadline", "provider_keys_not_refreshed"];
            assert!(reasons.contains(&outcome.reason()), "{what}: {outcome:?}");
            Some(outcome)
        }
        Ended::NoMessage | Ended::Reset => None,
        Ended::Closed => panic!("{what}: the connection was closed"),
    }
}

#[test]
fn a_check_that_cannot_be_decided_in_time_is_denied_in_time() {
    let idp = Idp::start();
    let config = format!("{}limits: {{ check_timeout: 80ms }}\n", config_for(&idp));
    let service = Service::with_config(&config);
    idp.answer(JWKS, Answer::Hang);
    let check = waiting(&idp);
    let mut line = Connection::open(&service.grpc);

    // Below 10 ms the client may give up first; it is never let through.
    for timeout in ["0m", "1n", "1u", "999u", "1m", "2m", "5m", "9m", "10m"] {
        let call = line.check(&check, &[("grpc-timeout", timeout.as_bytes())]);
        let ended = line.end_of(call);
        not_allowed(ended, timeout);
    }
    for timeout in ["11m", "12m", "15m", "20m", "30m", "50m", "100m", "49999u"] {
        let call = line.check(&check, &[("grpc-timeout", timeout.as_bytes())]);
        let ended = line.end_of(call);
        let denied = not_allowed(ended, timeout);
        let denied = denied.unwrap_or_else(|| panic!("{timeout}: no denial in time"));
        assert_eq!(denied.header("retry-after"), Some("2"));
    }
    // What cannot be read is no shorter deadline than our own, and no longer one.
    let absurd: [&[u8]; 11] = [
        b"99999999H",
        b"99999999S",
        b"999999999H",
        b"18446744073709551615n",
        b"-1S",
        b"1.5S",
        b"1x",
        b"S",
        b"",
        b"\xff\xff",
        b"1S, 1m",
    ];
    let calls = absurd.map(|timeout| line.check(&check, &[("grpc-timeout", timeout)]));
    let two = [("grpc-timeout", b"1S".as_slice()), ("grpc-timeout", b"99H")];
    let calls: Vec<u32> = calls
        .into_iter()
        .chain([line.check(&check, &two)])
        .collect();
    for _ in &calls {
        // They end in any order; the first that ends is any of them.
        let ended = line.end_of_any(&calls);
        not_allowed(ended, "absurd").expect("our own deadline");
    }
}

/// More than can be decided in time: some calls are answered unread, none is let through that way, and it is over with
/// the flood.
#[test]
fn calls_that_have_waited_long_behind_many_are_denied_unread() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let check = |number: usize| {
        let token = Token::of(&idp.issuer).claim("jti", number).signed();
        Check::get("/x").bearer(&token).build()
    };
    let checks: Vec<_> = (0..400).map(check).collect();
    let mut line = Connection::open(&service.grpc);

    // After a first call the connection takes more than the 64 KiB that it begins with.
    let first = line.check(&checks[0], &[]);
    assert!(matches!(line.end_of(first), Ended::Message(_)));

    let timeout = [("grpc-timeout", b"30m".as_slice())];
    let calls: Vec<_> = checks.iter().map(|it| line.check(it, &timeout)).collect();
    let mut unread = 0_u32;
    for _ in &calls {
        let outcome = match line.end_of_any(&calls) {
            Ended::Message(message) => Outcome::of(*message),
            // The client's own patience is over.
            Ended::NoMessage | Ended::Reset => continue,
            Ended::Closed => panic!("the connection was closed"),
        };
        match (outcome.status, outcome.reason()) {
            (200, _) => assert_eq!(outcome.user(), Some("alice")),
            (503, "overloaded") => unread += 1,
            (503, "deadline") => {}
            _ => panic!("{outcome:?}"),
        }
    }

    assert!(unread > 0, "nothing was too much");
    let counter = "atlassian_authz_decisions_total{application=\"\",provider=\"\",status=\"503\",reason=\"overloaded\",enforcement=\"enforce\"}";
    let counted = service.metric(counter);
    assert!(counted >= f64::from(unread), "{counted} of {unread}");
    assert_eq!(service.check(check(400)).user(), Some("alice"));
    let log = service.log();
    let told = log.matches("are answered 503 unread").count();
    assert!((1..20).contains(&told), "{told} lines about {unread} calls");
}

#[test]
fn an_envoy_that_fails_open_gets_the_denial_before_it_gives_up() {
    let idp = Idp::start();
    let config = format!("{}limits: {{ check_timeout: 80ms }}\n", config_for(&idp));
    let service = Service::with_config(&config);
    idp.answer(JWKS, Answer::Hang);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port)
        .filter(json!({"failure_mode_allow": true}))
        .start();
    let token = Token::of(&idp.issuer).header("kid", "k2");
    let bearer = format!("Authorization: Bearer {}", token.signed_by(other_rs256()));

    let answer = client::get(&envoy.address, "/x", &[&bearer, "X-Remote-User: admin"]);

    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(upstream.seen().is_empty());
}

#[test]
fn calls_that_are_given_up_at_any_moment_disturb_no_other() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let fetched = idp.count(JWKS);
    idp.answer(JWKS, Answer::Held(both_keys()));
    let check = waiting(&idp);
    let message = framed(&check.encode_to_vec());

    // The fetch that all wait for is caused by a call that is given up itself.
    let mut line = Connection::open(&service.grpc);
    let call = line.check(&check, &[]);
    eventually("the fetch", || (idp.count(JWKS) > fetched).then_some(()));
    line.reset(call);

    // A call that stays in the middle of its message while hundreds around it come and go: after
    // the headers, within the message, after the message; by reset and by close.
    let stays = line.begin_check(&[]);
    let (first_half, second_half) = message.split_at(message.len() / 2);
    line.data(stays, first_half, false);
    for number in 0..400 {
        let cut = message.len() * number / 400;
        let call = line.begin_check(&[]);
        line.data(call, &message[..cut], false);
        line.reset(call);
        let call = line.check(&check, &[]);
        line.reset(call);
        if number % 20 == 0 {
            let mut other = Connection::open(&service.grpc);
            let call = other.begin_check(&[]);
            other.data(call, &message[..cut], false);
        }
    }
    // Nobody reads the answer of a task that is dropped, either.
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    for _ in 0..20 {
        let (channel, check) = (channel.clone(), check.clone());
        let task =
            runtime.spawn(async move { AuthorizationClient::new(channel).check(check).await });
        task.abort();
    }
    idp.release();

    // Their fetch was for everybody.
    let mut client = AuthorizationClient::new(channel);
    eventually("the new key", || {
        let answer = runtime.block_on(client.check(check.clone()));
        let outcome = Outcome::of(answer.expect("an answer").into_inner());
        assert!([200, 503].contains(&outcome.status), "{outcome:?}");
        outcome.user().map(|user| assert_eq!(user, "alice"))
    });
    assert_eq!(idp.count(JWKS), fetched + 1, "one fetch for all");
    line.data(stays, second_half, true);
    let ended = line.end_of(stays);
    let Ended::Message(answer) = ended else {
        panic!("the call that stayed was lost: {ended:?}");
    };
    assert_eq!(Outcome::of(*answer).user(), Some("alice"));
    assert_eq!(service.metric("atlassian_authz_panics_total"), 0.0);
}
