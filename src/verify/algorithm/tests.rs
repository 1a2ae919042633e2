use super::*;

const ALL: [(&str, Algorithm, KeyKind); 9] = [
    ("RS256", Algorithm::RS256, KeyKind::Rsa),
    ("RS384", Algorithm::RS384, KeyKind::Rsa),
    ("RS512", Algorithm::RS512, KeyKind::Rsa),
    ("PS256", Algorithm::PS256, KeyKind::Rsa),
    ("PS384", Algorithm::PS384, KeyKind::Rsa),
    ("PS512", Algorithm::PS512, KeyKind::Rsa),
    ("ES256", Algorithm::ES256, KeyKind::P256),
    ("ES384", Algorithm::ES384, KeyKind::P384),
    ("EdDSA", Algorithm::EdDSA, KeyKind::Ed25519),
];

#[test]
fn an_algorithm_has_one_name_and_one_kind_of_key() {
    for (name, algorithm, kind) in ALL {
        assert_eq!(name.parse(), Ok(algorithm));
        assert_eq!(algorithm.to_string(), name);
        assert_eq!(algorithm.key_kind(), kind, "{name}");
        let verified_as = format!("{:?}", algorithm.for_signature());
        assert_eq!(verified_as, name, "the signature is checked as it says");
    }
    // RFC 9864 gives it a second one.
    assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
}

#[test]
fn secrets_none_and_other_spellings_are_no_algorithms() {
    for name in [
        "none", "None", "HS256", "rs256", "RS256 ", "", "ES256K", "Ed448",
    ] {
        assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
    }
}
