//! The real Git: a repository that is served over HTTP as Bitbucket serves one, and its client.

mod backend;
mod client;

pub use backend::GitServer;
pub use client::GitClient;

use std::{path::Path, process::Command};

/// Git without anything of the person who runs the tests: no settings, no helper, no questions.
fn git(home: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "A Developer")
            .env(format!("GIT_{role}_EMAIL"), "developer@example.com");
    }
    command
}
