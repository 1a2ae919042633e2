//! What a walk is told besides the request.

use tokio::time::Instant;

use crate::{clock::Now, telemetry::trace::Span};

/// When a request is decided upon, and in whose name others are asked about it.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    /// The moment for which everything is judged.
    pub now: Now,
    /// The answer is there before it, in any case.
    pub deadline: Instant,
    /// The span of the check, if it is traced.
    pub span: Option<&'a Span>,
}
