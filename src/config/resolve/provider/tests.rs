//! Messages about providers.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::config::tests::{APPLICATIONS, problems, problems_in, with_provider};

/// A provider that is right, but for the members that are given.
pub(super) fn sso(members: &str) -> String {
    let right = [
        ("jwt:", "jwt: { issuer: https://idp.example }"),
        ("audiences:", "audiences: [api]"),
        ("username:", "username: { claim: sub }"),
    ];
    let mut text = members.to_owned();
    for (key, line) in right {
        let is_there = members.lines().any(|line| line.starts_with(key));
        let is_preset = key == "jwt:" && members.contains("preset:");
        if !is_there && !is_preset {
            text = format!("{text}\n{line}");
        }
    }
    with_provider(&text)
}

#[test]
fn there_is_at_least_one_provider() {
    assert_snapshot!(problems(&format!("providers: []\n{APPLICATIONS}")), @"c.yaml:1:1: 'providers' is empty: no token could be verified");
}

#[test]
fn names_are_unique_and_plain() {
    let twice = "providers:
  - { name: sso, jwt: { issuer: https://a.example }, audiences: [api], username: { claim: sub } }
  - { name: sso, jwt: { issuer: https://b.example }, audiences: [api], username: { claim: sub } }
  - { name: s/o, jwt: { issuer: https://c.example }, audiences: [api], username: { claim: sub } }
  - { name: api_token, jwt: { issuer: https://d.example }, audiences: [api], username: { claim: sub } }
";
    assert_snapshot!(problems(&format!("{twice}{APPLICATIONS}")), @"
    c.yaml:3:7: provider 'sso' is there twice
    c.yaml:4:7: 'name' must be 1 to 63 letters, digits, '-' or '_', not 's/o'
    c.yaml:5:7: 'api_token' is the name of our own tokens: use another
    ");
}

#[test]
fn a_provider_has_exactly_one_form() {
    assert_snapshot!(problems(&with_provider("audiences: [api]\nusername: { claim: sub }")), @"c.yaml:2:5: sso: write exactly one of 'preset', 'jwt', 'introspection' and 'http_check': none of them is there");
    let keycloak = "keycloak: { url: https://sso.example, realm: acme }";
    let entra = "entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 }";
    let both = format!("preset: {{ {keycloak} }}\njwt: {{ issuer: https://idp.example }}");
    assert_snapshot!(problems(&sso(&both)), @"c.yaml:2:5: sso: write exactly one of 'preset', 'jwt', 'introspection' and 'http_check': more than one of them is there");
    assert_snapshot!(problems(&sso(&format!("preset: {{ {keycloak}, {entra} }}"))), @"c.yaml:3:5: sso: 'preset' names more than one: write exactly one; 'atlassian-authz provider list' shows all");
    assert_snapshot!(problems(&sso("preset: {}")), @"c.yaml:3:5: sso: 'preset' names none: write exactly one; 'atlassian-authz provider list' shows all");
}

#[test]
fn a_token_is_bound_to_us_or_the_operator_has_said_that_it_need_not_be() {
    let unbound = "jwt: { issuer: https://idp.example }\nusername: { claim: sub }";
    assert_snapshot!(problems(&with_provider(unbound)), @"c.yaml:2:5: sso: audiences is missing: a token for any application would be accepted");
    assert_snapshot!(problems(&sso("audiences: []")), @"c.yaml:3:5: sso: audiences is missing: a token for any application would be accepted");
    assert_snapshot!(problems(&with_provider(&format!("{unbound}\naccept_unbound_tokens: false"))), @"c.yaml:2:5: sso: audiences is missing: a token for any application would be accepted");
    assert_eq!(
        problems(&with_provider(&format!(
            "{unbound}\naccept_unbound_tokens: true"
        ))),
        "ok"
    );
    assert_snapshot!(problems(&sso("audiences: [api]\naccept_unbound_tokens: true")), @"c.yaml:4:5: sso: 'accept_unbound_tokens' contradicts 'audiences': remove one of them");
    assert_snapshot!(problems(&with_provider("preset: { keycloak: { url: https://sso.example, realm: acme } }")), @"c.yaml:2:5: sso: audiences is missing: a token for any application would be accepted");
}

#[test]
fn the_binding_is_missed_even_where_the_rest_cannot_be_judged() {
    assert_snapshot!(problems(&with_provider("username: { claim: sub }")), @"
    c.yaml:2:5: sso: write exactly one of 'preset', 'jwt', 'introspection' and 'http_check': none of them is there
    c.yaml:2:5: sso: audiences is missing: a token for any application would be accepted
    ");
}

#[test]
fn entries_that_no_token_could_have_are_refused() {
    assert_snapshot!(problems(&sso("clients: []")), @"c.yaml:3:5: sso: 'clients' is empty: no token would be accepted; leave it out to accept any client of the audience");
    assert_snapshot!(problems(&sso("audiences: [api, '']\nclients: ['']\nrequired_scopes: ['', read write]")), @"
    c.yaml:3:22: sso: an entry of 'audiences' is empty
    c.yaml:4:15: sso: an entry of 'clients' is empty
    c.yaml:5:23: sso: an entry of 'required_scopes' is empty
    c.yaml:5:27: sso: 'read write' in 'required_scopes' is more than one scope: write each as an entry of its own
    ");
}

#[test]
fn issuers_are_https_urls() {
    let issuer = |issuer: &str| problems(&sso(&format!("jwt: {{ issuer: '{issuer}' }}")));
    assert_eq!(issuer("https://idp.example/realm/"), "ok");
    assert_snapshot!(issuer("http://idp.example"), @"c.yaml:3:12: sso: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(issuer("http://127.0.0.1:8080"), @"c.yaml:3:12: sso: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(issuer("idp.example"), @"c.yaml:3:12: sso: 'issuer' is not an absolute URL");
    assert_snapshot!(issuer("https://user:hunter2@idp.example"), @"c.yaml:3:12: sso: 'issuer' must not hold a user, a password or a fragment");
    assert_snapshot!(issuer("https://idp.example?realm=a"), @"c.yaml:3:12: sso: 'issuer' must not have a query");
    assert_snapshot!(issuer("https://idp.example#a"), @"c.yaml:3:12: sso: 'issuer' must not hold a user, a password or a fragment");
    for address in [
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "224.0.0.1",
        "[::ffff:169.254.169.254]",
    ] {
        assert_eq!(
            issuer(&format!("https://{address}/")),
            "c.yaml:3:12: sso: 'issuer' names an address that is never allowed (loopback, link-local, metadata, multicast)",
            "{address}"
        );
    }
}

#[test]
fn http_is_for_loopback_and_only_when_it_is_asked_for() {
    let with = |issuer: &str| {
        let provider = sso(&format!("jwt: {{ issuer: '{issuer}' }}"));
        problems(&format!(
            "{provider}outbound: {{ allow_loopback_http: true }}\n"
        ))
    };
    assert_eq!(with("http://127.0.0.1:8080/realm"), "ok");
    assert_eq!(with("http://localhost:8080"), "ok");
    assert_snapshot!(with("http://idp.example"), @"c.yaml:3:12: sso: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(with("http://169.254.169.254/"), @"c.yaml:3:12: sso: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(with("https://169.254.169.254/"), @"c.yaml:3:12: sso: 'issuer' names an address that is never allowed (loopback, link-local, metadata, multicast)");
}

#[test]
fn an_issuer_whose_keys_are_elsewhere_is_only_a_name() {
    let with = |jwks: &str| {
        problems(&sso(&format!(
            "jwt: {{ issuer: http://adfs.example/adfs, jwks_uri: '{jwks}' }}"
        )))
    };
    assert_eq!(with("https://keys.example/keys?tenant=a"), "ok");
    assert_snapshot!(with("http://keys.example/keys"), @"c.yaml:3:46: sso: 'jwks_uri' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(with("/keys"), @"c.yaml:3:46: sso: 'jwks_uri' is not an absolute URL");
    assert_snapshot!(with("https://169.254.169.254/keys"), @"c.yaml:3:46: sso: 'jwks_uri' names an address that is never allowed (loopback, link-local, metadata, multicast)");
    assert_snapshot!(problems(&sso("jwt: { issuer: '', jwks_uri: https://keys.example/keys }")), @"c.yaml:3:12: sso: 'issuer' is empty");
}

#[test]
fn the_hosts_of_discovered_keys_are_plain_names() {
    let with = |host: &str| {
        problems(&sso(&format!(
            "jwt: {{ issuer: https://idp.example, jwks_hosts: [a.example, '{host}'] }}"
        )))
    };
    assert_eq!(with("keys.example"), "ok");
    assert_snapshot!(with("https://keys.example"), @"c.yaml:3:65: sso: 'https://keys.example' in 'jwks_hosts' must be a host name in lower case, without scheme, port and path");
    for bad in [
        "keys.example:443",
        "keys.example/keys",
        "KEYS.example",
        "",
        "*.example",
    ] {
        assert!(
            with(bad).contains(&format!("sso: '{bad}' in 'jwks_hosts' must be a host name")),
            "{bad}: {}",
            with(bad)
        );
    }
}

#[test]
fn one_issuer_or_several_but_each_once() {
    assert_snapshot!(problems(&sso("jwt: {}")), @"c.yaml:3:5: sso: 'jwt.issuer' is missing: which 'iss' do its tokens have?");
    assert_snapshot!(problems(&sso("jwt: { issuers: [] }")), @"c.yaml:3:5: sso: 'jwt.issuer' is missing: which 'iss' do its tokens have?");
    assert_snapshot!(problems(&sso("jwt: { issuer: https://a.example, issuers: [{ issuer: https://b.example }] }")), @"c.yaml:3:5: sso: both 'jwt.issuer' and 'jwt.issuers' are there: remove one of them");
    assert_snapshot!(problems(&sso("jwt:
  jwks_uri: https://keys.example/keys
  issuers:
    - issuer: https://a.example
    - issuer: http://b.example
    - { issuer: https://c.example, jwks_uri: http://c.example }
    - issuer: https://a.example")), @"
    c.yaml:4:7: sso: 'jwks_uri' belongs to 'issuer': write one into each entry of 'issuers'
    c.yaml:7:11: sso: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)
    c.yaml:8:40: sso: 'jwks_uri' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)
    c.yaml:9:11: sso: the issuer https://a.example is there twice
    ");
}

#[test]
fn durations_of_a_provider_have_limits() {
    assert_eq!(
        problems(&sso(
            "jwt: { issuer: https://idp.example, leeway: 2m, max_lifetime: 365d, max_stale: 0s }"
        )),
        "ok"
    );
    assert_snapshot!(problems(&sso("jwt:
  issuer: https://idp.example
  leeway: 121s
  max_lifetime: 10000h
  max_stale: forever")), @"
    c.yaml:5:7: 'providers[0].jwt.leeway' must be at most 2m, not 121s
    c.yaml:6:7: 'providers[0].jwt.max_lifetime' must be at most 365d, not 10000h
    c.yaml:7:7: 'providers[0].jwt.max_stale' must be a duration such as 30s, 5m or 24h, not 'forever'
    ");
    assert_snapshot!(problems(&sso("jwt: { issuer: https://idp.example, leeway: 30 }")), @"c.yaml:3:41: 'providers[0].jwt.leeway' must be text such as 30s, not a number");
}

#[test]
fn algorithms_are_left_out_or_there() {
    assert_snapshot!(problems(&sso("jwt: { issuer: https://idp.example, algorithms: [] }")), @"c.yaml:3:41: sso: 'algorithms' is empty: no token could be verified; leave it out for RS256 and ES256");
}

#[test]
fn a_mark_of_machines_is_exactly_one_condition() {
    assert_snapshot!(problems(&sso("jwt:
  issuer: https://idp.example
  machine_if:
    - { claim: idtyp, equals: app }
    - { claim: idtyp }
    - { claim: idtyp, equals: app, present: true }
    - { claim: '', present: false }")), @"
    c.yaml:7:11: sso: machine_if: write exactly one of 'equals', 'starts_with', 'present'
    c.yaml:8:11: sso: machine_if: write exactly one of 'equals', 'starts_with', 'present'
    c.yaml:9:13: sso: 'claim' is empty
    ");
}

#[test]
fn entra_is_bound_to_one_tenant() {
    let tenant = |tenant: &str| {
        problems(&sso(&format!(
            "preset: {{ entra: {{ tenant_id: '{tenant}' }} }}"
        )))
    };
    assert_eq!(tenant("8eaef023-2b34-4da1-9baa-8bc8c9d6a490"), "ok");
    assert_eq!(tenant("8EAEF023-2B34-4DA1-9BAA-8BC8C9D6A490"), "ok");
    for name in [
        "common",
        "organizations",
        "consumers",
        "contoso.com",
        "",
        "../8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
        "8eaef0232b344da19baa8bc8c9d6a490",
    ] {
        assert_eq!(
            tenant(name),
            "c.yaml:3:24: sso: 'tenant_id' must be the tenant's GUID, as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
            "{name}"
        );
    }
    assert_snapshot!(tenant("9188040d-6c67-4c5b-b112-36a304b66dad"), @"c.yaml:3:24: sso: 'tenant_id' is the tenant of personal Microsoft accounts, which anybody can have");
}

#[test]
fn a_keycloak_realm_is_one_segment_of_a_url() {
    let keycloak = |url: &str, realm: &str| {
        problems(&sso(&format!(
            "preset: {{ keycloak: {{ url: '{url}', realm: '{realm}' }} }}"
        )))
    };
    assert_eq!(keycloak("https://sso.example/auth/", "acme-2.0_x"), "ok");
    for realm in ["a/b", "", "a b", "a?b", "a%2fb", "a\\b", "ä"] {
        assert_eq!(
            keycloak("https://sso.example", realm),
            "c.yaml:3:55: sso: 'realm' must be the realm's name: letters, digits, '-', '.', '_'",
            "{realm}"
        );
    }
    assert_snapshot!(keycloak("http://sso.example", "acme"), @"c.yaml:3:27: sso: 'url' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)");
    assert_snapshot!(keycloak("sso.example", "acme"), @"c.yaml:3:27: sso: 'url' is not an absolute URL");
    assert_snapshot!(keycloak("https://sso.example?a=b", "acme"), @"c.yaml:3:27: sso: 'url' must not have a query");
    assert_snapshot!(keycloak("https://169.254.169.254", "acme"), @"c.yaml:3:27: sso: 'url' names an address that is never allowed (loopback, link-local, metadata, multicast)");
}

#[test]
fn machine_clients_become_users_that_are_allowed() {
    assert_eq!(problems(&sso("machine_clients: { ci: svc-ci }")), "ok");
    assert_snapshot!(problems(&sso("machine_clients:
  ci: svc ci
  a/b~c: root
  deploy: alice@corp.example
  '': svc-any")), @"
    c.yaml:4:7: sso: 'svc ci' in 'machine_clients': the user name has a character that is not allowed, or not in that place
    c.yaml:5:7: sso: 'root' in 'machine_clients': the user name is reserved (username.allow_reserved)
    c.yaml:6:7: sso: 'alice@corp.example' in 'machine_clients': the user name has a character that is not allowed, or not in that place
    c.yaml:7:7: sso: a client of 'machine_clients' is empty
    ");
    assert_eq!(
        problems(&sso(
            "username: { claim: sub, allow_reserved: [root] }\nmachine_clients: { ci: root }"
        )),
        "ok"
    );
}

#[test]
fn certificate_authorities_can_be_used() {
    let directory = TempDir::new().expect("a directory");
    let with = |pem: &[u8]| {
        fs::write(directory.path().join("ca.pem"), pem).expect("written");
        problems_in(directory.path(), &sso("ca_file: ca.pem"))
    };
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["ca.example".to_owned()]).expect("names");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    assert_eq!(with(certificate.pem().as_bytes()), "ok");
    assert_snapshot!(problems(&sso("ca_file: ca.pem")), @"c.yaml:3:5: sso: 'ca_file' ca.pem: No such file or directory (os error 2)");
    assert_snapshot!(with(b""), @"c.yaml:3:5: sso: 'ca_file' ca.pem: holds no certificate in PEM form");
    assert_snapshot!(with(certificate.der()), @"c.yaml:3:5: sso: 'ca_file' ca.pem: holds no certificate in PEM form");
    assert_snapshot!(with(key.serialize_pem().as_bytes()), @"c.yaml:3:5: sso: 'ca_file' ca.pem: holds no certificate in PEM form");
    assert_snapshot!(with(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), @"c.yaml:3:5: sso: 'ca_file' ca.pem: what is in it cannot be used as a certificate authority");
    assert_snapshot!(with(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), @"c.yaml:3:5: sso: 'ca_file' ca.pem: what is in it cannot be used as a certificate authority");
}

#[test]
fn a_preset_is_shown_as_what_it_stands_for() {
    let text = with_provider(
        "preset: { keycloak: { url: https://sso.example/, realm: acme } }\naudiences: [api]",
    );
    let config = crate::config::Config::parse("c.yaml", &text, "/nowhere".as_ref()).expect("valid");
    let shown = serde_saphyr::to_string(&config.effective.providers).expect("YAML");
    assert_snapshot!(shown, @"
    - name: sso
      jwt:
        issuer: https://sso.example/realms/acme
        jwks_uri: https://sso.example/realms/acme/protocol/openid-connect/certs
        algorithms:
        - RS256
        - PS256
        - ES256
        - EdDSA
        typ: legacy
        leeway: 30s
        max_lifetime: 24h
        max_stale: 24h
        required_claims:
          typ: Bearer
        machine_if:
        - claim: preferred_username
          starts_with: service-account-
        - claim: username
          starts_with: service-account-
        - claim: clientHost
          present: true
      audiences:
      - api
      username:
        claim: preferred_username
        lower_case: true
      groups:
        claims:
        - /realm_access/roles
        - groups
        format: list
    ");
}
