//! Edits of bytes.

use super::{Edit, Stock};

/// Bytes that parsers trip over.
const ODD: &[u8] = b"\0\t\n\r \"%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xc0\xc3\xe2\xed\xff";

pub fn edit(data: &mut Vec<u8>, edit: &Edit, stock: &Stock) {
    // What goes wrong goes wrong at an end more often than anywhere else.
    let at = match edit.amount >> 12 {
        0 => 0,
        1 | 2 => data.len(),
        _ => edit.at.index(data.len() + 1),
    };
    let end = data.len().min(at + 1 + usize::from(edit.amount) % 16);
    match edit.kind(10) {
        0 if at < data.len() => data[at] ^= 1 << (edit.amount % 8),
        1 if at < data.len() => data[at] = ODD[usize::from(edit.amount) % ODD.len()],
        2 => data.insert(at, ODD[usize::from(edit.amount) % ODD.len()]),
        3 => drop(data.drain(at..end)),
        4 => {
            let twice = data[at..end].to_vec();
            data.splice(at..at, twice);
        }
        5 => drop(data.splice(at..at, stock.word(edit).to_vec())),
        6 => drop(data.splice(at..end, stock.word(edit).to_vec())),
        7 => {
            let other = stock.other_seed(edit);
            let from = usize::from(edit.amount) % (other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        8 if at < data.len() => {
            let letters = &mut data[at..end];
            letters
                .iter_mut()
                .filter(|byte| byte.is_ascii_alphabetic())
                .for_each(|byte| *byte ^= 0x20);
        }
        9 if at < data.len() => data[at] = edit.amount.to_le_bytes()[0],
        _ => data.truncate(at),
    }
}
