//! docs/TRACING.md, held against the real Envoy: its lines in the configuration that we ship.

use std::fs;

use crate::support::{
    client,
    collector::{Collector, Seen},
    envoy::{Envoy, shipped},
    idp::Idp,
    service::{Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

const HOST: &str = "jira-api.example.com";
const CLIENTS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The block of the page that begins like this, indented.
fn block(begin: &str, indent: usize) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/TRACING.md");
    let page = fs::read_to_string(file).expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|text| text.split("```").next().unwrap_or_default());
    let mut found = blocks.filter(|block| block.starts_with(begin));
    let block = found.next().unwrap_or_else(|| panic!("no block '{begin}'"));
    assert_eq!(found.next(), None, "one block '{begin}'");
    let lines = block.lines();
    lines
        .map(|line| format!("{:indent$}{line}\n", ""))
        .collect()
}

fn before(config: &str, line: &str, insert: &str) -> String {
    assert_eq!(config.matches(line).count(), 1, "{line}");
    config.replace(line, &format!("{insert}{line}"))
}

struct Scene {
    envoy: Envoy,
    collector: Collector,
    service: Service,
    bearer: String,
    _parts: (Idp, Upstream),
}

impl Scene {
    /// Envoy records this share of the traces, in percent; the service, left to itself, every check.
    fn start(percent: &str, is_edge: bool) -> Self {
        let (idp, upstream, collector) = (Idp::start(), Upstream::start(), Collector::start());
        let service = Service::with_config(&(config_for(&idp) + &collector.section("1")));
        let config = shipped(upstream.port, &[&service.grpc]);
        let tracing = block("tracing:\n  random_sampling", 16);
        let tracing = tracing.replace("{ value: 1 }", &format!("{{ value: {percent} }}"));
        let config = before(&config, "                http_filters:\n", &tracing);
        let cluster = block("- name: otel-collector", 4);
        let (host, port) = collector.address.rsplit_once(':').expect("host:port");
        let written = "address: otel-collector.monitoring, port_value: 4317";
        let address = format!("address: {host}, port_value: {port}");
        assert!(cluster.contains(written));
        let cluster = cluster.replace(written, &address);
        let mut config = before(
            &config,
            "    - name: jira\n      type: STRICT_DNS\n",
            &cluster,
        );
        if is_edge {
            let removes = block("- { remove: traceparent }", 24);
            let first = "                        - { remove: x-remote-user }\n";
            config = before(&config, first, &removes);
        }
        Self {
            envoy: Envoy::with_config("envoy.yaml", &config),
            bearer: format!("Authorization: Bearer {}", Token::of(&idp.issuer).signed()),
            collector,
            service,
            _parts: (idp, upstream),
        }
    }

    fn ask(&self, path: &str, flags: Option<&str>) {
        let parent =
            flags.map(|flags| format!("traceparent: 00-{CLIENTS}-00f067aa0ba902b7-{flags}"));
        let mut lines = vec![&*self.bearer];
        lines.extend(parent.as_deref());
        let answer = client::request(&self.envoy.address, "GET", path, HOST, &lines);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// The spans of checks at the end of the service.
    fn checks(&mut self) -> Vec<Seen> {
        self.service.process.signal("TERM");
        assert_eq!(self.service.process.wait().code(), Some(0));
        self.collector.named("check")
    }
}

#[test]
fn the_lines_for_envoy_make_one_trace_and_send_no_query() {
    let mut scene = Scene::start("100", false);
    scene.ask("/rest/api/2/search?a_password=hunter2", None);
    let ingress = scene.collector.wait_for("ingress", 1).remove(0);
    assert_eq!(ingress.attribute("http.url"), "/rest/api/2/search");
    let checks = scene.checks();
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0].trace, ingress.trace);
    let sent = String::from_utf8_lossy(&scene.collector.bytes()).into_owned();
    assert!(!sent.contains("hunter2"), "{sent}");
}

#[test]
fn what_envoy_does_not_record_is_not_recorded_here_either() {
    let mut scene = Scene::start("0", false);
    for _ in 0..20 {
        scene.ask("/x", None);
    }
    assert_eq!(scene.checks().len(), 0);
}

#[test]
fn a_client_can_hide_and_name_its_trace_but_not_force_one_unless_its_parent_is_taken_from_it() {
    // Envoy's share, the client's flags, whether the client is asked: recorded, in the client's trace.
    for (percent, flags, is_edge, recorded, named) in [
        ("0", "01", false, false, false),
        ("100", "00", false, false, false),
        ("100", "01", false, true, true),
        ("0", "01", true, false, false),
        ("100", "00", true, true, false),
        ("100", "01", true, true, false),
    ] {
        let case = format!("{percent} {flags} {is_edge}");
        let mut scene = Scene::start(percent, is_edge);
        scene.ask("/x", Some(flags));
        let checks = scene.checks();
        assert_eq!(checks.len(), usize::from(recorded), "{case}");
        let is_clients = |check: &Seen| check.trace == CLIENTS;
        assert_eq!(checks.iter().any(is_clients), named, "{case}");
    }
}
