//! The text of a JWT and its signature, with keys of every kind: a recipe or a token as it stands.

use atlassian_authz::verify::{
    Rejection,
    jws::UnverifiedJws,
    keys::{Candidates, KeySet},
};

use crate::{
    recipe,
    reference::{
        Broken, Ruling,
        json::{self, Json},
        jwks, jws,
    },
    tally,
    world::KEY_SETS,
};

const TARGET: &str = "jws";

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let token = recipe::token(data);
    let Ok(token) = std::str::from_utf8(&token) else {
        return;
    };
    has_one_kind(token);
    for (_, keys) in &*KEY_SETS {
        let mut broken = Broken::default();
        let theirs = verified(token, keys, &mut broken);
        tally::compare(TARGET, verified_by_us(token, keys), theirs, &broken);
    }
}

/// What is no JWS may be shown to a provider that takes opaque tokens; what is one, or would be, never.
fn has_one_kind(token: &str) {
    let ours = UnverifiedJws::parse(token);
    let theirs = jws::read(token, &mut Broken::default());
    let opaque = matches!(theirs, Ok(None));
    assert_eq!(
        matches!(ours, Ok(None)),
        opaque,
        "a JWS to one and opaque to the other"
    );
    if let (Ok(Some(ours)), Ok(Some(theirs))) = (&ours, &theirs) {
        assert_eq!(ours.header().key_id, theirs.key_id, "two kids");
        assert_eq!(ours.header().typ, theirs.typ, "two types");
        assert_eq!(
            ours.unverified_issuer().ok(),
            theirs.issuer().ok(),
            "two issuers"
        );
    }
}

/// The payload.
fn verified_by_us(token: &str, keys: &str) -> Result<Json, Rejection> {
    let jws = UnverifiedJws::parse(token)?.ok_or(Rejection::MalformedJws)?;
    let algorithm = jws.header().algorithm?;
    let keys = KeySet::parse(keys.as_bytes()).expect("a key set");
    let Candidates::Keys(keys) = keys.select(jws.header().key_id.as_deref(), algorithm) else {
        return Err(Rejection::UnknownKey);
    };
    let (claims, _) = jws.verify(algorithm, &keys)?;
    let written = serde_json::to_vec(&claims.members()).expect("JSON");
    Ok(json::parse(&written).expect("JSON").normal())
}

fn verified(token: &str, keys: &str, broken: &mut Broken) -> Ruling<Json> {
    let jws = jws::read(token, broken)?.ok_or("no JWS")?;
    let keys = jwks::read(keys.as_bytes(), &mut Broken::default())?;
    jwks::verify(&keys, &jws, broken)?;
    Ok(Json::Object(jws.payload).normal())
}
