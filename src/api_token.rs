//! The API tokens that this service issues itself: how they look, what they may do, how they are kept.
//!
//! `axt_` + 12 characters of a public id + `_` + 43 of a secret + 6 of a checksum. The id finds the token,
//! the secret proves it, the checksum tells a typing error or a guess from a token without asking anybody.

mod format;
mod pepper;
mod record;
mod scope;

pub use format::{ApiToken, ApiTokenId, IssuedToken, NotAnApiToken, is_own};
pub use pepper::{Digest, Match, PepperError, PepperId, Peppers};
pub use record::{Actor, Owner, Revocation, State, TokenRecord};
pub use scope::{AccessLevel, PathPrefix, PathPrefixError, Scope};
