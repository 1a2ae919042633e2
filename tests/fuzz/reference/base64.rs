//! RFC 4648, bit by bit: one spelling for each byte string.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// §5 without padding (RFC 7515 §2).
pub fn url(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, URL)
}

/// §4 with padding.
pub fn standard(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    decode(&text[..text.len() - padding], STANDARD)
}

fn decode(text: &[u8], alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for byte in text {
        let value = alphabet.iter().position(|letter| letter == byte)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
    // A letter too many, or bits that a second spelling could set.
    if rest.len() >= 6 || rest.contains(&true) {
        return None;
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    Some(whole.chunks(8).map(byte).collect())
}
