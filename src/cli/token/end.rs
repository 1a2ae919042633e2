//! `token revoke | disable-user | enable-user`

use std::path::PathBuf;

use clap::Args;

use super::{Place, complain, operator, render, say, token_id};
use crate::{
    api_token::{ApiTokenId, Owner},
    cli::secret,
    desk::{Desk, DeskError, Text},
    store::Family,
};

#[derive(Debug, Args)]
#[group(skip)]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Also the tokens that it has replaced, and those that have replaced it
    #[arg(long, requires = "id")]
    family: bool,
    /// Why, for the audit trail
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The id of a token
    id: Option<String>,
    /// All tokens of this user
    #[arg(long)]
    user: Option<String>,
    /// A file that holds a token that was found somewhere; `-` reads standard input. Its family ends with it
    #[arg(long, value_name = "FILE")]
    leaked_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Disable {
    #[command(flatten)]
    place: Place,
    /// The user
    user: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Enable {
    #[command(flatten)]
    place: Place,
    /// The user
    user: String,
}

impl Revoke {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let reason = Text::reason(&self.reason).map_err(DeskError::from)?;
        let desk = self.place.desk().await?;
        let ended = self.which.end(&desk, self.family, &reason).await?;
        say(render::ended(&ended, self.place.json));
        Ok(())
    }
}

impl Which {
    async fn end(
        &self,
        desk: &Desk,
        family: bool,
        reason: &Text,
    ) -> anyhow::Result<Vec<ApiTokenId>> {
        let by = operator();
        if let Some(user) = &self.user {
            return Ok(desk.revoke_all(&Owner::new(user), reason, &by).await?);
        }
        let (id, revoked) = match (&self.id, &self.leaked_file) {
            (Some(id), _) => {
                let id = token_id(id)?;
                let family = if family {
                    Family::Included
                } else {
                    Family::Spared
                };
                (id, desk.revoke(id, family, reason, &by).await?)
            }
            (None, Some(file)) => {
                let text = secret("--leaked-file", file)?;
                desk.revoke_leaked(&text, reason, &by).await?
            }
            // Refused when the command line is read.
            (None, None) => return Ok(Vec::new()),
        };
        if !revoked {
            complain(format!("{id} was revoked before"));
        }
        Ok(vec![id])
    }
}

impl Disable {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let reason = Text::reason(&self.reason).map_err(DeskError::from)?;
        let desk = self.place.desk().await?;
        let owner = Owner::new(&self.user);
        let ended = desk.disable_user(&owner, &reason, &operator()).await?;
        say(render::ended(&ended, self.place.json));
        Ok(())
    }
}

impl Enable {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let desk = self.place.desk().await?;
        let owner = Owner::new(&self.user);
        desk.enable_user(&owner, &operator()).await?;
        say(render::ended(&[], self.place.json));
        Ok(())
    }
}
