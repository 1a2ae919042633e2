//! The real servers and clients of the other tests do what those tests rely on.

mod git;
mod postgres;
mod proxy;
