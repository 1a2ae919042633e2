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
    identity::Identity,
    pipeline::{Decision, TokenId, Trail},
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

enum Value<'a> {
    /// Nothing in it means anything to JSON: one of our own words, or what is made of such characters only.
    Word(&'a str),
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

/// As `tracing` would write it.
fn line(format: Format, at: SystemTime, told: Told<'_>, share: f64) -> Vec<u8> {
    let mut line = Line::begin(format, Timestamp::try_from(at).unwrap_or_default());
    outcome(&mut line, &told.decision.verdict, &told.decision.trail);
    caller(&mut line, told.decision);
    if let Some(request) = told.request {
        asked(&mut line, request);
    }
    line.may_say("trace_id", told.trace.map(Value::Trace));
    let took = u64::try_from(told.took.as_micros()).unwrap_or(u64::MAX);
    line.says("took_us", &Value::Number(took));
    line.may_say("sampled", (share < 1.0).then_some(Value::Share(share)));
    line.end()
}

fn outcome(line: &mut Line, verdict: &Verdict, trail: &Trail) {
    let granted = verdict.is_ok();
    // Of a denial that is only reported, too: that is what the report is for.
    let denial = verdict::denial(verdict);
    let code = denial.map(|denial| u64::from(denial.status().code()));
    let status = code.filter(|_| !granted).unwrap_or(200);
    let word = if granted { "allow" } else { "deny" };
    line.says("verdict", &Value::Word(word));
    line.says("status", &Value::Number(status));
    if trail.enforcement != Enforcement::Enforce {
        line.says("enforcement", &Value::Word(trail.enforcement.as_str()));
    }
    line.may_say("would_be", code.filter(|_| granted).map(Value::Number));
    line.says("reason", &Value::Word(response::reason(verdict)));
    line.may_say("code", denial.map(|denial| Value::Word(denial.code())));
    line.may_say("detail", denial.map(Value::Denial));
}

fn caller(line: &mut Line, decision: &Decision) {
    let trail = &decision.trail;
    let user = decision.verdict.as_ref().ok().and_then(Grant::identity);
    line.may_say("user", user.map(|it| name(it)));
    let refused = trail.refused.as_ref();
    line.may_say("refused_user", refused.map(|it| name(it)));
    line.may_say("provider", trail.provider.as_deref().map(Value::Text));
    let application = trail.application.as_ref();
    line.may_say("application", application.map(|it| Value::Text(&it.name)));
    line.says("credential", &Value::Word(trail.credential.as_str()));
    line.may_say("token_id", trail.token_id.as_ref().map(Value::Token));
    line.says("cached", &Value::Flag(trail.cached));
}

fn name(user: &Identity) -> Value<'_> {
    Value::Word(user.username.as_str())
}

fn asked(line: &mut Line, request: &Request) {
    let client = |text| Value::Client(Harmless(text));
    line.says("method", &client(&request.method));
    line.says("host", &client(request.host.as_str()));
    line.says("path", &Value::Path(Path(request.path.path())));
    line.may_say("request_id", request.id.as_deref().map(Value::Word));
}

/// A line that grows at its end. Writing to a `Vec` cannot fail, and there is a text for every value.
struct Line {
    format: Format,
    bytes: Vec<u8>,
}

impl Line {
    fn begin(format: Format, at: Timestamp) -> Self {
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        drop(match format {
            Format::Json => write!(
                bytes,
                r#"{{"timestamp":"{at:.6}","level":"INFO","message":"check""#
            ),
            Format::Human => write!(bytes, "{at:.6}  INFO {TARGET}: check"),
        });
        Self { format, bytes }
    }

    fn may_say(&mut self, name: &'static str, value: Option<Value<'_>>) {
        if let Some(value) = value {
            self.says(name, &value);
        }
    }

    fn says(&mut self, name: &'static str, value: &Value<'_>) {
        match self.format {
            Format::Json => {
                self.writes(&[",\"", name, "\":"]);
                match value.as_word() {
                    Some(word) => self.writes(&["\"", word, "\""]),
                    None => drop(serde_json::to_writer(&mut self.bytes, value)),
                }
            }
            Format::Human => drop(write!(self.bytes, " {name}={value}")),
        }
    }

    fn writes(&mut self, texts: &[&str]) {
        for text in texts {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    fn end(mut self) -> Vec<u8> {
        if self.format == Format::Json {
            self.writes(&[r#","target":""#, TARGET, r#""}"#]);
        }
        self.bytes.push(b'\n');
        self.bytes
    }
}

impl Value<'_> {
    fn as_word(&self) -> Option<&str> {
        if let Self::Word(word) = self {
            Some(word)
        } else if let Self::Token(token) = self {
            Some(token.as_str())
        } else {
            None
        }
    }
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => fmt::Debug::fmt(text, f),
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
            Self::Word(text) | Self::Text(text) => to.serialize_str(text),
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
