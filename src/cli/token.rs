//! `token create | list | show | rotate | revoke | disable-user | enable-user | events | migrate`
//!
//! Straight at the store: works while the service is down, and with the rights of whoever can read the
//! configuration's secrets.

mod end;
mod look;
mod make;
mod render;

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::runtime;

use super::{ERROR, NO, YES, complain, say};
use crate::{
    api_token::{Actor, ApiTokenId},
    clock::SystemClock,
    config::{ApiTokensConfig, Config},
    desk::{By, Desk, DeskError},
    store::{Patience, Store},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make an API token and print it, once
    Create(make::Create),
    /// List tokens, the newest first
    List(look::List),
    /// Show one token
    Show(look::Show),
    /// Make a successor with the same user, name and scope; the old token works on for a while
    Rotate(make::Rotate),
    /// End tokens now: one, all of a user, or one that somebody has found
    Revoke(end::Revoke),
    /// End all tokens of a user, who gets no new ones
    DisableUser(end::Disable),
    /// Let a user have tokens again; those that were ended stay so
    EnableUser(end::Enable),
    /// Print the audit trail, the newest first
    Events(look::Events),
    /// Prepare a PostgreSQL database, or bring it up to this version; SQLite needs none
    Migrate {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// What all commands need.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &TokenCommand) -> u8 {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(carry_out(command)));
    match done {
        Ok(()) => YES,
        Err(error) => {
            complain(format!("atlassian-authz: {error:#}"));
            // What breaks a rule is the asker's to mend; the rest is not.
            match error.downcast_ref::<DeskError>() {
                Some(DeskError::Store(_)) | None => ERROR,
                Some(_) => NO,
            }
        }
    }
}

async fn carry_out(command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(create) => create.run().await,
        TokenCommand::List(list) => list.run().await,
        TokenCommand::Show(show) => show.run().await,
        TokenCommand::Rotate(rotate) => rotate.run().await,
        TokenCommand::Revoke(revoke) => revoke.run().await,
        TokenCommand::DisableUser(user) => user.run().await,
        TokenCommand::EnableUser(user) => user.run().await,
        TokenCommand::Events(events) => events.run().await,
        TokenCommand::Migrate { config } => {
            let (api_tokens, _) = load(config)?;
            let store = Store::open_lazily(&api_tokens.location, Patience::default())?;
            store.migrate().await?;
            say("the store is ready for this version");
            Ok(())
        }
    }
}

impl Place {
    async fn desk(&self) -> anyhow::Result<Desk> {
        let (api_tokens, applications) = load(&self.config)?;
        let store = Store::open(&api_tokens.location, Patience::default()).await?;
        let rules = api_tokens.rules(applications);
        let peppers = Arc::new(api_tokens.peppers);
        Ok(Desk::new(
            Arc::new(store),
            peppers,
            rules,
            Arc::new(SystemClock),
        ))
    }
}

/// The section, and the names of all applications.
fn load(file: &Path) -> anyhow::Result<(ApiTokensConfig, Vec<String>)> {
    let config = Config::load(file)?;
    let names = config
        .applications
        .into_iter()
        .map(|one| one.name)
        .collect();
    let api_tokens = config.api_tokens.with_context(|| {
        format!(
            "{}: there is no section 'api_tokens': there are no API tokens",
            file.display()
        )
    })?;
    Ok((api_tokens, names))
}

/// Whoever can read the configuration's secrets may do everything; who they say they are is written down.
fn operator() -> By {
    By {
        actor: Actor::command_line(&login()),
        source: None,
        limits: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "the command line is an edge")]
fn login() -> String {
    let mut named = ["SUDO_USER", "LOGNAME", "USER"].into_iter();
    let named = named.find_map(|variable| env::var(variable).ok());
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let named: String = named
        .unwrap_or_default()
        .chars()
        .filter(plain)
        .take(64)
        .collect();
    if !named.is_empty() {
        return named;
    }
    // A container has no login; Linux tells whose the process is.
    let own = fs::metadata("/proc/self").map(|process| process.uid());
    own.map_or_else(|_no_proc| "unknown".to_owned(), |uid| format!("uid-{uid}"))
}

fn token_id(text: &str) -> anyhow::Result<ApiTokenId> {
    // Not repeated: it may be a whole token, put in the wrong place.
    ApiTokenId::parse(text).context("ID is the 12 characters between axt_ and the second _")
}
