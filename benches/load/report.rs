//! What is printed: ratios first of all.

use std::{fs, path::Path, sync::Arc};

use serde::Serialize;
use serde_json::json;

use super::{
    calls::{Answerer, Call, Signature},
    client::{Client, Seen, Shape},
    process::load_average,
    server::Server,
};

/// One server, one measurement.
#[derive(Serialize)]
pub struct Sample {
    /// Microseconds of the server process, of all its threads.
    cpu_us_per_check: f64,
    checks_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    log_lines_per_check: f64,
}

/// Floor and service, one after the other.
#[derive(Serialize)]
pub struct Pair {
    pub floor: Sample,
    pub service: Sample,
    /// CPU microseconds of one bare verification.
    pub bare: Option<f64>,
}

/// One scenario.
#[derive(Serialize)]
pub struct Measured {
    name: String,
    shape: Shape,
    #[serde(skip)]
    signature: Option<Signature>,
    pub pairs: Vec<Pair>,
}

/// Everything that was measured.
pub struct Report {
    service: String,
    quick: bool,
    load_at_start: String,
    scenarios: Vec<Measured>,
    memory: Vec<(String, u64, u64)>,
    /// Milliseconds.
    pub starts: Vec<f64>,
}

impl Sample {
    /// Asks until every connection's buffers and the service's memory are full, then so many times.
    pub fn take(
        server: &Server,
        answerer: Answerer,
        shape: Shape,
        calls: &Arc<[Call]>,
        count: usize,
    ) -> Self {
        let client = Client::connect(&server.grpc, shape, answerer);
        client.run(calls, calls.len());
        let (cpu, lines) = (server.cpu_when_idle(), server.lines());
        let seen = client.run(calls, count.max(100));
        let cpu = server.cpu_when_idle() - cpu;
        Self::new(&seen, cpu, server.lines() - lines)
    }

    pub fn new(seen: &Seen, cpu_nanos: u64, lines: u64) -> Self {
        let checks = seen.latencies.len() as f64;
        let quantile = |share: f64| {
            let last = seen.latencies.len() - 1;
            seen.latencies[(last as f64 * share) as usize] as f64 / 1000.0
        };
        Self {
            cpu_us_per_check: cpu_nanos as f64 / 1000.0 / checks,
            checks_per_second: checks / seen.elapsed.as_secs_f64(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            log_lines_per_check: lines as f64 / checks,
        }
    }
}

/// Smallest, median, largest.
struct Spread([f64; 3]);

impl Spread {
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (first, last) = (*figures.first()?, *figures.last()?);
        Some(Self([first, figures[figures.len() / 2], last]))
    }

    fn median(&self) -> f64 {
        self.0[1]
    }

    fn text(&self, digits: usize) -> String {
        let [min, median, max] = self.0;
        format!("{min:.digits$} {median:.digits$} {max:.digits$}")
    }
}

impl Measured {
    pub fn new(name: String, shape: Shape, signature: Option<Signature>) -> Self {
        Self {
            name,
            shape,
            signature,
            pairs: Vec::new(),
        }
    }

    fn spread(&self, figure: impl Fn(&Pair) -> f64) -> Spread {
        Spread::of(self.pairs.iter().map(figure).collect()).expect("at least one pair")
    }

    /// CPU of the service by CPU of the floor.
    fn ratio(&self) -> Spread {
        self.spread(|pair| pair.service.cpu_us_per_check / pair.floor.cpu_us_per_check)
    }

    /// What the service costs beyond the floor, in bare verifications.
    fn verifies(&self) -> Option<Spread> {
        let beyond = |pair: &Pair| {
            Some((pair.service.cpu_us_per_check - pair.floor.cpu_us_per_check) / pair.bare?)
        };
        Spread::of(self.pairs.iter().filter_map(beyond).collect())
    }

    fn print(&self) {
        println!("\n{}", self.name);
        println!(
            "{:<22} {:<24} {:<24} service / floor",
            "  min median max", "floor", "service"
        );
        self.line("  CPU us per check", 1, |sample| sample.cpu_us_per_check);
        self.line("  checks per second", 0, |sample| sample.checks_per_second);
        self.line("  p50 us", 0, |sample| sample.p50_us);
        self.line("  p99 us", 0, |sample| sample.p99_us);
        if let (Some(verifies), Some(signature)) = (self.verifies(), self.signature) {
            let bare = self.spread(|pair| pair.bare.unwrap_or(f64::NAN));
            println!(
                "  a bare {signature:?} verify: {} us CPU; service = floor + N of them, N = {}",
                bare.text(1),
                verifies.text(2)
            );
        }
        let lines = self.spread(|pair| pair.service.log_lines_per_check);
        if lines.0[0] < 1.0 {
            println!(
                "  log lines per check: {} (some were dropped)",
                lines.text(2)
            );
        }
    }

    fn line(&self, label: &str, digits: usize, figure: impl Fn(&Sample) -> f64) {
        let floor = self.spread(|pair| figure(&pair.floor)).text(digits);
        let service = self.spread(|pair| figure(&pair.service)).text(digits);
        let ratio = self
            .spread(|pair| figure(&pair.service) / figure(&pair.floor))
            .text(2);
        println!("{label:<22} {floor:<24} {service:<24} {ratio}");
    }
}

impl Report {
    pub fn new(service: &Path, quick: bool) -> Self {
        Self {
            service: service.display().to_string(),
            quick,
            load_at_start: load_average(),
            scenarios: Vec::new(),
            memory: Vec::new(),
            starts: Vec::new(),
        }
    }

    pub fn print_head(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!("service: {}", self.service);
        println!(
            "{cores} cores, shared by server and client; load average {}",
            self.load_at_start
        );
        println!(
            "closed loop, connections x streams; log level info, JSON, into a pipe that is read"
        );
        if self.quick {
            println!("--quick: to see that it works; the figures mean little");
        }
    }

    pub fn add(&mut self, measured: Measured) {
        measured.print();
        self.scenarios.push(measured);
    }

    /// A memory figure: KiB resident, and the most so far.
    pub fn remember(&mut self, when: &str, (resident, peak): (u64, u64)) {
        if self.memory.is_empty() {
            println!("\nresident memory of the service, MiB (highest so far)");
        }
        let mib = |kib: u64| kib as f64 / 1024.0;
        println!("  {when:<32} {:6.1} ({:.1})", mib(resident), mib(peak));
        self.memory.push((when.to_owned(), resident, peak));
    }

    pub fn print_end(&self) {
        let starts = Spread::of(self.starts.clone());
        if let Some(starts) = &starts {
            println!(
                "\nready, provider refusing connections: {} ms after start",
                starts.text(1)
            );
        }
        println!("\n{:<58} {:>9}   goal", "", "measured");
        for measured in &self.scenarios {
            if measured.name.starts_with("cached") {
                goal(
                    &format!("{}: CPU / floor", measured.name),
                    measured.ratio().median(),
                    1.0,
                    "",
                );
            } else if let Some(verifies) = measured
                .verifies()
                .filter(|_| measured.name.contains("RS256 token seen first"))
            {
                goal(
                    &format!("{}: bare verifies above floor", measured.name),
                    verifies.median(),
                    1.2,
                    "",
                );
            }
        }
        if let Some((_, resident, _)) = self.memory.first() {
            goal(
                "resident memory, idle",
                *resident as f64 / 1024.0,
                20.0,
                " MiB",
            );
        }
        if let Some(starts) = starts {
            goal(
                "ready with a provider that is down",
                starts.median(),
                200.0,
                " ms",
            );
        }
    }

    pub fn write(&self, file: &Path) {
        let memory: Vec<_> = self
            .memory
            .iter()
            .map(|(when, resident, peak)| json!({"when": when, "resident_kib": resident, "peak_kib": peak}))
            .collect();
        let figures = json!({
            "service": self.service,
            "quick": self.quick,
            "load_average_at_start": self.load_at_start,
            "scenarios": self.scenarios,
            "memory": memory,
            "ready_ms": self.starts,
        });
        let text = serde_json::to_string_pretty(&figures).expect("JSON");
        fs::write(file, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

fn goal(what: &str, measured: f64, goal: f64, unit: &str) {
    let verdict = if measured <= goal {
        "reached"
    } else {
        "missed"
    };
    println!("{what:<58} {measured:9.2}   <= {goal}{unit}  {verdict}");
}
