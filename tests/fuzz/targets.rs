//! One input, run and judged. Each target panics when something is not as it should be, and does nothing else.

pub mod api_token;
pub mod authorization;
pub mod check_request;
pub mod claims;
pub mod config;
pub mod discovery;
pub mod introspection;
pub mod jwks;
pub mod jws;
pub mod path;
pub mod username;
