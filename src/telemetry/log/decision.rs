//! The line about a decision. There is one for every check, so `tracing` would be a long way round: it is written here
//! at once, in the form that its neighbours have.

use std::{
    fmt::{self, Display},
    io::Write,
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
            let line = line(sink.format, sink.clock.wall(), &fields(told, share));
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
    Token(TokenId),
    Trace(TraceId),
    Denial(&'a Denial),
    Client(Harmless<'a>),
    Path(Path<'a>),
}

fn fields(told: Told<'_>, share: f64) -> [Field<'_>; 21] {
    let Told {
        decision,
        request,
        trace,
        took,
    } = told;
    let trail = &decision.trail;
    let granted = decision.verdict.as_ref();
    let identity = granted.ok().and_then(Grant::identity);
    // Of a denial that is only reported, too: that is what the report is for.
    let denial = verdict::denial(&decision.verdict);
    let status = |denial: &Denial| u64::from(denial.status().code());
    let relaxed = trail.enforcement != Enforcement::Enforce;
    let reported = denial.filter(|_| granted.is_ok());
    let verdict = if granted.is_ok() { "allow" } else { "deny" };
    let refused = trail.refused.as_ref();
    let application = trail.application.as_ref();
    let client = |text| Value::Client(Harmless(text));
    let text = Value::Text;
    [
        ("verdict", Some(text(verdict))),
        (
            "status",
            Some(Value::Number(granted.map_or_else(status, |_| 200))),
        ),
        (
            "enforcement",
            relaxed.then(|| text(trail.enforcement.as_str())),
        ),
        (
            "would_be",
            reported.map(|denial| Value::Number(status(denial))),
        ),
        ("reason", Some(text(response::reason(&decision.verdict)))),
        ("code", denial.map(|denial| text(denial.code()))),
        ("detail", denial.map(Value::Denial)),
        (
            "user",
            identity.map(|identity| text(identity.username.as_str())),
        ),
        (
            "refused_user",
            refused.map(|identity| text(identity.username.as_str())),
        ),
        ("provider", trail.provider.as_deref().map(text)),
        (
            "application",
            application.map(|application| text(&application.name)),
        ),
        ("credential", Some(text(trail.credential.as_str()))),
        ("token_id", trail.token_id.map(Value::Token)),
        ("cached", Some(Value::Flag(trail.cached))),
        ("method", request.map(|request| client(&request.method))),
        ("host", request.map(|request| client(request.host.as_str()))),
        (
            "path",
            request.map(|request| Value::Path(Path(request.path.path()))),
        ),
        (
            "request_id",
            request.and_then(|request| request.id.as_deref()).map(text),
        ),
        ("trace_id", trace.map(Value::Trace)),
        (
            "took_us",
            Some(Value::Number(
                u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            )),
        ),
        ("sampled", (share < 1.0).then_some(Value::Share(share))),
    ]
}

/// As `tracing` would write it.
fn line(format: Format, at: SystemTime, fields: &[Field<'_>]) -> Vec<u8> {
    let mut line = Vec::with_capacity(LINE_BYTES);
    let at = Timestamp::try_from(at).unwrap_or_default();
    let known = fields
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    // Writing to a Vec cannot fail, and there is a text for every value.
    drop(match format {
        Format::Json => json(&mut line, at, known),
        Format::Human => human(&mut line, at, known),
    });
    line.push(b'\n');
    line
}

fn json<'a>(
    line: &mut Vec<u8>,
    at: Timestamp,
    fields: impl Iterator<Item = (&'static str, &'a Value<'a>)>,
) -> std::io::Result<()> {
    write!(
        line,
        r#"{{"timestamp":"{at:.6}","level":"INFO","message":"check""#
    )?;
    for (name, value) in fields {
        write!(line, r#","{name}":"#)?;
        serde_json::to_writer(&mut *line, value)?;
    }
    write!(line, r#","target":"{TARGET}"}}"#)
}

fn human<'a>(
    line: &mut Vec<u8>,
    at: Timestamp,
    mut fields: impl Iterator<Item = (&'static str, &'a Value<'a>)>,
) -> std::io::Result<()> {
    write!(line, "{at:.6}  INFO {TARGET}: check")?;
    fields.try_for_each(|(name, value)| write!(line, " {name}={value}"))
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
            Self::Token(token) => to.collect_str(token),
            Self::Trace(trace) => to.collect_str(trace),
            Self::Denial(denial) => to.collect_str(denial),
            Self::Client(text) => to.collect_str(text),
            Self::Path(path) => to.collect_str(path),
        }
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
