//! The price of the mathematics alone: one signature verified by the library, nothing else.

use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};

use super::{
    mint::{Held, Signature},
    process::own_cpu_nanos,
};

/// CPU microseconds of one verification, on one thread.
pub fn verify_us(signature: Signature, tokens: &[Held]) -> f64 {
    let jwk: Jwk = serde_json::from_value(signature.key().jwk(signature.key_id())).expect("a JWK");
    let key = DecodingKey::from_jwk(&jwk).expect("a key");
    let algorithm = match signature {
        Signature::Rs256 => Algorithm::RS256,
        Signature::Es256 => Algorithm::ES256,
        Signature::EdDsa => Algorithm::EdDSA,
    };
    let begin = own_cpu_nanos();
    for token in tokens {
        let (signed, signature) = token.text.rsplit_once('.').expect("a signature");
        let good = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, algorithm);
        assert_eq!(good, Ok(true), "a good signature");
    }
    (own_cpu_nanos() - begin) as f64 / 1000.0 / tokens.len() as f64
}
