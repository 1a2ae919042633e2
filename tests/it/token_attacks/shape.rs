//! The form of a token: three parts of strict base64url, and a size.

use serde_json::json;

use super::{Gate, sign_parts, token_of};
use crate::support::{
    keys::{base64url, shared_es256, shared_rs256},
    service::Check,
    tokens::Token,
};

/// Of an `Authorization` value.
const LIMIT: usize = 16 * 1024;

/// A good token in its three parts. Spaces after the JSON leave unused bits in both encodings.
fn parts(token: &Token) -> (String, String) {
    let loose = |json: String| match json.len() % 3 {
        0 => base64url(json + " "),
        _ => base64url(json),
    };
    (
        loose(token.header.to_string()),
        loose(token.payload.to_string()),
    )
}

/// The same bytes with other unused bits.
fn other_trailing_bits(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = part.split_at(part.len() - 1);
    let value = ALPHABET.iter().position(|byte| last.as_bytes()[0] == *byte);
    let value = value.expect("base64url");
    assert_eq!(value % 4, 0, "{part} has unused bits");
    format!("{head}{}", char::from(ALPHABET[value + 1]))
}

#[test]
fn a_token_has_three_parts_and_none_is_empty() {
    let mut gate = Gate::open();
    let good = gate.good().signed();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let opaque = "no_provider_for_opaque_token";
    for (token, reason) in [
        (header.to_owned(), opaque),
        (format!("{header}.{payload}"), opaque),
        (format!("{good}.{signature}"), opaque),
        (format!("{header}.{good}"), opaque),
        (
            format!("{header}.{payload}.{payload}.{signature}.{signature}"),
            opaque,
        ),
        (format!("{header}....{signature}"), opaque),
        (format!("{good}."), opaque),
        (format!(".{good}"), opaque),
        (format!("..{good}"), opaque),
        (format!("{good}.{good}"), opaque),
        (format!(".{payload}.{signature}"), opaque),
        (format!("{header}.{payload}."), "malformed_token"),
        (format!("{header}..{signature}"), "malformed_token"),
        (format!("{header}.."), "malformed_token"),
        (format!("..{signature}"), opaque),
        ("..".to_owned(), opaque),
        (".".to_owned(), opaque),
        ("ey..".to_owned(), "malformed_token"),
        ("ey.ey.ey".to_owned(), "malformed_token"),
        ("e30.e30.AA".to_owned(), "header_refused"),
        (format!("{payload}.{header}.{signature}"), "header_refused"),
        (format!("{header}.{header}.{signature}"), "claim_missing"),
        (format!("{signature}.{payload}.{header}"), opaque),
    ] {
        gate.refuses(&token, &token, reason);
    }
    gate.still_admits_alice();
}

#[test]
fn base64url_is_strict_in_every_part_even_if_the_provider_signed_it() {
    let mut gate = Gate::with(&[("p", "", "")]);
    let (header, payload) = parts(&token_of("p"));
    let sign = |header: &str, payload: &str| sign_parts(header, payload, shared_rs256());
    gate.admits("canonical", &sign(&header, &payload), "alice");

    let loose_header = sign(&other_trailing_bits(&header), &payload);
    gate.refuses(
        "trailing bits in the header",
        loose_header,
        "malformed_token",
    );
    let loose_payload = sign(&header, &other_trailing_bits(&payload));
    gate.refuses(
        "trailing bits in the payload",
        loose_payload,
        "malformed_token",
    );
    let good = sign(&header, &payload);
    gate.refuses(
        "trailing bits in the signature",
        other_trailing_bits(&good),
        "malformed_token",
    );
    for (tail, reason) in [
        ("A", "bad_signature"),
        ("AAA", "malformed_token"),
        ("AAAA", "bad_signature"),
        ("=", "malformed_token"),
        ("==", "malformed_token"),
        ("====", "malformed_token"),
    ] {
        gate.refuses("a longer signature", format!("{good}{tail}"), reason);
    }
    // `=` inside and what RFC 6750 has no room for is no credential at all.
    for padded in [
        sign(&format!("{header}="), &payload),
        sign(&header, &format!("{payload}==")),
    ] {
        gate.finds_malformed("padding", padded);
    }
    // The other alphabet, which RFC 6750 has room for.
    let text = token_of("p").claim("note", "\u{3ff}\u{3ff}\u{3ff}>>>???~~~");
    let payload = base64url(text.payload.to_string());
    assert!(payload.contains(['-', '_']));
    let standard = payload.replace('-', "+").replace('_', "/");
    gate.admits("base64url", &sign(&header, &payload), "alice");
    gate.refuses(
        "base64 in the payload",
        sign(&header, &standard),
        "malformed_token",
    );
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let standard = signature.replace('-', "+").replace('_', "/");
    assert_ne!(signature, standard);
    gate.refuses(
        "in the signature",
        format!("{head}.{standard}"),
        "malformed_token",
    );
    gate.still_admits_alice();
}

#[test]
fn nothing_stands_before_inside_or_after_a_token() {
    let mut gate = Gate::open();
    let good = gate.good().signed();
    let dots: Vec<usize> = good.match_indices('.').map(|(at, _)| at).collect();
    for noise in [
        " ", "\t", "\n", "\r\n", "\r\n ", "\0", "%2e", "\u{a0}", "\u{feff}", "\u{200b}", "\"", "'",
    ] {
        for at in [
            1,
            dots[0],
            dots[0] + 1,
            dots[1],
            dots[1] + 1,
            good.len() - 1,
            good.len(),
        ] {
            let mut token = good.clone();
            token.insert_str(at, noise);
            gate.finds_malformed(&format!("{noise:?} at {at}"), token);
        }
    }
    for token in [
        format!("\"{good}\""),
        format!("<{good}>"),
        format!("{good} {good}"),
        format!("{good},{good}"),
        format!("token={good}"),
        format!("{good};v=1"),
        format!("Bearer {good}"),
    ] {
        gate.finds_malformed(&token, &token);
    }
    for byte in [0x80, 0xa0, 0xc0, 0xff] {
        gate.finds_malformed("no UTF-8", [good.as_bytes(), &[byte]].concat());
    }
    gate.still_admits_alice();
}

#[test]
fn other_serialisations_and_nested_tokens_are_refused() {
    let mut gate = Gate::open();
    let good = gate.good().signed();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let flat = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({"payload": payload,
        "signatures": [{"protected": header, "signature": signature}]});
    for json in [flat, general] {
        gate.finds_malformed("JSON serialisation", json.to_string());
        let encoded = base64url(json.to_string());
        gate.refuses(
            "the same in base64url",
            &encoded,
            "no_provider_for_opaque_token",
        );
        let framed = format!("{encoded}.{payload}.{signature}");
        gate.refuses("as a header", framed, "header_refused");
    }
    let nested = base64url(&good);
    let nested_payload = sign_parts(header, &nested, shared_rs256());
    gate.refuses("a token as the payload", nested_payload, "malformed_token");
    let quoted = sign_parts(header, &base64url(format!("\"{good}\"")), shared_rs256());
    gate.refuses("a token as a JSON string", quoted, "malformed_token");
    let nested_header = sign_parts(&nested, payload, shared_rs256());
    gate.refuses(
        "a token as the header",
        nested_header,
        "no_provider_for_opaque_token",
    );
    gate.refuses("a token, encoded", &nested, "no_provider_for_opaque_token");
    gate.still_admits_alice();
}

#[test]
fn our_own_prefixes_are_never_anything_else() {
    let mut gate = Gate::open();
    let good = gate.good().signed();
    for prefix in ["axt_", "axs_"] {
        for token in [
            prefix.to_owned(),
            format!("{prefix}{good}"),
            format!("{prefix}.{good}"),
            format!("{prefix}AbCdEfGhIjKl_{}", "0".repeat(49)),
            format!("{prefix}..{}", "a".repeat(100)),
        ] {
            let answer = gate.ask(&token, token.as_bytes());
            assert_eq!(answer.status, 401, "{token}");
            assert_eq!(
                answer.metadata.get("provider"),
                None,
                "{token}: shown to a provider"
            );
            assert_eq!(answer.body, super::BAD_TOKEN_BODY);
            gate.refuses(&token, &token, "api_tokens_disabled");
        }
    }
    // Nor in another case: it may be a token that somebody's tool has changed.
    gate.refuses("upper case", format!("AXT_{good}"), "api_tokens_disabled");
    gate.still_admits_alice();
}

#[test]
fn a_token_of_16_kib_is_read_and_no_byte_more() {
    let mut gate = Gate::with(&[("p", "", "")]);
    let sized = |fill: usize, header_fill: usize| {
        let rest: Vec<String> = (0..fill)
            .step_by(4000)
            .map(|at| "x".repeat((fill - at).min(4000)))
            .collect();
        let mut token = token_of("p").header("alg", "ES256").header("kid", "ec");
        token.header["fill"] = json!("x".repeat(header_fill));
        token.payload["fill"] = json!(rest);
        token.signed_by(shared_es256())
    };
    // base64 grows in steps of one or two: two parts together reach every length.
    let find = |size: usize| {
        let near = (size - sized(0, 0).len()) * 3 / 4 - 60;
        let candidates = (near..near + 60).flat_map(|fill| (0..3).map(move |more| (fill, more)));
        let tokens = candidates.map(|(fill, more)| sized(fill, more));
        let mut fitting = tokens.filter(|token| "Bearer ".len() + token.len() == size);
        fitting.next().expect("a token of that size")
    };
    gate.admits("exactly 16 KiB", &find(LIMIT), "alice");
    gate.finds_malformed("16 KiB and one byte", find(LIMIT + 1));
    gate.finds_malformed(
        "a token of 16 KiB and one byte",
        find(LIMIT + 1 + "Bearer ".len()),
    );

    // More than all headers together may have, and more than a gRPC message may have: the latter
    // cannot be read at all, which is no allow either.
    for (size, status) in [(100 * 1024, 400), (1000 * 1024, 400), (1024 * 1024, 503)] {
        let token = "a".repeat(size);
        for check in [
            Check::get("/").bearer(&token).build(),
            Check::get("/").bearer(&token).build_joined(),
        ] {
            let answer = gate.service.check(check);
            assert_eq!(answer.status, status, "{size}");
        }
    }
    gate.still_admits_alice();
}
