//! The payload of a signed token, under the rules of every provider: whom it makes a user.

use std::sync::LazyLock;

use atlassian_authz::{
    config::{Config, JudgeConfig, ProviderConfig},
    verify::{
        Rejection, Verified, Voucher,
        algorithm::Algorithm,
        claims::{ClaimRules, Claims},
        jws::UnverifiedJws,
        keys::{Candidates, KeySet, VerifyingKey},
        strict_json::{self, Limits},
    },
};
use std::sync::Arc;

use super::introspection::now;
use crate::{
    recipe,
    reference::{
        Broken, Ruling,
        claims::{self, Rules},
        json::{self, DOCUMENT, Json, TOKEN},
        username::{self, Naming},
    },
    tally,
    world::{self, KEY_SETS, NOW},
};

const TARGET: &str = "claims";

static CONFIG: LazyLock<Config> = LazyLock::new(world::config);
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let [.., (_, document)] = &*KEY_SETS;
    KeySet::parse(document.as_bytes()).expect("a key set")
});

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    is_the_same_json(data);
    for (at, (rules, naming)) in [
        (world::rs_rules(), username::PLAIN),
        (world::es_rules(), world::es_naming()),
        (world::ed_rules(), world::ed_naming()),
        (world::id_rules(), world::id_naming()),
    ]
    .iter()
    .enumerate()
    {
        let mut broken = Broken::default();
        let theirs = user(data, rules, naming, &mut broken);
        tally::compare(
            TARGET,
            named_by_us(data, &CONFIG.providers[at]),
            theirs,
            &broken,
        );
    }
}

fn is_the_same_json(data: &[u8]) {
    for (ours, theirs) in [(Limits::TOKEN, TOKEN), (Limits::DOCUMENT, DOCUMENT)] {
        let mut broken = Broken::default();
        let theirs = json::object(data, theirs, &mut broken);
        let ours = strict_json::parse_object(data, ours).map(|members| {
            let written = serde_json::to_vec(&members).expect("JSON");
            json::parse(&written).expect("JSON").normal()
        });
        tally::compare(
            "JSON",
            ours,
            theirs.map(|members| Json::Object(members).normal()),
            &broken,
        );
    }
}

fn user(data: &[u8], rules: &Rules, naming: &Naming, broken: &mut Broken) -> Ruling<String> {
    let claims = json::object(data, TOKEN, broken)?;
    let facts = claims::judge(&claims, rules, NOW, broken)?;
    username::of(&claims, &facts, naming)
}

/// Claims come out of a signature that is right, and out of nothing else.
fn signed(data: &[u8]) -> Result<(Claims, Arc<VerifyingKey>), Rejection> {
    let header = br#"{"alg":"EdDSA","kid":"ed-1"}"#;
    let token = recipe::token(&[b"@ed ", &header[..], b"|", data].concat());
    let token = std::str::from_utf8(&token).map_err(|_| Rejection::MalformedJws)?;
    let jws = UnverifiedJws::parse(token)?.ok_or(Rejection::MalformedJws)?;
    let Candidates::Keys(keys) = KEYS.select(Some("ed-1"), Algorithm::EdDSA) else {
        panic!("the key is there");
    };
    jws.verify(Algorithm::EdDSA, &keys)
}

fn named_by_us(data: &[u8], provider: &ProviderConfig) -> Result<String, String> {
    let (claims, key) = signed(data).map_err(|why| why.to_string())?;
    let JudgeConfig::Jwt { verifier, .. } = &provider.judge else {
        panic!("a provider of JWTs");
    };
    named(claims, Voucher::Key(key), &verifier.rules, provider)
}

/// Steps 6 and 7 of the walk, from claims that somebody vouches for to a name.
pub fn named(
    claims: Claims,
    voucher: Voucher,
    rules: &ClaimRules,
    provider: &ProviderConfig,
) -> Result<String, String> {
    let facts = rules.check(&claims, now()).map_err(|why| why.to_string())?;
    let verified = Verified {
        claims,
        facts,
        voucher,
    };
    let name = provider
        .mapping
        .username(&verified)
        .map_err(|why| why.to_string())?;
    Ok(name.to_string())
}
