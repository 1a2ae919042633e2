//! A real PostgreSQL on loopback, with a cluster of its own and a standby when asked.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::children::Running;

/// A cluster. Its server runs unless it was stopped.
pub struct Postgres {
    server: Option<Server>,
    port: u16,
    password: String,
    directory: TempDir,
}

impl Postgres {
    /// A new cluster that takes passwords over TCP.
    pub fn start() -> Self {
        Self::create(&Start::default())
    }

    /// A new cluster that takes passwords over TLS only; certificate and key are PEM.
    pub fn with_tls(certificate: &str, key: &str) -> Self {
        Self::create(&Start {
            tls: Some((certificate, key)),
            ..Start::default()
        })
    }

    /// A new cluster that follows this one, with everything that is in it, and can be read.
    pub fn standby(&self) -> Self {
        Self::create(&Start {
            // Passwords are in the data, so they are the primary's.
            password: Some(&self.password),
            primary: Some(self.directory.path()),
            ..Start::default()
        })
    }

    fn create(start: &Start<'_>) -> Self {
        let directory = TempDir::new().expect("a directory");
        let random = || format!("{:032x}", rand::random::<u128>());
        let password = start.password.map_or_else(random, str::to_owned);
        let server = Server::start(directory.path(), &password, start);
        Self {
            port: server.port,
            server: Some(server),
            password,
            directory,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the superuser, `postgres`.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://user:password@127.0.0.1:port/database`
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let mut url = Url::parse(&format!("postgres://127.0.0.1:{}", self.port)).expect("a URL");
        // The library encodes everything else.
        let encoded = |text: &str| text.replace('%', "%25");
        url.set_username(&encoded(user)).expect("a host");
        url.set_password(Some(&encoded(password))).expect("a host");
        url.set_path(database);
        url.into()
    }

    /// What [`psql`] prints as the superuser, in the database `postgres`; it must succeed.
    pub fn sql(&self, text: &str) -> String {
        let socket = self.directory.path().display();
        let connection = format!(
            "host={socket} port={} user=postgres dbname=postgres",
            self.port
        );
        psql(&connection, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Stops the server as a crash would: at once, without a word to its clients.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Stops the server unless it is, and starts it on the same port with the same data.
    pub fn restart(&mut self) {
        self.stop();
        let start = Start {
            port: self.port,
            ..Start::default()
        };
        self.server = Some(Server::start(self.directory.path(), &self.password, &start));
    }

    /// Makes a standby a primary, and returns once it accepts writes.
    pub fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote()"), "t");
    }

    /// The process id of the postmaster.
    pub fn postmaster(&self) -> u32 {
        self.server.as_ref().expect("a running server").postmaster
    }
}

/// Runs `psql` with this text on its standard input and returns the rows, columns separated by `|`,
/// or what it says about the first statement that fails. The connection is a URL or a list of
/// `name=value`; a line `\c database` in the text changes the database.
pub fn psql(connection: &str, text: &str) -> Result<String, String> {
    let mut command = Command::new(programs().join("psql"));
    command
        .args(["--no-psqlrc", "--no-password", "--quiet"])
        .args(["--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--dbname={connection}"))
        // Nothing of the person who runs the tests; a statement that waits for ever is a failure.
        .env_clear()
        .env("PGOPTIONS", "-c statement_timeout=60s")
        .env("PGCONNECT_TIMEOUT", "60")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start psql: {error}; run scripts/setup.py"));
    // One that cannot connect does not read.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes());
    let output = child.wait_with_output().expect("own child");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Where scripts/setup.py has linked PostgreSQL's programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/postgres")
}

/// What a server is started with; a cluster that exists needs nothing of it but its port.
#[derive(Default)]
struct Start<'a> {
    /// 0 lets the kernel choose.
    port: u16,
    password: Option<&'a str>,
    tls: Option<(&'a str, &'a str)>,
    /// The directory of the cluster to follow.
    primary: Option<&'a Path>,
}

/// A running server, and the script around it.
struct Server {
    script: Running,
    port: u16,
    postmaster: u32,
}

impl Server {
    fn start(directory: &Path, password: &str, start: &Start<'_>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/postgres/start.py");
        let mut command = Command::new(script);
        command
            .arg("--dir")
            .arg(directory)
            .arg(format!("--port={}", start.port))
            .env("SUPERUSER_PASSWORD", password);
        if let Some((certificate, key)) = start.tls {
            for (name, pem) in [("cert", certificate), ("key", key)] {
                let file = directory.join(format!("{name}.pem"));
                fs::write(&file, pem).expect("written");
                command.arg(format!("--{name}")).arg(file);
            }
        }
        if let Some(primary) = start.primary {
            command.arg("--standby-of").arg(primary);
        }
        let mut script = Running::start(command);
        let ready: Value = script.wait_for("PostgreSQL", |line| {
            serde_json::from_str(line.strip_prefix("ready ")?).ok()
        });
        let number = |name: &str| ready[name].as_u64().expect("a number");
        Self {
            script,
            port: u16::try_from(number("port")).expect("a port"),
            postmaster: u32::try_from(number("pid")).expect("a process id"),
        }
    }
}

impl Drop for Server {
    /// The script stops the server and waits for its end; killed, it could only do the former.
    fn drop(&mut self) {
        if self.script.exited().is_none() {
            self.script.signal("TERM");
            self.script.wait();
        }
    }
}
