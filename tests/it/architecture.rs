//! Rules about the source itself, so that nobody has to remember them.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file: its name relative to `src/`, and its lines without tests and comments.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .expect("below src")
            .display()
            .to_string()
    };
    files
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).expect("text")))
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/tests/"))
        .map(|(name, text)| {
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            (name, code.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

/// Files outside of `allowed` that contain one of the `words`.
fn offenders(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let is_allowed = |name: &str| allowed.iter().any(|prefix| name.starts_with(prefix));
    let offends = |text: &str| words.iter().any(|word| text.contains(word));
    code()
        .into_iter()
        .filter(|(name, text)| !is_allowed(name) && offends(text))
        .map(|(name, _)| name)
        .collect()
}

const NONE: [String; 0] = [];

#[test]
fn protobuf_stays_at_the_edges_of_the_walk() {
    let edges = [
        "pb.rs",
        "lib.rs",
        "grpc",
        "request",
        "response",
        "app",
        "cli/",
        "telemetry/trace/export.rs",
    ];
    assert_eq!(offenders(&["crate::pb", "pb::", "tonic::"], &edges), NONE);
}

#[test]
fn untyped_errors_stay_in_the_commands() {
    assert_eq!(offenders(&["anyhow"], &["main.rs", "cli"]), NONE);
}

#[test]
fn only_the_clock_reads_the_clock() {
    assert_eq!(
        offenders(
            &["Instant::now()", "Timestamp::now()", "SystemTime::now()"],
            &["clock.rs"]
        ),
        NONE
    );
}

#[test]
fn tasks_and_threads_are_started_where_they_are_stopped() {
    let places = [
        "app.rs",
        "app/",
        "grpc/server.rs",
        "grpc/timers.rs",
        "cli/serve.rs",
        "flights.rs",
        "telemetry/log/lines.rs",
    ];
    assert_eq!(
        offenders(&["tokio::spawn", ".spawn(", "spawn_blocking"], &places),
        NONE
    );
}

#[test]
fn only_outbound_makes_http_clients() {
    assert_eq!(offenders(&["reqwest::"], &["outbound"]), NONE);
}

/// A step may use what the steps before it have made; it never calls a later one.
#[test]
fn a_step_knows_only_the_steps_before_it() {
    // In the order of the walk. A provider carries the rules of the two steps that judge its
    // tokens, so those stand before it here; an application carries its providers.
    let order = [
        "request",
        "credential",
        "verify",
        "identity",
        "provider",
        "holder",
        "route",
        "policy",
        "verdict",
        "pipeline",
        "response",
        "grpc",
    ];
    for (name, text) in code() {
        let step = name.split(['.', '/']).next().expect("a name");
        let Some(position) = order.iter().position(|known| *known == step) else {
            continue;
        };
        // A decision is what a response is made of, and what metrics and logs tell about.
        for later in order.iter().skip(position + 1) {
            let uses = text.contains(&format!("crate::{later}"))
                || text.contains(&format!("    {later}::"));
            let allowed = (step, *later) == ("verify", "provider") && name.contains("preset");
            assert!(!uses || allowed, "{name} uses the later step {later}");
        }
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    let long: Vec<_> = code()
        .into_iter()
        .map(|(name, text)| {
            (
                text.lines().filter(|line| !line.trim().is_empty()).count(),
                name,
            )
        })
        .filter(|(lines, _)| *lines > 330)
        .collect();
    assert_eq!(long, []);
}

/// Left-overs of work in progress.
#[test]
fn nothing_is_left_to_do() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "#[ignore"];
    assert_eq!(offenders(&marks, &[]), NONE);
}
