//! Why the service does not start, or ends early.

use std::io;

use crate::{outbound::UnusableCertificates, store::FileError, telemetry::trace::TracingError};

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// See [`UnusableCertificates`].
    #[error("provider {provider}: {source}")]
    Certificates {
        /// The provider's name.
        provider: String,
        /// The cause.
        source: UnusableCertificates,
    },
    /// The file of our own tokens is not safe.
    #[error("api_tokens.store: {0}")]
    TokenFile(#[from] FileError),
    /// See [`TracingError`].
    #[error("tracing.otlp")]
    Tracing(#[from] TracingError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// Why a running service ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port or socket cannot be had.
    #[error("cannot listen on {address} (listen.{setting})")]
    Listen {
        /// As configured.
        address: String,
        /// The member of `listen`.
        setting: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start the serving threads")]
    Threads(#[source] io::Error),
    /// The reflection service refuses our descriptors.
    #[error("cannot set up gRPC reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}
