//! A configuration file: what is taken keeps its promises, what is not is told with its place.

use std::path::Path;

use atlassian_authz::{
    config::{Config, JudgeConfig, ProviderConfig},
    verify::claims::{Audiences, ClaimRules},
};

use crate::tally;

const TARGET: &str = "config";

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let config = read(text);
    tally::taken(TARGET, config.is_ok());
    match config {
        Ok(config) => {
            keeps_its_promises(&config);
            is_read_again(&config);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused, and nothing is wrong");
            // YAML 1.2 §5.4: a carriage return alone ends a line, too.
            let lines = u64::try_from(text.split(['\n', '\r']).count()).expect("a number");
            for problem in &problems.0 {
                let (line, column) = problem.place.expect("a place");
                assert!(line >= 1 && column >= 1 && line <= lines + 1, "{problem}");
                assert!(!problem.message.is_empty(), "a problem without a word");
            }
        }
    }
}

fn read(text: &str) -> Result<Config, atlassian_authz::config::Problems> {
    Config::parse("config.yaml", text, Path::new("/nonexistent"))
}

fn keeps_its_promises(config: &Config) {
    assert!(!config.applications.is_empty(), "nothing to protect");
    for provider in &config.providers {
        let rules = match &provider.judge {
            JudgeConfig::Jwt {
                verifier, issuers, ..
            } => {
                assert!(
                    !verifier.algorithms.is_empty() && !issuers.is_empty(),
                    "nobody can sign"
                );
                &verifier.rules
            }
            JudgeConfig::Remote { rules, .. } => rules,
        };
        is_bound(provider, rules);
    }
    for application in &config.applications {
        let known = |at: &usize| *at < config.providers.len();
        assert!(
            application.providers.iter().all(known),
            "a provider that there is not"
        );
    }
}

/// docs/CONFIGURATION.md: an audience, a client, a server that asks for one, or the operator's own words.
fn is_bound(provider: &ProviderConfig, rules: &ClaimRules) {
    let by_audience = matches!(&rules.audiences, Audiences::OneOf(ours) if !ours.is_empty());
    let by_client = rules
        .clients
        .as_ref()
        .is_some_and(|clients| !clients.is_empty());
    let by_server = matches!(provider.judge, JudgeConfig::Remote { .. });
    assert!(
        by_audience || by_client || by_server || provider.is_unbound,
        "tokens of anybody"
    );
}

/// `config show` prints what was understood; it means the same.
fn is_read_again(config: &Config) {
    let shown = serde_saphyr::to_string(&config.effective).expect("YAML");
    let again = read(&shown).unwrap_or_else(|problems| panic!("{problems}\n{shown}"));
    let shown_again = serde_saphyr::to_string(&again.effective).expect("YAML");
    assert_eq!(shown, shown_again, "two readings");
}
