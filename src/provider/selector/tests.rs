use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, tests::PausedClock},
    verify::{
        jws::tests::signed,
        keyring::Keyring,
        keys::{KeySet, tests::signing::shared_es256},
    },
};

const OURS: &str = "https://idp.example";
const REMOTE: &str = "https://graph.example";

fn provider(name: &str) -> Arc<Provider> {
    Arc::new(Provider::plain(name))
}

fn taken(prefixes: &[&str], issuers: &[&str], opaque: bool) -> Taken {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Taken {
        prefixes: owned(prefixes),
        issuers: owned(issuers),
        opaque,
    }
}

fn local(issuer: &str) -> Issuer {
    let keyring = Keyring::loaded(issuer, KeySet::default(), PausedClock.now());
    Issuer {
        provider: provider("local"),
        keyring: Arc::new(keyring),
        required: Arc::default(),
    }
}

/// Verifies tokens of one issuer here, and shows everything that nobody else takes to `rest`.
fn selector() -> Selector {
    let mut selector = Selector::new(7);
    selector.add_issuer(local(OURS));
    selector.add_remote(&provider("rest"), &taken(&[], &[], true));
    selector
}

fn found(selector: &Selector, token: &str) -> Result<String, NotSelected> {
    let token = BearerToken::from_b64token(token.as_bytes()).expect("a bearer token");
    Ok(match selector.select(token)? {
        Selected::Jwt { issuer, .. } => issuer.provider.name.to_string(),
        Selected::Remote(provider) => provider.name.to_string(),
    })
}

fn jwt(header: &Value, payload: &Value) -> String {
    signed(shared_es256(), header, payload)
}

fn jwt_of(issuer: &str) -> String {
    jwt(&json!({"alg": "ES256"}), &json!({ "iss": issuer }))
}

#[test]
fn an_issuer_is_compared_as_it_is_written() {
    let selector = selector();
    assert_eq!(found(&selector, &jwt_of(OURS)).as_deref(), Ok("local"));
    for other in [
        "https://idp.example/",
        "https://IDP.example",
        "https://idp.exampl",
        "",
    ] {
        let unknown = Err(NoProvider::UnknownIssuer.into());
        assert_eq!(found(&selector, &jwt_of(other)), unknown, "{other}");
    }
}

#[test]
fn a_jwt_is_never_taken_for_an_opaque_token() {
    let selector = selector();
    let without_issuer = jwt(&json!({"alg": "ES256"}), &json!({}));
    let refused = Err(Rejection::ClaimMissing("iss").into());
    assert_eq!(found(&selector, &without_issuer), refused);
    let refused_header = jwt(
        &json!({"alg": "ES256", "nonce": "x"}),
        &json!({"iss": OURS}),
    );
    let refused = Err(Rejection::HeaderMember("nonce").into());
    assert_eq!(found(&selector, &refused_header), refused);
}

#[test]
fn an_opaque_token_goes_to_the_provider_that_takes_what_is_left() {
    assert_eq!(found(&selector(), "opaque").as_deref(), Ok("rest"));
    let mut without = Selector::new(1);
    without.add_remote(&provider("a"), &taken(&["a_"], &[], false));
    assert_eq!(found(&without, "opaque"), Err(NoProvider::Opaque.into()));
}

#[test]
fn the_longest_prefix_decides_whoever_was_added_first() {
    for order in [["ab", "abc"], ["abc", "ab"]] {
        let mut selector = selector();
        for prefix in order {
            selector.add_remote(&provider(prefix), &taken(&[prefix], &[], false));
        }
        assert_eq!(found(&selector, "abcd").as_deref(), Ok("abc"), "{order:?}");
        assert_eq!(found(&selector, "abx").as_deref(), Ok("ab"), "{order:?}");
        assert_eq!(found(&selector, "a").as_deref(), Ok("rest"), "{order:?}");
    }
}

#[test]
fn a_known_products_token_is_shown_to_nobody_who_has_not_named_it() {
    let mut selector = selector();
    selector.add_remote(&provider("github"), &taken(&["gho_"], &[], false));
    assert_eq!(found(&selector, "gho_x").as_deref(), Ok("github"));
    for token in [
        "ghp_x",
        "github_pat_x",
        "glpat-x",
        "xoxb-x",
        "ya29.x",
        "ATATTx",
    ] {
        let nobody = Err(NoProvider::ForeignPrefix.into());
        assert_eq!(found(&selector, token), nobody, "{token}");
    }
    assert_eq!(found(&selector, "GHP_x").as_deref(), Ok("rest"));
}

#[test]
fn an_api_token_is_shown_to_no_provider() {
    let mut selector = selector();
    selector.add_remote(&provider("axt"), &taken(&["axt_"], &[], false));
    assert_eq!(found(&selector, "axt_x"), Err(NoProvider::OwnToken.into()));
}

#[test]
fn a_jwt_that_only_its_provider_understands_is_left_to_it() {
    let mut selector = selector();
    selector.add_remote(&provider("graph"), &taken(&[], &[REMOTE], false));
    // What we would refuse if it were ours to verify.
    let strange = jwt(
        &json!({"alg": "ES256", "nonce": "x"}),
        &json!({"iss": REMOTE}),
    );
    assert_eq!(found(&selector, &strange).as_deref(), Ok("graph"));
    assert_eq!(found(&selector, &jwt_of(OURS)).as_deref(), Ok("local"));
    let other = jwt_of("https://graph.example/");
    assert_eq!(
        found(&selector, &other),
        Err(NoProvider::UnknownIssuer.into())
    );
    let unreadable = format!("{}x", strange.split_once('.').expect("parts").0) + ".x.x";
    assert_eq!(
        found(&selector, &unreadable),
        Err(Rejection::MalformedJws.into())
    );
}

#[test]
fn a_list_of_providers_has_the_number_that_it_was_given() {
    assert_eq!(selector().id(), 7);
    assert_eq!(Selector::new(2).id(), 2);
}

#[test]
fn who_is_not_responsible_is_said_in_one_word() {
    for (nobody, word) in [
        (NoProvider::OwnToken, "api_tokens_disabled"),
        (NoProvider::ForeignPrefix, "foreign_token"),
        (NoProvider::Opaque, "no_provider_for_opaque_token"),
        (NoProvider::UnknownIssuer, "unknown_issuer"),
    ] {
        assert_eq!(nobody.reason(), word);
    }
}
