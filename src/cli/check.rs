//! `check`: the real walk for one request, explained.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

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
    grpc::{
        Answer,
        trial::{Explanation, Trial, is_credential, removed_headers, upstream_headers},
    },
    verdict::{Denial, DenialStatus, Grant, Native, Verdict},
};

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
                format!("{:#}", json!(Explanation::of(&answer)))
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
    let check = described(arguments)?;
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
        let checks = app.checks().for_trials();
        let deadline = now.instant + checks.check_timeout;
        Ok(checks.answer(check, now, deadline, None).await)
    })
}

/// The request that the arguments describe.
fn described(arguments: &Arguments) -> anyhow::Result<Trial> {
    let mut headers = Vec::new();
    for line in &arguments.headers {
        let Some((name, value)) = line.split_once(':') else {
            bail!("--header must be 'NAME: VALUE'");
        };
        let name = name.trim();
        if is_credential(name) {
            bail!(
                "--header {name}: put the token into a file and use --bearer-file or --basic-file"
            );
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let authorization = match (&arguments.bearer_file, &arguments.basic_file) {
        (Some(file), _) => Some(format!("Bearer {}", secret("--bearer-file", file)?)),
        (None, Some(file)) => {
            let pair = STANDARD.encode(secret("--basic-file", file)?);
            Some(format!("Basic {pair}"))
        }
        (None, None) => None,
    };
    Ok(Trial {
        application: arguments.application.clone(),
        host: arguments.host.clone(),
        path: arguments.path.clone(),
        method: arguments.method.clone(),
        headers,
        authorization,
        source: arguments.source,
    })
}

fn denied(denial: &Denial) -> String {
    format!("DENY {} {}", denial.status().code(), denial.code())
}

fn why_native(native: &Native) -> Option<String> {
    match native {
        Native::Credential => None,
        Native::Preflight => Some("a preflight (preflight: native)".to_owned()),
        Native::Unchecked => Some("nothing is decided (enforcement: off)".to_owned()),
        Native::Reported(denial) => Some(format!(
            "only reported (enforcement: report_only), it would be {}: {denial} ({})",
            denied(denial),
            denial.reason()
        )),
    }
}

fn verdict_lines(verdict: &Verdict) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match verdict {
        Ok(Grant::As(identity)) => {
            if let Some(groups) = identity.groups.known() {
                lines.push(("groups", groups.join(", ")));
            }
            lines.push(("user", identity.username.to_string()));
            lines.push(("verdict", "ALLOW".to_owned()));
        }
        Ok(Grant::Anonymous) => lines.push(("verdict", "ALLOW, without an identity".to_owned())),
        Ok(Grant::Native(native)) => {
            let passed = "ALLOW, without an identity: the product decides".to_owned();
            lines.push(("verdict", passed));
            if let Some(why) = why_native(native) {
                lines.push(("why", why));
            }
        }
        Err(denial) => {
            lines.push(("verdict", denied(denial)));
            lines.push(("why", format!("{denial} ({})", denial.reason())));
        }
    }
    lines
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
            trail
                .application
                .as_ref()
                .map_or_else(|| "-".to_owned(), |one| one.name.to_string()),
        ),
        ("credential", trail.credential.to_string()),
        (
            "provider",
            trail.provider.as_deref().unwrap_or("-").to_owned(),
        ),
    ];
    if let Some(refused) = &trail.refused {
        if let Some(groups) = refused.groups.known() {
            lines.push(("groups", groups.join(", ")));
        }
        lines.push(("user", refused.username.to_string()));
    }
    for explained in &trail.policies {
        let said = explained.why.as_deref().unwrap_or("passes");
        lines.push(("policy", format!("{}: {said}", explained.policy)));
    }
    lines.extend(verdict_lines(&answer.decision.verdict));
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
