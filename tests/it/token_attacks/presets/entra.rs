//! Microsoft Entra ID, tokens for our own API of one tenant.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{common_rules, documented, shown, started};
use crate::{
    support::{
        idp::{Answer, Idp, jwks},
        keys::{SigningKey, other_rs256, shared_rs256},
        tokens::Token,
    },
    token_attacks::Gate,
};

const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const FOREIGN_TENANT: &str = "11111111-2b34-4da1-9baa-8bc8c9d6a490";
/// Of personal accounts.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const OID: &str = "690222be-ff1a-4d56-abd1-7e4f7d38e474";
const SERVICE: &str = "99990000-aaaa-1111-bbbb-2222cccc3333";

/// The map of user names lives as long as the service.
struct Entra {
    gate: Gate,
    _map: TempDir,
}

fn v1_key() -> &'static SigningKey {
    shared_rs256()
}

fn v2_key() -> &'static SigningKey {
    other_rs256()
}

/// The two versions have keys of their own, here under one `kid`.
fn entra(rest: &str) -> Entra {
    let directory = TempDir::new().expect("a directory");
    let map = directory.path().join("users.yaml");
    fs::write(&map, format!("{OID}: abe\n")).expect("written");
    let idp = Idp::start();
    idp.answer("/v1", Answer::Json(jwks(&[v1_key().jwk("k1")])));
    idp.answer("/v2", Answer::Json(jwks(&[v2_key().jwk("k1")])));
    let username = if rest.contains("username:") {
        String::new()
    } else {
        format!("username: {{ claim: oid, map: \"{}\" }},", map.display())
    };
    let config = format!(
        "providers:\n  - {{ name: entra, preset: {{ entra: {{ tenant_id: {TENANT} }} }}, audiences: \
         [\"api://jira-gateway\", 11112222-bbbb-3333-cccc-4444dddd5555], {username} {rest} }}\n"
    );
    let login = format!("https://login.microsoftonline.com/{TENANT}");
    let config = shown(
        &config,
        &[
            (
                format!("{login}/discovery/v2.0/keys"),
                format!("{}/v2", idp.issuer),
            ),
            (
                format!("{login}/discovery/keys"),
                format!("{}/v1", idp.issuer),
            ),
        ],
    );
    Entra {
        gate: started(idp, &config),
        _map: directory,
    }
}

fn v1() -> Token {
    documented(include_str!("../fixtures/entra/v1_user.json"))
}

fn v2() -> Token {
    documented(include_str!("../fixtures/entra/v2_user.json"))
}

fn v2_signed(token: &Token) -> String {
    token.signed_by(v2_key())
}

#[test]
fn entra_keeps_the_rules_of_every_preset() {
    let Entra { mut gate, _map } = entra("");
    common_rules(&mut gate, &v1, "abe");
    for oid in [json!([OID]), json!(7), Value::Null] {
        let token = v1().claim("oid", oid).signed();
        gate.knows_nobody("username_claim_array", &token, "username_claim");
    }
    gate.knows_nobody(
        "username_claim_missing",
        &v1().without("oid").signed(),
        "username_claim",
    );
    for oid in [
        "",
        "abe",
        &OID.to_uppercase(),
        &format!("{OID} "),
        &format!("{OID}\r\n"),
    ] {
        let token = v1().claim("oid", oid).signed();
        gate.knows_nobody("another user of the tenant", &token, "username_not_mapped");
    }
    gate.admits("the next token", &v1().claim("jti", "2").signed(), "abe");
}

#[test]
fn entra_v1_and_v2_tokens_reach_one_api_each_with_its_own_key() {
    let Entra { mut gate, _map } = entra("");
    gate.admits("v1", &v1().signed_by(v1_key()), "abe");
    gate.admits("v2", &v2_signed(&v2()), "abe");
    gate.refuses(
        "v1 with v2's key",
        v1().signed_by(v2_key()),
        "bad_signature",
    );
    gate.refuses(
        "v2 with v1's key",
        v2().signed_by(v1_key()),
        "bad_signature",
    );
    gate.admits(
        "groups_overage",
        &v2_signed(&documented(include_str!(
            "../fixtures/entra/groups_overage.json"
        ))),
        "abe",
    );
}

#[test]
fn entra_user_name_of_another_domain_is_nobody() {
    let rest = "username: { claim: preferred_username, strip_domain: contoso.example.test }";
    let Entra { mut gate, _map } = entra(rest);
    gate.admits("the domain", &v2_signed(&v2()), "abe");
    for name in [
        "abe@evil.test",
        "abe@contoso.example.test.evil.test",
        "abe_evil.test#EXT#@contoso.example.test",
        "admin@contoso.example.test",
        "abe",
    ] {
        let token = v2_signed(&v2().claim("preferred_username", name));
        let answer = gate.ask(name, token.as_bytes());
        assert_eq!(answer.status, 403, "{name}");
        assert!(["username_not_mapped", "username_refused"].contains(&answer.reason()));
    }
    // v1 has no such claim, and the overage token none at all.
    gate.knows_nobody("v1", &v1().signed(), "username_claim");
    let overage = v2_signed(&documented(include_str!(
        "../fixtures/entra/groups_overage.json"
    )));
    gate.knows_nobody("groups_overage", &overage, "username_claim");
    gate.admits("the next token", &v2_signed(&v2().claim("uti", "2")), "abe");
}

#[test]
fn entra_tokens_of_another_tenant_are_refused() {
    let Entra { mut gate, _map } = entra("");
    for tenant in [
        FOREIGN_TENANT,
        CONSUMERS,
        "common",
        "organizations",
        "{tenantid}",
        "",
    ] {
        let v2_issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        let token = v2_signed(&v2().claim("iss", v2_issuer).claim("tid", tenant));
        gate.refuses(tenant, token, "unknown_issuer");
        let v1_issuer = format!("https://sts.windows.net/{tenant}/");
        let token = v1().claim("iss", v1_issuer).claim("tid", tenant).signed();
        gate.refuses(tenant, token, "unknown_issuer");
        // Only one of the two places.
        let token = v2_signed(&v2().claim("tid", tenant));
        gate.refuses(tenant, token, "required_claim");
        gate.refuses(tenant, v1().claim("tid", tenant).signed(), "required_claim");
    }
    for tid in [
        json!([TENANT]),
        json!(7),
        Value::Null,
        json!(TENANT.to_uppercase()),
    ] {
        let token = v2_signed(&v2().claim("tid", tid));
        gate.refuses("tid", token, "required_claim");
    }
    gate.refuses("no tid", v2_signed(&v2().without("tid")), "required_claim");
    gate.admits("ours", &v2_signed(&v2()), "abe");
}

#[test]
fn entra_issuer_has_its_slash_in_v1_and_none_in_v2() {
    let Entra { mut gate, _map } = entra("");
    for issuer in [
        format!("https://login.microsoftonline.com/{TENANT}/v2.0/"),
        format!("https://login.microsoftonline.com/{TENANT}/"),
        format!("https://login.microsoftonline.com/{TENANT}"),
        format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
        format!(
            "https://login.microsoftonline.com/{}/v2.0",
            TENANT.to_uppercase()
        ),
        format!("https://sts.windows.net/{TENANT}"),
        format!("https://sts.windows.net/{TENANT}//"),
        format!("https://sts.windows.net/{TENANT}/v2.0"),
        format!("http://sts.windows.net/{TENANT}/"),
    ] {
        for (token, key) in [(v1(), v1_key()), (v2(), v2_key())] {
            let token = token.claim("iss", issuer.clone()).signed_by(key);
            gate.refuses(&issuer, token, "unknown_issuer");
        }
    }
    gate.admits("v1", &v1().signed(), "abe");
    gate.admits("v2", &v2_signed(&v2()), "abe");
}

#[test]
fn entra_graph_tokens_are_refused() {
    let Entra { mut gate, _map } = entra("");
    let graph = || documented(include_str!("../fixtures/entra/graph_token.json"));
    gate.refuses("graph_nonce_header", graph().signed(), "header_refused");
    let ours = graph().claim("aud", "api://jira-gateway").signed();
    gate.refuses("nonce, our audience", ours, "header_refused");
    let bare = graph().without_header("nonce").signed();
    gate.refuses("no nonce", bare, "wrong_audience");
    gate.admits("v1", &v1().signed(), "abe");
}

#[test]
fn entra_tokens_without_a_user_are_nobody_unless_mapped() {
    let app_only = || documented(include_str!("../fixtures/entra/app_only.json"));
    let variants = || {
        [
            ("app_only", app_only()),
            ("without idtyp", app_only().without("idtyp")),
            ("with a scp", app_only().claim("scp", "access_as_user")),
            ("with a user's oid", app_only().claim("oid", OID)),
            (
                "idtyp only",
                v2().claim("idtyp", "app").claim("azp", SERVICE),
            ),
            ("no scp only", v2().without("scp").claim("azp", SERVICE)),
        ]
    };
    let Entra { mut gate, _map } = entra("");
    for (which, token) in variants() {
        gate.knows_nobody(which, &v2_signed(&token), "machine_client_not_mapped");
    }
    // An ID token of the same registration: same issuer, same audience, no scp, no client.
    let id_token = v2().without("scp").without("azp");
    gate.knows_nobody(
        "id_token_instead",
        &v2_signed(&id_token),
        "machine_client_not_mapped",
    );
    gate.admits("a user", &v2_signed(&v2()), "abe");

    let Entra { mut gate, _map } = entra(&format!("machine_clients: {{ {SERVICE}: svc-ci }}"));
    for (which, token) in variants() {
        gate.admits(which, &v2_signed(&token), "svc-ci");
        let other = token.claim("azp", "22223333-cccc-4444-dddd-5555eeee6666");
        gate.knows_nobody(which, &v2_signed(&other), "machine_client_not_mapped");
    }
    gate.knows_nobody(
        "id_token_instead",
        &v2_signed(&id_token),
        "machine_client_not_mapped",
    );
    let user = v2().claim("azp", SERVICE);
    gate.admits("a user of a mapped client", &v2_signed(&user), "abe");
}

#[test]
fn entra_listed_clients_and_required_scopes_only() {
    let client = "22223333-cccc-4444-dddd-5555eeee6666";
    let rest = format!("clients: [{client}], required_scopes: [access_as_user]");
    let Entra { mut gate, _map } = entra(&rest);
    gate.admits("v1, by appid", &v1().signed(), "abe");
    gate.admits("v2, by azp", &v2_signed(&v2()), "abe");
    let other = v1().claim("appid", SERVICE).signed();
    gate.refuses("foreign_client", other, "client_not_allowed");
    let other = v2_signed(&v2().claim("azp", SERVICE));
    gate.refuses("foreign_client", other, "client_not_allowed");
    for scp in ["User.Read", "access_as_user2", "Access_As_User", ""] {
        let token = v2_signed(&v2().claim("scp", scp));
        let answer = gate.ask(scp, token.as_bytes());
        assert_eq!(
            (answer.status, answer.reason()),
            (403, "insufficient_scope"),
            "{scp}"
        );
    }
    gate.admits("the next token", &v2_signed(&v2().claim("uti", "2")), "abe");
}
