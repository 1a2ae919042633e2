//! Every preset against every case that applies to it: what its provider sends on good, bad and
//! broken days, and what must come of it.
//!
//! A preset is tested as `config show` writes it out, with its provider's addresses replaced by that
//! of a loopback server. The documents are the ones that the providers publish.
#![expect(clippy::too_many_lines, reason = "the cases are tables, one a line")]

mod frame;
mod groups;
mod jwt;
mod remote;

use frame::{CASES, Subject};

fn subjects() -> Vec<Subject> {
    jwt::subjects()
        .into_iter()
        .chain(remote::subjects())
        .collect()
}

/// Runs every case of one preset.
fn run(preset: &str) {
    let subject = subjects()
        .into_iter()
        .find(|subject| subject.preset == preset)
        .unwrap_or_else(|| panic!("no subject {preset}"));
    subject.run();
}

macro_rules! every_case_of {
    ($($preset:ident),+ $(,)?) => {
        $(#[test]
        fn $preset() {
            run(stringify!($preset));
        })+

        const TESTED: &[&str] = &[$(stringify!($preset)),+];
    };
}

every_case_of!(
    adfs,
    auth0,
    cognito,
    entra,
    entra_graph,
    facebook,
    github,
    gitlab,
    google,
    google_id_token,
    keycloak,
    keycloak_introspection,
    okta,
    okta_org,
    pingfederate,
    pingone,
    slack,
    slack_id_token,
    zitadel,
);

#[test]
fn every_preset_has_every_case_that_applies_to_it() {
    use atlassian_authz::provider::preset::Presets;
    assert_eq!(Presets::NAMES, TESTED);
    let subjects = subjects();
    for preset in Presets::NAMES {
        let subject = subjects.iter().find(|subject| subject.preset == *preset);
        let subject = subject.unwrap_or_else(|| panic!("{preset} is not tested"));
        let has: Vec<&str> = subject.cases.iter().map(|case| case.name).collect();
        for (case, modes) in CASES {
            let applies = modes.contains(&subject.mode());
            let excepted = subject.exceptions.iter().any(|(name, _)| name == case);
            assert!(
                !applies || excepted || has.contains(case),
                "{preset} lacks the case {case}"
            );
            assert!(
                !(excepted && has.contains(case)),
                "{preset} has {case} and excepts it"
            );
        }
        for (name, why) in &subject.exceptions {
            assert!(why.len() > 10, "{preset} excepts {name} without a reason");
            assert!(
                CASES.iter().any(|(case, _)| case == name),
                "{name} is no case"
            );
        }
    }
}

/// The other method of the preset `slack`.
#[test]
fn slack_user_info() {
    remote::slack_user_info().run();
}
