//! The claims of an access token (RFC 7519 §4.1, RFC 9068 §2.2 and §4, RFC 8725 §3), and the settings of a provider
//! (docs/CONFIGURATION.md).

use super::{
    Broken, House, Ruling,
    json::{self, Json, Object},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    AccessToken,
    Legacy,
    IdToken,
}

/// One provider.
pub struct Rules {
    /// `None`: something else binds a token.
    pub audiences: Option<&'static [&'static str]>,
    pub clients: Option<&'static [&'static str]>,
    pub typ: Typ,
    pub leeway: f64,
    /// `None`: the provider is asked, and its tokens need no end.
    pub max_lifetime: Option<f64>,
    pub required: &'static [(&'static str, &'static str)],
    pub machine_if: &'static [Mark],
}

/// `machine_if`
pub enum Mark {
    Present(&'static str),
    Absent(&'static str),
    Equals(&'static str, &'static str),
    StartsWith(&'static str, &'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub client: Option<String>,
    pub is_machine: bool,
    pub scopes: Vec<String>,
}

/// RFC 8725 §3.11.
pub fn takes_typ(rules: &Rules, typ: Option<&str>) -> Ruling<()> {
    let taken: &[Option<&str>] = match rules.typ {
        Typ::AccessToken => &[Some("at+jwt")],
        Typ::Legacy => &[Some("at+jwt"), Some("jwt"), None],
        Typ::IdToken => &[Some("jwt"), None],
    };
    taken.contains(&typ).then_some(()).ok_or("another typ")
}

pub fn judge(claims: &Object, rules: &Rules, now: i64, broken: &mut Broken) -> Ruling<Facts> {
    is_of_the_kind(claims, rules)?;
    is_in_time(claims, rules, now, broken)?;
    is_for_us(claims, rules, broken)?;
    let client = client(claims, broken)?;
    if let Some(clients) = rules.clients
        && !client.is_some_and(|client| clients.contains(&client))
    {
        return Err("obtained by another client");
    }
    require(claims, rules.required)?;
    let subject = json::text(claims, "sub")?;
    let marked = rules.machine_if.iter().any(|mark| marks(claims, mark));
    Ok(Facts {
        client: client.map(str::to_owned),
        is_machine: marked || (subject.is_some() && subject == client),
        scopes: scopes(claims)?,
    })
}

pub fn require(claims: &Object, required: &[(&str, &str)]) -> Ruling<()> {
    for (name, value) in required {
        if json::get(claims, name) != Some(&Json::Text((*value).to_owned())) {
            return Err("a required claim is another");
        }
    }
    Ok(())
}

/// RFC 8725 §3.12, OIDC Core §2 and §3.3.2.11, RFC 8417 §2.2, RFC 7800 §3.1.
fn is_of_the_kind(claims: &Object, rules: &Rules) -> Ruling<()> {
    let is_there = |name: &str| json::get(claims, name).is_some();
    let id_token = ["at_hash", "c_hash", "s_hash"]
        .iter()
        .any(|name| is_there(name));
    if rules.typ != Typ::IdToken && id_token {
        return Err("an ID token");
    }
    if rules.typ == Typ::Legacy && is_there("nonce") {
        return Err("an ID token");
    }
    if is_there("events") {
        return Err("a security event");
    }
    if is_there("cnf") {
        return Err("bound to its sender");
    }
    let wanted = if rules.typ == Typ::IdToken {
        "id"
    } else {
        "access"
    };
    if json::text(claims, "token_use")?.is_some_and(|usage| usage != wanted) {
        return Err("for another use");
    }
    let kind = json::text(claims, "typ")?
        .unwrap_or_default()
        .to_ascii_lowercase();
    let others = [
        "id",
        "refresh",
        "offline",
        "logout",
        "serialized-id",
        "dpop",
    ];
    if kind != wanted && others.contains(&kind.as_str()) {
        return Err("of another kind");
    }
    Ok(())
}

/// RFC 7519 §4.1.4 to §4.1.6. The clock counts whole seconds, and so do the dates.
fn is_in_time(claims: &Object, rules: &Rules, now: i64, broken: &mut Broken) -> Ruling<()> {
    let mut date = |name: &str| match json::get(claims, name) {
        None => Ok(None),
        Some(Json::Number(written)) => {
            let seconds: f64 = written.parse().map_err(|_| "no number")?;
            broken.add_if(
                !(0.0..=253_402_300_799.0).contains(&seconds),
                House::Calendar,
            );
            Ok(Some(seconds.floor()))
        }
        Some(_) => Err("a date that is no number"),
    };
    let (end, begin, issued) = (date("exp")?, date("nbf")?, date("iat")?);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let now = now as f64;
    if end.is_none() && rules.max_lifetime.is_some() {
        return Err("no end");
    }
    if end.is_some_and(|end| now >= end + rules.leeway) {
        return Err("expired");
    }
    if begin.is_some_and(|begin| begin > now + rules.leeway) {
        return Err("not valid yet");
    }
    if issued.is_some_and(|issued| issued > now + rules.leeway) {
        return Err("from the future");
    }
    let lifetime = end.unwrap_or(now) - issued.unwrap_or(now);
    if rules.max_lifetime.is_some_and(|longest| lifetime > longest) {
        return Err("lives too long");
    }
    Ok(())
}

/// RFC 7519 §4.1.3.
fn is_for_us(claims: &Object, rules: &Rules, broken: &mut Broken) -> Ruling<()> {
    let audiences = match json::get(claims, "aud") {
        None => Vec::new(),
        Some(Json::Text(one)) => vec![one.as_str()],
        Some(Json::List(many)) => {
            broken.add_if(many.len() > 16, House::ManyAudiences);
            strings(many).ok_or("an audience that is no string")?
        }
        Some(_) => return Err("an audience that is no string"),
    };
    match rules.audiences {
        Some(ours) if !audiences.iter().any(|one| ours.contains(one)) => Err("for somebody else"),
        _ => Ok(()),
    }
}

fn client<'c>(claims: &'c Object, broken: &mut Broken) -> Ruling<Option<&'c str>> {
    let mut clients = Vec::new();
    for name in ["client_id", "azp", "appid", "cid"] {
        clients.extend(json::text(claims, name)?);
    }
    broken.add_if(
        clients.iter().any(|one| *one != clients[0]),
        House::ClientNames,
    );
    Ok(clients.first().copied())
}

/// RFC 8693 §4.2 `scope`; `scp` is how Entra and Okta write it.
fn scopes(claims: &Object) -> Ruling<Vec<String>> {
    match json::get(claims, "scope").or_else(|| json::get(claims, "scp")) {
        None => Ok(Vec::new()),
        Some(Json::Text(words)) => {
            let words = words.split(' ').filter(|word| !word.is_empty());
            Ok(words.map(str::to_owned).collect())
        }
        Some(Json::List(list)) => {
            let list = strings(list).ok_or("a scope that is no string")?;
            Ok(list.into_iter().map(str::to_owned).collect())
        }
        Some(_) => Err("scopes that are none"),
    }
}

fn strings(list: &[Json]) -> Option<Vec<&str>> {
    list.iter().map(Json::as_text).collect()
}

fn marks(claims: &Object, mark: &Mark) -> bool {
    let text = |name: &str| json::text(claims, name).ok().flatten();
    match mark {
        Mark::Present(name) => json::get(claims, name).is_some(),
        Mark::Absent(name) => json::get(claims, name).is_none(),
        Mark::Equals(name, value) => text(name) == Some(value),
        Mark::StartsWith(name, prefix) => text(name).is_some_and(|text| text.starts_with(prefix)),
    }
}
