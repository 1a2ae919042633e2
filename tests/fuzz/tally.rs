//! Holds what the service says against the reference, and counts.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::reference::{Broken, House, Ruling};

/// What a target has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub executions: u64,
    /// Both let it pass, as the same.
    pub allowed: u64,
    /// Both refuse it.
    pub denied: u64,
    /// The reference would let it pass but for a house rule.
    pub stricter: BTreeMap<House, u64>,
}

static TALLIES: Mutex<BTreeMap<&str, Tally>> = Mutex::new(BTreeMap::new());

fn tallies() -> MutexGuard<'static, BTreeMap<&'static str, Tally>> {
    TALLIES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(target: &'static str, one: impl FnOnce(&mut Tally)) {
    one(tallies().entry(target).or_default());
}

/// For the report.
pub fn of(target: &str) -> Tally {
    tallies().get(target).cloned().unwrap_or_default()
}

/// One input was run.
pub fn executed(target: &'static str) {
    count(target, |tally| tally.executions += 1);
}

/// For a target without a reference: whether the service took the input.
pub fn taken(target: &'static str, taken: bool) {
    count(target, |tally| {
        let counter = if taken {
            &mut tally.allowed
        } else {
            &mut tally.denied
        };
        *counter += 1;
    });
}

/// Panics unless both say the same: the same value, or a refusal. What the service alone refuses has to break a rule of
/// the closed list.
pub fn compare<T: PartialEq + Debug, E: Debug>(
    target: &'static str,
    ours: Result<T, E>,
    theirs: Ruling<T>,
    broken: &Broken,
) {
    match (ours, theirs, broken.first()) {
        (Ok(ours), Ok(theirs), None) => {
            assert_eq!(ours, theirs, "{target}: two readings (service, reference)");
            count(target, |tally| tally.allowed += 1);
        }
        (Ok(ours), Ok(_), Some(house)) => {
            panic!("{target}: {ours:?} passes although it breaks the rule {house:?}")
        }
        (Ok(ours), Err(why), _) => {
            panic!("{target}: {ours:?} passes, the reference refuses it: {why}")
        }
        (Err(why), Ok(theirs), None) => {
            panic!("{target}: refused ({why:?}), and no rule says why: {theirs:?}")
        }
        (Err(_), Ok(_), Some(house)) => {
            count(target, |tally| {
                *tally.stricter.entry(house).or_default() += 1;
            });
        }
        (Err(_), Err(_), _) => count(target, |tally| tally.denied += 1),
    }
}
