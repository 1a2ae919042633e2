//! `token list | show | events`

use clap::{Args, ValueEnum};

use super::{Place, operator, render, say, token_id};
use crate::{
    api_token::{Owner, State},
    desk::{DeskError, lasting},
    store::{EventFilter, Filter},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    place: Place,
    /// Only those of this user
    #[arg(long)]
    user: Option<String>,
    /// Only those for this application
    #[arg(long)]
    application: Option<String>,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<Listed>,
    /// Only those that end within this time; with `--state active`, the ones to replace soon
    #[arg(long, value_name = "DURATION")]
    expires_within: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listed {
    /// Can be used
    Active,
    /// Its time is over
    Expired,
    /// Ended before its time
    Revoked,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    place: Place,
    /// Its id: the 12 characters between `axt_` and the second `_`
    id: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Events {
    #[command(flatten)]
    place: Place,
    /// Only about this token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Only about this user's tokens
    #[arg(long)]
    user: Option<String>,
    /// Only those before this number: the rest of a list that was cut
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl List {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let within = self.expires_within.as_deref();
        let within = within
            .map(|text| lasting("expires-within", text))
            .transpose();
        let within = within.map_err(DeskError::from)?;
        let desk = self.place.desk().await?;
        let seconds =
            |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let filter = Filter {
            owner: self.user.as_deref().map(Owner::new),
            application: self.application.clone(),
            state: self.state.map(State::from),
            expires_before: within.map(|within| desk.now().saturating_add(seconds(within))),
            text: None,
        };
        let records = desk.list(&filter, None, self.limit, &operator()).await?;
        say(render::list(&records, desk.now(), self.place.json));
        Ok(())
    }
}

impl Show {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let id = token_id(&self.id)?;
        let desk = self.place.desk().await?;
        let record = desk.show(id, &operator()).await?;
        say(render::one(&record, desk.now(), self.place.json));
        Ok(())
    }
}

impl Events {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let filter = EventFilter {
            token: self.token.as_deref().map(token_id).transpose()?,
            owner: self.user.as_deref().map(Owner::new),
            after: self.before,
        };
        let desk = self.place.desk().await?;
        let events = desk.events(&filter, self.limit, &operator()).await?;
        say(render::events(&events, self.place.json));
        Ok(())
    }
}

impl From<Listed> for State {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Active => Self::Active,
            Listed::Expired => Self::Expired,
            Listed::Revoked => Self::Revoked,
        }
    }
}
