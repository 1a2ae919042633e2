//! The user name claim: a string that no program on the way reads as another name.

use serde_json::{Value, json};

use super::{Gate, sign_bytes, token_of};
use crate::support::{keys::shared_es256, tokens::Token};

/// Names in the case in which they were sent, ES256 for speed.
fn gate() -> Gate {
    let rest = "username: { claim: preferred_username, lower_case: false }";
    Gate::with(&[("p", "", rest)])
}

fn named(name: impl Into<Value>) -> Token {
    let token = token_of("p").header("alg", "ES256").header("kid", "ec");
    token.claim("preferred_username", name)
}

fn signed(token: &Token) -> String {
    token.signed_by(shared_es256())
}

#[test]
fn the_user_name_is_a_string_or_nobody() {
    let mut gate = gate();
    let token = signed(&named("x").without("preferred_username"));
    gate.knows_nobody("no claim", &token, "username_claim");
    for value in [
        Value::Null,
        json!(7),
        json!(0),
        json!(true),
        json!([]),
        json!(["alice"]),
        json!(["alice", "admin"]),
        json!({}),
        json!({"alice": "alice"}),
        json!({"toString": "alice"}),
    ] {
        let token = signed(&named(value.clone()));
        gate.knows_nobody(&format!("name {value}"), &token, "username_claim");
    }
    gate.knows_nobody("empty", &signed(&named("")), "username_refused");
    gate.admits("as sent", &signed(&named("Alice.B-c_9")), "Alice.B-c_9");
    gate.still_admits_alice();
}

#[test]
fn a_name_that_another_program_reads_as_another_name_is_refused() {
    let mut gate = gate();
    let long = ["a".repeat(256), "a".repeat(4096)];
    let names = [
        // Injection into the header.
        "alice\r\nX-Remote-User: admin",
        "alice\nadmin",
        "alice\radmin",
        "\r\nadmin",
        "alice\r\n",
        "alice\0",
        "\0admin",
        "admin\0alice",
        "alice\r\n\r\nGET / HTTP/1.1",
        // Split by authenticators behind us.
        "admin,alice",
        "admin;alice",
        "admin, alice",
        ",admin",
        "admin,",
        "alice admin",
        "admin@x",
        "admin@corp.example",
        "@admin",
        "alice@corp.example@evil",
        "admin%40x",
        "a+b",
        "corp\\admin",
        "admin/alice",
        "admin:alice",
        "\"admin\"",
        "'admin'",
        "<admin>",
        "(admin)",
        "cn=admin",
        "admin=",
        "admin|alice",
        "admin&alice",
        "admin#",
        "admin?x",
        "admin%00",
        "%61dmin",
        "{admin}",
        "[admin]",
        "$admin",
        "`admin`",
        "admin*",
        "!admin",
        "^admin",
        "~admin",
        // Trimmed on the way.
        " admin",
        "admin ",
        "\tadmin",
        "admin\t",
        "\u{a0}admin",
        "admin\u{3000}",
        ".admin",
        "admin.",
        ".",
        "..",
        "../admin",
        "-admin",
        "_admin",
        "\u{feff}admin",
        "admin\u{200b}",
        "ad\u{ad}min",
        "\u{202e}nimda",
        "admin\u{7f}",
        "admin\u{85}",
        "admin\u{2028}",
        "admin\u{b}",
        "admin\u{1b}[0m",
        // Folded into ASCII on the way.
        "\u{212a}elvin",
        "a\u{212a}",
        "adm\u{131}n",
        "adm\u{130}n",
        "\u{ff41}dmin",
        "\u{430}dmin",
        "\u{1d41a}dmin",
        "\u{24d0}dmin",
        "a\u{307}",
        "\u{e4}",
        "\u{df}",
        "\u{17f}ysadmin",
        "\u{660}",
        "\u{1f600}",
        "admin\u{fe0f}",
        "ad\u{200d}min",
        "\u{fb01}",
        &long[0],
        &long[1],
    ];
    for name in names {
        gate.knows_nobody(
            &format!("{name:?}"),
            &signed(&named(name)),
            "username_refused",
        );
    }
    gate.admits(
        "255 bytes",
        &signed(&named("a".repeat(255))),
        &"a".repeat(255),
    );
    gate.still_admits_alice();
}

#[test]
fn reserved_names_and_words_for_nobody_are_refused_in_any_case() {
    let mut gate = gate();
    for name in [
        "admin",
        "administrator",
        "sysadmin",
        "root",
        "superuser",
        "null",
        "undefined",
        "none",
        "nil",
        "anonymous",
        "system",
    ] {
        let mut capital = name.to_owned();
        capital[..1].make_ascii_uppercase();
        for name in [name, &capital, &name.to_uppercase()] {
            gate.knows_nobody(name, &signed(&named(name)), "username_refused");
        }
    }
    for name in ["admin2", "administrators", "xadmin", "nullable", "roots"] {
        gate.admits(name, &signed(&named(name)), name);
    }
    gate.still_admits_alice();
}

#[test]
fn of_all_bytes_and_characters_only_plain_ones_reach_the_header() {
    let mut gate = gate();
    let header = named("x").header.to_string();
    let before = named("@@").payload.to_string();
    let with = |name: &[u8]| {
        let (head, tail) = before.split_once("@@").expect("the name");
        let payload = [head.as_bytes(), name, tail.as_bytes()].concat();
        sign_bytes(header.as_bytes(), &payload, shared_es256())
    };
    for byte in 0..=255_u8 {
        let character = char::from(byte);
        let inside = character.is_ascii_alphanumeric() || "._-".contains(character);
        for (left, right, allowed) in [
            ("a", "q", inside),
            ("", "", character.is_ascii_alphanumeric()),
            ("a", "", inside && byte != b'.'),
            ("", "q", character.is_ascii_alphanumeric()),
        ] {
            let what = format!("{left}{byte:#04x}{right}");
            // The character, escaped: every one is JSON then.
            let escaped = with(format!("{left}\\u{byte:04x}{right}").as_bytes());
            if allowed {
                gate.admits(&what, &escaped, &format!("{left}{character}{right}"));
            } else {
                gate.knows_nobody(&what, &escaped, "username_refused");
            }
            // The byte as it stands: a control character, `"`, `\` or no UTF-8 is no JSON.
            let raw = with(&[left.as_bytes(), &[byte], right.as_bytes()].concat());
            match byte {
                0..0x20 | b'"' | b'\\' | 0x80.. => gate.refuses(&what, &raw, "malformed_token"),
                _ if allowed => gate.admits(&what, &raw, &format!("{left}{character}{right}")),
                _ => gate.knows_nobody(&what, &raw, "username_refused"),
            }
        }
    }
    gate.still_admits_alice();
}
