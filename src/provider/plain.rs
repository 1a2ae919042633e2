//! A provider without settings, for tests.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{Judge, Provider};
use crate::{
    identity::{Keep, Mapping, UsernamePolicy, UsernameRule},
    verify::{
        algorithm::Algorithm,
        claims::{Audiences, ClaimPath, ClaimRules, Expiry, TypPolicy},
        jwt::JwtVerifier,
    },
};

impl Provider {
    pub(crate) fn plain(name: &str) -> Self {
        let rules = ClaimRules {
            audiences: Audiences::OneOf(vec!["jira-api".to_owned()]),
            clients: None,
            typ: TypPolicy::AccessToken,
            leeway: Duration::ZERO,
            expiry: Expiry::Required {
                max_lifetime: Duration::from_hours(24),
            },
            required: BTreeMap::new(),
            machine_markers: Vec::new(),
        };
        let rule = UsernameRule {
            claim: ClaimPath::parse("sub").expect("a path"),
            map: None,
            regex: None,
            strip_domain: None,
            prefix: String::new(),
            lower_case: true,
            policy: UsernamePolicy::default(),
        };
        Self {
            name: name.into(),
            judge: Judge::Jwt(JwtVerifier {
                algorithms: vec![Algorithm::EdDSA],
                rules,
            }),
            keep: Keep::default(),
            unstable: &[],
            mapping: Mapping {
                rule,
                machine_clients: HashMap::new(),
            },
            required_scopes: Vec::new(),
            is_unbound: false,
        }
    }
}
