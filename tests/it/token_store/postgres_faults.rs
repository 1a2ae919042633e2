//! Networks and servers that fail, and what is heard in spite of that.

use std::{sync::Arc, time::Duration};

use atlassian_authz::store::{Family, Patience, Store, StoreError};
use url::Url;

use super::{
    database::{MANY, PATIENT, by, location, migrate, new_database, open, runtime, shared, token},
    heard::Following,
};
use crate::support::{eventually, postgres::Postgres, proxy::Proxy};

/// Gives up soon, so that a black hole is noticed within the test.
const HASTY: Patience = Patience {
    acquire: Duration::from_secs(3),
    statement: Duration::from_millis(500),
    bulk: Duration::from_secs(10),
    look: Duration::from_millis(10),
    beat: Duration::from_millis(100),
    beat_answer: Duration::from_millis(500),
};

fn through(proxy: &Proxy, url: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    let port = proxy.address().rsplit(':').next().unwrap().parse().unwrap();
    url.set_port(Some(port)).unwrap();
    url.into()
}

fn hasty(url: &str) -> Arc<Store> {
    Arc::new(Store::open_lazily(&location(url), HASTY).unwrap())
}

#[test]
fn a_listener_that_is_killed_has_missed_nothing_when_it_is_back() {
    let server = Postgres::start();
    let url = server.url("postgres", server.password(), "postgres");
    runtime().block_on(async {
        migrate(&url).await;
        let store = open(&url).await;
        let following = Following::start(&store);
        for _ in 0..3 {
            let new = token("alice");
            let killing = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                           WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
            let before = following.forgotten();
            server.sql(killing);
            // In the gap.
            store.create(&new, MANY, by("alice")).await.unwrap();
            eventually("it follows again", || {
                (following.forgotten() > before).then_some(())
            });
            store
                .revoke(new.id, Family::Spared, "lost", by("alice"))
                .await
                .unwrap();
            following.hears_of(new.id);
        }
    });
}

#[test]
fn a_black_hole_is_noticed_and_left() {
    let server = shared();
    let direct = new_database(&server);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port()));
    runtime().block_on(async {
        migrate(&direct).await;
        let truth = open(&direct).await;
        let store = hasty(&through(&proxy, &direct));
        eventually_ready(&store).await;
        let following = Following::start(&store);
        let new = token("alice");
        truth.create(&new, MANY, by("alice")).await.unwrap();
        assert!(store.find(new.id).await.unwrap().is_some());
        let forgotten = following.forgotten();
        // A firewall forgets the sessions: nothing is refused, nothing arrives.
        proxy.black_hole_open();
        truth
            .revoke(new.id, Family::Spared, "lost", by("alice"))
            .await
            .unwrap();
        eventually("a new session follows", || {
            (following.forgotten() > forgotten).then_some(())
        });
        eventually_ready(&store).await;
        assert!(
            store
                .find(new.id)
                .await
                .unwrap()
                .unwrap()
                .record
                .revocation
                .is_some()
        );
        // All of it: whoever asks is told within the limits, however many they are.
        proxy.black_hole();
        let asked = futures_util::future::join_all((0..40).map(|_| store.find(new.id))).await;
        assert!(
            asked.iter().all(|answer| matches!(
                answer,
                Err(StoreError::Timeout | StoreError::Unreachable(_))
            )),
            "{asked:?}"
        );
        proxy.heal();
        eventually_ready(&store).await;
        assert!(proxy.open() <= 60, "{}", proxy.open());
    });
}

/// The database has been reached again; on a slow machine that may take more than one try.
async fn eventually_ready(store: &Store) {
    for _ in 0..200 {
        if store.find(token("x").id).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the database is not reached again");
}

#[test]
fn a_promoted_standby_is_followed_and_what_it_has_not_is_forgotten() {
    let mut primary = Postgres::start();
    let url = primary.url("postgres", primary.password(), "postgres");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", primary.port()));
    runtime().block_on(async {
        migrate(&url).await;
        let new = token("alice");
        open(&url)
            .await
            .create(&new, MANY, by("alice"))
            .await
            .unwrap();
        let standby = primary.standby();
        let standby_url = standby.url("postgres", primary.password(), "postgres");
        eventually("the standby has it", || {
            let count = standby.sql("SELECT count(*) FROM api_token");
            (count == "1").then_some(())
        });
        // A copy is not asked: it may lag behind a revocation.
        let copy = Store::open(&location(&standby_url), PATIENT)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(copy.contains("standby"), "{copy}");
        let store = hasty(&through(&proxy, &url));
        eventually_ready(&store).await;
        let following = Following::start(&store);
        let forgotten = following.forgotten();
        primary.stop();
        standby.promote();
        proxy.retarget(&format!("127.0.0.1:{}", standby.port()));
        eventually("the new primary is followed", || {
            (following.forgotten() > forgotten).then_some(())
        });
        open(&standby_url)
            .await
            .revoke(new.id, Family::Spared, "lost", by("alice"))
            .await
            .unwrap();
        following.hears_of(new.id);
        eventually_ready(&store).await;
        assert!(
            store
                .find(new.id)
                .await
                .unwrap()
                .unwrap()
                .record
                .revocation
                .is_some()
        );
    });
}

/// Anybody who may connect may announce: that costs a question, and hides nothing.
#[test]
fn announcements_that_were_made_up_hide_nothing() {
    let server = shared();
    let url = new_database(&server);
    runtime().block_on(async {
        migrate(&url).await;
        let store = open(&url).await;
        let following = Following::start(&store);
        for lie in [
            "1 aaaaaaaaaaaa",
            "9223372036854775807 aaaaaaaaaaaa",
            "-5",
            "beat x",
            "",
            "x",
            "1",
        ] {
            super::database::raw(&url, &format!("NOTIFY atlassian_authz_tokens, '{lie}'"))
                .await
                .unwrap();
            let new = token("alice");
            store.create(&new, MANY, by("alice")).await.unwrap();
            following.hears_of(new.id);
        }
    });
}
