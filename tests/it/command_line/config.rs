//! `config check` and `config show`.

use std::fs;

use insta::assert_snapshot;

use super::{NO, OK, SMALLEST, directory_with, run};

#[test]
fn config_check_counts_what_is_there_or_prints_every_problem() {
    let directory = directory_with(SMALLEST);
    let valid = run(directory.path(), &["config", "check", "config.yaml"]);
    assert_eq!((valid.code, valid.err.as_str()), (OK, ""));
    assert_eq!(valid.out, "config.yaml: ok (1 provider, 1 application)\n");

    let two = "  - { name: wiki, product: confluence }\n  - { name: git, product: bitbucket }\n";
    fs::write(
        directory.path().join("config.yaml"),
        format!("{SMALLEST}{two}"),
    )
    .expect("written");
    let valid = run(directory.path(), &["config", "check", "./config.yaml"]);
    assert_eq!(
        valid.out,
        "./config.yaml: ok (1 provider, 3 applications)\n"
    );

    let bad = SMALLEST
        .replace("audiences: [jira-api]", "clients: []")
        .replace("jira-api.example.com", "'*'");
    fs::write(directory.path().join("config.yaml"), bad).expect("written");
    let invalid = run(directory.path(), &["config", "check", "config.yaml"]);
    assert_eq!((invalid.code, invalid.out.as_str()), (NO, ""));
    assert_snapshot!(invalid.err, @"
    config.yaml:2:5: sso: audiences is missing: a token for any application would be accepted
    config.yaml:4:5: sso: 'clients' is empty: no token would be accepted; leave it out to accept any client of the audience
    config.yaml:8:13: jira: '*' in 'hosts': there are no wildcards: write every host, or let Envoy's context_extensions choose the application
    3 problems
    ");
    // The same words, wherever the file is read.
    for command in [
        &["config", "show", "config.yaml"] as &[&str],
        &["serve", "--config", "config.yaml"],
    ] {
        let said = run(directory.path(), command);
        assert_eq!(
            (said.code, said.out.as_str(), &said.err),
            (NO, "", &invalid.err),
            "{command:?}"
        );
    }

    let missing = run(directory.path(), &["config", "check", "missing.yaml"]);
    assert_eq!((missing.code, missing.out.as_str()), (NO, ""));
    assert_snapshot!(missing.err, @"
    missing.yaml: cannot be read: No such file or directory (os error 2)
    1 problem
    ");
}

#[test]
fn config_show_prints_a_file_that_means_the_same() {
    let entra = "\
providers:
  - name: corp
    preset: { entra: { tenant_id: 8EAEF023-2B34-4DA1-9BAA-8BC8C9D6A490 } }
    audiences: ['api://jira']
    clients: ['11112222-bbbb-3333-cccc-4444dddd5555']
    required_scopes: [access_as_user]
    username: { claim: oid, map: users.yaml, prefix: ad- }
    machine_clients: { 'null': svc-ci, '1.0': svc-cd }
  - name: partner
    jwt: { issuer: https://idp.example, algorithms: [ES256], typ: at+jwt, required_claims: { 'yes': 'no', n: '1' } }
    accept_unbound_tokens: true
    username: { claim: 'https://idp.example/user', regex: '(\\w+)@corp', lower_case: false }
applications:
  - { name: jira, product: jira, hosts: ['[::1]', jira], providers: [corp, partner], public_paths: ['/public/*'] }
identity_header_aliases: [x-sso-user]
limits: { cache_ttl: 30s }
";
    for config in [SMALLEST, entra] {
        let directory = directory_with(config);
        fs::write(directory.path().join("users.yaml"), "u1: alice\n").expect("written");
        let shown = run(directory.path(), &["config", "show", "config.yaml"]);
        assert_eq!((shown.code, shown.err.as_str()), (OK, ""), "{config}");
        assert!(!shown.out.contains("preset"), "{}", shown.out);
        fs::write(directory.path().join("shown.yaml"), &shown.out).expect("written");
        let again = run(directory.path(), &["config", "show", "shown.yaml"]);
        assert_eq!((again.code, again.err.as_str()), (OK, ""), "{}", shown.out);
        assert_eq!(again.out, shown.out);
        let load = |name: &str| {
            let path = directory.path().join(name);
            atlassian_authz::config::Config::load(&path).expect("valid")
        };
        let (before, after) = (load("config.yaml"), load("shown.yaml"));
        assert_eq!(
            format!("{:?}", before.applications),
            format!("{:?}", after.applications)
        );
        for (before, after) in before.providers.iter().zip(&after.providers) {
            assert_eq!(format!("{:?}", before.judge), format!("{:?}", after.judge));
            assert_eq!(format!("{:?}", before.keep), format!("{:?}", after.keep));
            assert_eq!(
                format!("{:?}", before.mapping.rule),
                format!("{:?}", after.mapping.rule)
            );
            assert_eq!(
                before.mapping.machine_clients,
                after.mapping.machine_clients
            );
            assert_eq!(before.required_scopes, after.required_scopes);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one whole file")]
fn config_show_hides_nothing_of_a_preset() {
    let directory = directory_with(SMALLEST);
    assert_snapshot!(run(directory.path(), &["config", "show", "config.yaml"]).out, @"
    listen:
      grpc: 0.0.0.0:9001
      admin: 127.0.0.1:9002
    log:
      level: info
      format: auto
      sample_allowed: 1.0
    enforcement: enforce
    client_address:
      trusted_hops: 0
    identity_header: x-remote-user
    identity_header_aliases: []
    providers:
    - name: sso
      jwt:
        issuer: https://sso.example.com/realms/acme
        jwks_uri: https://sso.example.com/realms/acme/protocol/openid-connect/certs
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
      - jira-api
      username:
        claim: preferred_username
        lower_case: true
      groups:
        claims:
        - /realm_access/roles
        - groups
        format: list
    applications:
    - name: jira
      product: jira
      hosts:
      - jira-api.example.com
      without_credentials: deny
      foreign_credentials: deny
      preflight: deny
      public_paths: product_default
      denied_paths: product_default
    outbound:
      allow_loopback_http: false
    limits:
      check_timeout: 1s
      cache_ttl: 5m
      cache_entries: 100000
      cache_bytes: 67108864
    shutdown:
      drain_delay: 10s
      drain_timeout: 10s
      max_connection_age: 10m
    ");
}
