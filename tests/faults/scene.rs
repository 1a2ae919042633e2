//! Client, Envoy, replicas of the service, and everything they depend on, each behind something that can
//! break.

use std::{env, fs, path::Path, sync::Arc, thread};

use serde_json::{Value, json};

use crate::{
    canaries::Canaries,
    desk::{Desk, Made, PEPPER},
    load::Load,
    process::resident_kib,
    product::Product,
    support::{
        envoy::{Envoy, Options},
        eventually,
        idp::{Answer, Idp},
        postgres::Postgres,
        proxy::Proxy,
        service::Service,
    },
    tally::{ALL, JWT, Tally},
    traffic::{Traffic, introspected},
};

pub const INTROSPECT: &str = "/introspect";
const SECRET: &str = "the secret that the gateway introspects with";
const OWN_TOKENS: usize = 20;

/// How a scene differs from the usual one.
pub struct Shape {
    pub replicas: usize,
    /// Whether Envoy asks another replica when one fails.
    pub retries: bool,
    /// Further sections of the configuration.
    pub sections: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            replicas: 3,
            retries: true,
            sections: "shutdown: { drain_delay: 3s, drain_timeout: 5s }\n",
        }
    }
}

/// The scene. The load goes on from the start to the end.
pub struct Scene {
    // Dropped in this order: who asks before who is asked.
    load: Option<Arc<Load>>,
    pub envoy: Envoy,
    pub replicas: Vec<Service>,
    pub canaries: Canaries,
    pub config: String,
    /// In front of the provider of the keys.
    pub keys: Proxy,
    /// In front of the provider that is asked.
    pub asking: Proxy,
    pub asked: Idp,
    /// In front of the database.
    pub database: Proxy,
    pub desk: Desk,
    pub postgres: Postgres,
    _product: Product,
}

impl Scene {
    pub fn start() -> Self {
        Self::of(&Shape::default())
    }

    pub fn of(shape: &Shape) -> Self {
        let postgres = Postgres::start();
        let desk = Desk::at(&superuser(&postgres, postgres.port()));
        assert!(desk.migrate().status.success(), "migrates");
        let address = |port: u16| format!("127.0.0.1:{port}");
        let database = Proxy::start(&address(postgres.port()));
        let keys = Proxy::start(&address(desk.idp().port()));
        let asked = Idp::start();
        asked.answer(INTROSPECT, Answer::Made(introspected));
        let asking = Proxy::start(&address(asked.port()));
        let config = config(&desk, [&database, &keys, &asking], &postgres) + shape.sections;
        let replicas: Vec<_> = (0..shape.replicas)
            .map(|_| Service::with_config(&config))
            .collect();
        let product = Product::start();
        let further: Vec<_> = replicas[1..].iter().map(|it| it.grpc.as_str()).collect();
        let envoy = Options::new(&replicas[0].grpc, product.port)
            .filter(filter(shape.retries))
            .replicas(&further, cluster())
            .start();
        eventually("healthy replicas", || {
            let healthy = envoy.stat("cluster.authz.membership_healthy");
            (healthy == shape.replicas as u64).then_some(())
        });
        let canaries = Canaries::default();
        for (what, secret) in [
            ("the pepper", PEPPER),
            ("our secret at a provider", SECRET),
            ("the password of the database", postgres.password()),
        ] {
            canaries.keep(what, secret);
        }
        let traffic = Traffic::new(&desk.idp().issuer, &own_tokens(&desk), &canaries);
        warm(&replicas, &traffic);
        Self {
            load: Some(Arc::new(Load::start(&envoy.address, traffic))),
            envoy,
            replicas,
            canaries,
            config,
            keys,
            asking,
            asked,
            database,
            desk,
            postgres,
            _product: product,
        }
    }

    /// The load. A test that keeps it must drop it before it finishes.
    pub fn load(&self) -> Arc<Load> {
        Arc::clone(self.load.as_ref().expect("until the end"))
    }

    pub fn issuer(&self) -> &str {
        &self.desk.idp().issuer
    }

    pub fn addresses(&self) -> Vec<&str> {
        self.replicas.iter().map(|it| it.grpc.as_str()).collect()
    }

    /// The load before anything breaks: what the rest is held against.
    pub fn quiet(&self) -> Tally {
        let quiet = self.load().seconds(10);
        quiet.assert_right(
            "before anything breaks, on a machine that is busy",
            &ALL,
            999_000,
        );
        quiet
    }

    /// The sum of a metric over the replicas.
    pub fn metric(&self, line_start: &str) -> f64 {
        self.replicas.iter().map(|it| it.metric(line_start)).sum()
    }

    /// Resident memory of all replicas, in KiB.
    pub fn resident(&self) -> u64 {
        let replicas = self.replicas.iter();
        replicas.map(|it| resident_kib(it.process.id()).0).sum()
    }

    /// A replica that starts at the address of one that has ended.
    pub fn restart(&mut self, at: usize) {
        let grpc = self.replicas[at].grpc.clone();
        let ports = format!("listen: {{ grpc: {grpc}, admin: 127.0.0.1:0 }}\n");
        let service = Service::with_config(&format!("{}{ports}", self.config));
        let ended = std::mem::replace(&mut self.replicas[at], service);
        self.search("a replica that has ended", &ended.process.take_output());
    }

    /// Nothing that was written holds a secret, or tells of a panic.
    pub fn sweep(&self) {
        for replica in &self.replicas {
            self.search("a log", &replica.process.take_output());
            for page in ["/metrics", "/statusz"] {
                self.canaries
                    .assert_none_in(page, &replica.admin_page(page).1);
            }
            let panics = replica.metric("atlassian_authz_panics_total");
            assert!(panics == 0.0, "{panics} panics");
        }
        self.canaries
            .assert_none_in("Envoy's log", &self.envoy.take_output());
    }

    fn search(&self, place: &str, log: &str) {
        keep(log);
        self.canaries.assert_none_in(place, log);
        let panic = log
            .lines()
            .find(|line| line.contains("\"message\":\"panic\""));
        assert_eq!(panic, None, "{place}");
    }

    /// What Envoy knows of replicas that did not answer.
    fn tell_of_envoy(&self) {
        let counted = [
            "upstream_rq_timeout",
            "upstream_rq_per_try_timeout",
            "upstream_rq_retry",
            "upstream_cx_connect_fail",
            "upstream_cx_none_healthy",
            "upstream_rq_rx_reset",
            "upstream_cx_destroy_with_active_rq",
            "health_check.failure",
        ]
        .map(|name| (name, self.envoy.stat(&format!("cluster.authz.{name}"))));
        let counted = counted.iter().filter(|(_, count)| *count > 0);
        let told: Vec<_> = counted
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        eprintln!("        Envoy: {}", told.join(", "));
    }

    /// What must hold in every scenario.
    pub fn finish(mut self) {
        let wrong = self.load().wrong();
        assert_eq!(wrong, [""; 0], "wrong decisions");
        self.load = None;
        self.sweep();
    }
}

/// Into the directory `FAULTS_LOG`, if there is one: for people who want to know why.
fn keep(log: &str) {
    if let Some(directory) = env::var_os("FAULTS_LOG") {
        let name = format!("{:016x}.log", rand::random::<u64>());
        fs::write(Path::new(&directory).join(name), log).expect("written");
    }
}

/// A test that fails says why Envoy has answered by itself.
impl Drop for Scene {
    fn drop(&mut self) {
        if thread::panicking() {
            for replica in &self.replicas {
                keep(&replica.process.output());
            }
        }
        self.tell_of_envoy();
    }
}

/// All that is shown again and again is known to every replica.
fn warm(replicas: &[Service], traffic: &Traffic) {
    for replica in replicas {
        let mut asker = replica.asker();
        for shown in traffic.pooled() {
            assert_eq!(asker.check_token(&shown.token).status, 200);
        }
    }
}

pub fn superuser(postgres: &Postgres, port: u16) -> String {
    let url = postgres.url("postgres", postgres.password(), "postgres");
    url.replace(&format!(":{}/", postgres.port()), &format!(":{port}/"))
}

fn own_tokens(desk: &Desk) -> Vec<(String, Made)> {
    let store = desk.open_store();
    let users = (0..OWN_TOKENS).map(|number| format!("own{number}"));
    users
        .map(|user| {
            let made = store.make_for(&user);
            (user, made)
        })
        .collect()
}

fn config(desk: &Desk, [database, keys, asking]: [&Proxy; 3], postgres: &Postgres) -> String {
    let secret = desk.directory().join("introspection-secret");
    fs::write(&secret, SECRET).expect("written");
    let issuer = format!("issuer: \"{}\"", desk.idp().issuer);
    let asked = format!(
        "  - name: asked\n    introspection:\n      endpoint: \"http://{}{INTROSPECT}\"\n      client_id: gateway\n      \
         client_secret: {{ file: \"{}\" }}\n    audiences: [jira-api]\n    username: {{ claim: username }}\napi_tokens:",
        asking.address(),
        secret.display(),
    );
    // Long enough for a day of the same tokens.
    let found = format!(
        "{issuer}, jwks_uri: \"http://{}/jwks\", max_lifetime: 48h",
        keys.address()
    );
    desk.config(&superuser(postgres, database.port()))
        .replacen(&issuer, &found, 1)
        .replacen("api_tokens:", &asked, 1)
}

/// Envoy waits for 200 ms, as it does unless it is told otherwise; `FAULTS_PATIENCE` is in milliseconds, for machines
/// that others use, too.
fn filter(retries: bool) -> Value {
    let patience = env::var("FAULTS_PATIENCE").ok();
    let patience: f64 = patience.map_or(200.0, |text| text.parse().expect("a number"));
    let patience = format!("{:.3}s", patience / 1000.0);
    let mut filter = json!({
        "grpc_service": {"timeout": patience},
        "status_on_error": {"code": "ServiceUnavailable"},
    });
    if retries {
        filter["grpc_service"]["retry_policy"] = json!({
            "retry_on": "connect-failure,refused-stream,reset,unavailable",
            "num_retries": 1,
            // Envoy also gives up each try after `max_interval` (`Utility::convertCoreToRouteRetryPolicy`): less than the
            // whole time-out would cut off answers that are on their way.
            "retry_back_off": {"base_interval": "0.01s", "max_interval": patience},
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }],
            "host_selection_retry_max_attempts": 5,
        });
    }
    filter
}

fn cluster() -> Value {
    json!({
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "0.5s",
        "circuit_breakers": {"thresholds": [
            {"max_requests": 10_000, "max_pending_requests": 10_000, "max_retries": 1000}]},
        "health_checks": [{
            "timeout": "1s", "interval": "1s", "no_traffic_interval": "1s",
            "unhealthy_threshold": 2, "healthy_threshold": 1,
            "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
        }],
    })
}

/// How many times as long the median of JWTs takes.
pub fn slower(with: &Tally, without: &Tally) -> f64 {
    let median = |tally: &Tally| tally.quantile(&JWT, 500).as_secs_f64();
    median(with) / median(without).max(1e-6)
}

/// Connections to this port that whoever has made them has not given up.
pub fn established_to(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("a Linux kernel");
    let rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let to = format!(":{port:04X}");
    rows.filter(|row| row.len() > 3 && row[2].ends_with(&to) && row[3] == ESTABLISHED)
        .count()
}
