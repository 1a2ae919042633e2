//! `provider list | inspect`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use serde_json::json;
use tokio::runtime;
use tokio_util::task::TaskTracker;

use super::{ERROR, NO, YES, complain, say, secret};
use crate::{
    app::App,
    clock::{Clock, SystemClock},
    config::Config,
    credential::BearerToken,
    inspect::{Attribute, InspectError, Inspection},
    provider::preset::Presets,
    verify::TokenError,
};

/// A value longer than this is cut: it is no user name.
const LONGEST_VALUE: usize = 60;

#[derive(Debug, Subcommand)]
pub(super) enum ProviderCommand {
    /// List the presets: what they ask, what binds a token to you, which claim names the user
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a provider about a token, and print every attribute that could name the user
    ///
    /// Exit code 0: the token stands for a user, 1: it does not, 2: the provider could not be asked.
    Inspect {
        /// The provider's name in the configuration
        name: String,
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// A file that holds the token; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &ProviderCommand) -> u8 {
    match command {
        ProviderCommand::List { json } => list(*json),
        ProviderCommand::Inspect {
            name,
            config,
            token_file,
            json,
        } => inspect(name, config, token_file, *json),
    }
}

fn list(as_json: bool) -> u8 {
    let presets = Presets::NAMES.iter().zip(Presets::ABOUT);
    if as_json {
        let presets: Vec<_> = presets
            .map(|(name, about)| {
                json!({
                    "name": name,
                    "mode": about.mode,
                    "binding": about.binding,
                    "username": about.username,
                })
            })
            .collect();
        say(format!("{:#}", json!(presets)));
        return YES;
    }
    let row = |cells: [&str; 4]| {
        let [name, mode, binding, username] = cells;
        say(format!("{name:<24} {mode:<14} {binding:<30} {username}").trim_end());
    };
    row(["PRESET", "MODE", "BOUND BY", "USER NAME"]);
    for (name, about) in presets {
        row([name, about.mode, about.binding, about.username]);
    }
    YES
}

fn inspect(name: &str, config: &Path, token_file: &Path, as_json: bool) -> u8 {
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return ERROR;
        }
    };
    let header = config.identity_header.name().to_owned();
    match ask(name, config, token_file) {
        Ok(Ok(inspection)) => {
            say(if as_json {
                format!("{:#}", json!(inspection))
            } else {
                as_text(&inspection, &header)
            });
            if inspection.user.is_some() { YES } else { NO }
        }
        Ok(Err(error)) => {
            complain(format!("atlassian-authz: {name}: {error}"));
            match error {
                InspectError::Token(TokenError::Unavailable(_)) => ERROR,
                InspectError::NotItsToken(_) | InspectError::Token(TokenError::Rejected(_)) => NO,
            }
        }
        Err(error) => {
            complain(format!("atlassian-authz: {error:#}"));
            ERROR
        }
    }
}

fn ask(
    name: &str,
    config: Config,
    token_file: &Path,
) -> anyhow::Result<Result<Inspection, InspectError>> {
    let names: Vec<_> = config
        .providers
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let text = secret("--token-file", token_file)?;
    let token = BearerToken::from_b64token(text.as_bytes())
        .context("what --token-file names holds no token")?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut app = App::build(config, Arc::clone(&clock))?;
        app.keep_keys_fresh(&TaskTracker::new());
        let inspector = app.inspector(name).ok_or_else(|| {
            let names = names.join(", ");
            anyhow!("there is no provider '{name}' in the configuration, only {names}")
        })?;
        app.providers_tried().await;
        app.provider_problems().iter().for_each(complain);
        let now = clock.now();
        let deadline = now.instant + std::time::Duration::from_secs(20);
        Ok(inspector.inspect(token, now, deadline).await)
    })
}

fn as_text(inspection: &Inspection, header: &str) -> String {
    let mut lines = vec![line("ATTRIBUTE", "VALUE", "AS A USER NAME")];
    lines.extend(inspection.attributes.iter().map(attribute));
    lines.push(String::new());
    if let Some(groups) = &inspection.groups {
        lines.push(format!("groups: {}", groups.join(", ")));
    }
    match (&inspection.user, &inspection.refused) {
        (Some(user), _) => lines.push(format!("{header}: {user}")),
        (None, Some(refused)) => {
            lines.push(format!("no {header}: {} ({})", refused.why, refused.reason));
        }
        (None, None) => lines.push(format!("no {header}")),
    }
    lines.join("\n")
}

fn attribute(attribute: &Attribute) -> String {
    let value = attribute
        .value
        .as_str()
        .map_or_else(|| attribute.value.to_string(), str::to_owned);
    // Nothing that comes from a provider may move the cursor of a terminal.
    let plain: String = value
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(LONGEST_VALUE)
        .collect();
    let cut = if value.chars().count() > LONGEST_VALUE {
        "..."
    } else {
        ""
    };
    line(&attribute.path, &format!("{plain}{cut}"), attribute.note)
}

fn line(path: &str, value: &str, note: &str) -> String {
    format!("{path:<32} {value:<44} {note}")
        .trim_end()
        .to_owned()
}
