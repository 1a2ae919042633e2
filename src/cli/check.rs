//! `check`: the real walk for one request, explained.

use std::{collections::HashMap, net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::bail;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::json;
use tokio::runtime;
use tokio_util::task::TaskTracker;

use super::{ERROR, NO, YES, complain, say, secret};
use crate::{
    app::App,
    clock::{Clock, SystemClock},
    config::Config,
    grpc::Answer,
    pb::envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
        service::auth::v3::{
            AttributeContext, CheckRequest,
            attribute_context::{HttpRequest, Peer, Request},
            check_response::HttpResponse,
        },
    },
    response,
    verdict::{DenialStatus, Grant},
};

/// Headers that hold nothing but a secret.
const CREDENTIALS: [&str; 2] = ["authorization", "proxy-authorization"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The host that the client calls
    #[arg(long)]
    host: String,
    /// The path, with its query if there is one
    #[arg(long)]
    path: String,
    /// The HTTP method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A further request header
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The application, as Envoy's `context_extensions` would name it
    #[arg(long)]
    application: Option<String>,
    /// A file that holds the bearer token; `-` reads standard input
    ///
    /// A token is never taken from the command line, where every user of the machine could see it.
    #[arg(long, value_name = "FILE")]
    bearer_file: Option<PathBuf>,
    /// A file that holds `user:token` for Basic authentication; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "bearer_file")]
    basic_file: Option<PathBuf>,
    /// The address that the request comes from
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return ERROR;
        }
    };
    match decide(arguments, config) {
        Ok(answer) => {
            say(if arguments.json {
                as_json(&answer)
            } else {
                as_text(arguments, &answer)
            });
            match &answer.decision.verdict {
                Ok(_) => YES,
                Err(denial) if denial.status() == DenialStatus::ServiceUnavailable => ERROR,
                Err(_) => NO,
            }
        }
        Err(error) => {
            complain(format!("atlassian-authz: {error:#}"));
            ERROR
        }
    }
}

fn decide(arguments: &Arguments, config: Config) -> anyhow::Result<Answer> {
    let check = check_request(arguments)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut app = App::build(config, Arc::clone(&clock))?;
        app.keep_keys_fresh(&TaskTracker::new());
        app.providers_tried().await;
        // Otherwise a verdict of 503 would not say what to mend.
        app.provider_problems().iter().for_each(complain);
        let now = clock.now();
        let deadline = now.instant + app.service.check_timeout;
        Ok(app.service.answer(check, now, deadline).await)
    })
}

/// The message that Envoy would send for this request.
fn check_request(arguments: &Arguments) -> anyhow::Result<CheckRequest> {
    let mut headers = vec![header(":method", &arguments.method)];
    for line in &arguments.headers {
        let Some((name, value)) = line.split_once(':') else {
            bail!("--header must be 'NAME: VALUE'");
        };
        let name = name.trim();
        if CREDENTIALS.iter().any(|one| name.eq_ignore_ascii_case(one)) {
            bail!(
                "--header {name}: put the token into a file and use --bearer-file or --basic-file"
            );
        }
        headers.push(header(name, value.trim()));
    }
    if let Some(file) = &arguments.bearer_file {
        headers.push(header(
            "authorization",
            &format!("Bearer {}", secret("--bearer-file", file)?),
        ));
    }
    if let Some(file) = &arguments.basic_file {
        let pair = STANDARD.encode(secret("--basic-file", file)?);
        headers.push(header("authorization", &format!("Basic {pair}")));
    }
    let source = arguments.source.map(|address| Peer {
        address: Some(Address {
            address: Some(address::Address::SocketAddress(SocketAddress {
                address: address.to_string(),
            })),
        }),
    });
    let http = HttpRequest {
        method: arguments.method.clone(),
        path: arguments.path.clone(),
        host: arguments.host.clone(),
        header_map: Some(HeaderMap { headers }),
        ..HttpRequest::default()
    };
    let application = arguments.application.clone();
    let context_extensions: HashMap<String, String> = application
        .map(|name| ("application".to_owned(), name))
        .into_iter()
        .collect();
    Ok(CheckRequest {
        attributes: Some(AttributeContext {
            source,
            request: Some(Request { http: Some(http) }),
            context_extensions,
        }),
    })
}

fn header(key: &str, value: &str) -> HeaderValue {
    HeaderValue {
        key: key.to_ascii_lowercase(),
        value: value.to_owned(),
        ..HeaderValue::default()
    }
}

fn as_text(arguments: &Arguments, answer: &Answer) -> String {
    let trail = &answer.decision.trail;
    let mut lines = vec![
        (
            "request",
            format!("{} {}{}", arguments.method, arguments.host, arguments.path),
        ),
        (
            "application",
            trail.application.as_deref().unwrap_or("-").to_owned(),
        ),
        ("credential", trail.credential.to_string()),
        (
            "provider",
            trail.provider.as_deref().unwrap_or("-").to_owned(),
        ),
    ];
    match &answer.decision.verdict {
        Ok(Grant::As(identity)) => {
            if let Some(groups) = identity.groups.known() {
                lines.push(("groups", groups.join(", ")));
            }
            lines.push(("user", identity.username.to_string()));
            lines.push(("verdict", "ALLOW".to_owned()));
        }
        Ok(Grant::Anonymous) => lines.push(("verdict", "ALLOW, without an identity".to_owned())),
        Ok(Grant::Native) => {
            let passed = "ALLOW, without an identity: the product decides".to_owned();
            lines.push(("verdict", passed));
        }
        Err(denial) => {
            let status = denial.status().code();
            lines.push(("verdict", format!("DENY {status} {}", denial.code())));
            lines.push(("why", format!("{denial} ({})", denial.reason())));
        }
    }
    for (name, value) in upstream_headers(answer) {
        lines.push(("sets", format!("{name}: {value}")));
    }
    for name in removed_headers(answer) {
        lines.push(("removes", name));
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}"))
        .collect();
    lines.join("\n")
}

fn as_json(answer: &Answer) -> String {
    let trail = &answer.decision.trail;
    let denial = answer.decision.verdict.as_ref().err();
    let identity = match &answer.decision.verdict {
        Ok(Grant::As(identity)) => Some(identity),
        Ok(Grant::Anonymous | Grant::Native) | Err(_) => None,
    };
    let document = json!({
        "verdict": if denial.is_none() { "allow" } else { "deny" },
        "status": denial.map_or(200, |denial| denial.status().code()),
        "code": denial.map(crate::verdict::Denial::code),
        "reason": response::reason(&answer.decision.verdict),
        "why": denial.map(ToString::to_string),
        "user": identity.map(|identity| identity.username.as_str()),
        "groups": identity.and_then(|identity| identity.groups.known()),
        "application": trail.application.as_deref(),
        "provider": trail.provider.as_deref(),
        "credential": trail.credential.as_str(),
        "sets": upstream_headers(answer).into_iter().collect::<HashMap<_, _>>(),
        "removes": removed_headers(answer),
    });
    format!("{document:#}")
}

fn upstream_headers(answer: &Answer) -> Vec<(String, String)> {
    match &answer.response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok
            .headers
            .iter()
            .filter_map(|option| option.header.as_ref())
            .map(|header| (header.key.clone(), header.value.clone()))
            .collect(),
        Some(HttpResponse::DeniedResponse(_)) | None => Vec::new(),
    }
}

fn removed_headers(answer: &Answer) -> Vec<String> {
    match &answer.response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok.headers_to_remove.clone(),
        Some(HttpResponse::DeniedResponse(_)) | None => Vec::new(),
    }
}
