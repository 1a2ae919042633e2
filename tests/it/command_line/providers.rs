//! `provider list` and `provider inspect`: choosing a provider, and the attribute that names the user.

use std::fs;

use serde_json::{Value, json};

use super::{ERROR, NO, OK, directory_with, run, run_with_input};
use crate::support::{
    client,
    envoy::Options,
    idp::{Answer, Idp},
    service::Service,
    tokens::{Token, unix_now},
    upstream::Upstream,
};

const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const APP: &str = "86730062-7444-401e-bcca-b0e9c85acc56";

/// A Graph token: nobody but Microsoft can verify it.
fn graph_token(change: impl FnOnce(Token) -> Token) -> String {
    let now = unix_now();
    let token = Token {
        header: json!({"typ": "JWT", "nonce": "WTVQubis7ho6", "alg": "RS256", "x5t": "k1", "kid": "k1"}),
        payload: json!({
            "aud": "00000003-0000-0000-c000-000000000000", "iss": format!("https://sts.windows.net/{TENANT}/"),
            "tid": TENANT, "appid": APP, "idtyp": "user", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "scp": "User.Read openid profile email", "iat": now - 5, "exp": now + 600, "ver": "1.0",
        }),
    };
    change(token).signed()
}

/// Microsoft Graph, as far as `/v1.0/me` goes.
fn graph() -> Idp {
    let graph = Idp::start();
    let me = json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users/$entity",
        "id": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "userPrincipalName": "abe@contoso.example.test",
        "mail": "abe@contoso.example.test", "onPremisesSamAccountName": "alincoln", "givenName": "Abe",
        "surname": "Lincoln", "displayName": "Abe Lincoln", "mailNickname": "abe",
    });
    graph.answer("/v1.0/me", Answer::Json(me.to_string()));
    graph
}

fn config(graph: &Idp, username: &str) -> String {
    format!(
        "outbound: {{ allow_loopback_http: true }}\nproviders:\n  - name: graph\n    \
         preset: {{ entra_graph: {{ tenant_id: {TENANT}, graph_url: \"{}\" }} }}\n    clients: [{APP}]\n    \
         username: {username}\napplications:\n  - name: jira\n    product: jira\n    \
         hosts: [jira-api.example.com, jira.example.com, 127.0.0.1]\n",
        graph.issuer
    )
}

/// What the replaced plugin did, with our commands: Graph token, attributes, verdict, curl.
#[test]
#[expect(clippy::too_many_lines, reason = "one session of one operator")]
fn a_graph_token_becomes_a_user_step_by_step() {
    let graph = graph();
    let refused = directory_with(&config(&graph, "{ claim: givenName }"));
    let said = run(refused.path(), &["config", "check", "config.yaml"]);
    assert_eq!(said.code, NO);
    for words in [
        "'givenName'",
        "takes over that user's account",
        "onPremisesSamAccountName",
        "accept_unstable_claim: true",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }

    let chosen = config(&graph, "{ claim: onPremisesSamAccountName }");
    let directory = directory_with(&chosen);
    fs::write(
        directory.path().join("token"),
        graph_token(|token| token) + "\n",
    )
    .expect("written");
    let inspect = [
        "provider",
        "inspect",
        "graph",
        "--config",
        "config.yaml",
        "--token-file",
        "token",
    ];
    let said = run(directory.path(), &inspect);
    assert_eq!((said.code, said.err.as_str()), (OK, ""), "{}", said.out);
    eprintln!("$ atlassian-authz {}\n{}", inspect.join(" "), said.out);
    for line in [
        "id                               690222be-ff1a-4d56-abd1-7e4f7d38e474         stable and unique",
        "givenName                        Abe                                          NOT for user names",
        "onPremisesSamAccountName         alincoln                                     readable, may change hands",
        "x-remote-user: alincoln",
    ] {
        assert!(
            said.out.lines().any(|found| found == line),
            "{line}\n{}",
            said.out
        );
    }

    let check = [
        "check",
        "--config",
        "config.yaml",
        "--host",
        "jira-api.example.com",
        "--path",
        "/rest/api/2/myself",
        "--bearer-file",
        "token",
    ];
    let said = run(directory.path(), &check);
    assert_eq!(said.code, OK, "{}{}", said.out, said.err);
    eprintln!("$ atlassian-authz {}\n{}", check.join(" "), said.out);
    assert!(
        said.out.contains("sets         x-remote-user: alincoln"),
        "{}",
        said.out
    );

    let service = Service::with_config(&chosen);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port).start();
    let bearer = format!("Authorization: Bearer {}", graph_token(|token| token));
    let answer = client::get(
        &envoy.address,
        "/rest/api/2/myself",
        &[&bearer, "X-Remote-User: admin"],
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        upstream.last().identities(),
        [("x-remote-user", "alincoln")]
    );
    let without = client::get(&envoy.address, "/rest/api/2/myself", &[]);
    assert_eq!(without.status, 401);
    assert_eq!(upstream.seen().len(), 1);
    eprintln!(
        "curl with the token: {}, without: {}",
        answer.status, without.status
    );
}

#[test]
fn a_token_that_is_not_ours_is_inspected_and_refused_with_the_rule() {
    let graph = graph();
    let directory = directory_with(&config(&graph, "{ claim: onPremisesSamAccountName }"));
    let inspect = [
        "provider",
        "inspect",
        "graph",
        "--config",
        "config.yaml",
        "--token-file",
        "-",
    ];
    for (change, reason) in [
        (("appid", "another-app"), "client_not_allowed"),
        (
            ("tid", "9188040d-6c67-4c5b-b112-36a304b66dad"),
            "required_claim",
        ),
        (("idtyp", "app"), "machine_client_not_mapped"),
    ] {
        let token = graph_token(|token| token.claim(change.0, change.1));
        let said = run_with_input(directory.path(), &inspect, &token);
        assert_eq!(said.code, NO, "{reason}: {}", said.err);
        assert!(
            said.out.contains(&format!("({reason})")),
            "{reason}: {}",
            said.out
        );
        assert!(
            !said
                .out
                .lines()
                .any(|line| line.starts_with("x-remote-user: ")),
            "{}",
            said.out
        );
    }
    let json = [&inspect[..], &["--json"]].concat();
    let said = run_with_input(
        directory.path(),
        &json,
        &graph_token(|token| token.claim("appid", "x")),
    );
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(document["refused"]["reason"], "client_not_allowed");
    assert_eq!(document["user"], Value::Null);
    assert!(
        document["attributes"]
            .as_array()
            .is_some_and(|list| list.len() > 10)
    );
}

#[test]
fn inspect_sends_a_token_to_nobody_who_would_not_be_asked_for_a_request() {
    let graph = graph();
    let directory = directory_with(&config(&graph, "{ claim: onPremisesSamAccountName }"));
    let inspect = [
        "provider",
        "inspect",
        "graph",
        "--config",
        "config.yaml",
        "--token-file",
        "-",
    ];
    for token in [
        "axt_0123456789",
        "ghp_0123456789",
        "an-opaque-one",
        &Token::of("https://other.example").signed(),
    ] {
        let said = run_with_input(directory.path(), &inspect, token);
        assert_eq!((said.code, said.out.as_str()), (NO, ""), "{token}");
        assert!(
            said.err.contains("nothing was sent to the provider"),
            "{}",
            said.err
        );
        assert!(!said.err.contains(token), "a token is repeated");
    }
    assert_eq!(graph.count("/v1.0/me"), 0);
    let mut elsewhere = inspect;
    elsewhere[2] = "grpah";
    let said = run_with_input(directory.path(), &elsewhere, "x");
    assert_eq!(said.code, ERROR);
    assert!(
        said.err
            .contains("there is no provider 'grpah' in the configuration, only graph"),
        "{}",
        said.err
    );
    graph.answer("/v1.0/me", Answer::status("500 X", &[], ""));
    let said = run_with_input(directory.path(), &inspect, &graph_token(|token| token));
    assert_eq!(
        said.code, ERROR,
        "a provider that fails is neither yes nor no"
    );
    assert!(said.err.contains("the provider fails"), "{}", said.err);
}

#[test]
fn a_jwt_is_inspected_only_with_a_good_signature() {
    let idp = Idp::start();
    let directory = directory_with(&format!(
        "outbound: {{ allow_loopback_http: true }}\nproviders:\n  - name: idp\n    jwt: {{ issuer: \"{}\" }}\n    \
         audiences: [jira-api]\n    username: {{ claim: preferred_username }}\n    groups: {{ claim: /realm/roles }}\n\
         applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n",
        idp.issuer
    ));
    let inspect = [
        "provider",
        "inspect",
        "idp",
        "--config",
        "config.yaml",
        "--token-file",
        "-",
    ];
    let good = Token::of(&idp.issuer).claim("realm", json!({"roles": ["b", "a"]}));
    let said = run_with_input(directory.path(), &inspect, &good.signed());
    assert_eq!(said.code, OK, "{}{}", said.out, said.err);
    assert!(said.out.contains("/realm/roles"), "{}", said.out);
    assert!(
        said.out.contains("groups: a, b\nx-remote-user: alice"),
        "{}",
        said.out
    );
    let forged = good.signed_by(crate::support::keys::other_rs256());
    let said = run_with_input(directory.path(), &inspect, &forged);
    assert_eq!((said.code, said.out.as_str()), (NO, ""));
    assert!(said.err.contains("the signature is wrong"), "{}", said.err);
    let escape = good.claim("name", "a\u{1b}[2Jb").signed();
    let said = run_with_input(directory.path(), &inspect, &escape);
    assert!(!said.out.contains('\u{1b}'), "a token moves the cursor");
}

#[test]
fn the_presets_are_listed_with_what_binds_and_what_names() {
    let said = run(".".as_ref(), &["provider", "list"]);
    assert_eq!((said.code, said.err.as_str()), (OK, ""));
    let keycloak =
        "keycloak                 jwt            audience                       preferred_username";
    assert!(
        said.out.lines().any(|line| line == keycloak),
        "{}",
        said.out
    );
    let json = run(".".as_ref(), &["provider", "list", "--json"]);
    let presets: Value = serde_json::from_str(&json.out).expect("JSON");
    let presets = presets.as_array().expect("a list");
    assert_eq!(presets.len() + 1, said.out.lines().count());
    assert_eq!(presets[0]["mode"], "jwt");
}
