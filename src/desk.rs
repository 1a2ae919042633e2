//! The life of API tokens: what the command line and the admin API both do, under the same rules.
//!
//! The rules are here, the consistency (limits under concurrency, one winner of two rotations) is the store's.

mod error;
mod order;
mod view;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

pub use error::DeskError;
pub use order::{Invalid, Order, Rules, Text, Written, lasting};
pub use view::{EventView, TokenView, moment};

use crate::{
    api_token::{
        Actor, ApiToken, ApiTokenId, Digest, IssuedToken, Match, NotAnApiToken, Owner, Peppers,
        Scope, TokenRecord,
    },
    audit,
    clock::Clock,
    store::{
        self, Cursor, Event, EventFilter, Family, Filter, Limits, NewToken, Replacement,
        RevokeOutcome, Store, StoreError,
    },
};

/// Issues, lists, replaces and ends tokens. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    store: Arc<Store>,
    peppers: Arc<Peppers>,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct By {
    /// For the audit trail.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// What they may hand on: the applications that they can use themselves, a few tokens an hour. `None`: an
    /// administrator, who may hand on everything.
    pub limits: Option<OwnLimits>,
}

/// What users may give themselves.
#[derive(Clone, Debug)]
pub struct OwnLimits {
    /// The only owner of their tokens.
    pub owner: Owner,
    /// Applications that take their identity provider.
    pub applications: BTreeSet<String>,
}

/// A token that has just been made. The only time that its text can be seen.
pub struct Issued {
    /// What the store has.
    pub record: TokenRecord,
    /// What the owner gets.
    pub token: IssuedToken,
}

/// How many tokens can be used, and what will happen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub active: i64,
    /// Those that end soon.
    pub expiring_within_7_days: i64,
    /// Those that still need a former pepper.
    pub former_pepper: i64,
    /// Those that nobody can check: their pepper is not configured.
    pub unknown_pepper: i64,
}

impl Desk {
    /// Opens a desk.
    pub fn new(
        store: Arc<Store>,
        peppers: Arc<Peppers>,
        rules: Rules,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            peppers,
            rules: Arc::new(rules),
            clock,
        }
    }

    /// Makes a token.
    pub async fn issue(&self, order: Order, by: &By) -> Result<Issued, DeskError> {
        let own = by.limits.as_ref();
        if own.is_some_and(|own| own.owner != order.owner) {
            return Err(DeskError::Forbidden(
                "you may make tokens for yourself only",
            ));
        }
        by.must_be_able_to_use(&order.scope)?;
        let token = IssuedToken::generate(&mut rand::rng());
        let new = NewToken {
            id: token.id,
            owner: order.owner,
            name: order.name.into_string(),
            digest: self.digest(&token)?,
            scope: order.scope,
            expires_at: self.after(order.lifetime),
        };
        let limits = Limits {
            active_per_owner: self.rules.max_per_user,
            created_per_hour: self.created_per_hour(by),
        };
        let source = by.source_text();
        let event = self
            .store
            .create(&new, limits, self.by(by, source.as_deref()))
            .await?;
        audit::log(&event);
        self.issued(token).await
    }

    /// Makes the successor of a token: same owner, name and scope. The old one works on for the overlap.
    pub async fn rotate(
        &self,
        id: ApiTokenId,
        lifetime: Option<Duration>,
        overlap: Option<Duration>,
        by: &By,
    ) -> Result<Issued, DeskError> {
        let old = self.show(id, by).await?;
        by.must_be_able_to_use(&old.scope)?;
        let as_before = Duration::from_secs(old.expires_at.abs_diff(old.created_at));
        let lifetime = lifetime.unwrap_or_else(|| as_before.min(self.rules.max_lifetime));
        let token = IssuedToken::generate(&mut rand::rng());
        let new = Replacement {
            id: token.id,
            digest: self.digest(&token)?,
            expires_at: self.after(self.rules.lifetime(lifetime)?),
            ends_old_at: self.after(self.rules.overlap(overlap)?),
            created_per_hour: self.created_per_hour(by),
        };
        let source = by.source_text();
        let events = self
            .store
            .rotate(id, &new, self.by(by, source.as_deref()))
            .await?;
        events.iter().for_each(audit::log);
        self.issued(token).await
    }

    /// One token. Those of others do not exist for a user.
    pub async fn show(&self, id: ApiTokenId, by: &By) -> Result<TokenRecord, DeskError> {
        let found = self.store.find(id).await?;
        let theirs = |record: &TokenRecord| by.is_admin_or(&record.owner);
        found
            .map(|found| found.record)
            .filter(theirs)
            .ok_or(DeskError::Unknown)
    }

    /// A page of tokens, the newest first.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: u32,
        by: &By,
    ) -> Result<Vec<TokenRecord>, DeskError> {
        let mut filter = filter.clone();
        if let Some(own) = &by.limits {
            filter.owner = Some(own.owner.clone());
        }
        Ok(self.store.list(&filter, self.now(), after, limit).await?)
    }

    /// Ends a token. `false`: it was over before.
    pub async fn revoke(
        &self,
        id: ApiTokenId,
        family: Family,
        reason: &Text,
        by: &By,
    ) -> Result<bool, DeskError> {
        self.show(id, by).await?;
        let source = by.source_text();
        let by = self.by(by, source.as_deref());
        match self.store.revoke(id, family, reason.as_str(), by).await? {
            RevokeOutcome::Revoked(events) => {
                events.iter().for_each(audit::log);
                Ok(true)
            }
            RevokeOutcome::AlreadyRevoked => Ok(false),
            RevokeOutcome::Unknown => Err(DeskError::Unknown),
        }
    }

    /// Ends a token that somebody has found, and its family: whoever can show it may end it.
    pub async fn revoke_leaked(
        &self,
        text: &str,
        reason: &Text,
        by: &By,
    ) -> Result<(ApiTokenId, bool), DeskError> {
        let token = ApiToken::parse(text.trim())?;
        let found = self.store.find(token.id).await?.ok_or(DeskError::Unknown)?;
        // What was kept with a pepper of the past that nobody has any more cannot be told from the right one.
        if matches!(
            self.peppers.compare(token, &found.record.digest),
            Match::Wrong
        ) {
            return Err(DeskError::Unknown);
        }
        let finder = By {
            limits: None,
            ..by.clone()
        };
        let revoked = self
            .revoke(token.id, Family::Included, reason, &finder)
            .await?;
        Ok((token.id, revoked))
    }

    /// Ends all tokens of a user.
    pub async fn revoke_all(
        &self,
        owner: &Owner,
        reason: &Text,
        by: &By,
    ) -> Result<Vec<ApiTokenId>, DeskError> {
        if !by.is_admin_or(owner) {
            return Err(DeskError::Forbidden("you may end your own tokens only"));
        }
        let source = by.source_text();
        let by = self.by(by, source.as_deref());
        Ok(told(
            self.store.revoke_owner(owner, reason.as_str(), by).await?,
        ))
    }

    /// Ends all tokens of a user, who gets no new ones. Administrators only.
    pub async fn disable_user(
        &self,
        owner: &Owner,
        reason: &Text,
        by: &By,
    ) -> Result<Vec<ApiTokenId>, DeskError> {
        by.must_be_admin()?;
        let source = by.source_text();
        let by = self.by(by, source.as_deref());
        Ok(told(
            self.store.disable_owner(owner, reason.as_str(), by).await?,
        ))
    }

    /// Lets a user have tokens again. Administrators only.
    pub async fn enable_user(&self, owner: &Owner, by: &By) -> Result<(), DeskError> {
        by.must_be_admin()?;
        let source = by.source_text();
        told(
            self.store
                .enable_owner(owner, self.by(by, source.as_deref()))
                .await?,
        );
        Ok(())
    }

    /// A page of the audit trail with the events' numbers, the newest first. Administrators only.
    pub async fn events(
        &self,
        filter: &EventFilter,
        limit: u32,
        by: &By,
    ) -> Result<Vec<(i64, Event)>, DeskError> {
        by.must_be_admin()?;
        Ok(self.store.events(filter, limit).await?)
    }

    /// How many there are.
    pub async fn census(&self) -> Result<Census, StoreError> {
        let summary = self.store.summary(self.now()).await?;
        let mut census = Census {
            active: summary.active,
            expiring_within_7_days: summary.expiring_within_7_days,
            former_pepper: 0,
            unknown_pepper: 0,
        };
        for (pepper, count) in &summary.by_pepper {
            match self.peppers.ids().position(|id| id == pepper) {
                Some(0) => {}
                Some(_) => census.former_pepper += count,
                None => census.unknown_pepper += count,
            }
        }
        Ok(census)
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Now, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.clock.now().unix_seconds
    }

    fn after(&self, duration: Duration) -> i64 {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        self.now().saturating_add(seconds)
    }

    /// Administrators make tokens for many; users have a limit.
    fn created_per_hour(&self, by: &By) -> Option<u32> {
        by.limits.as_ref().map(|_| self.rules.max_created_per_hour)
    }

    fn by<'a>(&self, by: &'a By, source: Option<&'a str>) -> store::By<'a> {
        store::By {
            actor: &by.actor,
            source,
            now: self.now(),
        }
    }

    /// Read back: what is shown is what the store has.
    async fn issued(&self, token: IssuedToken) -> Result<Issued, DeskError> {
        let found = self.store.find(token.id).await?.ok_or(DeskError::Unknown)?;
        Ok(Issued {
            record: found.record,
            token,
        })
    }

    fn digest(&self, token: &IssuedToken) -> Result<Digest, NotAnApiToken> {
        ApiToken::parse(token.expose()).map(|token| self.peppers.digest(token))
    }
}

impl By {
    fn is_admin_or(&self, owner: &Owner) -> bool {
        self.limits.as_ref().is_none_or(|own| own.owner == *owner)
    }

    fn must_be_admin(&self) -> Result<(), DeskError> {
        match self.limits {
            Some(_) => Err(DeskError::Forbidden("only administrators may do this")),
            None => Ok(()),
        }
    }

    /// Nobody hands on more than they have; nor prolongs what an administrator once gave them beyond it.
    fn must_be_able_to_use(&self, scope: &Scope) -> Result<(), DeskError> {
        let is_theirs = |own: &OwnLimits| scope.applications.is_subset(&own.applications);
        if self.limits.as_ref().is_none_or(is_theirs) {
            return Ok(());
        }
        Err(DeskError::Forbidden(
            "you may make tokens only for applications that you can use yourself",
        ))
    }

    fn source_text(&self) -> Option<String> {
        self.source.map(|address| address.to_string())
    }
}

/// Logs the events; the tokens that they are about.
fn told(events: Vec<Event>) -> Vec<ApiTokenId> {
    events.iter().for_each(audit::log);
    events.into_iter().filter_map(|event| event.token).collect()
}
