//! The line about a decision. There is one for every check, so `tracing` would be a long way round: it is written here
//! at once, in the form that its neighbours have.

use std::{
    fmt::{self, Display},
    io::{self, Write},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use opentelemetry::TraceId;
use serde::{Serialize, Serializer};

use super::{
    Format, Logging,
    harmless::{Harmless, Path},
    lines::Lines,
};
use crate::{
    clock::Clock,
    config::schema::{Log, LogLevel},
    pipeline::{Decision, TokenId},
    request::Request,
    response,
    route::Enforcement,
    verdict::{self, Denial, Grant, Verdict},
};

const TARGET: &str = concat!(env!("CARGO_CRATE_NAME"), "::decision");
/// More than most lines are long.
const LINE_BYTES: usize = 1024;

/// Writes the one line about a check, or leaves it out.
#[derive(Clone)]
pub(in crate::telemetry) struct DecisionLog {
    /// The share of the lines without a denial that are written.
    sample_allowed: f64,
    /// Random numbers in `0.0..1.0`.
    dice: fn() -> f64,
    /// `None`: nothing is written at this level.
    sink: Option<Sink>,
}

#[derive(Clone)]
struct Sink {
    lines: Lines,
    format: Format,
    clock: Arc<dyn Clock>,
}

/// What is known when a check has been answered.
#[derive(Clone, Copy)]
pub(in crate::telemetry) struct Told<'a> {
    pub(in crate::telemetry) decision: &'a Decision,
    /// `None`: it could not be read.
    pub(in crate::telemetry) request: Option<&'a Request>,
    /// The trace that it is recorded in.
    pub(in crate::telemetry) trace: Option<TraceId>,
    pub(in crate::telemetry) took: Duration,
}

impl DecisionLog {
    /// As configured; nothing is written yet.
    pub(in crate::telemetry) fn new(log: Log, dice: fn() -> f64) -> Self {
        Self {
            sample_allowed: log.sample_allowed,
            dice,
            sink: None,
        }
    }

    /// Writes from now on, if lines about decisions are wanted at all.
    pub(in crate::telemetry) fn write_to(&mut self, logging: &Logging, clock: Arc<dyn Clock>) {
        let wanted = match logging.level {
            LogLevel::Error | LogLevel::Warn => false,
            LogLevel::Info | LogLevel::Debug | LogLevel::Trace => true,
        };
        self.sink = wanted.then(|| Sink {
            lines: logging.lines.clone(),
            format: logging.format,
            clock,
        });
    }

    /// The line about a check.
    pub(in crate::telemetry) fn write(&self, told: Told<'_>) {
        if let Some(sink) = &self.sink
            && let Some(share) = self.share(&told.decision.verdict)
        {
            let line = line(sink.format, sink.clock.wall(), told, share);
            sink.lines.push(&line);
        }
    }

    /// The share of such lines to which this one belongs; `None`: it is left out. Whoever is denied, or would be, is
    /// in the log in any case.
    fn share(&self, verdict: &Verdict) -> Option<f64> {
        if self.sample_allowed >= 1.0 || verdict::denial(verdict).is_some() {
            return Some(1.0);
        }
        ((self.dice)() < self.sample_allowed).then_some(self.sample_allowed)
    }
}

/// A name, and what is known of it.
type Field<'a> = (&'static str, Option<Value<'a>>);

enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Share(f64),
    Flag(bool),
    Token(&'a TokenId),
    Trace(TraceId),
    Denial(&'a Denial),
    Client(Harmless<'a>),
    Path(Path<'a>),
}

/// Everything that a line says, in its order.
fn fields(told: Told<'_>, share: f64) -> impl Iterator<Item = Field<'_>> {
    let took = u64::try_from(told.took.as_micros()).unwrap_or(u64::MAX);
    let rest = [
        ("trace_id", told.trace.map(Value::Trace)),
        ("took_us", Some(Value::Number(took))),
        ("sampled", (share < 1.0).then_some(Value::Share(share))),
    ];
    let outcome = outcome(&told.decision.verdict, told.decision.trail.enforcement);
    let fields = outcome.into_iter().chain(caller(told.decision));
    fields.chain(request(told.request)).chain(rest)
}

fn outcome(verdict: &Verdict, enforcement: Enforcement) -> [Field<'_>; 7] {
    let granted = verdict.is_ok();
    // Of a denial that is only reported, too: that is what the report is for.
    let denial = verdict::denial(verdict);
    let code = denial.map(|denial| u64::from(denial.status().code()));
    let status = code.filter(|_| !granted).unwrap_or(200);
    let relaxed = enforcement != Enforcement::Enforce;
    let text = Value::Text;
    [
        (
            "verdict",
            Some(text(if granted { "allow" } else { "deny" })),
        ),
        ("status", Some(Value::Number(status))),
        ("enforcement", relaxed.then(|| text(enforcement.as_str()))),
        ("would_be", code.filter(|_| granted).map(Value::Number)),
        ("reason", Some(text(response::reason(verdict)))),
        ("code", denial.map(|denial| text(denial.code()))),
        ("detail", denial.map(Value::Denial)),
    ]
}

fn caller(decision: &Decision) -> [Field<'_>; 7] {
    let trail = &decision.trail;
    let identity = decision.verdict.as_ref().ok().and_then(Grant::identity);
    let refused = trail.refused.as_ref();
    let application = trail.application.as_ref();
    let text = Value::Text;
    [
        ("user", identity.map(|it| text(it.username.as_str()))),
        ("refused_user", refused.map(|it| text(it.username.as_str()))),
        ("provider", trail.provider.as_deref().map(text)),
        ("application", application.map(|it| text(&it.name))),
        ("credential", Some(text(trail.credential.as_str()))),
        ("token_id", trail.token_id.as_ref().map(Value::Token)),
        ("cached", Some(Value::Flag(trail.cached))),
    ]
}

fn request(request: Option<&Request>) -> [Field<'_>; 4] {
    let client = |text| Value::Client(Harmless(text));
    let id = request.and_then(|request| request.id.as_deref());
    [
        ("method", request.map(|it| client(&it.method))),
        ("host", request.map(|it| client(it.host.as_str()))),
        ("path", request.map(|it| Value::Path(Path(it.path.path())))),
        ("request_id", id.map(Value::Text)),
    ]
}

/// As `tracing` would write it.
fn line(format: Format, at: SystemTime, told: Told<'_>, share: f64) -> Vec<u8> {
    let mut line = Vec::with_capacity(LINE_BYTES);
    let at = Timestamp::try_from(at).unwrap_or_default();
    let write = match format {
        Format::Json => json,
        Format::Human => human,
    };
    // Writing to a Vec cannot fail, and there is a text for every value.
    drop(write(&mut line, at, told, share));
    line.push(b'\n');
    line
}

fn json(line: &mut Vec<u8>, at: Timestamp, told: Told<'_>, share: f64) -> io::Result<()> {
    write!(line, r#"{{"timestamp":"{at:.6}""#)?;
    line.extend_from_slice(br#","level":"INFO","message":"check""#);
    for (name, value) in fields(told, share) {
        if let Some(value) = value {
            line.extend_from_slice(b",\"");
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\":");
            serde_json::to_writer(&mut *line, &value)?;
        }
    }
    line.extend_from_slice(br#","target":""#);
    line.extend_from_slice(TARGET.as_bytes());
    line.extend_from_slice(br#""}"#);
    Ok(())
}

fn human(line: &mut Vec<u8>, at: Timestamp, told: Told<'_>, share: f64) -> io::Result<()> {
    write!(line, "{at:.6}  INFO {TARGET}: check")?;
    for (name, value) in fields(told, share) {
        if let Some(value) = value {
            write!(line, " {name}={value}")?;
        }
    }
    Ok(())
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Number(number) => number.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Token(token) => token.fmt(f),
            Self::Trace(trace) => trace.fmt(f),
            Self::Denial(denial) => fmt::Debug::fmt(&denial.to_string(), f),
            Self::Client(text) => text.fmt(f),
            Self::Path(path) => path.fmt(f),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Number(number) => to.serialize_u64(*number),
            Self::Share(share) => to.serialize_f64(*share),
            Self::Flag(flag) => to.serialize_bool(*flag),
            Self::Token(token) => to.serialize_str(token.as_str()),
            Self::Trace(trace) => to.collect_str(trace),
            Self::Denial(denial) => to.collect_str(denial),
            Self::Client(text) => shown(text.as_is(), text, to),
            Self::Path(path) => shown(path.as_is(), path, to),
        }
    }
}

/// Formatting costs more than a copy, and most texts are shown as they are.
fn shown<S: Serializer>(
    as_is: Option<&str>,
    otherwise: &impl Display,
    to: S,
) -> Result<S::Ok, S::Error> {
    match as_is {
        Some(text) => to.serialize_str(text),
        None => to.collect_str(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{verdict::Native, verify::Unavailable};

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
}
