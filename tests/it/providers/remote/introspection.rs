//! Introspection endpoints: their answers are claims as they are.

use serde_json::{Value, json};

use super::{Spec, denied, edit, jwt_of, misnamed, nobody, set};
use crate::{
    providers::frame::{Case, Expected, published},
    support::{idp::Answer, tokens::unix_now},
};

/// A case, how the good answer is changed for it, and what must come of it.
type ChangedCase = (&'static str, Box<dyn Fn(&str, &mut Value)>, Expected);

pub(super) fn specs() -> Vec<Spec> {
    vec![
        keycloak_introspection(),
        okta_org(),
        pingfederate(),
        zitadel(),
    ]
}

/// The cases of an introspection endpoint, whose answers are claims as they are.
fn introspected(mut spec: Spec, client: &'static str, username: &'static str) -> Spec {
    let add = |member: &'static str, value: Value| {
        edit(move |body| drop(body.insert(member.to_owned(), value.clone())))
    };
    let machine = |client_id: &'static str| {
        edit(move |body| {
            body.insert(client.to_owned(), json!(client_id));
            body.insert("client_id".to_owned(), json!(client_id));
            body.insert("sub".to_owned(), json!(client_id));
        })
    };
    let old = add("exp", json!(unix_now() - 60));
    let new = add("nbf", json!(unix_now() + 600));
    let foreign = edit(move |body| {
        body.insert(client.to_owned(), json!("other"));
        body.insert("client_id".to_owned(), json!("other"));
    });
    let cases: Vec<ChangedCase> = vec![
        ("expired", Box::new(old), denied("expired")),
        ("not_yet_valid", Box::new(new), denied("not_yet_valid")),
        (
            "foreign_client",
            Box::new(foreign),
            denied("client_not_allowed"),
        ),
        (
            "sender_constrained_cnf",
            Box::new(add("cnf", json!({"x5t#S256": "x"}))),
            denied("sender_constrained"),
        ),
        (
            "bound_by_its_type",
            Box::new(add("token_type", json!("DPoP"))),
            denied("sender_constrained"),
        ),
        (
            "id_token_instead",
            Box::new(add("at_hash", json!("x"))),
            denied("not_an_access_token"),
        ),
        (
            "refresh_token_instead",
            Box::new(add("token_type", json!("refresh_token"))),
            denied("not_an_access_token"),
        ),
        (
            "machine_token_unmapped",
            Box::new(machine("unmapped-machine")),
            nobody("machine_client_not_mapped"),
        ),
        (
            "machine_token_mapped",
            Box::new(machine("mapped-machine")),
            Expected::User("svc-ci"),
        ),
        (
            "username_claim_missing",
            Box::new(edit(move |body| drop(body.remove(username)))),
            nobody("username_claim"),
        ),
        (
            "username_claim_array",
            Box::new(add(username, json!(["admin", "jdoe"]))),
            nobody("username_claim"),
        ),
    ];
    for (name, change, expected) in cases {
        let case = spec.case(name, &*change, expected);
        spec.more.push(case);
    }
    spec
}

fn keycloak_introspection() -> Spec {
    const PATH: &str = "/realms/corp/protocol/openid-connect/token/introspect";
    let mut spec = Spec {
        preset: "keycloak_introspection",
        provider: "
preset: { keycloak_introspection: { url: https://kc.example.test, realm: corp, client_id: atlassian-gateway, client_secret: { file: secret } } }
clients: [ci-portal, mapped-machine, unmapped-machine, nightly-sync]
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://kc.example.test"],
        token: |case| jwt_of("https://kc.example.test/realms/corp", case),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("keycloak/introspect_active", change))]
        },
        user: "jdoe",
        invalid: answer!("keycloak/introspect_inactive"),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: Some(answer!("keycloak/introspect_bad_client")),
        more: vec![],
        exceptions: vec![],
    };
    let extra = [
        spec.case(
            "foreign_audience",
            &set("/aud", json!(["account"])),
            denied("wrong_audience"),
        ),
        spec.case(
            "foreign_tenant_or_realm",
            &set("/iss", json!("https://kc.example.test/realms/other")),
            denied("wrong_issuer"),
        ),
        spec.case(
            "refresh_token_by_its_typ",
            &set("/typ", json!("Refresh")),
            denied("not_an_access_token"),
        ),
        Case::new(
            "another_realms_token_is_not_sent",
            jwt_of("https://kc.example.test/realms/other", "other"),
            denied("unknown_issuer"),
        ),
        Case::new(
            "service_account",
            (spec.token)("service"),
            nobody("machine_client_not_mapped"),
        )
        .answered(PATH, answer!("keycloak/introspect_service_account")),
    ];
    spec.more.extend(extra);
    misnamed(&mut spec, "/username", "username_refused");
    introspected(spec, "azp", "username")
}

fn okta_org() -> Spec {
    const PATH: &str = "/oauth2/v1/introspect";
    let mut spec = Spec {
        preset: "okta_org",
        provider: "
preset: { okta_org: { domain: example.okta.test, client_id: gateway, client_secret: { file: secret } } }
clients: [0oa1gatewayclient0h7, mapped-machine, unmapped-machine]
username: { claim: username, strip_domain: example.test }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://example.okta.test"],
        token: |case| jwt_of("https://example.okta.test", case),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("okta_org/introspect_active", change))]
        },
        user: "john.doe",
        invalid: answer!("okta_org/introspect_inactive"),
        throttled: Answer::status("429 X", &["x-rate-limit-reset: 1", "retry-after: 30"], ""),
        refused: Some(answer!("okta_org/introspect_no_credentials")),
        more: vec![],
        exceptions: vec![(
            "foreign_audience",
            "the audience is the organisation itself: the client binds its tokens",
        )],
    };
    let realm = spec.case(
        "foreign_tenant_or_realm",
        &set("/iss", json!("https://other.okta.test")),
        denied("wrong_issuer"),
    );
    spec.more.push(realm);
    misnamed(&mut spec, "/username", "username_not_mapped");
    introspected(spec, "client_id", "username")
}

fn pingfederate() -> Spec {
    const PATH: &str = "/as/introspect.oauth2";
    let mut spec = Spec {
        preset: "pingfederate",
        provider: "
preset: { pingfederate: { url: https://pf.example.test, client_id: gateway, client_secret: { file: secret } } }
audiences: [jira]
clients: [ci-portal, mapped-machine, unmapped-machine]
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://pf.example.test"],
        token: |case| format!("0001{case}reference-token-of-pingfederate"),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| {
                body["aud"] = json!("jira");
                change(PATH, body);
            };
            vec![(PATH, answer!("pingfederate/introspect_active", change))]
        },
        user: "jdoe",
        invalid: Answer::Json("{\"active\":false}".to_owned()),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: Some(Answer::status(
            "401 X",
            &["content-type: application/json"],
            "{\"error\":\"invalid_client\"}",
        )),
        more: vec![],
        exceptions: vec![("foreign_tenant_or_realm", "one server has one realm, and its answers no issuer")],
    };
    let audience = spec.case(
        "foreign_audience",
        &set("/aud", json!("other")),
        denied("wrong_audience"),
    );
    spec.more.push(audience);
    misnamed(&mut spec, "/username", "username_refused");
    introspected(spec, "client_id", "username")
}

fn zitadel() -> Spec {
    const PATH: &str = "/oauth/v2/introspect";
    let mut spec = Spec {
        preset: "zitadel",
        provider: "
preset: { zitadel: { url: https://idp.example.test, client_id: '69234237810729234@corp', client_secret: { file: secret } } }
audiences: ['69234237810729019']
clients: ['69234237810729234@corp', mapped-machine, unmapped-machine]
username: { claim: username, strip_domain: acme.example.test }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://idp.example.test"],
        token: |case| format!("opaque_{case}-token-of-zitadel"),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("zitadel/introspect_active", change))]
        },
        user: "road.runner",
        // Also when the client that asks is not in the token's audience.
        invalid: answer!("zitadel/introspect_inactive"),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: Some(Answer::status(
            "401 X",
            &["content-type: application/json"],
            "{\"error\":\"invalid_client\"}",
        )),
        more: vec![],
        exceptions: vec![],
    };
    let extra = [
        spec.case(
            "foreign_audience",
            &set("/aud", json!(["other"])),
            denied("wrong_audience"),
        ),
        spec.case(
            "foreign_tenant_or_realm",
            &set("/iss", json!("https://other.example.test")),
            denied("wrong_issuer"),
        ),
        Case::new(
            "a_jwt_of_the_instance_is_asked_about_too",
            jwt_of("https://idp.example.test", "jwt"),
            Expected::User("road.runner"),
        )
        .answered(PATH, answer!("zitadel/introspect_active")),
    ];
    spec.more.extend(extra);
    misnamed(&mut spec, "/username", "username_not_mapped");
    introspected(spec, "client_id", "username")
}
