//! Reloads while many ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::support::{
    idp::Idp,
    service::{Outcome, Service, config_for},
    tokens::Token,
};

const RELOADS: u32 = 30;
const ASKERS: usize = 3;

#[derive(Default)]
struct Count {
    checks: AtomicU64,
    first: AtomicU64,
    second: AtomicU64,
}

impl Count {
    fn alice(&self, outcome: &Outcome) {
        let header = &outcome.headers[0];
        let count = match (header.0.as_str(), header.1.as_str()) {
            ("x-remote-user", "alice") => &self.first,
            ("x-user", "e-alice") => &self.second,
            mixed => panic!("{mixed:?}: {outcome:?}"),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    fn mallory(&self, outcome: &Outcome) {
        let header = outcome.headers.first().map(|(name, _)| name.as_str());
        match (outcome.status, header) {
            (403, _) | (200, Some("x-user")) => {}
            wrong => panic!("{wrong:?}: {outcome:?}"),
        }
        self.checks.fetch_add(1, Ordering::Relaxed);
    }
}

/// Two configurations take turns. Each answers three questions in its own way; no answer is a mixture of both, and
/// none is missing.
#[test]
fn no_decision_is_wrong_while_configurations_take_turns() {
    let idp = Idp::start();
    let first = config_for(&idp);
    // Another claim names the user, another header carries it, and mallory is let in.
    let second = format!(
        "{}    access: {{ users: {{ deny: [bob] }} }}\nidentity_header: x-user\n",
        first.replace("preferred_username", "employee")
    );
    let first = format!("{first}    access: {{ users: {{ deny: [mallory] }} }}\n");
    let service = Service::with_config(&first);
    let (done, count) = (Arc::new(AtomicBool::new(false)), Arc::new(Count::default()));
    let token = |name: &str| {
        let token = Token::of(&idp.issuer).claim("preferred_username", name);
        token.claim("employee", format!("e-{name}")).signed()
    };
    let (alice, mallory) = (token("alice"), token("mallory"));
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let (mut asker, done, count) = (service.asker(), Arc::clone(&done), Arc::clone(&count));
            let (alice, mallory) = (alice.clone(), mallory.clone());
            thread::spawn(move || {
                while !done.load(Ordering::Acquire) {
                    count.alice(&asker.check_token(&alice));
                    count.mallory(&asker.check_token(&mallory));
                }
            })
        })
        .collect();
    for turn in 0..RELOADS {
        service.reconfigure(if turn % 2 == 0 { &second } else { &first });
    }
    done.store(true, Ordering::Release);
    for asker in askers {
        asker.join().expect("only right answers");
    }
    let [checks, first, second] =
        [&count.checks, &count.first, &count.second].map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "{RELOADS} reloads under {checks} checks: {first} by the first, {second} by the second, 0 wrong"
    );
    assert!(first > 0 && second > 0);
    assert_eq!(idp.count("/jwks"), 1, "the keys are those of the start");
}
