use serde_json::{Value, json};

use super::{Expansion, Generic, Presets};
use crate::{
    config::schema::{BoundBy, Tokens},
    outbound::UrlPolicy,
};

const STRICT: UrlPolicy = UrlPolicy {
    allow_loopback_http: false,
};
const GUID: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";

/// Each preset with what it needs.
fn samples() -> Value {
    let secret = json!({"file": "secret"});
    json!({
        "adfs": {"host": "adfs.example.com"},
        "auth0": {"domain": "acme.eu.auth0.com"},
        "cognito": {"user_pool_id": "eu-west-1_aBcDeFgHi"},
        "entra": {"tenant_id": GUID},
        "entra_graph": {"tenant_id": GUID},
        "facebook": {"app_id": "1384", "app_secret": secret},
        "github": {"client_id": "Iv1.8a61", "client_secret": secret},
        "gitlab": {},
        "google": {},
        "google_id_token": {},
        "keycloak": {"url": "https://sso.example.com", "realm": "acme"},
        "keycloak_introspection": {"url": "https://sso.example.com", "realm": "acme", "client_id": "g", "client_secret": secret},
        "okta": {"domain": "acme.okta.com", "authorization_server": "aus1"},
        "okta_org": {"domain": "acme.okta.com", "client_id": "g", "client_secret": secret},
        "pingfederate": {"url": "https://sso.example.com", "client_id": "g", "client_secret": secret},
        "pingone": {"environment_id": GUID},
        "slack": {"team_id": "T0R7GR"},
        "slack_id_token": {"team_id": "T0R7GR"},
        "zitadel": {"url": "https://acme.zitadel.cloud", "client_id": "g", "client_secret": secret},
    })
}

fn expand(name: &str, members: &Value) -> Result<Expansion, (&'static str, String)> {
    let presets: Presets = serde_json::from_value(json!({ name: members })).expect("members");
    let chosen = presets.chosen();
    let [(_, preset)] = chosen.as_slice() else {
        panic!("one preset")
    };
    preset.expand(STRICT)
}

fn all() -> Vec<(&'static str, Expansion)> {
    let samples = samples();
    let expanded = |name: &&'static str| {
        let expansion = expand(name, &samples[name]);
        (
            *name,
            expansion.unwrap_or_else(|error| panic!("{name}: {error:?}")),
        )
    };
    Presets::NAMES.iter().map(expanded).collect()
}

#[test]
fn what_is_listed_of_a_preset_is_what_it_expands_to() {
    for ((name, expansion), about) in all().into_iter().zip(Presets::ABOUT) {
        assert_eq!(about.mode, expansion.generic.mode(), "{name}");
        let claim = expansion
            .username
            .map_or_else(|_| "-".to_owned(), |username| username.claim);
        assert_eq!(about.username, claim, "{name}");
        let bound_by = match &expansion.generic {
            Generic::Jwt(jwt) => jwt.bound_by,
            Generic::Introspection(form) => form.bound_by,
            Generic::HttpCheck(form) => form.bound_by,
        };
        let word = match bound_by {
            _ if expansion.unbound.is_some() => "none",
            BoundBy::Audience => "audience",
            BoundBy::Client => "client",
            BoundBy::Server => "server",
        };
        assert!(about.binding.starts_with(word), "{name}: {}", about.binding);
    }
}

#[test]
fn no_preset_names_a_user_by_a_claim_that_is_not_stable() {
    for (name, expansion) in all() {
        if let Ok(username) = &expansion.username {
            let mut unstable = expansion.unstable.iter();
            assert!(
                unstable.all(|unstable| unstable.claim != username.claim),
                "{name}"
            );
        }
    }
}

/// Otherwise two of them could not serve one application.
#[test]
fn presets_of_different_products_take_different_tokens() {
    let taken: Vec<(&str, Tokens)> = all()
        .into_iter()
        .filter_map(|(name, expansion)| match expansion.generic {
            Generic::Jwt(_) => None,
            Generic::Introspection(form) => Some((name, form.tokens)),
            Generic::HttpCheck(form) => Some((name, form.tokens)),
        })
        .collect();
    for (one, tokens) in &taken {
        for (other, others) in taken.iter().filter(|(other, _)| other != one) {
            let clash = tokens.prefixes.iter().any(|prefix| {
                let others = others.prefixes.iter();
                others.clone().any(|other| other.starts_with(prefix))
            });
            assert!(!clash, "{one} and {other}");
        }
    }
}

#[test]
fn a_value_that_would_lead_elsewhere_is_refused_with_its_member() {
    for (name, member, value) in [
        ("adfs", "host", json!("https://adfs.example.com")),
        ("adfs", "host", json!("adfs.example.com/x")),
        ("adfs", "host", json!("adfs")),
        ("auth0", "domain", json!("acme.auth0.com@evil.example")),
        ("cognito", "user_pool_id", json!("eu-west-1")),
        ("cognito", "user_pool_id", json!("evil.example/_a")),
        ("cognito", "user_pool_id", json!("eu-west-1_../x")),
        ("entra", "tenant_id", json!("common")),
        ("entra", "tenant_id", json!("contoso.com")),
        (
            "entra",
            "tenant_id",
            json!("9188040D-6c67-4c5b-b112-36a304b66dad"),
        ),
        ("entra", "app_id", json!("x&y")),
        ("entra_graph", "tenant_id", json!("organizations")),
        ("entra_graph", "graph_url", json!("http://graph.example")),
        ("facebook", "app_id", json!("1/..")),
        ("github", "client_id", json!("../user")),
        ("github", "url", json!("https://user:pass@github.example")),
        ("gitlab", "url", json!("https://gitlab.example?x=1")),
        ("gitlab", "url", json!("https://127.0.0.1")),
        ("google", "hosted_domain", json!("Corp.example")),
        ("keycloak", "realm", json!("a/b")),
        ("keycloak", "url", json!("sso.example.com")),
        ("okta", "authorization_server", json!("../oauth2")),
        ("okta", "domain", json!("acme.okta.com:8443")),
        ("okta_org", "domain", json!(".okta.com")),
        ("pingone", "environment_id", json!("abc")),
        ("slack", "team_id", json!("")),
        ("zitadel", "url", json!("ftp://x")),
    ] {
        let mut members = samples()[name].clone();
        members[member] = value.clone();
        let error = expand(name, &members).map(|_| ()).expect_err("refused");
        assert_eq!(error.0, member, "{name} {value}: {}", error.1);
    }
}

#[test]
fn several_tenants_are_several_pairs_of_issuers_each_bound_to_its_own() {
    let other = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    let expansion = expand("entra", &json!({"tenants": [GUID, other]})).expect("expands");
    let Generic::Jwt(jwt) = expansion.generic else {
        panic!("JWTs")
    };
    assert_eq!(jwt.issuers.len(), 4);
    for issuer in &jwt.issuers {
        let tenant = &issuer.required_claims["tid"];
        assert!(issuer.issuer.contains(tenant), "{issuer:?}");
        assert!(
            issuer
                .jwks_uri
                .as_ref()
                .is_some_and(|keys| keys.contains(tenant))
        );
    }
    for wrong in [json!({}), json!({"tenant_id": GUID, "tenants": [other]})] {
        let error = expand("entra", &wrong).map(|_| ()).expect_err("refused");
        assert_eq!(error.0, "tenant_id");
    }
    let own_keys = expand("entra", &json!({"tenant_id": GUID, "app_id": other})).expect("expands");
    let Generic::Jwt(jwt) = own_keys.generic else {
        panic!("JWTs")
    };
    let keys = jwt.issuers[0].jwks_uri.clone().unwrap_or_default();
    assert!(keys.ends_with(&format!("/keys?appid={other}")), "{keys}");
}

#[test]
fn the_shared_server_of_okta_needs_a_list_of_clients() {
    let of = |server: &str| {
        let members = json!({"domain": "acme.okta.com", "authorization_server": server});
        expand("okta", &members).expect("expands").clients_required
    };
    assert!(of("default").is_some());
    assert!(of("aus1").is_none());
}
