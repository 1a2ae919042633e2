//! Who calls: the user of a bearer token of an identity provider, judged as any request is.
//!
//! `Basic` and cookies would be sent by a browser on behalf of any page: only what a page cannot make a browser
//! send authenticates. Our own tokens do not: a token that could make tokens would outlive its revocation.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use tracing::info;

use super::{Api, problem::Problem};
use crate::{
    admin::listener::Peer,
    api_token::{Actor, Owner},
    credential::{BearerToken, Credential, MalformedCredential},
    desk::{By, OwnLimits},
    identity::Identity,
    verdict::Denial,
};

/// An authenticated caller.
pub(super) struct Caller {
    /// Who they are.
    pub(super) identity: Arc<Identity>,
    source: Option<IpAddr>,
    role: Role,
}

/// What a caller may do.
enum Role {
    Administrator,
    /// Manages their own tokens.
    User(OwnLimits),
    /// Anybody whom a provider knows.
    Nobody,
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let identity = match bearer(&parts.headers) {
            Ok(token) => {
                let now = api.checks.clock.now();
                let deadline = now.instant + api.checks.check_timeout;
                let pipeline = &api.checks.pipeline;
                let known = pipeline.authenticate(token, &api.selector, now, deadline);
                known
                    .await
                    .map(|(identity, _)| identity)
                    .map_err(Refused::Denied)
            }
            Err(refused) => Err(refused),
        };
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let source = peer.map(|ConnectInfo(Peer(peer))| peer.ip().to_canonical());
        match identity {
            Ok(identity) => Ok(Self {
                role: api.role(&identity),
                identity,
                source,
            }),
            Err(refused) => {
                let source = source.map(tracing::field::display);
                info!(
                    reason = refused.reason(),
                    source, "a caller of the admin API is refused"
                );
                Err(refused.into())
            }
        }
    }
}

/// Why nobody is authenticated.
enum Refused {
    OwnToken,
    Denied(Denial),
}

impl Refused {
    fn reason(&self) -> &'static str {
        match self {
            Self::OwnToken => "api_token",
            Self::Denied(denial) => denial.reason(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::OwnToken => Self::new(
                StatusCode::FORBIDDEN,
                "api_token_not_accepted",
                "API tokens are not accepted here: a token cannot manage tokens. Use a token of an identity provider.",
            ),
            Refused::Denied(denial) => denial.into(),
        }
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<BearerToken<'_>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refused::Denied(Denial::NoCredential))?;
    if values.next().is_some() {
        return Err(Refused::Denied(MalformedCredential::Several.into()));
    }
    match Credential::parse(value.as_bytes()) {
        Ok(Credential::Bearer(token)) => Ok(token),
        Ok(Credential::Own(_)) => Err(Refused::OwnToken),
        Ok(Credential::Foreign(_)) => Err(Refused::Denied(
            MalformedCredential::UnsupportedScheme.into(),
        )),
        Err(malformed) => Err(Refused::Denied(malformed.into())),
    }
}

impl Api {
    fn role(&self, identity: &Identity) -> Role {
        let name = identity.username.as_str().to_ascii_lowercase();
        // Groups that are unknown are none to rely on.
        let mut groups = identity.groups.known().unwrap_or_default().iter();
        if self.rights.users.contains(&name)
            || groups.any(|group| self.rights.groups.contains(group))
        {
            return Role::Administrator;
        }
        if !self.rights.self_service {
            return Role::Nobody;
        }
        let applications = self.applications.get(&*identity.provider);
        Role::User(OwnLimits {
            owner: Owner::new(&name),
            applications: applications.cloned().unwrap_or_default(),
        })
    }
}

impl Caller {
    /// For what any user of a provider may do.
    pub(super) fn anybody(&self) -> By {
        By {
            actor: Actor::user(self.identity.username.as_str()),
            source: self.source,
            limits: Some(OwnLimits {
                owner: Owner::new(self.identity.username.as_str()),
                applications: std::collections::BTreeSet::new(),
            }),
        }
    }

    /// For administrators, and for users about themselves if they may.
    pub(super) fn manager(&self) -> Result<By, Problem> {
        let limits = match &self.role {
            Role::Administrator => None,
            Role::User(limits) => Some(limits.clone()),
            Role::Nobody => return Err(Problem::forbidden("Only administrators may do this.")),
        };
        Ok(By {
            limits,
            ..self.anybody()
        })
    }

    /// For administrators.
    pub(super) fn administrator(&self) -> Result<By, Problem> {
        match &self.role {
            Role::Administrator => Ok(By {
                limits: None,
                ..self.anybody()
            }),
            Role::User(_) | Role::Nobody => {
                Err(Problem::forbidden("Only administrators may do this."))
            }
        }
    }
}
