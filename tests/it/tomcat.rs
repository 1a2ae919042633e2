//! Real Tomcats behind the real Envoy: what they make of a path is not our own reading of a
//! specification.

mod corpus;
mod product;
mod wire;

use std::{collections::BTreeMap, str};

use atlassian_authz::request::CanonicalPath;
use product::{Product, Products, Served};
use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    envoy::{Envoy, Options},
    idp::Idp,
    service::{Service, config_for},
};

/// The target up to the query.
fn path_of(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().expect("a first")
}

fn canonical(target: &[u8]) -> Option<&str> {
    let path = str::from_utf8(path_of(target)).ok()?;
    CanonicalPath::parse(path).map(CanonicalPath::as_str)
}

/// Every escape replaced by its byte, and nothing else.
fn decoded(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next().expect("a first").as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).expect("an escape"));
        bytes.extend(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// How Envoy may be told to treat paths.
fn normalisations() -> [(&'static str, Value); 5] {
    let how = |normalize: bool, merge: bool, slashes: &str| {
        json!({"normalize_path": normalize, "merge_slashes": merge,
            "path_with_escaped_slashes_action": slashes})
    };
    [
        ("as it comes", how(false, false, "KEEP_UNCHANGED")),
        ("normalised", how(true, false, "KEEP_UNCHANGED")),
        ("slashes merged", how(true, true, "KEEP_UNCHANGED")),
        ("slashes decoded", how(true, true, "UNESCAPE_AND_FORWARD")),
        ("slashes refused", how(true, true, "REJECT_REQUEST")),
    ]
}

/// Who has answered a request, and what.
fn answered(answer: &Answer) -> String {
    let status = answer.status;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    // Envoy says so of every answer that is not its own.
    if answer.header("x-envoy-upstream-service-time").is_some() {
        Served::of(answer).map_or_else(|| format!("Tomcat {status}"), |served| served.servlet)
    } else if body["error"]["code"].is_string() {
        format!("service {status}")
    } else {
        format!("Envoy {status}")
    }
}

/// Asks without a credential, as somebody who says that he is the administrator.
fn ask(envoy: &Envoy, product: &Product, targets: &[&[u8]]) -> Vec<Answer> {
    let port = format!("X-Upstream: {}", product.port);
    wire::get_all(&envoy.address, targets, &["X-Remote-User: admin", &port])
}

/// Every answer is a denial, or comes from a public servlet that believes nobody is there.
/// Returns how many of which kind there were, and the targets that were let through.
fn judge<'a>(
    what: &str,
    targets: &[&'a [u8]],
    answers: &[Answer],
) -> (BTreeMap<String, usize>, Vec<&'a [u8]>) {
    let mut counts = BTreeMap::new();
    let mut through = Vec::new();
    for (target, answer) in targets.iter().zip(answers) {
        let who = answered(answer);
        let what = format!("{what}: {}: {who}", target.escape_ascii());
        match &*who {
            "Envoy 400" | "service 400" | "service 401" => {}
            // It was let through all the same.
            "Tomcat 400" => through.push(*target),
            _ => {
                let served = Served::of(answer).expect(&what);
                assert!(served.is_public(), "{what}: {served:?}");
                assert!(served.users.is_empty(), "{what}: {served:?}");
                through.push(target);
            }
        }
        *counts.entry(who).or_default() += 1;
    }
    (counts, through)
}

#[test]
fn a_request_without_a_credential_reaches_only_servlets_that_are_public() {
    let Some(products) = Products::start() else {
        return;
    };
    let idp = Idp::start();
    let config = config_for(&idp).replace("[/status]", "[/status, \"/public/*\"]");
    let service = Service::with_config(&format!("{config}log: {{ level: info, format: json }}\n"));
    let targets = corpus::targets();
    let targets: Vec<&[u8]> = targets.iter().map(Vec::as_slice).collect();
    let (first, others) = products.all.split_first().expect("a product");
    for (name, manager) in normalisations() {
        let envoy = Options::new(&service.grpc, first.port)
            .further_upstreams(others.iter().map(|product| product.port))
            .manager(manager)
            .start();
        let what = format!("{name}, Tomcat {}", first.name);
        let (counts, through) = judge(&what, &targets, &ask(&envoy, first, &targets));
        eprintln!("{what}: {} sent, {counts:?}", targets.len());
        assert!(counts["public"] > 500, "{what}: {counts:?}");
        assert!(counts["status"] > 0, "{what}: {counts:?}");
        assert!(counts["service 401"] > 4_000, "{what}: {counts:?}");
        // Who is behind does not change what we say: elsewhere, only what was let through.
        for product in others {
            let what = format!("{name}, Tomcat {}", product.name);
            let (counts, again) = judge(&what, &through, &ask(&envoy, product, &through));
            eprintln!("{what}: {} sent, {counts:?}", through.len());
            assert_eq!(again, through, "{what}");
        }
        assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0, "{name}");
    }
}

#[test]
fn tomcat_dispatches_a_canonical_path_as_it_stands() {
    let Some(products) = Products::start() else {
        return;
    };
    let targets = corpus::targets();
    let targets: Vec<&[u8]> = targets
        .iter()
        .map(Vec::as_slice)
        .filter(|target| canonical(target).is_some())
        .collect();
    eprintln!("{} of {} are canonical", targets.len(), corpus::SIZE);
    assert!(targets.len() > 1_000, "{}", targets.len());
    for product in &products.all {
        let answers = wire::get_all(&product.address(), &targets, &[]);
        for (target, answer) in targets.iter().zip(answers) {
            let what = format!("{}: {}", product.name, target.escape_ascii());
            let path = canonical(target).expect("canonical");
            // No servlet is asked about what a Tomcat keeps from everybody.
            if path == "/WEB-INF" || path.starts_with("/WEB-INF/") {
                assert_eq!(answer.status, 404, "{what}: {answer:?}");
                continue;
            }
            let served = Served::of(&answer).unwrap_or_else(|| panic!("{what}: {answer:?}"));
            assert_eq!(served.path, decoded(path), "{what}");
        }
    }
}

/// A way to find out whether a path is public.
type Matcher = fn(&str) -> bool;

fn begins_public(path: &str) -> bool {
    path == "/status" || path.starts_with("/public/")
}

/// As RFC 3986 §6.2.2 has it, which knows no parameters.
fn is_public_once_normalised(path: &str) -> bool {
    let dots = path.to_ascii_lowercase().replace("%2e", ".");
    let mut segments = Vec::new();
    for segment in dots.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    begins_public(&format!("/{}", segments.join("/")))
}

/// Matchers that were in use somewhere, and ours.
const MATCHERS: [(&str, Matcher); 4] = [
    ("prefix", begins_public),
    ("prefix without ..", |path| {
        begins_public(path) && !path.contains("..")
    }),
    ("normalised prefix", is_public_once_normalised),
    ("ours", |path| {
        begins_public(path) && CanonicalPath::parse(path).is_some()
    }),
];

#[test]
fn the_corpus_gets_past_every_careless_matcher() {
    let Some(products) = Products::start() else {
        return;
    };
    let targets = corpus::targets();
    for (name, matches) in MATCHERS {
        let believed = |target: &&[u8]| str::from_utf8(path_of(target)).is_ok_and(matches);
        let targets: Vec<&[u8]> = targets.iter().map(Vec::as_slice).filter(believed).collect();
        for product in &products.all {
            let answers = wire::get_all(&product.address(), &targets, &[]);
            let elsewhere = answers.iter().filter_map(Served::of);
            let elsewhere = elsewhere.filter(|served| !served.is_public()).count();
            let what = format!("{name}, Tomcat {}", product.name);
            eprintln!("{what}: {} of {} get elsewhere", elsewhere, targets.len());
            if name == "ours" {
                assert_eq!(elsewhere, 0, "{what}");
            } else {
                assert!(elsewhere > 50, "{what}: {elsewhere}");
            }
        }
    }
}
