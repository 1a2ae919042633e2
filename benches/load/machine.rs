//! Where and with what the figures were measured.

use std::{fs, path::Path, process::Command};

use serde::Serialize;

use super::{envoy, process::load_average, server::text};

const LOCK: &str = include_str!("../../Cargo.lock");

/// A machine and what ran on it.
#[derive(Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    /// Before the first measurement.
    pub load_average: String,
    pub rustc: String,
    pub tonic: String,
    pub envoy: String,
    /// Of the source, with a `+` where it has been changed since.
    pub commit: String,
    pub date: String,
}

impl Machine {
    pub fn this() -> Self {
        let cpu = field("/proc/cpuinfo", "model name");
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib / 1024.0 / 1024.0).round(),
            kernel: kernel.trim().to_owned(),
            load_average: load_average(),
            rustc: output(Path::new("rustc"), &["--version"]),
            tonic: locked("tonic"),
            envoy: envoy_version(),
            commit: commit(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// `…/envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL`
fn envoy_version() -> String {
    let line = output(&envoy::binary(), &["--version"]);
    line.split('/').rev().nth(3).unwrap_or("unknown").to_owned()
}

fn commit() -> String {
    let home = text(Path::new(env!("CARGO_MANIFEST_DIR")));
    let git = |arguments: &[&str]| output(Path::new("git"), &[&["-C", home], arguments].concat());
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "src",
        "Cargo.lock",
    ]);
    let mark = if changed.is_empty() { "" } else { "+" };
    commit + mark
}

fn locked(name: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let rest = LOCK.split_once(&entry).map(|(_, rest)| rest);
    let version = rest.and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}
