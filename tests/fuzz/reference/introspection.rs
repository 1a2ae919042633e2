//! An introspection answer (RFC 7662 §2.2).

use super::{
    Broken, Ruling,
    claims::{self, Rules},
    json::{self, DOCUMENT, Json},
    username::{self, Naming},
};

/// The user whom it names.
pub fn user(
    answer: &[u8],
    (rules, naming): (&Rules, &Naming),
    issuers: &[&str],
    now: i64,
    broken: &mut Broken,
) -> Ruling<String> {
    let members = json::object(answer, DOCUMENT, broken)?;
    if json::get(&members, "active") != Some(&Json::Bool(true)) {
        return Err("not active");
    }
    // RFC 6749 §5.1 `token_type` is case-insensitive; some servers write `access_token`.
    let kind = json::text(&members, "token_type")?.map(str::to_ascii_lowercase);
    if !matches!(kind.as_deref(), None | Some("bearer" | "access_token")) {
        return Err("no bearer token");
    }
    let issuer = json::text(&members, "iss")?;
    if issuer.is_some_and(|issuer| !issuers.is_empty() && !issuers.contains(&issuer)) {
        return Err("of another issuer");
    }
    let facts = claims::judge(&members, rules, now, broken)?;
    username::of(&members, &facts, naming)
}
