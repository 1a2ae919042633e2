//! What is noted: changes and uses.

use std::net::IpAddr;

use atlassian_authz::{
    api_token::Owner,
    store::{Event, EventFilter, EventKind, Family, Usage, network_of},
};
use serde_json::json;

use super::{
    database::{Database, NOW, by, open},
    lives::rotated,
};

fn used(id: atlassian_authz::api_token::ApiTokenId, at: i64, from: &str) -> Usage {
    Usage {
        id,
        at,
        from: Some(from.parse().expect("an address")),
    }
}

pub async fn every_change_is_in_the_audit_trail(database: Database) {
    let store = &database.store;
    let alice = Owner::new("alice");
    let id = database.create("alice").await;
    let new = rotated(&database, id).await;
    store
        .revoke(id, Family::Spared, "lost", by("alice"))
        .await
        .unwrap();
    store.disable_owner(&alice, "left", by("hr")).await.unwrap();
    store.enable_owner(&alice, by("hr")).await.unwrap();
    let noted = Event {
        at: NOW,
        kind: EventKind::DeniedByScope,
        actor: None,
        token: Some(new),
        owner: Some(alice.clone()),
        source: None,
        detail: json!({ "reason": "method", "count": 3 }),
    };
    store.note(std::slice::from_ref(&noted)).await.unwrap();
    let events = store.events(&EventFilter::default(), 100).await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .rev()
        .map(|(_, event)| (event.kind, event.token))
        .collect();
    assert_eq!(
        kinds,
        [
            (EventKind::Created, Some(id)),
            (EventKind::Rotated, Some(id)),
            (EventKind::Created, Some(new)),
            (EventKind::Revoked, Some(id)),
            (EventKind::OwnerDisabled, None),
            (EventKind::Revoked, Some(new)),
            (EventKind::OwnerEnabled, None),
            (EventKind::DeniedByScope, Some(new)),
        ]
    );
    assert_eq!(events[0].1, noted);
    assert!(
        events
            .iter()
            .all(|(_, event)| event.owner.as_ref() == Some(&alice))
    );
    let revoked = &events[4].1;
    assert_eq!(
        (revoked.actor.as_deref(), revoked.source.as_deref()),
        (Some("alice"), Some("192.0.2.1"))
    );
    // Page by page, and of one token.
    let after = Some(events[1].0);
    let of_token = EventFilter {
        token: Some(new),
        owner: None,
        after,
    };
    let found = store.events(&of_token, 1).await.unwrap();
    assert_eq!(found, events[2..3]);
    let text =
        serde_json::to_string(&events.iter().map(|(_, event)| event).collect::<Vec<_>>()).unwrap();
    let digest = database.record(new).await.digest;
    assert!(
        !text.contains("digest") && !text.contains(digest.pepper.as_str()),
        "{text}"
    );
}

pub async fn the_audit_trail_cannot_be_changed(database: Database) {
    database.create("alice").await;
    let before = database
        .store
        .events(&EventFilter::default(), 10)
        .await
        .unwrap();
    for attempt in [
        "UPDATE api_token_event SET actor = 'eve'",
        "DELETE FROM api_token_event",
        "DELETE FROM api_token_event WHERE id > 1000",
    ] {
        let answer = database.raw(attempt).await;
        // A trigger for each row has nothing to say of no rows.
        let harmless = attempt.contains("1000") && database.url.starts_with("sqlite");
        assert!(
            harmless
                || answer
                    .clone()
                    .is_err_and(|error| error.contains("cannot be changed")),
            "{attempt}: {answer:?}"
        );
    }
    let replacing =
        "INSERT OR REPLACE INTO api_token_event (id, at, event) VALUES (1, 1, 'created')";
    assert!(database.raw(replacing).await.is_err());
    assert_eq!(
        database
            .store
            .events(&EventFilter::default(), 10)
            .await
            .unwrap(),
        before
    );
}

pub async fn the_last_use_only_moves_forward(database: Database) {
    let store = &database.store;
    let id = database.create("alice").await;
    let address = "192.0.2.7";
    for (at, expected) in [
        (NOW, NOW),
        (NOW + 600, NOW),
        (NOW + 601, NOW + 601),
        (NOW - 5000, NOW + 601),
        (NOW + 9000, NOW + 9000),
    ] {
        store
            .record_usage(&[used(id, at, address), used(id, at - 1, "192.0.2.8")])
            .await
            .unwrap();
        let record = database.record(id).await;
        assert_eq!(
            (record.last_used_at, record.last_used_from.as_deref()),
            (Some(expected), Some(address))
        );
        assert_eq!(record.revision, 1);
    }
    // Not all that is used is there.
    let gone = super::database::issue().0.id;
    assert_eq!(
        store
            .record_usage(&[
                used(gone, NOW, address),
                Usage {
                    id,
                    at: NOW + 20_000,
                    from: None
                }
            ])
            .await,
        Ok(vec![])
    );
    assert_eq!(database.record(id).await.last_used_from, None);
    assert_eq!(store.record_usage(&[]).await, Ok(vec![]));
}

pub async fn each_new_network_after_the_first_is_an_event(database: Database) {
    let store = &database.store;
    let (one, two) = (database.create("alice").await, database.create("bob").await);
    let first = store
        .record_usage(&[used(one, NOW, "192.0.2.1"), used(one, NOW, "192.0.2.255")])
        .await;
    assert_eq!(first, Ok(vec![]));
    let batch = [
        used(one, NOW + 5, "198.51.100.9"),
        used(one, NOW + 4, "198.51.100.8"),
        used(one, NOW + 6, "192.0.2.77"),
        used(two, NOW + 7, "2001:db8:1:2::1"),
        used(two, NOW + 8, "2001:db8:1:ffff::1"),
        used(two, NOW + 9, "2001:db8:2::1"),
    ];
    let mut events = store.record_usage(&batch).await.unwrap();
    events.sort_by_key(|event| event.at);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.token.unwrap(),
                event.at,
                event.source.as_deref().unwrap(),
                event.detail["network"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (one, NOW + 4, "198.51.100.8", "198.51.100.0/24"),
            (two, NOW + 9, "2001:db8:2::1", "2001:db8:2::/48"),
        ]
    );
    assert_eq!(store.record_usage(&batch).await, Ok(vec![]));
    let trail = store
        .events(
            &EventFilter {
                token: Some(two),
                ..EventFilter::default()
            },
            1,
        )
        .await
        .unwrap();
    assert_eq!(trail[0].1, events[1]);
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    assert_eq!(network_of(mapped).to_string(), "192.0.2.0/24");
}

pub async fn two_replicas_note_uses_of_the_same_tokens(database: Database) {
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(database.create("alice").await);
    }
    let other = open(&database.url).await;
    let forwards: Vec<_> = ids.iter().map(|id| used(*id, NOW, "192.0.2.1")).collect();
    let backwards: Vec<_> = ids
        .iter()
        .rev()
        .map(|id| used(*id, NOW, "198.51.100.1"))
        .collect();
    let owner = Owner::new("alice");
    for _ in 0..10 {
        let (one, two, three) = tokio::join!(
            database.store.record_usage(&forwards),
            other.record_usage(&backwards),
            other.revoke_owner(&owner, "lost", by("alice")),
        );
        one.unwrap();
        two.unwrap();
        three.unwrap();
    }
    let networks = database.raw("SELECT count(*) FROM api_token_network").await;
    assert_eq!(networks.as_deref(), Ok("40"));
}
