//! `Authorization` (RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 7617 §2), and whose credential it is.

use super::{Ruling, base64};

/// docs/SECURITY-MODEL.md, "Requests: two readings".
pub const LONGEST: usize = 16 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// For a provider.
    Bearer(String),
    /// Ours, and who is named beside it.
    Own { token: String, user: User },
    /// A password of the product.
    Password,
    /// A token of the product.
    ProductToken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// `Bearer` names nobody.
    Nobody,
    Named(String),
    /// Nobody can be that.
    Unusable,
}

pub fn read(value: &[u8]) -> Ruling<Credential> {
    if value.len() > LONGEST {
        return Err("longer than 16 KiB");
    }
    let end = value
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(value.len());
    let scheme = value[..end].to_ascii_lowercase();
    let mut credential = &value[end..];
    while let Some(rest) = credential.strip_prefix(b" ") {
        credential = rest;
    }
    match scheme.as_slice() {
        b"bearer" => bearer(credential),
        b"basic" => basic(credential),
        _ => Err("a scheme that is not accepted"),
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn bearer(credential: &[u8]) -> Ruling<Credential> {
    let token = std::str::from_utf8(credential).map_err(|_| "not ASCII")?;
    let letters = token.trim_end_matches('=');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~+/".contains(letter);
    if letters.is_empty() || !letters.chars().all(plain) {
        return Err("not one b64token");
    }
    Ok(if is_own(token) {
        Credential::Own {
            token: token.to_owned(),
            user: User::Nobody,
        }
    } else if is_of_product(token) {
        Credential::ProductToken
    } else {
        Credential::Bearer(token.to_owned())
    })
}

/// docs/API-TOKENS.md: `axt_` is ours, `axs_` is kept for later; in any case of the letters.
pub fn is_own(text: &str) -> bool {
    let start: String = text.chars().take(4).collect();
    ["axt_", "axs_"].contains(&start.to_ascii_lowercase().as_str())
}

/// docs/ACCESS.md: HTTP access tokens of Bitbucket begin with `BBDC-`; a personal access token is twelve digits, a colon
/// and twenty bytes, in base64.
fn is_of_product(token: &str) -> bool {
    if token.starts_with("BBDC-") {
        return true;
    }
    let decoded = base64::standard(token.as_bytes()).unwrap_or_default();
    decoded.len() == 33 && decoded[..12].iter().all(u8::is_ascii_digit) && decoded[12] == b':'
}

fn basic(credential: &[u8]) -> Ruling<Credential> {
    let decoded = base64::standard(credential).ok_or("not base64")?;
    let colon = decoded
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("no colon")?;
    let user = std::str::from_utf8(&decoded[..colon]).ok();
    let password = std::str::from_utf8(&decoded[colon + 1..]).ok();
    if let Some(token) = password.filter(|password| is_own(password)) {
        let named = user.map(|user| User::Named(user.to_owned()));
        return Ok(Credential::Own {
            token: token.to_owned(),
            user: named.unwrap_or(User::Unusable),
        });
    }
    // A token in the place of the user is shown to nobody.
    if user.is_some_and(is_own) {
        return Ok(Credential::Own {
            token: String::new(),
            user: User::Unusable,
        });
    }
    Ok(Credential::Password)
}
