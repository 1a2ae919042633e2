//! docs/API-TOKENS.md: `axt_`, 12 characters of an id, `_`, 43 of a secret, 6 of a checksum: the CRC-32 of what stands
//! before it, in base 62, highest digit first.

use super::Ruling;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of a whole token.
pub fn id(text: &str) -> Ruling<String> {
    let bytes = text.as_bytes();
    if bytes.len() != 66 || !text.is_ascii() {
        return Err("another length");
    }
    if &bytes[..4] != b"axt_" || bytes[16] != b'_' {
        return Err("another shape");
    }
    let letters = bytes[4..16].iter().chain(&bytes[17..60]);
    if !letters.copied().all(|byte| DIGITS.contains(&byte)) {
        return Err("not letters and digits");
    }
    if checksum(&bytes[..60]) != bytes[60..] {
        return Err("a wrong checksum");
    }
    Ok(text[4..16].to_owned())
}

/// CRC-32 as in IEEE 802.3, one bit at a time.
pub fn checksum(body: &[u8]) -> [u8; 6] {
    let mut crc = u32::MAX;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut rest = u64::from(!crc);
    let mut digits = [0; 6];
    for place in (0..6).rev() {
        digits[place] = DIGITS[usize::try_from(rest % 62).unwrap_or(0)];
        rest /= 62;
    }
    digits
}
