//! The configuration that we ship for Envoy, with nothing changed but addresses.

use super::{BELIEVED, CARRIERS, believed};
use crate::support::{
    client::{self, Answer},
    envoy::{Envoy, shipped},
    idp::Idp,
    service::Service,
    tokens::Token,
    upstream::Upstream,
};

const HOST: &str = "jira-api.example.com";

/// Client, the shipped Envoy, service and product.
struct Scene {
    envoy: Envoy,
    upstream: Upstream,
    service: Service,
    alice: String,
    _idp: Idp,
}

impl Scene {
    fn start() -> Self {
        let idp = Idp::start();
        // The route names the application: the host is of no account to the service.
        let service = Service::start(&idp);
        let upstream = Upstream::start();
        let envoy = Envoy::with_config("envoy.yaml", &shipped(upstream.port, &[&service.grpc]));
        Self {
            envoy,
            upstream,
            service,
            alice: format!("Authorization: Bearer {}", Token::of(&idp.issuer).signed()),
            _idp: idp,
        }
    }

    fn ask(&self, target: &str, lines: &[&str]) -> Answer {
        client::request(&self.envoy.address, "GET", target, HOST, lines)
    }

    /// With alice's token, these headers do not keep her from being herself.
    #[track_caller]
    fn assert_alice(&self, lines: &[&str]) {
        let before = self.upstream.seen().len();
        let answer = self.ask("/rest", &[&[&*self.alice], lines].concat());
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.body);
        let arrived = self.upstream.seen().split_off(before);
        assert_eq!(arrived.len(), 1, "{lines:?}");
        assert_eq!(
            believed(&arrived[0]),
            [("x-remote-user", "alice")],
            "{lines:?}"
        );
        for carrier in CARRIERS {
            assert!(arrived[0].values(carrier).is_empty(), "{carrier}");
        }
    }

    #[track_caller]
    fn assert_refused(&self, status: u16, target: &str, lines: &[&str]) {
        let before = self.upstream.seen().len();
        let answer = self.ask(target, lines);
        assert_eq!(answer.status, status, "{target} {lines:?}: {}", answer.body);
        assert_eq!(self.upstream.seen().len(), before, "{target} {lines:?}");
    }
}

#[test]
fn the_shipped_configuration_permits_every_removal_that_the_service_asks_for() {
    let scene = Scene::start();
    scene.assert_alice(&[]);
    let dotted = BELIEVED.map(|name| format!("{}: admin", name.replace('-', ".")));
    let dashed = BELIEVED.map(|name| format!("{name}: admin"));
    let carriers = CARRIERS.map(|name| format!("{name}: 1"));
    // The token is the one `authorization`.
    let all = carriers[1..].iter().chain(&dashed).chain(&dotted);
    let all: Vec<&str> = all.map(String::as_str).collect();
    for line in &all {
        scene.assert_alice(&[line]);
        scene.assert_refused(401, "/rest", &[line]);
    }
    scene.assert_alice(&all);
    scene.assert_alice(&[
        "X-Remote-User: admin",
        "x-remote-user: root",
        "X-Remote.User: a",
    ]);
    scene.assert_alice(&["Cookie: JSESSIONID=1", "Cookie: a=2"]);
    for counter in ["error", "invalid", "failure_mode_allowed", "disabled"] {
        let stat = scene.envoy.stat(&format!("http.jira.ext_authz.{counter}"));
        assert_eq!(stat, 0, "{counter}");
    }
}

#[test]
fn the_shipped_configuration_lets_nobody_in_who_is_nobody() {
    let scene = Scene::start();
    let alice = scene.alice.as_str();
    for name in BELIEVED {
        let line = format!("{}: admin", name.replace('-', "_"));
        scene.assert_refused(400, "/rest", &[alice, &line]);
        scene.assert_refused(400, "/status", &[&line]);
    }
    for target in ["/rest%2fapi", "/a%5cb"] {
        scene.assert_refused(400, target, &[alice]);
    }
    let lines = [
        "X-Remote-User: admin",
        "X.Remote.User: admin",
        "Remote-User: admin",
    ];
    assert_eq!(scene.ask("/status", &lines).status, 200);
    assert_eq!(believed(&scene.upstream.last()), []);

    let address = &scene.envoy.address;
    let other = client::request(address, "GET", "/rest", "evil.example.com", &[alice]);
    assert_eq!(other.status, 404);
    assert_eq!(scene.upstream.seen().len(), 1);

    // Nobody to ask is nobody let in.
    scene.service.process.signal("KILL");
    scene.assert_refused(503, "/rest", &[alice, "X-Remote-User: admin"]);
    scene.assert_refused(503, "/status", &["X-Remote-User: admin"]);
}
