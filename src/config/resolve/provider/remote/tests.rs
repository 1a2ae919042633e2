//! Messages about providers that are asked.

use std::fs;

use tempfile::TempDir;

use crate::config::tests::{APPLICATIONS, problems_in, with_provider};

/// The messages about a provider, without their places.
fn said(members: &str) -> String {
    said_of(&with_provider(members))
}

fn said_of(text: &str) -> String {
    let directory = TempDir::new().expect("a directory");
    fs::write(directory.path().join("secret"), "s3cr3t\n").expect("written");
    fs::write(directory.path().join("empty"), "\n").expect("written");
    let problems = problems_in(directory.path(), text);
    assert!(!problems.contains("s3cr3t"), "a secret in a message");
    let lines = problems.lines();
    let lines = lines.map(|line| line.splitn(4, ':').nth(3).unwrap_or(line).trim());
    lines.collect::<Vec<_>>().join("\n")
}

fn introspection(members: &str) -> String {
    said(&format!(
        "introspection: {{ endpoint: https://idp.example/i, client_id: gateway, {members} }}\n\
         audiences: [api]\nusername: {{ claim: sub }}"
    ))
}

fn http_check(members: &str, rest: &str) -> String {
    said(&format!(
        "http_check: {{ {members} }}\nusername: {{ claim: sub }}\n{rest}"
    ))
}

const SECRET: &str = "client_secret: { file: secret }";

#[test]
fn a_secret_is_in_a_file_or_in_the_environment_and_never_here() {
    assert_eq!(introspection(SECRET), "ok");
    for (secret, message) in [
        ("client_id: x2", "the key 'client_id' is there twice"),
        (
            "client_secret: {}",
            "sso: 'client_secret': write exactly one of 'file' and 'env'",
        ),
        (
            "client_secret: { file: secret, env: X }",
            "sso: 'client_secret': write exactly one of 'file' and 'env'",
        ),
        (
            "client_secret: { file: empty }",
            "sso: 'client_secret': it is empty",
        ),
        (
            "client_secret: { file: nowhere }",
            "sso: 'client_secret': the file nowhere cannot be read: No such file or directory (os error 2)",
        ),
        (
            "client_secret: { env: NOBODY_SETS_THIS }",
            "sso: 'client_secret': the environment variable NOBODY_SETS_THIS is not set, or is not UTF-8",
        ),
        (
            "leeway: 1s",
            "sso: 'client_secret' is missing: write { file: ... } or { env: ... }",
        ),
    ] {
        assert_eq!(introspection(secret), message, "{secret}");
    }
    let written = introspection("client_secret: s3cr3t");
    assert!(written.contains("must be a map, not text"), "{written}");
}

#[test]
fn each_way_to_prove_who_asks_has_its_own_members() {
    for (members, message) in [
        (
            "client_auth: private_key_jwt, private_key: { file: secret }",
            "sso: 'key_algorithm' is missing: which algorithm does the key sign with?",
        ),
        (
            "client_auth: private_key_jwt, private_key: { file: secret }, key_algorithm: RS256",
            "sso: 'private_key' is not a PKCS #8 private key (PEM) for RS256",
        ),
        (
            "client_secret: { file: secret }, private_key: { file: secret }",
            "sso: 'private_key' is not used with this 'client_auth': remove one of them",
        ),
        (
            "client_auth: client_secret_post, client_secret: { file: secret }, key_id: k",
            "sso: 'key_id' is not used with this 'client_auth': remove one of them",
        ),
    ] {
        assert_eq!(introspection(members), message, "{members}");
    }
}

#[test]
fn what_a_provider_takes_is_something_that_a_token_can_show() {
    for (tokens, message) in [
        ("{ prefixes: [acme_] }", "ok"),
        ("{ issuers: ['https://idp.example'], opaque: false }", "ok"),
        ("{ opaque: false }", "sso: 'tokens' takes none at all"),
        (
            "{ prefixes: [''] }",
            "sso: '' in 'prefixes' is not the beginning of a token",
        ),
        (
            "{ prefixes: ['a b'] }",
            "sso: 'a b' in 'prefixes' is not the beginning of a token",
        ),
        (
            "{ prefixes: [eyJ] }",
            "sso: 'eyJ' in 'prefixes' would take every JWT: use 'issuers'",
        ),
        (
            "{ prefixes: [axt_] }",
            "sso: 'axt_' in 'prefixes' is that of the API tokens which this service issues itself",
        ),
        ("{ issuers: [''] }", "sso: an entry of 'issuers' is empty"),
    ] {
        assert_eq!(
            introspection(&format!("{SECRET}, tokens: {tokens}")),
            message,
            "{tokens}"
        );
    }
}

#[test]
fn two_providers_that_could_take_the_same_token_are_refused_with_the_remedy() {
    let provider = |name: &str, tokens: &str| {
        format!(
            "  - {{ name: {name}, introspection: {{ endpoint: 'https://{name}.example', client_id: g, {SECRET}, tokens: {tokens} }}, \
             audiences: [api], username: {{ claim: sub }} }}\n"
        )
    };
    for (one, other, message) in [
        ("{ prefixes: [a_] }", "{ prefixes: [b_] }", "ok"),
        ("{ opaque: true }", "{ prefixes: [b_] }", "ok"),
        (
            "{}",
            "{}",
            "jira: the providers 'one' and 'two' both take opaque tokens, so it cannot be told whose token one is: \
             give one of them 'tokens.prefixes' or 'tokens.issuers', or name only one of them in 'providers'",
        ),
        (
            "{ prefixes: [a_] }",
            "{ prefixes: [a_b_] }",
            "jira: the providers 'one' and 'two' both take tokens that begin with a_b_, so it cannot be told whose token one is: \
             give them prefixes that no token shares, or name only one of them in 'providers'",
        ),
        (
            "{ issuers: [x] }",
            "{ issuers: [x] }",
            "jira: the providers 'one' and 'two' have the same issuer x, so it cannot be told whose token one is: \
             name only one of them in 'providers'",
        ),
    ] {
        let text = format!(
            "providers:\n{}{}{APPLICATIONS}",
            provider("one", one),
            provider("two", other)
        );
        assert_eq!(said_of(&text), message, "{one} {other}");
    }
}

#[test]
fn an_answer_is_bound_by_what_the_form_says() {
    let form = |binding: &str, rest: &str| {
        said(&format!(
            "introspection: {{ endpoint: https://idp.example/i, client_id: g, {SECRET}, bound_by: {binding} }}\n\
             username: {{ claim: sub }}\n{rest}"
        ))
    };
    assert_eq!(
        form("audience", ""),
        "sso: audiences is missing: a token for any application would be accepted"
    );
    assert_eq!(
        form("client", "audiences: [api]"),
        "sso: clients is missing: a token that any application has obtained would be accepted"
    );
    assert_eq!(form("client", "clients: [portal]"), "ok");
    assert_eq!(form("server", ""), "ok");
    assert_eq!(form("client", "accept_unbound_tokens: true"), "ok");
    assert_eq!(
        form("client", "clients: [portal]\naccept_unbound_tokens: true"),
        "sso: 'accept_unbound_tokens' contradicts 'clients': remove one of them"
    );
    assert_eq!(
        said("jwt: { issuer: https://idp.example, bound_by: server }\nusername: { claim: sub }"),
        "sso: 'bound_by' must be audience or client: no server is asked about a JWT"
    );
    let slack =
        "preset: { slack: { team_id: T1 } }\nusername: { claim: email, strip_domain: a.example }";
    assert!(
        said(slack).contains("Use the preset slack_id_token"),
        "{}",
        said(slack)
    );
}

#[test]
fn a_described_request_is_complete() {
    let call = "calls: [{ url: https://idp.example/u }]";
    let claims = "claims: { sub: { at: /id }, aud: { at: /aud } }";
    let bound = "audiences: [api]";
    assert_eq!(http_check(&format!("{call}, {claims}"), bound), "ok");
    for (members, message) in [
        (
            "calls: [], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'calls' must be one or two requests",
        ),
        (
            "calls: [{ url: https://idp.example/u }], claims: { sub: { at: /id } }",
            "sso: 'claims' does not say where 'aud' is read from",
        ),
        (
            "calls: [{ url: https://idp.example/u }], claims: { aud: { at: /aud } }",
            "sso: 'claims' does not say where 'sub' is read from",
        ),
        (
            "calls: [{ url: https://idp.example/u }], claims: { sub: { at: id }, aud: { at: /aud } }",
            "sso: 'id' must be a JSON pointer such as /user/id",
        ),
        (
            "calls: [{ url: https://idp.example/u }], claims: { sub: { in: second, at: /id }, aud: { at: /aud } }",
            "sso: 'in' is second: there is one call",
        ),
        (
            "calls: [{ url: https://idp.example/u, token: form, token_name: t }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'method' must be POST: a form or JSON body carries the token",
        ),
        (
            "calls: [{ url: https://idp.example/u, token: query }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'token_name' is missing: which parameter or member carries the token?",
        ),
        (
            "calls: [{ url: https://idp.example/u, token_name: t }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'token_name' is not used with token: bearer",
        ),
        (
            "calls: [{ url: https://idp.example/u, headers: { Authorization: x } }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: the header 'Authorization' cannot be set here",
        ),
        (
            "calls: [{ url: https://idp.example/u, client: { id: g, secret: { file: secret } } }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'client' and a bearer token cannot both be in Authorization",
        ),
        (
            "calls: [{ url: https://idp.example/u, invalid: [{ status: 302 }] }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'status' must be a status from 200 to 599, and no redirect",
        ),
        (
            "calls: [{ url: http://idp.example/u }], claims: { sub: { at: /id }, aud: { at: /aud } }",
            "sso: 'url' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)",
        ),
    ] {
        assert_eq!(http_check(members, bound), message, "{members}");
    }
}

#[test]
fn a_claim_that_people_choose_names_nobody_without_consent() {
    let named = |username: &str| {
        said(&format!(
            "jwt: {{ issuer: https://idp.example }}\naudiences: [api]\nusername: {{ {username} }}"
        ))
    };
    for claim in ["given_name", "name", "/nickname", "displayName", "mail"] {
        let message = named(&format!("claim: {claim}"));
        assert!(
            message.contains("takes over that user's account"),
            "{claim}: {message}"
        );
        assert_eq!(
            named(&format!("claim: {claim}, accept_unstable_claim: true")),
            "ok",
            "{claim}"
        );
    }
    assert_eq!(named("claim: preferred_username"), "ok");
    let preset = |preset: &str, username: &str| {
        said(&format!(
            "preset: {{ {preset} }}\naudiences: [api]\nusername: {{ {username} }}"
        ))
    };
    let entra = "entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 }";
    assert!(preset(entra, "claim: upn").contains("use oid with a map, or strip_domain"));
    assert_eq!(preset(entra, "claim: upn, strip_domain: a.example"), "ok");
    assert!(preset(entra, "claim: email, strip_domain: a.example").contains("nOAuth"));
}
