//! Where a provider would like to send us.

use serde_json::{Value, json};

use super::{Trap, assert_alice, assert_undecided, config_of, expect_error, fresh, unknown_kid};
use crate::support::{
    idp::{Answer, DISCOVERY, Idp, JWKS},
    keys::{other_rs256, shared_rs256},
    service::{Service, config_for},
};

const OTHER_ISSUER: &str = "the discovery document names another issuer than the configured one";
const NO_JWKS_URI: &str = "the discovery document has no usable jwks_uri";
const OTHER_HOST: &str =
    "jwks_uri is on a host that is not allowed: set jwt.jwks_uri, or add it to jwt.jwks_hosts";
const CANARY: &str = "canary-7f3a";

#[test]
fn redirects_are_never_followed() {
    let (idp, trap) = (Idp::start(), Trap::set("127.0.0.1:0"));
    let mut providers = Vec::new();
    for code in ["301", "302", "303", "307", "308"] {
        let location = format!("location: http://127.0.0.1:{}/{CANARY}", trap.port());
        let redirect = Answer::status(&format!("{code} Moved"), &[&location], "");
        let (keys, discovery) = (format!("keys-{code}"), format!("discovery-{code}"));
        idp.answer(&format!("/{keys}{JWKS}"), redirect.clone());
        idp.answer(&format!("/{discovery}{DISCOVERY}"), redirect);
        let issuer = |name: &str| format!("issuer: \"{}/{name}\"", idp.issuer);
        let jwks_uri = format!("jwks_uri: \"{}/{keys}{JWKS}\"", idp.issuer);
        providers.push((keys.clone(), format!("{}, {jwks_uri}", issuer(&keys))));
        providers.push((discovery.clone(), issuer(&discovery)));
    }
    let mut service = Service::with_config(&config_of(&providers));
    for (name, _) in &providers {
        let (_, code) = name.rsplit_once('-').expect("a code");
        let error =
            format!("the server answered with a redirect ({code}), which is never followed");
        expect_error(&service, name, &error);
        let token = fresh(&format!("{}/{name}", idp.issuer)).signed();
        assert_undecided(&service.check_token(&token), name);
        let metric = format!(
            "atlassian_authz_provider_fetches_total{{provider=\"{name}\",issuer=\"{}/{name}\",outcome=\"redirect\"}} ",
            idp.issuer
        );
        assert!(service.metric(&metric) >= 1.0, "{name}");
    }
    trap.assert_untouched();
    assert!(!service.log().contains(CANARY));
}

/// A provider's name, a discovery document that lies, and how it must be refused. `{issuer}` stands
/// for the right issuer, `{trap}` for a port where nobody may call.
type Lie = (&'static str, Value, &'static str);

fn lies_about_addresses() -> Vec<Lie> {
    [
        ("address", "http://127.0.0.2:{trap}/{canary}", OTHER_HOST),
        ("name", "http://localhost:{trap}/{canary}", OTHER_HOST),
        ("suffix", "https://127.0.0.1.{canary}.example/", OTHER_HOST),
        ("https", "https://{canary}.example/jwks", OTHER_HOST),
        ("http", "http://{canary}.example/jwks", NO_JWKS_URI),
        ("metadata", "http://169.254.169.254/latest", NO_JWKS_URI),
        ("metadata-tls", "https://169.254.169.254/", NO_JWKS_URI),
        (
            "metadata-six",
            "https://[::ffff:169.254.169.254]/",
            NO_JWKS_URI,
        ),
        ("unspecified", "http://0.0.0.0:{trap}/", NO_JWKS_URI),
        (
            "password",
            "http://u:{canary}@127.0.0.1:{trap}/",
            NO_JWKS_URI,
        ),
        ("user", "http://{canary}@127.0.0.1:{trap}/", NO_JWKS_URI),
        ("fragment", "http://127.0.0.1:{trap}/#{canary}", NO_JWKS_URI),
        ("relative", "//127.0.0.1:{trap}/{canary}", NO_JWKS_URI),
        ("file", "file:///etc/passwd", NO_JWKS_URI),
        ("unix", "unix:/var/run/docker.sock", NO_JWKS_URI),
    ]
    .map(|(name, address, error)| {
        let document = json!({"issuer": "{issuer}", "jwks_uri": address});
        (name, document, error)
    })
    .to_vec()
}

fn lies_about_the_issuer() -> Vec<Lie> {
    let own = json!("{issuer}/jwks");
    vec![
        (
            "list",
            json!({"issuer": "{issuer}", "jwks_uri": [own]}),
            NO_JWKS_URI,
        ),
        (
            "none",
            json!({"issuer": "{issuer}", "jwks_uri": null}),
            NO_JWKS_URI,
        ),
        ("missing", json!({"issuer": "{issuer}"}), NO_JWKS_URI),
        (
            "issuer",
            json!({"issuer": "https://{canary}", "jwks_uri": own}),
            OTHER_ISSUER,
        ),
        (
            "slash",
            json!({"issuer": "{issuer}/", "jwks_uri": own}),
            OTHER_ISSUER,
        ),
        (
            "issuers",
            json!({"issuer": ["{issuer}"], "jwks_uri": own}),
            OTHER_ISSUER,
        ),
        ("nameless", json!({"jwks_uri": own}), OTHER_ISSUER),
        (
            "array",
            json!([own]),
            "the discovery document is refused: it is not an object",
        ),
    ]
}

#[test]
fn a_discovery_document_cannot_lead_us_astray() {
    let (idp, trap) = (Idp::start(), Trap::set("127.0.0.1:0"));
    let elsewhere = Trap::set(&format!("127.0.0.2:{}", trap.port()));
    let lies = [lies_about_addresses(), lies_about_the_issuer()].concat();
    let port = trap.port().to_string();
    let mut providers = Vec::new();
    for (name, document, _) in &lies {
        let issuer = format!("{}/{name}", idp.issuer);
        let document = document.to_string().replace("{issuer}", &issuer);
        let document = document
            .replace("{trap}", &port)
            .replace("{canary}", CANARY);
        idp.answer(&format!("/{name}{DISCOVERY}"), Answer::Json(document));
        providers.push(((*name).to_owned(), format!("issuer: \"{issuer}\"")));
    }
    let mut service = Service::with_config(&config_of(&providers));
    for (name, _, error) in &lies {
        expect_error(&service, name, error);
        let token = fresh(&format!("{}/{name}", idp.issuer)).signed();
        assert_undecided(&service.check_token(&token), name);
        assert_eq!(idp.count(&format!("/{name}{JWKS}")), 0, "{name}");
    }
    trap.assert_untouched();
    elsewhere.assert_untouched();
    let pages = [
        service.admin_page("/statusz").1,
        service.admin_page("/metrics").1,
    ];
    for text in pages.iter().chain([&service.log()]) {
        assert!(
            !text.contains(CANARY) && !text.contains("169.254"),
            "{text}"
        );
    }
}

#[test]
fn a_name_that_resolves_to_loopback_is_not_called_unless_loopback_is_allowed() {
    let trap = Trap::set("127.0.0.1:0");
    let port = trap.port();
    let issuer = format!("https://localhost:{port}");
    let fixed = format!("issuer: \"https://idp.example\", jwks_uri: \"{issuer}/jwks\"");
    let providers = [
        ("discovered".to_owned(), format!("issuer: \"{issuer}\"")),
        ("fixed".to_owned(), fixed),
    ];
    let config = config_of(&providers) + "outbound: { allow_loopback_http: false }\n";
    let mut service = Service::with_config(&config);
    let refused =
        "the address is not allowed (loopback, link-local or metadata address, or not https)";
    for (name, _) in &providers {
        expect_error(&service, name, refused);
    }
    assert_undecided(&service.check_token(&fresh(&issuer).signed()), "discovered");
    trap.assert_untouched();
}

#[test]
fn keys_found_before_discovery_began_to_lie_stay_in_use() {
    let idp = Idp::start();
    let mut service = Service::with_config(&config_for(&idp));
    assert_alice(&service.check_token(&fresh(&idp.issuer).signed()), "before");
    let lie = json!({"issuer": "https://evil.example", "jwks_uri": format!("{}/evil", idp.issuer)});
    idp.answer(DISCOVERY, Answer::Json(lie.to_string()));
    idp.publish(&[("k1", shared_rs256()), ("k2", other_rs256())]);
    let new = fresh(&idp.issuer).header("kid", "k2");
    // The address of the keys is still believed, what the liar says is not asked for.
    assert_ne!(service.check_token(&unknown_kid(&idp.issuer)).status, 200);
    assert_alice(&service.check_token(&fresh(&idp.issuer).signed()), "after");
    assert_alice(
        &service.check_token(&new.signed_by(other_rs256())),
        "a new key",
    );
    assert_eq!(idp.count("/evil"), 0);
}
