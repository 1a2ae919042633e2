//! What the admin API must know of the configuration as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;

/// Provider → the applications that accept it.
pub(super) fn accepted_at(config: &Config) -> BTreeMap<String, BTreeSet<String>> {
    let mut accepted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for application in &config.applications {
        let positions = application.providers.iter();
        for provider in positions.filter_map(|position| config.providers.get(*position)) {
            let names = accepted.entry(provider.name.clone()).or_default();
            names.insert(application.name.clone());
        }
    }
    accepted
}
