//! What an application asks of those whom it knows.

pub mod rule;
