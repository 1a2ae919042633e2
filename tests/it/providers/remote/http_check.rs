//! Described requests: their answers are read into claims.

use serde_json::{Value, json};

use super::{Spec, denied, edit, nobody, set, undecided};
use crate::{
    providers::frame::{Case, Expected, Subject, now_from, published},
    support::{
        idp::Answer,
        tokens::{Token, unix_now},
    },
};

pub(super) fn specs() -> Vec<Spec> {
    vec![
        entra_graph(),
        facebook(),
        github(),
        gitlab(),
        google(),
        slack(),
    ]
}

/// The token of the replaced plugin, with a payload of the test's.
fn graph_token(case: &str, change: impl FnOnce(&mut Value)) -> String {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/jwt/entra/graph_token.json")).expect("JSON");
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
