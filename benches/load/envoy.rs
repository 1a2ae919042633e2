//! The real Envoy, with one worker, a constant answer behind its filters, and the user whom the product would
//! have seen as a header of that answer.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    mint::{Held, Signature},
    server::{PATIENCE, Server, page, text},
};

/// Larger than the number of tokens in use, and than a token.
const CACHED_TOKENS: u32 = 1_000;
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/envoy/envoy.yaml");

/// What stands before the constant answer.
pub enum Filter<'a> {
    Nothing,
    /// As shipped, asking this server: `host:port` or `unix:/path`.
    ExtAuthz(&'a str),
    /// Envoy's own, in process.
    JwtAuthn {
        issuer: &'a str,
        cache: bool,
    },
    /// Envoy's own list of API tokens, in process.
    ApiKeyAuth(&'a [Held]),
}

/// The binary: `$ENVOY`, or the one that scripts/setup.py has installed.
pub fn binary() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/envoy");
    env::var_os("ENVOY").map_or(own, PathBuf::from)
}

/// Starts one with this filter.
pub fn start(filter: &Filter<'_>) -> Server {
    let binary = binary();
    assert!(
        binary.exists(),
        "there is no {}: run scripts/setup.py envoy",
        binary.display()
    );
    let directory = TempDir::new().expect("a directory");
    let config = directory.path().join("envoy.json");
    let admin_file = directory.path().join("admin");
    fs::write(&config, self::config(filter).to_string()).expect("written");
    assert_valid(&binary, &config);
    let command = [
        text(&binary),
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--disable-hot-restart",
        "-c",
        text(&config),
        "--admin-address-path",
        text(&admin_file),
    ];
    let server = Server::guarded(&command, |_| {
        let admin = eventually("Envoy's admin address", || {
            let address = fs::read_to_string(&admin_file).ok()?;
            address.contains(':').then_some(address)
        });
        (listener(&admin), admin)
    });
    eventually("Envoy's readiness", || {
        let ready = server.admin_page("/ready");
        ready.starts_with("HTTP/1.1 200").then_some(())
    });
    server
}

/// Says what is wrong with a configuration, which an Envoy that ends at once cannot tell us.
fn assert_valid(binary: &Path, config: &Path) {
    let checked = Command::new(binary)
        .args(["--mode", "validate", "--log-level", "error", "-c"])
        .arg(config)
        .output()
        .expect("Envoy starts");
    let problems = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "Envoy: {problems}");
}

/// The port that the kernel has chosen.
fn listener(admin: &str) -> String {
    eventually("Envoy's listener", || {
        let page = page(admin, "/listeners?format=json");
        // The body may come in chunks; nothing but it has braces.
        let body = page.get(page.find('{')?..=page.rfind('}')?)?;
        let listeners: Value = serde_json::from_str(body).ok()?;
        let socket = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
        Some(format!("127.0.0.1:{}", socket.get("port_value")?.as_u64()?))
    })
}

fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < give_up, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn config(filter: &Filter<'_>) -> Value {
    let shipped = Shipped::read();
    let mut filters: Vec<Value> = Vec::new();
    let mut clusters = Vec::new();
    match filter {
        Filter::Nothing => {}
        Filter::ExtAuthz(address) => {
            filters.push(shipped.filter);
            clusters.push(cluster(shipped.cluster, address));
        }
        Filter::JwtAuthn { issuer, cache } => filters.push(jwt_authn(issuer, *cache)),
        Filter::ApiKeyAuth(held) => filters.push(api_key_auth(held)),
    }
    filters.push(
        json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}),
    );
    let seen = json!({"header": {"key": "x-user", "value": "%REQ(X-REMOTE-USER)%"}});
    let route = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "hello"}},
        "response_headers_to_add": [seen],
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    });
    let nowhere = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    json!({
        "admin": {"address": nowhere},
        "static_resources": {
            "listeners": [{
                "name": "ingress", "enable_reuse_port": false, "address": nowhere,
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
            }],
            "clusters": clusters,
        },
    })
}

/// The configuration that we ship, as far as it is about the service.
struct Shipped {
    filter: Value,
    cluster: Value,
}

impl Shipped {
    fn read() -> Self {
        let yaml = fs::read_to_string(SHIPPED).expect("the shipped configuration");
        let shipped: Value = serde_saphyr::from_str(&yaml).expect("YAML");
        let take = |path: &str| shipped.pointer(path).expect("it is there").clone();
        let filters =
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
        Self {
            filter: take(&format!("{filters}/0")),
            cluster: take("/static_resources/clusters/0"),
        }
    }
}

/// The shipped cluster at an address; without health checks, which the floor does not answer.
fn cluster(mut shipped: Value, address: &str) -> Value {
    let address = if let Some(path) = address.strip_prefix("unix:") {
        json!({"pipe": {"path": path}})
    } else {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let port: u16 = port.parse().expect("a port");
        json!({"socket_address": {"address": host, "port_value": port}})
    };
    let cluster = shipped.as_object_mut().expect("a cluster");
    cluster.insert("type".to_owned(), "STATIC".into());
    cluster.remove("health_checks");
    let endpoint = json!({"endpoint": {"address": address}});
    let name = cluster.get("name").cloned();
    cluster.insert(
        "load_assignment".to_owned(),
        json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}),
    );
    shipped
}

/// What checks the same tokens and forwards the same claim.
fn jwt_authn(issuer: &str, cache: bool) -> Value {
    let jwk = Signature::Rs256.key().jwk(Signature::Rs256.key_id());
    let mut provider = json!({
        "issuer": issuer,
        "audiences": ["jira-api"],
        "local_jwks": {"inline_string": json!({"keys": [jwk]}).to_string()},
        "claim_to_headers": [{"header_name": "x-remote-user", "claim_name": "preferred_username"}],
    });
    if cache && let Some(provider) = provider.as_object_mut() {
        let cache = json!({"jwt_cache_size": CACHED_TOKENS});
        provider.insert("jwt_cache_config".to_owned(), cache);
    }
    json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"idp": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
    }})
}

fn api_key_auth(held: &[Held]) -> Value {
    let credential = |held: &Held| json!({"key": held.text, "client": held.user});
    let credentials: Vec<Value> = held.iter().map(credential).collect();
    json!({"name": "envoy.filters.http.api_key_auth", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
        "credentials": credentials,
        "key_sources": [{"header": "authorization"}],
        "forwarding": {"header": "x-remote-user", "hide_credentials": true},
    }})
}
