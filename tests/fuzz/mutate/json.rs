//! Edits of a JSON document, which stays one: a member twice, of another type, from elsewhere, a date one second later.

use super::{Edit, Stock, bytes};
use crate::reference::json::{self, Json};

pub fn edit(data: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    let Ok(mut document) = json::parse(data) else {
        return bytes::edit(data, edit, stock);
    };
    change(&mut document, edit, stock);
    *data = document.to_string().into_bytes();
}

/// Words that are JSON, and text that is none as a string.
fn word(edit: &Edit, stock: &Stock) -> Json {
    let word = stock.word(edit);
    json::parse(word).unwrap_or_else(|_| Json::Text(String::from_utf8_lossy(word).into_owned()))
}

/// A word that may be the name of a member.
fn name(edit: &Edit, stock: &Stock) -> String {
    match word(edit, stock) {
        Json::Text(name) => name,
        other => other.to_string(),
    }
}

fn change(document: &mut Json, edit: &Edit, stock: &Stock) {
    let count = size(document);
    let at = edit.at.index(count);
    let copy = node(document, edit.other.index(count)).map(|node| node.clone());
    let Some(here) = node(document, at) else {
        return;
    };
    match edit.kind(12) {
        0 => *here = word(edit, stock),
        1 => *here = copy.unwrap_or(Json::Null),
        2 => *here = Json::List(vec![here.clone()]),
        3 => *here = Json::List(vec![word(edit, stock), here.clone()]),
        4 => *here = other_type(here),
        5 => grow(here, edit.amount),
        6 => {
            if let Some(theirs) = json::parse(stock.other_seed(edit)).ok().as_mut() {
                let count = size(theirs);
                *here = node(theirs, usize::from(edit.amount) % count)
                    .map_or(Json::Null, |node| node.clone());
            }
        }
        7 | 8 => adjust(here, edit, stock),
        _ => members(document, edit, stock),
    }
}

/// The same word in another type.
fn other_type(json: &Json) -> Json {
    match json {
        Json::Null => Json::Text("null".to_owned()),
        Json::Bool(value) => Json::Text(value.to_string()),
        Json::Number(written) => Json::Text(written.clone()),
        Json::Text(text) => json::parse(text.as_bytes()).unwrap_or(Json::Null),
        Json::List(list) => list.first().cloned().unwrap_or(Json::Null),
        Json::Object(members) => {
            Json::List(members.iter().map(|(_, value)| value.clone()).collect())
        }
    }
}

/// Beyond the limits, or nearly.
fn grow(json: &mut Json, amount: u16) {
    match amount % 4 {
        0 => {
            for _ in 0..12 + amount % 8 {
                *json = Json::List(vec![json.clone()]);
            }
        }
        1 => *json = Json::List(vec![json.clone(); usize::from(amount % 32)]),
        2 => *json = Json::List(vec![Json::Null; 480 + usize::from(amount % 64)]),
        _ => *json = Json::Text("x".repeat(4080 + usize::from(amount % 32))),
    }
}

/// A number a little beside, a text in other words.
fn adjust(json: &mut Json, edit: &Edit, stock: &Stock) {
    match json {
        Json::Number(written) => {
            let value: f64 = written.parse().unwrap_or(0.0);
            let new = match edit.amount % 12 {
                0 => format!("{}", value + 1.0),
                1 => format!("{}", value - 1.0),
                2 => format!("{}", value + 30.0),
                3 => format!("{}", value - 30.0),
                4 => format!("{}", value + 3600.0),
                5 => format!("{}", value - 86_400.0),
                6 => format!("{written}.0"),
                7 => format!("{written}.5"),
                8 => format!("{value:e}"),
                9 => format!("{}", value * 1000.0),
                10 => format!("-{written}"),
                _ => format!("{written}e3"),
            };
            // What is no number stays what it was.
            if json::parse(new.as_bytes()).is_ok() {
                *written = new;
            }
        }
        Json::Text(text) if edit.amount.is_multiple_of(2) => *text = nearly(text, edit.amount / 2),
        Json::Text(text) => {
            let mut raw = text.clone().into_bytes();
            bytes::edit(&mut raw, &edit.inner(12), stock);
            *text = String::from_utf8_lossy(&raw).into_owned();
        }
        Json::Bool(value) => *value = !*value,
        other => *other = word(edit, stock),
    }
}

/// What a careless comparison takes for the same.
fn nearly(text: &str, amount: u16) -> String {
    match amount % 8 {
        0 => format!("{text}/"),
        1 => format!("{text} "),
        2 => format!(" {text}"),
        3 => format!("{text}\0"),
        4 => text.to_uppercase(),
        5 => text
            .chars()
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
        6 => format!("{text}x"),
        _ => text.to_lowercase(),
    }
}

/// Edits of an object's members.
fn members(document: &mut Json, edit: &Edit, stock: &Stock) {
    let objects: Vec<usize> = (0..size(document))
        .filter(|at| matches!(node(document, *at), Some(Json::Object(_))))
        .collect();
    let Some(at) = edit.choose(&objects) else {
        return;
    };
    let Some(Json::Object(members)) = node(document, *at) else {
        return;
    };
    let place = usize::from(edit.amount) % (members.len() + 1);
    let new = (name(edit, stock), word(&edit.turned(), stock));
    match edit.inner(12).kind(5) {
        0 if place < members.len() => drop(members.remove(place)),
        1 if place < members.len() => {
            let twice = members[place].clone();
            members.push(twice);
        }
        2 if place < members.len() => members[place].0 = new.0,
        3 if place < members.len() => {
            let twice = (members[place].0.clone(), new.1);
            members.push(twice);
        }
        _ => members.insert(place, new),
    }
}

impl Edit {
    /// Another word than the first.
    fn turned(&self) -> Self {
        Self {
            other: self.at,
            ..self.clone()
        }
    }
}

/// Values in a document, itself among them.
fn size(json: &Json) -> usize {
    1 + match json {
        Json::List(list) => list.iter().map(size).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    }
}

/// The value at a place, in the order of the document.
fn node(json: &mut Json, at: usize) -> Option<&mut Json> {
    if at == 0 {
        return Some(json);
    }
    let mut before = 1;
    let children: Vec<&mut Json> = match json {
        Json::List(list) => list.iter_mut().collect(),
        Json::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
        _ => return None,
    };
    for child in children {
        let inside = size(child);
        if at < before + inside {
            return node(child, at - before);
        }
        before += inside;
    }
    None
}
