//! What one walk yields: the verdict, and what was learnt on the way.

use std::{fmt, sync::Arc};

use super::Fingerprint;
use crate::{
    api_token::ApiTokenId,
    credential::Foreign,
    identity::Identity,
    policy::Explained,
    provider::{Judge, Provider},
    route::{Application, Enforcement},
    verdict::{Denial, Verdict, enforced},
    verify::Unavailable,
};

/// The outcome of one walk, and what was learnt on the way.
#[derive(Clone, Debug)]
pub struct Decision {
    /// May the request pass, and as whom?
    pub verdict: Verdict,
    /// How far the walk got.
    pub trail: Trail,
}

/// What is known about a request, as far as the walk got. Holds nothing secret.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// The application that was found.
    pub application: Option<Arc<Application>>,
    /// What was done with the decision.
    pub enforcement: Enforcement,
    /// The provider that was chosen.
    pub provider: Option<Arc<str>>,
    /// What kind of credential was read.
    pub credential: CredentialKind,
    /// Which token it is.
    pub token_id: Option<TokenId>,
    /// The identity was remembered, not verified again.
    pub cached: bool,
    /// Who is known and may not pass.
    pub refused: Option<Arc<Identity>>,
    /// What the policies say, in a walk that explains itself.
    pub policies: Vec<Explained>,
    /// A user name and a password may be asked for: the password would be an API token.
    pub takes_basic: bool,
}

/// Tells tokens apart in logs and metadata, and is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenId {
    /// A provider's token: equal for equal tokens in one process, useless elsewhere.
    Fingerprint(Fingerprint),
    /// One of ours, or what claims to be it.
    Issued(ApiTokenId),
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TokenId {
    /// For logs and metadata.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Fingerprint(fingerprint) => fingerprint.as_str(),
            Self::Issued(id) => id.as_str(),
        }
    }
}

/// What kind of credential a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialKind {
    /// None that could be read.
    #[default]
    None,
    /// A bearer token that we do not understand.
    Bearer,
    /// A bearer token that is a JWT, verified here.
    Jwt,
    /// One of our own tokens.
    ApiToken,
    /// A password of the product.
    Password,
    /// A token of the product.
    ProductToken,
}

impl CredentialKind {
    /// For logs and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "opaque",
            Self::Jwt => "jwt",
            Self::ApiToken => "api_token",
            Self::Password => "password",
            Self::ProductToken => "product_token",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trail {
    pub(super) fn judged_by(&mut self, provider: &Provider) {
        self.credential = match provider.judge {
            Judge::Jwt(_) => CredentialKind::Jwt,
            Judge::Remote(_) => CredentialKind::Bearer,
        };
        self.provider = Some(Arc::clone(&provider.name));
    }
}

impl From<Foreign> for CredentialKind {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Password => Self::Password,
            Foreign::ProductToken => Self::ProductToken,
        }
    }
}

impl Decision {
    /// A denial before the walk began.
    pub fn denied(denial: impl Into<Denial>) -> Self {
        Self {
            verdict: Err(denial.into()),
            trail: Trail::default(),
        }
    }

    /// The same walk, which ended too late to be believed.
    #[must_use]
    pub fn too_late(self) -> Self {
        let verdict = Err(Unavailable::Deadline.into());
        Self {
            verdict: enforced(verdict, self.trail.enforcement),
            ..self
        }
    }
}
