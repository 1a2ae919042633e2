//! The service itself: the binary that is shipped, with a configuration of the test's.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use atlassian_authz::pb::envoy::{
    config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse,
        attribute_context::{HttpRequest, Peer, Request},
        authorization_client::AuthorizationClient,
        check_response::HttpResponse,
    },
};
use futures_util::future::join_all;
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::{children::Running, client, idp::Idp};

/// A running service. Its log is JSON, at the most talkative level.
pub struct Service {
    pub process: Running,
    /// `host:port` of Check; empty when it listens on a Unix socket.
    pub grpc: String,
    /// `host:port` of the admin port.
    pub admin: String,
    /// `host:port` of health alone; empty when there is none.
    pub health: String,
    file: PathBuf,
    _directory: TempDir,
    asker: Asker,
}

/// The configuration that most tests use: one provider, one application, no leeway.
pub fn config_for(idp: &Idp) -> String {
    format!(
        "providers:\n  - name: idp\n    jwt: {{ issuer: \"{}\", leeway: 0s }}\n    audiences: [jira-api]\n    \
         username: {{ claim: preferred_username }}\n\
         applications:\n  - name: jira\n    product: jira\n    hosts: [jira.example.com, 127.0.0.1]\n    \
         public_paths: [/status]\n",
        idp.issuer
    )
}

impl Service {
    /// Starts with a provider and the usual application, and waits until it is ready.
    pub fn start(idp: &Idp) -> Self {
        Self::with_config(&config_for(idp))
    }

    /// Starts with `providers` and `applications` (and what else a test needs) as given; adds
    /// loopback addresses, log level and permission to use them unless the text has its own.
    pub fn with_config(config: &str) -> Self {
        let mut service = Self::unready(config);
        service.wait_until_ready();
        service
    }

    /// The log up to now. Lines are written a moment late, but in their order: what comes after all others is waited for.
    pub fn log(&mut self) -> String {
        let mark = format!("/mark-{}", rand::random::<u64>());
        self.check(Check::get(&mark).build());
        self.process.wait_for("the mark in the log", |line| {
            line.contains(&mark).then_some(())
        });
        self.process.output()
    }

    /// Starts and waits for the ports only.
    pub fn unready(config: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("config.yaml");
        fs::write(&file, whole(config)).expect("written");
        Self::at(file, directory)
    }

    /// Starts with so few file descriptors, and waits until it is ready.
    pub fn with_descriptors(config: &str, limit: u32) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("config.yaml");
        fs::write(&file, whole(config)).expect("written");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_atlassian-authz"));
        let mut service = Self::run(command, file, directory);
        service.wait_until_ready();
        service
    }

    /// Starts with a file that is there, and waits for the ports only.
    pub fn at(file: PathBuf, directory: TempDir) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"));
        Self::run(command, file, directory)
    }

    fn run(mut command: Command, file: PathBuf, directory: TempDir) -> Self {
        command.arg("serve").arg("--config").arg(&file);
        let mut process = Running::start(command);
        let [grpc, admin, health] = process.wait_for("the ports", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
            let ports = || ["grpc", "admin", "health"].map(|name| text(name).to_owned());
            (line.get("message")? == "listening").then(ports)
        });
        Self {
            process,
            asker: Asker::new(&grpc),
            grpc,
            admin,
            health,
            file,
            _directory: directory,
        }
    }

    pub fn wait_until_ready(&mut self) {
        self.process.wait_for("readiness", |line| {
            line.contains("\"message\":\"ready\"").then_some(())
        });
    }

    /// Replaces the configuration, as an editor does. Relative paths in it are relative to its directory.
    pub fn write_config(&self, config: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, whole(config)).expect("written");
        fs::rename(&new, &self.file).expect("renamed");
    }

    /// Where the configuration is.
    pub fn directory(&self) -> &Path {
        self.file.parent().expect("a directory")
    }

    /// Replaces the configuration and waits until it holds.
    pub fn reconfigure(&self, config: &str) {
        let before = self.generation();
        self.write_config(config);
        self.process.signal("HUP");
        self.wait_for_generation(before + 1.0);
    }

    pub fn generation(&self) -> f64 {
        self.metric("atlassian_authz_config_generation")
    }

    pub fn wait_for_generation(&self, number: f64) {
        super::eventually("the changed configuration", || {
            (self.generation() >= number).then_some(())
        });
    }

    /// `/statusz`.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.admin_page("/statusz").1).expect("JSON")
    }

    /// Asks directly, without Envoy.
    pub fn check(&mut self, check: CheckRequest) -> Outcome {
        self.asker.check(check)
    }

    /// Asks about `GET https://jira.example.com/rest/api/2/myself` with this token.
    pub fn check_token(&mut self, token: &str) -> Outcome {
        self.asker.check_token(token)
    }

    /// Another connection, for another thread.
    pub fn asker(&self) -> Asker {
        Asker::new(&self.grpc)
    }

    /// A page of the admin port: status and body.
    pub fn admin_page(&self, path: &str) -> (u16, String) {
        let answer = client::get(&self.admin, path, &[]);
        (answer.status, answer.body)
    }

    /// The value of one line of `/metrics`, 0 when it is not there.
    pub fn metric(&self, line_start: &str) -> f64 {
        let (_, page) = self.admin_page("/metrics");
        page.lines()
            .find_map(|line| line.strip_prefix(line_start)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    /// The decision lines of the log.
    pub fn decisions(&self) -> Vec<Value> {
        let output = self.process.output();
        let lines = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "check").collect()
    }
}

/// With the sections that a test leaves out.
pub fn whole(config: &str) -> String {
    let mut text = config.to_owned();
    for (section, default) in [
        (
            "listen:",
            "listen: { grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }\n",
        ),
        ("log:", "log: { level: trace, format: json }\n"),
        ("outbound:", "outbound: { allow_loopback_http: true }\n"),
        (
            "shutdown:",
            "shutdown: { drain_delay: 0s, drain_timeout: 5s }\n",
        ),
    ] {
        if !text.lines().any(|line| line.starts_with(section)) {
            text.push_str(default);
        }
    }
    text
}

/// One connection to a service.
pub struct Asker {
    address: String,
    runtime: Runtime,
    client: Option<AuthorizationClient<Channel>>,
}

impl Asker {
    fn new(address: &str) -> Self {
        Self {
            address: format!("http://{address}"),
            runtime: Runtime::new().expect("a runtime"),
            client: None,
        }
    }

    pub fn check(&mut self, check: CheckRequest) -> Outcome {
        let answer = self.try_check(check);
        Outcome::of(answer.unwrap_or_else(|status| panic!("a gRPC error is no answer: {status:?}")))
    }

    fn try_check(&mut self, check: CheckRequest) -> Result<CheckResponse, tonic::Status> {
        let mut client = self.client();
        let answer = self.runtime.block_on(client.check(check));
        answer.map(tonic::Response::into_inner)
    }

    /// All at once.
    pub fn check_all(&mut self, checks: Vec<CheckRequest>) -> Vec<Outcome> {
        let client = self.client();
        let answers = checks.into_iter().map(|check| {
            let mut client = client.clone();
            async move { client.check(check).await.expect("an answer").into_inner() }
        });
        let answers = self.runtime.block_on(join_all(answers));
        answers.into_iter().map(Outcome::of).collect()
    }

    fn client(&mut self) -> AuthorizationClient<Channel> {
        let connect = || {
            let connecting = AuthorizationClient::connect(self.address.clone());
            self.runtime.block_on(connecting).expect("connects")
        };
        self.client.get_or_insert_with(connect).clone()
    }

    pub fn check_token(&mut self, token: &str) -> Outcome {
        self.check(Check::get("/rest/api/2/myself").bearer(token).build())
    }
}

/// A `CheckRequest` as Envoy sends it.
#[derive(Clone)]
pub struct Check {
    pub http: HttpRequest,
    pub extensions: HashMap<String, String>,
    raw: Vec<HeaderValue>,
    source: Option<Peer>,
}

impl Check {
    pub fn get(path: &str) -> Self {
        Self::new("GET", "jira.example.com", path)
    }

    pub fn new(method: &str, host: &str, path: &str) -> Self {
        let http = HttpRequest {
            id: "1".to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            scheme: "https".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            ..HttpRequest::default()
        };
        let check = Self {
            http,
            extensions: HashMap::new(),
            raw: Vec::new(),
            source: None,
        };
        check
            .header(":method", method)
            .header(":path", path)
            .header(":authority", host)
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.raw.push(HeaderValue {
            key: name.to_owned(),
            value: String::new(),
            raw_value: value.as_ref().to_vec().into(),
        });
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// The other end of Envoy's connection.
    pub fn from(mut self, address: &str) -> Self {
        let socket = SocketAddress {
            address: address.to_owned(),
        };
        let address = Address {
            address: Some(address::Address::SocketAddress(socket)),
        };
        self.source = Some(Peer {
            address: Some(address),
        });
        self
    }

    pub fn extension(mut self, name: &str, value: &str) -> Self {
        self.extensions.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With `header_map` (`encode_raw_headers: true`).
    pub fn build(self) -> CheckRequest {
        let header_map = Some(HeaderMap { headers: self.raw });
        wrap(
            HttpRequest {
                header_map,
                ..self.http
            },
            self.extensions,
            self.source,
        )
    }

    /// With `headers` (Envoy's default): lower-case names, repeated values joined with a comma,
    /// bytes that are not UTF-8 replaced by `!`.
    pub fn build_joined(self) -> CheckRequest {
        let mut headers: HashMap<String, String> = HashMap::new();
        for header in &self.raw {
            let value = String::from_utf8_lossy(&header.raw_value).replace('\u{fffd}', "!");
            headers
                .entry(header.key.to_ascii_lowercase())
                .and_modify(|joined| *joined = format!("{joined},{value}"))
                .or_insert(value);
        }
        wrap(
            HttpRequest {
                headers,
                ..self.http
            },
            self.extensions,
            self.source,
        )
    }
}

fn wrap(
    http: HttpRequest,
    context_extensions: HashMap<String, String>,
    source: Option<Peer>,
) -> CheckRequest {
    let request = Some(Request { http: Some(http) });
    CheckRequest {
        attributes: Some(AttributeContext {
            source,
            request,
            context_extensions,
        }),
    }
}

/// What an answer means to Envoy.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// 200 for an allow, else the status of the denial.
    pub status: i32,
    /// Headers set upstream (allow) or sent to the client (deny), lower case.
    pub headers: Vec<(String, String)>,
    pub removes: Vec<String>,
    pub body: String,
    pub metadata: HashMap<String, String>,
}

impl Outcome {
    /// Of an encoded answer.
    pub fn read(response: &[u8]) -> Self {
        Self::of(CheckResponse::decode(response).expect("an answer"))
    }

    pub fn of(response: CheckResponse) -> Self {
        let code = response
            .status
            .as_ref()
            .expect("a status: without one Envoy allows")
            .code;
        let text = |value: &prost_types::Value| match &value.kind {
            Some(prost_types::value::Kind::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        let metadata = response
            .dynamic_metadata
            .iter()
            .flat_map(|metadata| &metadata.fields);
        let metadata = metadata
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let (status, options, removes, body) = match response.http_response {
            Some(HttpResponse::OkResponse(ok)) => {
                assert_eq!(code, 0, "an OK response with a status that denies");
                (200, ok.headers, ok.headers_to_remove, String::new())
            }
            Some(HttpResponse::DeniedResponse(denied)) => {
                assert_ne!(
                    code, 0,
                    "a denied response with status 0 is an allow to Envoy"
                );
                (
                    denied.status.expect("an HTTP status").code,
                    denied.headers,
                    Vec::new(),
                    denied.body,
                )
            }
            None => panic!("neither OK nor denied"),
        };
        let headers = options
            .into_iter()
            .map(|option| {
                assert_eq!(option.append_action, 2, "OVERWRITE_IF_EXISTS_OR_ADD");
                let header = option.header.expect("a header");
                assert!(
                    header.raw_value.is_empty(),
                    "Envoy 1.40 would send an empty value"
                );
                (header.key, header.value)
            })
            .collect();
        Self {
            status,
            headers,
            removes,
            body,
            metadata,
        }
    }

    /// The user of an allow.
    pub fn user(&self) -> Option<&str> {
        (self.status == 200)
            .then(|| self.header("x-remote-user"))
            .flatten()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The private reason, from the metadata.
    pub fn reason(&self) -> &str {
        self.metadata.get("reason").map_or("", String::as_str)
    }
}
