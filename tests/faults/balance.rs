//! Connections live long, and a load balancer that spreads them can do so only when they are made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::support::{
    client,
    envoy::Envoy,
    eventually,
    idp::Idp,
    service::{Check, Outcome, Service, config_for},
    tokens::Token,
};

const CONNECTIONS: usize = 48;
const REPLICAS: usize = 3;

/// A real Envoy as a balancer of connections, which knows nothing of what is in them.
fn balancer(replicas: &[Service]) -> Envoy {
    let socket = |address: &str| {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        json!({"socket_address": {"address": host, "port_value": port.parse::<u16>().expect("a port")}})
    };
    let endpoints: Vec<Value> = replicas
        .iter()
        .map(|it| json!({"endpoint": {"address": socket(&it.grpc)}}))
        .collect();
    let proxy = json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "balancer", "cluster": "authz",
    }});
    let config = json!({
        "admin": {"address": socket("127.0.0.1:0")},
        "static_resources": {
            "listeners": [{
                "name": "balancer", "enable_reuse_port": false, "address": socket("127.0.0.1:0"),
                "filter_chains": [{"filters": [proxy]}],
            }],
            "clusters": [{
                "name": "authz", "type": "STATIC", "connect_timeout": "1s", "lb_policy": "ROUND_ROBIN",
                "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
                "health_checks": [{
                    "timeout": "1s", "interval": "0.2s", "no_traffic_interval": "0.2s",
                    "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {},
                }],
                "load_assignment": {"cluster_name": "authz", "endpoints": [{"lb_endpoints": endpoints}]},
            }],
        },
    });
    Envoy::with_config("balancer.json", &config.to_string())
}

/// Open connections to each replica, as the balancer sees them.
fn connections(balancer: &Envoy, replicas: &[Service]) -> Vec<usize> {
    let page = client::get(&balancer.admin, "/clusters", &[]).body;
    let of = |address: &str| {
        let start = format!("authz::{address}::cx_active::");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |number| number.parse().expect("a number"))
    };
    replicas.iter().map(|it| of(&it.grpc)).collect()
}

/// Those who ask, each over a connection of its own.
struct Askers {
    shared: Arc<Shared>,
    thread: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    asked_again: AtomicU64,
}

impl Askers {
    fn start(address: &str, token: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let check = Check::get("/rest/api/2/myself").bearer(token).build();
        let (address, all) = (format!("http://{address}"), Arc::clone(&shared));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .expect("a runtime")
                .block_on(all_ask(&address, &check, &all));
        });
        Self { shared, thread }
    }

    /// Answers, and questions that were asked again.
    fn end(self) -> (u64, u64) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.join().expect("only right answers");
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (
            count(&self.shared.answered),
            count(&self.shared.asked_again),
        )
    }
}

async fn all_ask(address: &str, check: &CheckRequest, shared: &Arc<Shared>) {
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = AuthorizationClient::connect(address.to_owned()).await;
        let client = client.expect("connects");
        askers.spawn(ask(client, check.clone(), Arc::clone(shared)));
    }
    while let Some(ended) = askers.join_next().await {
        ended.expect("only right answers");
    }
}

async fn ask(mut client: AuthorizationClient<Channel>, check: CheckRequest, shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::Acquire) {
        match client.check(check.clone()).await {
            Ok(answer) => {
                assert_eq!(Outcome::of(answer.into_inner()).user(), Some("alice"));
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) if was_not_taken(&status) => {
                shared.asked_again.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => panic!("a stream is lost: {status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Such a question may be asked again, whatever it is.
fn was_not_taken(status: &tonic::Status) -> bool {
    let status = format!("{status:?}");
    // Begun after the server has asked us to go (RFC 9113 §6.8).
    let too_late = status.contains("GoAway(b\"\", NO_ERROR, Remote)");
    // Not begun: the connection ended while the question waited in the client for its turn. What has been sent ends in
    // an error of HTTP/2.
    let unsent = status.contains("hyper::Error(Canceled, \"connection closed\")");
    too_late || unsent
}

/// Fault 35: the first replica has all connections, as after a rollout; the others come later.
#[test]
fn connections_that_are_asked_to_go_end_up_spread_over_all_replicas_and_no_stream_is_reset() {
    let idp = Idp::start();
    let config = format!(
        "{}shutdown: {{ drain_delay: 0s, drain_timeout: 5s, max_connection_age: 4s }}\n",
        config_for(&idp)
    );
    let mut replicas: Vec<_> = (0..REPLICAS)
        .map(|_| Service::with_config(&config))
        .collect();
    for late in &mut replicas[1..] {
        late.process.signal("TERM");
        late.process.wait();
    }
    let balancer = balancer(&replicas);
    let healthy = || balancer.stat("cluster.authz.membership_healthy");
    eventually("one healthy replica", || (healthy() == 1).then_some(()));
    let token = Token::of(&idp.issuer).claim("canary", "cnry").signed();
    let askers = Askers::start(&balancer.address, &token);
    eventually("all connections at one replica", || {
        (connections(&balancer, &replicas) == [CONNECTIONS, 0, 0]).then_some(())
    });
    for late in &mut replicas[1..] {
        let ports = format!("listen: {{ grpc: {}, admin: 127.0.0.1:0 }}\n", late.grpc);
        *late = Service::with_config(&format!("{config}{ports}"));
    }
    eventually("three healthy replicas", || {
        (healthy() == REPLICAS as u64).then_some(())
    });
    let made = || balancer.stat("cluster.authz.upstream_cx_total");
    let (before, mut spread) = (made(), [0; REPLICAS]);
    eventually("two ages", || {
        (made() >= before + 2 * CONNECTIONS as u64).then_some(())
    });
    // A connection that is being renewed counts twice or not at all: the mean of many looks.
    let looks = 50;
    for _ in 0..looks {
        let now = connections(&balancer, &replicas);
        for (sum, one) in spread.iter_mut().zip(now) {
            *sum += one;
        }
        let seen = made();
        eventually("another renewal", || (made() > seen).then_some(()));
    }
    let (answered, again) = askers.end();
    let mean: Vec<f64> = spread
        .iter()
        .map(|sum| *sum as f64 / f64::from(looks))
        .collect();
    let fair = CONNECTIONS as f64 / REPLICAS as f64;
    eprintln!(
        "fault 35: {CONNECTIONS} connections, two ages later {mean:.1?}; {answered} answers, {again} asked again, none lost"
    );
    for one in mean {
        assert!((one / fair - 1.0).abs() <= 0.25, "{one} of {fair}");
    }
}
