//! API tokens: what a check costs with a thousand of them in the store, and with a million.

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
    Effort,
    calls::{self, Answerer, Call},
    client::Shape,
    report::{Measured, Pair, Report, Sample},
    server::{self, Server},
};

/// Tokens that are used; the others are only there.
const USED: usize = 64;
const SIZES: [usize; 2] = [1_000, 1_000_000];
const SHAPE: Shape = Shape {
    connections: 4,
    streams: 4,
};
const CALLS: usize = 60_000;
/// Questions to the store itself.
const LOOKUPS: usize = 2_000;

/// A store with so many tokens in it, and a service that uses it.
struct Filled {
    server: Server,
    calls: Arc<[Call]>,
    lookup_us: f64,
    _directory: TempDir,
}

/// Floor, service with few, service with many, floor, …
pub fn measure(binary: &Path, issuer: &str, effort: Effort, report: &mut Report) {
    let count = CALLS / effort.divisor;
    let floor = Server::floor();
    let filled = SIZES.map(|size| Filled::new(binary, issuer, (size / effort.divisor).max(USED)));
    let mut measured =
        SIZES.map(|size| Measured::new(format!("API token, one of {size}, 4 x 4"), SHAPE, None));
    for _ in 0..effort.pairs {
        for (filled, measured) in filled.iter().zip(&mut measured) {
            let floor = Sample::take(&floor, Answerer::Floor, SHAPE, &filled.calls, count);
            let service = Sample::take(
                &filled.server,
                Answerer::Service,
                SHAPE,
                &filled.calls,
                count,
            );
            measured.pairs.push(Pair {
                floor,
                service,
                bare: None,
            });
        }
    }
    for measured in measured {
        report.add(measured);
    }
    for (size, filled) in SIZES.iter().zip(&filled) {
        println!(
            "  a question to a store of {size:>9} tokens: {:.0} us",
            filled.lookup_us
        );
    }
}

impl Filled {
    fn new(binary: &Path, issuer: &str, size: usize) -> Self {
        let directory = TempDir::new().expect("a directory");
        let pepper = directory.path().join("pepper");
        std::fs::write(&pepper, "a pepper of the benchmark, long enough").expect("written");
        let file = directory.path().join("tokens.db");
        let config = format!(
            "{}api_tokens:\n  store: \"sqlite://{}\"\n  pepper: {{ file: \"{}\" }}\n",
            server::config(issuer),
            file.display(),
            pepper.display(),
        );
        let runtime = Runtime::new().expect("a runtime");
        let (tokens, lookup_us) = runtime.block_on(fill(&config, &file, size));
        Self {
            server: Server::service(binary, &config),
            calls: calls::with_tokens(&tokens),
            lookup_us,
            _directory: directory,
        }
    }
}

/// Real tokens for the calls, copies of one with other ids for the rest.
async fn fill(config: &str, file: &Path, size: usize) -> (Vec<(usize, String)>, f64) {
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
    for number in 0..USED {
        let user = calls::user(number);
        let written = Written {
            user: &user,
            name: "bench",
            expires: "30d",
            applications: &applications,
            ..Written::default()
        };
        let order = desk.rules().order(&written).expect("a good order");
        let issued = desk.issue(order, &by).await.expect("a token");
        tokens.push((number, issued.token.expose().to_owned()));
    }
    copies(file, size - USED).await;
    let begun = Instant::now();
    for number in 0..LOOKUPS {
        // Spread over the whole store.
        let number = number * (size / LOOKUPS).max(1) % (size - USED).max(1) + 1;
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
