//! How others hear of a change.

use std::{collections::BTreeSet, time::Duration};

use atlassian_authz::{
    api_token::Owner,
    store::{CreateError, Family, Limits, RevokeOutcome},
};
use futures_util::future::join_all;

use super::{
    database::{Database, MANY, by, open, token},
    heard::Following,
    lives::{replacement, rotated},
};

pub async fn a_revision_is_never_missed(database: Database) {
    let other = open(&database.url).await;
    let tokens: Vec<_> = (0..24).map(|_| token("alice")).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let changing = async {
        let changes = tokens.iter().enumerate().map(async |(number, token)| {
            let store = if number % 2 == 0 {
                &database.store
            } else {
                &other
            };
            store.create(token, MANY, by("alice")).await.unwrap();
            store
                .revoke(token.id, Family::Spared, "lost", by("alice"))
                .await
                .unwrap();
        });
        join_all(changes).await;
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    // Whoever asks again and again sees every revision exactly once, as the last or on the way.
    let reading = async {
        let (mut known, mut seen) = (0, Vec::new());
        loop {
            let last = done.load(std::sync::atomic::Ordering::SeqCst);
            let changes = database.store.changes_since(known).await.unwrap();
            assert!(changes.revision >= known);
            assert!(
                changes
                    .ids
                    .iter()
                    .all(|(_, revision)| (known + 1..=changes.revision).contains(revision))
            );
            seen.extend(changes.ids);
            known = changes.revision;
            if last {
                return (known, seen);
            }
        }
    };
    let ((), (revision, seen)) = tokio::join!(changing, reading);
    assert_eq!(revision, 48);
    assert!(seen.is_sorted_by(|one, other| one.1 < other.1), "{seen:?}");
    for token in &tokens {
        let revision = database.record(token.id).await.revision;
        assert!(seen.contains(&(token.id, revision)));
    }
}

pub async fn a_change_that_did_not_happen_has_no_revision(database: Database) {
    let store = &database.store;
    let id = database.create("alice").await;
    let none = Limits {
        active_per_owner: 0,
        created_per_hour: None,
    };
    let refused = store.create(&token("alice"), none, by("alice")).await;
    assert_eq!(refused, Err(CreateError::TooManyActive { limit: 0 }));
    let unknown = store
        .revoke(token("x").id, Family::Included, "lost", by("alice"))
        .await;
    assert_eq!(unknown, Ok(RevokeOutcome::Unknown));
    assert!(
        store
            .rotate(token("x").id, &replacement(), by("alice"))
            .await
            .is_err()
    );
    assert_eq!(
        store
            .revoke_owner(&Owner::new("nobody"), "lost", by("alice"))
            .await,
        Ok(vec![])
    );
    // The same id twice.
    let mut again = token("alice");
    again.id = id;
    assert!(store.create(&again, MANY, by("alice")).await.is_err());
    let changes = store.changes_since(0).await.unwrap();
    assert_eq!((changes.revision, changes.ids), (1, vec![(id, 1)]));
    assert_eq!(store.changes_since(1).await.unwrap().ids, []);
}

pub async fn a_follower_hears_of_every_change(database: Database) {
    let other = open(&database.url).await;
    let following = Following::start(&database.store);
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let token = token("alice");
        other.create(&token, MANY, by("alice")).await.unwrap();
        following.hears_of(token.id);
        let new = rotated(&database, token.id).await;
        following.hears_of(new);
        ids.extend([token.id, new]);
    }
    // More at once than fit into an announcement.
    let many: Vec<_> = (0..600).map(|_| token("bob")).collect();
    for some in many.chunks(8) {
        join_all(
            some.iter()
                .map(|token| other.create(token, MANY, by("bob"))),
        )
        .await;
    }
    for token in &many {
        following.hears_of(token.id);
    }
    following.heard.changed.lock().unwrap().clear();
    other
        .revoke_owner(&Owner::new("bob"), "left", by("hr"))
        .await
        .unwrap();
    for token in &many {
        following.hears_of(token.id);
    }
    following.hears_something();
    assert_eq!(following.forgotten(), 1);
    let changed = following.heard.changed.lock().unwrap().clone();
    assert!(
        changed.is_sorted_by_key(|(_, revision)| *revision),
        "{changed:?}"
    );
}

pub async fn an_older_revision_makes_a_follower_forget_everything(database: Database) {
    for _ in 0..3 {
        database.create("alice").await;
    }
    let following = Following::start(&database.store);
    database
        .raw("UPDATE api_token_revision SET revision = 1")
        .await
        .unwrap();
    crate::support::eventually("everything is forgotten", || {
        (following.forgotten() == 2).then_some(())
    });
    let id = database.create("alice").await;
    following.hears_of(id);
}

pub async fn a_caller_that_goes_away_leaves_nothing_behind(database: Database) {
    // Each is dropped somewhere else on its way.
    for step in 0..60 {
        let token = token("alice");
        let creating = database.store.create(&token, MANY, by("alice"));
        let _gone = tokio::time::timeout(Duration::from_micros(step * 100), creating).await;
    }
    let id = database.create("alice").await;
    let revoked = database
        .store
        .revoke_owner(&Owner::new("alice"), "lost", by("alice"))
        .await
        .unwrap();
    assert!(revoked.iter().any(|event| event.token == Some(id)));
    let changes = database.store.changes_since(0).await.unwrap();
    let whole = database
        .raw("SELECT count(*) FROM api_token")
        .await
        .unwrap();
    assert_eq!(whole, changes.ids.len().to_string());
    let created = database
        .raw("SELECT count(*) FROM api_token_event WHERE event = 'created'")
        .await;
    assert_eq!(created, Ok(whole));
}
