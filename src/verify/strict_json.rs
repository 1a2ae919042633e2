//! JSON as RFC 7493 (I-JSON) wants it: no duplicate members, bounded in depth, members and strings.
//!
//! `serde_json` keeps the last of two equal members. The party that signed may have read the first:
//! such a document has two meanings and is refused (RFC 8725 §2.6).

mod object;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use object::{Builder, Member, Name, Node, USUAL_MEMBERS};
pub use object::{Elements, Json, Members, Object, escaped, unescaped};

/// How large a document may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nested arrays and objects.
    pub depth: usize,
    /// Members of objects and elements of arrays, all levels together.
    pub members: usize,
    /// Bytes of one string.
    pub string: usize,
}

impl Limits {
    /// For the header and the payload of a token.
    pub const TOKEN: Self = Self {
        depth: 16,
        members: 512,
        string: 4096,
    };
    /// For discovery documents and key sets: 100 keys with certificate chains fit.
    pub const DOCUMENT: Self = Self {
        depth: 16,
        members: 8192,
        string: 16 * 1024,
    };
}

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, not UTF-8, a number that no IEEE double holds, or more than one value.
    #[error("it is not valid JSON")]
    Syntax,
    /// An object has two members of one name.
    #[error("an object has duplicate members")]
    Duplicate,
    /// One of [`Limits`] is exceeded.
    #[error("it is too large or too deep")]
    TooLarge,
    /// The document is no object.
    #[error("it is not an object")]
    NotAnObject,
}

/// Reads one object and nothing after it, for those who speak serde's words.
pub fn parse_object(bytes: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    Ok(read_object(bytes, limits)?.members().to_map())
}

/// Reads one object and nothing after it.
pub fn read_object(bytes: &[u8], limits: Limits) -> Result<Object, JsonError> {
    let mut state = State {
        limits,
        builder: Builder::with_capacity(bytes.len()),
        members: 0,
        refused: None,
    };
    // Once for the document, and not once for each of its strings.
    let text = str::from_utf8(bytes).map_err(|_not_text| JsonError::Syntax)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Strict {
        state: &mut state,
        depth: 0,
    };
    let read = value
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    match read {
        Ok(Node::Object(members)) => Ok(state.builder.finish(members)),
        Ok(_) => Err(JsonError::NotAnObject),
        // serde_json's message may quote the document: only our own word leaves this function.
        Err(_may_quote) => Err(state.refused.unwrap_or(JsonError::Syntax)),
    }
}

struct State {
    limits: Limits,
    builder: Builder,
    members: usize,
    refused: Option<JsonError>,
}

impl State {
    fn refuse<E: serde::de::Error>(&mut self, error: JsonError) -> E {
        self.refused = Some(error);
        E::custom(error)
    }

    fn count_member<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(self.refuse(JsonError::TooLarge));
        }
        Ok(())
    }

    fn check_length<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.len() > self.limits.string {
            return Err(self.refuse(JsonError::TooLarge));
        }
        Ok(())
    }

    fn object<E: serde::de::Error>(&mut self, members: Vec<Member>) -> Result<Node, E> {
        let members = self.builder.object(members);
        let members = members.map_err(|_duplicate| self.refuse(JsonError::Duplicate))?;
        Ok(Node::Object(members))
    }
}

/// A value, at a depth.
struct Strict<'s> {
    state: &'s mut State,
    depth: usize,
}

impl Strict<'_> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.state.limits.depth {
            return Err(self.state.refuse(JsonError::TooLarge));
        }
        Ok(())
    }

    fn inner(&mut self) -> Strict<'_> {
        Strict {
            state: self.state,
            depth: self.depth,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value)
            .map(Node::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        self.state.check_length(text)?;
        Ok(Node::Text(self.state.builder.text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Node, A::Error> {
        self.enter()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(self.inner())? {
            self.state.count_member()?;
            array.push(element);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Node, A::Error> {
        self.enter()?;
        // Only once in a document: a hostile one has thousands of objects.
        let room = if self.depth == 1 { USUAL_MEMBERS } else { 0 };
        let mut object = Vec::with_capacity(room);
        while let Some(name) = members.next_key_seed(StrictName(self.state))? {
            self.state.count_member()?;
            let value = members.next_value_seed(self.inner())?;
            object.push(Member { name, value });
        }
        self.state.object(object)
    }
}

/// The name of a member.
struct StrictName<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for StrictName<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for StrictName<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Name, E> {
        self.0.check_length(text)?;
        Ok(self.0.builder.name(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Map<String, Value>, JsonError> {
        parse_object(text.as_bytes(), Limits::TOKEN)
    }

    #[test]
    fn a_duplicate_member_is_refused_at_every_level() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"c":2,"b":1}]}"#,
            r#"{"exp":1,"\u0065xp":2}"#,
        ] {
            assert_eq!(parse(text), Err(JsonError::Duplicate), "{text}");
        }
    }

    #[test]
    fn only_one_strict_utf8_object_is_read() {
        for text in [
            "",
            "{",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            r#"{"a":NaN}"#,
            r#"{"a":1e400}"#,
            r#"{"a":01}"#,
            "{'a':1}",
            r#"{"a":1,}"#,
        ] {
            assert_eq!(parse(text), Err(JsonError::Syntax), "{text}");
        }
        assert_eq!(
            parse_object(b"{\"a\":\"\xff\"}", Limits::TOKEN),
            Err(JsonError::Syntax)
        );
        for text in ["[]", "1", "null", "\"a\""] {
            assert_eq!(parse(text), Err(JsonError::NotAnObject), "{text}");
        }
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let text =
            r#"{"a":null,"b":true,"c":-1,"d":18446744073709551615,"e":1.5,"f":"x","g":[1,{}]}"#;
        let written = parse(text).map(Value::Object);
        assert_eq!(written.map(|value| value.to_string()), Ok(text.to_owned()));
    }

    #[test]
    fn depth_members_and_strings_are_bounded() {
        let deep =
            |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&deep(15)).is_ok());
        assert_eq!(parse(&deep(16)), Err(JsonError::TooLarge));
        assert_eq!(parse(&deep(100_000)), Err(JsonError::TooLarge));
        let members = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count));
        // The array itself is a member, too, and one element follows the others.
        assert!(parse(&members(510)).is_ok());
        for count in [511, 512] {
            assert_eq!(parse(&members(count)), Err(JsonError::TooLarge), "{count}");
        }
        let string = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        assert!(parse(&string(4096)).is_ok());
        assert_eq!(parse(&string(4097)), Err(JsonError::TooLarge));
        // A certificate chain of a key.
        let document = |text: String| parse_object(text.as_bytes(), Limits::DOCUMENT).map(drop);
        assert_eq!(document(string(16_384)), Ok(()));
        assert_eq!(document(string(16_385)), Err(JsonError::TooLarge));
    }
}
