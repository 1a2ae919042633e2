//! A service whose log cannot be read for its ports: any level, any format, written to a file byte
//! for byte.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
};

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::{connect, runtime};
use crate::support::{children::Running, client, eventually, service::Outcome};

/// Free a moment ago: below `info` the log does not tell which port the kernel has chosen.
fn a_free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").to_string()
}

pub struct Quiet {
    process: Running,
    /// `unix:/path` of Check.
    pub grpc: String,
    pub admin: String,
    log: PathBuf,
    pub runtime: Runtime,
    pub channel: Channel,
}

impl Quiet {
    /// Starts in this directory, which it may share with services before and after it.
    pub fn start(config: &str, level: &str, format: &str, directory: &TempDir) -> Self {
        let grpc = format!("unix:{}", directory.path().join("check.sock").display());
        let admin = a_free_port();
        let (file, log) = (
            directory.path().join("config.yaml"),
            directory.path().join("log"),
        );
        let text = format!(
            "{config}listen: {{ grpc: \"{grpc}\", admin: \"{admin}\" }}\n\
             log: {{ level: {level}, format: {format} }}\n\
             outbound: {{ allow_loopback_http: true }}\n\
             shutdown: {{ drain_delay: 0s, drain_timeout: 5s }}\n"
        );
        fs::write(&file, text).expect("written");
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" serve --config \"$1\" >\"$2\" 2>&1"])
            .arg(env!("CARGO_BIN_EXE_atlassian-authz"))
            .args([&file, &log]);
        let mut process = Running::start(command);
        eventually("readiness", || {
            let ended = process.exited();
            assert!(
                ended.is_none(),
                "{}",
                fs::read_to_string(&log).expect("a log")
            );
            let open = TcpStream::connect(&admin).is_ok();
            (open && client::get(&admin, "/readyz", &[]).status == 200).then_some(())
        });
        let runtime = runtime();
        let channel = runtime.block_on(connect(&grpc));
        Self {
            process,
            grpc,
            admin,
            log,
            runtime,
            channel,
        }
    }

    pub fn check(&self, check: CheckRequest) -> Outcome {
        let mut client = AuthorizationClient::new(self.channel.clone());
        let answer = self.runtime.block_on(client.check(check));
        Outcome::of(answer.expect("an answer").into_inner())
    }

    pub fn page(&self, path: &str) -> String {
        client::get(&self.admin, path, &[]).body
    }

    /// Ends it in good order: everything that it has written.
    pub fn stop(mut self) -> String {
        self.process.signal("TERM");
        assert_eq!(self.process.wait().code(), Some(0));
        let written = fs::read(&self.log).expect("a log");
        String::from_utf8(written).expect("nothing but UTF-8")
    }
}
