//! OpenID Connect Discovery 1.0 §4.3: whose document it is, and whether the address in it is one that keys may come from.

use super::{
    Broken, Ruling,
    json::{self, DOCUMENT},
};

/// The address as the document writes it.
pub fn address(document: &[u8], issuer: &str, broken: &mut Broken) -> Ruling<String> {
    let members = json::object(document, DOCUMENT, broken)?;
    if json::text(&members, "issuer")? != Some(issuer) {
        return Err("another issuer");
    }
    let address = json::text(&members, "jwks_uri")?.ok_or("no address")?;
    Ok(address.to_owned())
}

/// Whether an https address (RFC 3986 §3) is of this very host: no user, no longer name.
pub fn is_on(address: &str, host: &str) -> bool {
    let rest = address
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_prefix(host));
    let Some(rest) = rest else {
        return false;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].strip_prefix(':') {
        Some(digits) => {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number && digits.parse::<u16>().is_ok()
        }
        None => end == 0,
    }
}

/// Whether it also is written in letters that nobody would have to mend first.
pub fn is_plainly_on(address: &str, host: &str) -> bool {
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(letter);
    is_on(address, host) && address.chars().all(plain)
}
