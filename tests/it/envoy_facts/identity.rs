//! Whatever a client sends to be somebody else: the product sees one `x-remote-user: alice`, or
//! nobody on a public path, or nothing at all.

use serde_json::json;

use super::{ENCODINGS, LINGER, Lab, h2};

/// Each is one request's attempt, as header lines.
const ATTEMPTS: [&[&[u8]]; 35] = [
    &[],
    &[b"X-Remote-User: admin"],
    &[b"x-remote-user: admin"],
    &[b"X-Remote-User: admin", b"X-Remote-User: root"],
    &[b"X-Remote-User: admin", b"x-ReMoTe-uSeR: root"],
    &[b"X-Remote-User: alice", b"X-Remote-User: admin"],
    &[b"X-Remote-User: alice,admin"],
    &[b"X-Remote-User:"],
    &[b"X-Remote-User: ", b"X-Remote-User: admin"],
    &[b"X-Remote-User: \xff\xfe\x80admin"],
    &[b"X-Remote-User: j\xc3\xbcrgen"],
    &[b"X_Remote_User: admin"],
    &[b"x_remote_user: admin", b"X_REMOTE_USER: root"],
    &[b"X.Remote.User: admin"],
    &[b"x-remote_user: admin"],
    &[b"X_Remote-User: admin"],
    &[b"x-remote.user: admin", b"X.Remote_User: root"],
    &[b"X_Remote_User: \xff\xfe"],
    &[b"Remote-User: admin"],
    &[b"Remote_User: admin"],
    &[b"REMOTE.USER: admin"],
    &[b"X-Forwarded-User: admin"],
    &[b"X_Forwarded_User: admin"],
    &[b"X-Forwarded-Email: admin@example.com"],
    &[b"X-Forwarded-Preferred-Username: admin"],
    &[b"X-Auth-Request-User: admin"],
    &[b"X.Auth.Request.User: admin"],
    &[b"X-Auth-Request-Email: admin@example.com"],
    &[b"X-Auth-User: admin"],
    &[b"X-WebAuth-User: admin"],
    // Hop-by-hop: whoever obeys it drops the header, ours or the client's.
    &[b"Connection: close, X-Remote-User"],
    &[b"Connection: close, X-Remote-User", b"X-Remote-User: admin"],
    &[b"Connection: close, X_Remote_User", b"X_Remote_User: admin"],
    &[
        b"Connection: X-Remote-User, close",
        b"Keep-Alive: X-Remote-User",
    ],
    &[
        b"X-Remote-User: a",
        b"X_Remote_User: b",
        b"X.Remote.User: c",
        b"x-remote_user: d",
        b"Remote-User: e",
        b"X-Forwarded-User: f",
        b"X-Auth-User: g",
        b"X-Remote-User: h",
    ],
];

fn shown(lines: &[&[u8]]) -> String {
    String::from_utf8_lossy(&lines.join(&b" | "[..])).into_owned()
}

#[test]
fn over_http_1_no_client_chooses_who_it_is() {
    for raw in ENCODINGS {
        let lab = Lab::encoded(raw);
        let alice = lab.alice();
        for attempt in ATTEMPTS {
            let what = format!("raw {raw}: {}", shown(attempt));
            let authorization: [&[u8]; 1] = [alice.as_bytes()];
            for lines in [[&authorization, attempt], [attempt, &authorization]] {
                let lines = lines.concat();
                lab.assert_alice(&lab.get_bytes("/rest/api/2/myself", &lines), &what);
            }
            lab.assert_nobody(&lab.get_bytes("/status", attempt), &what);
            let code = lab.assert_refused(&lab.get_bytes("/rest", attempt), 401, &what);
            assert_eq!(code, "no_credential", "{what}");
            let mut lines = attempt.to_vec();
            lines.push(b"Authorization: Bearer a.b.c");
            let code = lab.assert_refused(&lab.get_bytes("/rest", &lines), 401, &what);
            assert_eq!(code, "token_expired_or_invalid", "{what}");
        }
        let count = ATTEMPTS.len() as u64;
        assert_eq!(
            (lab.count("ok"), lab.count("denied")),
            (3 * count, 2 * count)
        );
        lab.assert_no_errors();
    }
}

#[test]
fn over_http_2_no_client_chooses_who_it_is() {
    for raw in ENCODINGS {
        let lab = Lab::encoded(raw);
        let alice = format!("Bearer {}", lab.token);
        let authorization: (&str, &[u8]) = ("authorization", alice.as_bytes());
        let ask = |path: &str, fields: &[(&str, &[u8])]| {
            h2::exchange(&lab.envoy.address, h2::get(path, fields), None)
        };
        for attempt in ATTEMPTS {
            let what = format!("raw {raw}: {}", shown(attempt));
            let Some(fields) = as_fields(attempt) else {
                continue;
            };
            let mut with_token: Vec<(&str, &[u8])> = fields
                .iter()
                .map(|(name, value)| (&**name, *value))
                .collect();
            lab.assert_nobody(&ask("/status", &with_token), &what);
            lab.assert_refused(&ask("/rest", &with_token), 401, &what);
            with_token.push(authorization);
            lab.assert_alice(&ask("/rest/api/2/myself", &with_token), &what);
        }
        lab.assert_no_errors();
    }
}

/// The same in HTTP/2, which has no `Connection` and no upper case.
fn as_fields<'a>(lines: &[&'a [u8]]) -> Option<Vec<(String, &'a [u8])>> {
    let field = |line: &&'a [u8]| {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .expect("a header");
        let (name, value) = line.split_at(colon);
        let name = String::from_utf8(name.to_ascii_lowercase()).expect("a name");
        (name, value[1..].trim_ascii())
    };
    let fields: Vec<_> = lines.iter().map(field).collect();
    let hop_by_hop = fields.iter().any(|(name, _)| name == "connection");
    (!hop_by_hop).then_some(fields)
}

#[test]
fn http_2_that_no_library_would_send_reaches_nobody() {
    let lab = Lab::start();
    let alice = format!("Bearer {}", lab.token);
    let usual: [(&str, &[u8]); 5] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", b"/rest/api/2/myself"),
        (":authority", b"jira.example.com"),
        ("authorization", alice.as_bytes()),
    ];
    let send = |extra: &[(&str, &[u8])]| {
        h2::send_fields(&lab.envoy.address, &[&usual, extra].concat());
        lab.arrived()
    };
    let attempts: [&[(&str, &[u8])]; 12] = [
        &[("X-Remote-User", b"admin")],
        &[("x-remote-user ", b"admin")],
        &[("x-remote-user:", b"admin")],
        &[("x remote user", b"admin")],
        &[("", b"admin")],
        &[("x-other", b"1\r\nx-remote-user: admin")],
        &[("x-other\r\nx-remote-user", b"admin")],
        &[("x-remote-user", b"adm\0in")],
        &[("connection", b"x-remote-user")],
        &[("transfer-encoding", b"chunked")],
        &[(":authority", b"evil.example.com")],
        &[(":path", b"/status")],
    ];
    for attempt in attempts {
        assert!(send(attempt).is_empty(), "{attempt:?} got through");
    }
    // The client can do it right, too.
    let arrived = send(&[("x-remote-user", b"admin")]);
    assert_eq!(arrived.len(), 1);
    assert_eq!(super::believed(&arrived[0]), [("x-remote-user", "alice")]);
}

#[test]
fn http_1_whose_headers_could_be_read_in_two_ways_reaches_nobody() {
    let lab = Lab::with(|options| options.manager(json!({"delayed_close_timeout": LINGER})));
    let alice = lab.alice();
    let attempts: [&[u8]; 8] = [
        b"X-Remote-User : admin",
        b"X-Remote-User\t: admin",
        b"X-Remote\0-User: admin",
        b"X-Remote-User: adm\0in",
        b"X Remote User: admin",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Content-Length: 0\r\nContent-Length: 1",
        b": admin",
    ];
    for attempt in attempts {
        let answer = lab.get_bytes("/rest", &[alice.as_bytes(), attempt]);
        let what = String::from_utf8_lossy(attempt);
        lab.assert_refused(&answer, 400, &what);
    }
    // A line that begins with a blank continues the one before it.
    let continued: &[u8] = b"X-First: 1\r\n X-Remote-User: admin";
    let seen = lab.assert_alice(
        &lab.get_bytes("/rest", &[alice.as_bytes(), continued]),
        "a fold",
    );
    assert_eq!(seen.values("x-first"), ["1 X-Remote-User: admin"]);
    // obs-fold: one header of one value, ours.
    let folded: &[u8] = b"X-Remote-User: adm\r\n in";
    lab.assert_alice(
        &lab.get_bytes("/rest", &[alice.as_bytes(), folded]),
        "obs-fold",
    );
    lab.assert_nobody(&lab.get_bytes("/status", &[folded]), "obs-fold");
    let token = format!("Authorization: Bearer\r\n {}", lab.token);
    let answer = lab.get_bytes("/rest", &[folded, token.as_bytes()]);
    lab.assert_alice(&answer, "a folded token");
}
