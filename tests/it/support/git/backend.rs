//! Bitbucket as a Git client sees it: `git http-backend` behind a web server that believes
//! `X-Remote-User`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use super::git;
use crate::support::upstream::{Seen, read_head};

/// Where the one repository is, below the server's address.
const REPOSITORY: &str = "/scm/p/r.git";

/// The server, with one repository that has one commit on `main`.
pub struct GitServer {
    pub port: u16,
    shared: Arc<Shared>,
    _directory: TempDir,
}

struct Shared {
    /// Below it are the repository and the home of whoever serves it.
    root: PathBuf,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
}

impl GitServer {
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let shared = Arc::new(Shared {
            root: directory.path().to_owned(),
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        shared.make_repository();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let serving = Arc::clone(&shared);
        thread::spawn(move || serving.accept(&listener));
        Self {
            port,
            shared,
            _directory: directory,
        }
    }

    /// The repository at a host and port, which may be this server's or those of a proxy.
    pub fn url(host: &str, port: u16) -> String {
        format!("http://{host}:{port}{REPOSITORY}")
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Who has pushed to `main`, the latest first, as the repository itself remembers it.
    pub fn pushed_by(&self) -> Vec<String> {
        let log = self.shared.git(&["log", "-g", "--format=%gn", "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// The subjects of the commits on `main`, the latest first.
    pub fn commits(&self) -> Vec<String> {
        let log = self.shared.git(&["log", "--format=%s", "main"]);
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn repository(&self) -> PathBuf {
        self.root.join(REPOSITORY.trim_start_matches('/'))
    }

    fn make_repository(&self) {
        fs::create_dir_all(self.repository()).expect("a directory");
        self.git(&["init", "--bare", "--quiet", "--initial-branch=main"]);
        self.git(&["config", "http.receivepack", "true"]);
        let tree = self.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = self.git(&["commit-tree", "-m", "The first commit", tree.trim()]);
        self.git(&["update-ref", "refs/heads/main", commit.trim()]);
        // From here on; so the log has pushes only.
        self.git(&["config", "core.logAllRefUpdates", "always"]);
    }

    /// Runs Git in the repository.
    fn git(&self, arguments: &[&str]) -> String {
        let mut command = git(&self.root);
        command.current_dir(self.repository()).args(arguments);
        let output = command.output();
        let output = output.expect("git is installed: run scripts/setup.py");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let serving = Arc::clone(self);
            thread::spawn(move || serving.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
        while let Some(head) = read_head(&mut reader) {
            let Ok(body) = read_body(&mut reader, &head) else {
                return;
            };
            // A stopped server does not answer on connections that are still open either.
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            self.seen.lock().unwrap().push(head.clone());
            let written = stream.write_all(&self.answer(&head, &body));
            if written.is_err() || head.values("connection") == ["close"] {
                return;
            }
        }
    }

    /// The gateway sets exactly one user, so none and several are both nobody.
    fn answer(&self, head: &Seen, body: &[u8]) -> Vec<u8> {
        match head.values("x-remote-user")[..] {
            [user] if !user.is_empty() => self.run_backend(head, user, body),
            _ => response(
                "401 Unauthorized",
                &["WWW-Authenticate: Basic realm=\"bitbucket\""],
                b"",
            ),
        }
    }

    /// Runs the CGI program for one request (RFC 3875).
    fn run_backend(&self, head: &Seen, user: &str, body: &[u8]) -> Vec<u8> {
        let mut words = head.line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name| head.values(name).first().copied().unwrap_or_default();
        let mut command = git(&self.root);
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", user)
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("REQUEST_METHOD", method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            // It unpacks what the client has packed.
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            // The names of the one who pushes come from REMOTE_USER.
            .env_remove("GIT_COMMITTER_NAME")
            .env_remove("GIT_COMMITTER_EMAIL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("git is installed");
        let mut input = child.stdin.take().expect("piped");
        let output = thread::scope(|scope| {
            // Beside the reading: each side may wait for the other. It may also refuse to read.
            scope.spawn(move || {
                let _ = input.write_all(body);
            });
            child.wait_with_output().expect("own child")
        });
        from_cgi(&output.stdout)
            .unwrap_or_else(|| response("500 Internal Server Error", &[], &output.stderr))
    }
}

/// The body, whichever way the client tells its length.
fn read_body(reader: &mut impl BufRead, head: &Seen) -> io::Result<Vec<u8>> {
    let chunked = head.values("transfer-encoding");
    if chunked
        .iter()
        .any(|value| value.eq_ignore_ascii_case("chunked"))
    {
        return read_chunks(reader);
    }
    let length = head.values("content-length").first().copied();
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        // The chunk and the end of its line; after the last one there are no trailers.
        body.resize(start + size + 2, 0);
        reader.read_exact(&mut body[start..])?;
        body.truncate(start + size);
        if size == 0 {
            return Ok(body);
        }
    }
}

/// HTTP from what the program has printed.
fn from_cgi(output: &[u8]) -> Option<Vec<u8>> {
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&output[..end]).ok()?;
    let (status, headers): (Vec<_>, Vec<_>) =
        head.lines().partition(|line| line.starts_with("Status: "));
    let status = status
        .first()
        .and_then(|line| line.strip_prefix("Status: "));
    Some(response(
        status.unwrap_or("200 OK"),
        &headers,
        &output[end + 4..],
    ))
}

fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
