//! An object whose text is in one place.
//!
//! A token holds some thirty names and strings. Room for each of them is more work than to read them
//! (docs/adr/0021).

use std::{cmp::Ordering, ops::Range};

use serde_json::{Map, Number, Value};

/// Room for the members of an ordinary token, so that it is asked for once.
pub(super) const USUAL_MEMBERS: usize = 16;

/// An object, read once and never changed. Has no `Debug`: it is what a token says.
pub struct Object {
    text: String,
    members: Vec<Member>,
}

/// A value within an [`Object`].
#[derive(Clone, Copy)]
pub enum Json<'o> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number that a double, an `i64` or a `u64` holds.
    Number(&'o Number),
    /// A string.
    Text(&'o str),
    /// An array.
    Array(Elements<'o>),
    /// An object.
    Object(Members<'o>),
}

/// The elements of an array, in their order.
#[derive(Clone, Copy)]
pub struct Elements<'o> {
    text: &'o str,
    nodes: &'o [Node],
}

/// The members of an object, each name once.
#[derive(Clone, Copy)]
pub struct Members<'o> {
    text: &'o str,
    /// Ordered by their names.
    members: &'o [Member],
}

/// Where a name or a string is in the text.
pub(super) type Span = Range<usize>;

pub(super) struct Member {
    pub(super) name: Name,
    pub(super) value: Node,
}

pub(super) struct Name {
    /// [`beginning`]
    begins: u64,
    all: Span,
}

pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Span),
    Array(Vec<Self>),
    Object(Vec<Member>),
}

/// An object has two members of one name.
pub(super) struct Duplicate;

/// An object that is being read.
pub(super) struct Builder {
    text: String,
}

impl Builder {
    /// `bytes`: those of the document. Its text is no longer than they are.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    pub(super) fn name(&mut self, name: &str) -> Name {
        Name {
            begins: beginning(name),
            all: self.text(name),
        }
    }

    /// The members of one object.
    pub(super) fn object(&self, members: Vec<Member>) -> Result<Vec<Member>, Duplicate> {
        let members = self.sorted(members);
        let same = |pair: &[Member]| matches!(pair, [one, other] if self.order(one, other).is_eq());
        if members.windows(2).any(same) {
            return Err(Duplicate);
        }
        Ok(members)
    }

    pub(super) fn finish(self, members: Vec<Member>) -> Object {
        Object {
            text: self.text,
            members,
        }
    }

    fn copy(&mut self, value: Value) -> Node {
        match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(value),
            Value::Number(number) => Node::Number(number),
            Value::String(text) => Node::Text(self.text(&text)),
            Value::Array(list) => Node::Array(list.into_iter().map(|it| self.copy(it)).collect()),
            Value::Object(members) => Node::Object(self.copy_members(members)),
        }
    }

    fn copy_members(&mut self, members: Map<String, Value>) -> Vec<Member> {
        let copy = |(name, value): (String, Value)| Member {
            name: self.name(&name),
            value: self.copy(value),
        };
        let members = members.into_iter().map(copy).collect();
        self.sorted(members)
    }

    fn sorted(&self, mut members: Vec<Member>) -> Vec<Member> {
        members.sort_unstable_by(|one, other| self.order(one, other));
        members
    }

    fn order(&self, one: &Member, other: &Member) -> Ordering {
        one.name.order(&self.text, &other.name.key(&self.text))
    }
}

/// A name that others are compared with.
struct Key<'o> {
    begins: u64,
    all: &'o str,
}

impl<'o> Key<'o> {
    fn of(all: &'o str) -> Self {
        Self {
            begins: beginning(all),
            all,
        }
    }
}

impl Name {
    fn key<'o>(&self, text: &'o str) -> Key<'o> {
        Key {
            begins: self.begins,
            all: slice(text, &self.all),
        }
    }

    /// As their bytes are ordered. Most names differ in the beginning: two numbers tell.
    fn order(&self, text: &str, other: &Key<'_>) -> Ordering {
        let begins = self.begins.cmp(&other.begins);
        begins.then_with(|| slice(text, &self.all).cmp(other.all))
    }
}

/// The first eight bytes, as a number that is ordered as they are.
fn beginning(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(bytes)
}

fn slice<'o>(text: &'o str, span: &Span) -> &'o str {
    // A span is made of the text that it is used with.
    text.get(span.clone()).unwrap_or_default()
}

impl Node {
    fn view<'o>(&'o self, text: &'o str) -> Json<'o> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => Json::Number(number),
            Self::Text(span) => Json::Text(slice(text, span)),
            Self::Array(nodes) => Json::Array(Elements { text, nodes }),
            Self::Object(members) => Json::Object(Members { text, members }),
        }
    }
}

impl Object {
    /// Its members.
    pub fn members(&self) -> Members<'_> {
        Members {
            text: &self.text,
            members: &self.members,
        }
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        self.members().get(name)
    }
}

impl From<Map<String, Value>> for Object {
    fn from(members: Map<String, Value>) -> Self {
        let mut builder = Builder::with_capacity(0);
        let members = builder.copy_members(members);
        builder.finish(members)
    }
}

impl<'o> Members<'o> {
    /// The value of a member.
    pub fn get(self, name: &str) -> Option<Json<'o>> {
        let key = Key::of(name);
        let order = |member: &Member| member.name.order(self.text, &key);
        let at = self.members.binary_search_by(order).ok()?;
        Some(self.members.get(at)?.value.view(self.text))
    }

    /// Names and values, in the order of the names.
    pub fn iter(self) -> impl Iterator<Item = (&'o str, Json<'o>)> {
        let member = move |member: &'o Member| {
            let name = slice(self.text, &member.name.all);
            (name, member.value.view(self.text))
        };
        self.members.iter().map(member)
    }

    /// The same for those who speak serde's words.
    pub fn to_map(self) -> Map<String, Value> {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }
}

impl<'o> Elements<'o> {
    /// One after the other.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Json<'o>> {
        self.nodes.iter().map(move |node| node.view(self.text))
    }

    fn get(self, index: usize) -> Option<Json<'o>> {
        Some(self.nodes.get(index)?.view(self.text))
    }
}

impl<'o> Json<'o> {
    /// A string.
    pub fn as_str(self) -> Option<&'o str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// An object.
    pub fn as_object(self) -> Option<Members<'o>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// What one token of a JSON pointer, unescaped, leads to (RFC 6901 §4).
    pub fn step(self, token: &str) -> Option<Self> {
        match self {
            Self::Object(members) => members.get(token),
            Self::Array(elements) => elements.get(index(token)?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }

    /// The same for those who speak serde's words.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Array(elements) => Value::Array(elements.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(members.to_map()),
        }
    }
}

/// One token of a JSON pointer as the name it stands for (RFC 6901 §4). In this order: `~01` is `~1`.
pub fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// A name as one token of a JSON pointer (RFC 6901 §3).
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Digits without a leading zero, and nothing else (RFC 6901 §4).
fn index(token: &str) -> Option<usize> {
    let is_digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let is_index = is_digits && (token == "0" || !token.starts_with('0'));
    is_index.then(|| token.parse().ok())?
}

#[cfg(test)]
mod tests;
