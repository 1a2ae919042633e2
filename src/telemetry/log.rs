//! Log lines: one for each decision.

use std::{
    borrow::Cow,
    fmt,
    io::{self, IsTerminal},
    panic,
    time::Duration,
};

use opentelemetry::TraceId;
use tracing::{Level, error, info, level_filters::LevelFilter};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, filter::Targets, fmt as subscriber, layer::SubscriberExt, registry,
};

use crate::{
    config::schema::{Log, LogFormat, LogLevel},
    pipeline::Decision,
    request::Request,
    response,
    route::Enforcement,
    verdict::{self, Denial, Grant, Verdict},
};

/// Lines that wait for the writer. When it is stuck, further ones are dropped: no check waits for
/// a log.
const BUFFERED_LINES: usize = 16 * 1024;
/// Bytes written at once.
const WRITE_BYTES: usize = 64 * 1024;
/// Longest piece of a request in a log line, in characters.
const LONGEST_VALUE: usize = 256;

/// Logging is set up already, or cannot be.
#[derive(Debug, thiserror::Error)]
#[error("logging cannot be set up")]
pub struct TelemetryError(#[from] tracing::subscriber::SetGlobalDefaultError);

/// Starts logging to standard error. Buffered lines are written when the guard is dropped.
pub fn init(log: Log) -> Result<WorkerGuard, TelemetryError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        .lossy(true)
        .thread_name("log")
        // The writer flushes when its queue is empty: under load many lines are one system call.
        .finish(io::BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    let terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Human => false,
    };
    let lines = subscriber::layer().with_writer(writer).with_ansi(terminal);
    let lines = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    } else {
        lines.compact().boxed()
    };
    tracing::subscriber::set_global_default(registry().with(lines.with_filter(filter(log.level))))?;
    log_panics_without_their_message();
    Ok(guard)
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

/// Writes the one line about a check, or leaves it out.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecisionLog {
    /// The share of the lines without a denial that are written.
    sample_allowed: f64,
    /// Random numbers in `0.0..1.0`.
    dice: fn() -> f64,
}

impl DecisionLog {
    /// As configured.
    pub(super) fn new(log: Log, dice: fn() -> f64) -> Self {
        Self {
            sample_allowed: log.sample_allowed,
            dice,
        }
    }

    /// The line about a check, and about the trace that it is recorded in.
    pub(super) fn write(
        self,
        decision: &Decision,
        request: Option<&Request>,
        trace: Option<TraceId>,
        took: Duration,
    ) {
        if let Some(share) = self.share(&decision.verdict) {
            write_line(decision, request, trace, took, share);
        }
    }

    /// The share of such lines to which this one belongs; `None`: it is left out. Whoever is denied, or would be, is
    /// in the log in any case.
    fn share(self, verdict: &Verdict) -> Option<f64> {
        if self.sample_allowed >= 1.0 || verdict::denial(verdict).is_some() {
            return Some(1.0);
        }
        ((self.dice)() < self.sample_allowed).then_some(self.sample_allowed)
    }
}

fn write_line(
    decision: &Decision,
    request: Option<&Request>,
    trace: Option<TraceId>,
    took: Duration,
    share: f64,
) {
    let trail = &decision.trail;
    let granted = decision.verdict.as_ref();
    let identity = granted.ok().and_then(Grant::identity);
    // Of a denial that is only reported, too: that is what the report is for.
    let denial = verdict::denial(&decision.verdict);
    info!(
        target: concat!(env!("CARGO_CRATE_NAME"), "::decision"),
        verdict = if granted.is_ok() { "allow" } else { "deny" },
        status = granted.map_or_else(|denial| denial.status().code(), |_| 200),
        enforcement = (trail.enforcement != Enforcement::Enforce).then(|| trail.enforcement.as_str()),
        would_be = denial.filter(|_| granted.is_ok()).map(|denial| denial.status().code()),
        reason = response::reason(&decision.verdict),
        code = denial.map(Denial::code),
        detail = denial.map(ToString::to_string),
        user = identity.map(|identity| identity.username.as_str()),
        refused_user = trail.refused.as_ref().map(|identity| identity.username.as_str()),
        provider = trail.provider.as_deref(),
        application = trail.application.as_ref().map(|application| &*application.name),
        credential = trail.credential.as_str(),
        token_id = trail.token_id.map(tracing::field::display),
        cached = trail.cached,
        method = request.map(|request| tracing::field::display(Harmless(&request.method))),
        host = request.map(|request| tracing::field::display(Harmless(request.host.as_str()))),
        path = request.map(|request| tracing::field::display(Path(request.path.path()))),
        request_id = request.and_then(|request| request.id.as_deref()),
        trace_id = trace.map(tracing::field::display),
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        sampled = (share < 1.0).then_some(share),
        "check"
    );
}

/// A path without what may be a credential in it: the values of `;parameters` (`;jsessionid=…`), and
/// a fragment.
struct Path<'a>(&'a str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains([';', '#']) {
            return Harmless(self.0).fmt(f);
        }
        let path = self.0.split('#').next().unwrap_or(self.0);
        let segments: Vec<_> = path.split('/').map(without_parameters).collect();
        Harmless(&segments.join("/")).fmt(f)
    }
}

fn without_parameters(segment: &str) -> Cow<'_, str> {
    match segment.split_once(';') {
        Some((name, parameters)) if !parameters.is_empty() => format!("{name};...").into(),
        Some(_) | None => segment.into(),
    }
}

/// Text of a client, fit for a log: escaped, cut, on one line.
struct Harmless<'a>(&'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST_VALUE) {
            if character.is_ascii_graphic() && character != '\\' {
                write!(f, "{character}")?;
            } else {
                write!(f, "{}", character.escape_default())?;
            }
        }
        if characters.next().is_some() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{verdict::Native, verify::Unavailable};

    #[test]
    fn text_of_a_client_stays_on_its_line_and_is_cut() {
        assert_eq!(Harmless("/rest/api").to_string(), "/rest/api");
        assert_eq!(
            Harmless("/a\r\n{\"user\":\"x\"}\u{1b}[31m\u{e9}\\").to_string(),
            "/a\\r\\n{\"user\":\"x\"}\\u{1b}[31m\\u{e9}\\\\"
        );
        assert_eq!(
            Harmless(&"a".repeat(300)).to_string(),
            format!("{}...", "a".repeat(256))
        );
    }

    #[test]
    fn a_session_in_the_path_is_not_shown() {
        for (path, shown) in [
            ("/browse;jsessionid=1A2B/x", "/browse;.../x"),
            ("/a;b;jsessionid=1", "/a;..."),
            ("/public/..;/admin", "/public/..;/admin"),
            ("/x#access_token=1", "/x"),
            ("/rest/api/2/myself", "/rest/api/2/myself"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(Path(path).to_string(), shown, "{path}");
        }
    }

    #[test]
    fn only_lines_without_a_denial_are_left_to_chance() {
        let tenth = Log {
            sample_allowed: 0.1,
            ..Log::default()
        };
        let none = Log {
            sample_allowed: 0.0,
            ..Log::default()
        };
        let low: fn() -> f64 = || 0.099;
        let high: fn() -> f64 = || 0.1;
        let refused = || Denial::NoCredential;
        let undecided = || Denial::from(Unavailable::Deadline);
        let reported = |denial: Denial| Ok(Grant::Native(Native::Reported(denial.into())));
        for certain in [
            Err(refused()),
            Err(undecided()),
            reported(refused()),
            reported(undecided()),
        ] {
            for log in [tenth, none, Log::default()] {
                let share = DecisionLog::new(log, high).share(&certain);
                assert_eq!(share, Some(1.0), "{certain:?}");
            }
        }
        for left_to_chance in [
            Ok(Grant::Anonymous),
            Ok(Grant::Native(Native::Credential)),
            Ok(Grant::Native(Native::Unchecked)),
        ] {
            let share = |log, dice| DecisionLog::new(log, dice).share(&left_to_chance);
            assert_eq!(share(tenth, low), Some(0.1), "{left_to_chance:?}");
            assert_eq!(share(tenth, high), None, "{left_to_chance:?}");
            assert_eq!(share(none, || 0.0), None, "{left_to_chance:?}");
            assert_eq!(share(Log::default(), high), Some(1.0));
        }
    }

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
