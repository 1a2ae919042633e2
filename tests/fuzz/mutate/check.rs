//! Edits of a check's fields, and of the token in it.

use atlassian_authz::pb::envoy::{
    config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
    service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer},
    },
};
use prost::Message;

use super::{Edit, Stock, bytes, token};
use crate::{
    recipe::{self, Recipe},
    world,
};

const METHODS: [&str; 11] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "get", "",
];
const HOSTS: [&str; 8] = [
    "jira.example.com",
    "wiki.example.com",
    "git.example.com",
    "trial.example.com",
    "JIRA.Example.Com.",
    "jira.example.com:443",
    "[::1]",
    "jira.example.com,evil.example",
];
const SOURCES: [&str; 7] = [
    "10.0.0.1",
    "10.66.0.1",
    "192.0.2.1",
    "::1",
    "::ffff:10.0.0.1",
    "",
    "10.0.0.1:80",
];
const APPLICATIONS: [&str; 6] = ["jira", "wiki", "git", "trial", "Jira", ""];
const HEADERS: [(&str, &str); 16] = [
    ("x-remote-user", "admin"),
    ("X_Remote.User", "admin"),
    ("remote-user", "admin"),
    ("x-forwarded-user", "admin"),
    ("x-auth-request-user", "admin"),
    ("cookie", "JSESSIONID=1"),
    ("authorization", "Basic YWxpY2U6c2VjcmV0"),
    ("Authorization", "Bearer x"),
    ("proxy-authorization", "Bearer x"),
    ("upgrade", "websocket"),
    ("upgrade", "h2c"),
    ("origin", "https://wiki.example.com"),
    ("access-control-request-method", "GET"),
    ("x-http-method-override", "DELETE"),
    ("x-original-url", "/public/x"),
    ("x-forwarded-for", "10.0.0.1"),
];

pub fn edit(data: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    let Some(mut check) = recipe::check(data) else {
        return bytes::edit(data, edit, stock);
    };
    let attributes = check.attributes.get_or_insert_default();
    if edit.kind(2) == 0 {
        let http = attributes
            .request
            .get_or_insert_default()
            .http
            .get_or_insert_default();
        credential(http, &edit.inner(2), stock);
    } else {
        field(attributes, &edit.inner(2), stock);
    }
    *data = check.encode_to_vec();
}

fn field(attributes: &mut AttributeContext, edit: &Edit, stock: &Stock) {
    let inner = edit.inner(12);
    let http = attributes
        .request
        .get_or_insert_default()
        .http
        .get_or_insert_default();
    match edit.kind(12) {
        0 => (*edit.other.get(&METHODS)).clone_into(&mut http.method),
        1 => (*edit.other.get(&HOSTS)).clone_into(&mut http.host),
        2 => text(&mut http.host, &inner, stock),
        3 => http.path = String::from_utf8_lossy(stock.word(edit)).into_owned(),
        4 | 5 => text(&mut http.path, &inner, stock),
        6 => header(http, &inner, stock),
        7 => turn_encoding(http, edit.amount),
        8 => attributes.source = edit.choose_other(&SOURCES).map(|address| peer(address)),
        9 => {
            let name = (*edit.other.get(&APPLICATIONS)).to_owned();
            drop(
                attributes
                    .context_extensions
                    .insert("application".to_owned(), name),
            );
        }
        10 => attributes.context_extensions.clear(),
        _ => borrow(http, edit, stock),
    }
}

fn text(text: &mut String, edit: &Edit, stock: &Stock) {
    let mut raw = std::mem::take(text).into_bytes();
    bytes::edit(&mut raw, edit, stock);
    *text = String::from_utf8_lossy(&raw).into_owned();
}

fn peer(address: &str) -> Peer {
    let socket = SocketAddress {
        address: address.to_owned(),
    };
    Peer {
        address: Some(Address {
            address: Some(address::Address::SocketAddress(socket)),
        }),
    }
}

fn header(http: &mut HttpRequest, edit: &Edit, stock: &Stock) {
    let (name, value) = *edit.other.get(&HEADERS);
    let headers = &mut http.header_map.get_or_insert_default().headers;
    let at = edit.at.index(headers.len() + 1);
    match edit.kind(6) {
        0 if at < headers.len() => drop(headers.remove(at)),
        1 if at < headers.len() => headers.push(headers[at].clone()),
        2 if at < headers.len() => text(&mut headers[at].key, &edit.inner(6), stock),
        3 if at < headers.len() => {
            let mut raw = headers[at].raw_value.to_vec();
            bytes::edit(&mut raw, &edit.inner(6), stock);
            headers[at].raw_value = raw.into();
        }
        4 => drop(http.headers.insert(name.to_owned(), value.to_owned())),
        _ => headers.insert(
            at,
            HeaderValue {
                key: name.to_owned(),
                value: String::new(),
                raw_value: value.as_bytes().to_vec().into(),
            },
        ),
    }
}

/// Envoy's other encoding, or both.
fn turn_encoding(http: &mut HttpRequest, amount: u16) {
    for header in http.header_map.iter().flat_map(|map| &map.headers) {
        let value = String::from_utf8_lossy(&header.raw_value).into_owned();
        http.headers.insert(header.key.clone(), value);
    }
    match amount % 3 {
        0 => http.header_map = None,
        1 => http.header_map = Some(HeaderMap::default()),
        _ => {}
    }
}

/// The headers of another seed, with their token.
fn borrow(http: &mut HttpRequest, edit: &Edit, stock: &Stock) {
    let other =
        recipe::check(stock.other_seed(edit)).and_then(|check| check.attributes?.request?.http);
    if let Some(HttpRequest {
        header_map,
        headers,
        ..
    }) = other
    {
        http.header_map = header_map;
        http.headers = headers;
    }
}

/// An edit of the token behind `Bearer`, or of the API token behind either scheme.
fn credential(http: &mut HttpRequest, edit: &Edit, stock: &Stock) {
    let headers = http.header_map.iter_mut().flat_map(|map| &mut map.headers);
    for header in headers.filter(|header| header.key == "authorization") {
        let value = header.raw_value.clone();
        let schemes = [&b"Bearer "[..], b"Basic "];
        let found = schemes
            .iter()
            .find_map(|scheme| Some((scheme, value.strip_prefix(*scheme)?)));
        let Some((scheme, recipe)) = found else {
            continue;
        };
        let mut recipe = recipe.to_vec();
        match Recipe::of(&recipe).filter(|recipe| [&b"api"[..], b"wrong"].contains(&recipe.seal)) {
            Some(own) => recipe = api_token(&own, edit, stock),
            None => token::edit(&mut recipe, edit, &tokens(stock)),
        }
        header.raw_value = [scheme, recipe.as_slice()].concat().into();
    }
}

/// Another token of the world, another user, another secret, more text.
fn api_token(recipe: &Recipe<'_>, edit: &Edit, stock: &Stock) -> Vec<u8> {
    let orders = world::tokens::ORDERS
        .each_ref()
        .map(|order| order.name.as_bytes());
    let (mut header, mut payload) = (recipe.header.to_vec(), recipe.payload.to_vec());
    let mut seal = recipe.seal;
    match edit.kind(6) {
        // A name of a token stands before the bar behind `Bearer`, and after it behind `Basic`.
        0 if payload.is_empty() => header = edit.choose_other(&orders).unwrap_or(&seal).to_vec(),
        0 | 1 => payload = edit.choose_other(&orders).unwrap_or(&seal).to_vec(),
        2 => seal = if seal == b"api" { b"wrong" } else { b"api" },
        3 => header = header.to_ascii_uppercase(),
        4 => bytes::edit(&mut header, &edit.inner(6), stock),
        _ => bytes::edit(&mut payload, &edit.inner(6), stock),
    }
    let changed = Recipe {
        seal,
        header: &header,
        payload: &payload,
    };
    changed.written()
}

fn tokens(stock: &Stock) -> Stock {
    let recipe = |check: CheckRequest| {
        let headers = check.attributes?.request?.http?.header_map?.headers;
        let mut values = headers.into_iter().map(|header| header.raw_value);
        values.find_map(|value| value.strip_prefix(b"Bearer ").map(<[u8]>::to_vec))
    };
    let mut seeds: Vec<_> = stock
        .seeds
        .iter()
        .filter_map(|seed| recipe(recipe::check(seed)?))
        .collect();
    if seeds.is_empty() {
        seeds.push(Vec::new());
    }
    Stock {
        kind: stock.kind,
        seeds,
        words: stock.words.clone(),
    }
}
