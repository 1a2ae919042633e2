//! What the YAML parser and the schema complain about, in the words of the person who wrote the
//! file. No value is repeated: one of them could be a secret in the wrong place.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use crate::verify::strict_json::unescaped;

/// The sentence for text that is not YAML.
pub(super) fn not_yaml(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's own words serve for the rest"
    )]
    match error.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key '{key}' is there twice")
        }
        Error::NonFiniteFloat { .. } => "a number must be finite".to_owned(),
        Error::MultipleDocuments { .. } => {
            "'---' begins a second document: the configuration is one document".to_owned()
        }
        other => match without_place(&other.to_string()) {
            // The parser has several errors for it, one inside the other.
            words if words.starts_with("budget breached") => {
                "the file is too large, too deep, or repeats too much through aliases".to_owned()
            }
            words => format!("not YAML: {words}"),
        },
    }
}

/// The place is printed before the sentence, once.
fn without_place(message: &str) -> &str {
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    first.split(" at line ").next().unwrap_or(first)
}

/// The sentences for a violation of the schema, each with the JSON pointer of its place.
pub(super) fn violation(schema: &Value, error: &ValidationError<'_>) -> Vec<(String, String)> {
    let at = error.instance_path().as_str();
    let what = quoted(at);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the schema has no other rules, and these words repeat no value"
    )]
    let sentence = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(schema, error);
            let unknown = |key: &String| {
                let sentence =
                    format!("unknown key '{key}'{}: {}", inside(at), advice(key, &known));
                (super::child(at, key), sentence)
            };
            return unexpected.iter().map(unknown).collect();
        }
        ValidationErrorKind::Required { property } => {
            format!(
                "'{}' is missing{}",
                property.as_str().unwrap_or_default(),
                inside(at)
            )
        }
        ValidationErrorKind::OneOfNotValid { context } => {
            format!("{what} must be one of {}", constants(context).join(", "))
        }
        ValidationErrorKind::AnyOf { .. } => {
            let forms = around(schema, error).map(forms_of).unwrap_or_default();
            format!("{what} must be {}", forms.join(", or "))
        }
        ValidationErrorKind::Minimum { limit } => format!("{what} must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("{what} must be at most {limit}"),
        ValidationErrorKind::Type { kind } => wrong_type(schema, error, kind, &what),
        _ => format!("{what}: {}", error.masked()),
    };
    vec![(at.to_owned(), sentence)]
}

fn wrong_type(schema: &Value, error: &ValidationError<'_>, kind: &TypeKind, what: &str) -> String {
    let wanted = match kind {
        TypeKind::Single(kind) => kind.as_str(),
        TypeKind::Multiple(_) => "",
    };
    let plain = match wanted {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    };
    let example = around(schema, error).map_or(String::new(), example_in);
    let found = error.instance().as_ref();
    match (wanted, found) {
        ("object", Value::Null) if error.instance_path().as_str().is_empty() => {
            "the file is empty: 'providers' and 'applications' are needed".to_owned()
        }
        (_, Value::Null) => {
            format!("{what} is empty: write {plain}{example}, or leave the key out")
        }
        ("string", Value::Number(_) | Value::Bool(_)) if example.is_empty() => {
            format!("{what} must be text: put it into quotes")
        }
        ("integer", Value::Number(_)) => format!("{what} must be a whole number, not a fraction"),
        ("boolean", Value::String(word))
            if matches!(word.as_str(), "yes" | "no" | "on" | "off") =>
        {
            format!("{what} must be true or false; '{word}' is just text")
        }
        (_, found) => format!("{what} must be {plain}{example}, not {}", kind_of(found)),
    }
}

/// The forms between which a setting has the choice.
fn forms_of(node: &Value) -> Vec<String> {
    let alternatives = node.get("anyOf").and_then(Value::as_array);
    let form = |one: &Value| match one.get("type").and_then(Value::as_str) {
        Some("string") => format!("text{}", example_in(node)),
        Some("array") => "a list".to_owned(),
        // The only other form that there is: a secret.
        Some(_) | None => "{ file: FILE }, or { env: NAME }".to_owned(),
    };
    alternatives.map_or_else(Vec::new, |all| all.iter().map(form).collect())
}

fn example_in(node: &Value) -> String {
    let example = node.pointer("/examples/0").and_then(Value::as_str);
    example.map_or(String::new(), |example| format!(" such as {example}"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The part of the schema that the violated keyword stands in.
fn around<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Option<&'s Value> {
    let (node, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
    schema.pointer(node)
}

fn known_keys<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Vec<&'s str> {
    around(schema, error)
        .and_then(|node| node.get("properties")?.as_object())
        .map(|members| members.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn advice(key: &str, known: &[&str]) -> String {
    let folded = key.to_ascii_lowercase().replace('-', "_");
    // More than two letters, or half of the word, is no typing error.
    let close = |name: &&&str| distance(&folded, name) <= 2.min(name.len() / 2);
    match known
        .iter()
        .filter(close)
        .min_by_key(|name| distance(&folded, name))
    {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// How many letters must be written, erased or replaced (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for letter in left.chars() {
        let mut diagonal = 0;
        let mut before = 0;
        for (column, cell) in row.iter_mut().enumerate() {
            let above = *cell;
            *cell = match column.checked_sub(1).and_then(|column| right.get(column)) {
                None => above + 1,
                Some(other) => {
                    let replaced = diagonal + usize::from(*other != letter);
                    replaced.min(above + 1).min(before + 1)
                }
            };
            diagonal = above;
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn constants(context: &[Vec<ValidationError<'_>>]) -> Vec<String> {
    let mut constants = Vec::new();
    for error in context.iter().flatten() {
        if let ValidationErrorKind::Constant { expected_value } = error.kind() {
            constants.push(expected_value.as_str().unwrap_or_default().to_owned());
        }
    }
    constants
}

/// `/providers/0/jwt` → `'providers[0].jwt'`
pub(in crate::config) fn quoted(pointer: &str) -> String {
    let mut path = String::new();
    for token in pointer.split('/').skip(1) {
        let name = unescaped(token);
        if name.parse::<usize>().is_ok() {
            path = format!("{path}[{name}]");
        } else if path.is_empty() {
            path = name;
        } else {
            path = format!("{path}.{name}");
        }
    }
    if path.is_empty() {
        "the file".to_owned()
    } else {
        format!("'{path}'")
    }
}

fn inside(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!(" in {}", quoted(pointer))
    }
}
