//! `check`: the walk of one request, explained.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{NO, OK, Said, directory_with, run, run_with_input};
use crate::support::{
    idp::{Answer, Idp, jwks},
    keys::shared_rs256,
    service::config_for,
    tokens::Token,
};

/// A provider, a configuration for it, and alice's token in the file `token`.
pub(super) struct Bench {
    pub(super) idp: Idp,
    pub(super) directory: TempDir,
}

const MYSELF: [&str; 7] = [
    "check",
    "--config",
    "config.yaml",
    "--host",
    "jira.example.com",
    "--path",
    "/rest/api/2/myself",
];

impl Bench {
    pub(super) fn new() -> Self {
        let idp = Idp::start();
        let second = "  - { name: wiki, product: confluence, hosts: [wiki.example.com], providers: [idp] }\n";
        let directory = directory_with(&format!(
            "{}{second}outbound: {{ allow_loopback_http: true }}\n",
            config_for(&idp)
        ));
        let bench = Self { idp, directory };
        bench.write("token", &bench.token());
        bench
    }

    pub(super) fn token(&self) -> String {
        Token::of(&self.idp.issuer).signed()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("written");
    }

    /// `check` of `GET jira.example.com/rest/api/2/myself`, with further arguments.
    pub(super) fn myself(&self, arguments: &[&str]) -> Said {
        run(self.directory.path(), &[&MYSELF, arguments].concat())
    }

    pub(super) fn with_token(&self, token: &str) -> Said {
        self.write("other", token);
        self.myself(&["--bearer-file", "other"])
    }
}

/// One line of the explanation, without its name.
pub(super) fn line<'s>(said: &'s Said, name: &str) -> Vec<&'s str> {
    let lines = said.out.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
        .collect()
}

#[test]
fn a_good_token_is_explained_step_by_step() {
    let bench = Bench::new();
    let allowed = bench.myself(&["--bearer-file", "token"]);
    assert_eq!((allowed.code, allowed.err.as_str()), (OK, ""));
    assert_snapshot!(allowed.out, @"
    request      GET jira.example.com/rest/api/2/myself
    application  jira
    credential   jwt
    provider     idp
    policy       denied_paths: passes
    user         alice
    verdict      ALLOW
    sets         x-remote-user: alice
    removes      authorization
    removes      proxy-authorization
    removes      dpop
    removes      cookie
    removes      x-http-method-override
    removes      x-http-method
    removes      x-method-override
    ");
}

#[test]
fn a_token_for_somebody_else_is_denied_with_the_reason() {
    let bench = Bench::new();
    let denied = bench.with_token(
        &Token::of(&bench.idp.issuer)
            .claim("aud", "confluence")
            .signed(),
    );
    assert_eq!((denied.code, denied.err.as_str()), (NO, ""));
    assert_snapshot!(denied.out, @"
    request      GET jira.example.com/rest/api/2/myself
    application  jira
    credential   jwt
    provider     idp
    verdict      DENY 401 token_expired_or_invalid
    why          the token is meant for another audience (wrong_audience)
    ");
    for (token, verdict, reason) in [
        (
            Token::of(&bench.idp.issuer).claim("exp", 1),
            "DENY 401 token_expired_or_invalid",
            "(expired)",
        ),
        (
            Token::of("https://other.example"),
            "DENY 401 token_expired_or_invalid",
            "(unknown_issuer)",
        ),
        (
            Token::of(&bench.idp.issuer).without("preferred_username"),
            "DENY 403 user_not_mapped",
            "(username_claim)",
        ),
    ] {
        let said = bench.with_token(&token.signed());
        assert_eq!(
            (said.code, line(&said, "verdict")),
            (NO, vec![verdict]),
            "{}",
            said.out
        );
        assert!(line(&said, "why")[0].ends_with(reason), "{}", said.out);
    }
}

#[test]
fn the_request_can_be_described_as_it_will_be() {
    let bench = Bench::new();
    let no_token = bench.myself(&[]);
    assert_eq!(
        (no_token.code, line(&no_token, "verdict")),
        (NO, vec!["DENY 401 no_credential"])
    );
    assert_eq!(line(&no_token, "credential"), ["none"]);

    let public = run(
        bench.directory.path(),
        &[
            "check",
            "--config",
            "config.yaml",
            "--host",
            "jira.example.com",
            "--path",
            "/status",
        ],
    );
    assert_eq!(
        (public.code, line(&public, "verdict")),
        (OK, vec!["ALLOW, without an identity"])
    );
    assert_eq!(line(&public, "removes"), ["x-remote-user"]);

    let elsewhere = run(
        bench.directory.path(),
        &[
            "check",
            "--config",
            "config.yaml",
            "--host",
            "git.example.com",
            "--path",
            "/",
            "--bearer-file",
            "token",
        ],
    );
    assert_eq!(
        (elsewhere.code, line(&elsewhere, "application")),
        (NO, vec!["-"]),
        "{}",
        elsewhere.out
    );
    // What Envoy's configuration says is believed before what the client says.
    let chosen = bench.myself(&["--bearer-file", "token", "--application", "wiki"]);
    assert_eq!(
        (chosen.code, line(&chosen, "application")),
        (OK, vec!["wiki"])
    );
    assert_eq!(
        bench
            .myself(&["--bearer-file", "token", "--application", "bamboo"])
            .code,
        NO
    );
}

#[test]
fn method_and_headers_count_as_in_a_real_request() {
    let bench = Bench::new();
    let method = bench.myself(&["--bearer-file", "token", "--method", "DELETE"]);
    assert_eq!(
        (method.code, line(&method, "request")),
        (OK, vec!["DELETE jira.example.com/rest/api/2/myself"])
    );
    let tunnel = bench.myself(&["--bearer-file", "token", "--method", "CONNECT"]);
    assert_eq!(tunnel.code, NO, "{}", tunnel.out);
    let upgrade = bench.myself(&["--bearer-file", "token", "--header", "Upgrade: websocket"]);
    assert_eq!(upgrade.code, NO, "{}", upgrade.out);

    let forged = bench.myself(&[
        "--bearer-file",
        "token",
        "--header",
        "X-Remote_User: admin",
        "--header",
        "X-Forwarded-User:admin",
    ]);
    assert_eq!(line(&forged, "sets"), ["x-remote-user: alice"]);
    let removed = line(&forged, "removes");
    assert!(
        removed.contains(&"x-remote_user") && removed.contains(&"x-forwarded-user"),
        "{removed:?}"
    );
}

#[test]
fn a_token_may_end_with_a_line_end_and_may_come_from_standard_input() {
    let bench = Bench::new();
    for end in ["", "\n", "\r\n"] {
        assert_eq!(
            bench.with_token(&format!("{}{end}", bench.token())).code,
            OK,
            "{end:?}"
        );
        let piped = run_with_input(
            bench.directory.path(),
            &[&MYSELF as &[&str], &["--bearer-file", "-"]].concat(),
            &format!("{}{end}", bench.token()),
        );
        assert_eq!(
            (piped.code, line(&piped, "user")),
            (OK, vec!["alice"]),
            "{end:?}"
        );
    }
    let empty = run_with_input(
        bench.directory.path(),
        &[&MYSELF as &[&str], &["--bearer-file", "-"]].concat(),
        "",
    );
    assert_eq!(empty.code, NO, "{}", empty.out);
    // Two lines are two tokens, or a token and somebody's header.
    assert_eq!(
        bench
            .with_token(&format!("{}\nX-Remote-User: admin", bench.token()))
            .code,
        NO
    );
}

#[test]
fn json_tells_the_same_to_a_script() {
    let bench = Bench::new();
    let said = bench.myself(&["--bearer-file", "token", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (OK, ""));
    let allowed: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        allowed,
        json!({
            "verdict": "allow", "status": 200, "code": null, "reason": "token_valid", "why": null,
            "user": "alice", "application": "jira", "provider": "idp", "credential": "jwt", "groups": null,
            "refused_user": null, "enforcement": "enforce", "policies": [{"policy": "denied_paths", "passes": true, "why": null}],
            "sets": {"x-remote-user": "alice"},
            "removes": ["authorization", "proxy-authorization", "dpop", "cookie", "x-http-method-override",
                "x-http-method", "x-method-override"],
        })
    );
    bench.write(
        "other",
        &Token::of(&bench.idp.issuer)
            .claim("aud", "confluence")
            .signed(),
    );
    let said = bench.myself(&["--bearer-file", "other", "--json"]);
    assert_eq!(said.code, NO);
    let denied: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        denied,
        json!({
            "verdict": "deny", "status": 401, "code": "token_expired_or_invalid", "reason": "wrong_audience",
            "why": "the token is meant for another audience", "user": null, "application": "jira",
            "provider": "idp", "credential": "jwt", "groups": null, "refused_user": null, "enforcement": "enforce", "policies": [],
            "sets": {}, "removes": [],
        })
    );
}

#[test]
fn what_a_preset_expands_to_decides_as_the_preset_does() {
    let bench = Bench::new();
    let url = &bench.idp.issuer;
    let path = "/realms/acme/protocol/openid-connect/certs";
    bench
        .idp
        .answer(path, Answer::Json(jwks(&[shared_rs256().jwk("k1")])));
    bench.write(
        "config.yaml",
        &format!(
            "\
outbound: {{ allow_loopback_http: true }}
providers:
  - name: sso
    preset: {{ keycloak: {{ url: '{url}', realm: acme }} }}
    audiences: [jira-api]
applications:
  - {{ name: jira, product: jira, hosts: [jira.example.com] }}
"
        ),
    );
    let shown = run(bench.directory.path(), &["config", "show", "config.yaml"]);
    let issuer = format!("{url}/realms/acme");
    let good = Token::of(&issuer)
        .header("typ", "JWT")
        .claim("typ", "Bearer");
    let tokens = [
        (good.clone(), OK),
        (good.clone().claim("typ", "ID"), NO),
        (good.clone().claim("clientHost", "10.0.0.1"), NO),
        (good.claim("preferred_username", "service-account-ci"), NO),
    ];
    for (token, code) in tokens {
        bench.write("other", &token.signed());
        bench.write("shown.yaml", &shown.out);
        let preset = bench.myself(&["--bearer-file", "other", "--json"]);
        assert_eq!(preset.code, code, "{}", preset.out);
        let request = &MYSELF[3..];
        let expanded = run(
            bench.directory.path(),
            &[
                &["check", "--config", "shown.yaml"],
                request,
                &["--bearer-file", "other", "--json"],
            ]
            .concat(),
        );
        assert_eq!((expanded.code, expanded.out), (preset.code, preset.out));
    }
}
