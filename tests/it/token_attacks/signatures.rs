//! Signatures: of the right form, by the right key, over the right bytes.

use super::{
    Gate,
    algorithms::{every_algorithm, message, with_signature},
    token_of,
};
use crate::support::{
    idp::Idp,
    keys::{other_rs256, shared_es256, shared_rs256},
    service::config_for,
};

/// DER of two numbers, as X.509 and careless libraries write an ECDSA signature.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let sign: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
        [
            &[2, u8::try_from(sign.len() + number.len()).expect("short")],
            sign,
            number,
        ]
        .concat()
    };
    let (r, s) = raw.split_at(32);
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).expect("short")][..], &body].concat()
}

/// The order of P-256.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn an_ecdsa_signature_is_two_numbers_within_range_and_nothing_else() {
    let mut gate = Gate::with(&[("p", "", "")]);
    let token = token_of("p").header("alg", "ES256").header("kid", "ec");
    let real = shared_es256().sign(message(&token).as_bytes());
    let number = |last: u8| {
        let mut bytes = [0_u8; 32];
        bytes[31] = last;
        bytes
    };
    let (r, s) = real.split_at(32);
    let (zero, one) = (number(0), number(1));
    for (attack, signature) in [
        ("r = s = 0", [zero, zero].concat()),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("r = s = 1", [one, one].concat()),
        ("r = s = n", [N, N].concat()),
        ("r = n", [&N, s].concat()),
        ("s = n", [r, &N].concat()),
        ("r and s all ones", vec![0xff; 64]),
        ("r and s exchanged", [s, r].concat()),
        ("DER", der(&real)),
        ("DER of zeros", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        ("one byte short", real[..63].to_vec()),
        ("one byte long", [&real[..], &[0]].concat()),
        ("a zero before each number", [&[0], r, &[0], s].concat()),
        ("r alone", r.to_vec()),
        ("96 zeros", vec![0; 96]),
        ("one byte", vec![0]),
        ("an RSA signature's length", vec![0; 256]),
    ] {
        gate.refuses(attack, with_signature(&token, signature), "bad_signature");
    }
    gate.admits("the real one", &with_signature(&token, &real), "alice");
    gate.still_admits_alice();
}

#[test]
fn an_rsa_or_ed25519_signature_is_canonical() {
    /// The order of the group, little endian.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut gate, eddsa) = every_algorithm();
    let token = token_of("open").header("kid", "ed").header("alg", "EdDSA");
    let real = eddsa.sign(message(&token).as_bytes());
    let mut malleable = real.clone();
    let mut carry = 0;
    for (byte, add) in malleable[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let mut identity = vec![0; 64];
    identity[0] = 1;
    for (attack, signature) in [
        ("S + L", malleable),
        ("zeros", vec![0; 64]),
        ("R the neutral element, S = 0", identity),
        ("short", real[..63].to_vec()),
        ("long", [&real[..], &[0]].concat()),
    ] {
        gate.refuses(attack, with_signature(&token, signature), "bad_signature");
    }
    gate.admits("the real one", &with_signature(&token, &real), "alice");

    let token = token_of("open");
    let real = shared_rs256().sign(message(&token).as_bytes());
    for (attack, signature) in [
        ("zeros", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("ones", vec![0xff; 256]),
        ("a leading zero", [&[0], &real[..]].concat()),
        ("short", real[..255].to_vec()),
        ("twice", [&real[..], &real[..]].concat()),
    ] {
        gate.refuses(attack, with_signature(&token, signature), "bad_signature");
    }
    gate.still_admits_alice();
}

#[test]
fn a_signature_belongs_to_its_token_and_its_key() {
    let (mut gate, _) = every_algorithm();
    let signature_of = |token: String| token.rsplit_once('.').expect("three parts").1.to_owned();
    let alice = token_of("open").signed();
    let admin = token_of("open").claim("preferred_username", "mallory");
    let grafted = format!("{}.{}", message(&admin), signature_of(alice.clone()));
    gate.refuses("the signature of alice's token", grafted, "bad_signature");

    let (head, _) = alice.rsplit_once('.').expect("three parts");
    let swapped = signature_of(token_of("open").claim("jti", "2").signed());
    gate.refuses(
        "of another token of alice",
        format!("{head}.{swapped}"),
        "bad_signature",
    );

    let forged = token_of("open").signed_by(other_rs256());
    gate.refuses(
        "an unpublished key under a published kid",
        forged,
        "bad_signature",
    );
    let forged = token_of("open")
        .without_header("kid")
        .signed_by(other_rs256());
    gate.refuses("an unpublished key without a kid", forged, "bad_signature");

    gate.still_admits_alice();
}

#[test]
fn a_kid_names_one_key_and_no_other_answers_for_it() {
    let idp = Idp::start();
    idp.publish(&[
        ("k1", shared_rs256()),
        ("k2", other_rs256()),
        ("ec", shared_es256()),
    ]);
    let config = config_for(&idp);
    let mut gate = Gate::configured(idp, &config);
    let usual = gate.good().header("kid", "k2").signed_by(other_rs256());
    gate.admits("the second key", &usual, "alice");
    let confused = gate.good().header("kid", "k2").signed();
    gate.refuses(
        "the first key's signature under the second's kid",
        confused,
        "bad_signature",
    );
    let confused = gate.good().header("kid", "k1").signed_by(other_rs256());
    gate.refuses(
        "the second's under the first's kid",
        confused,
        "bad_signature",
    );
    for (kid, alg) in [("k1", "ES256"), ("ec", "RS256")] {
        let token = gate.good().header("kid", kid).header("alg", alg);
        for key in [shared_rs256(), shared_es256()] {
            gate.refuses(
                "a key of another kind",
                token.signed_by(key),
                "key_mismatch",
            );
        }
    }
    gate.still_admits_alice();
}
