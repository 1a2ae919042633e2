//! A store with many API tokens in it.

use std::{path::Path, sync::Arc, time::Instant};

use atlassian_authz::{
    api_token::{Actor, ApiTokenId},
    clock::SystemClock,
    config::Config,
    desk::{By, Desk, Written},
    store::{Patience, Store},
};
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    config,
    mint::{self, CACHED, Held},
};

/// Questions to the store itself.
const LOOKUPS: usize = 2_000;

/// The store, its configuration, and the tokens that are used; the others are only there.
pub struct Stock {
    pub config: config::Config,
    pub held: Vec<Held>,
    /// Microseconds of one question to the store, cold or not.
    pub lookup_us: f64,
    _directory: TempDir,
}

impl Stock {
    /// So many tokens in all.
    pub fn fill(config: config::Config, size: usize) -> Self {
        let directory = TempDir::new().expect("a directory");
        let pepper = directory.path().join("pepper");
        std::fs::write(&pepper, "a pepper of the benchmark, long enough").expect("written");
        let file = directory.path().join("tokens.db");
        let config = config::Config {
            api_tokens: Some((file.clone(), pepper)),
            ..config
        };
        let runtime = Runtime::new().expect("a runtime");
        let (held, lookup_us) = runtime.block_on(fill(&config.yaml(), &file, size));
        Self {
            config,
            held,
            lookup_us,
            _directory: directory,
        }
    }
}

/// Real tokens for the calls, copies of one with other ids for the rest.
async fn fill(config: &str, file: &Path, size: usize) -> (Vec<Held>, f64) {
    let config = Config::parse("bench", config, Path::new("/")).expect("a configuration");
    let api_tokens = config.api_tokens.expect("API tokens");
    let store = Store::open(&api_tokens.location, Patience::default())
        .await
        .expect("a store");
    let store = Arc::new(store);
    let rules = api_tokens.rules(["jira".to_owned()]);
    let desk = Desk::new(
        Arc::clone(&store),
        Arc::new(api_tokens.peppers),
        rules,
        Arc::new(SystemClock),
    );
    let by = By {
        actor: Actor::command_line("bench"),
        source: None,
        limits: None,
    };
    let applications = ["jira".to_owned()];
    let mut tokens = Vec::new();
    for number in 0..CACHED.min(size) {
        let user = mint::user(number);
        let written = Written {
            user: &user,
            name: "bench",
            expires: "30d",
            applications: &applications,
            ..Written::default()
        };
        let order = desk.rules().order(&written).expect("a good order");
        let issued = desk.issue(order, &by).await.expect("a token");
        let text = issued.token.expose().to_owned();
        tokens.push(Held { user, text });
    }
    copies(file, size - CACHED).await;
    let begun = Instant::now();
    for number in 0..LOOKUPS {
        // Spread over the whole store.
        let number = number * (size / LOOKUPS).max(1) % (size - CACHED).max(1) + 1;
        let id = ApiTokenId::parse(&format!("{number:012}")).expect("an id");
        store.find(id).await.expect("an answer");
    }
    (tokens, begun.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64)
}

async fn copies(file: &Path, count: usize) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", file.display());
    let mut connection = AnyConnection::connect(&url).await.expect("connects");
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1), \
         one AS (SELECT * FROM api_token LIMIT 1) \
         INSERT INTO api_token (id, owner, name, pepper, digest, scope, applications, created_at, created_by, expires_at, revision) \
         SELECT printf('%012d', n), owner, name, pepper, digest, scope, applications, created_at, created_by, expires_at, revision \
         FROM numbers, one",
    )
    .bind(i64::try_from(count).expect("fits"))
    .execute(&mut connection)
    .await
    .expect("inserted");
}
