//! Through the real Envoy: what a user gets, beside Envoy's own filters and beside an Envoy that asks nobody.

use std::sync::Arc;

use tempfile::TempDir;

use super::{
    calls::{Answerer, Call, Recipe},
    comparison::{Title, Turn},
    envoy::{self, Filter},
    kinds::cached,
    lab::Lab,
    load::Load,
    mint::{CACHED, Held, Mint, Signature},
    own_tokens::Stock,
    sample::{Asked, Candidate},
    server::Server,
};

/// Connections, calls.
const CONNECTIONS: [(usize, usize); 4] = [(1, 5_000), (8, 16_000), (32, 24_000), (128, 24_000)];
/// Calls a second, directly and through Envoy.
const RATES: [u32; 3] = [1_000, 4_000, 8_000];
const SECONDS: u32 = 2;
/// A fixed rate on 32 connections; directly with as many streams as could ever be needed.
const DIRECTLY: (usize, usize) = (4, 64);
const THROUGH_ENVOY: (usize, usize) = (32, 1);

/// The candidates that are asked with tokens of a provider; they come first.
const WITH_JWT: usize = 7;

/// Every server that is part of it.
struct Fleet {
    floor: Server,
    telling_floor: Server,
    service: Server,
    service_unix: Server,
    service_own: Server,
    _stock: Stock,
    envoys: Envoys,
    requests: Arc<[Call]>,
    own_requests: Arc<[Call]>,
    _directory: TempDir,
}

struct Envoys {
    nothing: Server,
    floor: Server,
    telling_floor: Server,
    service: Server,
    service_unix: Server,
    jwt: Server,
    jwt_cached: Server,
    keys: Server,
    own: Server,
}

/// Throughput by number of connections, and latency at fixed rates.
pub fn measure(lab: &mut Lab) {
    let closed = CONNECTIONS.map(|(connections, calls)| {
        let load = Load::closed(connections, 1);
        (Title::new("Envoy", "cached JWT", load), calls)
    });
    let fixed = RATES.map(|rate| Title::new("rates, Envoy", "cached JWT", at(rate, THROUGH_ENVOY)));
    let closed_titles = closed.iter().map(|(title, _)| title);
    let both: Vec<_> = closed_titles.chain(&fixed).collect();
    if lab.wants_any(&both) {
        let fleet = Fleet::start(lab);
        for (title, calls) in closed {
            let calls = lab.calls(calls);
            let turn = fleet.turn(calls);
            lab.compare(title, &fleet.candidates(), |_| turn.clone());
        }
        for title in fixed {
            let calls = calls_at(lab, title.load);
            let turn = fleet.turn(calls);
            // Those who verify or ask; both with tokens of a provider.
            let candidates = &fleet.candidates()[..WITH_JWT];
            lab.compare(title, candidates, |_| turn.clone());
        }
        fleet.assert_cached();
    }
    directly(lab);
}

/// Latency at fixed rates without an Envoy.
fn directly(lab: &mut Lab) {
    let titles = RATES.map(|rate| Title::new("rates", "cached JWT", at(rate, DIRECTLY)));
    if !lab.wants_any(&titles.each_ref()) {
        return;
    }
    let (floor, service) = (Server::floor(), lab.serve(&lab.config()));
    let candidates = [Candidate::floor(&floor), Candidate::service(&service)];
    let calls = cached(lab);
    for title in titles {
        let asked = Asked::again(&calls, calls_at(lab, title.load));
        lab.compare(title, &candidates, |_| Turn::same_for_all(asked.clone()));
    }
}

fn at(rate: u32, (connections, streams): (usize, usize)) -> Load {
    Load {
        connections,
        streams,
        rate: Some(rate),
    }
}

fn calls_at(lab: &Lab, load: Load) -> usize {
    let calls = load.rate.unwrap_or(0) * SECONDS;
    lab.calls(calls as usize).max(500)
}

impl Fleet {
    fn start(lab: &Lab) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut unix = lab.config();
        unix.listen = format!("unix:{}", directory.path().join("service").display());
        let (floor, service) = (Server::floor(), lab.serve(&lab.config()));
        let (telling_floor, service_unix) = (Server::telling_floor(), lab.serve(&unix));
        let stock = Stock::fill(lab.config(), 1_000);
        let service_own = lab.serve(&stock.config);
        let issuer = &lab.issuer[0];
        let asking = |server: &Server| envoy::start(&Filter::ExtAuthz(&server.address));
        let jwt = |cache| envoy::start(&Filter::JwtAuthn { issuer, cache });
        let envoys = Envoys {
            nothing: envoy::start(&Filter::Nothing),
            floor: asking(&floor),
            telling_floor: asking(&telling_floor),
            service: asking(&service),
            service_unix: asking(&service_unix),
            jwt: jwt(false),
            jwt_cached: jwt(true),
            keys: envoy::start(&Filter::ApiKeyAuth(&stock.held)),
            own: asking(&service_own),
        };
        let tokens: Vec<Held> = Mint::of(&lab.issuer, Signature::Rs256).tokens(0..CACHED);
        Self {
            requests: Recipe::REQUEST.with(&tokens),
            own_requests: Recipe::REQUEST.with(&stock.held),
            floor,
            telling_floor,
            service,
            service_unix,
            service_own,
            _stock: stock,
            envoys,
            _directory: directory,
        }
    }

    /// In the order of the turns: what is compared in a bar stands side by side.
    fn candidates(&self) -> [Candidate<'_>; 9] {
        let envoys = &self.envoys;
        // An Envoy that decides by itself.
        let alone = |envoy, name: &str, answerer| Candidate {
            authz: None,
            envoy: Some(envoy),
            answerer,
            ..Candidate::service(envoy).named(name)
        };
        let judge = Answerer::Judge;
        [
            alone(&envoys.nothing, "no filter", Answerer::Nobody),
            alone(&envoys.jwt_cached, "jwt_authn, cache", judge),
            alone(&envoys.jwt, "jwt_authn", judge),
            Candidate::service(&self.service).through(&envoys.service),
            Candidate::floor(&self.floor).through(&envoys.floor),
            Candidate::floor(&self.telling_floor)
                .named("floor, our answer")
                .through(&envoys.telling_floor),
            Candidate::service(&self.service_unix)
                .named("atlassian-authz, Unix socket")
                .through(&envoys.service_unix),
            alone(&envoys.keys, "api_key_auth", judge),
            Candidate::service(&self.service_own)
                .named("atlassian-authz, API token")
                .through(&envoys.own),
        ]
    }

    /// What the name of the candidate says.
    fn assert_cached(&self) {
        let page = self.envoys.jwt_cached.admin_page("/stats?filter=jwt_cache");
        let stat = |name: &str| -> u64 {
            let line = page.lines().find_map(|line| line.split_once(name));
            line.and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or(0)
        };
        let (hits, misses) = (stat("jwt_cache_hit: "), stat("jwt_cache_miss: "));
        assert!(
            hits >= misses && misses > 0,
            "Envoy's cache: {hits} hits, {misses} misses"
        );
    }

    fn turn(&self, count: usize) -> Turn {
        let jwt = Asked::again(&self.requests, count);
        let own = Asked::again(&self.own_requests, count);
        let mut asked = vec![jwt; WITH_JWT];
        asked.extend([own.clone(), own]);
        Turn { asked, bare: None }
    }
}
