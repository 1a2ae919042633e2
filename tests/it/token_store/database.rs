//! A database for one test, and what to put into it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use atlassian_authz::{
    api_token::{
        AccessLevel, Actor, ApiToken, ApiTokenId, Digest, IssuedToken, Owner, Peppers, Scope,
        TokenRecord,
    },
    store::{By, Limits, NewToken, Patience, Store, StoreLocation},
};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::support::postgres::Postgres;

/// A store, and the database below it.
#[derive(Clone)]
pub struct Database {
    pub store: Arc<Store>,
    pub url: String,
}

/// Long enough for the slowest machine; looks and beats often.
pub const PATIENT: Patience = Patience {
    acquire: Duration::from_mins(1),
    statement: Duration::from_mins(1),
    bulk: Duration::from_mins(1),
    look: Duration::from_millis(10),
    beat: Duration::from_millis(100),
    beat_answer: Duration::from_mins(1),
};

pub const NOW: i64 = 4_000_000_000;
pub const DAY: i64 = 24 * 3600;
pub const MANY: Limits = Limits {
    active_per_owner: 1_000_000,
    created_per_hour: None,
};

pub fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub fn on_sqlite<T: Future<Output = ()>>(promise: impl FnOnce(Database) -> T) {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("tokens.db").display());
    runtime().block_on(async {
        let store = open(&url).await;
        promise(Database { store, url }).await;
    });
}

pub fn on_postgres<T: Future<Output = ()>>(promise: impl FnOnce(Database) -> T) {
    let server = shared();
    let url = new_database(&server);
    runtime().block_on(async {
        migrate(&url).await;
        let store = open(&url).await;
        promise(Database { store, url }).await;
    });
}

/// One cluster for all tests that run at the same time, and do it no harm.
pub fn shared() -> Arc<Postgres> {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let new = Arc::new(Postgres::start());
        *server = Arc::downgrade(&new);
        new
    })
}

/// An empty database, as the superuser reaches it.
pub fn new_database(server: &Postgres) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("tokens_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.sql(&format!("CREATE DATABASE {name}"));
    server.url("postgres", server.password(), &name)
}

pub fn location(url: &str) -> StoreLocation {
    StoreLocation::parse(url, Path::new("/"), false).expect("a place")
}

pub async fn open(url: &str) -> Arc<Store> {
    Arc::new(Store::open(&location(url), PATIENT).await.expect("a store"))
}

pub async fn migrate(url: &str) {
    let store = Store::open_lazily(&location(url), PATIENT).expect("a place");
    store.migrate().await.expect("migrated");
}

impl Database {
    /// The only column of the only row, as text; past the store.
    pub async fn raw(&self, text: &str) -> Result<String, String> {
        raw(&self.url, text).await
    }

    pub async fn create(&self, owner: &str) -> ApiTokenId {
        let token = token(owner);
        let made = self.store.create(&token, MANY, by("alice")).await;
        made.expect("a token");
        token.id
    }

    pub async fn record(&self, id: ApiTokenId) -> TokenRecord {
        let found = self.store.find(id).await.expect("an answer");
        found.expect("a token").record
    }
}

pub async fn raw(url: &str, text: &str) -> Result<String, String> {
    let mut connection = AnyConnection::connect(url)
        .await
        .map_err(|error| error.to_string())?;
    let rows = sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .fetch_all(&mut connection)
        .await;
    let rows = rows.map_err(|error| error.to_string())?;
    let text = |row: &sqlx::any::AnyRow| {
        row.try_get::<String, _>(0)
            .or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()))
            .unwrap_or_default()
    };
    let text = rows.first().map(text).unwrap_or_default();
    connection
        .close()
        .await
        .map_err(|error| error.to_string())?;
    Ok(text)
}

pub fn by(actor: &str) -> By<'static> {
    by_at(actor, NOW)
}

pub fn by_at(actor: &str, now: i64) -> By<'static> {
    By {
        actor: Box::leak(Box::new(Actor::user(actor))),
        source: Some("192.0.2.1"),
        now,
    }
}

pub fn issue() -> (IssuedToken, Digest) {
    let issued = IssuedToken::generate(&mut rand::rng());
    let digest = digest("p", &issued);
    (issued, digest)
}

pub fn digest(pepper: &str, issued: &IssuedToken) -> Digest {
    let peppers = Peppers::new(&pepper.repeat(32).into()).unwrap();
    peppers.digest(ApiToken::parse(issued.expose()).expect("a token"))
}

pub fn token(owner: &str) -> NewToken {
    let (issued, digest) = issue();
    NewToken {
        id: issued.id,
        owner: Owner::new(owner),
        name: "laptop".to_owned(),
        digest,
        scope: scope(&["jira"]),
        expires_at: NOW + 90 * DAY,
    }
}

pub fn scope(applications: &[&str]) -> Scope {
    Scope {
        access: AccessLevel::Read,
        applications: applications.iter().map(|&name| name.to_owned()).collect(),
        paths: Vec::new(),
        networks: Vec::new(),
    }
}
