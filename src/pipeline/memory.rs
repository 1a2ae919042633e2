//! What outlives a configuration.

use std::sync::Arc;

use super::cache::{Known, TokenCache, TokenKey};
use crate::{flights::Flights, verdict::Denial};

/// Questions to providers that are being asked.
type TokenFlights = Flights<TokenKey, Known, Denial>;

/// What is known of tokens, and what is being asked about them: all that outlives a configuration. What one
/// list of providers has said is never an answer for another ([`TokenCache::key`]). Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenMemory {
    pub(super) cache: Arc<TokenCache>,
    pub(super) flights: Arc<TokenFlights>,
}

impl TokenMemory {
    /// Nothing is known yet.
    pub fn new(cache: TokenCache) -> Self {
        Self {
            cache: Arc::new(cache),
            flights: Arc::new(Flights::new(None)),
        }
    }
}
