//! What the answers should be: slow, obvious, and written from the RFCs and from docs/ alone. Nothing here calls the
//! code that it judges; of the crate it knows the protobuf messages, which are the question.

pub mod answer;
pub mod api_token;
pub mod authorization;
pub mod base64;
pub mod claims;
pub mod discovery;
pub mod host;
pub mod introspection;
pub mod json;
pub mod jwks;
pub mod jws;
pub mod path;
pub mod username;
pub mod walk;

/// Why something must not pass; for a person who reads a failure.
pub type Ruling<T> = Result<T, &'static str>;

/// What no RFC forbids and this service refuses all the same. The list is closed: a refusal that neither an RFC nor one
/// of these explains is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum House {
    /// JSON is bounded in depth, members and strings.
    JsonLimits,
    /// `jku`, `jwk`, `x5u`, `zip`, `enc`, `b64` or `nonce` in a token's header; RFC 7515 §4 lets us ignore them.
    HeaderMember,
    /// `cty: JWT`, a token in a token.
    NestedToken,
    /// A `kid` of more than 256 bytes.
    KeyIdLength,
    /// More than 100 keys in a set.
    ManyKeys,
    /// A token without `kid`, and more than four keys that it may be signed with.
    ManyCandidates,
    /// More than 16 entries in `aud`.
    ManyAudiences,
    /// A date before 1970 or after 9999.
    Calendar,
    /// Two of `client_id`, `azp`, `appid`, `cid` that name different clients.
    ClientNames,
    /// A longer header or path than anybody needs.
    Sizes,
}

/// The house rules that something breaks.
#[derive(Debug, Default)]
pub struct Broken(Vec<House>);

impl Broken {
    pub fn add(&mut self, house: House) {
        self.0.push(house);
    }

    pub fn add_if(&mut self, breaks: bool, house: House) {
        if breaks {
            self.add(house);
        }
    }

    pub fn first(&self) -> Option<House> {
        self.0.first().copied()
    }
}
