//! The configuration: one YAML file → [`Config`], or every problem in it with its place.
//!
//! Three steps, each of which reports all it finds: the text becomes a located tree
//! ([`document`]), the tree is held against the schema of [`schema`], and the meaning is worked out
//! by [`resolve`]. After that no other module validates anything.

mod document;
mod inputs;
mod problem;
mod resolve;
pub mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use inputs::{Edition, Files};
use jiff::{Span, SpanRelativeTo};
pub use problem::{Problem, Problems};
use url::Url;

use crate::{
    access::Access,
    api_token::Peppers,
    desk::Rules,
    identity::{Keep, Mapping, Unstable, UsernamePolicy},
    outbound::{ExtraAuthorities, UrlPolicy},
    provider::Taken,
    request::Host,
    response::IdentityHeader,
    route::{DeniedPaths, Enforcement, Messages, NativeTraffic, Product, PublicPath, Upgrades},
    store::StoreLocation,
    tls::ServerTls,
    verify::{claims::ClaimRules, jwt::JwtVerifier, keyring::KeySource, remote::RemoteCheck},
};
use document::Document;
use inputs::Inputs;

/// A configuration that can be run as it is.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// How to log.
    pub log: schema::Log,
    /// Where spans go; `None`: nowhere.
    pub tracing: Option<TracingConfig>,
    /// The header that carries the user.
    pub identity_header: IdentityHeader,
    /// Where requests may go.
    pub urls: UrlPolicy,
    /// What is done with decisions about requests to no application.
    pub enforcement: Enforcement,
    /// Addresses at the right end of `X-Forwarded-For` that proxies have written; 0: none is believed.
    pub trusted_hops: u8,
    /// All providers.
    pub providers: Vec<ProviderConfig>,
    /// Our own tokens; `None`: there are none.
    pub api_tokens: Option<ApiTokensConfig>,
    /// The admin API; `None`: there is none.
    pub admin: Option<AdminConfig>,
    /// All applications.
    pub applications: Vec<ApplicationConfig>,
    /// Limits of one check and of the cache.
    pub limits: Limits,
    /// How to stop.
    pub shutdown: Shutdown,
    /// The same as a file, presets expanded and defaults filled in.
    pub effective: schema::File,
    /// What all of it was made of.
    pub edition: Edition,
}

/// Where the service listens.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For Envoy.
    pub grpc: GrpcAddress,
    /// How it speaks TLS; `None`: it does not.
    pub grpc_tls: Option<ServerTls>,
    /// For operators.
    pub admin: SocketAddr,
    /// The same for them.
    pub admin_tls: Option<ServerTls>,
    /// Health alone, without TLS.
    pub health: Option<SocketAddr>,
}

/// Where Envoy finds the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcAddress {
    /// `host:port`
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

impl fmt::Display for GrpcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where spans go.
#[derive(Clone, Debug)]
pub struct TracingConfig {
    /// The collector: scheme, host and port.
    pub collector: Url,
    /// The share of the traces that begin here which are recorded.
    pub sample: f64,
}

/// One provider.
#[derive(Debug)]
pub struct ProviderConfig {
    /// Unique.
    pub name: String,
    /// Who judges its tokens.
    pub judge: JudgeConfig,
    /// How its users are named.
    pub mapping: Mapping,
    /// What else of their claims is kept.
    pub keep: Keep,
    /// Claims of it that are no names to rely on.
    pub unstable: &'static [Unstable],
    /// Tokens that were made for somebody else are accepted, because the operator said so.
    pub is_unbound: bool,
    /// Scopes that every token must have.
    pub required_scopes: Vec<String>,
    /// Certificate authorities besides the system's.
    pub authorities: ExtraAuthorities,
    /// What all of it was made of.
    pub edition: Edition,
}

/// Who judges the tokens of a provider.
#[derive(Debug)]
pub enum JudgeConfig {
    /// We do, with its keys.
    Jwt {
        /// How.
        verifier: JwtVerifier,
        /// Its issuers, each with its own keys; at least one.
        issuers: Vec<IssuerConfig>,
        /// How long keys are used without being confirmed.
        max_stale: Duration,
    },
    /// It does, when asked.
    Remote {
        /// How it is asked.
        check: RemoteCheck,
        /// What its answer must say.
        rules: ClaimRules,
        /// How long an answer is believed.
        believed_for: Duration,
        /// Which tokens it is asked about.
        taken: Taken,
    },
}

/// One issuer of a provider.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The exact `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub source: KeySource,
    /// Claims that its tokens must have.
    pub required: BTreeMap<String, String>,
}

/// Our own tokens.
#[derive(Debug)]
pub struct ApiTokensConfig {
    /// Where they are kept.
    pub location: StoreLocation,
    /// What their digests are made with.
    pub peppers: Peppers,
    /// Longest life of a token.
    pub max_lifetime: Duration,
    /// Most tokens of one user at a time.
    pub max_per_user: u32,
    /// Most tokens that a user may make in an hour.
    pub max_created_per_hour: u32,
    /// How long a replaced token still works.
    pub rotation_overlap: Duration,
    /// How often uses are written down.
    pub usage_interval: Duration,
    /// Whom a token may stand for.
    pub usernames: UsernamePolicy,
    /// What the place and the pace of writing to it were made of.
    pub store_edition: Edition,
    /// What all of it was made of.
    pub edition: Edition,
}

/// The admin API.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Positions in [`Config::providers`], ascending: whose tokens callers may show.
    pub providers: Vec<usize>,
    /// Groups of administrators.
    pub groups: BTreeSet<String>,
    /// Administrators by name, in lower case.
    pub users: BTreeSet<String>,
    /// Users may manage their own API tokens.
    pub self_service: bool,
}

/// One application.
#[derive(Debug)]
pub struct ApplicationConfig {
    /// Unique.
    pub name: String,
    /// Unique among all applications.
    pub hosts: Vec<Host>,
    /// Positions in [`Config::providers`], ascending.
    pub providers: Vec<usize>,
    /// Which product it is.
    pub product: Product,
    /// Empty, or a canonical path that does not end in `/`.
    pub context_path: String,
    /// What is done with decisions about it.
    pub enforcement: Enforcement,
    /// What is passed on without an identity.
    pub native: NativeTraffic,
    /// Connections that may outlive the decision about them.
    pub upgrades: Upgrades,
    /// Paths that need no credential.
    pub public_paths: Vec<PublicPath>,
    /// Paths that no caller with a token may reach.
    pub denied_paths: DeniedPaths,
    /// What else is asked of those whom it knows.
    pub access: Access,
    /// What the operator says to those who are denied.
    pub messages: Messages,
}

/// Limits of one check and of the cache.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest check.
    pub check_timeout: Duration,
    /// Longest memory of an identity.
    pub cache_ttl: Duration,
    /// Most identities.
    pub cache_entries: u32,
    /// Most bytes of them.
    pub cache_bytes: u64,
}

/// How the service stops.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// Serving on after SIGTERM.
    pub drain_delay: Duration,
    /// Finishing what is in flight.
    pub drain_timeout: Duration,
    /// Age at which connections are renewed.
    pub max_connection_age: Duration,
}

impl ApiTokensConfig {
    /// The rules for making tokens.
    pub fn rules(&self, applications: impl IntoIterator<Item = String>) -> Rules {
        Rules {
            max_lifetime: self.max_lifetime,
            max_per_user: self.max_per_user,
            max_created_per_hour: self.max_created_per_hour,
            rotation_overlap: self.rotation_overlap,
            usernames: self.usernames.clone(),
            applications: applications.into_iter().collect(),
        }
    }
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::read(path).0
    }

    /// Reads a file, and says which files to look at when it may have changed; those that are missing too.
    pub fn read(path: &Path) -> (Result<Self, Problems>, Files) {
        let mut inputs = Inputs::default();
        let name = path.display().to_string();
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        let text = inputs.text(path);
        let config = text
            .map_err(|error| Problems::unreadable(&name, &error))
            .and_then(|text| Self::made_of(&name, &text, base, &mut inputs));
        (config, inputs.into_files())
    }

    /// Reads the text of a file called `name`; files that it names are relative to `base`.
    pub fn parse(name: &str, text: &str, base: &Path) -> Result<Self, Problems> {
        let mut inputs = Inputs::default();
        inputs.add(text.as_bytes());
        Self::made_of(name, text, base, &mut inputs)
    }

    fn made_of(name: &str, text: &str, base: &Path, inputs: &mut Inputs) -> Result<Self, Problems> {
        let document = Document::parse(name, text)?;
        let file = document.typed()?;
        resolve::resolve(file, &document, base, inputs)
    }
}

/// Reads a duration as operators write it: `30s`, `5m`, `24h`, `90d`. A day has 24 hours.
pub fn duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    duration.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
