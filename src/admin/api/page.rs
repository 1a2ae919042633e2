//! Lists, a page at a time. A cursor is opaque: what is in it may change.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{input::Query, problem::Problem};
use crate::{api_token::ApiTokenId, store::Cursor};

const MOST: u32 = 200;
const USUAL: u32 = 50;

/// How many items a caller wants.
#[derive(Clone, Copy)]
pub(super) struct Limit(u32);

impl Limit {
    /// Reads the parameter `limit`.
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let limit = query
            .get("limit")
            .map_or(Some(USUAL), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=MOST).contains(limit));
        limit
            .map(Self)
            .ok_or_else(|| Problem::invalid("limit", format!("must be 1 to {MOST}")))
    }

    /// One more than wanted: whether there is a next page.
    pub(super) fn asked(self) -> u32 {
        self.0.saturating_add(1)
    }

    /// Cuts what is too much, and says after which item the next page begins.
    pub(super) fn cut<T, C>(self, items: &mut Vec<T>, cursor: impl Fn(&T) -> C) -> Option<C> {
        let limit = usize::try_from(self.0).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        items.last().filter(|_| more).map(cursor)
    }
}

/// Writes a cursor of a list of tokens.
pub(super) fn token_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.created_at, cursor.id))
}

/// Writes a cursor of the audit trail.
pub(super) fn event_cursor(number: i64) -> String {
    URL_SAFE_NO_PAD.encode(number.to_string())
}

/// Reads the parameter `after` of a list of tokens.
pub(super) fn after_token(query: &Query) -> Result<Option<Cursor>, Problem> {
    after(query, |text| {
        let (created_at, id) = text.split_once('.')?;
        Some(Cursor {
            created_at: created_at.parse().ok()?,
            id: ApiTokenId::parse(id).ok()?,
        })
    })
}

/// Reads the parameter `after` of the audit trail.
pub(super) fn after_event(query: &Query) -> Result<Option<i64>, Problem> {
    after(query, |text| text.parse().ok())
}

fn after<C>(query: &Query, read: impl Fn(&str) -> Option<C>) -> Result<Option<C>, Problem> {
    let Some(written) = query.get("after") else {
        return Ok(None);
    };
    let text = URL_SAFE_NO_PAD.decode(written).ok();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| read(&text))
        .map(Some)
        .ok_or_else(|| Problem::invalid("after", "must be the 'next' of a page of this list"))
}
