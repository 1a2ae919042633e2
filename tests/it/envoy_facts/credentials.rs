//! One credential, read in one way, and it ends with us.

use std::collections::HashMap;

use atlassian_authz::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};

use super::{CARRIERS, ENCODINGS, Lab, h2};
use crate::support::{
    idp::Idp,
    service::{Check, Service, config_for},
    tokens::Token,
};

const BASIC: &str = "Basic YWRtaW46YWRtaW4=";

#[test]
fn two_credentials_are_none() {
    for raw in ENCODINGS {
        let lab = Lab::encoded(raw);
        let good = format!("Bearer {}", lab.token);
        let several = [
            vec![good.clone(), good.clone()],
            vec![good.clone(), "Bearer a.b.c".to_owned()],
            vec!["Bearer a.b.c".to_owned(), good.clone()],
            vec![good.clone(), BASIC.to_owned()],
            vec![format!("{good},{good}")],
            vec![format!("{good},Bearer a.b.c")],
            vec![format!("Bearer a.b.c, {good}")],
            vec![format!("{good},")],
            vec![format!("{good}, {BASIC}")],
            vec![BASIC.to_owned(), good.clone()],
            vec![format!("{BASIC}, {good}")],
            vec![
                good.clone(),
                good.clone(),
                good.clone(),
                good.clone(),
                good.clone(),
            ],
        ];
        for values in several {
            for name in ["Authorization", "authorization", "AUTHORIZATION"] {
                let what = format!("raw {raw}: {name} {values:?}");
                let code = refusal(&lab, name, &values, 400, &what);
                assert_eq!(code, "malformed_credential", "{what}");
            }
        }
        // What begins with another scheme, or with none, is another scheme to us.
        let values = [format!(",{good}")];
        let what = format!("raw {raw}: {values:?}");
        let code = refusal(&lab, "Authorization", &values, 401, &what);
        assert_eq!(code, "unsupported_scheme", "{what}");
        // Envoy drops an empty line where it merges, so that there is one credential.
        let alice = lab.alice();
        for lines in [[&*alice, "Authorization:"], ["Authorization:", &*alice]] {
            lab.assert_alice(&lab.get("/rest", &lines), "next to an empty line");
        }
        lab.assert_no_errors();
    }
}

fn refusal(lab: &Lab, name: &str, values: &[String], status: u16, what: &str) -> String {
    let lines: Vec<String> = values
        .iter()
        .map(|value| format!("{name}: {value}"))
        .collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    lab.assert_refused(&lab.get_bytes("/rest", &lines), status, what)
}

/// Values that look like one token to a careless reader, and the refusal.
fn almost_bearer(token: &str) -> Vec<(Vec<u8>, u16, &'static str)> {
    let malformed = |value: Vec<u8>| (value, 400, "malformed_credential");
    let unsupported = |value: Vec<u8>| (value, 401, "unsupported_scheme");
    vec![
        malformed(b"Bearer".into()),
        malformed(format!("Bearer \t{token}").into()),
        malformed(format!("Bearer {token} x").into()),
        malformed(format!("Bearer {token}\tx").into()),
        malformed(format!("Bearer \"{token}\"").into()),
        malformed(format!("Bearer {token};").into()),
        malformed([b"Bearer ", token.as_bytes(), b"\xff"].concat()),
        unsupported(format!("Bearer\t{token}").into()),
        unsupported(format!("Bearer{token}").into()),
        unsupported(token.into()),
        unsupported(format!("DPoP {token}").into()),
        unsupported(Vec::new()),
    ]
}

#[test]
fn one_credential_is_read_as_the_standards_write_it() {
    for raw in ENCODINGS {
        let lab = Lab::encoded(raw);
        let token = &lab.token;
        for line in [
            format!("Authorization: Bearer {token}"),
            format!("authorization: bearer {token}"),
            format!("AUTHORIZATION: BEARER {token}"),
            format!("Authorization: Bearer    {token}"),
            format!("Authorization:Bearer {token}"),
            // Blanks around a field value are no part of it (RFC 9110 §5.5).
            format!("Authorization:   \t Bearer {token} \t  "),
        ] {
            let what = format!("raw {raw}: {line}");
            lab.assert_alice(&lab.get_bytes("/rest", &[line.as_bytes()]), &what);
        }
        for (value, status, code) in almost_bearer(token) {
            let line = [b"Authorization: ", value.as_slice()].concat();
            let what = format!("raw {raw}: {}", String::from_utf8_lossy(&line));
            let answer = lab.get_bytes("/rest", &[&line]);
            assert_eq!(lab.assert_refused(&answer, status, &what), code, "{what}");
        }
        // Hop-by-hop: Envoy drops the token before it asks.
        for connection in [
            "Connection: close, authorization",
            "Connection: Authorization, close",
        ] {
            let alice = lab.alice();
            let lines: [&[u8]; 2] = [alice.as_bytes(), connection.as_bytes()];
            let answer = lab.get_bytes("/rest", &lines);
            assert_eq!(
                lab.assert_refused(&answer, 401, connection),
                "no_credential"
            );
        }
        lab.assert_no_errors();
    }
}

#[test]
fn a_token_anywhere_else_is_no_token() {
    let lab = Lab::start();
    let token = &lab.token;
    for line in [
        format!("Proxy-Authorization: Bearer {token}"),
        format!("X-Authorization: Bearer {token}"),
        format!("Authorization_: Bearer {token}"),
        format!("X-Access-Token: {token}"),
        format!("X-Forwarded-Access-Token: {token}"),
        format!("DPoP: {token}"),
        format!("Cookie: access_token={token}"),
    ] {
        let answer = lab.get("/rest", &[&line]);
        assert_eq!(
            lab.assert_refused(&answer, 401, &line),
            "no_credential",
            "{line}"
        );
    }
    lab.assert_no_errors();
}

/// Envoy merges two `Authorization` lines itself; another proxy, or a later Envoy, may not.
#[test]
fn two_entries_in_a_raw_header_map_are_two_credentials() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let good = format!("Bearer {}", Token::of(&idp.issuer).signed());
    let good = good.as_str();
    for values in [
        vec![good, good],
        vec![good, "Bearer a.b.c"],
        vec!["Bearer a.b.c", good],
        vec![good, BASIC],
        vec![BASIC, good],
        vec![good, ""],
        vec!["", good],
        vec![BASIC, "", good, "Bearer a.b.c", good],
    ] {
        for names in [
            ["authorization", "authorization"],
            ["Authorization", "authorization"],
        ] {
            let mut check = Check::get("/rest");
            for (name, value) in names.iter().cycle().zip(&values) {
                check = check.header(name, value);
            }
            let raw = service.check(check.clone().build());
            assert_eq!((raw.status, raw.user()), (400, None), "{values:?}");
            assert_eq!(raw.reason(), "malformed_credential", "{values:?}");
            let joined = service.check(check.build_joined());
            assert!(joined.status == 400 || joined.status == 401, "{values:?}");
            assert_eq!(joined.user(), None, "{values:?}");
        }
    }
    // The control: one of them alone is alice's.
    let check = Check::get("/rest").header("Authorization", good);
    assert_eq!(service.check(check.clone().build()).user(), Some("alice"));
    assert_eq!(service.check(check.build_joined()).user(), Some("alice"));
}

#[test]
fn when_both_encodings_are_filled_only_the_raw_one_is_read() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let good = format!("Bearer {}", Token::of(&idp.issuer).signed());
    let joined = |name: &str, value: &str| HashMap::from([(name.to_owned(), value.to_owned())]);
    let mut hidden = Check::get("/rest");
    hidden.http.headers = joined("authorization", &good);
    assert_eq!(service.check(hidden.build()).reason(), "no_credential");

    let mut contradicted = Check::get("/rest").header("authorization", &good);
    contradicted.http.headers = joined("authorization", "Bearer a.b.c");
    assert_eq!(service.check(contradicted.build()).user(), Some("alice"));

    // An empty map is none: there is nothing in it to prefer.
    let mut check = Check::get("/rest")
        .header("authorization", &good)
        .build_joined();
    let attributes = check.attributes.as_mut().expect("attributes");
    let http = attributes
        .request
        .as_mut()
        .expect("a request")
        .http
        .as_mut();
    let http = http.expect("HTTP");
    http.header_map = Some(HeaderMap {
        headers: Vec::<HeaderValue>::new(),
    });
    assert_eq!(service.check(check.clone()).user(), Some("alice"));

    let http = check
        .attributes
        .as_mut()
        .unwrap()
        .request
        .as_mut()
        .unwrap()
        .http
        .as_mut()
        .unwrap();
    http.headers.clear();
    assert_eq!(service.check(check).status, 400, "no headers at all");
}

#[test]
fn no_credential_reaches_the_product_next_to_an_identity() {
    for raw in ENCODINGS {
        let lab = Lab::encoded(raw);
        let alice = lab.alice();
        let lines = [
            alice.as_str(),
            "Proxy-Authorization: Basic YWRtaW46YWRtaW4=",
            "PROXY-AUTHORIZATION: Bearer x",
            "DPoP: a.b.c",
            "Cookie: JSESSIONID=of-an-administrator",
            "cookie: seraph.rememberme.cookie=1",
            "X-HTTP-Method-Override: DELETE",
            "x-http-method-override: PUT",
            "X-HTTP-Method: DELETE",
            "X-Method-Override: DELETE",
            "X-Kept: 1",
        ];
        let seen = lab.assert_alice(&lab.get("/rest", &lines), "HTTP/1.1");
        for carrier in CARRIERS {
            assert!(seen.values(carrier).is_empty(), "raw {raw}: {carrier}");
        }
        assert_eq!(seen.values("x-kept"), ["1"]);
        let everything = format!("{seen:?}");
        for secret in [
            &*lab.token,
            "of-an-administrator",
            "rememberme",
            "YWRtaW46YWRtaW4=",
        ] {
            assert!(!everything.contains(secret), "raw {raw}: {secret}");
        }

        let alice = format!("Bearer {}", lab.token);
        let crumbs: [(&str, &[u8]); 6] = [
            ("authorization", alice.as_bytes()),
            ("cookie", b"JSESSIONID=of-an-administrator"),
            ("cookie", b"seraph.rememberme.cookie=1"),
            ("proxy-authorization", b"Bearer x"),
            ("dpop", b"a.b.c"),
            ("x-http-method-override", b"DELETE"),
        ];
        let answer = h2::exchange(&lab.envoy.address, h2::get("/rest", &crumbs), None);
        let seen = lab.assert_alice(&answer, "HTTP/2");
        for carrier in CARRIERS {
            assert!(
                seen.values(carrier).is_empty(),
                "HTTP/2, raw {raw}: {carrier}"
            );
        }
        lab.assert_no_errors();
    }
}

#[test]
fn a_login_in_the_query_is_refused_before_the_product_sees_it() {
    let lab = Lab::start();
    let alice = lab.alice();
    for query in [
        "os_username=admin&os_password=admin",
        "os_username=admin",
        "x=1&os_password=admin",
        "os_authType=basic",
        "os_authtype=none",
        "os_cookie=true",
        "access_token=a.b.c",
        "OS_USERNAME=admin",
        "os%5Fusername=admin",
        "%6fs_username=admin",
        "os_usernam%65=admin&os_p%61ssword=x",
        "os_username",
        "&&&os_username=admin",
        "x=%26&os_username=admin",
        "x=?os_cookie&os_username=admin",
        "oauth_token=a",
        "oauth_consumer_key=a",
    ] {
        let target = format!("/rest/api/2/myself?{query}");
        let answer = lab.get(&target, &[&alice]);
        let code = lab.assert_refused(&answer, 400, query);
        assert_eq!(code, "malformed_credential", "{query}");
        let refused_alone = lab.get(&target, &[]);
        lab.assert_refused(&refused_alone, 400, query);
    }
    for query in ["jql=os_username", "x_os_username=1", "q=access_token%3D1"] {
        let target = format!("/rest/api/2/search?{query}");
        let seen = lab.assert_alice(&lab.get(&target, &[&alice]), query);
        assert_eq!(seen.line, format!("GET {target} HTTP/1.1"));
    }
    lab.assert_no_errors();
}

/// Tomcat would serve the session's user, whoever the token's is.
#[test]
fn a_session_in_the_path_beside_a_token_is_refused() {
    let lab = Lab::start();
    let alice = lab.alice();
    for path in [
        "/rest/api/2/myself;jsessionid=0A1B",
        "/rest;jsessionid=0A1B/api/2/myself",
        "/rest;a=b;JSESSIONID=0A1B/api/2/myself",
        "/rest/api/2/myself%3Bjsessionid=0A1B",
        "/rest/api/2/myself;%6Asessionid=0A1B",
    ] {
        let answer = lab.get(path, &[&alice]);
        let code = lab.assert_refused(&answer, 400, path);
        assert_eq!(code, "malformed_credential", "{path}");
    }
    lab.assert_no_errors();
}

#[test]
fn a_session_in_the_path_is_refused_where_no_rule_reads_paths() {
    let idp = Idp::start();
    let config = format!("{}    denied_paths: []\n", config_for(&idp));
    let mut service = Service::with_config(&config);
    let token = Token::of(&idp.issuer).signed();
    let mut ask = |path: &str| service.check(Check::get(path).bearer(&token).build());
    assert_eq!(ask("/rest;v=1/api").user(), Some("alice"));
    let outcome = ask("/rest;jsessionid=0A1B/api");
    assert_eq!(
        (outcome.status, outcome.reason()),
        (400, "malformed_credential")
    );
}
