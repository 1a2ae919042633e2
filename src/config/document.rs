//! The YAML text as a tree in which every value knows its line and column.

use std::{collections::HashMap, fmt};

use jsonschema::error::ValidationErrorKind;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_saphyr::{Location, Spanned};

use super::{
    problem::{Problem, Problems},
    schema,
};

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document {
    file: String,
    value: Value,
    /// JSON pointer → where the value, or for a member its name, stands.
    places: HashMap<String, (u64, u64)>,
}

impl Document {
    /// Reads YAML: one document, no duplicate keys, `yes` and `no` are text.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let root: Spanned<Node> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let place = error.location().map(|location| (location.line(), location.column()));
                let message = without_location(&error.to_string());
                Problems(vec![Problem { file: file.to_owned(), place, message }])
            })?;
        let mut places = HashMap::new();
        let value = root.value.into_value("", &mut places);
        places.entry(String::new()).or_insert((1, 1));
        Ok(Self { file: file.to_owned(), value, places })
    }

    /// Holds the tree against the schema, reporting everything that does not fit.
    pub(super) fn typed(&self) -> Result<schema::File, Problems> {
        let schema = schema::json_schema();
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| self.only("", format!("internal error in the schema: {error}")))?;
        let problems: Vec<Problem> = validator
            .iter_errors(&self.value)
            .flat_map(|error| {
                let at = error.instance_path().as_str().to_owned();
                describe(&at, error.kind(), &error.to_string())
            })
            .map(|(pointer, message)| self.problem(&pointer, message))
            .collect();
        if !problems.is_empty() {
            return Err(Problems::sorted(problems));
        }
        serde_json::from_value(self.value.clone())
            .map_err(|error| self.only("", format!("does not fit the schema: {error}")))
    }

    /// A problem with the value at a JSON pointer, or the nearest place around it.
    pub(super) fn problem(&self, pointer: &str, message: String) -> Problem {
        let mut at = pointer;
        let place = loop {
            match (self.places.get(at), at.rsplit_once('/')) {
                (Some(place), _) => break Some(*place),
                (None, Some((around, _))) => at = around,
                (None, None) => break None,
            }
        };
        Problem { file: self.file.clone(), place, message }
    }

    fn only(&self, pointer: &str, message: String) -> Problems {
        Problems(vec![self.problem(pointer, message)])
    }
}

/// A YAML value and the places of what is in it.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl Node {
    fn into_value(self, pointer: &str, places: &mut HashMap<String, (u64, u64)>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let pointer = format!("{pointer}/{index}");
                    places.insert(pointer.clone(), place(&item.referenced));
                    item.value.into_value(&pointer, places)
                })
                .collect(),
            Self::Map(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    let token = name.value.replace('~', "~0").replace('/', "~1");
                    let pointer = format!("{pointer}/{token}");
                    places.insert(pointer.clone(), place(&name.referenced));
                    object.insert(name.value, member.value.into_value(&pointer, places));
                }
                Value::Object(object)
            }
        }
    }
}

fn place(location: &Location) -> (u64, u64) {
    (location.line(), location.column())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Node::Map(members))
    }
}

/// A schema violation in the operator's words: where, and what to do.
fn describe(at: &str, kind: &ValidationErrorKind, fallback: &str) -> Vec<(String, String)> {
    let name = at.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("the file");
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's own words serve for the rest")]
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let token = key.replace('~', "~0").replace('/', "~1");
                (format!("{at}/{token}"), format!("unknown key '{key}'"))
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let missing = property.as_str().unwrap_or_default();
            vec![(at.to_owned(), format!("'{missing}' is missing"))]
        }
        ValidationErrorKind::Type { kind } => {
            vec![(at.to_owned(), format!("'{name}' must be {}", type_name(kind)))]
        }
        ValidationErrorKind::Enum { options } => {
            vec![(at.to_owned(), format!("'{name}' must be one of {options}"))]
        }
        _ => vec![(at.to_owned(), format!("'{name}': {fallback}"))],
    }
}

fn type_name(kind: &jsonschema::error::TypeKind) -> String {
    let words = format!("{kind:?}").to_ascii_lowercase();
    let known = [
        ("object", "a map"),
        ("array", "a list"),
        ("string", "text"),
        ("boolean", "true or false"),
        ("integer", "a whole number"),
        ("number", "a number"),
    ];
    known
        .iter()
        .find(|(word, _)| words.contains(word))
        .map_or(words.clone(), |(_, plain)| (*plain).to_owned())
}

/// The parser writes `error: line 2 column 1: …`; the place is printed by us.
fn without_location(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match first.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest.to_owned(),
        Some(_) | None => first.to_owned(),
    }
}
