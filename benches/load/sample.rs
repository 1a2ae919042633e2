//! One measurement, and what several of them say together.

use std::sync::Arc;

use serde::Serialize;

use super::{
    calls::{Answerer, Call, Wire},
    client::{Client, Target},
    load::Load,
    server::Server,
};

/// Who is compared: a server, or an Envoy with a server behind it, or an Envoy alone.
#[derive(Clone)]
pub struct Candidate<'a> {
    pub name: String,
    /// `N`, where the comparison is about growth.
    pub size: Option<usize>,
    pub answerer: Answerer,
    /// The server that is asked for decisions.
    pub authz: Option<&'a Server>,
    pub envoy: Option<&'a Server>,
    /// Its ratios are taken to this candidate of the comparison.
    pub base: usize,
}

/// What is asked in one measurement.
#[derive(Clone)]
pub struct Asked {
    /// Before: fills caches and the buffers of every connection.
    pub warm: Arc<[Call]>,
    pub calls: Arc<[Call]>,
    pub count: usize,
    /// Tokens that the service then finds in its memory, and tokens that it does not; `None`: it does not matter.
    pub looked_up: Option<(u64, u64)>,
}

/// What was measured. Absent: there is no such process.
#[derive(Serialize)]
pub struct Sample {
    /// CPU microseconds of all threads of the server that decides, for each call.
    pub authz_cpu_us: Option<f64>,
    pub envoy_cpu_us: Option<f64>,
    pub per_second: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub resident_kib: Option<u64>,
    pub log_lines_per_call: f64,
}

/// Smallest, median, largest.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl<'a> Candidate<'a> {
    pub fn floor(server: &'a Server) -> Self {
        Self::server("floor", server, Answerer::Floor)
    }

    pub fn service(server: &'a Server) -> Self {
        Self::server("atlassian-authz", server, Answerer::Judge)
    }

    fn server(name: &str, server: &'a Server, answerer: Answerer) -> Self {
        Self {
            name: name.to_owned(),
            size: None,
            answerer,
            authz: Some(server),
            envoy: None,
            base: 0,
        }
    }

    pub fn named(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    /// Asked by an Envoy, which is what is called.
    pub fn through(self, envoy: &'a Server) -> Self {
        let envoy = Some(envoy);
        Self { envoy, ..self }
    }

    pub fn sized(self, size: usize) -> Self {
        let size = Some(size);
        Self { size, ..self }
    }

    pub fn beside(self, base: usize) -> Self {
        Self { base, ..self }
    }

    fn target(&self) -> Target<'a> {
        let wire = if self.envoy.is_some() {
            Wire::Http1
        } else {
            Wire::Grpc
        };
        Target {
            address: &self.envoy.or(self.authz).expect("somebody").address,
            wire,
            answerer: self.answerer,
        }
    }
}

impl Asked {
    /// The same calls again and again.
    pub fn again(calls: &Arc<[Call]>, count: usize) -> Self {
        Self {
            warm: Arc::clone(calls),
            calls: Arc::clone(calls),
            count,
            looked_up: None,
        }
    }
}

impl Sample {
    pub fn take(candidate: &Candidate<'_>, load: Load, asked: &Asked) -> Self {
        let mut client = Client::connect(candidate.target(), load);
        client.run(&asked.warm, asked.warm.len());
        let judged = candidate.answerer == Answerer::Judge;
        let counted = candidate.authz.filter(|_| judged).zip(asked.looked_up);
        let lookups = counted.map(|(service, wanted)| (service.cache_requests(), wanted));
        let before = Account::of(candidate);
        let seen = client.run_load(&asked.calls, asked.count);
        let spent = Account::of(candidate).since(&before);
        if let Some((service, ((hits, misses), wanted))) = candidate.authz.zip(lookups) {
            // What was measured is what the name says.
            let after = service.cache_requests();
            let (found, missed) = (after.0 - hits, after.1 - misses);
            let all = wanted.0 + wanted.1;
            assert_eq!(found + missed, all, "tokens looked up");
            // On a slow machine the time of a few may have come meanwhile.
            let astray = found.abs_diff(wanted.0);
            assert!(
                astray * 100 <= all,
                "{found} tokens of {all} found in memory"
            );
        }
        let calls = asked.count as f64;
        let cpu = |nanos: u64| nanos as f64 / 1000.0 / calls;
        let quantile = |share| seen.latencies.value_at_quantile(share) as f64 / 1000.0;
        Self {
            authz_cpu_us: spent.authz.map(cpu),
            envoy_cpu_us: spent.envoy.map(cpu),
            per_second: calls / seen.elapsed.as_secs_f64(),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            resident_kib: candidate.authz.map(|server| server.resident().0),
            log_lines_per_call: spent.lines as f64 / calls,
        }
    }
}

/// What the servers have spent so far.
struct Account {
    authz: Option<u64>,
    envoy: Option<u64>,
    lines: u64,
}

impl Account {
    fn of(candidate: &Candidate<'_>) -> Self {
        Self {
            envoy: candidate.envoy.map(Server::cpu_when_idle),
            authz: candidate.authz.map(Server::cpu_when_idle),
            lines: candidate.authz.map_or(0, Server::lines),
        }
    }

    fn since(&self, before: &Self) -> Self {
        let difference = |now: Option<u64>, then: Option<u64>| Some(now? - then?);
        Self {
            authz: difference(self.authz, before.authz),
            envoy: difference(self.envoy, before.envoy),
            lines: self.lines - before.lines,
        }
    }
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let upper = *figures.get(middle)?;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], upper)
        } else {
            upper
        };
        Some(Self {
            min: *figures.first()?,
            median,
            max: *figures.last()?,
        })
    }

    pub fn text(&self, digits: usize) -> String {
        let Self { min, median, max } = self;
        format!("{min:.digits$} {median:.digits$} {max:.digits$}")
    }
}
