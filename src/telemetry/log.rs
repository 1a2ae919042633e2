//! Log lines: those that `tracing` makes of what happens, and one for each decision.

mod decision;
mod harmless;
mod lines;

use std::{
    io::{self, IsTerminal},
    panic,
};

use tracing::{Level, error, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt as subscriber, layer::SubscriberExt, registry,
};

pub(super) use self::decision::{DecisionLog, Told};
use self::lines::{Lines, Writer};
use crate::config::schema::{Log, LogFormat, LogLevel};

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Once for each process.
    #[error("logging is set up already")]
    Again(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The writer needs one.
    #[error("cannot start a thread")]
    Thread(#[from] io::Error),
}

/// The log of this process. What has been said is written before it is dropped.
#[derive(Debug)]
pub struct Logging {
    lines: Lines,
    format: Format,
    level: LogLevel,
    _writer: Writer,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    /// For people.
    Human,
}

/// Starts logging to standard error.
pub fn init(log: Log) -> Result<Logging, TelemetryError> {
    let (lines, writer) = Lines::to(io::stderr())?;
    let terminal = io::stderr().is_terminal();
    let format = match log.format {
        LogFormat::Auto if terminal => Format::Human,
        LogFormat::Auto | LogFormat::Json => Format::Json,
        LogFormat::Human => Format::Human,
    };
    let layer = subscriber::layer()
        .with_writer(lines.clone())
        .with_ansi(terminal);
    let layer = match format {
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        Format::Human => layer.compact().boxed(),
    };
    tracing::subscriber::set_global_default(registry().with(layer.with_filter(filter(log.level))))?;
    log_panics_without_their_message();
    Ok(Logging {
        lines,
        format,
        level: log.level,
        _writer: writer,
    })
}

/// Our own lines by the configured level. Those of libraries never below `info`: at `debug` and
/// `trace` h2, hyper and reqwest write headers and bodies, tokens among them.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let theirs = ours.min(LevelFilter::from_level(Level::INFO));
    Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), ours)
        .with_default(theirs)
}

/// A panic's message may hold the value that it is about.
fn log_panics_without_their_message() {
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_log_below_info() {
        let filter = filter(LogLevel::Trace);
        for library in [
            "h2::codec",
            "hyper::proto",
            "reqwest::connect",
            "tonic::transport",
            "rustls",
        ] {
            assert!(!filter.would_enable(library, &Level::DEBUG), "{library}");
            assert!(filter.would_enable(library, &Level::INFO), "{library}");
        }
        assert!(filter.would_enable("atlassian_authz::grpc", &Level::TRACE));
    }
}
