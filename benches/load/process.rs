//! What the kernel says about a process.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// CPU time of all threads, in nanoseconds; `/proc/PID/stat` counts in steps of 10 ms. The service
/// and the floor start all their threads at once and keep them, so no thread's share is lost.
pub fn cpu_nanos(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .map(|line| first_number(&line))
        .sum()
}

/// CPU time of this thread. A running thread's account is brought up to date when it yields.
pub fn own_cpu_nanos() -> u64 {
    std::thread::yield_now();
    first_number(&fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel"))
}

/// Resident memory in KiB: now, and the most that it ever was.
pub fn resident_kib(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is alive");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        first_number(line.expect("a field of the status").trim())
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The load average, to judge how much else was going on.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Wall time that another process can compare with.
pub fn unix_nanos() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_nanos()
}

fn first_number(line: &str) -> u64 {
    let number = line
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok());
    number.expect("a number of the kernel")
}
