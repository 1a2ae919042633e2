//! A store of tokens, and the commands that change it.

use std::{
    fs,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use atlassian_authz::{
    api_token::{Actor, ApiTokenId},
    clock::SystemClock,
    config::Config,
    desk::{self, By, Text, Written},
    store::{Family, Patience, Store},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{
    idp::Idp,
    service::{Check, Outcome, Service},
};

pub const PEPPER: &str = "a pepper of the tests, long enough";

/// Where tokens are made and ended, apart from any running service.
pub struct Desk {
    directory: TempDir,
    idp: Idp,
    store: String,
}

/// A token as its maker sees it.
#[derive(Clone, Debug)]
pub struct Made {
    pub id: String,
    pub token: String,
}

impl Desk {
    /// With an SQLite file.
    pub fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        let store = format!("sqlite://{}", directory.path().join("tokens.db").display());
        Self::in_directory(directory, store)
    }

    /// With a database that is there already.
    pub fn at(url: &str) -> Self {
        Self::in_directory(TempDir::new().expect("a directory"), url.to_owned())
    }

    fn in_directory(directory: TempDir, store: String) -> Self {
        let desk = Self {
            directory,
            idp: Idp::start(),
            store,
        };
        desk.write("pepper", PEPPER);
        desk.write("store", &desk.store);
        desk.write("config.yaml", &desk.config(&desk.store));
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("written");
    }

    /// The configuration, with the store at this address.
    pub fn config(&self, store: &str) -> String {
        let directory = self.directory.path().display();
        let name = format!("store-{:08x}", crc32fast::hash(store.as_bytes()));
        let file = self.directory.path().join(name);
        fs::write(&file, store).expect("written");
        format!(
            "providers:\n  - name: idp\n    jwt: {{ issuer: \"{issuer}\", leeway: 0s }}\n    audiences: [jira-api]\n    \
             username: {{ claim: preferred_username }}\n\
             api_tokens:\n  store: {{ file: \"{store}\" }}\n  pepper: {{ file: \"{directory}/pepper\" }}\n  \
             usage_interval: 1s\n  max_per_user: 10000\n\
             applications:\n  \
             - {{ name: jira, product: jira, hosts: [jira.example.com, 127.0.0.1], public_paths: [/status] }}\n  \
             - {{ name: wiki, product: confluence, hosts: [wiki.example.com], foreign_credentials: native, without_credentials: native }}\n  \
             - {{ name: bitbucket, product: bitbucket, hosts: [bitbucket-api.example.com] }}\n\
             outbound: {{ allow_loopback_http: true }}\n",
            issuer = self.idp.issuer,
            store = file.display(),
        )
    }

    pub fn idp(&self) -> &Idp {
        &self.idp
    }

    pub fn store(&self) -> &str {
        &self.store
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A replica of the service.
    pub fn service(&self) -> Service {
        Service::with_config(&self.config(&self.store))
    }

    /// A replica that reaches the store at another address.
    pub fn service_at(&self, store: &str) -> Service {
        Service::with_config(&self.config(store))
    }

    /// Runs `token …` and returns what it prints as JSON.
    pub fn token(&self, arguments: &[&str]) -> Value {
        let output = self.try_token(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "token {arguments:?}: {}",
            text(&output.stderr)
        );
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {}", text(&output.stdout)))
    }

    pub fn try_token(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
            .arg("token")
            .args(arguments)
            .args(["--json", "--config"])
            .arg(self.directory.path().join("config.yaml"))
            .output()
            .expect("runs")
    }

    /// A token of alice's for jira, with these further arguments.
    pub fn make(&self, further: &[&str]) -> Made {
        self.make_for("alice", &["--application", "jira"], further)
    }

    pub fn make_for(&self, user: &str, applications: &[&str], further: &[&str]) -> Made {
        let fixed = ["create", "--user", user, "--name", "ci", "--expires", "30d"];
        let made = self.token(&[&fixed, applications, further].concat());
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        Made {
            id: text("id"),
            token: text("token"),
        }
    }

    /// Prepares the database.
    pub fn migrate(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
            .args(["token", "migrate", "--config"])
            .arg(self.directory.path().join("config.yaml"))
            .output()
            .expect("runs")
    }

    /// Straight at the store, without a process for each token.
    pub fn open_store(&self) -> InProcess {
        InProcess::open(self)
    }

    /// Many tokens of alice's for jira.
    pub fn make_many(&self, count: usize) -> Vec<Made> {
        let store = self.open_store();
        (0..count).map(|_| store.make()).collect()
    }

    pub fn revoke(&self, id: &str) {
        self.token(&["revoke", id, "--reason", "test"]);
    }
}

/// The commands' own desk, in this process.
pub struct InProcess {
    desk: desk::Desk,
    runtime: Runtime,
}

impl InProcess {
    fn open(tokens: &Desk) -> Self {
        let config =
            Config::load(&tokens.directory.path().join("config.yaml")).expect("a configuration");
        let api_tokens = config.api_tokens.expect("API tokens");
        let runtime = Runtime::new().expect("a runtime");
        // It is the services' that is tested, not that of those who make tokens for them.
        let patience = Patience {
            acquire: Duration::from_mins(1),
            statement: Duration::from_mins(1),
            ..Patience::default()
        };
        let store = runtime
            .block_on(Store::open(&api_tokens.location, patience))
            .expect("a store");
        let rules = api_tokens.rules(["jira".to_owned()]);
        let desk = desk::Desk::new(
            Arc::new(store),
            Arc::new(api_tokens.peppers),
            rules,
            Arc::new(SystemClock),
        );
        Self { desk, runtime }
    }

    pub fn make(&self) -> Made {
        self.make_for("alice")
    }

    pub fn make_for(&self, user: &str) -> Made {
        let applications = ["jira".to_owned()];
        let written = Written {
            user,
            name: "one of many",
            expires: "30d",
            applications: &applications,
            ..Written::default()
        };
        let order = self.desk.rules().order(&written).expect("a good order");
        let issued = self
            .runtime
            .block_on(self.desk.issue(order, &by()))
            .expect("a token");
        Made {
            id: issued.record.id.to_string(),
            token: issued.token.expose().to_owned(),
        }
    }

    pub fn revoke(&self, made: &Made) {
        let id = ApiTokenId::parse(&made.id).expect("an id");
        let reason = Text::reason("test").expect("a reason");
        let by = by();
        let revoked = self.desk.revoke(id, Family::Spared, &reason, &by);
        assert!(self.runtime.block_on(revoked).expect("revoked"));
    }
}

fn by() -> By {
    By {
        actor: Actor::command_line("test"),
        source: None,
        limits: None,
    }
}

impl Made {
    /// The same id with another good-looking secret.
    pub fn with_wrong_secret(&self) -> String {
        let other = |c: char| if c == 'a' { 'b' } else { 'a' };
        let (head, secret) = self.token[..60].rsplit_once('_').expect("a token");
        let first = secret.chars().next().expect("a secret");
        checked(&format!("{head}_{}{}", other(first), &secret[1..]))
    }
}

/// How often a service has asked the store about an id.
pub fn lookups(service: &Service) -> u64 {
    let results = ["found", "unknown", "failed"].into_iter();
    let (_, page) = service.admin_page("/metrics");
    let count = |result| {
        let start = format!("atlassian_authz_api_token_lookups_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |number| number.parse::<u64>().expect("a number"))
    };
    results.map(count).sum()
}

/// A token of this id and secret, with the checksum that it needs.
pub fn checked(body: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = [0; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{body}{}", std::str::from_utf8(&checksum).expect("ASCII"))
}

pub fn basic(user: impl AsRef<[u8]>, password: &str) -> String {
    let pair = [user.as_ref(), b":", password.as_bytes()].concat();
    format!("Basic {}", STANDARD.encode(pair))
}

/// The outcome of a request with this `Authorization`.
pub fn ask(service: &mut Service, check: Check, authorization: &str) -> Outcome {
    service.check(check.header("authorization", authorization).build())
}
