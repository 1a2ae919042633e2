//! What verification ends in.

use std::{sync::Arc, time::Duration};

use super::{
    claims::{Claims, Facts},
    keys::VerifyingKey,
};

/// A token that its provider vouches for.
pub struct Verified {
    /// Its claims.
    pub claims: Claims,
    /// What the rules have established.
    pub facts: Facts,
    /// What the provider vouches with.
    pub voucher: Voucher,
}

/// What makes a token believable, and for how long.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// A signature: good while the provider publishes the key.
    Key(Arc<VerifyingKey>),
    /// An answer of the provider: good for this long after it was asked.
    Answer(Duration),
    /// Our own record of a token: good while the record is.
    Record,
}

impl Voucher {
    /// Whether the provider has taken it back, as far as we know.
    pub fn is_withdrawn(&self) -> bool {
        match self {
            Self::Key(key) => key.is_withdrawn(),
            Self::Answer(_) | Self::Record => false,
        }
    }
}
