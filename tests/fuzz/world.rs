//! A configuration, and beside it the same in the words of the reference.

pub mod tokens;

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Arc, LazyLock},
    time::Duration,
};

use atlassian_authz::{
    app::App,
    clock::{Clock, Now, SystemClock},
    config::Config,
    grpc::{Answer, Checks},
    pb::envoy::service::auth::v3::CheckRequest,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

use crate::{
    recipe::{ED, ES, RS},
    reference::{
        Broken,
        claims::{Mark, Rules, Typ},
        jwks,
        username::{Naming, PLAIN},
        walk::{Access, Application, Product, Provider, World},
    },
    support::idp::{Answer as Document, Idp, jwks as key_set},
};

/// 2027-01-15T08:00:00Z, in every fuzzed world.
pub const NOW: i64 = 1_800_000_000;

/// Where the key sets are is not known before they are served.
const CONFIG: &str = include_str!("world/config.yaml");
const KEYS_AT: &str = "http://127.0.0.1:1";

/// The published keys of each provider.
pub static KEY_SETS: LazyLock<[(&str, String); 3]> = LazyLock::new(key_sets);

fn key_sets() -> [(&'static str, String); 3] {
    let without = |member: &str, mut jwk: Value| {
        jwk.as_object_mut().expect("an object").remove(member);
        jwk
    };
    let sets: [(_, Vec<Value>); 3] = [
        // Without `alg` nothing but the provider's list says which of the algorithms for such a key is meant.
        ("rs", vec![without("alg", RS.jwk("rs-1")), ES.jwk("unused")]),
        ("es", vec![without("kid", ES.jwk(""))]),
        ("ed", vec![ED.jwk("ed-1")]),
    ];
    sets.map(|(name, keys)| (name, key_set(&keys)))
}

/// The configuration as the service reads it.
pub fn config() -> Config {
    read(KEYS_AT)
}

fn read(keys_at: &str) -> Config {
    let text = CONFIG.replace(KEYS_AT, keys_at);
    let config = Config::parse("config.yaml", &text, &HOME);
    config.unwrap_or_else(|problems| panic!("{problems}"))
}

/// For what is named by the configuration: the database of API tokens and their pepper. It is this process's own, and
/// goes when a later one finds it.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let homes = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz-worlds");
    fs::create_dir_all(&homes).expect("made");
    for home in fs::read_dir(&homes).expect("readable").flatten() {
        if !Path::new("/proc").join(home.file_name()).exists() {
            // Another process may be at it, too.
            drop(fs::remove_dir_all(home.path()));
        }
    }
    let home = homes.join(process::id().to_string());
    fs::create_dir_all(&home).expect("made");
    fs::write(
        home.join("pepper"),
        "not secret: it is made for these targets",
    )
    .expect("written");
    home
});

/// The same for the reference.
pub fn world() -> World {
    let [rs, es, ed] = KEY_SETS.each_ref().map(|(_, document)| {
        jwks::read(document.as_bytes(), &mut Broken::default()).expect("a key set")
    });
    World {
        providers: vec![
            Provider {
                issuer: "https://rs.test",
                algorithms: &["RS256"],
                keys: rs,
                rules: rs_rules(),
                naming: PLAIN,
                required_scopes: &[],
                groups: Some("groups"),
            },
            Provider {
                issuer: "https://es.test",
                algorithms: &["ES256"],
                keys: es,
                rules: es_rules(),
                naming: es_naming(),
                required_scopes: &["jira:use"],
                groups: None,
            },
            Provider {
                issuer: "https://ed.test",
                algorithms: &["EdDSA", "Ed25519"],
                keys: ed,
                rules: ed_rules(),
                naming: ed_naming(),
                required_scopes: &[],
                groups: None,
            },
        ],
        applications: applications(),
        tokens: tokens::issued(),
        now: NOW,
    }
}

pub fn rs_rules() -> Rules {
    Rules {
        audiences: Some(&["jira-api"]),
        clients: None,
        typ: Typ::AccessToken,
        leeway: 0.0,
        max_lifetime: Some(86_400.0),
        required: &[],
        machine_if: &[],
    }
}

pub fn es_rules() -> Rules {
    Rules {
        audiences: Some(&["jira-api", "api://gateway"]),
        clients: Some(&["portal", "ci"]),
        typ: Typ::Legacy,
        leeway: 30.0,
        max_lifetime: Some(3600.0),
        required: &[],
        machine_if: &[],
    }
}

pub fn es_naming() -> Naming {
    Naming {
        claim: "/user/upn",
        strip_domain: Some("corp.example.com"),
        email_characters: true,
        machines: &[("ci", "svc-ci")],
        ..PLAIN
    }
}

pub fn ed_rules() -> Rules {
    Rules {
        audiences: None,
        clients: Some(&["portal"]),
        typ: Typ::AccessToken,
        leeway: 60.0,
        max_lifetime: Some(86_400.0),
        required: &[("tenant", "acme")],
        machine_if: &[
            Mark::Equals("idtyp", "app"),
            Mark::StartsWith("acct", "svc:"),
        ],
    }
}

pub fn ed_naming() -> Naming {
    Naming {
        claim: "sub",
        prefix: "partner-",
        lower_case: false,
        ..PLAIN
    }
}

/// The provider of ID tokens.
pub fn id_rules() -> Rules {
    Rules {
        audiences: Some(&["jira-web"]),
        clients: None,
        typ: Typ::IdToken,
        leeway: 30.0,
        max_lifetime: Some(86_400.0),
        required: &[],
        machine_if: &[],
    }
}

pub fn id_naming() -> Naming {
    Naming {
        claim: "email",
        email_characters: true,
        reserved: &["admin"],
        allow: Some(|name| name.ends_with("@corp.example.com")),
        ..PLAIN
    }
}

/// The provider that is asked.
pub fn asked_rules() -> Rules {
    Rules {
        audiences: Some(&["jira-api"]),
        clients: None,
        typ: Typ::AccessToken,
        leeway: 30.0,
        max_lifetime: None,
        required: &[("tenant", "acme")],
        machine_if: &[Mark::Absent("username"), Mark::Present("client_name")],
    }
}

pub fn asked_naming() -> Naming {
    Naming {
        claim: "username",
        found: Some(|name| {
            let digits = name.strip_prefix("employee-")?;
            let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            all.then_some(digits)
        }),
        prefix: "e",
        ..PLAIN
    }
}

fn applications() -> Vec<Application> {
    let open = || Access {
        product: Product::Jira,
        context_path: "",
        denied_paths: true,
        denied_users: &[],
        groups: None,
        networks: None,
        methods: None,
        scopes: None,
        denies: None,
    };
    let application = |name, hosts, providers, access| Application {
        name,
        hosts,
        providers,
        public: &["/status"],
        native: false,
        websocket: false,
        report_only: false,
        access,
    };
    vec![
        Application {
            public: &["/status", "/public/*"],
            ..application(
                "jira",
                &["jira.example.com", "jira"],
                &[0, 1, 2],
                Access {
                    denied_users: &["mallory"],
                    methods: Some(&["GET", "POST", "PUT", "DELETE"]),
                    denies: Some(|user, path| {
                        user == "svc-ci" && path.starts_with("/rest/api/2/user")
                    }),
                    ..open()
                },
            )
        },
        Application {
            public: &["/wiki/status"],
            native: true,
            websocket: true,
            ..application(
                "wiki",
                &["wiki.example.com"],
                &[0, 2],
                Access {
                    product: Product::Confluence,
                    context_path: "/wiki",
                    groups: Some((&["wiki-users"], &["auditors"])),
                    ..open()
                },
            )
        },
        Application {
            public: &[],
            ..application(
                "git",
                &["git.example.com", "::1"],
                &[1],
                Access {
                    product: Product::Bitbucket,
                    denied_paths: false,
                    networks: Some((([10, 0, 0, 0], 8), ([10, 66, 0, 0], 16))),
                    scopes: Some((&["git:read"], &["git:write"])),
                    ..open()
                },
            )
        },
        Application {
            report_only: true,
            ..application("trial", &["trial.example.com"], &[0, 1, 2], open())
        },
    ]
}

/// The wall stands still, here at [`NOW`]. The other clock goes on: it says when keys are fetched again.
struct WallStandsStill(i64);

impl Clock for WallStandsStill {
    fn now(&self) -> Now {
        Now {
            unix_seconds: self.0,
            ..SystemClock.now()
        }
    }
}

/// The walk as the service runs it, with its keys from a provider on loopback.
pub struct Walk {
    runtime: Runtime,
    checks: Arc<Checks>,
    /// Texts of API tokens, in the order of [`tokens::ORDERS`].
    texts: Vec<String>,
    _idp: Idp,
}

pub static WALK: LazyLock<Walk> = LazyLock::new(Walk::begin);

impl Walk {
    fn begin() -> Self {
        let idp = Idp::start();
        for (name, document) in &*KEY_SETS {
            idp.answer(&format!("/{name}"), Document::Json(document.clone()));
        }
        let config = read(&idp.issuer);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let (checks, texts) = runtime.block_on(async {
            let texts = tokens::issue(read(&idp.issuer)).await;
            let mut app = App::build(config, Arc::new(WallStandsStill(NOW))).expect("builds");
            app.keep_keys_fresh(&TaskTracker::new());
            app.providers_tried().await;
            assert_eq!(app.provider_problems(), [""; 0]);
            (Arc::clone(app.checks()), texts)
        });
        Self {
            runtime,
            checks,
            texts,
            _idp: idp,
        }
    }

    /// Asks, and waits for as long as it takes: nothing here is about time.
    pub fn answer(&self, check: CheckRequest) -> Answer {
        let now = WallStandsStill(NOW).now();
        let deadline = now.instant + Duration::from_mins(10);
        self.runtime
            .block_on(self.checks.answer(check, now, deadline, None))
    }
}
