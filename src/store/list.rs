//! Lists of tokens, page by page.

use super::{
    Store, StoreError,
    row::{columns, record},
    statement::Statement,
};
use crate::api_token::{ApiTokenId, Owner, State, TokenRecord};

/// Which tokens are wanted: those that everything here is true of.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this user.
    pub owner: Option<Owner>,
    /// For this application, perhaps among others.
    pub application: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// That end before this moment, in Unix seconds.
    pub expires_before: Option<i64>,
    /// With this text in the name, the owner or the id, in any case.
    pub text: Option<String>,
}

/// The end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When its last token was made.
    pub created_at: i64,
    /// Its last token.
    pub id: ApiTokenId,
}

macro_rules! list {
    ($which:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM api_token WHERE ",
            $which,
            " AND (created_at, id) < ($2, $3) \
             AND ($4 IS NULL OR replace(applications, $4, '') <> applications) \
             AND ($5 IS NULL OR $5 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
             WHEN expires_at > $6 THEN 'active' ELSE 'expired' END) \
             AND ($7 IS NULL OR expires_at < $7) \
             AND ($8 IS NULL OR lower(name) LIKE $8 ESCAPE '\\' OR owner LIKE $8 ESCAPE '\\' \
             OR lower(id) LIKE $8 ESCAPE '\\') \
             ORDER BY created_at DESC, id DESC LIMIT $9"
        )
    };
}

impl Store {
    /// The tokens behind the cursor, the youngest first.
    pub async fn list(
        &self,
        filter: &Filter,
        now: i64,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<TokenRecord>, StoreError> {
        // One text for each index that can find the beginning.
        let text = match (&filter.owner, filter.state) {
            (Some(_), _) => list!("owner = $1"),
            (None, Some(State::Revoked)) => list!("$1 IS NULL AND revoked_at IS NOT NULL"),
            (None, _) => list!("$1 IS NULL"),
        };
        let application = filter
            .application
            .as_ref()
            .map(|name| format!("\n{name}\n"));
        let text_within = filter.text.as_deref().map(pattern);
        let statement = Statement::new(text)
            .text_or_nothing(filter.owner.as_ref().map(Owner::as_str))
            .integer(after.map_or(i64::MAX, |cursor| cursor.created_at))
            // Greater than every id.
            .text(after.as_ref().map_or("~", |cursor| cursor.id.as_str()))
            .text_or_nothing(application.as_deref())
            .text_or_nothing(filter.state.map(|state| match state {
                State::Active => "active",
                State::Expired => "expired",
                State::Revoked => "revoked",
            }))
            .integer(now)
            .integer(filter.expires_before)
            .text_or_nothing(text_within.as_deref())
            .integer(i64::from(limit));
        let mut session = self.sessions.read().await?;
        session.for_many_rows();
        let rows = session.rows(&statement).await?;
        session.keep();
        rows.iter().map(record).collect()
    }
}

impl From<&TokenRecord> for Cursor {
    fn from(last: &TokenRecord) -> Self {
        Self {
            created_at: last.created_at,
            id: last.id,
        }
    }
}

/// A pattern for LIKE that means the text itself, anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = "%".to_owned();
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
