//! The operator's port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{CHECK, connect, framed, post, runtime};
use crate::support::{
    client,
    idp::Idp,
    keys::other_rs256,
    service::{Check, Service, config_for},
    tokens::Token,
};

/// One line of `/metrics` that is no comment.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads OpenMetrics text, and refuses what a scraper would refuse.
fn parse(page: &str) -> Vec<Sample> {
    let body = page.strip_suffix("# EOF\n").expect("ends with # EOF");
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = Vec::new();
    let mut seen = BTreeSet::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let kind = words.next().expect("a kind");
            let (name, text) = (words.next().expect("a name"), words.next().expect("a text"));
            match kind {
                "TYPE" => assert!(families.insert(name, text).is_none(), "twice: {line}"),
                "HELP" | "UNIT" => {}
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(seen.insert(series), "a series twice: {line}");
        let sample = Sample {
            name: series.split('{').next().expect("a name").to_owned(),
            labels: labels(series),
            value: value.parse().expect("a number"),
        };
        let (family, kind) = families
            .iter()
            .filter(|(family, _)| sample.name.starts_with(**family))
            .max_by_key(|(family, _)| family.len())
            .unwrap_or_else(|| panic!("no TYPE before {line}"));
        let suffix = &sample.name[family.len()..];
        let suffixes: &[&str] = match *kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("{other}: {line}"),
        };
        assert!(suffixes.contains(&suffix), "{kind}: {line}");
        samples.push(sample);
    }
    samples
}

fn labels(series: &str) -> BTreeMap<String, String> {
    let Some((_, labels)) = series.split_once('{') else {
        return BTreeMap::new();
    };
    let labels = labels.strip_suffix("\"}").expect("closed");
    let pairs = labels
        .split("\",")
        .map(|pair| pair.split_once("=\"").expect("name=\"value"));
    let mut read = BTreeMap::new();
    for (name, value) in pairs {
        assert!(
            !value.contains(['"', '\\', '\n']),
            "no such value here: {value}"
        );
        assert!(read.insert(name.to_owned(), value.to_owned()).is_none());
    }
    read
}

/// The sum of a family's samples that have these labels.
fn sum(samples: &[Sample], name: &str, wanted: &[(&str, &str)]) -> f64 {
    let matches = |sample: &&Sample| {
        let has = |(name, value): &(&str, &str)| {
            sample.labels.get(*name).is_some_and(|label| label == value)
        };
        sample.name == format!("atlassian_authz_{name}") && wanted.iter().all(has)
    };
    samples
        .iter()
        .filter(matches)
        .map(|sample| sample.value)
        .sum()
}

#[test]
fn the_pages_tell_an_operator_what_happens() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).signed();
    for _ in 0..3 {
        assert_eq!(service.check_token(&token).user(), Some("alice"));
    }
    let expired = Token::of(&idp.issuer).claim("exp", 1).signed();
    assert_eq!(service.check_token(&expired).status, 401);
    assert_eq!(service.check(Check::get("/status").build()).status, 200);
    assert_eq!(service.check(Check::get("/x").build()).status, 401);
    let other = Check::new("GET", "other.example", "/").build();
    assert_eq!(service.check(other).status, 403);

    for (path, body) in [("/livez", "ok\n"), ("/readyz", "ok\n")] {
        assert_eq!(service.admin_page(path), (200, body.to_owned()), "{path}");
    }
    let page = client::get(&service.admin, "/metrics", &[]);
    let kind = page.header("content-type").expect("a type");
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    let samples = parse(&page.body);
    for (expected, name, labels) in [
        (
            3.0,
            "decisions_total",
            [("reason", "token_valid"), ("status", "200")],
        ),
        (
            1.0,
            "decisions_total",
            [("reason", "expired"), ("status", "401")],
        ),
        (
            1.0,
            "decisions_total",
            [("reason", "public_path"), ("application", "jira")],
        ),
        (
            1.0,
            "decisions_total",
            [("reason", "no_credential"), ("provider", "")],
        ),
        (
            1.0,
            "decisions_total",
            [("reason", "unknown_application"), ("application", "")],
        ),
        (
            4.0,
            "decisions_total",
            [("provider", "idp"), ("application", "jira")],
        ),
        (
            1.0,
            "provider_fetches_total",
            [("provider", "idp"), ("outcome", "fetched")],
        ),
        (
            1.0,
            "provider_keys",
            [("provider", "idp"), ("issuer", &idp.issuer)],
        ),
    ] {
        assert_eq!(
            sum(&samples, name, &labels),
            expected,
            "{name} {labels:?}\n{}",
            page.body
        );
    }
    for (expected, name, labels) in [
        (4.0, "check_duration_seconds_count", ("verdict", "allow")),
        (3.0, "check_duration_seconds_count", ("verdict", "deny")),
        (4.0, "check_duration_seconds_bucket", ("le", "+Inf")),
        (2.0, "cache_requests_total", ("result", "hit")),
        (2.0, "cache_requests_total", ("result", "miss")),
        (0.0, "provider_unbound", ("provider", "idp")),
    ] {
        let mut labels = vec![labels];
        if labels[0].0 == "le" {
            labels.push(("verdict", "allow"));
        }
        assert_eq!(
            sum(&samples, name, &labels),
            expected,
            "{name} {labels:?}\n{}",
            page.body
        );
    }
    assert_eq!(sum(&samples, "panics_total", &[]), 0.0);
    let le = samples.iter().filter_map(|sample| sample.labels.get("le"));
    let shortest = le
        .filter_map(|le| le.parse::<f64>().ok())
        .fold(f64::MAX, f64::min);
    assert_eq!(shortest, 0.000_05, "50 µs");
    assert_eq!(sum(&samples, "cache_identities", &[]), 1.0);
    assert!(sum(&samples, "cache_bytes", &[]) > 0.0);

    let (status, statusz) = service.admin_page("/statusz");
    assert_eq!(status, 200);
    let statusz: Value = serde_json::from_str(&statusz).expect("JSON");
    assert_eq!(statusz["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(statusz["ready"], true);
    assert!(statusz["uptime_seconds"].is_u64());
    assert_eq!(statusz["cache"]["identities"], 1);
    assert!(statusz["cache"]["bytes"].is_u64());
    assert_eq!(statusz["cache"]["refused"], 1);
    let provider = &statusz["providers"][0];
    assert_eq!(provider["provider"], "idp");
    assert_eq!(provider["keys"]["issuer"], json!(idp.issuer));
    assert_eq!(provider["keys"]["keys"], 1);
    assert_eq!(provider["keys"]["last_error"], Value::Null);
    assert!(provider["keys"]["age_seconds"].is_u64());
}

#[test]
fn the_two_ports_do_not_serve_each_other() {
    let idp = Idp::start();
    let service = Service::start(&idp);

    for path in [
        "/",
        "/metrics/",
        "/debug/pprof",
        "/config",
        "/..",
        "/api/v1/x",
        CHECK,
    ] {
        assert_eq!(service.admin_page(path).0, 404, "{path}");
    }
    for (method, path) in [
        ("POST", "/metrics"),
        ("DELETE", "/statusz"),
        ("PUT", "/readyz"),
    ] {
        let answer = client::request(&service.admin, method, path, "x", &[]);
        assert_eq!(answer.status, 405, "{method} {path}");
    }

    // HTTP/1.1 on the gRPC port gets nothing at all, HTTP/2 a refusal.
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    for path in ["/metrics", "/statusz", "/livez", "/readyz"] {
        let answer = client::get(&service.grpc, path, &[]);
        assert_eq!((answer.status, &*answer.body), (0, ""), "{path}");
        let raw = runtime.block_on(post(&channel, path, &[], Vec::new()));
        assert_eq!(raw.grpc_status.as_deref(), Some("12"), "UNIMPLEMENTED");
        assert!(raw.body.is_empty(), "{path}");
    }
    // And gRPC is not served on the admin port, which speaks no HTTP/2.
    let check = framed(&prost::Message::encode_to_vec(&Check::get("/x").build()));
    let head = format!(
        "POST {CHECK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                        content-type: application/grpc\r\ncontent-length: {}\r\n\r\n",
        check.len()
    );
    let answer = client::send(&service.admin, &[head.as_bytes(), &check].concat());
    assert_eq!(answer.status, 404);
}

#[test]
fn a_flood_of_strange_requests_adds_no_series() {
    let idp = Idp::start();
    let mut config = config_for(&idp);
    config.push_str("  - { name: wiki, product: confluence, hosts: [wiki.example.com] }\n");
    let mut service = Service::with_config(&config);
    // Every kind of request; `number` makes each of a kind different.
    let flood = |service: &mut Service, number: usize| {
        let odd = format!("x{number}");
        let token = Token::of(&idp.issuer);
        let tokens = [
            token
                .clone()
                .claim("preferred_username", odd.clone())
                .signed(),
            token.clone().header("kid", odd.clone()).signed(),
            token
                .clone()
                .claim("iss", format!("https://{odd}.example"))
                .signed(),
            token.clone().claim("aud", odd.clone()).signed(),
            token.clone().claim("client_id", odd.clone()).signed(),
            token.clone().claim("exp", number as i64 + 1).signed(),
            token.clone().header("alg", odd.clone()).signed(),
            token.clone().header("typ", odd.clone()).signed(),
            token
                .clone()
                .claim("preferred_username", format!("{odd} y"))
                .signed(),
            token.claim("jti", odd.clone()).signed_by(other_rs256()),
            odd.clone(),
            format!("axt_{odd}"),
        ];
        for token in &tokens {
            // Twice: the second time it may be remembered.
            for _ in 0..2 {
                service.check(Check::get(&format!("/{odd}")).bearer(token).build());
            }
        }
        service.check(Check::new("GET", &format!("{odd}.example"), "/").build());
        service.check(Check::new(&odd, "wiki.example.com", &format!("/{odd}")).build());
        service.check(Check::get("/status").header("x-request-id", &odd).build());
        service.check(Check::get(&odd).build());
        service.check(Check::get("/x").extension("application", &odd).build());
        service.check(
            Check::get("/x")
                .header("authorization", format!("{odd} y"))
                .build(),
        );
        service.check(Check::get(&format!("/x?os_username={odd}")).build());
        service.check(Check::new("CONNECT", &format!("{odd}:1"), "").build());
        service.check(Check::get("/x").header("upgrade", &odd).build());
    };
    let names = |service: &Service| {
        let samples = parse(&service.admin_page("/metrics").1);
        let series = samples
            .into_iter()
            .map(|sample| (sample.name, sample.labels));
        series.collect::<BTreeSet<_>>()
    };

    flood(&mut service, 0);
    let before = names(&service);
    for number in 1..=30 {
        flood(&mut service, number);
    }
    let after = names(&service);

    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    let decided = sum(
        &parse(&service.admin_page("/metrics").1),
        "decisions_total",
        &[],
    );
    assert_eq!(decided, 31.0 * 33.0);
}
