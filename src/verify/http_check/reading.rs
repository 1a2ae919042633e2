//! From a value in a provider's answer to a claim.
//!
//! Every provider writes dates, numbers and booleans in its own way. A value of another kind than
//! announced refuses the token; it is never skipped.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::expect::at;
use crate::{clock::Now, verify::remote::CheckError};

/// Where a claim comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSource {
    /// Which document.
    pub document: Document,
    /// A JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is written there.
    pub reading: Reading,
}

/// A document that claims are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The answer to the call of this number, from 0.
    Answer(usize),
    /// The payload of the token.
    Token,
}

/// How a value becomes a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As it is.
    Value,
    /// A whole number, which becomes text.
    Integer,
    /// Seconds since 1970, as a number or as text.
    NumericDate,
    /// The same; 0 is no date at all.
    NumericDateOrNever,
    /// RFC 3339.
    Rfc3339,
    /// Seconds from now.
    Lifetime,
    /// A boolean, or `true` or `false` as text.
    Boolean,
}

impl ClaimSource {
    /// `Ok(None)`: there is no such claim.
    pub(super) fn read(
        &self,
        document: &Map<String, Value>,
        now: Now,
    ) -> Result<Option<Value>, CheckError> {
        match at(document, &self.pointer) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.reading.read(value, now),
        }
    }
}

impl Reading {
    fn read(self, value: &Value, now: Now) -> Result<Option<Value>, CheckError> {
        let claim = match self {
            Self::Value => Some(value.clone()),
            // Never through a float: two identifiers above 2^53 would become one.
            Self::Integer => value
                .as_number()
                .filter(|number| !number.is_f64())
                .map(|number| number.to_string().into()),
            Self::NumericDate => date(value).map(Value::from),
            Self::NumericDateOrNever => match date(value) {
                Some(0) => return Ok(None),
                date => date.map(Value::from),
            },
            Self::Rfc3339 => value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok())
                .map(|date| date.as_second().into()),
            Self::Lifetime => date(value).map(|left| now.unix_seconds.saturating_add(left).into()),
            Self::Boolean => value
                .as_bool()
                .or_else(|| value.as_str()?.parse().ok())
                .map(Value::Bool),
        };
        claim.map(Some).ok_or(CheckError::Answer(
            "a claim in it has another type than announced",
        ))
    }
}

/// A whole number that is not negative, or one written as text.
fn date(value: &Value) -> Option<i64> {
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value
        .as_i64()
        .or_else(|| value.as_str().filter(digits)?.parse().ok());
    seconds.filter(|seconds| *seconds >= 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        clippy::needless_pass_by_value,
        reason = "an instant can only be made by reading the clock; json! makes values"
    )]
    fn read(reading: Reading, value: Value) -> Result<Option<Value>, CheckError> {
        let source = ClaimSource {
            document: Document::Answer(0),
            pointer: "/a".to_owned(),
            reading,
        };
        let now = Now {
            instant: Instant::now(),
            unix_seconds: 1_790_000_000,
        };
        source.read(json!({ "a": value }).as_object().expect("an object"), now)
    }

    #[test]
    fn every_kind_of_value_becomes_its_claim() {
        for (reading, value, claim) in [
            (Reading::Value, json!(["a"]), json!(["a"])),
            (Reading::Integer, json!(42), json!("42")),
            (
                Reading::Integer,
                json!(18_446_744_073_709_551_615_u64),
                json!("18446744073709551615"),
            ),
            (
                Reading::NumericDate,
                json!("1790003600"),
                json!(1_790_003_600),
            ),
            (
                Reading::NumericDate,
                json!(1_790_003_600),
                json!(1_790_003_600),
            ),
            (Reading::NumericDateOrNever, json!(5), json!(5)),
            (
                Reading::Rfc3339,
                json!("2026-09-21T14:13:20Z"),
                json!(1_790_000_000),
            ),
            (Reading::Lifetime, json!(6900), json!(1_790_006_900)),
            (Reading::Boolean, json!("true"), json!(true)),
            (Reading::Boolean, json!(false), json!(false)),
        ] {
            assert_eq!(read(reading, value.clone()), Ok(Some(claim)), "{value}");
        }
    }

    #[test]
    fn absent_and_null_are_no_claim_and_zero_can_mean_never() {
        for reading in [Reading::Value, Reading::Integer, Reading::Rfc3339] {
            assert_eq!(read(reading, Value::Null), Ok(None));
        }
        assert_eq!(read(Reading::NumericDateOrNever, json!(0)), Ok(None));
        assert_eq!(read(Reading::NumericDate, json!(0)), Ok(Some(json!(0))));
    }

    #[test]
    fn a_value_of_another_kind_is_an_error_and_never_skipped() {
        for (reading, value) in [
            (Reading::Integer, json!("42")),
            (Reading::Integer, json!(4.2)),
            (Reading::Integer, json!(1e18)),
            (Reading::NumericDate, json!(-1)),
            (Reading::NumericDate, json!("1e9")),
            (Reading::NumericDate, json!("+5")),
            (Reading::NumericDate, json!(1.5)),
            (Reading::NumericDateOrNever, json!("")),
            (Reading::NumericDateOrNever, json!(false)),
            (Reading::Rfc3339, json!(1_790_000_000)),
            (Reading::Rfc3339, json!("tomorrow")),
            (Reading::Lifetime, json!("soon")),
            (Reading::Boolean, json!("True")),
            (Reading::Boolean, json!(1)),
        ] {
            assert!(read(reading, value.clone()).is_err(), "{reading:?} {value}");
        }
    }
}
