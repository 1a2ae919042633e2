//! Every answer that a key set's address can give.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    assert_alice, assert_undecided, config_of, expect_error, fresh, status_of, unknown_kid,
};
use crate::support::{
    idp::{Answer, Idp, jwks},
    keys::{base64url, shared_es256, shared_rs256},
    process::{cpu_nanos, resident_kib},
    service::Service,
};

const TIMEOUT: &str = "no complete answer within the time limit";
const TOO_LARGE: &str = "the answer is larger than 524288 bytes";
const BROKEN: &str = "the answer is incomplete or malformed";
const NOT_JSON: &str = "the key set is refused: it is not valid JSON";
const EMPTY: &str = "the key set has no usable key";
const NO_KEYS: &str = "the key set has no array 'keys'";

/// A provider's name, what its key set's address answers, and how the fetch must fail.
type Case = (&'static str, Answer, &'static str);

fn good() -> String {
    jwks(&[shared_rs256().jwk("k1")])
}

/// A key set whose only key is the good one, changed.
fn changed(change: &Value) -> Answer {
    let mut jwk = shared_rs256().jwk("k1");
    for (name, value) in change.as_object().expect("an object") {
        jwk[name] = value.clone();
    }
    Answer::Json(jwks(&[jwk]))
}

fn head(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n\r\n")
}

/// Good keys, and then blanks beyond the limit: valid, but too much.
fn endless_chunks() -> Vec<u8> {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let mut bytes = head("transfer-encoding: chunked") + &chunk(&good());
    for _ in 0..200 {
        bytes += &chunk(&" ".repeat(10_000));
    }
    bytes.into_bytes()
}

/// RFC 1952 and 1951 by hand: one stored block. A client that inflates would find good keys.
fn gzip(text: &str) -> Vec<u8> {
    let crc = !text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let length = u16::try_from(text.len()).expect("short");
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(crc.to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

fn gzipped() -> Answer {
    let body = gzip(&good());
    let length = body.len();
    let head = head(&format!(
        "content-encoding: gzip\r\ncontent-length: {length}\r\nconnection: close"
    ));
    Answer::Raw([head.into_bytes(), body].concat())
}

fn transport_faults() -> Vec<Case> {
    let truncated = head("content-length: 100000") + &good();
    vec![
        ("hangs", Answer::Hang, TIMEOUT),
        (
            "drips",
            Answer::Drip(good(), Duration::from_millis(20)),
            TIMEOUT,
        ),
        ("closes", Answer::Raw(Vec::new()), BROKEN),
        ("resets", Answer::Reset(Vec::new()), BROKEN),
        (
            "resets-in-body",
            Answer::Reset(truncated.clone().into_bytes()),
            BROKEN,
        ),
        ("truncated", Answer::Raw(truncated.into_bytes()), BROKEN),
        (
            "chunks-break",
            Answer::Raw((head("transfer-encoding: chunked") + "5\r\n{\"key").into_bytes()),
            BROKEN,
        ),
        (
            "not-http",
            Answer::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
            BROKEN,
        ),
        (
            "ten-megabytes",
            Answer::Json(good() + &" ".repeat(10 * 1024 * 1024)),
            TOO_LARGE,
        ),
        ("endless", Answer::Raw(endless_chunks()), TOO_LARGE),
        ("gzip", gzipped(), NOT_JSON),
    ]
}

fn statuses() -> Vec<Case> {
    let json = |line| Answer::status(line, &[], &good());
    vec![
        (
            "s204",
            Answer::status("204 No Content", &[], ""),
            "the server answered with status 204",
        ),
        (
            "s206",
            json("206 Partial Content"),
            "the server answered with status 206",
        ),
        (
            "s401",
            json("401 Unauthorized"),
            "the server answered with status 401",
        ),
        (
            "s404",
            json("404 Not Found"),
            "the server answered with status 404",
        ),
        (
            "s429",
            Answer::status("429 Too Many Requests", &["retry-after: 30"], &good()),
            "the server answered with status 429",
        ),
        (
            "s500",
            json("500 Internal Server Error"),
            "the server answered with status 500",
        ),
        (
            "s304",
            Answer::status("304 Not Modified", &["etag: \"v1\""], ""),
            "the answer is incomplete or malformed",
        ),
    ]
}

fn document_faults() -> Vec<Case> {
    let text = |text: &str| Answer::Json(text.to_owned());
    let key = shared_rs256().jwk("k1");
    let deep = format!(
        "{{\"keys\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let many: Vec<_> = (0..10_000).map(|_| json!({})).collect();
    vec![
        ("nothing", text(""), NOT_JSON),
        (
            "html",
            text("<!doctype html><title>Sign in</title>"),
            NOT_JSON,
        ),
        (
            "html-around",
            text(&format!("<pre>{}</pre>", good())),
            NOT_JSON,
        ),
        ("half", text(&good()[..good().len() / 2]), NOT_JSON),
        ("two", text(&format!("{}{}", good(), good())), NOT_JSON),
        (
            "array",
            text(&format!("[{}]", good())),
            "the key set is refused: it is not an object",
        ),
        ("object", text("{}"), NO_KEYS),
        ("bare-key", text(&key.to_string()), NO_KEYS),
        ("keys-object", text(&format!("{{\"keys\":{key}}}")), NO_KEYS),
        (
            "duplicates",
            text(&format!("{{\"keys\":[{key}],\"keys\":[{key}]}}")),
            "the key set is refused: an object has duplicate members",
        ),
        (
            "deep",
            text(&deep),
            "the key set is refused: it is too large or too deep",
        ),
        (
            "many",
            Answer::Json(jwks(&many)),
            "the key set is refused: it is too large or too deep",
        ),
        (
            "hundred-and-one",
            Answer::Json(jwks(&vec![key; 101])),
            "the key set has more than 100 keys",
        ),
        ("empty", text(r#"{"keys":[]}"#), EMPTY),
    ]
}

fn key_faults() -> Vec<Case> {
    let key = shared_rs256().jwk("k1");
    let mut cases: Vec<Case> = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
        .into_iter()
        .zip([
            "private-d",
            "private-p",
            "private-q",
            "private-dp",
            "private-dq",
            "private-qi",
            "private-oth",
            "private-k",
        ])
        .map(|(member, name)| (name, changed(&json!({member: "AQAB"})), EMPTY))
        .collect();
    let symmetric = json!({"kty": "oct", "kid": "k1", "alg": "HS256", "k": base64url([1; 64])});
    let small = json!({"n": base64url([0xc3; 128])});
    let mut even = [0xc2; 256];
    even[0] = 0xff;
    let mut short = shared_es256().jwk("k1");
    short["x"] = base64url([1; 31]).into();
    let mut beside = shared_es256().jwk("k1");
    beside["x"] = beside["y"].clone();
    cases.extend([
        ("symmetric", Answer::Json(jwks(&[symmetric])), EMPTY),
        ("encryption", changed(&json!({"use": "enc"})), EMPTY),
        ("no-verify", changed(&json!({"key_ops": ["sign"]})), EMPTY),
        ("rsa-1024", changed(&small), EMPTY),
        ("rsa-even", changed(&json!({"n": base64url(even)})), EMPTY),
        (
            "rsa-leading-zero",
            changed(&json!({"n": base64url([&[0][..], &[0xc3; 256]].concat())})),
            EMPTY,
        ),
        ("rsa-exponent-1", changed(&json!({"e": "AQ"})), EMPTY),
        ("ec-short", Answer::Json(jwks(&[short])), EMPTY),
        ("ec-off-curve", Answer::Json(jwks(&[beside])), EMPTY),
        (
            "same-kid",
            Answer::Json(jwks(&[key.clone(), shared_es256().jwk("k1")])),
            EMPTY,
        ),
        ("same-key", Answer::Json(jwks(&[key.clone(), key])), EMPTY),
        ("alg-mismatch", changed(&json!({"alg": "ES256"})), EMPTY),
        ("alg-hmac", changed(&json!({"alg": "HS256"})), EMPTY),
    ]);
    cases
}

fn all_faults() -> Vec<Case> {
    [
        transport_faults(),
        statuses(),
        document_faults(),
        key_faults(),
    ]
    .concat()
}

fn issuer(idp: &Idp, name: &str) -> String {
    format!("{}/{name}", idp.issuer)
}

/// One provider for each fault, all on one server, and a healthy one.
fn config(idp: &Idp, cases: &[Case]) -> String {
    let provider = |name: &str| {
        let issuer = issuer(idp, name);
        let jwt = format!("issuer: \"{issuer}\", jwks_uri: \"{issuer}/jwks\"");
        (name.to_owned(), jwt)
    };
    let mut providers: Vec<_> = cases.iter().map(|(name, ..)| provider(name)).collect();
    providers.push(provider("healthy"));
    config_of(&providers)
}

#[test]
fn without_usable_keys_a_providers_tokens_are_undecided_and_others_are_not_affected() {
    let (idp, cases) = (Idp::start(), all_faults());
    idp.answer("/healthy/jwks", Answer::Json(good()));
    for (name, answer, _) in &cases {
        idp.answer(&format!("/{name}/jwks"), answer.clone());
    }
    let mut service = Service::with_config(&config(&idp, &cases));
    for (name, _, error) in &cases {
        expect_error(&service, name, error);
        let outcome = service.check_token(&fresh(&issuer(&idp, name)).signed());
        assert_undecided(&outcome, name);
        assert_eq!(outcome.reason(), "provider_keys_not_loaded", "{name}");
        let outcome = service.check_token(&unknown_kid(&issuer(&idp, name)));
        assert_undecided(&outcome, name);
        assert_eq!(status_of(&service, name)["keys"], 0, "{name}");
        assert_eq!(
            status_of(&service, name)["age_seconds"],
            Value::Null,
            "{name}"
        );

        let healthy = service.check_token(&fresh(&issuer(&idp, "healthy")).signed());
        assert_alice(&healthy, name);
    }
    let output = service.process.output();
    for name in ["private-d", "private-k", "symmetric"] {
        let warned = |line: &str| {
            line.contains("publishes secret key material") && line.contains(&format!("\"{name}\""))
        };
        assert!(output.lines().any(warned), "{name}: an incident to tell");
    }
}

#[test]
fn whatever_a_provider_answers_later_the_keys_in_use_stay_in_use() {
    let (idp, cases) = (Idp::start(), all_faults());
    for name in cases.iter().map(|(name, ..)| *name).chain(["healthy"]) {
        idp.answer(&format!("/{name}/jwks"), Answer::Json(good()));
    }
    let mut service = Service::with_config(&config(&idp, &cases));
    for (name, answer, _) in &cases {
        let cached = fresh(&issuer(&idp, name)).signed();
        assert_alice(&service.check_token(&cached), name);
        idp.answer(&format!("/{name}/jwks"), answer.clone());
        // Asks for a new key, and so for the keys.
        let outcome = service.check_token(&unknown_kid(&issuer(&idp, name)));
        assert_undecided(&outcome, name);
        assert_eq!(outcome.reason(), "provider_keys_not_refreshed", "{name}");
        assert_alice(&service.check_token(&cached), name);
        assert_alice(
            &service.check_token(&fresh(&issuer(&idp, name)).signed()),
            name,
        );
    }
    for (name, _, error) in &cases {
        expect_error(&service, name, error);
        assert_alice(
            &service.check_token(&fresh(&issuer(&idp, name)).signed()),
            name,
        );
        let outcome = service.check_token(&unknown_kid(&issuer(&idp, name)));
        assert_undecided(&outcome, name);
        assert_eq!(status_of(&service, name)["keys"], 1, "{name}");
    }
}

/// Fault 5. What is too large, too deep or too many is given up early: the CPU time is held against that of tokens.
#[test]
fn an_answer_that_is_refused_costs_less_than_a_thousand_tokens_and_ten_mebibytes() {
    const TOKENS: u64 = 300;
    let heavy = [
        "ten-megabytes",
        "endless",
        "gzip",
        "html",
        "duplicates",
        "deep",
        "many",
    ];
    let (idp, mut cases) = (Idp::start(), all_faults());
    cases.retain(|(name, ..)| heavy.contains(name));
    assert_eq!(cases.len(), heavy.len());
    for name in heavy.into_iter().chain(["healthy"]) {
        idp.answer(&format!("/{name}/jwks"), Answer::Json(good()));
    }
    let mut service = Service::with_config(&config(&idp, &cases));
    let process = service.process.id();
    let before = cpu_nanos(process);
    for _ in 0..TOKENS {
        let token = fresh(&issuer(&idp, "healthy")).signed();
        assert_alice(&service.check_token(&token), "healthy");
    }
    let token = (cpu_nanos(process) - before) / TOKENS;
    for (name, answer, error) in &cases {
        let (_, most) = resident_kib(process);
        let cpu = cpu_nanos(process);
        idp.answer(&format!("/{name}/jwks"), answer.clone());
        let outcome = service.check_token(&unknown_kid(&issuer(&idp, name)));
        assert_undecided(&outcome, name);
        expect_error(&service, name, error);
        let cost = (cpu_nanos(process) - cpu) / token;
        let grown = resident_kib(process).1 - most;
        eprintln!("fault 5, {name}: as much CPU time as {cost} tokens, grown by {grown} KiB");
        assert!(cost < 1000, "{name}: {cost} tokens");
        assert!(grown < 10 * 1024, "{name}: {grown} KiB");
        let known = fresh(&issuer(&idp, name)).signed();
        assert_alice(&service.check_token(&known), name);
    }
}
