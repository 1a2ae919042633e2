//! The real Envoy, between a test's client, the service and the product.

use std::{env, fs, path::PathBuf, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{children::Running, client, eventually};

/// A running Envoy.
pub struct Envoy {
    process: Running,
    /// `host:port` of the listener.
    pub address: String,
    /// `host:port` of Envoy's own admin interface.
    pub admin: String,
    _directory: TempDir,
}

/// How Envoy asks. The defaults are Envoy's own, not the recommended ones: the service must be safe
/// behind either.
#[derive(Clone)]
pub struct Options {
    /// `host:port` or `unix:/path` of the service.
    pub authz: String,
    pub upstream_port: u16,
    /// Ports of further products; a request chooses one with the header `x-upstream: PORT`.
    pub further_upstreams: Vec<u16>,
    /// Merged into the `ext_authz` filter's configuration.
    pub filter: Value,
    /// Merged into the HTTP connection manager's configuration.
    pub manager: Value,
    /// The application named by the route; `None` leaves the choice to the host.
    pub application: Option<&'static str>,
    /// Further replicas of the service.
    pub replicas: Vec<String>,
    /// Merged into the service's cluster.
    pub cluster: Value,
    /// `host:port` of the collector that Envoy sends its own spans to: one of each request.
    pub collector: Option<String>,
}

impl Options {
    pub fn new(authz: &str, upstream_port: u16) -> Self {
        Self {
            authz: authz.to_owned(),
            upstream_port,
            further_upstreams: Vec::new(),
            filter: json!({}),
            manager: json!({}),
            application: None,
            replicas: Vec::new(),
            cluster: json!({}),
            collector: None,
        }
    }

    /// Traces every request.
    pub fn traced(mut self, collector: &str) -> Self {
        self.collector = Some(collector.to_owned());
        self
    }

    /// Several replicas of the service, and how Envoy chooses among them.
    pub fn replicas(mut self, further: &[&str], cluster: Value) -> Self {
        self.replicas = further
            .iter()
            .map(|address| (*address).to_owned())
            .collect();
        self.cluster = cluster;
        self
    }

    pub fn filter(mut self, filter: Value) -> Self {
        self.filter = filter;
        self
    }

    pub fn manager(mut self, manager: Value) -> Self {
        self.manager = manager;
        self
    }

    pub fn further_upstreams(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.further_upstreams.extend(ports);
        self
    }

    /// Opens the door on every error: what an operator should never do, and an attacker hopes for.
    pub fn failing_open(self) -> Self {
        self.filter(json!({"failure_mode_allow": true}))
    }

    pub fn start(&self) -> Envoy {
        Envoy::start(self)
    }
}

/// The binary: `$ENVOY`, or the one that scripts/setup.py has installed.
pub fn binary() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/envoy");
    env::var_os("ENVOY").map_or(own, PathBuf::from)
}

/// The configuration that we ship, with nothing changed but addresses: the product's, and those of the replicas of the
/// service, for which it has one name.
pub fn shipped(jira: u16, replicas: &[&str]) -> String {
    const ENDPOINT: &str = "- endpoint:\n                  address: { socket_address: { address: atlassian-authz, port_value: 9001 } }";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/envoy/envoy.yaml");
    let mut config = fs::read_to_string(file).expect("the shipped configuration");
    let endpoint = |grpc: &&str| {
        let port = grpc.rsplit_once(':').expect("host:port").1;
        let address = format!("address: 127.0.0.1, port_value: {port}");
        ENDPOINT.replace("address: atlassian-authz, port_value: 9001", &address)
    };
    let endpoints: Vec<_> = replicas.iter().map(endpoint).collect();
    for (placeholder, value) in [
        (
            "address: 0.0.0.0, port_value: 8443",
            "address: 127.0.0.1, port_value: 0",
        ),
        (
            "address: 127.0.0.1, port_value: 9901",
            "address: 127.0.0.1, port_value: 0",
        ),
        (
            "address: jira.example.internal, port_value: 8080",
            &format!("address: 127.0.0.1, port_value: {jira}"),
        ),
        (ENDPOINT, &endpoints.join("\n              ")),
    ] {
        assert_eq!(config.matches(placeholder).count(), 1, "{placeholder}");
        config = config.replace(placeholder, value);
    }
    config
}

impl Envoy {
    fn start(options: &Options) -> Self {
        Self::with_config("envoy.json", &config(options).to_string())
    }

    /// Starts with a whole configuration; the name tells whether it is JSON or YAML.
    pub fn with_config(file_name: &str, config: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join(file_name);
        let admin_file = directory.path().join("admin");
        fs::write(&file, config).expect("written");
        let mut command = Command::new(binary());
        command
            .args([
                "--concurrency",
                "1",
                "--log-level",
                "warning",
                "--disable-hot-restart",
            ])
            .arg("-c")
            .arg(&file)
            .arg("--admin-address-path")
            .arg(&admin_file);
        let mut process = Running::start(command);
        let admin = eventually("Envoy's admin address", || {
            assert!(
                process.exited().is_none(),
                "Envoy ended:\n{}",
                process.output()
            );
            fs::read_to_string(&admin_file)
                .ok()
                .filter(|text| text.contains(':'))
        });
        let address = eventually("Envoy's listener", || {
            let page = client::get(&admin, "/listeners?format=json", &[]).body;
            let page: Value = serde_json::from_str(&page).ok()?;
            let socket = &page["listener_statuses"][0]["local_address"]["socket_address"];
            Some(format!("127.0.0.1:{}", socket["port_value"].as_u64()?))
        });
        eventually("Envoy's readiness", || {
            (client::get(&admin, "/ready", &[]).status == 200).then_some(())
        });
        Self {
            process,
            address,
            admin,
            _directory: directory,
        }
    }

    /// What it has written since the last time.
    pub fn take_output(&self) -> String {
        self.process.take_output()
    }

    /// One of Envoy's counters.
    pub fn stat(&self, name: &str) -> u64 {
        let page = client::get(&self.admin, &format!("/stats?filter=^{name}$"), &[]).body;
        page.lines()
            .find_map(|line| line.rsplit_once(": ")?.1.trim().parse().ok())
            .unwrap_or(0)
    }
}

fn config(options: &Options) -> Value {
    let mut filter = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
    });
    merge(&mut filter, &options.filter);
    let mut virtual_host = json!({
        "name": "all", "domains": ["*"], "routes": routes(options),
    });
    if let Some(application) = options.application {
        virtual_host["typed_per_filter_config"] = json!({"envoy.filters.http.ext_authz": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "check_settings": {"context_extensions": {"application": application}},
        }});
    }
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [virtual_host]},
        "http_filters": [
            {"name": "envoy.filters.http.ext_authz", "typed_config": filter},
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    });
    if options.collector.is_some() {
        manager["tracing"] = tracing();
    }
    merge(&mut manager, &options.manager);
    let http2 = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    let authz: Vec<Value> = std::iter::once(&options.authz)
        .chain(&options.replicas)
        .map(|address| endpoint(address))
        .collect();
    let mut authz = cluster("authz", &authz, &http2);
    merge(&mut authz, &options.cluster);
    let mut clusters = vec![upstream("upstream", options.upstream_port), authz];
    if let Some(collector) = &options.collector {
        clusters.push(cluster("collector", &[socket(collector)], &http2));
    }
    for port in &options.further_upstreams {
        clusters.push(upstream(&port.to_string(), *port));
    }
    json!({
        "admin": {"address": socket("127.0.0.1:0")},
        "static_resources": {
            "listeners": [{
                "name": "ingress", "enable_reuse_port": false, "address": socket("127.0.0.1:0"),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
            }],
            "clusters": clusters,
        },
    })
}

/// docs/TRACING.md says the same.
fn tracing() -> Value {
    json!({
        "random_sampling": {"value": 100},
        "custom_tags": [{"tag": "http.url", "value": "%PATH(NQ)%"}],
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
            "service_name": "envoy",
            "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "1s"},
        }},
    })
}

/// To the product that the request names, else to the first.
fn routes(options: &Options) -> Vec<Value> {
    let to = |cluster: &str| json!({"cluster": cluster, "timeout": "60s"});
    let named = options.further_upstreams.iter().map(|port| {
        let port = port.to_string();
        let header = json!({"name": "x-upstream", "string_match": {"exact": port}});
        json!({"match": {"prefix": "/", "headers": [header]}, "route": to(&port)})
    });
    let first = json!({"match": {"prefix": "/"}, "route": to("upstream")});
    named.chain([first]).collect()
}

fn upstream(name: &str, port: u16) -> Value {
    cluster(name, &[socket(&format!("127.0.0.1:{port}"))], &json!({}))
}

/// `host:port` or `unix:/path`
fn endpoint(address: &str) -> Value {
    match address.strip_prefix("unix:") {
        Some(path) => json!({"pipe": {"path": path}}),
        None => socket(address),
    }
}

fn cluster(name: &str, addresses: &[Value], protocol: &Value) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"endpoint": {"address": address}}))
        .collect();
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": protocol,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

fn socket(address: &str) -> Value {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    json!({"socket_address": {"address": host, "port_value": port.parse::<u16>().expect("a port")}})
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
