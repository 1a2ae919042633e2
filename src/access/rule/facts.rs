//! What a rule can read, and how it becomes a value: when a rule reads it, at most once, and never too much of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cel::{
    common::{
        types::{
            CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
        },
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use serde_json::Value as Json;

use crate::request::Headers;

/// Names in the groups or the scopes of one identity.
const MAX_NAMES: usize = 1024;
/// Entries in one list or object of a claim.
const MAX_CLAIM_ENTRIES: usize = 256;
/// Lists and objects in one another in a claim.
const MAX_CLAIM_DEPTH: usize = 8;
/// What one value may cost: a byte of text counts 1.
const MAX_VALUE_COST: usize = 256 * 1024;
/// What an entry or a number costs: about the bytes that it occupies.
const ENTRY_COST: usize = 64;
/// What one judgement may read. Each reading counts, in a loop too.
pub(super) const MAX_COST: u64 = 8 * 1024 * 1024;

/// Everything that a rule can read. Borrowed: building it costs nothing. Never printed: claims and queries are nobody
/// else's business.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The value of `X-Remote-User`.
    pub username: &'a str,
    /// The provider that vouches.
    pub provider: &'a str,
    /// Those of the token, and those that were added to them: two slices, so that nobody has to copy them into one
    /// list for rules that do not read them. `None`: unknown.
    pub groups: Option<[&'a [String]; 2]>,
    /// What the token may be used for.
    pub scopes: &'a [String],
    /// Who obtained the token.
    pub client: Option<&'a str>,
    /// The kind of the credential: `jwt`, `opaque` or `api_token`.
    pub credential: &'a str,
    /// Those that the operator has asked to keep.
    pub claims: &'a BTreeMap<String, Json>,
    /// As sent.
    pub method: &'a str,
    /// Canonical, or `None`.
    pub path: Option<&'a str>,
    /// The same for every version of an API, and wherever the product begins.
    pub resource: Option<&'a str>,
    /// Normalised.
    pub host: &'a str,
    /// What follows the first `?`. Empty is absent.
    pub query: Option<&'a str>,
    /// All lines.
    pub headers: &'a Headers,
    /// `read` or `write`, if the path tells.
    pub operation: Option<&'a str>,
    /// Where the request comes from, as far as it can be believed.
    pub address: Option<IpAddr>,
    /// The name of the application.
    pub application: &'a str,
    /// `jira`, `confluence` or `bitbucket`.
    pub product: &'a str,
}

/// One thing that a rule can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Username,
    Provider,
    Groups,
    Scopes,
    Client,
    Credential,
    Claim(Box<str>),
    Method,
    Path,
    Resource,
    Host,
    Query,
    Header(Box<str>),
    Operation,
    Address,
    Application,
    Product,
}

/// One way to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Fails when it is absent.
    Value(Fact),
    /// Whether it is there.
    Presence(Fact),
}

impl Reading {
    pub(super) fn fact(&self) -> &Fact {
        match self {
            Self::Value(fact) | Self::Presence(fact) => fact,
        }
    }
}

/// A value, and what a reading of it counts.
struct Made<'a> {
    value: Box<dyn Val + 'a>,
    cost: usize,
}

/// Answers the readings of one judgement.
pub(super) struct Reader<'a> {
    facts: &'a Facts<'a>,
    readings: &'a [Reading],
    values: Box<[OnceLock<Option<Made<'a>>>]>,
    cost: AtomicU64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(facts: &'a Facts<'a>, readings: &'a [Reading]) -> Self {
        Self {
            facts,
            readings,
            values: readings.iter().map(|_| OnceLock::new()).collect(),
            cost: AtomicU64::new(0),
        }
    }

    /// What was read so far; [`MAX_COST`] and 1 when that was too much.
    pub(super) fn cost(&self) -> u64 {
        self.cost.load(Ordering::Relaxed)
    }

    /// Whether more was asked for than one judgement may read.
    pub(super) fn is_exhausted(&self) -> bool {
        self.cost() > MAX_COST
    }

    /// Counts a reading, and tells whether it may take place. What is exhausted stays so. One thread judges: this is
    /// an atomic because values may be shared in general.
    pub(super) fn charge(&self, cost: usize) -> Option<()> {
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let total = self.cost().saturating_add(cost);
        self.cost.store(total.min(MAX_COST + 1), Ordering::Relaxed);
        (total <= MAX_COST).then_some(())
    }

    fn make(&self, reading: &'a Reading) -> Option<Made<'a>> {
        let mut budget = Budget(MAX_VALUE_COST);
        let value = match reading {
            Reading::Value(fact) => self.facts.value(fact, &mut budget)?,
            Reading::Presence(fact) => {
                budget.spend(ENTRY_COST)?;
                Box::new(CelBool::from(self.facts.has(fact)))
            }
        };
        let cost = MAX_VALUE_COST - budget.0;
        Some(Made { value, cost })
    }
}

impl VariableResolver for Reader<'_> {
    /// `variable` is a place in the readings. `None` makes the expression fail.
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let place: usize = variable.parse().ok()?;
        let reading = self.readings.get(place)?;
        let made = self.values.get(place)?.get_or_init(|| self.make(reading));
        let made = made.as_ref()?;
        self.charge(made.cost)?;
        Some(CowVal::Borrowed(&*made.value))
    }
}

/// What is left for one value.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, cost: usize) -> Option<()> {
        self.0 = self.0.checked_sub(cost)?;
        Some(())
    }

    fn text<'a>(&mut self, text: &'a str) -> Option<Box<dyn Val + 'a>> {
        self.spend(ENTRY_COST)?;
        self.spend(text.len())?;
        Some(Box::new(CelString::from(text)))
    }

    fn names<'a>(&mut self, names: impl Iterator<Item = &'a String>) -> Option<Box<dyn Val + 'a>> {
        let names = names.enumerate().map(|(number, name)| {
            let within = number < MAX_NAMES;
            within.then(|| self.text(name)).flatten()
        });
        let names: Vec<_> = names.collect::<Option<_>>()?;
        Some(Box::new(CelList::from(names)))
    }

    /// A claim of a token: its shape is not ours, so everything about it is bounded.
    fn json<'a>(&mut self, value: &'a Json, depth: usize) -> Option<Box<dyn Val + 'a>> {
        let depth = depth.checked_sub(1)?;
        self.spend(ENTRY_COST)?;
        let value: Box<dyn Val + 'a> = match value {
            Json::Null => Box::new(CelNull),
            Json::Bool(value) => Box::new(CelBool::from(*value)),
            Json::Number(number) => number_of(number)?,
            Json::String(text) => {
                self.spend(text.len())?;
                Box::new(CelString::from(text.as_str()))
            }
            Json::Array(entries) if entries.len() <= MAX_CLAIM_ENTRIES => {
                let entries = entries.iter().map(|entry| self.json(entry, depth));
                Box::new(CelList::from(entries.collect::<Option<Vec<_>>>()?))
            }
            Json::Object(members) if members.len() <= MAX_CLAIM_ENTRIES => {
                let members = members.iter().map(|(name, member)| {
                    self.spend(name.len())?;
                    let name = CelMapKey::String(CelString::from(name.as_str()));
                    Some((name, self.json(member, depth)?))
                });
                Box::new(CelMap::from(members.collect::<Option<HashMap<_, _>>>()?))
            }
            Json::Array(_) | Json::Object(_) => return None,
        };
        Some(value)
    }
}

/// An integer stays one.
fn number_of<'a>(number: &serde_json::Number) -> Option<Box<dyn Val + 'a>> {
    if let Some(number) = number.as_i64() {
        return Some(Box::new(CelInt::from(number)));
    }
    if let Some(number) = number.as_u64() {
        return Some(Box::new(CelUInt::from(number)));
    }
    Some(Box::new(CelDouble::from(number.as_f64()?)))
}

impl<'a> Facts<'a> {
    /// `None`: absent, unknown, unreadable or too large.
    fn value(&self, fact: &'a Fact, budget: &mut Budget) -> Option<Box<dyn Val + 'a>> {
        match fact {
            Fact::Username => budget.text(self.username),
            Fact::Provider => budget.text(self.provider),
            Fact::Groups => budget.names(self.groups?.into_iter().flatten()),
            Fact::Scopes => budget.names(self.scopes.iter()),
            Fact::Client => budget.text(self.client?),
            Fact::Credential => budget.text(self.credential),
            Fact::Claim(name) => budget.json(self.claims.get(&**name)?, MAX_CLAIM_DEPTH),
            Fact::Method => budget.text(self.method),
            Fact::Path => budget.text(self.path?),
            Fact::Resource => budget.text(self.resource?),
            Fact::Host => budget.text(self.host),
            Fact::Query => budget.text(self.query()?),
            Fact::Header(name) => self.header(name, budget),
            Fact::Operation => budget.text(self.operation?),
            Fact::Address => {
                budget.spend(ENTRY_COST)?;
                Some(Box::new(CelString::from(self.address?.to_string())))
            }
            Fact::Application => budget.text(self.application),
            Fact::Product => budget.text(self.product),
        }
    }

    fn has(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Username
            | Fact::Provider
            | Fact::Scopes
            | Fact::Credential
            | Fact::Method
            | Fact::Host
            | Fact::Application
            | Fact::Product => true,
            Fact::Groups => self.groups.is_some(),
            Fact::Client => self.client.is_some(),
            Fact::Claim(name) => self.claims.contains_key(&**name),
            Fact::Path => self.path.is_some(),
            Fact::Resource => self.resource.is_some(),
            Fact::Query => self.query().is_some(),
            Fact::Header(name) => self.headers.named(name).next().is_some(),
            Fact::Operation => self.operation.is_some(),
            Fact::Address => self.address.is_some(),
        }
    }

    fn query(&self) -> Option<&'a str> {
        self.query.filter(|query| !query.is_empty())
    }

    /// Repeated lines count as one (RFC 9110 §5.3). A line that is no plain text has no value: two readers
    /// could read it differently.
    fn header(&self, name: &'a str, budget: &mut Budget) -> Option<Box<dyn Val + 'a>> {
        let lines = self.headers.named(name).map(|line| {
            let text = std::str::from_utf8(line.value).ok()?;
            (!text.contains(char::is_control)).then_some(text)
        });
        let lines: Vec<&str> = lines.collect::<Option<_>>()?;
        if let [line] = *lines {
            return budget.text(line);
        }
        let joined = (!lines.is_empty()).then(|| lines.join(", "))?;
        budget.spend(ENTRY_COST)?;
        budget.spend(joined.len())?;
        Some(Box::new(CelString::from(joined)))
    }
}
