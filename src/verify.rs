//! Step 6: token → the claims its provider vouches for. The only step that may wait.
//!
//! A verifier has three answers: verified, [`Rejection`], and [`Unavailable`] — the last is never
//! turned into one of the others.

pub mod algorithm;
pub mod breaker;
pub mod claims;
pub mod discovery;
pub mod http_check;
pub mod introspection;
pub mod jws;
pub mod jwt;
pub mod keyring;
pub mod keys;
pub mod remote;
pub mod schedule;
pub mod strict_json;

mod rejection;
mod verified;

pub use rejection::{Rejection, TokenError, Unavailable};
pub use verified::{Verified, Voucher};
