//! A defect of ours, made on purpose: one check panics, and only that one suffers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use atlassian_authz::{
    app::{App, Control},
    clock::{Clock, Now, SystemClock},
    config::Config,
    telemetry,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{
    h2::{Connection, Ended},
    runtime,
};
use crate::support::{
    children::Running,
    client, eventually,
    idp::Idp,
    service::{Check, Outcome, config_for},
    tokens::Token,
};

/// Set for the process that is to be the service; names the directory of its configuration.
const SERVE: &str = "ATLASSIAN_AUTHZ_TEST_PANICS";
/// The name of the test that starts itself again.
const TEST: &str = "a_panic_is_a_503_for_its_own_check_and_nothing_for_the_others";
/// What the panic says. A real one could quote a token here.
const SAID: &str = "panic-message-with-a-secret-in-it";

/// A clock that panics on one of its next readings by a serving thread, when a file says which.
struct PanickingClock {
    order: PathBuf,
    readings: AtomicUsize,
}

/// Readings of both clocks in a check, before its walk.
const BEFORE_THE_WALK: usize = 1;

impl PanickingClock {
    fn read(&self) {
        let serves = thread::current()
            .name()
            .is_some_and(|name| name.starts_with("check-"));
        if serves && let Ok(order) = fs::read_to_string(&self.order) {
            let reading = self.readings.fetch_add(1, Ordering::SeqCst);
            if order.trim() == reading.to_string() {
                fs::remove_file(&self.order).expect("removed");
                self.readings.store(0, Ordering::SeqCst);
                panic!("{SAID}");
            }
        }
    }
}

impl Clock for PanickingClock {
    fn now(&self) -> Now {
        self.read();
        SystemClock.now()
    }

    /// Read by connections, too, outside of any call: but not while a check is decided.
    fn instant(&self) -> tokio::time::Instant {
        if self.readings.load(Ordering::SeqCst) >= BEFORE_THE_WALK {
            self.read();
        }
        SystemClock.instant()
    }
}

/// What the child does: the service as `serve` runs it, but for the clock.
fn serve(directory: &Path) {
    let config = Config::load(&directory.join("config.yaml")).expect("a good configuration");
    let logging = telemetry::init(config.log).expect("the only one");
    let clock = PanickingClock {
        order: directory.join("panic"),
        readings: AtomicUsize::new(0),
    };
    runtime().block_on(async {
        // Nobody stops it: it ends with its parent's test.
        let (_stop, stop) = mpsc::channel(1);
        let (_reload, reload) = mpsc::channel(1);
        let app = App::build(config, Arc::new(clock)).expect("an application");
        let app = app.logging_to(&logging);
        let control = Control { stop, reload };
        Box::pin(app.serve(control, None)).await.expect("serves");
    });
}

/// Starts this very test again, as the service.
fn start(idp: &Idp, directory: &Path) -> (Running, String, String) {
    let config = format!(
        "{}listen: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }}\n\
         log: {{ level: trace, format: json }}\noutbound: {{ allow_loopback_http: true }}\n",
        config_for(idp)
    );
    fs::write(directory.join("config.yaml"), config).expect("written");
    let mut command = Command::new(env::current_exe().expect("this program"));
    let (_, module) = module_path!().split_once("::").expect("in a crate");
    command
        .args(["--exact", &format!("{module}::{TEST}"), "--nocapture"])
        .env(SERVE, directory);
    let mut process = Running::start(command);
    let (grpc, admin) = process.wait_for("the ports", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
        (line.get("message")? == "listening").then(|| Some((text("grpc")?, text("admin")?)))?
    });
    process.wait_for("readiness", |line| {
        line.contains("\"message\":\"ready\"").then_some(())
    });
    (process, grpc, admin)
}

#[test]
fn a_panic_is_a_503_for_its_own_check_and_nothing_for_the_others() {
    if let Some(directory) = env::var_os(SERVE) {
        return serve(Path::new(&directory));
    }
    let idp = Idp::start();
    let directory = TempDir::new().expect("a directory");
    let (mut process, grpc, admin) = start(&idp, directory.path());
    let token = Token::of(&idp.issuer).signed();
    let check = Check::get("/x").bearer(&token).build();
    let outcome = |line: &mut Connection, call: u32| match line.end_of(call) {
        Ended::Message(message) => Outcome::of(*message),
        other => panic!("a gRPC error: {other:?}"),
    };

    // Before the walk, after the walk, after the answer is made.
    for reading in 0..3 {
        let mut line = Connection::open(&grpc);
        let other = line.begin_check(&[]);
        fs::write(directory.path().join("order"), reading.to_string()).expect("written");
        let before = line.check(&check, &[]);
        assert_eq!(
            outcome(&mut line, before).user(),
            Some("alice"),
            "{reading}"
        );
        // Renamed into place: the clock reads it whole or not at all.
        fs::rename(
            directory.path().join("order"),
            directory.path().join("panic"),
        )
        .expect("moved");

        let hit = line.check(&check, &[]);
        let denied = outcome(&mut line, hit);
        assert_eq!(denied.status, 503, "{reading}");
        assert_eq!(denied.reason(), "internal_error", "{reading}");
        assert_eq!(denied.header("retry-after"), Some("2"));
        assert_eq!(denied.user(), None);

        // The call that was in flight on the same connection, and one that begins after.
        line.data(
            other,
            &super::framed(&prost::Message::encode_to_vec(&check)),
            true,
        );
        assert_eq!(outcome(&mut line, other).user(), Some("alice"), "{reading}");
        let after = line.check(&check, &[]);
        assert_eq!(outcome(&mut line, after).user(), Some("alice"), "{reading}");
        let page = client::get(&admin, "/metrics", &[]).body;
        let counted = format!("atlassian_authz_panics_total {}\n", reading + 1);
        assert!(page.contains(&counted), "{page}");
    }

    assert!(process.exited().is_none(), "the process lives");
    let output = eventually("three lines about them", || {
        let output = process.output();
        (output.matches("\"message\":\"panic\"").count() == 3).then_some(output)
    });
    assert!(
        output.contains("panics.rs:"),
        "each with its place:\n{output}"
    );
    assert!(!output.contains(SAID), "{output}");
}
