use serde_json::json;

use super::*;
use crate::{
    identity::{Groups, KeptClaims, MappingError, Username, UsernamePolicy},
    verify::{
        Rejection, Unavailable,
        algorithm::Algorithm,
        keys::{Candidates, KeySet, VerifyingKey},
    },
};

const NOW: i64 = 1_790_000_100;
const LIMITS: CacheLimits = CacheLimits {
    ttl: Duration::from_mins(5),
    entries: 1000,
    bytes: 1_000_000,
};

/// Two clocks that a test moves apart.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant can only be made by reading the clock"
)]
fn now() -> Now {
    Now {
        unix_seconds: NOW,
        instant: Instant::now(),
    }
}

fn later(now: Now, wall: i64, monotonic: u64) -> Now {
    Now {
        unix_seconds: now.unix_seconds + wall,
        instant: now.instant + Duration::from_secs(monotonic),
    }
}

fn cache(limits: CacheLimits) -> TokenCache {
    TokenCache::new(&[7; 32], limits)
}

fn key(cache: &TokenCache, token: &str) -> TokenKey {
    let token =
        BearerToken::from_b64token(token.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    cache.key(token, &Selector::new(0))
}

fn token(number: u32) -> String {
    format!("token-{number}")
}

fn key_set() -> KeySet {
    // RFC 8037 appendix A.2.
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a key set")
}

fn signing_key(set: &KeySet) -> Arc<VerifyingKey> {
    match set.select(Some("k1"), Algorithm::EdDSA) {
        Candidates::Keys(keys) => Arc::clone(&keys[0]),
        other @ (Candidates::WrongAlgorithm | Candidates::Unknown) => panic!("{other:?}"),
    }
}

fn provider() -> Arc<Provider> {
    Arc::new(Provider::plain("idp"))
}

/// An identity that ends so many seconds after [`NOW`].
fn identity(key: &Arc<VerifyingKey>, life: i64, scope_bytes: usize) -> Arc<Identity> {
    Arc::new(Identity {
        username: Username::parse("alice", &UsernamePolicy::default()).expect("a name"),
        provider: "idp".into(),
        client: None,
        scopes: vec!["s".repeat(scope_bytes)],
        valid_until: NOW + life,
        voucher: Voucher::Key(Arc::clone(key)),
        groups: Groups::Unknown,
        claims: KeptClaims::default(),
    })
}

fn hit(cache: &TokenCache, key: TokenKey, now: Now) -> Option<bool> {
    cache
        .get(key, now)
        .map(|remembered| remembered.outcome.is_ok())
}

#[test]
fn an_identity_ends_with_its_token_and_with_the_time_to_live() {
    let signer = signing_key(&key_set());
    let start = now();
    for (life, good_until) in [(60, 60), (3600, 300)] {
        let cache = cache(LIMITS);
        let key = key(&cache, "a");
        cache.remember(
            key,
            &Ok((identity(&signer, life, 0), provider())),
            None,
            start,
        );
        let at = |seconds: u64| later(start, i64::try_from(seconds).unwrap(), seconds);
        assert_eq!(hit(&cache, key, at(good_until - 1)), Some(true));
        assert_eq!(hit(&cache, key, at(good_until)), None);
        assert_eq!(hit(&cache, key, start), None, "it does not come back");
    }
}

#[test]
fn a_jump_of_the_wall_clock_prolongs_nothing() {
    let signer = signing_key(&key_set());
    let start = now();
    for (wall, monotonic, good) in [
        (-3600, 59, Some(true)),
        (-3600, 60, None),
        (-1_000_000, 60, None),
        (3600, 1, None),
        (59, 1, Some(true)),
        (60, 1, None),
        (i64::MIN, 1, Some(true)),
        (i64::MAX, 1, None),
    ] {
        let cache = cache(LIMITS);
        let key = key(&cache, "a");
        cache.remember(
            key,
            &Ok((identity(&signer, 60, 0), provider())),
            None,
            start,
        );
        let now = Now {
            unix_seconds: NOW.saturating_add(wall),
            ..later(start, 0, monotonic)
        };
        assert_eq!(hit(&cache, key, now), good, "wall {wall}, real {monotonic}");
    }
}

#[test]
fn an_identity_ends_when_its_key_is_withdrawn() {
    let set = key_set();
    let signer = signing_key(&set);
    let (cache, start) = (cache(LIMITS), now());
    let key = key(&cache, "a");
    cache.remember(
        key,
        &Ok((identity(&signer, 60, 0), provider())),
        None,
        start,
    );
    assert_eq!(hit(&cache, key, start), Some(true));
    let _empty = KeySet::default().succeed(&set);
    assert_eq!(hit(&cache, key, start), None);
}

#[test]
fn an_answer_is_asked_for_again_once_shortly_before_it_is_too_old() {
    let signer = signing_key(&key_set());
    let start = now();
    // Four fifths of the time for which it is believed, and of the time to live at most.
    for (believed, due, good_until) in [(100, 80, 100), (1000, 240, 300)] {
        let cache = cache(LIMITS);
        let key = key(&cache, "a");
        let answered = Identity {
            voucher: Voucher::Answer(Duration::from_secs(believed)),
            ..(*identity(&signer, 3600, 0)).clone()
        };
        let known = (Arc::new(answered), provider());
        cache.remember(key, &Ok(known), None, start);
        let is_due = |seconds: u64| {
            let remembered = cache.get(key, later(start, 0, seconds));
            remembered.map(|remembered| remembered.is_due)
        };
        assert_eq!(is_due(due - 1), Some(false));
        assert_eq!(is_due(due), Some(true));
        assert_eq!(is_due(due), Some(false), "somebody asks already");
        assert_eq!(is_due(good_until - 1), Some(false));
        assert_eq!(is_due(good_until), None);
    }
}

#[test]
fn a_signature_is_not_asked_for_again() {
    let signer = signing_key(&key_set());
    let (cache, start) = (cache(LIMITS), now());
    let key = key(&cache, "a");
    let known = (identity(&signer, 3600, 0), provider());
    cache.remember(key, &Ok(known), None, start);
    let remembered = cache.get(key, later(start, 299, 299));
    assert!(!remembered.expect("it is still good").is_due);
}

#[test]
fn what_a_moment_could_change_is_not_remembered() {
    let (cache, start) = (cache(LIMITS), now());
    for (number, denial) in [
        Denial::from(Rejection::NotYetValid("nbf")),
        Rejection::UnknownKey.into(),
        Rejection::LifetimeTooLong.into(),
        Unavailable::NoKeys.into(),
        Unavailable::StaleKeys.into(),
        Unavailable::NoRefresh.into(),
        Unavailable::Overloaded.into(),
        Unavailable::Deadline.into(),
        Unavailable::Internal.into(),
        Denial::NoCredential,
    ]
    .into_iter()
    .enumerate()
    {
        let key = key(&cache, &format!("{number}"));
        let reason = denial.reason();
        cache.remember(key, &Err(denial), None, start);
        assert_eq!(hit(&cache, key, start), None, "{reason}");
    }
}

#[test]
fn a_definite_refusal_is_remembered_for_five_seconds_of_real_time() {
    let (cache, start) = (cache(LIMITS), now());
    for denial in [
        Denial::from(Rejection::BadSignature),
        Rejection::Expired.into(),
        MappingError::ClaimMissing.into(),
    ] {
        let key = key(&cache, denial.reason());
        cache.remember(key, &Err(denial), None, start);
        assert_eq!(hit(&cache, key, later(start, 0, 4)), Some(false));
        assert_eq!(hit(&cache, key, later(start, -3600, 5)), None);
    }
}

#[test]
fn a_flood_of_refused_tokens_evicts_no_identity_and_is_bounded() {
    let signer = signing_key(&key_set());
    let (cache, start) = (cache(LIMITS), now());
    let good: Vec<_> = (0..100).map(|number| key(&cache, &token(number))).collect();
    for key in &good {
        cache.remember(
            *key,
            &Ok((identity(&signer, 60, 0), provider())),
            None,
            start,
        );
    }
    for number in 1000..31_000 {
        let key = key(&cache, &token(number));
        cache.remember(key, &Err(Rejection::BadSignature.into()), None, start);
    }
    cache.refused.run_pending_tasks();
    cache.verified.run_pending_tasks();
    assert!(cache.sizes().refused <= REFUSED_ENTRIES);
    assert!(cache.sizes().refused > 0);
    for key in good {
        assert_eq!(hit(&cache, key, start), Some(true));
    }
}

#[test]
fn identities_are_bounded_in_number_and_in_bytes() {
    let signer = signing_key(&key_set());
    let provider = provider();
    // Small identities meet the bound on their number, large ones the bound on their bytes.
    for (scope_bytes, most) in [(0, LIMITS.entries), (10_000, 100)] {
        let (cache, start) = (cache(LIMITS), now());
        for number in 0..5000 {
            let known = (identity(&signer, 60, scope_bytes), Arc::clone(&provider));
            cache.remember(key(&cache, &token(number)), &Ok(known), None, start);
        }
        cache.verified.run_pending_tasks();
        let sizes = cache.sizes();
        assert!(
            sizes.identities <= u64::from(most),
            "{scope_bytes} {sizes:?}"
        );
        assert!(sizes.identities >= u64::from(most) / 2, "{sizes:?}");
        assert!(sizes.bytes <= LIMITS.bytes, "{sizes:?}");
    }
}

#[test]
fn identities_that_are_gone_take_their_memory_with_them() {
    let signer = signing_key(&key_set());
    let provider = provider();
    let before = Arc::strong_count(&signer);
    let (cache, start) = (cache(LIMITS), now());
    for number in 0..5000 {
        let known = (identity(&signer, 60, 0), Arc::clone(&provider));
        cache.remember(key(&cache, &token(number)), &Ok(known), None, start);
    }
    cache.verified.run_pending_tasks();
    // Every identity holds its key, so the holders are the identities in memory. moka frees the
    // last few a little later.
    let held = u64::try_from(Arc::strong_count(&signer) - before).unwrap();
    assert!(held <= 2 * u64::from(LIMITS.entries), "{held} of 5000");
}

#[test]
fn the_key_of_a_token_depends_on_token_provider_list_and_process() {
    let (one, other) = (cache(LIMITS), TokenCache::new(&[8; 32], LIMITS));
    let token = BearerToken::from_b64token(b"a").expect("a token");
    let here = one.key(token, &Selector::new(0));
    assert!(here == one.key(token, &Selector::new(0)));
    assert!(here != one.key(token, &Selector::new(1)));
    assert!(here != other.key(token, &Selector::new(0)));
    assert!(here != key(&one, "b"));
}

#[test]
fn keys_with_one_hash_are_not_taken_for_each_other() {
    let (cache, set, now) = (cache(LIMITS), key_set(), now());
    let (one, mut other) = (TokenKey([7; 32]), TokenKey([7; 32]));
    other.0[..24].fill(8);
    let hash = |key: TokenKey| std::hash::BuildHasher::hash_one(&Hashed::default(), key);
    assert_eq!(hash(one), hash(other));
    assert_eq!(hash(one), 0x0707_0707_0707_0707, "its last eight bytes");

    let known = (identity(&signing_key(&set), 300, 1), provider());
    cache.remember(one, &Ok(known), None, now);
    assert_eq!(hit(&cache, one, now), Some(true));
    assert_eq!(hit(&cache, other, now), None);
    let in_logs = other.fingerprint();
    assert_eq!(in_logs.as_str(), "0808080808080808", "not its hash");
}

#[test]
fn a_refusal_ends_what_was_remembered_of_the_token() {
    let signer = signing_key(&key_set());
    let (cache, now) = (cache(LIMITS), now());
    let key = key(&cache, &token(1));
    let known = (identity(&signer, 3600, 0), provider());
    cache.remember(key, &Ok(known), None, now);
    assert_eq!(hit(&cache, key, now), Some(true));
    let revoked = Err(Rejection::Inactive.into());
    cache.remember(key, &revoked, None, now);
    assert_eq!(hit(&cache, key, now), Some(false), "revoked meanwhile");
    assert_eq!(hit(&cache, key, later(now, 6, 6)), None);
}

#[test]
fn a_fingerprint_is_written_in_hex() {
    let mut key = [1; 32];
    key[..8].copy_from_slice(&[0, 9, 0x0a, 0x9f, 0xa0, 0xab, 0xf0, 0xff]);
    assert_eq!(TokenKey(key).fingerprint().as_str(), "00090a9fa0abf0ff");
}
