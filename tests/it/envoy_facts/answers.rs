//! What Envoy does with an answer. Each fact is the reason for a rule in src/response.rs.

use serde_json::json;

use super::authorizer::{
    Allowed, Authorizer, CheckResponse, Denied, HttpStatus, Reply, SetHeader, Status,
};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    upstream::Upstream,
};

const USER: &str = "x-remote-user";
/// What a client sends who wants to be somebody else.
const TWICE: [&str; 2] = ["X-Remote-User: evil1", "x-ReMoTe-uSeR: evil2"];

/// Envoy between a client, an authorizer that says anything, and a product.
struct Scene {
    authorizer: Authorizer,
    upstream: Upstream,
    envoy: Envoy,
}

impl Scene {
    fn with(configure: impl FnOnce(Options) -> Options) -> Self {
        let authorizer = Authorizer::start();
        let upstream = Upstream::start();
        let envoy = configure(Options::new(&authorizer.address, upstream.port)).start();
        Self {
            authorizer,
            upstream,
            envoy,
        }
    }

    /// The status that the client sees, and the identities that the product sees, if it sees the
    /// request at all.
    fn outcome(&self, reply: Reply, lines: &[&str]) -> (u16, Option<Vec<(String, String)>>) {
        self.authorizer.reply(reply);
        let before = self.upstream.seen().len();
        let answer = client::get(&self.envoy.address, "/x", lines);
        let seen = self.upstream.seen().get(before).cloned();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let identities = seen.map(|seen| seen.identities().into_iter().map(owned).collect());
        (answer.status, identities)
    }

    #[track_caller]
    fn assert_arrives(&self, reply: Reply, lines: &[&str], expected: &[(&str, &str)], what: &str) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let expected = expected.iter().map(owned).collect();
        assert_eq!(self.outcome(reply, lines), (200, Some(expected)), "{what}");
    }

    #[track_caller]
    fn assert_stopped(&self, reply: Reply, status: u16, what: &str) {
        assert_eq!(self.outcome(reply, &TWICE), (status, None), "{what}");
    }

    fn count(&self, name: &str) -> u64 {
        self.envoy.stat(&format!("http.ingress.ext_authz.{name}"))
    }
}

fn allow(headers: Vec<SetHeader>, remove: &[&str]) -> Reply {
    Reply::Message(CheckResponse::allow(headers, remove))
}

fn changed(change: impl FnOnce(&mut SetHeader)) -> Reply {
    let mut header = SetHeader::new(USER, "alice");
    change(&mut header);
    allow(vec![header], &[])
}

#[test]
fn an_answer_without_a_status_allows_and_the_clients_identity_passes() {
    let scene = Scene::with(|options| options);
    let denied = Some(Denied::with(401));
    let ok_status = Some(Status { code: 0 });
    let other_header = SetHeader::new("x-other", "1");
    let cases = [
        ("an empty message", CheckResponse::default()),
        (
            "a denial without a status",
            CheckResponse {
                denied: denied.clone(),
                ..CheckResponse::default()
            },
        ),
        (
            "a denial with status 0",
            CheckResponse {
                status: ok_status.clone(),
                denied,
                ..CheckResponse::default()
            },
        ),
        (
            "status 0 and nothing else",
            CheckResponse {
                status: ok_status,
                ..CheckResponse::default()
            },
        ),
        (
            "an allow that sets something else",
            CheckResponse::allow(vec![other_header], &[]),
        ),
    ];
    for (what, message) in cases {
        let arrives = [("x-remote-user", "evil1"), ("x-remote-user", "evil2")];
        scene.assert_arrives(Reply::Message(message), &TWICE, &arrives, what);
    }
    assert_eq!(scene.count("ok"), 5);
}

#[test]
fn setting_the_identity_once_replaces_every_copy_of_the_client_but_appending_does_not() {
    let scene = Scene::with(|options| options);
    let one = [(USER, "alice")];

    // `append_action` is not read for request headers, whatever it says.
    for append_action in [0, 1, 2, 3, 99] {
        for append in [None, Some(false)] {
            let reply = changed(|header| {
                header.append_action = append_action;
                header.append = append;
            });
            let what = format!("append_action {append_action}, append {append:?}");
            scene.assert_arrives(reply.clone(), &TWICE, &one, &what);
            scene.assert_arrives(reply, &[], &one, &what);
        }
        let appended = changed(|header| {
            header.append_action = append_action;
            header.append = Some(true);
        });
        let what = format!("append_action {append_action}, append true");
        let mixed = [(USER, "evil1,alice"), (USER, "evil2")];
        scene.assert_arrives(appended.clone(), &TWICE, &mixed, &what);
        scene.assert_arrives(appended, &[], &[], &what);
    }

    let twice = vec![SetHeader::new(USER, "alice"), SetHeader::new(USER, "bob")];
    scene.assert_arrives(allow(twice, &[]), &TWICE, &[(USER, "bob")], "set twice");
}

#[test]
fn an_identity_is_written_as_value_because_raw_value_arrives_empty() {
    let scene = Scene::with(|options| options);
    let raw = |value: &'static str| {
        changed(move |header| {
            let line = header.header.as_mut().expect("a line");
            line.value = value.to_owned();
            line.raw_value = b"raw".to_vec();
        })
    };
    scene.assert_arrives(raw(""), &TWICE, &[(USER, "")], "raw_value alone");
    scene.assert_arrives(raw("alice"), &TWICE, &[(USER, "alice")], "both");

    let empty = changed(|header| header.header.as_mut().expect("a line").value.clear());
    scene.assert_arrives(empty, &TWICE, &[(USER, "")], "an empty value");
}

#[test]
fn removal_runs_after_setting_and_ignores_case() {
    let scene = Scene::with(|options| options);
    let alice = || vec![SetHeader::new(USER, "alice")];
    for name in [USER, "X-REMOTE-USER"] {
        scene.assert_arrives(allow(vec![], &[name]), &TWICE, &[], "removed");
        scene.assert_arrives(allow(alice(), &[name]), &TWICE, &[], "set and removed");
    }
    // An alias is another header: it has to be named as it came.
    let underscore = ["X_Remote_User: evil"];
    let kept = [("x_remote_user", "evil"), (USER, "alice")];
    scene.assert_arrives(allow(alice(), &[]), &underscore, &kept, "an alias");
    let reply = allow(alice(), &["X_REMOTE_USER"]);
    scene.assert_arrives(reply, &underscore, &[(USER, "alice")], "a removed alias");
    // What makes a request a request cannot be removed.
    let reply = allow(alice(), &[":path", ":method", ":authority", "host"]);
    scene.assert_arrives(reply, &[], &[(USER, "alice")], "pseudo headers");
    let seen = scene.upstream.last();
    assert_eq!(seen.line, "GET /x HTTP/1.1");
    assert_eq!(seen.values("host"), ["jira.example.com"]);
}

/// Replies that are no decision: Envoy's own setting decides then.
fn undecided() -> Vec<(String, Reply)> {
    let mut replies: Vec<(String, Reply)> = [1, 2, 4, 7, 8, 13, 14, 16]
        .map(|code| (format!("gRPC error {code}"), Reply::Error(code)))
        .into();
    let error_response = CheckResponse {
        status: Some(Status { code: 7 }),
        error: Some(Denied {
            status: Some(HttpStatus { code: 403 }),
        }),
        ..CheckResponse::default()
    };
    replies.push(("error_response".to_owned(), Reply::Message(error_response)));
    replies
}

#[test]
fn a_grpc_error_is_no_denial_and_opens_where_errors_are_allowed() {
    let open = Scene::with(Options::failing_open);
    let evil = [(USER, "evil1"), (USER, "evil2")];
    let replies = undecided();
    for (what, reply) in &replies {
        open.assert_arrives(reply.clone(), &TWICE, &evil, what);
    }
    let count = replies.len() as u64;
    assert_eq!(open.count("error"), count);
    assert_eq!(open.count("failure_mode_allowed"), count);

    // This is why the service answers 503 as a denial.
    for http in [401_u16, 403, 429, 503] {
        let reply = Reply::Message(CheckResponse::deny(http.into()));
        open.assert_stopped(reply, http, "a denial");
    }
    for code in [1, 7, 14, 16] {
        let bare = CheckResponse {
            status: Some(Status { code }),
            ..CheckResponse::default()
        };
        open.assert_stopped(Reply::Message(bare.clone()), 403, "a status alone");
        let contradicted = CheckResponse {
            ok: Some(Allowed::default()),
            ..bare
        };
        let what = "a status that denies, with an ok_response";
        open.assert_stopped(Reply::Message(contradicted), 403, what);
    }
    assert_eq!(open.count("failure_mode_allowed"), count);
}

#[test]
fn a_grpc_error_stops_the_request_where_errors_are_not_allowed() {
    let closed = Scene::with(|options| options);
    let replies = undecided();
    for (what, reply) in &replies {
        closed.assert_stopped(reply.clone(), 403, what);
    }
    assert_eq!(closed.count("error"), replies.len() as u64);
    assert_eq!(closed.count("failure_mode_allowed"), 0);
}

#[test]
fn no_answer_in_time_is_the_same_as_an_error() {
    for (open, expected) in [(false, 403), (true, 200)] {
        let filter = json!({"failure_mode_allow": open, "grpc_service": {"timeout": "0.2s"}});
        let scene = Scene::with(|options| options.filter(filter));
        let (status, arrived) = scene.outcome(Reply::Nothing, &TWICE);
        assert_eq!((status, arrived.is_some()), (expected, open));
        assert_eq!(scene.count("error"), 1);
        assert_eq!(scene.count("failure_mode_allowed"), u64::from(open));
    }
}

#[test]
fn a_user_name_that_is_no_header_value_is_an_error_of_envoy_and_reaches_nobody() {
    for validate in [false, true] {
        let filter = json!({"validate_mutations": validate, "failure_mode_allow": true});
        let scene = Scene::with(|options| options.filter(filter));
        for value in ["alice\r\nx-remote-user: admin", "alice\0", "alice\n"] {
            let reply = allow(vec![SetHeader::new(USER, value)], &[]);
            let status = if validate { 500 } else { 503 };
            scene.assert_stopped(reply, status, value);
        }
    }
}

#[test]
fn a_dead_authorizer_opens_where_errors_are_allowed() {
    let scene = Scene::with(Options::failing_open);
    let Scene {
        authorizer,
        upstream,
        envoy,
    } = scene;
    drop(authorizer);
    let answer = client::get(&envoy.address, "/x", &TWICE);
    assert_eq!(answer.status, 200);
    assert_eq!(
        upstream.last().identities(),
        [(USER, "evil1"), (USER, "evil2")]
    );
    assert_eq!(envoy.stat("http.ingress.ext_authz.failure_mode_allowed"), 1);
}
