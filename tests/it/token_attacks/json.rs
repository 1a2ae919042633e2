//! JSON that two programs could read in two ways, or that is made to hurt a parser.

use serde_json::{Value, json};

use super::{Gate, sign_bytes};
use crate::support::{
    keys::shared_rs256,
    tokens::{Token, sign_raw},
};

/// A good token's payload with this text in place of its opening brace.
fn payload_with(gate: &Gate, opening: &str) -> String {
    gate.good().payload.to_string().replacen('{', opening, 1)
}

fn with_payload(payload: &str) -> String {
    sign_raw(
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt"}"#,
        payload,
        shared_rs256(),
    )
}

#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let mut gate = Gate::open();
    let other_values = [
        ("iss", json!("https://other.test")),
        ("aud", json!("other")),
        ("sub", json!("root")),
        ("preferred_username", json!("mallory")),
        ("exp", json!(1)),
        ("iat", json!(1)),
        ("client_id", json!("other")),
        ("unknown", json!(1)),
    ];
    let good = gate.good().claim("unknown", 2).payload;
    let text = good.to_string();
    let open = text.strip_suffix('}').expect("an object");
    for (claim, other) in other_values {
        let escaped = format!("\\u{:04x}{}", claim.as_bytes()[0], &claim[1..]);
        let (head, last) = claim.split_at(claim.len() - 1);
        let escaped_last = format!("{head}\\u{:04X}", last.as_bytes()[0]);
        for value in [&other, &good[claim]] {
            for name in [claim, &escaped, &escaped_last] {
                let member = format!("\"{name}\":{value}");
                let first = text.replacen('{', &format!("{{{member},"), 1);
                gate.refuses(&member, with_payload(&first), "malformed_token");
                let last = format!("{open},{member}}}");
                gate.refuses(&member, with_payload(&last), "malformed_token");
            }
        }
    }
    // Two names that only a careless reader takes for one.
    let payload = payload_with(
        &gate,
        r#"{"Preferred_Username":"mallory","preferred_username ":"mallory","#,
    );
    gate.admits("names in another case", &with_payload(&payload), "alice");
    gate.still_admits_alice();
}

#[test]
fn a_member_that_is_there_twice_anywhere_is_refused() {
    let mut gate = Gate::open();
    let payload = gate.good().payload.to_string();
    for header in [
        r#"{"alg":"none","alg":"RS256","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","alg":"none"}"#,
        r#"{"alg":"RS256","alg":"RS256","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","\u0061lg":"none","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","al\u0067":"RS256","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","kid":"k2","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"dpop+jwt","t\u0079p":"at+jwt"}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","x":{"a":1,"a":1}}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","x":[[{"a":1,"\u0061":2}]]}"#,
        r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","":1,"":1}"#,
    ] {
        gate.refuses(
            header,
            sign_raw(header, &payload, shared_rs256()),
            "malformed_token",
        );
    }
    for nested in [
        r#"{"realm_access":{"roles":["a"],"roles":["admin"]},"#,
        r#"{"x":{"y":{"z":{"a":1,"a":1}}},"#,
        r#"{"x":[{"a":1},{"a":1,"b":2,"a":3}],"#,
        r#"{"x":{"\ud83d\ude00":1,"😀":2},"#,
        r#"{"x":{"/":1,"\/":2},"#,
    ] {
        let token = with_payload(&payload_with(&gate, nested));
        gate.refuses(nested, token, "malformed_token");
    }
    gate.still_admits_alice();
}

#[test]
fn header_and_payload_are_one_json_object_each_and_nothing_more() {
    let mut gate = Gate::open();
    let good = gate.good().payload.to_string();
    let header = gate.good().header.to_string();
    let mut cases: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"x\"",
        "[]",
        "{",
        "}",
        "{}}",
        "{{}}",
        "{,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":0x1}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":undefined}",
        "{\"a\":1e400}",
        "{\"a\":-1e400}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\\ud800\"}",
        "{\"a\":TRUE}",
        "{/**/}",
        "//\n{}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for (before, after) in [
        ("\u{feff}", ""),
        ("[", "]"),
        ("\"", "\""),
        ("", "x"),
        ("", "{}"),
        ("", "\0"),
        ("\0", ""),
        ("", ","),
        ("", " null"),
        ("\u{a0}", ""),
        ("\u{b}", ""),
        ("/**/", ""),
        ("", "#"),
        (")]}'\n", ""),
    ] {
        for text in [&good, &header] {
            cases.push([before.as_bytes(), text.as_bytes(), after.as_bytes()].concat());
        }
    }
    for text in [&good, &header] {
        let wide: Vec<u16> = text.encode_utf16().collect();
        cases.push(wide.iter().flat_map(|unit| unit.to_le_bytes()).collect());
        cases.push(wide.iter().flat_map(|unit| unit.to_be_bytes()).collect());
        // Not UTF-8: a stray byte, an overlong slash, a surrogate, a code point beyond Unicode.
        for bad in [
            &b"\xff"[..],
            b"\x80",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc3",
        ] {
            let name = [b"{\"x\":\"", bad, b"\","].concat();
            cases.push([&name, &text.as_bytes()[1..]].concat());
            cases.push([b"{\"", bad, b"\":1,", &text.as_bytes()[1..]].concat());
        }
    }
    for bytes in cases {
        let attack = String::from_utf8_lossy(&bytes).into_owned();
        let token = sign_bytes(header.as_bytes(), &bytes, shared_rs256());
        gate.refuses(&format!("payload {attack}"), token, "malformed_token");
        let token = sign_bytes(&bytes, good.as_bytes(), shared_rs256());
        let answer = gate.ask(&format!("header {attack}"), token.as_bytes());
        // What does not even begin like a header is taken for an opaque token, which nobody wants.
        let reasons = ["malformed_token", "no_provider_for_opaque_token"];
        assert_eq!(answer.status, 401, "header {attack}");
        assert!(
            reasons.contains(&answer.reason()),
            "header {attack}: {}",
            answer.reason()
        );
    }
    let spaced = format!(" \t\r\n{good}\n ");
    gate.admits("white space around", &with_payload(&spaced), "alice");
    gate.still_admits_alice();
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn json_is_bounded_in_depth_members_and_strings() {
    let mut gate = Gate::open();
    // The object itself is the first level.
    gate.admits(
        "16 levels in all",
        &gate.good().claim("x", nested(15)).signed(),
        "alice",
    );
    for levels in [16, 17, 100, 127, 128, 129] {
        let token = gate.good().claim("x", nested(levels)).signed();
        gate.refuses(
            &format!("{levels} levels in a claim"),
            token,
            "malformed_token",
        );
        let token = gate.good().header("x", nested(levels)).signed();
        gate.refuses(
            &format!("{levels} levels in the header"),
            token,
            "malformed_token",
        );
    }
    for bomb in ["[", "{\"a\":", "[{\"a\":"] {
        let text = bomb.repeat(9000 / bomb.len());
        let token = with_payload(&format!("{{\"x\":{text}"));
        gate.refuses(&format!("{bomb} without end"), token, "malformed_token");
        let token = sign_raw(&text, &gate.good().payload.to_string(), shared_rs256());
        let answer = gate.ask("in the header", token.as_bytes());
        assert_eq!(answer.status, 401, "{bomb} in the header");
    }

    let usual = gate.good().payload.as_object().expect("an object").len();
    let members = |count: usize| -> Vec<u8> { vec![0; count - usual - 1] };
    gate.admits(
        "512 members",
        &gate.good().claim("x", members(512)).signed(),
        "alice",
    );
    for count in [513, 2000, 4000] {
        let token = gate.good().claim("x", members(count)).signed();
        gate.refuses(&format!("{count} members"), token, "malformed_token");
    }
    let named = |count: usize| {
        (0..count - usual).fold(gate.good(), |token, at| token.claim(&format!("x{at}"), 0))
    };
    let (most, more): (Token, Token) = (named(512), named(513));
    gate.admits("512 claims", &most.signed(), "alice");
    gate.refuses("513 claims", more.signed(), "malformed_token");

    let long = |length: usize| "x".repeat(length);
    gate.admits(
        "4096 bytes",
        &gate.good().claim("x", long(4096)).signed(),
        "alice",
    );
    for length in [4097, 8000] {
        let token = gate.good().claim("x", long(length)).signed();
        gate.refuses(&format!("a string of {length}"), token, "malformed_token");
        let token = gate.good().claim(&long(length), 1).signed();
        gate.refuses(&format!("a name of {length}"), token, "malformed_token");
        let token = gate.good().header("x", long(length)).signed();
        gate.refuses(&format!("{length} in the header"), token, "malformed_token");
    }
    let escaped = format!("{{\"x\":\"{}\",", "\\u0061".repeat(1500));
    let token = with_payload(&payload_with(&gate, &escaped));
    gate.admits("1500 bytes, written as 9000", &token, "alice");
    gate.still_admits_alice();
}
