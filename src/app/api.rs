//! What the admin API works with.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    admin::api::Api,
    config::{AdminConfig, Config},
    desk::Desk,
    grpc::AuthorizationService,
    inspect::Inspector,
    provider::Selector,
};

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

/// The parts of the API that are there before the rest of the service is.
pub(super) struct ApiParts {
    pub(super) rights: AdminConfig,
    pub(super) selector: Arc<Selector>,
    pub(super) applications: BTreeMap<String, BTreeSet<String>>,
}

impl ApiParts {
    pub(super) fn with(
        self,
        service: &AuthorizationService,
        inspectors: &Arc<Vec<Inspector>>,
        desk: Option<Desk>,
    ) -> Arc<Api> {
        Arc::new(Api {
            rights: self.rights,
            selector: self.selector,
            applications: self.applications,
            trials: service.for_trials(),
            service: service.clone(),
            inspectors: Arc::clone(inspectors),
            desk,
        })
    }
}
