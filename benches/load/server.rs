//! The servers, each a process of its own.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::process::{cpu_nanos, resident_kib};

/// Longest wait for something that must happen; beyond it something hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running server. It ends when this value is dropped or this process is gone.
pub struct Server {
    /// `host:port` or `unix:/path`, where it is asked.
    pub address: String,
    /// `host:port` of the admin port; the service only.
    pub admin: Option<String>,
    /// When it was started, Unix nanoseconds; the service only.
    pub started: u128,
    /// Of the server itself, whoever guards it.
    pub pid: u32,
    lines: Arc<AtomicU64>,
    child: Child,
    /// Closed, it tells the child to end.
    stdin: Option<ChildStdin>,
}

impl Server {
    /// The floor, over TCP.
    pub fn floor() -> Self {
        Self::floor_at("127.0.0.1:0")
    }

    /// The floor that says what the service says.
    pub fn telling_floor() -> Self {
        Self::floor_of_kind("telling-floor", "127.0.0.1:0")
    }

    /// The floor, at an address or a `unix:/path`.
    pub fn floor_at(address: &str) -> Self {
        Self::floor_of_kind("floor", address)
    }

    fn floor_of_kind(kind: &str, address: &str) -> Self {
        let mut child = Self::helper(&[kind, address], Stdio::inherit());
        Self {
            address: first_line(&mut child),
            admin: None,
            started: 0,
            pid: child.id(),
            lines: Arc::default(),
            stdin: child.stdin.take(),
            child,
        }
    }

    /// The service, as it is shipped, ready. Its log goes where it goes in a container: into a pipe
    /// that somebody reads.
    pub fn service(binary: &Path, config: &str) -> Self {
        let server = Self::service_unready(binary, config);
        server.until_ready();
        server
    }

    /// The service, listening.
    pub fn service_unready(binary: &Path, config: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("config.yaml");
        fs::write(&file, config).expect("written");
        let arguments = [text(binary), "serve", "--config", text(&file)];
        Self::guarded(&arguments, |log| addresses(log, config))
    }

    /// Another program. `find` reads its standard error up to where it knows the addresses of the server and of its
    /// admin port.
    pub fn guarded(
        command: &[&str],
        find: impl FnOnce(&mut dyn BufRead) -> (String, String),
    ) -> Self {
        let mut child = Self::helper(&[&["guard"], command].concat(), Stdio::piped());
        let begun = first_line(&mut child);
        let (pid, started) = begun.split_once(' ').expect("two numbers");
        let mut log = BufReader::with_capacity(1 << 16, child.stderr.take().expect("piped"));
        let (address, admin) = find(&mut log);
        let lines = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lines);
        thread::spawn(move || drain(log, &counted));
        Self {
            address,
            admin: Some(admin),
            started: started.parse().expect("a number"),
            pid: pid.parse().expect("a number"),
            lines,
            stdin: child.stdin.take(),
            child,
        }
    }

    fn helper(arguments: &[&str], stderr: Stdio) -> Child {
        Command::new(env::current_exe().expect("a path"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("this program starts")
    }

    /// Waits for `/readyz`.
    pub fn until_ready(&self) {
        let give_up = Instant::now() + PATIENCE;
        while !self.admin_page("/readyz").starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < give_up, "the service never became ready");
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// A page of the admin port, head and all.
    pub fn admin_page(&self, path: &str) -> String {
        page(self.admin.as_deref().expect("the service"), path)
    }

    /// Tokens found in the cache and tokens not found, so far.
    pub fn cache_requests(&self) -> (u64, u64) {
        let page = self.admin_page("/metrics");
        let count = |result: &str| {
            let start = format!("atlassian_authz_cache_requests_total{{result=\"{result}\"}} ");
            let line = page.lines().find_map(|line| line.strip_prefix(&start));
            line.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        (count("hit"), count("miss"))
    }

    /// CPU nanoseconds so far, read when the server has nothing left to do: the log is written
    /// after the answers.
    pub fn cpu_when_idle(&self) -> u64 {
        let give_up = Instant::now() + PATIENCE;
        let mut before = cpu_nanos(self.pid);
        loop {
            thread::sleep(Duration::from_millis(3));
            let now = cpu_nanos(self.pid);
            if now == before {
                return now;
            }
            assert!(Instant::now() < give_up, "the server never comes to rest");
            before = now;
        }
    }

    /// Resident memory in KiB, now and at most.
    pub fn resident(&self) -> (u64, u64) {
        resident_kib(self.pid)
    }

    /// Lines logged so far.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a server says at a path, head and all.
pub fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the admin port");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut page = String::new();
    stream.write_all(request.as_bytes()).expect("sent");
    stream.read_to_string(&mut page).expect("an answer");
    page
}

/// A path, for a command line.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("readable");
    assert!(!line.is_empty(), "a server did not start");
    line.trim().to_owned()
}

/// Reads the log up to the line that tells the ports.
fn addresses(log: &mut dyn BufRead, config: &str) -> (String, String) {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let length = log.read_line(&mut line).expect("readable");
        assert!(
            length > 0,
            "the service did not start:\n{seen}\nwith\n{config}"
        );
        seen.push_str(&line);
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let text = |name: &str| Some(event.get(name)?.as_str()?.to_owned());
        if let (Some(grpc), Some(admin)) = (text("grpc"), text("admin")) {
            return (grpc, admin);
        }
    }
}

/// Reads and forgets, but for the number of lines.
fn drain(mut log: impl Read, lines: &AtomicU64) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = log.read(&mut buffer) {
        if length == 0 {
            return;
        }
        let ends = buffer[..length].split(|byte| *byte == b'\n').count() - 1;
        lines.fetch_add(ends as u64, Ordering::Relaxed);
    }
}
