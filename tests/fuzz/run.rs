//! Runs one target: its seeds as they are, then edits of them; what fails is made small and kept as a seed.

use std::{
    cell::Cell,
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Once,
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestRunner},
};

use crate::{
    mutate::{Kind, Plan, Stock, plans},
    tally,
};

/// Of each target, unless `FUZZ_EXECUTIONS` says otherwise: a few seconds in a debug build.
const EXECUTIONS: u64 = 2000;
/// Tries to make a failing plan smaller.
const SHRINKING: usize = 4000;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub kind: Kind,
    /// One in so many executions, for a target that is slow.
    pub share: u64,
}

impl Target {
    fn seeds_at(&self) -> PathBuf {
        directory().join("seeds").join(self.name)
    }

    /// In the order of their names.
    fn seeds(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.seeds_at()).expect("a directory of seeds");
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|file| (file.clone(), read(&file)))
            .collect()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let file = directory().join(format!("dictionaries/{}.dict", self.name));
        read_words(&String::from_utf8(read(&file)).expect("text"))
    }

    /// What the target says against an input.
    fn complaint(&self, data: &[u8]) -> Option<String> {
        hush();
        let payload = panic::catch_unwind(AssertUnwindSafe(|| {
            HUSHED.set(true);
            (self.run)(data);
        }))
        .err();
        HUSHED.set(false);
        let payload = payload?;
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Some(text.unwrap_or_else(|| "a panic".to_owned()))
    }
}

thread_local! {
    /// What panics on this thread now is looked at, and need not be printed.
    static HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// Otherwise thousands of complaints would be printed while one is made small.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !HUSHED.get() {
                usual(panic);
            }
        }));
    });
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

pub fn run(target: &Target) {
    let seeds = target.seeds();
    for (file, seed) in &seeds {
        if let Some(complaint) = target.complaint(seed) {
            panic!("{complaint}\nof the seed {}", file.display());
        }
    }
    let stock = Stock {
        kind: target.kind,
        seeds: seeds.into_iter().map(|(_, seed)| seed).collect(),
        words: target.words(),
    };
    // Otherwise only refusals would be compared, and a service that refuses everything would pass.
    assert_ne!(tally::of(target.name).allowed, 0, "no seed passes");
    let executions = number("FUZZ_EXECUTIONS")
        .unwrap_or(EXECUTIONS)
        .div_ceil(target.share);
    let seed = number("FUZZ_SEED").unwrap_or_else(rand::random);
    let config = Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let plans = plans();
    for execution in 1..=executions {
        let mut plan = plans.new_tree(&mut runner).expect("a plan");
        if let Some(complaint) = target.complaint(&stock.input(&plan.current())) {
            let (plan, complaint) = smallest(target, &stock, &mut plan, complaint);
            let kept = keep(target, &stock.input(&plan));
            panic!(
                "{complaint}\nfound by execution {execution}, FUZZ_SEED={seed}, kept as {}",
                kept.display()
            );
        }
    }
    report(target, seed);
}

fn report(target: &Target, seed: u64) {
    let tally::Tally {
        executions,
        allowed,
        denied,
        stricter,
    } = tally::of(target.name);
    eprintln!(
        "fuzz {:14} {executions:7} executions (FUZZ_SEED={seed}): {allowed} passed, {denied} were refused, by house rules alone {stricter:?}",
        target.name
    );
}

/// Shrinks as proptest does, but on whether the target complains.
fn smallest(
    target: &Target,
    stock: &Stock,
    plan: &mut impl ValueTree<Value = Plan>,
    complaint: String,
) -> (Plan, String) {
    let mut best = (plan.current(), complaint);
    for _ in 0..SHRINKING {
        let complaint = target.complaint(&stock.input(&plan.current()));
        let goes_on = match complaint {
            Some(complaint) => {
                best = (plan.current(), complaint);
                plan.simplify()
            }
            None => plan.complicate(),
        };
        if !goes_on {
            break;
        }
    }
    best
}

/// A seed for every later run, until somebody gives it a better name.
fn keep(target: &Target, data: &[u8]) -> PathBuf {
    let hash = crc32fast::hash(data);
    let file = target.seeds_at().join(format!("found-{hash:08x}"));
    fs::write(&file, data).expect("written");
    file
}

/// The format of libFuzzer's dictionaries: a word in quotes on each line, `\xNN` for a byte.
fn read_words(text: &str) -> Vec<Vec<u8>> {
    let quoted = text
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(read_word).collect()
}

fn read_word(quoted: &str) -> Vec<u8> {
    let (mut word, mut rest) = (Vec::new(), quoted.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            word.push(byte);
        } else if let Some(digits) = rest.strip_prefix(b"x").and_then(|digits| digits.get(..2)) {
            let digits = std::str::from_utf8(digits).expect("digits");
            word.push(u8::from_str_radix(digits, 16).expect("two digits"));
            rest = &rest[3..];
        } else {
            word.extend(rest.first());
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    word
}
