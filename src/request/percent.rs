//! Percent-encoding, one escape at a time (RFC 3986 §2.1). Callers decide what an escape means.

/// Takes the two digits after a `%`: the byte they stand for, and what follows.
pub(crate) fn take_escape(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = after_percent.split_first_chunk::<2>()?;
    Some((hex(high)? * 16 + hex(low)?, rest))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
