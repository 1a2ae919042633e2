//! Which claims may name a user.
//!
//! The product believes the name. Whoever can choose what stands in the claim can choose to be
//! somebody else, and of two people who share a value one is the other.

/// Names that people give themselves, whatever the provider.
const SELF_CHOSEN: [&str; 12] = [
    "name",
    "given_name",
    "givenName",
    "first_name",
    "family_name",
    "surname",
    "last_name",
    "displayName",
    "display_name",
    "nickname",
    "mail",
    "mailNickname",
];
/// Identifiers that providers give once and never again.
const IDENTIFIERS: [&str; 6] = ["sub", "oid", "id", "uid", "user_id", "account_id"];
/// Names that a directory keeps unique and an administrator, or the user, can change.
const NAMES: [&str; 9] = [
    "preferred_username",
    "username",
    "upn",
    "unique_name",
    "userPrincipalName",
    "onPremisesSamAccountName",
    "winaccountname",
    "email",
    "login",
];

/// A claim that is no name to rely on at one provider.
#[derive(Clone, Copy, Debug)]
pub struct Unstable {
    /// The claim.
    pub claim: &'static str,
    /// What is wrong with it, as the second half of a sentence: `can be changed by its user`.
    pub why: &'static str,
    /// A claim to use instead.
    pub better: &'static str,
    /// Acceptable with `strip_domain`: only the owner of the domain can give it.
    pub domain_makes_it_stable: bool,
}

/// How far a claim can be relied on.
#[derive(Clone, Copy, Debug)]
pub enum Stability {
    /// Given once and to one user: best with a map.
    Identifier,
    /// Unique at one time, and may pass to another user.
    Name,
    /// See [`Unstable`]; not to be used.
    Unstable(Unstable),
    /// Nobody knows.
    Unknown,
}

impl Stability {
    /// What is known of a claim, by its path as `username.claim` writes it. `unstable` is what its
    /// provider adds.
    pub fn of(claim: &str, unstable: &[Unstable]) -> Self {
        let name = claim.strip_prefix('/').unwrap_or(claim);
        if let Some(known) = unstable.iter().find(|unstable| unstable.claim == name) {
            return Self::Unstable(*known);
        }
        if let Some(claim) = SELF_CHOSEN.into_iter().find(|chosen| *chosen == name) {
            return Self::Unstable(Unstable {
                claim,
                why: "is not unique and can be changed",
                better: "a claim that the provider never gives to a second person, such as sub \
                         with a map",
                domain_makes_it_stable: false,
            });
        }
        if IDENTIFIERS.contains(&name) {
            return Self::Identifier;
        }
        if NAMES.contains(&name) {
            return Self::Name;
        }
        Self::Unknown
    }

    /// For a person who chooses.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Identifier => "stable and unique",
            Self::Name => "readable, may change hands",
            Self::Unstable(claim) if claim.domain_makes_it_stable => "only with strip_domain",
            Self::Unstable(_) => "NOT for user names",
            Self::Unknown => "",
        }
    }
}

#[cfg(test)]
mod tests;
