//! Judging our own tokens, with a real store in a file.

use std::collections::BTreeSet;

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::{
    api_token::{AccessLevel, Actor, IssuedToken, Owner},
    clock::{Clock, SystemClock},
    store::{By, Family, Limits, NewToken, Patience, StoreLocation},
    usage::queue,
};

fn now() -> Now {
    SystemClock.now()
}

fn pepper(letter: &str) -> SecretString {
    letter.repeat(32).into()
}

/// A store, and who judges the tokens in it.
pub(crate) struct Office {
    store: Arc<Store>,
    peppers: Arc<Peppers>,
    pub(crate) api_tokens: ApiTokens,
    pub(crate) notes: Receiver<Note>,
    _directory: TempDir,
}

impl Office {
    pub(crate) async fn open() -> Self {
        Self::with(Peppers::new(&pepper("a")).expect("a pepper")).await
    }

    async fn with(peppers: Peppers) -> Self {
        let directory = TempDir::new().expect("a directory");
        let location = StoreLocation::parse("sqlite://tokens.db", directory.path(), false);
        let store = Store::open(&location.expect("a place"), Patience::default()).await;
        let (store, peppers) = (Arc::new(store.expect("a store")), Arc::new(peppers));
        let metrics = Metrics::new();
        let (notes, receiver) = queue(metrics.clone());
        let api_tokens = ApiTokens::new(ApiTokenParts {
            store: Arc::clone(&store),
            peppers: Arc::clone(&peppers),
            usernames: UsernamePolicy::default(),
            memory: Arc::new(Memory::new(1 << 20, now().instant)),
            notes,
            metrics,
            runtime: Handle::current(),
        });
        Self {
            store,
            peppers,
            api_tokens,
            notes: receiver,
            _directory: directory,
        }
    }

    /// A token of this user, for an hour.
    pub(crate) async fn issue(&self, owner: &str) -> IssuedToken {
        let token = IssuedToken::generate(&mut rand::rng());
        let digest = self.peppers.digest(parsed(token.expose()));
        let new = NewToken {
            id: token.id,
            owner: Owner::new(owner),
            name: "ci".to_owned(),
            digest,
            scope: Scope {
                access: AccessLevel::Read,
                applications: BTreeSet::from(["jira".to_owned()]),
                paths: Vec::new(),
                networks: Vec::new(),
            },
            expires_at: now().unix_seconds + 3600,
        };
        let limits = Limits {
            active_per_owner: 10,
            created_per_hour: None,
        };
        let actor = Actor::command_line("root");
        let created = self.store.create(&new, limits, by(&actor)).await;
        created.expect("a token");
        token
    }

    async fn known(&self, id: ApiTokenId) -> Known {
        let found = self.api_tokens.find(id, now()).await;
        found.expect("the store answers")
    }

    async fn judge(
        &self,
        token: ApiToken<'_>,
        claim: &Claim,
        at: Now,
    ) -> Result<Holder, ApiTokenError> {
        let known = self.known(token.id).await;
        self.api_tokens.judge(token, claim, &known, at)
    }

    /// The user, or one word.
    async fn judged(&self, token: ApiToken<'_>, claim: &Claim) -> String {
        match self.judge(token, claim, now()).await {
            Ok(holder) => holder.identity.username.to_string(),
            Err(ApiTokenError::Rejected(rejection)) => rejection.reason().to_owned(),
            Err(ApiTokenError::Unavailable(unavailable)) => unavailable.reason().to_owned(),
        }
    }
}

fn by(actor: &Actor) -> By<'_> {
    By {
        actor,
        source: None,
        now: now().unix_seconds,
    }
}

fn parsed(text: &str) -> ApiToken<'_> {
    ApiToken::parse(text).expect("an API token")
}

/// The id of one token with the secret of another.
fn with_secret_of<'a>(token: &IssuedToken, other: &'a IssuedToken) -> ApiToken<'a> {
    let mut forged = parsed(other.expose());
    forged.id = token.id;
    forged
}

#[tokio::test]
async fn a_token_stands_for_its_owner_within_its_limits() {
    let office = Office::open().await;
    let token = office.issue("Alice").await;
    let holder = office
        .judge(parsed(token.expose()), &Claim::Nobody, now())
        .await;
    let holder = holder.expect("it is good");
    assert_eq!(holder.identity.username.as_str(), "alice");
    assert_eq!(&*holder.identity.provider, ISSUER);
    assert_eq!(holder.identity.groups, Groups::Untold);
    assert_eq!(holder.scope.access, AccessLevel::Read);
    assert!(holder.scope.applications.contains("jira"));
    let left = holder.identity.valid_until - now().unix_seconds;
    assert!((3590..=3600).contains(&left), "{left}");
}

#[tokio::test]
async fn the_secret_is_compared_although_the_id_is_remembered() {
    let office = Office::open().await;
    let (token, other) = (office.issue("alice").await, office.issue("bob").await);
    assert!(!office.known(token.id).await.cached);
    assert!(office.known(token.id).await.cached);
    let forged = with_secret_of(&token, &other);
    for _ in 0..2 {
        assert_eq!(
            office.judged(forged, &Claim::Nobody).await,
            "api_token_wrong_secret"
        );
        assert_eq!(
            office.judged(parsed(token.expose()), &Claim::Nobody).await,
            "alice"
        );
    }
    assert_eq!(office.api_tokens.memory().status(now().instant).records, 1);
}

#[tokio::test]
async fn an_id_that_nobody_has_is_refused_and_remembered() {
    let office = Office::open().await;
    let stranger = IssuedToken::generate(&mut rand::rng());
    assert!(!office.known(stranger.id).await.cached);
    assert!(office.known(stranger.id).await.cached);
    assert_eq!(
        office
            .judged(parsed(stranger.expose()), &Claim::Nobody)
            .await,
        "api_token_unknown"
    );
}

#[tokio::test]
async fn a_token_is_not_good_for_another_user_nor_after_its_end() {
    let office = Office::open().await;
    let token = office.issue("alice").await;
    let of = |user: &str| Claim::User(user.to_owned());
    for (claim, said) in [
        (of("alice"), "alice"),
        (of("Alice"), "api_token_other_user"),
        (of("bob"), "api_token_other_user"),
        (Claim::Unreadable, "api_token_other_user"),
    ] {
        assert_eq!(office.judged(parsed(token.expose()), &claim).await, said);
    }
    let end = Now {
        unix_seconds: now().unix_seconds + 3600,
        ..now()
    };
    let late = office
        .judge(parsed(token.expose()), &Claim::Nobody, end)
        .await;
    assert!(matches!(
        late,
        Err(ApiTokenError::Rejected(ApiTokenRejection::Expired))
    ));
    let actor = Actor::command_line("root");
    let revoked = office
        .store
        .revoke(token.id, Family::Spared, "lost", by(&actor));
    revoked.await.expect("revoked");
    office.api_tokens.memory().forget_everything();
    assert_eq!(
        office.judged(parsed(token.expose()), &Claim::Nobody).await,
        "api_token_revoked"
    );
}

#[tokio::test]
async fn an_owner_whom_the_product_may_not_see_is_refused() {
    let office = Office::open().await;
    let token = office.issue("admin").await;
    assert_eq!(
        office.judged(parsed(token.expose()), &Claim::Nobody).await,
        "api_token_owner_refused"
    );
}

#[tokio::test]
async fn a_digest_of_a_former_pepper_is_good_and_is_to_be_kept_anew() {
    let mut office = Office::open().await;
    let token = office.issue("alice").await;
    let mut peppers = Peppers::new(&pepper("b")).expect("a pepper");
    let stranger = Office::with(Peppers::new(&pepper("b")).expect("a pepper")).await;
    peppers.add_former(&pepper("a")).expect("another");
    let rotated = Office::with(peppers).await;
    let known = office.known(token.id).await;
    let judge = |by: &Office| {
        by.api_tokens
            .judge(parsed(token.expose()), &Claim::Nobody, &known, now())
    };
    assert!(judge(&office).is_ok());
    assert!(office.notes.try_recv().is_err(), "nothing to keep anew");
    assert!(matches!(
        judge(&stranger),
        Err(ApiTokenError::Unavailable(Unavailable::UnknownPepper))
    ));
    assert!(judge(&rotated).is_ok());
    let mut notes = rotated.notes;
    match notes.try_recv() {
        Ok(Note::KeptWithFormerPepper { id, instead, .. }) => {
            assert_eq!(id, token.id);
            assert!(instead == rotated.peppers.digest(parsed(token.expose())));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn use_and_misuse_are_taken_down_but_not_in_a_trial() {
    let mut office = Office::open().await;
    let token = office.issue("alice").await;
    let known = office.known(token.id).await;
    let source = "10.0.0.1".parse().ok();
    let trial = office.api_tokens.for_trials();
    trial.used(&known, None, now());
    trial.exceeded(&known, "api_token_path");
    assert!(office.notes.try_recv().is_err(), "a trial is no use");
    let first = now();
    office.api_tokens.used(&known, source, first);
    office.api_tokens.used(&known, source, first);
    office.api_tokens.exceeded(&known, "api_token_path");
    match office.notes.try_recv() {
        Ok(Note::Used { id, at, from }) => {
            assert_eq!((id, at, from), (token.id, first.unix_seconds, source));
        }
        other => panic!("{other:?}"),
    }
    match office.notes.try_recv() {
        Ok(Note::Exceeded { id, owner, reason }) => {
            assert_eq!((id, owner.as_str()), (token.id, "alice"));
            assert_eq!(reason, "api_token_path");
        }
        other => panic!("{other:?}"),
    }
    let nobody = Known {
        entry: None,
        cached: true,
    };
    office.api_tokens.used(&nobody, source, now());
    office.api_tokens.exceeded(&nobody, "api_token_path");
    assert!(office.notes.try_recv().is_err());
}

#[tokio::test]
async fn a_token_that_is_used_after_it_was_replaced_is_taken_down() {
    let mut office = Office::open().await;
    let token = office.issue("alice").await;
    let entry = office.known(token.id).await.entry.expect("a record");
    let over = |replaced_by: Option<ApiTokenId>| Known {
        entry: Some(Arc::new(Entry::new(
            TokenRecord {
                replaced_by,
                ..entry.record.clone()
            },
            Err(ApiTokenRejection::Unknown),
            true,
        ))),
        cached: true,
    };
    for (replaced_by, why) in [
        (None, ApiTokenRejection::Expired),
        (Some(token.id), ApiTokenRejection::Replaced),
    ] {
        assert!(office.notes.try_recv().is_err());
        let (token, known) = (parsed(token.expose()), over(replaced_by));
        let judged = office
            .api_tokens
            .judge(token, &Claim::Nobody, &known, now());
        match judged {
            Err(ApiTokenError::Rejected(rejection)) => assert_eq!(rejection, why),
            other => panic!("{other:?}"),
        }
    }
    match office.notes.try_recv() {
        Ok(Note::UsedAfterReplacement { id, owner }) => {
            assert_eq!((id, owner.as_str()), (token.id, "alice"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_record_in_doubt_is_read_again() {
    let office = Office::open().await;
    let token = office.issue("alice").await;
    let read = office.api_tokens.load(token.id, now()).await;
    let entry = read.expect("the store answers").expect("a record");
    assert_eq!(entry.record.owner.as_str(), "alice");
    let stranger = IssuedToken::generate(&mut rand::rng());
    let read = office.api_tokens.load(stranger.id, now()).await;
    assert!(read.expect("the store answers").is_none());
}

#[test]
fn why_a_token_is_refused_is_said_in_one_word() {
    for (rejection, word) in [
        (
            ApiTokenRejection::Malformed(NotAnApiToken::Shape),
            "api_token_malformed",
        ),
        (ApiTokenRejection::Unknown, "api_token_unknown"),
        (ApiTokenRejection::WrongSecret, "api_token_wrong_secret"),
        (ApiTokenRejection::Revoked, "api_token_revoked"),
        (ApiTokenRejection::Expired, "api_token_expired"),
        (ApiTokenRejection::Replaced, "api_token_replaced"),
        (ApiTokenRejection::OtherUser, "api_token_other_user"),
    ] {
        assert_eq!(rejection.reason(), word);
    }
}
