//! What the integration tests are made of, as far as a fuzz target needs it.
#![expect(dead_code, reason = "they need more of it")]

#[path = "../it/support/idp.rs"]
pub mod idp;
#[path = "../it/support/keys.rs"]
pub mod keys;
