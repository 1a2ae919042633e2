//! Inputs as people write them. A token is signed when it is used and not when it is written: so a mutation reaches the
//! claims and not only the signature, and no key has to be kept.
//!
//! * A token: `@SEAL HEADER|PAYLOAD`, both JSON, or `~` and the text of the part as it shall stand in the token. The seal
//!   is the name of a key, `none`, or `=` and the text of a signature. What does not begin with `@` is the token itself.
//! * An API token: `@api NAME|MORE`, what was issued under that name and what stands behind it; `@wrong NAME|` has its id and
//!   another secret. Behind `Basic` it is `@api USER|NAME`.
//! * A check: protobuf, or lines of text that [`check`] describes.

use std::{collections::HashMap, sync::LazyLock};

use atlassian_authz::pb::envoy::{
    config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
    service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer, Request},
    },
};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;

use crate::{
    reference::api_token,
    support::keys::{SigningKey, base64url},
    world::tokens,
};

/// The keys of the world.
pub static RS: LazyLock<SigningKey> = LazyLock::new(SigningKey::rs256);
pub static ES: LazyLock<SigningKey> = LazyLock::new(SigningKey::es256);
pub static ED: LazyLock<SigningKey> = LazyLock::new(SigningKey::eddsa);
/// Nobody publishes it.
static STRANGER: LazyLock<SigningKey> = LazyLock::new(SigningKey::es256);

/// Names of seals, for mutations.
pub const SEALS: [&str; 8] = ["rs", "es", "ed", "ps", "rs512", "hs", "stranger", "none"];

/// A recipe in its three parts.
pub struct Recipe<'a> {
    pub seal: &'a [u8],
    pub header: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> Recipe<'a> {
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let (seal, token) = split(data.strip_prefix(b"@")?, b' ')?;
        let (header, payload) = split(token, b'|')?;
        Some(Self {
            seal,
            header,
            payload,
        })
    }

    pub fn written(&self) -> Vec<u8> {
        [b"@", self.seal, b" ", self.header, b"|", self.payload].concat()
    }
}

fn split(data: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|byte| *byte == at)?;
    Some((&data[..end], &data[end + 1..]))
}

/// The token that a text stands for.
pub fn token(data: &[u8]) -> Vec<u8> {
    let Some(Recipe {
        seal,
        header,
        payload,
    }) = Recipe::of(data)
    else {
        return data.to_vec();
    };
    match seal {
        b"api" => return [tokens::text(header).as_bytes(), payload].concat(),
        b"wrong" => return with_another_secret(tokens::text(header)),
        _ => {}
    }
    let part = |part: &[u8]| match part.strip_prefix(b"~") {
        Some(text) => text.to_vec(),
        None => base64url(part).into_bytes(),
    };
    let signed = [part(header), part(payload)].join(&b'.');
    let signature = match seal.strip_prefix(b"=") {
        Some(text) => text.to_vec(),
        None => base64url(sign(seal, &signed)).into_bytes(),
    };
    [signed, signature].join(&b'.')
}

fn with_another_secret(token: &str) -> Vec<u8> {
    let mut body = token.as_bytes()[..token.len() - 6].to_vec();
    let last = body.last_mut().expect("a secret");
    *last = if *last == b'x' { b'y' } else { b'x' };
    let checksum = api_token::checksum(&body);
    [body.as_slice(), &checksum].concat()
}

fn sign(seal: &[u8], message: &[u8]) -> Vec<u8> {
    match seal {
        b"rs" => RS.sign(message),
        b"es" => ES.sign(message),
        b"ed" => ED.sign(message),
        b"ps" => sign_otherwise(&RSA_PSS_SHA256, message),
        b"rs512" => sign_otherwise(&RSA_PKCS1_SHA512, message),
        b"hs" => {
            // The public key taken for a secret.
            let secret = RS.jwk("k").to_string();
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            hmac::sign(&key, message).as_ref().to_vec()
        }
        b"stranger" => STRANGER.sign(message),
        _ => Vec::new(),
    }
}

fn sign_otherwise(encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let SigningKey::Rs256(key) = &*RS else {
        return Vec::new();
    };
    let mut signature = vec![0; key.public_modulus_len()];
    let signed = key.sign(encoding, &SystemRandom::new(), message, &mut signature);
    signed.expect("signs");
    signature
}

/// A check, its tokens still recipes. Either protobuf, or text:
///
/// ```text
/// GET jira.example.com /rest/api/2/myself
/// +application jira
/// +source 10.0.0.1
/// +joined
/// authorization: Bearer @rs {"alg":"RS256"}|{"iss":"https://rs.test"}
/// ```
///
/// `+application` is what Envoy's route says, `+source` the other end of its connection, `+joined` its older encoding of
/// headers.
pub fn check(data: &[u8]) -> Option<CheckRequest> {
    if !data.first().is_some_and(u8::is_ascii_uppercase) {
        return CheckRequest::decode(data).ok();
    }
    let mut lines = data
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let (method, rest) = split(lines.next()?, b' ')?;
    let (host, path) = split(rest, b' ')?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let mut written = Written {
        http: HttpRequest {
            method: text(method)?,
            host: text(host)?,
            path: text(path)?,
            scheme: "https".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            ..HttpRequest::default()
        },
        ..Written::default()
    };
    lines.try_for_each(|line| written.read(line))?;
    Some(written.check())
}

#[derive(Default)]
struct Written {
    http: HttpRequest,
    headers: Vec<HeaderValue>,
    application: Option<String>,
    source: Option<String>,
    joined: bool,
}

impl Written {
    fn read(&mut self, line: &[u8]) -> Option<()> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        if line == b"+joined" {
            self.joined = true;
        } else if let Some(name) = line.strip_prefix(b"+application ") {
            self.application = Some(text(name)?);
        } else if let Some(address) = line.strip_prefix(b"+source ") {
            self.source = Some(text(address)?);
        } else {
            let (name, value) = split(line, b':')?;
            self.headers.push(HeaderValue {
                key: text(name)?,
                value: String::new(),
                raw_value: value.strip_prefix(b" ").unwrap_or(value).to_vec().into(),
            });
        }
        Some(())
    }

    fn check(mut self) -> CheckRequest {
        if self.joined {
            let pairs = self.headers.iter().map(|header| {
                let value = String::from_utf8_lossy(&header.raw_value).into_owned();
                (header.key.clone(), value)
            });
            self.http.headers = pairs.collect();
        } else {
            let headers = self.headers;
            self.http.header_map = Some(HeaderMap { headers });
        }
        let source = self.source.map(|address| Peer {
            address: Some(Address {
                address: Some(address::Address::SocketAddress(SocketAddress { address })),
            }),
        });
        let application = self.application.into_iter();
        let context_extensions: HashMap<String, String> = application
            .map(|name| ("application".to_owned(), name))
            .collect();
        CheckRequest {
            attributes: Some(AttributeContext {
                source,
                request: Some(Request {
                    http: Some(self.http),
                }),
                context_extensions,
            }),
        }
    }
}

/// Signs every `Bearer @…` of a check.
pub fn seal(check: &mut CheckRequest) {
    let attributes = check.attributes.as_mut();
    let Some(http) = attributes.and_then(|one| one.request.as_mut()?.http.as_mut()) else {
        return;
    };
    for header in http.header_map.iter_mut().flat_map(|map| &mut map.headers) {
        if let Some(sealed) = sealed(&header.raw_value) {
            header.raw_value = sealed.into();
        }
        seal_text(&mut header.value);
    }
    http.headers.values_mut().for_each(seal_text);
}

fn seal_text(value: &mut String) {
    if let Some(sealed) = sealed(value.as_bytes()) {
        *value = String::from_utf8_lossy(&sealed).into_owned();
    }
}

fn sealed(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, recipe) = split(value, b' ')?;
    if scheme.eq_ignore_ascii_case(b"basic") {
        let named = Recipe::of(recipe).filter(|recipe| recipe.seal == b"api")?;
        let pair = [named.header, b":", tokens::text(named.payload).as_bytes()].concat();
        return Some([scheme, b" ", STANDARD.encode(pair).as_bytes()].concat());
    }
    let recipe = recipe.starts_with(b"@").then_some(recipe)?;
    Some([scheme, b" ", &token(recipe)].concat())
}
