//! Replicas that come and go behind the Envoy that we ship, with nothing changed but addresses: no client notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::support::{
    client,
    envoy::{Envoy, shipped},
    eventually,
    idp::Idp,
    service::{Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

const HOST: &str = "jira-api.example.com";
const CLIENTS: usize = 4;
/// Replicas that end and come back in one test.
const TURNS: usize = 8;
/// It takes no time to be killed.
const KILLS: usize = 24;

/// Client, the shipped Envoy with three replicas, and the product.
struct Scene {
    config: String,
    replicas: Vec<Service>,
    envoy: Envoy,
    upstream: Upstream,
    alice: String,
    mallory: String,
    /// Requests, of each client.
    answered: Arc<[AtomicUsize; CLIENTS]>,
    _idp: Idp,
}

/// What clients have seen: status, and whether it is what it must be.
#[derive(Default)]
struct Seen {
    requests: usize,
    wrong: Vec<String>,
}

/// Asks all the time.
struct Client {
    done: Arc<AtomicBool>,
    address: String,
    tokens: [String; 2],
    answered: Arc<[AtomicUsize; CLIENTS]>,
    number: usize,
}

impl Client {
    fn ask(self) -> Seen {
        let mut seen = Seen::default();
        let [alice, mallory] = &self.tokens;
        while !self.done.load(Ordering::Acquire) {
            seen.ask(&self.address, alice, 200);
            seen.ask(&self.address, mallory, 401);
            self.answered[self.number].fetch_add(1, Ordering::AcqRel);
        }
        seen
    }
}

impl Scene {
    fn start() -> Self {
        let idp = Idp::start();
        // Shorter than the interval of the health check: for a while Envoy asks a replica that is gone, and retries must help.
        let config = format!(
            "{}shutdown: {{ drain_delay: 1s, drain_timeout: 5s, max_connection_age: 1s }}\n",
            config_for(&idp)
        );
        let replicas: Vec<_> = (0..3).map(|_| Service::with_config(&config)).collect();
        let upstream = Upstream::start();
        let addresses: Vec<_> = replicas.iter().map(|one| one.grpc.as_str()).collect();
        let envoy = Envoy::with_config("envoy.yaml", &shipped(upstream.port, &addresses));
        Self {
            alice: Token::of(&idp.issuer).signed(),
            mallory: Token::of(&idp.issuer).claim("aud", "another").signed(),
            answered: Arc::default(),
            config,
            replicas,
            envoy,
            upstream,
            _idp: idp,
        }
    }

    /// Ends a replica, starts another in its place, at the same address, and waits until everybody has asked again. One at
    /// a time: replicas that die one after the other within the retries of one check take it with them.
    fn replace(&mut self, at: usize, signal: &str) {
        let address = self.replicas[at].grpc.clone();
        self.replicas[at].process.signal(signal);
        self.replicas[at].process.wait();
        let config = format!(
            "{}listen: {{ grpc: {address}, admin: 127.0.0.1:0 }}\n",
            self.config
        );
        self.replicas[at] = Service::with_config(&config);
        let before = self.answered();
        eventually("a new request of every client", || {
            let now = self.answered();
            let all = now
                .iter()
                .zip(&before)
                .all(|(now, before)| *now >= before + 2);
            all.then_some(())
        });
    }

    fn answered(&self) -> [usize; CLIENTS] {
        self.answered
            .each_ref()
            .map(|count| count.load(Ordering::Acquire))
    }

    /// Asks all the time, from several clients, while `during` goes on.
    fn under_load(&mut self, during: impl FnOnce(&mut Self)) -> Seen {
        let done = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|number| {
            let client = Client {
                done: Arc::clone(&done),
                address: self.envoy.address.clone(),
                tokens: [self.alice.clone(), self.mallory.clone()],
                answered: Arc::clone(&self.answered),
                number,
            };
            thread::spawn(move || client.ask())
        });
        let clients: Vec<_> = clients.collect();
        during(self);
        done.store(true, Ordering::Release);
        let mut seen = Seen::default();
        for client in clients {
            seen = seen.and(client.join().expect("ends"));
        }
        seen
    }

    /// Nobody but alice has got to the product.
    fn assert_right(&self, what: &str, seen: &Seen) {
        eprintln!(
            "{what}: {} requests, {} wrong",
            seen.requests,
            seen.wrong.len()
        );
        assert_eq!(seen.wrong, [""; 0], "{what}: of {}", seen.requests);
        assert!(seen.requests > 100, "{what}");
        for arrived in self.upstream.seen() {
            assert_eq!(arrived.identities(), [("x-remote-user", "alice")]);
        }
    }
}

#[test]
fn replicas_that_are_replaced_one_after_the_other_cost_no_request() {
    let mut scene = Scene::start();
    let seen = scene.under_load(|scene| {
        for turn in 0..TURNS {
            scene.replace(turn % 3, "TERM");
        }
    });
    scene.assert_right(&format!("{TURNS} SIGTERM"), &seen);
}

/// Killed, a replica can leave an answer half written, which no retry can mend, and its successor is asked before it has
/// keys: a check may stay undecided, and nothing worse.
#[test]
fn replicas_that_are_killed_cost_a_check_in_a_hundred_at_most_and_never_a_wrong_decision() {
    let mut scene = Scene::start();
    let mut seen = scene.under_load(|scene| {
        for turn in 0..KILLS {
            scene.replace(turn % 3, "KILL");
        }
    });
    let before = seen.wrong.len();
    seen.wrong.retain(|wrong| !wrong.starts_with("503 "));
    let undecided = before - seen.wrong.len();
    scene.assert_right(&format!("{KILLS} SIGKILL, {undecided} undecided"), &seen);
    assert!(
        undecided * 100 <= seen.requests,
        "{undecided} of {}",
        seen.requests
    );
}

/// With a connection age of a second: GOAWAY all the time, and nobody dies.
#[test]
fn connections_that_are_renewed_all_the_time_cost_no_request() {
    let mut scene = Scene::start();
    let closed = |scene: &Scene| {
        scene
            .envoy
            .stat("cluster.atlassian-authz.upstream_cx_close_notify")
    };
    let seen = scene.under_load(|scene| {
        eventually("twelve renewals", || (closed(scene) >= 12).then_some(()));
    });
    scene.assert_right(&format!("{} GOAWAY", closed(&scene)), &seen);
    // Without the help of a retry.
    assert_eq!(
        scene
            .envoy
            .stat("cluster.atlassian-authz.upstream_rq_retry"),
        0
    );
}

/// Tenfold of the pace that anybody would choose: every replica takes up another configuration again and again.
#[test]
fn configurations_that_change_on_every_replica_cost_no_request() {
    let mut scene = Scene::start();
    let seen = scene.under_load(|scene| {
        for turn in 0..TURNS {
            let hops = turn % 2;
            let config = format!(
                "{}client_address: {{ trusted_hops: {hops} }}\n",
                scene.config
            );
            for replica in &scene.replicas {
                let ports = format!(
                    "listen: {{ grpc: {}, admin: {} }}\n",
                    replica.grpc, replica.admin
                );
                replica.reconfigure(&format!("{config}{ports}"));
            }
        }
    });
    scene.assert_right(&format!("{TURNS} reloads on 3 replicas"), &seen);
    for replica in &scene.replicas {
        let lines = replica.process.output();
        let lines = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let panics = lines.filter(|line| line["message"] == "panic").count();
        assert_eq!(panics, 0);
    }
}

impl Seen {
    fn and(mut self, other: Self) -> Self {
        self.requests += other.requests;
        self.wrong.extend(other.wrong);
        self
    }

    fn ask(&mut self, address: &str, token: &str, expected: u16) {
        let bearer = format!("Authorization: Bearer {token}");
        let lines = [bearer.as_str(), "X-Remote-User: mallory"];
        let answer = client::request(address, "GET", "/rest/api/2/myself", HOST, &lines);
        self.requests += 1;
        if answer.status != expected {
            self.wrong
                .push(format!("{} for {expected}: {}", answer.status, answer.body));
        }
    }
}
