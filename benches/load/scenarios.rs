//! What is measured: kinds of calls, at several numbers of callers.

use std::{ops::Range, sync::Arc};

use super::{
    Effort, bare,
    calls::{self, Answerer, Call, Signature},
    client::{Client, Shape},
    idp::Idp,
    report::{Measured, Pair, Sample},
    server::Server,
};

/// Tokens that are used again and again.
const CACHED_TOKENS: usize = 64;

const ONE: Shape = Shape {
    connections: 1,
    streams: 1,
};
const FEW: Shape = Shape {
    connections: 4,
    streams: 4,
};
const MANY: Shape = Shape {
    connections: 4,
    streams: 32,
};

/// One line of the result.
pub struct Scenario {
    kind: Kind,
    shape: Shape,
    /// Calls in one measurement.
    calls: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cached,
    First(Signature),
    BadSignature,
    NoToken,
}

/// All scenarios, with so many calls each.
pub fn all(divisor: usize) -> Vec<Scenario> {
    let scenario = |kind, shape, calls: usize| Scenario {
        kind,
        shape,
        calls: (calls / divisor).max(100),
    };
    vec![
        scenario(Kind::Cached, ONE, 10_000),
        scenario(Kind::Cached, FEW, 60_000),
        scenario(Kind::Cached, MANY, 80_000),
        scenario(Kind::First(Signature::Rs256), FEW, 8_000),
        scenario(Kind::First(Signature::Es256), FEW, 6_000),
        scenario(Kind::BadSignature, FEW, 6_000),
        scenario(Kind::NoToken, FEW, 40_000),
    ]
}

impl Scenario {
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Cached => "cached RS256 token",
            Kind::First(Signature::Rs256) => "RS256 token seen first",
            Kind::First(Signature::Es256) => "ES256 token seen first",
            Kind::BadSignature => "RS256 token, bad signature",
            Kind::NoToken => "no token",
        };
        format!(
            "{kind}, {} x {}",
            self.shape.connections, self.shape.streams
        )
    }

    /// The signature that every call of it costs.
    fn signature(&self) -> Option<Signature> {
        match self.kind {
            Kind::First(signature) => Some(signature),
            Kind::BadSignature => Some(Signature::Rs256),
            Kind::Cached | Kind::NoToken => None,
        }
    }

    /// Tokens looked up, found and not found.
    fn cache_requests(&self) -> (u64, u64) {
        let calls = self.calls as u64;
        match self.kind {
            Kind::Cached => (calls, 0),
            Kind::First(_) | Kind::BadSignature => (0, calls),
            Kind::NoToken => (0, 0),
        }
    }
}

/// The provider of all tokens.
pub fn provider() -> Idp {
    let idp = Idp::start();
    let keys = [Signature::Rs256, Signature::Es256].map(|kind| (kind.key_id(), kind.key()));
    idp.publish(&keys);
    idp
}

/// Measures scenarios against the two servers.
pub struct Bench<'a> {
    service: &'a Server,
    floor: Server,
    issuer: String,
    effort: Effort,
    cached: Arc<[Call]>,
    /// Tokens made so far: no two have the same number.
    made: usize,
}

impl<'a> Bench<'a> {
    pub fn new(service: &'a Server, idp: &Idp, effort: Effort) -> Self {
        let tokens = calls::tokens(&idp.issuer, Signature::Rs256, 0..CACHED_TOKENS);
        Self {
            service,
            floor: Server::floor(),
            issuer: idp.issuer.clone(),
            effort,
            cached: calls::with_tokens(&tokens),
            made: CACHED_TOKENS,
        }
    }

    /// Floor, service, floor, service, …, and a bare verification beside each pair.
    pub fn measure(&mut self, scenario: &Scenario) -> Measured {
        let mut measured = Measured::new(scenario.name(), scenario.shape, scenario.signature());
        for _ in 0..self.effort.pairs {
            let numbers = self.fresh(scenario.calls);
            let tokens = scenario
                .signature()
                .map(|kind| calls::tokens(&self.issuer, kind, numbers));
            let calls = self.calls(scenario, tokens.as_deref());
            let floor = self.sample(scenario, Answerer::Floor, &calls);
            let before = self.service.cache_requests();
            let service = self.sample(scenario, Answerer::Service, &calls);
            let after = self.service.cache_requests();
            let warm_up = self.cached.len() as u64;
            // What was measured is what the name says.
            let (hits, misses) = scenario.cache_requests();
            let looked_up = (after.0 + after.1) - (before.0 + before.1);
            assert_eq!(looked_up, hits + misses + warm_up, "tokens looked up");
            assert!(after.0 - before.0 >= hits, "tokens found in the cache");
            assert!(after.1 - before.1 >= misses, "tokens verified");
            let bare = scenario.signature().zip(tokens.as_deref());
            let bare = bare.map(|(kind, tokens)| bare::verify_us(kind, tokens));
            measured.pairs.push(Pair {
                floor,
                service,
                bare,
            });
        }
        measured
    }

    fn fresh(&mut self, count: usize) -> Range<usize> {
        let begin = self.made;
        self.made += count;
        begin..self.made
    }

    fn calls(&self, scenario: &Scenario, tokens: Option<&[(usize, String)]>) -> Arc<[Call]> {
        match scenario.kind {
            Kind::Cached => Arc::clone(&self.cached),
            Kind::NoToken => calls::without_token(),
            Kind::First(_) => calls::with_tokens(tokens.unwrap_or_default()),
            Kind::BadSignature => calls::with_spoilt_tokens(tokens.unwrap_or_default()),
        }
    }

    fn sample(&self, scenario: &Scenario, answerer: Answerer, calls: &Arc<[Call]>) -> Sample {
        let server = match answerer {
            Answerer::Floor => &self.floor,
            Answerer::Service => self.service,
        };
        let client = Client::connect(&server.grpc, scenario.shape, answerer);
        // Fills the cache and every connection's buffers.
        client.run(&self.cached, self.cached.len());
        let (cpu, lines) = (server.cpu_when_idle(), server.lines());
        let seen = client.run(calls, scenario.calls);
        let cpu = server.cpu_when_idle() - cpu;
        Sample::new(&seen, cpu, server.lines() - lines)
    }
}
