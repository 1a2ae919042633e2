//! Edits of seeds, at the level of what a seed is: text, JSON, a token, a check. An edit is a few numbers, each read as a
//! place in whatever is there; so any list of edits fits any seed, and a failing list shrinks by leaving edits out.

mod bytes;
mod check;
mod credential;
mod json;
mod token;

use proptest::{collection::vec, prelude::*, sample::Index};

/// What the inputs of a target are.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    Credential,
    Json,
    Token,
    Check,
}

/// What there is to edit with.
pub struct Stock {
    pub kind: Kind,
    /// Seeds of the target.
    pub seeds: Vec<Vec<u8>>,
    /// Words of the target.
    pub words: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub struct Edit {
    /// Which edit it is.
    what: u16,
    /// Where.
    at: Index,
    /// Which word, which other place, which seed.
    other: Index,
    /// How much.
    amount: u16,
}

/// A seed, and what is done to it.
pub type Plan = (Index, Vec<Edit>);

pub fn plans() -> impl Strategy<Value = Plan> {
    let edit = (any::<u16>(), any::<Index>(), any::<Index>(), any::<u16>());
    let edit = edit.prop_map(|(what, at, other, amount)| Edit {
        what,
        at,
        other,
        amount,
    });
    // Most findings are one or two edits away from something real.
    let edits = prop_oneof![6 => vec(edit.clone(), 1..3), 3 => vec(edit.clone(), 3..7), 1 => vec(edit, 7..20)];
    (any::<Index>(), edits)
}

impl Stock {
    /// The input that a plan makes.
    pub fn input(&self, (seed, edits): &Plan) -> Vec<u8> {
        let mut data: Vec<u8> = seed.get(self.seeds.as_slice()).clone();
        for edit in edits {
            // Whatever has a structure is also bytes.
            let kind = if edit.what % 8 == 0 {
                Kind::Text
            } else {
                self.kind
            };
            let edit = Edit {
                what: edit.what / 8,
                ..edit.clone()
            };
            match kind {
                Kind::Text => bytes::edit(&mut data, &edit, self),
                Kind::Credential => credential::edit(&mut data, &edit, self),
                Kind::Json => json::edit(&mut data, &edit, self),
                Kind::Token => token::edit(&mut data, &edit, self),
                Kind::Check => check::edit(&mut data, &edit, self),
            }
        }
        data
    }

    fn word(&self, edit: &Edit) -> &[u8] {
        edit.choose_other(&self.words).map_or(b".", Vec::as_slice)
    }

    fn other_seed(&self, edit: &Edit) -> &[u8] {
        edit.choose_other(&self.seeds).map_or(&[], Vec::as_slice)
    }
}

impl Edit {
    /// One of `count` kinds of edits.
    fn kind(&self, count: u16) -> u16 {
        self.what % count
    }

    /// The same places, for an edit of a part.
    fn inner(&self, count: u16) -> Self {
        Self {
            what: self.what / count,
            ..self.clone()
        }
    }

    /// One of several, where there may be none.
    fn choose<'a, T>(&self, among: &'a [T]) -> Option<&'a T> {
        (!among.is_empty()).then(|| self.at.get(among))
    }

    fn choose_other<'a, T>(&self, among: &'a [T]) -> Option<&'a T> {
        (!among.is_empty()).then(|| self.other.get(among))
    }
}
