//! The Tomcats that the products run on, in their own settings and in the most lenient ones.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{children::Running, client::Answer};

/// The lines that scripts/setup.py installs.
const LINES: [&str; 2] = ["9.0", "10.1"];

/// A port of a Tomcat.
pub struct Product {
    /// The version of Tomcat and its connector.
    pub name: String,
    pub port: u16,
}

impl Product {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// All Tomcats.
pub struct Products {
    pub all: Vec<Product>,
    _processes: Vec<Running>,
    _directory: TempDir,
}

impl Products {
    /// `None` where the person who started the tests has left Tomcat out.
    pub fn start() -> Option<Self> {
        if env::var_os("SKIP_TOMCAT").is_some_and(|value| value == "1") {
            eprintln!("SKIPPED by SKIP_TOMCAT=1: nothing was tried against a real Tomcat");
            return None;
        }
        let directory = TempDir::new().expect("a directory");
        // One process for each: the backslash in Tomcat 9 is a matter of the whole process.
        let mut processes: Vec<Running> = LINES
            .iter()
            .flat_map(|line| {
                [
                    start(line, directory.path(), false, &["default"]),
                    start(line, directory.path(), true, &["decode", "passthrough"]),
                ]
            })
            .collect();
        let all = processes.iter_mut().flat_map(ports).collect();
        Some(Self {
            all,
            _processes: processes,
            _directory: directory,
        })
    }
}

fn start(line: &str, directory: &Path, backslash: bool, connectors: &[&str]) -> Running {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".tools/tomcat")
        .join(line);
    assert!(
        home.join("installed").is_file(),
        "Tomcat {line} is not installed: run scripts/setup.py tomcat"
    );
    let home = home.display();
    let java = env::var_os("JAVA_HOME").map_or_else(
        || PathBuf::from("java"),
        |home| PathBuf::from(home).join("bin/java"),
    );
    let mut command = Command::new(java);
    command
        .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!(
            "-Dorg.apache.catalina.connector.CoyoteAdapter.ALLOW_BACKSLASH={backslash}"
        ))
        .args(["-cp", &format!("{home}:{home}/*"), "Product"])
        .arg(directory.join(format!("{line}-{backslash}")))
        .args(connectors);
    Running::start(command)
}

fn ports(process: &mut Running) -> Vec<Product> {
    let ready: Value = process.wait_for("Tomcat", |line| {
        serde_json::from_str(line.strip_prefix("ready ")?).ok()
    });
    let version = ready["version"].as_str().expect("a version");
    let ports = ready["ports"].as_object().expect("the ports");
    let product = |(connector, port): (&String, &Value)| Product {
        name: format!("{version} {connector}"),
        port: port.as_u64().expect("a port").try_into().expect("a port"),
    };
    ports.iter().map(product).collect()
}

/// What a servlet was told about a request.
#[derive(Debug)]
pub struct Served {
    pub servlet: String,
    /// The path by which Tomcat has chosen the servlet: decoded, parameters and dot segments gone.
    pub path: String,
    /// Whom the servlet would take the client for.
    pub users: Vec<String>,
}

impl Served {
    /// `None` when no servlet has answered.
    pub fn of(answer: &Answer) -> Option<Self> {
        let told: Value = (answer.status == 200)
            .then(|| serde_json::from_str(&answer.body))?
            .ok()?;
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        let headers = told["x_remote_user"].as_array()?.iter();
        let users = headers.filter_map(|user| Some(user.as_str()?.to_owned()));
        Some(Self {
            servlet: text("servlet")?,
            path: text("servlet_path")? + &text("path_info").unwrap_or_default(),
            users: users.chain(text("remote_user")).collect(),
        })
    }

    pub fn is_public(&self) -> bool {
        ["public", "status"].contains(&&*self.servlet)
    }
}
