//! PostgreSQL tells whoever listens. A session of its own, which proves every few seconds that it still hears:
//! a connection that leads nowhere is as quiet as one on which nothing happens.

use std::time::Duration;

use sqlx::{
    ConnectOptions, Row,
    postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions},
};
use tokio::time::sleep;
use url::Url;

use super::{Ended, Known, NOTHING_SINCE};
use crate::{
    api_token::ApiTokenId,
    store::{
        Changes, StoreError,
        change::CHANNEL,
        find::CHANGES,
        session::{Sessions, within},
    },
};

struct Ear {
    listener: PgListener,
    limit: Duration,
    bulk: Duration,
}

/// What a notification says.
#[derive(Debug, PartialEq, Eq)]
enum News<'a> {
    /// Something of this name came back.
    Beat(&'a str),
    /// A change of these tokens.
    Change(i64, Vec<ApiTokenId>),
    /// A change that has to be asked for.
    Ask,
}

pub(super) async fn session(sessions: &Sessions, url: &Url, known: &mut Known<'_>) -> Ended {
    // A schema that is not ours is told by the connections of the store, and this looks only for a server.
    drop(sessions.connect().await?);
    let patience = sessions.patience;
    let mut ear = Ear::open(url, patience.beat_answer, patience.bulk).await?;
    known.begin(&ear.changes_since(NOTHING_SINCE).await?);
    loop {
        let due = sleep(patience.beat);
        tokio::pin!(due);
        loop {
            let heard = tokio::select! {
                () = &mut due => break,
                heard = ear.listener.try_recv() => heard,
            };
            ear.hear(&present(heard)?, known).await?;
        }
        ear.beat(known).await?;
    }
}

impl Ear {
    /// Listens first and asks afterwards, so that nothing falls in between.
    async fn open(url: &Url, limit: Duration, bulk: Duration) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_url(url)?.disable_statement_logging();
        let alone = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limit)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        let mut listener =
            within(limit, async { Ok(PgListener::connect_with(&alone).await?) }).await?;
        // Otherwise it would connect again without a word, and what was announced in between would be lost.
        listener.eager_reconnect(false);
        within(limit, async { Ok(listener.listen(CHANNEL).await?) }).await?;
        Ok(Self {
            listener,
            limit,
            bulk,
        })
    }

    /// Says something and waits until it is heard; then asks whether anything was missed.
    async fn beat(&mut self, known: &mut Known<'_>) -> Result<(), StoreError> {
        let name = format!("{:016x}", rand::random::<u64>());
        let saying = sqlx::query("SELECT pg_notify($1, 'beat ' || $2)")
            .bind(CHANNEL)
            .bind(&name);
        let limit = self.limit;
        within(limit, async {
            Ok(saying.execute(&mut self.listener).await?)
        })
        .await?;
        within(limit, self.hear_until(&name, known)).await?;
        let missed = self.changes_since(known.revision).await?;
        known.take(&missed);
        Ok(())
    }

    async fn hear_until(&mut self, name: &str, known: &mut Known<'_>) -> Result<(), StoreError> {
        loop {
            let heard = present(self.listener.try_recv().await)?;
            if News::read(heard.payload()) == News::Beat(name) {
                return Ok(());
            }
            self.hear(&heard, known).await?;
        }
    }

    async fn hear(
        &mut self,
        heard: &PgNotification,
        known: &mut Known<'_>,
    ) -> Result<(), StoreError> {
        match News::read(heard.payload()) {
            // Another replica's, or an old one of ours.
            News::Beat(_) => {}
            // Also what is known already: anybody who may connect may announce, and an announcement that was made
            // up must not keep the true one from being heard.
            News::Change(revision, ids) if revision <= known.revision.saturating_add(1) => {
                for id in ids {
                    known.follower.changed(id, revision);
                }
                known.revision = known.revision.max(revision);
                known.follower.heard();
            }
            News::Change(..) | News::Ask => {
                let missed = self.changes_since(known.revision).await?;
                known.take(&missed);
            }
        }
        Ok(())
    }

    async fn changes_since(&mut self, revision: i64) -> Result<Changes, StoreError> {
        let question = sqlx::query(CHANGES).bind(revision);
        let rows = within(self.bulk, async {
            Ok(question.fetch_all(&mut self.listener).await?)
        })
        .await?;
        let first = rows.first().ok_or(StoreError::Corrupt("revision"))?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: Option<&str> = row.try_get("id")?;
            if let Some(id) = id {
                let id = ApiTokenId::parse(id).map_err(|_no_detail| StoreError::Corrupt("id"))?;
                ids.push((id, row.try_get("changed")?));
            }
        }
        Ok(Changes {
            revision: first.try_get("revision")?,
            ids,
        })
    }
}

impl<'a> News<'a> {
    fn read(payload: &'a str) -> Self {
        let mut words = payload.split(' ');
        let first = words.next().unwrap_or_default();
        if first == "beat" {
            return Self::Beat(words.next().unwrap_or_default());
        }
        let ids: Result<Vec<_>, _> = words.map(ApiTokenId::parse).collect();
        match (first.parse(), ids) {
            (Ok(revision), Ok(ids)) => Self::Change(revision, ids),
            _ => Self::Ask,
        }
    }
}

/// `None` is a connection that is gone.
fn present(
    heard: Result<Option<PgNotification>, sqlx::Error>,
) -> Result<PgNotification, StoreError> {
    heard?.ok_or(StoreError::Unreachable("the connection broke"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_asked_for() {
        let id = ApiTokenId::parse("abcdefghijkl").expect("an id");
        assert_eq!(News::read("7 abcdefghijkl"), News::Change(7, vec![id]));
        assert_eq!(News::read("7"), News::Change(7, vec![]));
        assert_eq!(News::read("beat x"), News::Beat("x"));
        for strange in [
            "",
            "x",
            "7 *",
            "7 abc",
            "7  abcdefghijkl",
            "99999999999999999999",
        ] {
            assert_eq!(News::read(strange), News::Ask, "{strange}");
        }
    }
}
