//! The patterns that we publish, with the real scanner.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use super::Desk;

fn gitleaks(directory: &Path) -> (i32, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join(".tools/bin/gitleaks"))
        .args([
            "dir",
            "--no-banner",
            "--redact=100",
            "--verbose",
            "--config",
        ])
        .arg(root.join("docs/secret-scanning/gitleaks.toml"))
        .arg(directory)
        .output()
        .expect("gitleaks; run scripts/setup.py gitleaks");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code().expect("no signal"), text)
}

#[test]
fn gitleaks_finds_a_token_and_nothing_that_is_none() {
    let desk = Desk::sqlite();
    let made = desk.make(&[]);
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("ci.yaml");
    let id = &made.id;
    let near = [
        "axt_…".to_owned(),
        format!("axt_{id}"),
        format!("token-id: {id}"),
        format!("axt_{id}_{}", "0".repeat(49)),
        made.token.replacen("axt_", "axs_", 1),
        made.token[..65].to_owned(),
        format!("{}x", made.token),
        format!("x{}", made.token),
    ];
    fs::write(&file, near.join("\n")).expect("written");
    assert_eq!(
        gitleaks(directory.path()).0,
        0,
        "{:?}",
        gitleaks(directory.path())
    );
    for line in [
        format!("curl -H 'Authorization: Bearer {}'", made.token),
        format!(
            "git clone https://alice:{}@bitbucket-api.example.com/scm/p/r.git",
            made.token
        ),
        format!("TOKEN={}", made.token),
        format!("\"{}\"", made.token),
    ] {
        fs::write(&file, format!("# a job\n{line}\n")).expect("written");
        let (code, text) = gitleaks(directory.path());
        assert!(
            code == 1 && text.contains("atlassian-authz-api-token"),
            "{line}: {code} {text}"
        );
    }
}
