//! Step 3: the request → the application it is for, and whether it needs a credential.

mod denied;
mod messages;
mod public;
mod version;

use std::{collections::HashMap, sync::Arc};

pub use denied::DeniedPaths;
pub use messages::{MessageError, Messages};
pub use public::PublicPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use version::ApiVersion;

use crate::{
    access::Access,
    provider::Selector,
    request::{Host, Request, Tunnel},
};

/// The Atlassian Data Center products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Jira Software, Jira Service Management.
    Jira,
    /// Confluence.
    Confluence,
    /// Bitbucket.
    Bitbucket,
}

impl Product {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jira => "jira",
            Self::Confluence => "confluence",
            Self::Bitbucket => "bitbucket",
        }
    }
}

/// What is done with a decision.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It holds.
    #[default]
    Enforce,
    /// Users who are recognised pass as themselves; a denial is logged and counted, and the request passes without an
    /// identity.
    ReportOnly,
    /// Nothing is decided: every request passes without an identity.
    Off,
}

impl Enforcement {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::ReportOnly => "report_only",
            Self::Off => "off",
        }
    }
}

/// A product behind the gateway.
#[derive(Debug)]
pub struct Application {
    /// Unique; the value of Envoy's `context_extensions: { application: … }`.
    pub name: Arc<str>,
    /// What it is.
    pub product: Product,
    /// Where it begins: empty, or a canonical path that does not end in `/`.
    pub context_path: Box<str>,
    /// What is done with decisions about it.
    pub enforcement: Enforcement,
    /// What passes without an identity, for the product to judge.
    pub native: NativeTraffic,
    /// Connections that may outlive the decision about them.
    pub upgrades: Upgrades,
    /// The providers whose tokens it accepts.
    pub providers: Arc<Selector>,
    /// Paths that anybody may read.
    pub public_paths: Vec<PublicPath>,
    /// Paths that no caller with a token may reach.
    pub denied_paths: DeniedPaths,
    /// What else is asked of those whom it knows.
    pub access: Access,
    /// What the operator says to those who are denied.
    pub messages: Messages,
}

/// What passes without an identity, for the product to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NativeTraffic {
    /// Requests without a credential.
    pub without_credentials: bool,
    /// Credentials of the product itself.
    pub foreign_credentials: bool,
    /// Preflights of browsers.
    pub preflight: bool,
}

/// Connections that may outlive the decision about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upgrades {
    /// RFC 6455.
    pub websocket: bool,
    /// CONNECT.
    pub connect: bool,
}

/// Why a request is for no application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Neither the context extension nor the host names one.
    #[error("the request is for no configured application")]
    UnknownApplication,
    /// CONNECT or an upgrade: the connection would outlive the token.
    #[error("the request asks for a tunnel or an upgrade")]
    Tunnel,
}

/// Whether a request needs a credential.
#[derive(Clone, Copy, Debug)]
pub enum Protection<'a> {
    /// No.
    Public,
    /// Yes: a token of one of these providers, or one of ours.
    Protected(&'a Selector),
}

/// All applications, by their two keys.
#[derive(Debug, Default)]
pub struct Routes {
    by_name: HashMap<Arc<str>, Arc<Application>>,
    by_host: HashMap<Host, Arc<Application>>,
}

impl Routes {
    /// Adds an application; the configuration has made sure that names and hosts are unique.
    pub fn insert(&mut self, application: Application, hosts: impl IntoIterator<Item = Host>) {
        let application = Arc::new(application);
        self.by_name
            .insert(Arc::clone(&application.name), Arc::clone(&application));
        for host in hosts {
            self.by_host.insert(host, Arc::clone(&application));
        }
    }

    /// Finds the application of a request. What Envoy's configuration says is believed before what
    /// the client says; a name that we do not know is not second-guessed by the host.
    pub fn find(&self, request: &Request) -> Result<&Arc<Application>, NoRoute> {
        match &request.application {
            Some(name) => self.by_name.get(name.as_str()),
            None => self.by_host.get(&request.host),
        }
        .ok_or(NoRoute::UnknownApplication)
    }
}

impl Application {
    /// One without settings, for tests.
    #[cfg(test)]
    pub(crate) fn plain(name: &str, product: Product) -> Self {
        Self {
            name: name.into(),
            product,
            context_path: "".into(),
            enforcement: Enforcement::Enforce,
            native: NativeTraffic::default(),
            upgrades: Upgrades::default(),
            providers: Arc::new(Selector::new(0)),
            public_paths: Vec::new(),
            denied_paths: DeniedPaths::default(),
            access: Access::default(),
            messages: Messages::default(),
        }
    }

    /// Refuses connections that would outlive the decision about them, unless they are wanted.
    pub fn admit(&self, request: &Request) -> Result<(), NoRoute> {
        let wanted = match request.tunnel() {
            None => true,
            Some(Tunnel::WebSocket) => self.upgrades.websocket,
            Some(Tunnel::Connect) => self.upgrades.connect,
            Some(Tunnel::Other) => false,
        };
        wanted.then_some(()).ok_or(NoRoute::Tunnel)
    }

    /// Whether the request needs a credential. One that is more than a look, or whose path is not canonical,
    /// always does.
    pub fn protection(&self, request: &Request) -> Protection<'_> {
        let looks = ["GET", "HEAD"].contains(&request.method.as_str());
        let path = request.path.canonical().filter(|_| looks);
        if path.is_some_and(|path| self.public_paths.iter().any(|rule| rule.matches(path))) {
            Protection::Public
        } else {
            Protection::Protected(&self.providers)
        }
    }
}

#[cfg(test)]
mod tests;
