//! Git's own client, as a developer or a build runs it.

use std::path::Path;

use tempfile::TempDir;

use super::git;

/// How a run of the client has ended.
#[derive(Debug)]
pub struct GitOutcome {
    /// 0 is success; −1 is a signal.
    pub status: i32,
    /// Both streams, standard output first.
    pub output: String,
}

impl GitOutcome {
    /// The output of a success; anything else fails the test.
    pub fn succeeded(self) -> String {
        assert_eq!(self.status, 0, "{}", self.output);
        self.output
    }
}

/// A client with a home of its own, in which there is nothing.
pub struct GitClient {
    home: TempDir,
    config: Vec<String>,
}

impl GitClient {
    pub fn new() -> Self {
        // A server that says nothing fails the test, it does not hang it.
        let config = ["http.lowSpeedLimit=1", "http.lowSpeedTime=60"];
        Self {
            home: TempDir::new().expect("a directory"),
            config: config.map(str::to_owned).to_vec(),
        }
    }

    /// Adds a setting to every command, as `git -c` does.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.push(format!("{name}={value}"));
        self
    }

    /// Reaches a host name at a port of this machine's: `http://name:port/…` needs no resolver.
    pub fn resolve(self, name: &str, port: u16) -> Self {
        self.config("http.curloptResolve", &format!("{name}:{port}:127.0.0.1"))
    }

    /// Sends this line (`Name: value`) with every request.
    pub fn header(self, line: &str) -> Self {
        self.config("http.extraHeader", line)
    }

    pub fn clone(&self, url: &str, into: &Path) -> GitOutcome {
        self.run(&["clone", url, into.to_str().expect("text")])
    }

    /// Pushes what is checked out in a directory to where that was cloned from.
    pub fn push(&self, directory: &Path) -> GitOutcome {
        let directory = directory.to_str().expect("text");
        self.run(&["-C", directory, "push", "origin", "HEAD"])
    }

    /// Runs any command.
    pub fn run(&self, arguments: &[&str]) -> GitOutcome {
        let mut command = git(self.home.path());
        for setting in &self.config {
            command.args(["-c", setting]);
        }
        // What it says goes to a pipe and not to a terminal, so it shows no progress.
        let output = command.args(arguments).output();
        let output = output.expect("git is installed: run scripts/setup.py");
        let streams = [output.stdout, output.stderr].concat();
        GitOutcome {
            status: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&streams).into_owned(),
        }
    }
}
