//! One check from its bytes to an answer: docs/ARCHITECTURE.md, docs/ACCESS.md and docs/CONFIGURATION.md, for a world of
//! providers and applications that is written down beside the configuration that says the same.

mod access;
mod request;

pub use access::{Access, Network, Product};
pub use request::{Line, Request, lines};

use atlassian_authz::pb::envoy::service::auth::v3::CheckRequest;

use super::{
    Broken, House, Ruling, api_token,
    authorization::{self, Credential, User},
    claims::{self, Facts, Rules},
    json::Object,
    jwks::{self, Key},
    jws, path,
    username::{self, Naming},
};

/// All that a configuration says.
pub struct World {
    pub providers: Vec<Provider>,
    pub applications: Vec<Application>,
    pub tokens: Vec<Token>,
    pub now: i64,
}

/// An API token that was issued.
pub struct Token {
    pub text: String,
    pub owner: &'static str,
    pub applications: &'static [&'static str],
    pub path: Option<&'static str>,
    pub network: Option<Network>,
    pub writes: bool,
    /// Revoked, or expired.
    pub has_ended: bool,
}

pub struct Provider {
    pub issuer: &'static str,
    pub algorithms: &'static [&'static str],
    pub keys: Vec<Key>,
    pub rules: Rules,
    pub naming: Naming,
    pub required_scopes: &'static [&'static str],
    /// The claim that holds the groups.
    pub groups: Option<&'static str>,
}

pub struct Application {
    pub name: &'static str,
    pub hosts: &'static [&'static str],
    /// Positions.
    pub providers: &'static [usize],
    pub public: &'static [&'static str],
    pub native: bool,
    pub websocket: bool,
    pub report_only: bool,
    pub access: Access,
}

/// What the answer should be.
#[derive(Debug)]
pub enum Expected {
    Allowed(Option<String>),
    Denied(&'static str),
    /// No RFC denies it.
    DeniedBy(House),
}

/// Who asks, and with what.
pub struct Known<'w> {
    pub user: String,
    pub facts: Facts,
    pub claims: Object,
    pub provider: &'w Provider,
}

pub fn expected(check: &CheckRequest, world: &World) -> Expected {
    let mut broken = Broken::default();
    let request = match Request::read(check, &mut broken) {
        Ok(request) => request,
        Err(why) => return Expected::Denied(why),
    };
    if let Some(house) = broken.first() {
        return Expected::DeniedBy(house);
    }
    let Some(application) = find(&request, world) else {
        return Expected::Denied("no application");
    };
    let ruling = passes(&request, application, world, &mut broken);
    match (ruling, broken.first(), application.report_only) {
        (Ok(user), None, _) => Expected::Allowed(user),
        (_, _, true) => Expected::Allowed(None),
        (Ok(_), Some(house), false) => Expected::DeniedBy(house),
        (Err(why), _, false) => Expected::Denied(why),
    }
}

/// What Envoy says is believed, then what the client says.
fn find<'w>(request: &Request, world: &'w World) -> Option<&'w Application> {
    world
        .applications
        .iter()
        .find(|one| match &request.application {
            Some(name) => one.name == name,
            None => one.hosts.contains(&request.host.as_str()),
        })
}

fn passes(
    request: &Request,
    application: &Application,
    world: &World,
    broken: &mut Broken,
) -> Ruling<Option<String>> {
    outlives_no_decision(request, application)?;
    let looks = request.method == "GET" || request.method == "HEAD";
    if looks && path::is_public(application.public, request.path()) {
        return Ok(None);
    }
    if request.has_query_credential() {
        return Err("a credential in the query");
    }
    let sent = request.values("authorization");
    let value = match sent[..] {
        [] if application.native => return Ok(None),
        [] => return Err("no credential"),
        [one] => one,
        _ => return Err("two credentials"),
    };
    if request.has_path_session() {
        return Err("a session in the path");
    }
    match authorization::read(value)? {
        Credential::Bearer(token) => {
            let known = identify(&token, application, world, broken)?;
            application.access.permits(&known, request)?;
            Ok(Some(known.user))
        }
        Credential::Own { token, user } => {
            let token = issued(&token, &user, world)?;
            application
                .access
                .permits_token(token, application.name, request)?;
            Ok(Some(token.owner.to_owned()))
        }
        Credential::Password | Credential::ProductToken if application.native => Ok(None),
        Credential::Password | Credential::ProductToken => Err("the product's own"),
    }
}

/// docs/API-TOKENS.md: the whole token, not ended, and beside it its owner, letter for letter, or nobody.
fn issued<'w>(text: &str, user: &User, world: &'w World) -> Ruling<&'w Token> {
    api_token::id(text)?;
    let token = world.tokens.iter().find(|token| token.text == text);
    let token = token.ok_or("never issued")?;
    if token.has_ended {
        return Err("over");
    }
    match user {
        User::Nobody => Ok(token),
        User::Named(user) if user == token.owner => Ok(token),
        User::Named(_) | User::Unusable => Err("somebody else's"),
    }
}

/// RFC 9110 §7.8 and §9.3.6.
fn outlives_no_decision(request: &Request, application: &Application) -> Ruling<()> {
    let upgrades = request.values("upgrade");
    let is_websocket = matches!(upgrades[..], [one] if one.eq_ignore_ascii_case(b"websocket"));
    if request.method == "CONNECT"
        || !(upgrades.is_empty() || is_websocket && application.websocket)
    {
        return Err("a connection that outlives the decision");
    }
    Ok(())
}

fn identify<'w>(
    token: &str,
    application: &Application,
    world: &'w World,
    broken: &mut Broken,
) -> Ruling<Known<'w>> {
    let jws = jws::read(token, broken)?.ok_or("no JWS")?;
    let issuer = jws.issuer()?;
    let mut providers = application.providers.iter().map(|at| &world.providers[*at]);
    let provider = providers
        .find(|one| one.issuer == issuer)
        .ok_or("an issuer of nobody here")?;
    if !provider.algorithms.contains(&jws.algorithm.as_str()) {
        return Err("another algorithm");
    }
    claims::takes_typ(&provider.rules, jws.typ.as_deref())?;
    jwks::verify(&provider.keys, &jws, broken)?;
    let facts = claims::judge(&jws.payload, &provider.rules, world.now, broken)?;
    let user = username::of(&jws.payload, &facts, &provider.naming)?;
    Ok(Known {
        user,
        facts,
        claims: jws.payload,
        provider,
    })
}
