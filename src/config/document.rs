//! The YAML text as a tree in which every value knows its line and column.

pub(super) mod words;

use std::{collections::HashMap, fmt};

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
use crate::verify::strict_json::escaped;

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
                let place = error
                    .location()
                    .map(|location| (location.line(), location.column()));
                Problems(vec![Problem {
                    file: file.to_owned(),
                    place,
                    message: words::not_yaml(&error),
                }])
            })?;
        let mut places = HashMap::new();
        let value = root.value.into_value("", &mut places);
        places.entry(String::new()).or_insert((1, 1));
        Ok(Self {
            file: file.to_owned(),
            value,
            places,
        })
    }

    /// Holds the tree against the schema, reporting everything that does not fit.
    pub(super) fn typed(&self) -> Result<schema::File, Problems> {
        let schema = schema::json_schema();
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| self.only("", format!("internal error in the schema: {error}")))?;
        let problems: Vec<Problem> = validator
            .iter_errors(&self.value)
            .flat_map(|error| words::violation(&schema, &error))
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
        Problem {
            file: self.file.clone(),
            place,
            message,
        }
    }

    /// The tree as pairs of text, value → user name.
    pub(super) fn pairs(&self) -> Result<Vec<(&str, &str)>, Problems> {
        let Some(members) = self.value.as_object() else {
            return Err(self.only("", "must be a map of pairs, value: user".to_owned()));
        };
        let mut pairs = Vec::new();
        let mut problems = Vec::new();
        for (name, value) in members {
            if let Value::String(text) = value {
                pairs.push((name.as_str(), text.as_str()));
            } else {
                let why = "the user must be text: put it into quotes";
                problems.push(self.problem(&child("", name), why.to_owned()));
            }
        }
        if members.is_empty() {
            return Err(self.only("", "holds no pairs: every user would be refused".to_owned()));
        }
        if problems.is_empty() {
            Ok(pairs)
        } else {
            Err(Problems::sorted(problems))
        }
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
                    let pointer = child(pointer, &name.value);
                    places.insert(pointer.clone(), place(&name.referenced));
                    object.insert(name.value, member.value.into_value(&pointer, places));
                }
                Value::Object(object)
            }
        }
    }
}

/// The JSON pointer (RFC 6901) of a member of what `pointer` names.
pub(in crate::config) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", escaped(name))
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
        // `1e3` is a whole number in the schema's eyes; then let it be one in serde's too.
        let whole = (value.fract() == 0.0).then(|| format!("{value:.0}").parse::<i64>().ok());
        let number = whole.flatten().map(Value::from);
        Ok(Node::Scalar(number.unwrap_or_else(|| value.into())))
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
