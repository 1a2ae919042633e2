//! `aud` and `iss`: whom the token is meant for and who made it, byte for byte.

use serde_json::{Value, json};

use super::Gate;

#[test]
fn a_token_for_anybody_else_is_refused() {
    let mut gate = Gate::open();
    gate.refuses(
        "no aud",
        gate.good().without("aud").signed(),
        "claim_missing",
    );
    let many = |count: usize| {
        let mut list: Vec<String> = (1..count).map(|at| format!("other-{at}")).collect();
        list.push("jira-api".to_owned());
        json!(list)
    };
    for aud in [
        json!("other"),
        json!(""),
        json!("Jira-Api"),
        json!("JIRA-API"),
        json!("jira-api/"),
        json!("/jira-api"),
        json!("jira-api "),
        json!(" jira-api"),
        json!("jira-api\0"),
        json!("jira-api\n"),
        json!("jira-ap"),
        json!("jira-api2"),
        json!("jira"),
        json!("*"),
        json!("jira-*"),
        json!("jira.api"),
        json!("other,jira-api"),
        json!("other jira-api"),
        json!("[\"jira-api\"]"),
        json!("https://jira-api"),
        json!("jira\u{2010}api"),
        json!("\u{feff}jira-api"),
        json!("jira\u{ad}-api"),
        json!("J\u{131}ra-api"),
        json!([]),
        json!([""]),
        json!(["other", "another"]),
        json!(["jira-api/", "Jira-api"]),
        many(17),
        many(100),
    ] {
        let token = gate.good().claim("aud", aud.clone()).signed();
        gate.refuses(&format!("aud {aud}"), token, "wrong_audience");
    }
    for aud in [
        Value::Null,
        json!(7),
        json!(true),
        json!({}),
        json!({"jira-api": "jira-api"}),
        json!({"0": "jira-api"}),
        json!([["jira-api"]]),
        json!([{"aud": "jira-api"}]),
        json!(["jira-api", null]),
        json!([7, "jira-api"]),
        json!(["jira-api", ["jira-api"]]),
    ] {
        let token = gate.good().claim("aud", aud.clone()).signed();
        gate.refuses(&format!("aud {aud}"), token, "claim_type");
    }
    for aud in [
        json!(["jira-api"]),
        json!(["account", "jira-api"]),
        many(16),
    ] {
        let token = gate.good().claim("aud", aud.clone()).signed();
        gate.admits(&format!("aud {aud}"), &token, "alice");
    }
    gate.still_admits_alice();
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    let mut gate = Gate::open();
    let issuer = gate.idp.issuer.clone();
    let port = gate.idp.port();
    for iss in [
        format!("{issuer}/"),
        format!("{issuer}//"),
        format!("{issuer} "),
        format!(" {issuer}"),
        format!("{issuer}\0"),
        format!("{issuer}\n"),
        format!("{issuer}?"),
        format!("{issuer}#"),
        format!("{issuer}.evil.test"),
        format!("{issuer}@evil.test"),
        format!("{issuer}0"),
        issuer[..issuer.len() - 1].to_owned(),
        issuer.to_uppercase(),
        issuer.replace("http:", "https:"),
        issuer.replace("http:", "HTTP:"),
        issuer.replace("http://", ""),
        issuer.replace("http://", "//"),
        issuer.replace("http://", "http:/"),
        issuer.replace("http://", "http://evil@"),
        format!("http://localhost:{port}"),
        format!("http://127.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://127.0.0.1:0{port}"),
        format!("https://evil.test/{issuer}"),
        format!("[\"{issuer}\"]"),
        format!("{issuer},{issuer}"),
        "http://127.0.0.1".to_owned(),
        "*".to_owned(),
        "idp".to_owned(),
        "null".to_owned(),
        String::new(),
    ] {
        let token = gate.good().claim("iss", iss.clone()).signed();
        gate.refuses(&format!("iss {iss:?}"), token, "unknown_issuer");
    }
    for iss in [
        Value::Null,
        json!(7),
        json!(true),
        json!([issuer]),
        json!(["https://evil.test", issuer]),
        json!([]),
        json!({"iss": issuer}),
        json!({issuer.clone(): issuer}),
    ] {
        let token = gate.good().claim("iss", iss.clone()).signed();
        gate.refuses(&format!("iss {iss}"), token, "claim_type");
    }
    gate.refuses(
        "no iss",
        gate.good().without("iss").signed(),
        "claim_missing",
    );
    gate.still_admits_alice();
}
