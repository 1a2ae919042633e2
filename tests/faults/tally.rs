//! What came of many requests, counted by what they showed.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A JWT that was seen before.
    Remembered,
    /// A JWT that nobody has seen before.
    First,
    /// A token that its provider is asked about.
    Asked,
    /// One of our own.
    Own,
}

/// Those that need nobody's answer.
pub const JWT: [Class; 2] = [Class::Remembered, Class::First];
pub const ALL: [Class; 4] = [Class::Remembered, Class::First, Class::Asked, Class::Own];

/// What a request must lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// An allow as this user.
    User(String),
    /// 401.
    Denied,
}

/// What it led to, in the best of cases first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// The right user, or the right denial.
    Right,
    /// Our 503: it could not be told.
    Undecided,
    /// Envoy's own error, or nothing at all.
    Unanswered(String),
    /// A good token was called bad.
    FalseDenial(String),
    /// An allow that should have been none, or another user: what must never be.
    Wrong(String),
}

/// The counts of one class.
#[derive(Clone, Debug, Default)]
struct Counts {
    allowed: u64,
    denied: u64,
    undecided: u64,
    unanswered: u64,
    false_denials: u64,
    /// Of right allows, in microseconds.
    took: Vec<u32>,
}

/// The counts of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    classes: BTreeMap<Class, Counts>,
    /// What must never be, as far as there is room to tell.
    wrong: Vec<String>,
    /// The first of the rest that is no success, to say what it was.
    notes: Vec<String>,
    /// Without an answer because the machine stood still: no fault of anybody here.
    disturbed: u64,
}

const NOTES: usize = 20;

impl Tally {
    pub fn count(&mut self, class: Class, expect: &Expect, came: Came, took: Duration) {
        let counts = self.classes.entry(class).or_default();
        let note = match came {
            Came::Right if *expect == Expect::Denied => {
                counts.denied += 1;
                return;
            }
            Came::Right => {
                counts.allowed += 1;
                let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
                counts.took.push(micros);
                return;
            }
            Came::Undecided => {
                counts.undecided += 1;
                return;
            }
            Came::Unanswered(note) => {
                counts.unanswered += 1;
                note
            }
            Came::FalseDenial(note) => {
                counts.false_denials += 1;
                note
            }
            Came::Wrong(what) => {
                self.wrong.push(format!("{class:?}: {what}"));
                return;
            }
        };
        if self.notes.len() < NOTES {
            self.notes.push(format!("{class:?}: {note}"));
        }
    }

    /// The machine has stood still during a request that got no answer.
    pub fn disturbed(&mut self) {
        self.disturbed += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.disturbed += other.disturbed;
        for (class, counts) in &other.classes {
            self.classes.entry(*class).or_default().add(counts);
        }
        self.wrong.extend(other.wrong.iter().cloned());
        let room = NOTES.saturating_sub(self.notes.len());
        self.notes.extend(other.notes.iter().take(room).cloned());
    }

    fn sum(&self, classes: &[Class], count: impl Fn(&Counts) -> u64) -> u64 {
        let counts = classes.iter().filter_map(|class| self.classes.get(class));
        counts.map(count).sum()
    }

    pub fn requests(&self, classes: &[Class]) -> u64 {
        self.sum(classes, Counts::requests)
    }

    /// Right allows and right denials.
    pub fn right(&self, classes: &[Class]) -> u64 {
        self.sum(classes, |it| it.allowed + it.denied)
    }

    pub fn allowed(&self, classes: &[Class]) -> u64 {
        self.sum(classes, |it| it.allowed)
    }

    pub fn undecided(&self, classes: &[Class]) -> u64 {
        self.sum(classes, |it| it.undecided)
    }

    pub fn unanswered(&self, classes: &[Class]) -> u64 {
        self.sum(classes, |it| it.unanswered)
    }

    pub fn false_denials(&self, classes: &[Class]) -> u64 {
        self.sum(classes, |it| it.false_denials)
    }

    /// How long right allows took: the share of them, in thousandths, that was faster.
    pub fn quantile(&self, classes: &[Class], thousandths: usize) -> Duration {
        let counts = classes.iter().filter_map(|class| self.classes.get(class));
        let mut took: Vec<u32> = counts.flat_map(|it| &it.took).copied().collect();
        took.sort_unstable();
        let at = (took.len() * thousandths / 1000).min(took.len().saturating_sub(1));
        Duration::from_micros(took.get(at).copied().unwrap_or(0).into())
    }

    /// At least this share of the requests, in parts of a million, had the right answer.
    #[track_caller]
    pub fn assert_right(&self, what: &str, classes: &[Class], millionths: u64) {
        let (right, all) = (self.right(classes), self.requests(classes));
        assert!(all > 0, "{what}: nobody has asked");
        assert!(
            self.disturbed * 10 <= self.requests(&ALL),
            "the machine stands still too often: {self}"
        );
        assert!(
            right * 1_000_000 >= all * millionths,
            "{what}: {right} of {all} right: {self}"
        );
    }
}

impl Counts {
    fn requests(&self) -> u64 {
        self.allowed + self.denied + self.undecided + self.unanswered + self.false_denials
    }

    fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.undecided += other.undecided;
        self.unanswered += other.unanswered;
        self.false_denials += other.false_denials;
        self.took.extend(&other.took);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |classes: &[Class]| {
            let failed = |count: u64, what: &str| match count {
                0 => String::new(),
                count => format!(", {count} {what}"),
            };
            format!(
                "{} of {}{}{}{}",
                self.right(classes),
                self.requests(classes),
                failed(self.undecided(classes), "undecided"),
                failed(self.unanswered(classes), "unanswered"),
                failed(self.false_denials(classes), "false denials"),
            )
        };
        write!(
            f,
            "right: JWT {}; asked {}; own {}; wrong {}",
            of(&JWT),
            of(&[Class::Asked]),
            of(&[Class::Own]),
            self.wrong.len()
        )?;
        if self.disturbed > 0 {
            write!(f, "; {} while the machine stood still", self.disturbed)?;
        }
        if self.notes.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.notes.join("; "))
    }
}
