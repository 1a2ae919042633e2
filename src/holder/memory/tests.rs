use std::{collections::BTreeSet, pin::pin};

use futures_util::FutureExt;

use super::*;
use crate::{
    api_token::{AccessLevel, Digest, Owner, PepperId, Revocation, Scope},
    clock::{Clock, SystemClock},
    identity::UsernameError,
};

const ID: &str = "abcdefghijkl";
const START: i64 = 1_000_000;

fn id() -> ApiTokenId {
    ApiTokenId::parse(ID).expect("an id")
}

fn record(revision: i64) -> TokenRecord {
    TokenRecord {
        id: id(),
        owner: Owner::new("alice"),
        name: "ci".to_owned(),
        digest: Digest {
            pepper: PepperId::from_store("p".to_owned()),
            mac: [0; 32],
        },
        scope: Scope {
            access: AccessLevel::Read,
            applications: BTreeSet::from(["jira".to_owned()]),
            paths: Vec::new(),
            networks: Vec::new(),
        },
        created_at: START,
        created_by: "cli:root".to_owned(),
        expires_at: START + 100,
        revocation: None,
        replaces: None,
        replaced_by: None,
        last_used_at: None,
        last_used_from: None,
        revision,
    }
}

/// An entry of a user whom the product may not see: enough to tell outcomes apart.
fn entry(record: TokenRecord) -> Arc<Entry> {
    let nobody = Err(ApiTokenRejection::Owner(UsernameError::Reserved));
    Arc::new(Entry::new(record, nobody, false))
}

fn start() -> Instant {
    SystemClock.now().instant
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A memory whose feed has just been heard.
fn memory(now: Instant) -> Memory {
    let memory = Memory::new(1 << 20, now);
    memory.heard(now);
    memory
}

fn word(recalled: &Recalled) -> &'static str {
    match recalled {
        Recalled::Fresh(_) => "fresh",
        Recalled::Due(_) => "due",
        Recalled::Doubtful(_) => "doubtful",
        Recalled::Unknown => "unknown",
        Recalled::Nothing => "nothing",
    }
}

#[test]
fn a_record_is_never_believed_for_thirty_seconds() {
    let now = start();
    let memory = memory(now);
    memory.remember(id(), Some(&entry(record(1))), memory.moment(now));
    let after = |time: Duration| {
        memory.heard(now + time);
        word(&memory.recall(id(), now + time))
    };
    assert_eq!(after(Duration::ZERO), "fresh");
    assert_eq!(after(seconds(23)), "fresh");
    // One request is told to read it again, and another one not before two seconds have passed.
    assert_eq!(after(seconds(24)), "due");
    assert_eq!(after(seconds(24)), "fresh");
    assert_eq!(after(Duration::from_millis(25_999)), "fresh");
    assert_eq!(after(seconds(26)), "due");
    assert_eq!(after(Duration::from_millis(27_999)), "fresh");
    assert_eq!(after(Duration::from_millis(29_999)), "due");
    assert_eq!(after(seconds(30)), "nothing");
}

#[test]
fn a_silent_feed_makes_records_doubtful_after_two_seconds_and_useless_after_thirty() {
    let now = start();
    let memory = memory(now);
    let read = now + seconds(14);
    memory.remember(id(), Some(&entry(record(1))), memory.moment(read));
    let after = |time: Duration| word(&memory.recall(id(), now + time));
    assert_eq!(after(seconds(14)), "fresh");
    assert_eq!(
        after(seconds(15)),
        "fresh",
        "it is younger than two seconds"
    );
    assert_eq!(after(seconds(16)), "doubtful");
    assert_eq!(
        after(seconds(16)),
        "fresh",
        "one request reads it again, the others do not wait"
    );
    assert_eq!(after(seconds(18)), "doubtful");
    assert_eq!(after(seconds(43)), "doubtful");
    assert_eq!(after(seconds(44)), "nothing");
    memory.heard(now + seconds(16));
    assert_eq!(after(seconds(16)), "fresh");
}

#[test]
fn a_feed_that_was_never_heard_is_silent() {
    let now = start();
    let memory = Memory::new(1 << 20, now);
    let read = now + seconds(60);
    memory.remember(id(), Some(&entry(record(1))), memory.moment(read));
    assert_eq!(word(&memory.recall(id(), read + seconds(2))), "doubtful");
}

#[test]
fn a_change_ends_what_is_remembered_whichever_comes_first() {
    let now = start();
    for change_first in [true, false] {
        let memory = memory(now);
        let moment = memory.moment(now);
        let (old, new) = (entry(record(1)), entry(record(2)));
        if change_first {
            // The reading began before the change and ends after it.
            memory.changed(id(), 2);
            memory.remember(id(), Some(&old), moment);
        } else {
            memory.remember(id(), Some(&old), moment);
            memory.changed(id(), 2);
        }
        assert_eq!(word(&memory.recall(id(), now)), "nothing", "{change_first}");
        // A reading that has seen the change is believed.
        memory.remember(id(), Some(&new), memory.moment(now));
        assert_eq!(word(&memory.recall(id(), now)), "fresh", "{change_first}");
    }
}

#[test]
fn after_forgetting_everything_no_earlier_reading_counts() {
    let now = start();
    let memory = memory(now);
    let before = memory.moment(now);
    memory.remember(id(), Some(&entry(record(1))), before);
    memory.forget_everything();
    assert_eq!(word(&memory.recall(id(), now)), "nothing");
    memory.remember(id(), Some(&entry(record(1))), before);
    assert_eq!(
        word(&memory.recall(id(), now)),
        "nothing",
        "it was read before"
    );
    memory.remember(id(), None, before);
    assert_eq!(
        word(&memory.recall(id(), now)),
        "nothing",
        "so was its absence"
    );
    memory.remember(id(), Some(&entry(record(1))), memory.moment(now));
    assert_eq!(word(&memory.recall(id(), now)), "fresh");
}

#[test]
fn an_unknown_id_is_not_looked_up_for_five_seconds_unless_it_appears() {
    let now = start();
    let memory = memory(now);
    memory.remember(id(), None, memory.moment(now));
    assert_eq!(
        word(&memory.recall(id(), now + Duration::from_millis(4_999))),
        "unknown"
    );
    assert_eq!(word(&memory.recall(id(), now + seconds(5))), "nothing");
    memory.changed(id(), 1);
    assert_eq!(word(&memory.recall(id(), now)), "nothing");
}

/// The reason why a record is not good for this use; the user's name is always refused here.
fn reason(record: TokenRecord, claim: &Claim, now: i64) -> &'static str {
    let judged = entry(record).judge(claim, now);
    judged.expect_err("no user").reason()
}

const GOOD: &str = "api_token_owner_refused";

#[test]
fn the_state_is_judged_on_every_use() {
    let reason = |record: TokenRecord, now: i64| reason(record, &Claim::Nobody, now);
    assert_eq!(reason(record(1), START + 99), GOOD);
    assert_eq!(reason(record(1), START + 100), "api_token_expired");
    let mut replaced = record(1);
    replaced.replaced_by = Some(id());
    assert_eq!(reason(replaced.clone(), START), GOOD, "the overlap");
    assert_eq!(reason(replaced, START + 100), "api_token_replaced");
    let mut revoked = record(1);
    let by = "bob".to_owned();
    revoked.revocation = Some(Revocation {
        at: START,
        reason: by.clone(),
        by,
    });
    assert_eq!(reason(revoked, START), "api_token_revoked");
}

/// A clock of this machine that is slow does not prolong a token's life.
#[test]
fn a_token_that_is_over_for_the_store_is_over() {
    let nobody = Err(ApiTokenRejection::Owner(UsernameError::Reserved));
    let entry = Entry::new(record(1), nobody, true);
    let judged = entry.judge(&Claim::Nobody, START);
    assert_eq!(judged.expect_err("over").reason(), "api_token_expired");
}

#[test]
fn the_user_beside_a_token_is_its_owner_to_the_letter() {
    let reason = |claim: &Claim| reason(record(1), claim, START);
    let user = |name: &str| Claim::User(name.to_owned());
    assert_eq!(reason(&user("alice")), GOOD);
    for other in [
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "",
        "bob",
        "al\u{131}ce",
        "alice\u{0}",
        "\u{212a}alice",
    ] {
        assert_eq!(reason(&user(other)), "api_token_other_user", "{other}");
    }
    assert_eq!(reason(&Claim::Unreadable), "api_token_other_user");
}

#[test]
fn repeated_uses_are_no_news_until_a_minute_or_an_address_has_changed() {
    let entry = entry(record(1));
    let from = |text: &str| Some(text.parse().expect("an address"));
    assert!(entry.is_news(from("10.0.0.1"), START));
    assert!(!entry.is_news(from("10.0.0.1"), START + 59));
    assert!(entry.is_news(from("10.0.0.1"), START + 60));
    assert!(entry.is_news(from("10.0.0.2"), START + 60));
    assert!(entry.is_news(None, START + 60));
    // A clock that is put back does not silence a token for ever.
    assert!(entry.is_news(None, START - 3600));
}

/// The memory is bounded by what this says.
#[test]
fn a_record_weighs_every_byte_that_it_holds() {
    let entry = entry(record(1));
    let texts = "ci".len() + "cli:root".len() + "alice".len();
    let scope = "jira".len() + size_of::<String>();
    let expected = size_of::<Entry>() + texts + 2 * scope + ENTRY_OVERHEAD;
    assert_eq!(entry.weight(), expected);
}

#[tokio::test]
async fn whoever_waits_for_the_feed_learns_when_it_is_heard() {
    let now = start();
    let memory = Memory::new(1 << 20, now);
    let mut waiting = pin!(memory.heard_once());
    assert!(waiting.as_mut().now_or_never().is_none());
    memory.heard(now);
    assert!(waiting.now_or_never().is_some());
    assert!(memory.heard_once().now_or_never().is_some());
}
