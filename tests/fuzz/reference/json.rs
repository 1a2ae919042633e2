//! JSON (RFC 8259) as I-JSON wants it (RFC 7493), into a tree that keeps the order, the duplicates and the digits: the
//! mutations work on it, too.

use super::{Broken, House, Ruling};

/// Deeper than any document that somebody could want, and shallow enough for the stack.
const DEEPEST: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Object),
}

/// In the order of the document.
pub type Object = Vec<(String, Json)>;

/// How large a document may be: depth, members and elements, bytes of a string.
#[derive(Clone, Copy)]
pub struct Limits(usize, usize, usize);

pub const TOKEN: Limits = Limits(16, 512, 4096);
pub const DOCUMENT: Limits = Limits(16, 8192, 16 * 1024);

pub fn get<'j>(object: &'j Object, name: &str) -> Option<&'j Json> {
    object
        .iter()
        .find_map(|(member, value)| (member == name).then_some(value))
}

/// A string member, or none; anything else under that name is an error.
pub fn text<'j>(object: &'j Object, name: &str) -> Ruling<Option<&'j str>> {
    match get(object, name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err("a member that must be a string is none"),
    }
}

/// One object without duplicate members (RFC 7493 §2.3), and nothing after it.
pub fn object(document: &[u8], limits: Limits, broken: &mut Broken) -> Ruling<Object> {
    let Json::Object(members) = parse(document)? else {
        return Err("the document is no object");
    };
    let root = Json::Object(members);
    if has_duplicates(&root) {
        return Err("duplicate members");
    }
    let (depth, count, longest) = measure(&root);
    let exceeds = depth > limits.0 || count > limits.1 || longest > limits.2;
    broken.add_if(exceeds, House::JsonLimits);
    match root {
        Json::Object(members) => Ok(members),
        _ => Err("the document is no object"),
    }
}

fn has_duplicates(json: &Json) -> bool {
    match json {
        Json::List(list) => list.iter().any(has_duplicates),
        Json::Object(members) => members.iter().enumerate().any(|(at, (name, value))| {
            members[..at].iter().any(|(other, _)| other == name) || has_duplicates(value)
        }),
        _ => false,
    }
}

fn measure(json: &Json) -> (usize, usize, usize) {
    let (children, names): (Vec<&Json>, usize) = match json {
        Json::Text(text) => return (0, 0, text.len()),
        Json::List(list) => (list.iter().collect(), 0),
        Json::Object(members) => (
            members.iter().map(|(_, value)| value).collect(),
            members
                .iter()
                .map(|(name, _)| name.len())
                .max()
                .unwrap_or(0),
        ),
        _ => return (0, 0, 0),
    };
    let inside: Vec<_> = children.into_iter().map(measure).collect();
    (
        1 + inside.iter().map(|one| one.0).max().unwrap_or(0),
        inside.len() + inside.iter().map(|one| one.1).sum::<usize>(),
        names.max(inside.iter().map(|one| one.2).max().unwrap_or(0)),
    )
}

/// Any one value.
pub fn parse(document: &[u8]) -> Ruling<Json> {
    let text = std::str::from_utf8(document).map_err(|_| "not UTF-8")?;
    let mut reader = Reader {
        rest: text,
        depth: 0,
    };
    let value = reader.value()?;
    reader.blank();
    reader
        .rest
        .is_empty()
        .then_some(value)
        .ok_or("more than one value")
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Ruling<Json> {
        self.blank();
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if self.take(word) {
                return Ok(value);
            }
        }
        if self.take("\"") {
            return self.string().map(Json::Text);
        }
        if self.rest.starts_with(['[', '{']) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("deeper than anybody reads");
            }
            let inside = if self.take("[") {
                self.list()
            } else {
                self.take("{");
                self.members()
            };
            self.depth -= 1;
            return inside;
        }
        self.number()
    }

    fn list(&mut self) -> Ruling<Json> {
        let mut list = Vec::new();
        self.blank();
        if self.take("]") {
            return Ok(Json::List(list));
        }
        loop {
            list.push(self.value()?);
            self.blank();
            if self.take("]") {
                return Ok(Json::List(list));
            }
            if !self.take(",") {
                return Err("a list without a comma");
            }
        }
    }

    fn members(&mut self) -> Ruling<Json> {
        let mut members = Vec::new();
        self.blank();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.blank();
            if !self.take("\"") {
                return Err("a member without a name");
            }
            let name = self.string()?;
            self.blank();
            if !self.take(":") {
                return Err("a member without a colon");
            }
            members.push((name, self.value()?));
            self.blank();
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            if !self.take(",") {
                return Err("an object without a comma");
            }
        }
    }

    fn string(&mut self) -> Ruling<String> {
        let mut text = String::new();
        loop {
            let character = self.character()?;
            match character {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                '\0'..='\u{1f}' => return Err("a control character in a string"),
                other => text.push(other),
            }
        }
    }

    fn character(&mut self) -> Ruling<char> {
        let character = self
            .rest
            .chars()
            .next()
            .ok_or("the document ends in a string")?;
        self.rest = &self.rest[character.len_utf8()..];
        Ok(character)
    }

    fn escape(&mut self) -> Ruling<char> {
        Ok(match self.character()? {
            '"' => '"',
            '\\' => '\\',
            '/' => '/',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode()?,
            _ => return Err("an escape that there is none"),
        })
    }

    /// RFC 8259 §7: a character beyond the first plane is a pair of surrogates, and half a pair is nothing.
    fn unicode(&mut self) -> Ruling<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or("no character");
        }
        if !(0xd800..0xdc00).contains(&first) || !self.take("\\u") {
            return Err("half a surrogate pair");
        }
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err("half a surrogate pair");
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            .ok_or("no character")
    }

    fn four_digits(&mut self) -> Ruling<u32> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.character()?.to_digit(16);
            value = value * 16 + digit.ok_or("an escape without four digits")?;
        }
        Ok(value)
    }

    fn digits(&mut self) -> Ruling<()> {
        let rest = self
            .rest
            .trim_start_matches(|digit: char| digit.is_ascii_digit());
        if rest.len() == self.rest.len() {
            return Err("a number without a digit");
        }
        self.rest = rest;
        Ok(())
    }

    fn number(&mut self) -> Ruling<Json> {
        let begin = self.rest;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _signed = self.take("+") || self.take("-");
            self.digits()?;
        }
        let written = &begin[..begin.len() - self.rest.len()];
        // RFC 7493 §2.2: what no double holds is no number.
        let fits = written.parse::<f64>().is_ok_and(f64::is_finite);
        fits.then(|| Json::Number(written.to_owned()))
            .ok_or("a number beyond all doubles")
    }
}

impl Json {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same for all who write the same in other words: members in order, numbers as twelve digits.
    pub fn normal(self) -> Self {
        match self {
            Self::Number(written) => {
                let value: f64 = written.parse().unwrap_or(f64::NAN);
                Self::Number(format!("{:.11e}", if value == 0.0 { 0.0 } else { value }))
            }
            Self::List(list) => Self::List(list.into_iter().map(Self::normal).collect()),
            Self::Object(members) => {
                let mut members: Object = members
                    .into_iter()
                    .map(|(name, value)| (name, value.normal()))
                    .collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                Self::Object(members)
            }
            other => other,
        }
    }
}

/// The document again.
impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(written) => f.write_str(written),
            Self::Text(text) => quoted(f, text),
            Self::List(list) => {
                let values = list.iter().map(ToString::to_string);
                write!(f, "[{}]", values.collect::<Vec<_>>().join(","))
            }
            Self::Object(members) => {
                f.write_str("{")?;
                let mut between = "";
                for (name, value) in members {
                    f.write_str(between)?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                    between = ",";
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut std::fmt::Formatter<'_>, text: &str) -> std::fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(character))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}
