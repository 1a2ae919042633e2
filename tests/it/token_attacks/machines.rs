//! Tokens without a user, the parties that obtain tokens, and scopes.

use serde_json::{Value, json};

use super::{Gate, token_of};
use crate::support::tokens::Token;

const CLIENT_CLAIMS: [&str; 4] = ["client_id", "azp", "appid", "cid"];

/// A token of a user, obtained by this client.
fn through(provider: &str, claim: &str, client: &str) -> Token {
    token_of(provider).without("client_id").claim(claim, client)
}

#[test]
fn a_client_without_a_user_is_nobody_unless_it_is_mapped() {
    let rest = "machine_clients: { ci: svc-ci, \"Ci App\": svc-app }";
    let mut gate = Gate::with(&[("mapped", "", rest), ("plain", "", "")]);
    for claim in CLIENT_CLAIMS {
        for client in ["admin", "alice", "ci2", "Ci", "CI", "ci ", "c", ""] {
            // A client that registers under a user's name gets `sub: NAME`.
            for provider in ["mapped", "plain"] {
                let token = through(provider, claim, client).claim("sub", client);
                let attack = format!("{claim} {client:?} at {provider}");
                gate.knows_nobody(&attack, &token.signed(), "machine_client_not_mapped");
            }
        }
        gate.knows_nobody(
            "mapped at another provider",
            &through("plain", claim, "ci").claim("sub", "ci").signed(),
            "machine_client_not_mapped",
        );
        let machine = through("mapped", claim, "ci").claim("sub", "ci");
        gate.admits(
            claim,
            &machine.clone().without("preferred_username").signed(),
            "svc-ci",
        );
        // Whatever else it claims to be, it is the mapped user.
        for name in [json!("alice"), json!("admin"), json!(7), json!("a\r\nb")] {
            let token = machine.clone().claim("preferred_username", name);
            gate.admits(claim, &token.signed(), "svc-ci");
        }
        let user = through("mapped", claim, "ci");
        gate.admits("a user of a mapped client", &user.signed(), "alice");
        let other = through("mapped", claim, "Ci App").claim("sub", "Ci App");
        gate.admits("another mapped client", &other.signed(), "svc-app");
    }
    gate.still_admits_alice();
}

#[test]
fn a_token_names_one_client_in_text_or_is_refused() {
    let mut gate = Gate::with(&[("mapped", "", "machine_clients: { ci: svc-ci }")]);
    for claim in CLIENT_CLAIMS {
        for other in CLIENT_CLAIMS {
            if other == claim {
                continue;
            }
            let token = through("mapped", claim, "ci")
                .claim("sub", "ci")
                .claim(other, "portal");
            gate.refuses(
                &format!("{claim} is not {other}"),
                token.signed(),
                "client_not_allowed",
            );
            let token = through("mapped", claim, "portal").claim(other, "portal");
            gate.admits("twice the same", &token.signed(), "alice");
        }
        for value in [
            Value::Null,
            json!(7),
            json!(["ci"]),
            json!({"ci": 1}),
            json!(true),
        ] {
            let token = token_of("mapped")
                .without("client_id")
                .claim(claim, value.clone());
            gate.refuses(&format!("{claim} {value}"), token.signed(), "claim_type");
        }
    }
    for value in [
        Value::Null,
        json!(7),
        json!(["portal"]),
        json!({}),
        json!(true),
    ] {
        let token = token_of("mapped").claim("sub", value.clone());
        gate.refuses(&format!("sub {value}"), token.signed(), "claim_type");
    }
    gate.still_admits_alice();
}

#[test]
fn a_machine_is_recognised_by_the_providers_own_marks_too() {
    let jwt = "machine_if: [ { claim: idtyp, equals: app }, { claim: name, starts_with: service- }, \
               { claim: robot, present: true }, { claim: human, present: false } ]";
    let mut gate = Gate::with(&[("marked", jwt, "machine_clients: { ci: svc-ci }")]);
    let human = || token_of("marked").claim("human", true);
    gate.admits("a human", &human().signed(), "alice");
    for (claim, value) in [
        ("idtyp", json!("app")),
        ("name", json!("service-")),
        ("name", json!("service-x")),
        ("robot", json!(true)),
        ("robot", Value::Null),
        ("robot", json!(false)),
    ] {
        let attack = format!("{claim} {value}");
        let token = human().claim(claim, value);
        gate.knows_nobody(&attack, &token.signed(), "machine_client_not_mapped");
        gate.admits(&attack, &token.claim("client_id", "ci").signed(), "svc-ci");
    }
    let token = token_of("marked");
    gate.knows_nobody("no human", &token.signed(), "machine_client_not_mapped");
    let token = token.without("client_id");
    gate.knows_nobody(
        "no human, no client",
        &token.signed(),
        "machine_client_not_mapped",
    );
    for (claim, value) in [
        ("idtyp", json!("user")),
        ("name", json!("xservice-")),
        ("idtyp", json!(["app"])),
    ] {
        gate.admits(
            "not the mark",
            &human().claim(claim, value).signed(),
            "alice",
        );
    }
    gate.still_admits_alice();
}

#[test]
fn only_listed_clients_may_have_obtained_the_token() {
    let mut gate = Gate::with(&[("listed", "", "clients: [portal, \"https://app.test/\"]")]);
    for claim in CLIENT_CLAIMS {
        gate.admits(claim, &through("listed", claim, "portal").signed(), "alice");
        gate.admits(
            claim,
            &through("listed", claim, "https://app.test/").signed(),
            "alice",
        );
        for client in [
            "other",
            "",
            "Portal",
            "portal ",
            " portal",
            "portal2",
            "porta",
            "portal\0",
            "*",
            "https://app.test",
            "https://app.test//",
            "portal,other",
        ] {
            let token = through("listed", claim, client).signed();
            gate.refuses(&format!("{claim} {client:?}"), token, "client_not_allowed");
        }
    }
    let token = token_of("listed").without("client_id");
    gate.refuses("no client", token.signed(), "client_not_allowed");
    for claim in ["aud", "sub", "client", "clientId", "iss_client"] {
        let mut token = token.clone().claim(claim, "portal");
        if claim == "aud" {
            token = token.claim("aud", json!(["jira-api", "portal"]));
        }
        gate.refuses(
            &format!("the client as {claim}"),
            token.signed(),
            "client_not_allowed",
        );
    }
    gate.still_admits_alice();
}

#[test]
fn a_token_without_the_scope_is_a_403_that_names_it() {
    let mut gate = Gate::with(&[("scoped", "", "required_scopes: [jira:read, jira:write]")]);
    let scoped = |name: &str, value: Value| token_of("scoped").claim(name, value).signed();
    for (name, value) in [
        ("scope", json!("jira:read jira:write")),
        ("scope", json!("openid jira:write  jira:read profile")),
        ("scp", json!("jira:read jira:write")),
        ("scp", json!(["jira:write", "jira:read"])),
        ("scope", json!(["jira:write", "jira:read"])),
    ] {
        gate.admits(&format!("{name} {value}"), &scoped(name, value), "alice");
    }
    for (name, value, missing) in [
        ("scope", json!("jira:read"), "jira:write"),
        ("scope", json!("jira:write"), "jira:read"),
        ("scope", json!(""), "jira:read"),
        ("scope", json!("jira:read jira:write2"), "jira:write"),
        ("scope", json!("jira:read xjira:write"), "jira:write"),
        ("scope", json!("jira:read JIRA:WRITE"), "jira:write"),
        ("scope", json!("jira:read,jira:write"), "jira:read"),
        ("scope", json!("jira:read\tjira:write"), "jira:read"),
        ("scope", json!("jira:read\njira:write"), "jira:read"),
        ("scope", json!("jira:read jira:*"), "jira:write"),
        ("scp", json!(["jira:read jira:write"]), "jira:read"),
        ("scp", json!([]), "jira:read"),
        ("scopes", json!("jira:read jira:write"), "jira:read"),
        ("roles", json!(["jira:read", "jira:write"]), "jira:read"),
    ] {
        refuses_scope(&mut gate, &scoped(name, value), missing);
    }
    refuses_scope(&mut gate, &token_of("scoped").signed(), "jira:read");
    let both = token_of("scoped")
        .claim("scope", "")
        .claim("scp", "jira:read jira:write");
    refuses_scope(&mut gate, &both.signed(), "jira:read");
    for value in [
        Value::Null,
        json!(7),
        json!({"jira:read": 1}),
        json!(true),
        json!(["jira:read", 7]),
    ] {
        for name in ["scope", "scp"] {
            gate.refuses(
                &format!("{name} {value}"),
                scoped(name, value.clone()),
                "claim_type",
            );
        }
    }
    gate.still_admits_alice();
}

fn refuses_scope(gate: &mut Gate, token: &str, missing: &str) {
    let answer = gate.ask(token, token.as_bytes());
    assert_eq!(
        (answer.status, answer.reason()),
        (403, "insufficient_scope")
    );
    assert!(
        answer.body.contains(r#""code":"insufficient_scope""#),
        "{}",
        answer.body
    );
    let challenge = format!(
        "Bearer realm=\"atlassian-authz\", error=\"insufficient_scope\", scope=\"{missing}\""
    );
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
}
