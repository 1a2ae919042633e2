//! The life of a token.

use atlassian_authz::{
    api_token::{ApiTokenId, State},
    store::{EventFilter, Family, Filter, Replacement, RevokeOutcome, RotateError, StoreError},
};

use super::database::{DAY, Database, MANY, NOW, by, by_at, digest, issue, scope, token};

pub fn replacement() -> Replacement {
    let (issued, digest) = issue();
    Replacement {
        id: issued.id,
        digest,
        expires_at: NOW + 180 * DAY,
        ends_old_at: NOW + DAY,
        created_per_hour: None,
    }
}

pub async fn rotated(database: &Database, old: ApiTokenId) -> ApiTokenId {
    let new = replacement();
    database
        .store
        .rotate(old, &new, by("alice"))
        .await
        .expect("a replacement");
    new.id
}

pub async fn what_is_created_is_found(database: Database) {
    let mut token = token("Alice");
    token.scope = serde_json::from_str(
        r#"{"access":"write","applications":["jira","wiki"],"paths":["/rest"],"networks":["10.0.0.0/8"]}"#,
    )
    .unwrap();
    assert_eq!(database.store.find(token.id).await, Ok(None));
    database
        .store
        .create(&token, MANY, by("cli:root"))
        .await
        .unwrap();
    let found = database.store.find(token.id).await.unwrap().unwrap();
    assert!(!found.expired);
    let record = found.record;
    assert_eq!(
        (record.id, &record.digest, &record.scope),
        (token.id, &token.digest, &token.scope)
    );
    assert_eq!(
        (record.owner.as_str(), record.name.as_str()),
        ("alice", "laptop")
    );
    assert_eq!(
        (record.created_at, record.created_by.as_str()),
        (NOW, "cli:root")
    );
    assert_eq!(
        (record.expires_at, record.state(NOW)),
        (token.expires_at, State::Active)
    );
    assert_eq!(
        (record.revocation, record.replaces, record.replaced_by),
        (None, None, None)
    );
    assert_eq!(
        (record.last_used_at, record.last_used_from, record.revision),
        (None, None, 1)
    );
}

pub async fn sql_metacharacters_in_every_text_are_just_text(database: Database) {
    let evil = "x'); DROP TABLE api_token; -- \" \\ % _ $1 {} \u{1f40d} ;\n/*";
    let mut token = token(evil);
    token.name = evil.to_owned();
    token.scope = scope(&[evil, "jira"]);
    let other = database.create("bob").await;
    let store = &database.store;
    store.create(&token, MANY, by(evil)).await.unwrap();
    let record = database.record(token.id).await;
    assert_eq!(
        (record.name.as_str(), record.created_by.as_str()),
        (evil, evil)
    );
    assert_eq!(record.owner, token.owner);
    let filters = [
        Filter {
            owner: Some(token.owner.clone()),
            ..Filter::default()
        },
        Filter {
            application: Some(evil.to_owned()),
            ..Filter::default()
        },
        Filter {
            text: Some(evil.to_owned()),
            ..Filter::default()
        },
        Filter {
            text: Some("\\ % _".to_owned()),
            ..Filter::default()
        },
    ];
    for filter in filters {
        let listed = store.list(&filter, NOW, None, 10).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&record), "{filter:?}");
    }
    // Neither is a pattern.
    for text in ["%%", "l_ptop", "\\"] {
        let filter = Filter {
            text: Some(text.to_owned()),
            owner: Some(record.owner.clone()),
            ..Filter::default()
        };
        let expected = usize::from(text == "\\");
        assert_eq!(
            store.list(&filter, NOW, None, 10).await.unwrap().len(),
            expected,
            "{text}"
        );
    }
    store
        .revoke(token.id, Family::Included, evil, by(evil))
        .await
        .unwrap();
    assert_eq!(
        database.record(token.id).await.revocation.unwrap().reason,
        evil
    );
    let of_owner = EventFilter {
        owner: Some(token.owner.clone()),
        ..EventFilter::default()
    };
    let events = store.events(&of_owner, 10).await.unwrap();
    assert_eq!(events[0].1.detail["reason"], evil);
    store
        .disable_owner(&token.owner, evil, by(evil))
        .await
        .unwrap();
    assert_eq!(database.record(other).await.state(NOW), State::Active);
}

pub async fn two_concurrent_rotations_have_one_winner(database: Database) {
    let old = database.create("alice").await;
    let offers: Vec<_> = (0..6).map(|_| replacement()).collect();
    let rotations = offers
        .iter()
        .map(|new| database.store.rotate(old, new, by("alice")));
    let results = futures_util::future::join_all(rotations).await;
    let winners: Vec<_> = offers
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_ok())
        .collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let winner = winners[0].0.id;
    let others = results
        .iter()
        .filter(|result| **result == Err(RotateError::AlreadyReplaced { by: winner }));
    assert_eq!(others.count(), 5, "{results:?}");
    assert_eq!(database.record(old).await.replaced_by, Some(winner));
    assert_eq!(database.record(winner).await.replaces, Some(old));
    for (new, result) in offers.iter().zip(&results) {
        assert_eq!(
            database.store.find(new.id).await.unwrap().is_some(),
            result.is_ok()
        );
    }
}

pub async fn a_rotated_token_ends_soon_and_its_replacement_is_like_it(database: Database) {
    let old = database.create("alice").await;
    let before = database.record(old).await;
    let new = replacement();
    database.store.rotate(old, &new, by("bob")).await.unwrap();
    let (old, taken) = (database.record(old).await, database.record(new.id).await);
    assert_eq!(old.expires_at, NOW + DAY);
    assert_eq!(
        (&taken.owner, &taken.name, &taken.scope),
        (&before.owner, &before.name, &before.scope)
    );
    assert_eq!(
        (taken.digest, taken.expires_at),
        (new.digest, new.expires_at)
    );
    assert_eq!((old.revision, taken.revision), (2, 2));
    // One that ends earlier anyway is not prolonged.
    let mut short = token("alice");
    short.expires_at = NOW + 60;
    database
        .store
        .create(&short, MANY, by("alice"))
        .await
        .unwrap();
    rotated(&database, short.id).await;
    assert_eq!(database.record(short.id).await.expires_at, NOW + 60);
}

pub async fn what_is_over_is_not_replaced(database: Database) {
    let store = &database.store;
    let (revoked, expired) = (
        database.create("alice").await,
        database.create("alice").await,
    );
    store
        .revoke(revoked, Family::Spared, "lost", by("alice"))
        .await
        .unwrap();
    let new = replacement();
    let late = by_at("alice", NOW + 91 * DAY);
    for (id, by, state) in [
        (revoked, by("alice"), State::Revoked),
        (expired, late, State::Expired),
    ] {
        assert_eq!(
            store.rotate(id, &new, by).await,
            Err(RotateError::NotActive { state })
        );
    }
    assert_eq!(
        store.rotate(new.id, &new, by("alice")).await,
        Err(RotateError::Unknown)
    );
    assert_eq!(store.find(new.id).await, Ok(None));
}

pub async fn revoking_again_is_not_an_error(database: Database) {
    let store = &database.store;
    let id = database.create("alice").await;
    let revoked = store
        .revoke(id, Family::Spared, "lost", by("bob"))
        .await
        .unwrap();
    let RevokeOutcome::Revoked(events) = revoked else {
        panic!("{revoked:?}")
    };
    assert_eq!((events.len(), events[0].token), (1, Some(id)));
    for family in [Family::Spared, Family::Included] {
        let again = store.revoke(id, family, "other", by("eve")).await;
        assert_eq!(again, Ok(RevokeOutcome::AlreadyRevoked));
        let unknown = store.revoke(issue().0.id, family, "other", by("eve")).await;
        assert_eq!(unknown, Ok(RevokeOutcome::Unknown));
    }
    let record = database.record(id).await;
    let revocation = record.revocation.clone().unwrap();
    assert_eq!(
        (revocation.by.as_str(), revocation.reason.as_str()),
        ("bob", "lost")
    );
    assert_eq!((record.state(NOW), record.revision), (State::Revoked, 2));
}

pub async fn a_replacement_survives_unless_its_family_ends(database: Database) {
    let store = &database.store;
    let first = database.create("alice").await;
    let second = rotated(&database, first).await;
    let third = rotated(&database, second).await;
    let stranger = database.create("alice").await;
    store
        .revoke(second, Family::Spared, "lost", by("alice"))
        .await
        .unwrap();
    for (id, state) in [
        (first, State::Active),
        (second, State::Revoked),
        (third, State::Active),
    ] {
        assert_eq!(database.record(id).await.state(NOW), state);
    }
    let ended = store
        .revoke(second, Family::Included, "leaked", by("alice"))
        .await
        .unwrap();
    let RevokeOutcome::Revoked(events) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(events.len(), 2);
    for id in [first, second, third] {
        assert_eq!(database.record(id).await.state(NOW), State::Revoked);
    }
    assert_eq!(database.record(stranger).await.state(NOW), State::Active);
}

pub async fn the_clock_of_the_database_judges_expiry(database: Database) {
    let mut token = token("alice");
    // Long ago for every database, and yet to come for who made it.
    token.expires_at = 1_000_000_000;
    database
        .store
        .create(&token, MANY, by_at("alice", 999_999_999))
        .await
        .unwrap();
    assert!(
        database
            .store
            .find(token.id)
            .await
            .unwrap()
            .unwrap()
            .expired
    );
}

pub async fn a_digest_is_replaced_once(database: Database) {
    let (issued, old) = issue();
    let mut token = token("alice");
    (token.id, token.digest) = (issued.id, old.clone());
    database
        .store
        .create(&token, MANY, by("alice"))
        .await
        .unwrap();
    let new = digest("q", &issued);
    assert_eq!(
        database.store.rehash(issued.id, &old.pepper, &new).await,
        Ok(true)
    );
    assert_eq!(
        database.store.rehash(issued.id, &old.pepper, &new).await,
        Ok(false)
    );
    assert_eq!(database.record(issued.id).await.digest, new);
}

pub async fn a_row_that_somebody_tampered_with_is_an_error(database: Database) {
    let id = database.create("alice").await;
    for (column, value) in [
        (
            "scope",
            r#"'{"access":"write","applications":["jira"],"except":[]}'"#,
        ),
        ("scope", "'swordfish'"),
        ("replaced_by", "NULL"),
    ] {
        database
            .raw(&format!("UPDATE api_token SET {column} = {value}"))
            .await
            .unwrap();
        let expected = Err(StoreError::Corrupt("scope"));
        assert_eq!(database.store.find(id).await, expected);
    }
    assert!(
        !StoreError::Corrupt("scope")
            .to_string()
            .contains("swordfish")
    );
    // Another user's name is one owner, in one spelling.
    let id = database.create("bob").await;
    let upper = "INSERT INTO api_token_owner (owner) VALUES ('BOB')";
    database.raw(upper).await.unwrap();
    database
        .raw(&format!(
            "UPDATE api_token SET owner = 'BOB' WHERE id = '{id}'"
        ))
        .await
        .unwrap();
    assert_eq!(
        database.store.find(id).await,
        Err(StoreError::Corrupt("owner"))
    );
}
