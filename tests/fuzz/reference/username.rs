//! From claims to a user (docs/CONFIGURATION.md, "providers.username"), and what a user may be called.

use super::{
    Ruling,
    claims::Facts,
    json::{self, Json, Object},
};

/// The section `username` of one provider, and `machine_clients`.
#[derive(Clone, Copy)]
pub struct Naming {
    /// A member's name, or a JSON pointer.
    pub claim: &'static str,
    pub map: Option<&'static [(&'static str, &'static str)]>,
    /// What `regex` finds.
    pub found: Option<fn(&str) -> Option<&str>>,
    pub strip_domain: Option<&'static str>,
    pub prefix: &'static str,
    pub lower_case: bool,
    pub email_characters: bool,
    pub reserved: &'static [&'static str],
    /// What `allow` matches.
    pub allow: Option<fn(&str) -> bool>,
    pub machines: &'static [(&'static str, &'static str)],
}

pub const PLAIN: Naming = Naming {
    claim: "preferred_username",
    map: None,
    found: None,
    strip_domain: None,
    prefix: "",
    lower_case: true,
    email_characters: false,
    reserved: &[],
    allow: None,
    machines: &[],
};

/// RFC 9068 §5: a client is not the user of the same name.
pub fn of(claims: &Object, facts: &Facts, naming: &Naming) -> Ruling<String> {
    if facts.is_machine {
        let client = facts.client.as_deref();
        let found = naming
            .machines
            .iter()
            .find(|(name, _)| Some(*name) == client);
        return found
            .map(|(_, user)| (*user).to_owned())
            .ok_or("a machine that nobody has named");
    }
    let Some(Json::Text(value)) = at(claims, naming.claim) else {
        return Err("no name");
    };
    if naming.claim == "email" && json::get(claims, "email_verified") != Some(&Json::Bool(true)) {
        return Err("an address that nobody has verified");
    }
    name(value, naming)
}

/// RFC 6901.
fn at<'c>(claims: &'c Object, path: &str) -> Option<&'c Json> {
    let Some(pointer) = path.strip_prefix('/') else {
        return json::get(claims, path);
    };
    let mut steps = pointer
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut value = json::get(claims, &steps.next()?)?;
    for step in steps {
        value = match value {
            Json::Object(members) => json::get(members, &step)?,
            Json::List(list) => {
                let is_index = step == "0" || !step.starts_with(['0', '+']);
                list.get(step.parse::<usize>().ok().filter(|_| is_index)?)?
            }
            _ => return None,
        };
    }
    Some(value)
}

pub fn name(value: &str, naming: &Naming) -> Ruling<String> {
    let mut name = value;
    if let Some(map) = naming.map {
        let pair = map.iter().find(|(from, _)| *from == name);
        name = pair.ok_or("not in the map")?.1;
    }
    if let Some(found) = naming.found {
        name = found(name).ok_or("does not match")?;
    }
    if let Some(domain) = naming.strip_domain {
        let parts: Vec<&str> = name.split('@').collect();
        let [local, found] = parts[..] else {
            return Err("not one @");
        };
        if !found.eq_ignore_ascii_case(domain) {
            return Err("another domain");
        }
        name = local;
    }
    if name.is_empty() {
        return Err("nothing left");
    }
    let mut name = format!("{}{name}", naming.prefix);
    if naming.lower_case {
        name = name.to_ascii_lowercase();
    }
    is_safe(&name, naming)?;
    Ok(name)
}

/// ASCII letters, digits, `.`, `_` and `-`; a letter or digit first, no dot last. No word for nobody, no reserved name.
fn is_safe(name: &str, naming: &Naming) -> Ruling<()> {
    const NOBODY: [&str; 6] = ["null", "undefined", "none", "nil", "anonymous", "system"];
    const RESERVED: [&str; 5] = ["admin", "administrator", "sysadmin", "root", "superuser"];
    let further = if naming.email_characters {
        "._-@+"
    } else {
        "._-"
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || further.contains(letter);
    let first = name.chars().next().ok_or("empty")?;
    let last = name.chars().last().ok_or("empty")?;
    if !first.is_ascii_alphanumeric() || ['.', '@', '+'].contains(&last) || !name.chars().all(plain)
    {
        return Err("a character that somebody reads differently");
    }
    if name.len() > 255 {
        return Err("too long");
    }
    let lower = name.to_ascii_lowercase();
    if NOBODY.contains(&lower.as_str()) {
        return Err("a word for nobody");
    }
    if RESERVED.contains(&lower.as_str()) && !naming.reserved.contains(&lower.as_str()) {
        return Err("reserved");
    }
    if naming.allow.is_some_and(|allow| !allow(name)) {
        return Err("does not match allow");
    }
    Ok(())
}
