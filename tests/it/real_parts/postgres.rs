//! PostgreSQL: passwords, TLS, restarts, a standby that takes over, and its end.

use std::{fs, net::TcpStream, path::PathBuf, process::Command, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    children::Running,
    eventually,
    postgres::{Postgres, psql},
};

/// The password of a user that a test creates; a URL has to encode some of it.
const SECRET: &str = "p@ss/w:rd%";

fn with_alice(database: &Postgres) -> String {
    database.sql(&format!("CREATE USER alice PASSWORD '{SECRET}'"));
    database.url("alice", SECRET, "postgres")
}

/// One that has ended and that nobody has waited for does not run.
fn runs(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn postgres_takes_the_right_password_and_no_other() {
    let database = Postgres::start();
    let alice = with_alice(&database);
    assert_eq!(psql(&alice, "SELECT current_user"), Ok("alice".to_owned()));
    let superuser = database.url("postgres", database.password(), "postgres");
    assert_eq!(psql(&superuser, "SHOW is_superuser"), Ok("on".to_owned()));
    for user in ["alice", "postgres"] {
        let wrong = psql(&database.url(user, "wrong", "postgres"), "SELECT 1");
        let error = wrong.unwrap_err();
        assert!(error.contains("password authentication failed"), "{error}");
    }
    let passwords = "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid \
                     WHERE rolcanlogin";
    assert_eq!(database.sql(passwords), "t");
    assert_ne!(database.password(), Postgres::start().password());
}

#[test]
fn postgres_with_tls_takes_nothing_in_the_clear() {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a key");
    let certificate = signed.cert.pem();
    let database = Postgres::with_tls(&certificate, &signed.signing_key.serialize_pem());
    let alice = with_alice(&database);
    let error = psql(&format!("{alice}?sslmode=disable"), "SELECT 1").unwrap_err();
    assert!(error.contains("no encryption"), "{error}");
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("root.pem");
    fs::write(&root, certificate).unwrap();
    let verified = format!("{alice}?sslmode=verify-full&sslrootcert={}", root.display());
    let is_tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(psql(&verified, is_tls), Ok("t".to_owned()));
}

#[test]
fn a_stopped_postgres_answers_nobody_and_comes_back_with_its_data_on_its_port() {
    let mut database = Postgres::start();
    let alice = with_alice(&database);
    database.sql("CREATE TABLE kept AS SELECT 7 AS n; GRANT SELECT ON kept TO alice");
    database.stop();
    assert!(!answers(database.port()));
    for _ in 0..2 {
        database.restart();
        assert_eq!(psql(&alice, "SELECT n FROM kept"), Ok("7".to_owned()));
    }
}

#[test]
fn a_promoted_standby_accepts_writes() {
    let mut primary = Postgres::start();
    primary.sql("CREATE TABLE shared (n int)");
    let standby = primary.standby();
    primary.sql("INSERT INTO shared VALUES (1)");
    eventually("the row on the standby", || {
        (standby.sql("SELECT n FROM shared") == "1").then_some(())
    });
    let superuser = standby.url("postgres", primary.password(), "postgres");
    let write = "INSERT INTO shared VALUES (2) RETURNING n";
    let error = psql(&superuser, write).unwrap_err();
    assert!(error.contains("read-only transaction"), "{error}");

    primary.stop();
    standby.promote();
    assert_eq!(psql(&superuser, write), Ok("2".to_owned()));
}

#[test]
fn a_standby_finds_its_restarted_primary_again() {
    let mut primary = Postgres::start();
    let standby = primary.standby();
    primary.restart();
    primary.sql("CREATE TABLE later AS SELECT 3 AS n");
    let is_there = "SELECT count(*) FROM pg_class WHERE relname = 'later'";
    eventually("the table on the standby", || {
        (standby.sql(is_there) == "1").then_some(())
    });
}

#[test]
fn postgres_is_gone_with_the_value_that_stands_for_it() {
    let database = Postgres::start();
    let (postmaster, port) = (database.postmaster(), database.port());
    let directory = PathBuf::from(database.sql("SHOW unix_socket_directories"));
    assert!(runs(postmaster) && directory.exists());
    // Also when a test fails while it holds the value, and a client is connected.
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let panicked = thread::spawn(move || {
        let _held = database;
        // Quietly: this panic is expected.
        std::panic::resume_unwind(Box::new(()));
    });
    panicked.join().unwrap_err();
    assert!(!runs(postmaster) && !answers(port) && !directory.exists());
    drop(client);
}

#[test]
fn postgres_ends_with_the_process_that_has_started_it() {
    let (mut script, postmaster, _directory) = unguarded();
    script.close_input();
    script.wait();
    assert!(!runs(postmaster));
    // And with the script around it, whatever ends that.
    let (script, postmaster, _directory) = unguarded();
    assert!(runs(postmaster));
    script.signal("KILL");
    eventually("the end of the server", || {
        (!runs(postmaster)).then_some(())
    });
}

/// A server without the value that stops it, as a test that is killed leaves it behind.
fn unguarded() -> (Running, u32, TempDir) {
    let directory = TempDir::new().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/postgres/start.py");
    let mut command = Command::new(script);
    command.arg("--dir").arg(directory.path());
    command.env("SUPERUSER_PASSWORD", "secret");
    let mut script = Running::start(command);
    let ready: Value = script.wait_for("PostgreSQL", |line| {
        serde_json::from_str(line.strip_prefix("ready ")?).ok()
    });
    let postmaster = ready["pid"].as_u64().unwrap();
    (script, u32::try_from(postmaster).unwrap(), directory)
}
