//! How many tokens there are, and which.

use std::collections::BTreeSet;

use atlassian_authz::{
    api_token::{Owner, State},
    store::{CreateError, Cursor, EventKind, Family, Filter, Limits, RotateError},
};
use futures_util::future::join_all;

use super::{
    database::{DAY, Database, MANY, NOW, by, by_at, scope, token},
    lives::{replacement, rotated},
};

pub async fn the_limit_holds_under_concurrent_creations(database: Database) {
    let limits = Limits {
        active_per_owner: 3,
        created_per_hour: None,
    };
    let tokens: Vec<_> = (0..12).map(|_| token("alice")).collect();
    let results = join_all(
        tokens
            .iter()
            .map(|token| database.store.create(token, limits, by("alice"))),
    )
    .await;
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        3,
        "{results:?}"
    );
    let refused = results
        .iter()
        .filter(|result| **result == Err(CreateError::TooManyActive { limit: 3 }));
    assert_eq!(refused.count(), 9);
    // Others are not concerned, and what is over does not count.
    database
        .store
        .create(&token("bob"), limits, by("bob"))
        .await
        .unwrap();
    database
        .store
        .revoke_owner(&Owner::new("alice"), "lost", by("alice"))
        .await
        .unwrap();
    database
        .store
        .create(&token("ALICE"), limits, by("alice"))
        .await
        .unwrap();
}

pub async fn the_rate_of_creation_is_limited_and_rotating_does_not_get_around_it(
    database: Database,
) {
    let limits = Limits {
        active_per_owner: 100,
        created_per_hour: Some(2),
    };
    let first = token("alice");
    database
        .store
        .create(&first, limits, by("alice"))
        .await
        .unwrap();
    let second = rotated(&database, first.id).await;
    let refused = Err(CreateError::TooManyCreated { limit: 2 });
    assert_eq!(
        database
            .store
            .create(&token("alice"), limits, by("alice"))
            .await,
        refused
    );
    let mut new = replacement();
    new.created_per_hour = Some(2);
    let error = RotateError::Create(CreateError::TooManyCreated { limit: 2 });
    assert_eq!(
        database.store.rotate(second, &new, by("alice")).await,
        Err(error)
    );
    let later = by_at("alice", NOW + 3600);
    database
        .store
        .create(&token("alice"), limits, later)
        .await
        .unwrap();
}

pub async fn a_rotation_does_not_count_against_the_limit(database: Database) {
    let limits = Limits {
        active_per_owner: 2,
        created_per_hour: None,
    };
    let first = token("alice");
    database
        .store
        .create(&first, limits, by("alice"))
        .await
        .unwrap();
    rotated(&database, first.id).await;
    database
        .store
        .create(&token("alice"), limits, by("alice"))
        .await
        .unwrap();
    let full = Err(CreateError::TooManyActive { limit: 2 });
    assert_eq!(
        database
            .store
            .create(&token("alice"), limits, by("alice"))
            .await,
        full
    );
}

pub async fn a_disabled_owner_has_nothing_and_gets_nothing(database: Database) {
    let store = &database.store;
    let alice = Owner::new("alice");
    let id = database.create("alice").await;
    let bobs = database.create("bob").await;
    let events = store.disable_owner(&alice, "left", by("hr")).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::OwnerDisabled, EventKind::Revoked]);
    assert_eq!(database.record(id).await.state(NOW), State::Revoked);
    assert_eq!(database.record(bobs).await.state(NOW), State::Active);
    let refused = store.create(&token("Alice"), MANY, by("alice")).await;
    assert_eq!(refused, Err(CreateError::OwnerDisabled));
    assert_eq!(
        store.disable_owner(&alice, "left", by("hr")).await.unwrap(),
        []
    );
    // Also one that has never had a token.
    store
        .disable_owner(&Owner::new("carol"), "left", by("hr"))
        .await
        .unwrap();
    let refused = store.create(&token("carol"), MANY, by("carol")).await;
    assert_eq!(refused, Err(CreateError::OwnerDisabled));
    assert_eq!(store.enable_owner(&alice, by("hr")).await.unwrap().len(), 1);
    assert_eq!(store.enable_owner(&alice, by("hr")).await.unwrap(), []);
    database.create("alice").await;
    assert_eq!(database.record(id).await.state(NOW), State::Revoked);
}

pub async fn pages_are_complete_and_in_one_order(database: Database) {
    let mut made = BTreeSet::new();
    for number in 0..23 {
        let token = token(if number % 3 == 0 { "bob" } else { "alice" });
        // Several in one second.
        let by = by_at("alice", NOW + number / 5);
        database.store.create(&token, MANY, by).await.unwrap();
        made.insert(token.id);
    }
    let mut later = NOW + 100;
    for filter in [
        Filter::default(),
        Filter {
            owner: Some(Owner::new("alice")),
            ..Filter::default()
        },
    ] {
        let whole = database.store.list(&filter, NOW, None, 100).await.unwrap();
        assert!(whole.is_sorted_by_key(|record| std::cmp::Reverse((record.created_at, record.id))));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = database.store.list(&filter, NOW, after, 4).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(Cursor::from(last));
            // What is new does not disturb who turns pages.
            database
                .store
                .create(&token("alice"), MANY, by_at("alice", later))
                .await
                .unwrap();
            later += 1;
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }
}

pub async fn a_list_holds_what_the_filter_says(database: Database) {
    let store = &database.store;
    let mut wiki = token("alice");
    wiki.scope = scope(&["wiki", "jira-x"]);
    "CI Server".clone_into(&mut wiki.name);
    wiki.expires_at = NOW + DAY;
    store.create(&wiki, MANY, by("alice")).await.unwrap();
    let jira = database.create("bob").await;
    let gone = database.create("bob").await;
    store
        .revoke(gone, Family::Spared, "lost", by("bob"))
        .await
        .unwrap();
    let any = Filter::default;
    let text = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..any()
    };
    let application = |name: &str| Filter {
        application: Some(name.to_owned()),
        ..any()
    };
    let state = |state| Filter {
        state: Some(state),
        ..any()
    };
    for (filter, now, expected) in [
        (any(), NOW, vec![wiki.id, jira, gone]),
        (application("jira"), NOW, vec![jira, gone]),
        (application("wiki"), NOW, vec![wiki.id]),
        (application("wik"), NOW, vec![]),
        (application("read"), NOW, vec![]),
        (state(State::Active), NOW, vec![wiki.id, jira]),
        (state(State::Active), NOW + 2 * DAY, vec![jira]),
        (state(State::Expired), NOW + 2 * DAY, vec![wiki.id]),
        (state(State::Revoked), NOW, vec![gone]),
        (
            Filter {
                expires_before: Some(NOW + 2 * DAY),
                ..any()
            },
            NOW,
            vec![wiki.id],
        ),
        (text("ci ser"), NOW, vec![wiki.id]),
        (text("BOB"), NOW, vec![jira, gone]),
        (text(&jira.as_str()[2..10]), NOW, vec![jira]),
        (
            Filter {
                state: Some(State::Revoked),
                ..application("wiki")
            },
            NOW,
            vec![],
        ),
    ] {
        let listed = store.list(&filter, now, None, 100).await.unwrap();
        let listed: BTreeSet<_> = listed.iter().map(|record| record.id).collect();
        assert_eq!(listed, expected.into_iter().collect(), "{filter:?}");
    }
}

pub async fn the_summary_counts_what_can_be_used(database: Database) {
    let store = &database.store;
    let first = token("alice");
    let mut soon = token("alice");
    soon.expires_at = NOW + 3 * DAY;
    let mut over = token("alice");
    over.expires_at = NOW;
    for token in [&first, &soon, &over] {
        store.create(token, MANY, by("alice")).await.unwrap();
    }
    let gone = database.create("bob").await;
    store
        .revoke(gone, Family::Spared, "lost", by("bob"))
        .await
        .unwrap();
    let summary = store.summary(NOW).await.unwrap();
    assert_eq!((summary.active, summary.expiring_within_7_days), (2, 1));
    assert_eq!(summary.by_pepper, [(first.digest.pepper, 2)]);
}
