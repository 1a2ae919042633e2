//! Edits of a token that is signed when it is used: claims and header as JSON, another key, another spelling of a part.

use super::{Edit, Stock, bytes, json};
use crate::{
    recipe::{Recipe, SEALS},
    support::keys::base64url,
};

pub fn edit(data: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    let owned = data.clone();
    let Some(recipe) = Recipe::of(&owned) else {
        return bytes::edit(data, edit, stock);
    };
    let (mut header, mut payload) = (recipe.header.to_vec(), recipe.payload.to_vec());
    let mut seal = recipe.seal.to_vec();
    let inner = edit.inner(12);
    match edit.kind(12) {
        0 => seal = edit.other.get(&SEALS).as_bytes().to_vec(),
        1 => {
            // The signature of this very message, with an edit of its text.
            let token = crate::recipe::token(data);
            let mut signature = token
                .rsplit(|byte| *byte == b'.')
                .next()
                .unwrap_or_default()
                .to_vec();
            bytes::edit(&mut signature, &inner, stock);
            signature.retain(|byte| *byte != b' ');
            seal = [b"=", signature.as_slice()].concat();
        }
        2 => raw(&mut header, &inner, stock),
        3 => raw(&mut payload, &inner, stock),
        4..=6 => json::edit(&mut header, &inner, &recipes_as_json(stock)),
        _ => json::edit(&mut payload, &inner, &recipes_as_json(stock)),
    }
    *data = Recipe {
        seal: &seal,
        header: &header,
        payload: &payload,
    }
    .written();
}

/// The part as text of the token, with an edit of that.
fn raw(part: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    let mut text = match part.strip_prefix(b"~") {
        Some(text) => text.to_vec(),
        None => base64url(&*part).into_bytes(),
    };
    bytes::edit(&mut text, edit, stock);
    *part = [b"~", text.as_slice()].concat();
}

/// A JSON document is spliced with the payloads of other tokens.
fn recipes_as_json(stock: &Stock) -> Stock {
    let payload =
        |seed: &Vec<u8>| Recipe::of(seed).map_or_else(|| seed.clone(), |one| one.payload.to_vec());
    Stock {
        kind: stock.kind,
        seeds: stock.seeds.iter().map(payload).collect(),
        words: stock.words.clone(),
    }
}
