//! Edits of a value of `Authorization`: what is behind base64, too.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Edit, Stock, bytes};

pub fn edit(data: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    let begin = data
        .iter()
        .position(|byte| *byte == b' ')
        .map_or(0, |at| at + 1);
    let (scheme, credential) = data.split_at(begin);
    match STANDARD.decode(credential) {
        Ok(mut decoded) if edit.kind(4) != 0 => {
            bytes::edit(&mut decoded, &edit.inner(4), &pairs(stock));
            *data = [scheme, STANDARD.encode(decoded).as_bytes()].concat();
        }
        _ => bytes::edit(data, &edit.inner(4), stock),
    }
}

/// Words as they are behind base64.
fn pairs(stock: &Stock) -> Stock {
    let decoded = |word: &Vec<u8>| STANDARD.decode(word).unwrap_or_else(|_| word.clone());
    Stock {
        kind: stock.kind,
        seeds: stock.seeds.clone(),
        words: stock.words.iter().map(decoded).collect(),
    }
}
