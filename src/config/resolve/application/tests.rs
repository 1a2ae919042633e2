//! Messages about applications.

use insta::assert_snapshot;

use crate::config::tests::{APPLICATIONS, PROVIDERS, problems, with_application};

#[test]
fn there_is_at_least_one_application() {
    assert_snapshot!(problems(&format!("{PROVIDERS}applications: []\n")), @"c.yaml:2:1: 'applications' is empty: every request would be denied");
}

#[test]
fn names_are_unique_and_plain() {
    let applications = |names: [&str; 2]| {
        let [one, two] = names;
        problems(&format!(
            "{PROVIDERS}applications:\n  - {{ name: '{one}', product: jira }}\n  - {{ name: '{two}', product: jira }}\n"
        ))
    };
    assert_eq!(applications(["jira", "Jira_2-b"]), "ok");
    assert_snapshot!(applications(["jira", "jira"]), @"c.yaml:4:7: application 'jira' is there twice");
    assert_snapshot!(applications(["", "my jira"]), @"
    c.yaml:3:7: 'name' must be 1 to 63 letters, digits, '-' or '_', not ''
    c.yaml:4:7: 'name' must be 1 to 63 letters, digits, '-' or '_', not 'my jira'
    ");
    let long = "j".repeat(64);
    assert!(applications(["jira", &long]).ends_with(&format!("'-' or '_', not '{long}'")));
}

#[test]
fn providers_are_chosen_by_their_names() {
    assert_eq!(problems(&with_application("providers: [sso]")), "ok");
    assert_snapshot!(problems(&with_application("providers: []")), @"c.yaml:4:5: jira: 'providers' is empty: leave it out to accept all of them");
    assert_snapshot!(problems(&with_application("providers: [sso, SSO, okta]")), @"
    c.yaml:4:22: jira: there is no provider 'SSO', only 'sso'
    c.yaml:4:27: jira: there is no provider 'okta', only 'sso'
    ");
}

const ONE_ISSUER_TWICE: &str = "\
providers:
  - { name: people, jwt: { issuer: https://idp.example }, audiences: [api], username: { claim: sub } }
  - { name: robots, jwt: { issuer: https://idp.example }, audiences: [ci], username: { claim: azp } }
";

#[test]
fn an_application_never_has_two_providers_for_one_issuer() {
    assert_snapshot!(problems(&format!("{ONE_ISSUER_TWICE}{APPLICATIONS}")), @"c.yaml:4:16: jira: the providers 'people' and 'robots' have the same issuer https://idp.example, so it cannot be told whose token one is: name only one of them in 'providers'");
    assert_snapshot!(problems(&format!(
        "{ONE_ISSUER_TWICE}applications:\n  - {{ name: jira, product: jira, providers: [robots, people] }}\n"
    )), @"c.yaml:5:5: jira: the providers 'people' and 'robots' have the same issuer https://idp.example, so it cannot be told whose token one is: name only one of them in 'providers'");
    let split = "applications:\n  - { name: jira, product: jira, providers: [people] }\n  \
                 - { name: wiki, product: confluence, providers: [robots] }\n";
    assert_eq!(problems(&format!("{ONE_ISSUER_TWICE}{split}")), "ok");
}

#[test]
fn the_issuer_of_a_preset_counts_as_its_own() {
    let providers = "\
providers:
  - { name: a, preset: { keycloak: { url: https://sso.example, realm: acme } }, audiences: [x] }
  - { name: b, jwt: { issuer: https://sso.example/realms/acme }, audiences: [y], username: { claim: sub } }
";
    assert_snapshot!(problems(&format!("{providers}{APPLICATIONS}")), @"c.yaml:4:16: jira: the providers 'a' and 'b' have the same issuer https://sso.example/realms/acme, so it cannot be told whose token one is: name only one of them in 'providers'");
}

#[test]
fn a_host_belongs_to_one_application_however_it_is_spelled() {
    let two = |one: &str, other: &str| {
        problems(&format!(
            "{PROVIDERS}applications:\n  - {{ name: jira, product: jira, hosts: ['{one}'] }}\n  \
             - {{ name: wiki, product: confluence, hosts: ['{other}'] }}\n"
        ))
    };
    assert_eq!(two("jira.example.com", "wiki.example.com"), "ok");
    for other in [
        "jira.example.com",
        "JIRA.Example.com",
        "jira.example.com.",
        "jira.example.com:8443",
    ] {
        assert_eq!(
            two("jira.example.com", other),
            "c.yaml:4:48: wiki: the host jira.example.com already belongs to 'jira'",
            "{other}"
        );
    }
    assert_snapshot!(problems(&with_application("hosts: [a.example, A.example]")), @"c.yaml:4:24: jira: the host a.example already belongs to 'jira'");
}

#[test]
fn a_host_is_one_plain_name() {
    assert_eq!(
        problems(&with_application(
            "hosts: [jira, 10.0.0.1, '[::1]', jira.example.com]"
        )),
        "ok"
    );
    assert_snapshot!(problems(&with_application("hosts:
  - 'a.example,b.example'
  - https://jira.example.com
  - user@jira.example.com
  - jira.example.com/rest
  - jira:80:90
  - ''
  - '*'
  - '*.example.com'")), @"
    c.yaml:5:9: jira: 'a.example,b.example' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:6:9: jira: 'https://jira.example.com' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:7:9: jira: 'user@jira.example.com' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:8:9: jira: 'jira.example.com/rest' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:9:9: jira: 'jira:80:90' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:10:9: jira: '' in 'hosts': the host is empty: write a plain host name such as jira-api.example.com
    c.yaml:11:9: jira: '*' in 'hosts': there are no wildcards: write every host, or let Envoy's context_extensions choose the application
    c.yaml:12:9: jira: '*.example.com' in 'hosts': there are no wildcards: write every host, or let Envoy's context_extensions choose the application
    ");
}

#[test]
fn public_paths_are_canonical_and_never_the_whole_application() {
    assert_eq!(
        problems(&with_application(
            "public_paths: [/status, /public/*, /a/b.html, /]"
        )),
        "ok"
    );
    assert_snapshot!(problems(&with_application("public_paths:
  - /*
  - /public/../rest/*
  - /rest/*/public
  - /stat*
  - status
  - //status
  - /a;b
  - /a?b
  - /%61
  - ''")), @"
    c.yaml:5:9: jira: '/*' would make the whole application public
    c.yaml:6:9: jira: '/public/../rest/*' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:7:9: jira: '/rest/*/public' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:8:9: jira: '/stat*' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:9:9: jira: 'status' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:10:9: jira: '//status' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:11:9: jira: '/a;b' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:12:9: jira: '/a?b' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:13:9: jira: '/%61' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    c.yaml:14:9: jira: '' must be a plain path as '/status', or '/below/*': no '..', '//', ';', '?', needless escapes or other wildcards; or the word product_default
    ");
}
