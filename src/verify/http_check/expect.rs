//! How an answer is told from others.

use serde_json::{Map, Value};

use crate::verify::strict_json::unescaped;

/// A status, and conditions on the document. All must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The HTTP status.
    pub status: u16,
    /// What the document must say.
    pub conditions: Vec<Condition>,
}

/// What stands at a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// This boolean.
    Is(String, bool),
    /// This string, or this whole number in decimal.
    Equals(String, String),
}

impl Expect {
    /// `document`: the answer, if it is strict JSON.
    pub(super) fn fits(&self, status: u16, document: Option<&Map<String, Value>>) -> bool {
        status == self.status
            && self
                .conditions
                .iter()
                .all(|condition| document.is_some_and(|document| condition.holds(document)))
    }
}

impl Condition {
    fn holds(&self, document: &Map<String, Value>) -> bool {
        match self {
            Self::Is(pointer, wanted) => at(document, pointer) == Some(&Value::Bool(*wanted)),
            Self::Equals(pointer, wanted) => match at(document, pointer) {
                Some(Value::String(text)) => text == wanted,
                Some(Value::Number(number)) => !number.is_f64() && number.to_string() == *wanted,
                _ => false,
            },
        }
    }
}

/// The value at a JSON pointer (RFC 6901) below an object.
pub(super) fn at<'d>(document: &'d Map<String, Value>, pointer: &str) -> Option<&'d Value> {
    let path = pointer.strip_prefix('/')?;
    let first = path.split('/').next()?;
    document
        .get(&unescaped(first))?
        .pointer(path.strip_prefix(first)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(condition: Condition, document: &Value) -> bool {
        let expect = Expect {
            status: 200,
            conditions: vec![condition],
        };
        expect.fits(200, document.as_object())
    }

    #[test]
    fn a_boolean_is_a_boolean_and_not_a_text_that_says_so() {
        let wanted = || Condition::Is("/data/ok".to_owned(), true);
        assert!(fits(wanted(), &json!({"data": {"ok": true}})));
        for other in [
            json!("true"),
            json!(1),
            json!(false),
            json!(null),
            json!([true]),
        ] {
            assert!(!fits(wanted(), &json!({"data": {"ok": other}})), "{other}");
        }
        assert!(!fits(wanted(), &json!({"ok": true})));
    }

    #[test]
    fn text_and_whole_numbers_are_compared_exactly() {
        let wanted = |text: &str| Condition::Equals("/code".to_owned(), text.to_owned());
        assert!(fits(wanted("190"), &json!({"code": 190})));
        assert!(fits(wanted("190"), &json!({"code": "190"})));
        for other in [json!(190.0), json!(1900), json!("0190"), json!([190])] {
            assert!(!fits(wanted("190"), &json!({"code": other})), "{other}");
        }
    }

    #[test]
    fn without_conditions_the_status_decides_and_with_them_a_document_is_needed() {
        let status = Expect {
            status: 404,
            conditions: Vec::new(),
        };
        assert!(status.fits(404, None));
        assert!(!status.fits(400, None));
        let with = Expect {
            status: 404,
            conditions: vec![Condition::Is("/a".to_owned(), false)],
        };
        assert!(!with.fits(404, None));
    }

    #[test]
    fn a_pointer_names_members_with_slashes() {
        let document = json!({"https://slack.com/team_id": "T1", "a": [{"b": 2}]});
        let document = document.as_object().expect("an object");
        assert_eq!(
            at(document, "/https:~1~1slack.com~1team_id"),
            Some(&json!("T1"))
        );
        assert_eq!(at(document, "/a/0/b"), Some(&json!(2)));
        for nothing in ["", "a", "/", "/x", "/a/1", "/a/0/b/c"] {
            assert_eq!(at(document, nothing), None, "{nothing}");
        }
    }
}
