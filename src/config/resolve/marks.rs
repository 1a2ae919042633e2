//! By what a token is known to be a provider's.

use crate::config::JudgeConfig;

/// Something that a token shows before anybody has judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark<'p> {
    /// Its `iss`.
    Issuer(&'p str),
    /// Its first letters.
    Prefix(&'p str),
    /// Nothing at all.
    Opaque,
}

/// Everything by which a provider's tokens are known.
pub(super) fn marks(judge: &JudgeConfig) -> Vec<Mark<'_>> {
    match judge {
        JudgeConfig::Jwt { issuers, .. } => issuers
            .iter()
            .map(|issuer| Mark::Issuer(&issuer.issuer))
            .collect(),
        JudgeConfig::Remote { taken, .. } => {
            let issuers = taken.issuers.iter().map(|issuer| Mark::Issuer(issuer));
            let prefixes = taken.prefixes.iter().map(|prefix| Mark::Prefix(prefix));
            let opaque = taken.opaque.then_some(Mark::Opaque);
            issuers.chain(prefixes).chain(opaque).collect()
        }
    }
}

impl Mark<'_> {
    /// Whether one token can show both.
    pub(super) fn clashes(self, other: Mark<'_>) -> bool {
        match (self, other) {
            (Self::Issuer(one), Mark::Issuer(other)) => one == other,
            (Self::Prefix(one), Mark::Prefix(other)) => {
                one.starts_with(other) || other.starts_with(one)
            }
            (Self::Opaque, Mark::Opaque) => true,
            _ => false,
        }
    }

    /// What two providers have in common.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Issuer(issuer) => format!("have the same issuer {issuer}"),
            Self::Prefix(prefix) => format!("both take tokens that begin with {prefix}"),
            Self::Opaque => "both take opaque tokens".to_owned(),
        }
    }

    /// What to do besides naming one of them.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Issuer(_) => "",
            Self::Prefix(_) => "give them prefixes that no token shares, or ",
            Self::Opaque => "give one of them 'tokens.prefixes' or 'tokens.issuers', or ",
        }
    }
}
