//! `token create | rotate`

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Place, operator, render, say, token_id};
use crate::{
    api_token::AccessLevel,
    desk::{DeskError, Invalid, Written, lasting},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    place: Place,
    /// The user whom it stands for
    #[arg(long)]
    user: String,
    /// What it is for, in a few words
    #[arg(long)]
    name: String,
    /// When it ends, from now: 12h, 90d
    #[arg(long, value_name = "DURATION")]
    expires: String,
    /// What it may do
    #[arg(long, value_enum, default_value = "read")]
    scope: Scope,
    /// An application that it is for; again for more
    #[arg(long = "application", value_name = "NAME", required = true)]
    applications: Vec<String>,
    /// A path below which it may be used, as clients write it; again for more
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// A network from which it may be used; again for more
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// GET, HEAD, OPTIONS, and git fetch
    Read,
    /// Everything that the user may do
    Write,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    #[command(flatten)]
    place: Place,
    /// The id of the old token
    id: String,
    /// When the new token ends, from now [default: it lasts as long as the old one did]
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
    /// How long the old token works on, at most 7d [default: `api_tokens.rotation_overlap`]
    #[arg(long, value_name = "DURATION")]
    overlap: Option<String>,
}

impl Create {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let desk = self.place.desk().await?;
        let written = Written {
            user: &self.user,
            name: &self.name,
            expires: &self.expires,
            access: match self.scope {
                Scope::Read => AccessLevel::Read,
                Scope::Write => AccessLevel::Write,
            },
            applications: &self.applications,
            paths: &self.paths,
            networks: &self.networks,
        };
        let order = desk.rules().order(&written).map_err(DeskError::from)?;
        let issued = desk.issue(order, &operator()).await?;
        say(render::issued(&issued, desk.now(), self.place.json));
        Ok(())
    }
}

impl Rotate {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let id = token_id(&self.id)?;
        let expires = duration("expires", self.expires.as_deref())?;
        let overlap = duration("overlap", self.overlap.as_deref())?;
        let desk = self.place.desk().await?;
        let issued = desk.rotate(id, expires, overlap, &operator()).await?;
        say(render::issued(&issued, desk.now(), self.place.json));
        Ok(())
    }
}

fn duration(member: &'static str, text: Option<&str>) -> Result<Option<Duration>, DeskError> {
    let read: Result<_, Invalid> = text.map(|text| lasting(member, text)).transpose();
    Ok(read?)
}
