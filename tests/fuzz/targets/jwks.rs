//! A key set: which keys are used, and for what. Words in it such as `$RS.n` stand for the keys of this run.

use atlassian_authz::verify::{
    Rejection,
    jws::UnverifiedJws,
    keys::{Candidates, KeySet},
};
use std::sync::LazyLock;

use crate::{
    recipe::{self, ED, ES, RS},
    reference::{
        Broken, Ruling,
        jwks::{self, Key},
        jws,
    },
    tally,
};

const TARGET: &str = "jwks";
const ISSUER: &str = "https://rs.test";

/// Tokens that the keys of this run have signed, with and without a `kid`.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let algorithms = [
        ("rs", "RS256"),
        ("ps", "PS256"),
        ("rs512", "RS512"),
        ("es", "ES256"),
        ("ed", "EdDSA"),
        ("ed", "Ed25519"),
        ("stranger", "ES256"),
    ];
    let kids = ["", r#","kid":"k1""#, r#","kid":"k2""#, r#","x5t":"k1""#];
    let recipes = algorithms.iter().flat_map(|(seal, algorithm)| {
        kids.map(|kid| format!(r#"@{seal} {{"alg":"{algorithm}"{kid}}}|{{"iss":"{ISSUER}"}}"#))
    });
    let token = |recipe: String| String::from_utf8(recipe::token(recipe.as_bytes()));
    recipes.map(|recipe| token(recipe).expect("text")).collect()
});

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let document = with_keys(data);
    let mut broken = Broken::default();
    let theirs = jwks::read(&document, &mut broken);
    let ours = KeySet::parse(&document);
    let count = |keys: &Vec<Key>| keys.len();
    tally::compare(
        TARGET,
        ours.as_ref().map(KeySet::len),
        theirs.as_ref().map(count).map_err(|why| *why),
        &broken,
    );
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        return;
    };
    serves_alike(&ours, &theirs);
    let theirs = jwks::of_issuer(theirs, ISSUER);
    let ours = ours.of_issuer(ISSUER);
    assert_eq!(ours.len(), theirs.len(), "another issuer's keys");
    serves_alike(&ours, &theirs);
}

fn serves_alike(ours: &KeySet, theirs: &[Key]) {
    for token in &*TOKENS {
        let mut broken = Broken::default();
        let theirs = verified(token, theirs, &mut broken);
        tally::compare("keys", verified_by_us(token, ours), theirs, &broken);
    }
}

fn verified_by_us(token: &str, keys: &KeySet) -> Result<(), Rejection> {
    let jws = UnverifiedJws::parse(token)?.ok_or(Rejection::MalformedJws)?;
    let algorithm = jws.header().algorithm?;
    match keys.select(jws.header().key_id.as_deref(), algorithm) {
        Candidates::Keys(keys) => jws.verify(algorithm, &keys).map(drop),
        Candidates::WrongAlgorithm => Err(Rejection::KeyMismatch),
        Candidates::Unknown => Err(Rejection::UnknownKey),
    }
}

fn verified(token: &str, keys: &[Key], broken: &mut Broken) -> Ruling<()> {
    let jws = jws::read(token, broken)?.ok_or("no JWS")?;
    jwks::verify(keys, &jws, broken)
}

/// Public keys are made anew by every run, so a document names their members.
fn with_keys(data: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(data) else {
        return data.to_vec();
    };
    let mut text = text.to_owned();
    for (name, key) in [("RS", &*RS), ("ES", &*ES), ("ED", &*ED)] {
        let jwk = key.jwk("");
        for member in ["n", "x", "y"] {
            if let Some(value) = jwk[member].as_str() {
                text = text.replace(&format!("${name}.{member}"), value);
            }
        }
    }
    text.into_bytes()
}
