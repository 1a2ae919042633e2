//! Providers that are asked about every token.

use serde_json::{Value, json};

use super::frame::{Case, Expected, Subject, now_from, published};
use crate::support::{
    idp::Answer,
    tokens::{Token, unix_now},
};

/// The answers of a provider to one token.
type Answers = Vec<(&'static str, Answer)>;
/// A case, how the good answer is changed for it, and what must come of it.
type ChangedCase = (&'static str, Box<dyn Fn(&str, &mut Value)>, Expected);
/// Changes the document of a path.
type Change<'c> = &'c dyn Fn(&str, &mut Value);

/// What a provider's answers have in common with all others, and where they differ.
struct Spec {
    preset: &'static str,
    provider: &'static str,
    hosts: &'static [&'static str],
    /// A token for a case; different for each.
    token: fn(case: &str) -> String,
    /// The path that is asked first.
    path: &'static str,
    /// What a good token is answered with, changed.
    good: fn(Change<'_>) -> Answers,
    user: &'static str,
    invalid: Answer,
    throttled: Answer,
    /// The answer to wrong credentials of ours, where we have any.
    refused: Option<Answer>,
    more: Vec<Case>,
    exceptions: Vec<(&'static str, &'static str)>,
}

const UNCHANGED: Change<'static> = &|_, _| {};

fn denied(reason: &'static str) -> Expected {
    Expected::Denied(401, reason)
}

fn nobody(reason: &'static str) -> Expected {
    Expected::Denied(403, reason)
}

fn undecided(reason: &'static str) -> Expected {
    Expected::Denied(503, reason)
}

impl Spec {
    fn subject(self) -> Subject {
        let mut cases = vec![self.case("valid_user", UNCHANGED, Expected::User(self.user))];
        cases.push(
            Case::new(
                "remote_invalid_form",
                (self.token)("invalid"),
                denied("token_inactive"),
            )
            .answered(self.path, self.invalid.clone()),
        );
        // The breaker opens after ten failures in ten seconds.
        let mut failures = self.failures();
        assert!(failures.len() < 10);
        failures[0].afresh = true;
        let mut throttled = Case::new(
            "remote_429",
            (self.token)("429"),
            undecided("provider_throttled"),
        )
        .answered(self.path, self.throttled.clone());
        throttled.afresh = true;
        cases.extend(self.more);
        cases.extend(failures);
        cases.push(throttled);
        Subject {
            preset: self.preset,
            provider: self.provider,
            hosts: self.hosts,
            cases,
            exceptions: self.exceptions,
        }
    }

    /// A good token's answers, changed.
    fn case(&self, name: &'static str, change: Change<'_>, expected: Expected) -> Case {
        let case = Case::new(name, (self.token)(name), expected);
        let answers = (self.good)(change);
        answers
            .into_iter()
            .fold(case, |case, (path, answer)| case.answered(path, answer))
    }

    fn failures(&self) -> Vec<Case> {
        let json = ["content-type: application/json"];
        let good = format!(
            "{{\"active\":true,\"ok\":true,\"pad\":\"{}\"}}",
            "x".repeat(70_000)
        );
        let page = include_str!("fixtures/generic/html_200.json");
        let mut failures: Vec<(&'static str, Answer, &'static str)> = vec![
            ("remote_5xx", Answer::status("500 X", &json, "{\"active\":true}"), "provider_error"),
            ("remote_timeout", Answer::Hang, "provider_timeout"),
            ("remote_html_200", published(page, |_| {}), "provider_error"),
            (
                "remote_truncated_body",
                Answer::Raw(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"active\":true"
                        .to_vec(),
                ),
                "provider_error",
            ),
            ("remote_oversized_body", Answer::Json(good), "provider_error"),
            (
                "remote_redirect",
                Answer::status("307 X", &["location: /jwks"], ""),
                "provider_error",
            ),
            (
                "duplicate_json_member",
                Answer::Json("{\"active\":true,\"active\":true,\"ok\":true,\"sub\":\"1\"}".to_owned()),
                "provider_error",
            ),
        ];
        if let Some(refused) = &self.refused {
            let reason = "provider_credentials_refused";
            failures.push(("remote_own_credentials_wrong", refused.clone(), reason));
        }
        if self.preset.contains("introspection")
            || ["okta_org", "pingfederate", "zitadel"].contains(&self.preset)
        {
            let text = include_str!("fixtures/generic/introspect_active_string.json");
            failures.push((
                "remote_active_is_string",
                published(text, |_| {}),
                "provider_error",
            ));
        }
        let case = |(name, answer, reason): (&'static str, Answer, &'static str)| {
            Case::new(name, (self.token)(name), undecided(reason)).answered(self.path, answer)
        };
        failures.into_iter().map(case).collect()
    }
}

macro_rules! answer {
    ($path:literal) => {
        answer!($path, |_| {})
    };
    ($path:literal, $change:expr) => {
        published(include_str!(concat!("fixtures/", $path, ".json")), $change)
    };
}

pub fn subjects() -> Vec<Subject> {
    vec![
        keycloak_introspection(),
        okta_org(),
        pingfederate(),
        zitadel(),
        entra_graph(),
        facebook(),
        github(),
        gitlab(),
        google(),
        slack(),
    ]
    .into_iter()
    .map(Spec::subject)
    .collect()
}

/// A claim of the first document, set.
fn set(pointer: &'static str, value: Value) -> impl Fn(&str, &mut Value) {
    move |_, body| {
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        let member = member.replace("~1", "/");
        let parent = body.pointer_mut(parent);
        // Another document of the same provider does not have it.
        if let Some(parent) = parent.and_then(Value::as_object_mut)
            && parent.contains_key(&member)
        {
            parent.insert(member, value.clone());
        }
    }
}

/// A claim of a document, removed or added.
fn edit(change: impl Fn(&mut serde_json::Map<String, Value>)) -> impl Fn(&str, &mut Value) {
    move |_, body| change(body.as_object_mut().expect("an object"))
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

/// The two cases in which the name is a text of the wrong kind.
fn misnamed(spec: &mut Spec, pointer: &'static str, reason: &'static str) {
    for (name, value) in [
        ("username_claim_with_crlf", json!("jdoe\r\nx: y")),
        ("username_not_mapped", json!("jdoe@evil.example")),
    ] {
        let case = spec.case(name, &set(pointer, value), nobody(reason));
        spec.more.push(case);
    }
}

fn jwt_of(issuer: &str, case: &str) -> String {
    Token::of(issuer).claim("jti", case).signed()
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

/// The token of the replaced plugin, with a payload of the test's.
fn graph_token(case: &str, change: impl FnOnce(&mut Value)) -> String {
    let fixture: Value =
        serde_json::from_str(include_str!("fixtures/jwt/entra/graph_token.json")).expect("JSON");
    let mut payload = fixture["payload"].clone();
    for date in ["iat", "nbf", "exp"] {
        payload[date] = json!(now_from(payload[date].as_i64().expect("a date")));
    }
    payload["uti"] = json!(case);
    change(&mut payload);
    let header = fixture["header"].clone();
    Token { header, payload }.signed()
}

fn entra_graph() -> Spec {
    const PATH: &str = "/v1.0/me";
    let bound = |case: &'static str, change: &dyn Fn(&mut Value), expected: Expected| {
        Case::new(case, graph_token(case, |payload| change(payload)), expected)
            .answered(PATH, answer!("graph/me_ok"))
    };
    let mut spec = Spec {
        preset: "entra_graph",
        provider: "
preset: { entra_graph: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 } }
clients: [86730062-7444-401e-bcca-b0e9c85acc56, mapped-machine, unmapped-machine]
username: { claim: id, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://graph.microsoft.com"],
        token: |case| graph_token(case, |_| {}),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("graph/me_ok", change))]
        },
        user: "abe",
        invalid: answer!("graph/me_expired"),
        throttled: answer!("graph/me_throttled"),
        refused: None,
        more: vec![
            bound(
                "expired",
                &|p| p["exp"] = json!(unix_now() - 60),
                denied("expired"),
            ),
            bound(
                "foreign_audience",
                &|p| p["aud"] = json!("https://other"),
                denied("required_claim"),
            ),
            bound(
                "foreign_client",
                &|p| p["appid"] = json!("other"),
                denied("client_not_allowed"),
            ),
            bound(
                "foreign_tenant_or_realm",
                &|p| p["tid"] = json!("9188040d-6c67-4c5b-b112-36a304b66dad"),
                denied("required_claim"),
            ),
            bound(
                "another_users_token",
                &|p| p["oid"] = json!("other"),
                denied("claims_differ"),
            ),
            bound(
                "machine_token_unmapped",
                &|p| {
                    p["idtyp"] = json!("app");
                    p["appid"] = json!("unmapped-machine");
                },
                nobody("machine_client_not_mapped"),
            ),
            bound(
                "machine_token_mapped",
                &|p| {
                    p["idtyp"] = json!("app");
                    p["appid"] = json!("mapped-machine");
                },
                Expected::User("svc-ci"),
            ),
            Case::new(
                "app_only_as_graph_answers",
                graph_token("app", |_| {}),
                denied("token_inactive"),
            )
            .answered(PATH, answer!("graph/me_app_only")),
            Case::new(
                "without_user_read",
                graph_token("scope", |_| {}),
                denied("token_inactive"),
            )
            .answered(
                PATH,
                Answer::status(
                    "403 X",
                    &["content-type: application/json"],
                    "{\"error\":{\"code\":\"Authorization_RequestDenied\"}}",
                ),
            ),
            Case::new(
                "another_tenants_issuer_is_not_sent",
                graph_token("iss", |p| {
                    p["iss"] = json!("https://sts.windows.net/other/");
                }),
                denied("header_refused"),
            ),
        ],
        exceptions: vec![(
            "remote_own_credentials_wrong",
            "Graph is asked with the token alone",
        )],
    };
    let missing = |case: &'static str, value: Value| {
        // The user of the answer and of the token are the same one, whoever that is.
        let token = graph_token(case, |payload| payload["oid"] = value.clone());
        let answer = answer!("graph/me_ok", |body| body["id"] = value.clone());
        Case::new(case, token, nobody("username_not_mapped")).answered(PATH, answer)
    };
    let extra = [
        spec.case(
            "username_claim_missing",
            &edit(|body| drop(body.remove("id"))),
            denied("claims_differ"),
        ),
        spec.case(
            "username_claim_array",
            &set("/id", json!(["a"])),
            denied("claims_differ"),
        ),
        missing("username_claim_with_crlf", json!("abe\r\nx: y")),
        missing(
            "username_not_mapped",
            json!("00000000-0000-0000-0000-000000000000"),
        ),
    ];
    spec.more.extend(extra);
    spec
}

/// The claims of an `http_check`: a member of the answer, and what must come of each value.
fn checked(spec: &mut Spec, cases: &[(&'static str, &'static str, Value, Expected)]) {
    for (name, pointer, value, expected) in cases {
        let expected = match expected {
            Expected::User(user) => Expected::User(user),
            Expected::Denied(status, reason) => Expected::Denied(*status, reason),
        };
        let case = spec.case(name, &set(pointer, value.clone()), expected);
        spec.more.push(case);
    }
}

fn facebook() -> Spec {
    const PATH: &str = "/v23.0/debug_token";
    let mut spec = Spec {
        preset: "facebook",
        provider: "
preset: { facebook: { app_id: '138483919580948', app_secret: { file: secret } } }
clients: ['138483919580948', mapped-machine, unmapped-machine]
username: { claim: sub, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://graph.facebook.com"],
        token: |case| format!("EAA{}", case.replace('_', "")),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("facebook/debug_ok", change))]
        },
        user: "jdoe",
        invalid: answer!("facebook/debug_invalid"),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: Some(Answer::status("401 X", &[], "")),
        more: vec![],
        exceptions: vec![
            (
                "foreign_audience",
                "its tokens have no audience: the app binds them",
            ),
            ("foreign_tenant_or_realm", "there is one Facebook"),
        ],
    };
    checked(
        &mut spec,
        &[
            (
                "expired",
                "/data/expires_at",
                json!(unix_now() - 60),
                denied("expired"),
            ),
            (
                "never_expires",
                "/data/expires_at",
                json!(0),
                Expected::User("jdoe"),
            ),
            (
                "foreign_client",
                "/data/app_id",
                json!("999"),
                denied("client_not_allowed"),
            ),
            (
                "page_token",
                "/data/type",
                json!("PAGE"),
                denied("required_claim"),
            ),
            (
                "username_claim_array",
                "/data/user_id",
                json!(["1"]),
                denied("claim_type"),
            ),
            (
                "username_claim_with_crlf",
                "/data/user_id",
                json!("1\r\n"),
                nobody("username_not_mapped"),
            ),
            (
                "username_not_mapped",
                "/data/user_id",
                json!("7"),
                nobody("username_not_mapped"),
            ),
            (
                "username_claim_missing",
                "/data/user_id",
                Value::Null,
                nobody("username_claim"),
            ),
            (
                "is_valid_as_text",
                "/data/is_valid",
                json!("true"),
                undecided("provider_error"),
            ),
        ],
    );
    let machine = |client: &'static str| {
        move |_: &str, body: &mut Value| {
            body["data"]["app_id"] = json!(client);
            body["data"]["user_id"] = json!(client);
        }
    };
    let extra = [
        spec.case(
            "machine_token_unmapped",
            &machine("unmapped-machine"),
            nobody("machine_client_not_mapped"),
        ),
        spec.case(
            "machine_token_mapped",
            &machine("mapped-machine"),
            Expected::User("svc-ci"),
        ),
        Case::new("app_mismatch_400", "EAAforeign", denied("token_inactive"))
            .answered(PATH, answer!("facebook/debug_foreign_app")),
        Case::new(
            "is_valid_false_200",
            "EAAmalformed",
            denied("token_inactive"),
        )
        .answered(PATH, answer!("facebook/debug_malformed")),
        Case::new("not_an_app_token", "EAAnotapp", undecided("provider_error"))
            .answered(PATH, answer!("facebook/debug_not_app_token")),
    ];
    spec.more.extend(extra);
    spec
}

fn github() -> Spec {
    const PATH: &str = "/applications/Iv1.8a61f9b3a7aba766/token";
    let mut spec = Spec {
        preset: "github",
        provider: "
preset: { github: { client_id: Iv1.8a61f9b3a7aba766, client_secret: { file: secret } } }
clients: [Iv1.8a61f9b3a7aba766, mapped-machine, unmapped-machine]
username: { claim: sub, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://api.github.com"],
        token: |case| format!("ghu_16C7e42F292c6912E7710c838347{case}"),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| {
                body["expires_at"] = json!("2099-01-01T00:00:00Z");
                change(PATH, body);
            };
            vec![(PATH, answer!("github/check_token_ok_ghu", change))]
        },
        user: "octocat",
        invalid: answer!("github/check_token_404"),
        throttled: answer!("github/secondary_rate_limit"),
        refused: Some(Answer::status(
            "401 X",
            &["content-type: application/json"],
            "{}",
        )),
        more: vec![
            Case::new("user_null", "ghu_null", nobody("username_claim")).answered(
                PATH,
                answer!("github/check_token_user_null", |body| {
                    body["expires_at"] = Value::Null;
                }),
            ),
            Case::new("without_end", "gho_endless", Expected::User("octocat")).answered(
                PATH,
                answer!("github/check_token_ok_gho", |body| {
                    body["app"]["client_id"] = json!("Iv1.8a61f9b3a7aba766");
                }),
            ),
            Case::new(
                "ghs_with_two_dots",
                format!("ghs_123_{}", Token::of("https://github.com").signed()),
                denied("foreign_token"),
            ),
            Case::new("personal_token", "ghp_personal", denied("foreign_token")),
            Case::new(
                "fine_grained_token",
                "github_pat_11AA",
                denied("foreign_token"),
            ),
            Case::new("refresh_token", "ghr_1", denied("foreign_token")),
        ],
        exceptions: vec![
            (
                "foreign_audience",
                "its tokens have no audience: the app binds them",
            ),
            ("foreign_tenant_or_realm", "one server has one realm"),
        ],
    };
    checked(
        &mut spec,
        &[
            (
                "expired",
                "/expires_at",
                json!("2020-01-01T00:00:00Z"),
                denied("expired"),
            ),
            (
                "foreign_client",
                "/app/client_id",
                json!("other"),
                denied("client_not_allowed"),
            ),
            (
                "username_claim_missing",
                "/user/id",
                Value::Null,
                nobody("username_claim"),
            ),
            (
                "username_claim_array",
                "/user/id",
                json!([1]),
                undecided("provider_error"),
            ),
            (
                "username_claim_with_crlf",
                "/user/id",
                json!("1\r\n"),
                undecided("provider_error"),
            ),
            (
                "username_not_mapped",
                "/user/id",
                json!(7),
                nobody("username_not_mapped"),
            ),
        ],
    );
    spec.exceptions.extend([
        (
            "machine_token_unmapped",
            "its apps' own tokens (ghs_) are never sent, see ghs_with_two_dots",
        ),
        (
            "machine_token_mapped",
            "its apps' own tokens (ghs_) are never sent, see ghs_with_two_dots",
        ),
    ]);
    spec
}

fn gitlab() -> Spec {
    const INFO: &str = "/oauth/token/info";
    const USER: &str = "/oauth/userinfo";
    const APP: &str = "1cb242f495280beb4291e64bee2a17f330902e499882fe8e1e2aa875519cab33";
    let machine = "the client credentials grant has no user, and userinfo refuses its tokens";
    let mut spec = Spec {
        preset: "gitlab",
        provider: "
preset: { gitlab: { url: https://gitlab.example.test } }
clients: [1cb242f495280beb4291e64bee2a17f330902e499882fe8e1e2aa875519cab33]
username: { claim: sub, map: users.yaml }",
        hosts: &["https://gitlab.example.test"],
        token: |case| format!("{case}0000f495280beb4291e64bee2a17f330902e4998"),
        path: INFO,
        good: |change| {
            vec![
                (
                    INFO,
                    answer!("gitlab/token_info_ok", |body| change(INFO, body)),
                ),
                (
                    USER,
                    answer!("gitlab/userinfo_ok", |body| change(USER, body)),
                ),
            ]
        },
        user: "jdoe",
        invalid: answer!("gitlab/token_info_invalid"),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: None,
        more: vec![
            Case::new(
                "foreign_client",
                format!("f{APP}"),
                denied("client_not_allowed"),
            )
            .answered(INFO, answer!("gitlab/token_info_foreign_app"))
            .answered(USER, answer!("gitlab/userinfo_ok")),
            Case::new(
                "machine_token_unmapped",
                format!("m{APP}"),
                denied("token_inactive"),
            )
            .answered(INFO, answer!("gitlab/token_info_client_credentials"))
            .answered(USER, answer!("gitlab/userinfo_401")),
            Case::new(
                "resource_owner_null",
                format!("o{APP}"),
                denied("claims_differ"),
            )
            .answered(INFO, answer!("gitlab/token_info_client_credentials"))
            .answered(USER, answer!("gitlab/userinfo_ok")),
            Case::new("personal_token", "glpat-personal", denied("foreign_token")),
            Case::new(
                "revoked_between_the_calls",
                format!("r{APP}"),
                denied("token_inactive"),
            )
            .answered(INFO, answer!("gitlab/token_info_ok"))
            .answered(USER, answer!("gitlab/userinfo_401")),
            Case::new("expired", format!("e{APP}"), denied("token_inactive"))
                .answered(INFO, answer!("gitlab/token_info_invalid")),
        ],
        exceptions: vec![
            (
                "foreign_audience",
                "its tokens have no audience: the application binds them",
            ),
            ("foreign_tenant_or_realm", "one server has one realm"),
            ("machine_token_mapped", machine),
            (
                "remote_own_credentials_wrong",
                "GitLab is asked with the token alone",
            ),
        ],
    };
    checked(
        &mut spec,
        &[
            (
                "another_users_answer",
                "/sub",
                json!("43"),
                denied("claims_differ"),
            ),
            (
                "username_claim_missing",
                "/sub",
                Value::Null,
                denied("claims_differ"),
            ),
            (
                "username_claim_array",
                "/sub",
                json!(["42"]),
                denied("claims_differ"),
            ),
            (
                "username_claim_with_crlf",
                "/sub",
                json!("42\r\n"),
                denied("claims_differ"),
            ),
        ],
    );
    let unknown = |path: &str, body: &mut Value| match path {
        INFO => body["resource_owner_id"] = json!(7),
        _ => body["sub"] = json!("7"),
    };
    let unknown = spec.case(
        "username_not_mapped",
        &unknown,
        nobody("username_not_mapped"),
    );
    spec.more.push(unknown);
    spec
}

fn google() -> Spec {
    const INFO: &str = "/tokeninfo";
    const USER: &str = "/v1/userinfo";
    let mut spec = Spec {
        preset: "google",
        provider: "
preset: { google: { hosted_domain: example.test } }
audiences: [1008719970978-hb24n2dstb40o45d4feuo2ukqmcc6381.apps.googleusercontent.com]
clients: [1008719970978-hb24n2dstb40o45d4feuo2ukqmcc6381.apps.googleusercontent.com, mapped-machine, unmapped-machine]
username: { claim: email, strip_domain: example.test }
machine_clients: { mapped-machine: svc-ci }",
        hosts: &["https://oauth2.googleapis.com", "https://openidconnect.googleapis.com"],
        token: |case| format!("ya29.a0AfH6SMB{case}"),
        path: INFO,
        good: |change| {
            vec![
                (INFO, answer!("google/tokeninfo_ok", |body| change(INFO, body))),
                (USER, answer!("google/userinfo_ok", |body| change(USER, body))),
            ]
        },
        user: "jdoe",
        invalid: answer!("google/tokeninfo_invalid"),
        throttled: Answer::status("429 X", &["retry-after: 30"], ""),
        refused: None,
        more: vec![
            Case::new("foreign_audience", "ya29.foreign", denied("wrong_audience"))
                .answered(INFO, answer!("google/tokeninfo_foreign_app"))
                .answered(USER, answer!("google/userinfo_ok")),
            Case::new("invalid_v2_form", "ya29.invalid-v2", denied("token_inactive"))
                .answered(INFO, answer!("google/tokeninfo_invalid_v2")),
            Case::new("sub_missing", "ya29.nosub", denied("claims_differ"))
                .answered(INFO, answer!("google/tokeninfo_no_sub"))
                .answered(USER, answer!("google/userinfo_ok")),
        ],
        exceptions: vec![("remote_own_credentials_wrong", "Google is asked with the token alone")],
    };
    checked(
        &mut spec,
        &[
            (
                "expired",
                "/exp",
                json!((unix_now() - 60).to_string()),
                denied("expired"),
            ),
            (
                "foreign_client",
                "/azp",
                json!("other"),
                denied("client_not_allowed"),
            ),
            (
                "foreign_tenant_or_realm",
                "/hd",
                json!("evil.example"),
                denied("required_claim"),
            ),
            (
                "email_unverified",
                "/email_verified",
                json!("false"),
                nobody("email_not_verified"),
            ),
            (
                "username_claim_missing",
                "/email",
                Value::Null,
                nobody("username_claim"),
            ),
            (
                "username_claim_array",
                "/email",
                json!(["jdoe@example.test"]),
                nobody("username_claim"),
            ),
            (
                "username_claim_with_crlf",
                "/email",
                json!("jdoe\r\n@example.test"),
                nobody("username_refused"),
            ),
            (
                "username_not_mapped",
                "/email",
                json!("jdoe@evil.example"),
                nobody("username_not_mapped"),
            ),
        ],
    );
    let machine = |client: &'static str| {
        move |_: &str, body: &mut Value| {
            body["sub"] = json!(client);
            if body.get("azp").is_some() {
                body["azp"] = json!(client);
            }
        }
    };
    let extra = [
        spec.case(
            "machine_token_unmapped",
            &machine("unmapped-machine"),
            nobody("machine_client_not_mapped"),
        ),
        spec.case(
            "machine_token_mapped",
            &machine("mapped-machine"),
            Expected::User("svc-ci"),
        ),
    ];
    spec.more.extend(extra);
    spec
}

fn slack() -> Spec {
    const PATH: &str = "/api/auth.test";
    let no_client = "Slack does not tell the app of a user token: it is accepted unbound";
    let mut spec = Spec {
        preset: "slack",
        provider: "
preset: { slack: { team_id: T12345678, check: auth_test } }
accept_unbound_tokens: true
username: { claim: sub, map: users.yaml }",
        hosts: &["https://slack.com"],
        token: |case| format!("xoxp-1234-{case}"),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("slack/auth_test_user", change))]
        },
        user: "grace",
        invalid: answer!("slack/auth_test_invalid"),
        throttled: answer!("slack/ratelimited"),
        refused: None,
        more: vec![
            Case::new("revoked_200", "xoxp-revoked", denied("token_inactive"))
                .answered(PATH, answer!("slack/auth_test_revoked")),
            Case::new(
                "bot_id_present",
                "xoxp-bot",
                nobody("machine_client_not_mapped"),
            )
            .answered(
                PATH,
                answer!("slack/auth_test_bot", |body| body["team_id"] =
                    json!("T12345678")),
            ),
            Case::new(
                "a_failure_of_slack_200",
                "xoxp-internal",
                undecided("provider_error"),
            )
            .answered(
                PATH,
                Answer::Json("{\"ok\":false,\"error\":\"internal_error\"}".to_owned()),
            ),
            Case::new("bot_token", "xoxb-1", denied("foreign_token")),
            Case::new("app_token", "xapp-1", denied("foreign_token")),
        ],
        exceptions: vec![
            ("foreign_audience", no_client),
            ("foreign_client", no_client),
            ("machine_token_mapped", no_client),
            ("machine_token_unmapped", "see bot_id_present"),
            (
                "expired",
                "it tells no dates: an expired token is answered with ok: false",
            ),
            (
                "remote_own_credentials_wrong",
                "Slack is asked with the token alone",
            ),
        ],
    };
    checked(
        &mut spec,
        &[
            (
                "foreign_tenant_or_realm",
                "/team_id",
                json!("T0OTHER"),
                denied("required_claim"),
            ),
            (
                "ok_as_text",
                "/ok",
                json!("true"),
                undecided("provider_error"),
            ),
            (
                "username_claim_missing",
                "/user_id",
                Value::Null,
                nobody("username_claim"),
            ),
            (
                "username_claim_array",
                "/user_id",
                json!(["W12345678"]),
                denied("claim_type"),
            ),
            (
                "username_claim_with_crlf",
                "/user_id",
                json!("W1\r\n"),
                nobody("username_not_mapped"),
            ),
            (
                "username_not_mapped",
                "/user_id",
                json!("W0"),
                nobody("username_not_mapped"),
            ),
        ],
    );
    spec
}

/// The method that also tells the address.
pub fn slack_user_info() -> Subject {
    const PATH: &str = "/api/openid.connect.userInfo";
    const TEAM: &str = "/https:~1~1slack.com~1team_id";
    let mut spec = Spec {
        preset: "slack",
        provider: "
preset: { slack: { team_id: T0R7GR } }
accept_unbound_tokens: true
username: { claim: email, strip_domain: slack-corp.example.test }",
        hosts: &["https://slack.com"],
        token: |case| format!("xoxe.xoxp-1234-{case}"),
        path: PATH,
        good: |change| {
            let change = |body: &mut Value| change(PATH, body);
            vec![(PATH, answer!("slack/userinfo_ok", change))]
        },
        user: "krane",
        invalid: answer!("slack/auth_test_invalid"),
        throttled: answer!("slack/ratelimited"),
        refused: None,
        more: vec![],
        exceptions: vec![],
    };
    checked(
        &mut spec,
        &[
            (
                "foreign_tenant_or_realm",
                TEAM,
                json!("T0OTHER"),
                denied("required_claim"),
            ),
            (
                "email_unverified",
                "/email_verified",
                json!(false),
                nobody("email_not_verified"),
            ),
            (
                "username_not_mapped",
                "/email",
                json!("krane@evil.example"),
                nobody("username_not_mapped"),
            ),
        ],
    );
    spec.subject()
}
