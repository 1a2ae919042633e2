//! Every message is here as the operator reads it, with its place.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::*;

/// The sections that most tests do not care about, on one line.
pub(in crate::config) const PROVIDERS: &str = "providers: [{ name: sso, jwt: { issuer: https://idp.example }, audiences: [api], username: { claim: sub } }]\n";
pub(in crate::config) const APPLICATIONS: &str = "applications: [{ name: jira, product: jira }]\n";

/// What `config check c.yaml` prints, without the last line, which counts.
pub(in crate::config) fn problems(text: &str) -> String {
    problems_in(Path::new("/nowhere"), text)
}

pub(in crate::config) fn problems_in(base: &Path, text: &str) -> String {
    match Config::parse("c.yaml", text, base) {
        Ok(_) => "ok".to_owned(),
        Err(Problems(problems)) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}

/// A file with one provider, whose further members are given, each on a line of its own.
pub(in crate::config) fn with_provider(members: &str) -> String {
    with_members("providers:\n  - name: sso\n", members, APPLICATIONS)
}

/// A file with one application, whose further members are given, each on a line of its own.
pub(in crate::config) fn with_application(members: &str) -> String {
    let text = with_members(
        "applications:\n  - name: jira\n    product: jira\n",
        members,
        "",
    );
    format!("{text}{PROVIDERS}")
}

fn with_members(head: &str, members: &str, tail: &str) -> String {
    let members = members.trim_matches('\n').lines();
    let lines: Vec<_> = members
        .map(|line| format!("    {}\n", line.trim_end()))
        .collect();
    format!("{head}{}{tail}", lines.concat())
}

/// A file with further sections before the usual ones.
pub(in crate::config) fn with_sections(sections: &str) -> String {
    format!("{}\n{PROVIDERS}{APPLICATIONS}", sections.trim_end())
}

#[test]
fn the_smallest_file_is_accepted_and_gets_the_documented_defaults() {
    let config = Config::parse("c.yaml", &with_sections(""), Path::new("/nowhere"));
    let config = config.expect("valid");
    assert_eq!(
        config.listen.grpc,
        GrpcAddress::Tcp("0.0.0.0:9001".parse().expect("an address"))
    );
    assert_eq!(
        config.listen.admin,
        "127.0.0.1:9002".parse().expect("an address")
    );
    assert_eq!(config.identity_header.name(), "x-remote-user");
    assert!(!config.urls.allow_loopback_http);
    assert_eq!(config.limits.check_timeout, Duration::from_secs(1));
    assert_eq!(config.limits.cache_ttl, Duration::from_mins(5));
    assert_eq!(config.shutdown.drain_delay, Duration::from_secs(10));
    let JudgeConfig::Jwt {
        verifier,
        max_stale,
        ..
    } = &config.providers[0].judge
    else {
        panic!("a preset of JWTs")
    };
    assert_eq!(*max_stale, Duration::from_hours(24));
    assert_eq!(verifier.rules.leeway, Duration::from_secs(30));
    assert!(config.providers[0].mapping.rule.lower_case);
    assert_eq!(config.applications[0].providers, [0]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Config::load(Path::new("/nowhere/c.yaml")).expect_err("missing");
    assert_snapshot!(missing, @"
    /nowhere/c.yaml: cannot be read: No such file or directory (os error 2)
    1 problem
    ");
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("c.yaml");
    fs::write(&file, b"\xff\xfe").expect("written");
    let binary = Config::load(&file).expect_err("not text").0;
    assert_snapshot!(binary[0].message, @"cannot be read: invalid utf-8 sequence of 1 bytes from index 0");
}

#[test]
fn what_is_not_yaml_is_refused_where_it_stops_being_yaml() {
    assert_snapshot!(problems("providers: [\n"), @"c.yaml:1:12: not YAML: unclosed bracket '['");
    assert_snapshot!(problems("providers:\n  - name: sso\n   jwt: 1\n"), @"c.yaml:3:4: not YAML: while parsing a block collection, did not find expected '-' indicator");
    assert_snapshot!(problems("providers:\n\t- name: sso\n"), @"c.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)");
    assert_snapshot!(problems("log: { level: \"info }\n"), @"c.yaml:1:15: not YAML: unclosed quote");
    assert_snapshot!(problems("log: { level: \"\\q\" }\n"), @"c.yaml:1:15: not YAML: while parsing a quoted scalar, found unknown escape character");
    assert_snapshot!(problems("log: *common\n"), @"c.yaml:1:6: not YAML: alias references unknown anchor");
    assert_snapshot!(problems(&format!("{}---\n{APPLICATIONS}", with_sections(""))), @"c.yaml:5:1: '---' begins a second document: the configuration is one document");
}

#[test]
fn a_key_that_is_there_twice_is_refused_at_every_depth() {
    let twice = format!("{}{APPLICATIONS}", with_sections(""));
    assert_snapshot!(problems(&twice), @"c.yaml:4:1: the key 'applications' is there twice");
    assert_snapshot!(problems(&with_sections("log: { level: info, format: json, level: debug }")), @"c.yaml:1:35: the key 'level' is there twice");
    assert_snapshot!(problems(&with_provider("audiences: [api]\naudiences: [other]")), @"c.yaml:4:5: the key 'audiences' is there twice");
}

#[test]
fn aliases_that_grow_without_end_are_refused_before_they_fill_the_memory() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..8 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb = format!("{bomb}a{level}: &a{level} [{below}]\n");
    }
    assert_snapshot!(problems(&bomb), @"c.yaml:6:15: the file is too large, too deep, or repeats too much through aliases");
}

#[test]
fn a_file_that_is_no_map_is_refused() {
    assert_snapshot!(problems(""), @"c.yaml:1:1: the file is empty: 'providers' and 'applications' are needed");
    assert_snapshot!(problems("# nothing yet\n"), @"c.yaml:1:1: the file is empty: 'providers' and 'applications' are needed");
    assert_snapshot!(problems("- providers\n"), @"c.yaml:1:1: the file must be a map, not a list");
    assert_snapshot!(problems("providers\n"), @"c.yaml:1:1: the file must be a map, not text");
}

#[test]
fn what_is_required_is_missed_by_name() {
    assert_snapshot!(problems("log: { level: info }\n"), @"
    c.yaml:1:1: 'providers' is missing
    c.yaml:1:1: 'applications' is missing
    ");
    assert_snapshot!(problems("providers:\n  - audiences: [api]\napplications:\n  - name: jira\n"), @"
    c.yaml:2:5: 'name' is missing in 'providers[0]'
    c.yaml:4:5: 'product' is missing in 'applications[0]'
    ");
    assert_snapshot!(problems(&with_provider("preset: { keycloak: { url: https://sso.example } }")), @"c.yaml:3:15: 'realm' is missing in 'providers[0].preset.keycloak'");
    assert_snapshot!(problems(&with_provider("username: {}\njwt: { machine_if: [{ equals: app }], issuers: [{}] }")), @"
    c.yaml:3:5: 'claim' is missing in 'providers[0].username'
    c.yaml:4:25: 'claim' is missing in 'providers[0].jwt.machine_if[0]'
    c.yaml:4:53: 'issuer' is missing in 'providers[0].jwt.issuers[0]'
    ");
}

#[test]
fn an_unknown_key_is_refused_with_the_key_that_was_meant() {
    assert_snapshot!(problems(&with_sections("log: { levle: debug }\nlimit: {}\nListen: {}")), @"
    c.yaml:1:8: unknown key 'levle' in 'log': did you mean 'level'?
    c.yaml:2:1: unknown key 'limit': did you mean 'limits'?
    c.yaml:3:1: unknown key 'Listen': did you mean 'listen'?
    ");
    assert_snapshot!(problems(&with_provider("audience: api\njwt: { jwks-uri: https://idp.example/keys }")), @"
    c.yaml:3:5: unknown key 'audience' in 'providers[0]': did you mean 'audiences'?
    c.yaml:4:12: unknown key 'jwks-uri' in 'providers[0].jwt': did you mean 'jwks_uri'?
    ");
    assert_snapshot!(problems(&with_provider("preset: { keycloack: {} }")), @"c.yaml:3:15: unknown key 'keycloack' in 'providers[0].preset': did you mean 'keycloak'?");
    assert_snapshot!(problems(&with_sections("api_keys: { pepper: hunter2 }")), @"c.yaml:1:1: unknown key 'api_keys': known here: admin, api_tokens, applications, client_address, enforcement, group_members, identity_header, identity_header_aliases, limits, listen, log, outbound, providers, shutdown, tracing");
    assert_snapshot!(problems(&with_sections("\"a/b~c\": 1")), @"c.yaml:1:1: unknown key 'a/b~c': known here: admin, api_tokens, applications, client_address, enforcement, group_members, identity_header, identity_header_aliases, limits, listen, log, outbound, providers, shutdown, tracing");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_the_kind_that_it_must_have() {
    assert_snapshot!(problems(&with_sections("listen: 9001\nlog: [info]\nidentity_header: 1\nlimits: { cache_ttl: 300, cache_entries: many, cache_bytes: 1.5 }")), @"
    c.yaml:1:1: 'listen' must be a map, not a number
    c.yaml:2:1: 'log' must be a map, not a list
    c.yaml:3:1: 'identity_header' must be text: put it into quotes
    c.yaml:4:11: 'limits.cache_ttl' must be text such as 5m, not a number
    c.yaml:4:27: 'limits.cache_entries' must be a whole number, not text
    c.yaml:4:48: 'limits.cache_bytes' must be a whole number, not a fraction
    c.yaml:4:48: 'limits.cache_bytes' must be at least 65536
    ");
    assert_snapshot!(problems(&with_provider("audiences: api\nclients: [7]\nusername: sub\nmachine_clients: [ci]\nca_file: true")), @"
    c.yaml:3:5: 'providers[0].audiences' must be a list, not text
    c.yaml:4:15: 'providers[0].clients[0]' must be text: put it into quotes
    c.yaml:5:5: 'providers[0].username' must be a map, not text
    c.yaml:6:5: 'providers[0].machine_clients' must be a map, not a list
    c.yaml:7:5: 'providers[0].ca_file' must be text such as company-ca.pem, not true or false
    ");
    assert_snapshot!(problems("providers: {}\napplications: jira\n"), @"
    c.yaml:1:1: 'providers' must be a list, not a map
    c.yaml:2:1: 'applications' must be a list, not text
    ");
}

#[test]
fn a_share_is_a_number_from_0_to_1() {
    for share in ["0", "0.0", "0.1", "1", "1.0", "1e-3"] {
        let log = with_sections(&format!("log: {{ sample_allowed: {share} }}"));
        assert_eq!(problems(&log), "ok", "{share}");
    }
    assert_snapshot!(problems(&with_sections("log: { sample_allowed: 1.01 }")), @"c.yaml:1:8: 'log.sample_allowed' must be at most 1");
    assert_snapshot!(problems(&with_sections("log: { sample_allowed: -0.1 }")), @"c.yaml:1:8: 'log.sample_allowed' must be at least 0");
    assert_snapshot!(problems(&with_sections("log: { sample_allowed: 10% }")), @"c.yaml:1:8: 'log.sample_allowed' must be a number, not text");
    assert_snapshot!(problems(&with_sections("log: { sample_allowed: .nan }")), @"c.yaml:1:24: a number must be finite");
}

#[test]
fn yes_and_no_are_text_and_not_a_consent() {
    for word in ["yes", "no", "on", "off"] {
        let text = with_sections(&format!("outbound: {{ allow_loopback_http: {word} }}"));
        assert_eq!(
            problems(&text),
            format!(
                "c.yaml:1:13: 'outbound.allow_loopback_http' must be true or false; '{word}' is just text"
            )
        );
    }
    assert_snapshot!(problems(&with_provider("accept_unbound_tokens: \"true\"")), @"c.yaml:3:5: 'providers[0].accept_unbound_tokens' must be true or false, not text");
    assert_snapshot!(problems(&with_provider("accept_unbound_tokens: 1")), @"c.yaml:3:5: 'providers[0].accept_unbound_tokens' must be true or false, not a number");
}

#[test]
fn an_empty_value_is_refused_and_not_taken_for_the_default() {
    assert_snapshot!(problems(&with_sections("limits:\nlog: { level: }\nidentity_header: ~\nlisten: { grpc: null }")), @"
    c.yaml:1:1: 'limits' is empty: write a map, or leave the key out
    c.yaml:2:8: 'log.level' must be one of error, warn, info, debug, trace
    c.yaml:3:1: 'identity_header' is empty: write text, or leave the key out
    c.yaml:4:11: 'listen.grpc' is empty: write text such as 0.0.0.0:9001, or leave the key out
    ");
    assert_snapshot!(problems(&with_provider("audiences:\nclients: [~]\njwt:")), @"
    c.yaml:3:5: 'providers[0].audiences' is empty: write a list, or leave the key out
    c.yaml:4:15: 'providers[0].clients[0]' is empty: write text, or leave the key out
    c.yaml:5:5: 'providers[0].jwt' is empty: write a map, or leave the key out
    ");
}

#[test]
fn one_of_few_words_is_refused_with_the_words() {
    assert_snapshot!(problems(&with_sections("log: { level: loud, format: JSON }")), @"
    c.yaml:1:8: 'log.level' must be one of error, warn, info, debug, trace
    c.yaml:1:21: 'log.format' must be one of auto, json, human
    ");
    assert_snapshot!(problems(&format!("applications: [{{ name: a, product: bamboo }}]\n{PROVIDERS}")), @"c.yaml:1:27: 'applications[0].product' must be one of jira, confluence, bitbucket");
    assert_snapshot!(problems(&with_provider("jwt: { typ: JWT }")), @"c.yaml:3:12: 'providers[0].jwt.typ' must be one of at+jwt, legacy, id_token");
}

#[test]
fn no_algorithm_is_accepted_that_a_secret_or_nothing_could_satisfy() {
    for name in [
        "HS256", "HS384", "HS512", "none", "None", "RS1", "rs256", "ES256K", "ES512",
    ] {
        assert_eq!(
            problems(&with_provider(&format!(
                "jwt: {{ algorithms: [RS256, {name}] }}"
            ))),
            "c.yaml:3:32: 'providers[0].jwt.algorithms[1]' must be one of RS256, RS384, RS512, PS256, \
             PS384, PS512, ES256, ES384, EdDSA",
            "{name}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    assert_snapshot!(problems("
applications:
  - { name: a b, product: jira, providers: [nobody], hosts: ['a,b'] }
listen: { grpc: 'localhost:9001' }
providers:
  - { name: sso, preset: { keycloak: { url: http://sso.example, realm: a/b } } }
  - { name: sso, jwt: { leeway: 10m } }
"), @"
    c.yaml:3:7: 'name' must be 1 to 63 letters, digits, '-' or '_', not 'a b'
    c.yaml:3:45: a b: there is no provider 'nobody', only 'sso', 'sso'
    c.yaml:3:62: a b: 'a,b' in 'hosts': the host is ambiguous: write a plain host name such as jira-api.example.com
    c.yaml:4:11: 'listen.grpc' must be IP:PORT such as 0.0.0.0:9001, or unix:/path, not 'localhost:9001'
    c.yaml:6:5: sso: audiences is missing: a token for any application would be accepted
    c.yaml:6:40: sso: 'url' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)
    c.yaml:7:5: sso: audiences is missing: a token for any application would be accepted
    c.yaml:7:5: sso: 'username' is missing: which claim names the user? Write for example { claim: preferred_username }
    c.yaml:7:7: provider 'sso' is there twice
    c.yaml:7:18: sso: 'jwt.issuer' is missing: which 'iss' do its tokens have?
    c.yaml:7:25: 'providers[1].jwt.leeway' must be at most 2m, not 10m
    ");
}

#[test]
fn no_message_repeats_a_value_that_stands_where_a_secret_could_be() {
    let text = with_provider(
        "client_secret: hunter2\nclients: { a: hunter2 }\njwt: { typ: hunter2 }\nca_file: [hunter2]",
    );
    let problems = problems(&text);
    assert_eq!(problems.lines().count(), 4, "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn json_is_a_configuration_too() {
    let json = r#"{"providers": [{"name": "sso", "jwt": {"issuer": "https://idp.example"}, "audiences": ["api"],
        "username": {"claim": "sub"}}], "applications": [{"name": "jira", "product": "jira"}]}"#;
    assert_eq!(problems(json), "ok");
}

#[test]
fn a_problem_in_an_aliased_value_is_shown_where_it_is_used() {
    let text = "providers:\n  - { name: a, jwt: &jwt { issuer: 'http://idp.example' }, audiences: [x], username: { claim: sub } }\n  \
                - name: b\n    jwt: *jwt\n    audiences: [x]\n    username: { claim: sub }\n";
    assert_snapshot!(problems(&format!("{text}{APPLICATIONS}")), @"
    c.yaml:2:28: a: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)
    c.yaml:4:10: b: 'issuer' must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)
    ");
}

#[test]
fn listen_addresses_are_addresses() {
    let grpc =
        |address: &str| problems(&with_sections(&format!("listen: {{ grpc: '{address}' }}")));
    for good in [
        "0.0.0.0:9001",
        "[::]:9001",
        "127.0.0.1:0",
        "unix:/run/a.sock",
    ] {
        assert_eq!(grpc(good), "ok", "{good}");
    }
    for bad in [
        "",
        "9001",
        ":9001",
        "0.0.0.0",
        "localhost:9001",
        "0.0.0.0:99999",
        "unix:run/a.sock",
        "unix:",
        "http://0.0.0.0:9001",
    ] {
        assert_eq!(
            grpc(bad),
            format!(
                "c.yaml:1:11: 'listen.grpc' must be IP:PORT such as 0.0.0.0:9001, or unix:/path, not '{bad}'"
            )
        );
    }
    assert_snapshot!(problems(&with_sections("listen: { admin: 'unix:/run/admin.sock' }")), @"c.yaml:1:11: 'listen.admin' must be IP:PORT such as 127.0.0.1:9002, not 'unix:/run/admin.sock'");
    assert_snapshot!(problems(&with_sections("listen: { grpc: 0.0.0.0:9001, admin: 0.0.0.0:9001 }")), @"c.yaml:1:31: 'listen.admin' must be another address than 'listen.grpc'");
    assert_eq!(
        problems(&with_sections(
            "listen: { grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }"
        )),
        "ok"
    );
}

#[test]
fn durations_are_numbers_with_a_unit_within_their_limits() {
    for good in ["0s", "30s", "5m", "300s", "1m 30s", "250ms", "PT1M"] {
        assert_eq!(
            problems(&with_sections(&format!("limits: {{ cache_ttl: {good} }}"))),
            "ok",
            "{good}"
        );
    }
    for bad in [
        "",
        "30",
        "s",
        "-5s",
        "5x",
        "1mo",
        "5 parsecs",
        "five minutes",
        "1e9999s",
    ] {
        assert_eq!(
            problems(&with_sections(&format!("limits: {{ cache_ttl: '{bad}' }}"))),
            format!(
                "c.yaml:1:11: 'limits.cache_ttl' must be a duration such as 30s, 5m or 24h, not '{bad}'"
            )
        );
    }
    assert_snapshot!(problems(&with_sections("\
limits: { cache_ttl: 301s, check_timeout: 61s }
shutdown: { drain_delay: 61m, drain_timeout: 2h, max_connection_age: 25h }")), @"
    c.yaml:1:11: 'limits.cache_ttl' must be at most 5m, not 301s
    c.yaml:1:28: 'limits.check_timeout' must be at most 1m, not 61s
    c.yaml:2:13: 'shutdown.drain_delay' must be at most 1h, not 61m
    c.yaml:2:31: 'shutdown.drain_timeout' must be at most 1h, not 2h
    c.yaml:2:50: 'shutdown.max_connection_age' must be at most 24h, not 25h
    ");
    assert_snapshot!(problems(&with_sections("limits: { check_timeout: 19ms }\nshutdown: { max_connection_age: 0s }")), @"
    c.yaml:1:11: 'limits.check_timeout' must be at least 20ms, not 19ms
    c.yaml:2:13: 'shutdown.max_connection_age' must be at least 1s, not 0s
    ");
}

#[test]
fn limits_of_the_cache_are_numbers_within_their_limits() {
    assert_eq!(
        problems(&with_sections(
            "limits: { cache_entries: 1, cache_bytes: 65536 }"
        )),
        "ok"
    );
    assert_eq!(
        problems(&with_sections("limits: { cache_entries: 1e5 }")),
        "ok"
    );
    assert_snapshot!(problems(&with_sections("limits: { cache_entries: 0, cache_bytes: 65535 }")), @"
    c.yaml:1:11: 'limits.cache_entries' must be at least 1
    c.yaml:1:29: 'limits.cache_bytes' must be at least 65536
    ");
    assert_snapshot!(problems(&with_sections("limits: { cache_entries: 4294967296, cache_bytes: -1 }")), @"
    c.yaml:1:11: 'limits.cache_entries' must be at most 4294967295
    c.yaml:1:38: 'limits.cache_bytes' must be at least 65536
    ");
    assert_snapshot!(problems(&with_sections("limits: { cache_entries: .inf, cache_bytes: 1e300 }")), @"c.yaml:1:26: a number must be finite");
}

#[test]
fn a_header_with_a_meaning_of_its_own_cannot_carry_the_user() {
    for good in [
        "x-remote-user",
        "X-Remote-User",
        "remote_user",
        "x-jira-user",
    ] {
        assert_eq!(
            problems(&with_sections(&format!("identity_header: {good}"))),
            "ok",
            "{good}"
        );
    }
    for taken in [
        "Authorization",
        "cookie",
        "host",
        "x-envoy-original-path",
        "content-length",
        "connection",
        "te",
        "transfer-encoding",
        "proxy-authorization",
        "dpop",
        "x-http-method-override",
        "x-request-id",
    ] {
        assert_eq!(
            problems(&with_sections(&format!("identity_header: {taken}"))),
            format!(
                "c.yaml:1:1: 'identity_header' '{taken}' is a header with a meaning of its own"
            )
        );
    }
    for bad in [
        "",
        ":authority",
        "x remote user",
        "x-remote-user:",
        "x-rémote",
        "a\\r\\nb",
    ] {
        let text = with_sections(&format!("identity_header: \"{bad}\""));
        let message = problems(&text);
        assert!(
            message.ends_with("must be a header name: letters, digits and '-'"),
            "{message}"
        );
    }
    assert_snapshot!(problems(&with_sections("identity_header_aliases: [x-sso-user, Cookie]")), @"c.yaml:1:39: 'Cookie' in 'identity_header_aliases' is a header with a meaning of its own");
    assert_snapshot!(problems(&with_sections("identity_header_aliases:\n  - x sso user")), @"c.yaml:2:5: 'x sso user' in 'identity_header_aliases' must be a header name: letters, digits and '-'");
}
