//! The allocator of both servers, which counts, and how the count is read from outside: at an abstract socket with
//! the process's number in its name.

use std::{
    alloc::System,
    io::{Read, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process, thread,
};

use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What has been asked of an allocator.
#[derive(Serialize)]
pub struct Count {
    /// Blocks, and blocks that were made larger.
    pub allocations: f64,
    pub bytes: f64,
}

/// Lets others read the count of this process until it ends.
pub fn publish() {
    let listener = UnixListener::bind_addr(&address(process::id())).expect("a socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let stats = ALLOCATOR.stats();
            let allocations = stats.allocations + stats.reallocations;
            // Whoever asks may have gone.
            let _ = writeln!(stream, "{allocations} {}", stats.bytes_allocated);
        }
    });
}

/// The count of another process so far.
pub fn read(pid: u32) -> Count {
    let mut stream = UnixStream::connect_addr(&address(pid)).expect("it counts");
    let mut line = String::new();
    stream.read_to_string(&mut line).expect("an answer");
    let numbers = line.trim().split_once(' ');
    let (allocations, bytes) = numbers.expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    Count {
        allocations: number(allocations),
        bytes: number(bytes),
    }
}

fn address(pid: u32) -> SocketAddr {
    let name = format!("atlassian-authz-allocations-{pid}");
    SocketAddr::from_abstract_name(name).expect("a short name")
}

impl Count {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            bytes: self.bytes - before.bytes,
        }
    }

    pub fn each(&self, calls: usize) -> Self {
        Self {
            allocations: self.allocations / calls as f64,
            bytes: self.bytes / calls as f64,
        }
    }
}
