//! The body of an introspection answer: whom it makes a user.

use std::{sync::LazyLock, time::Duration};

use atlassian_authz::{
    clock::{Clock, Now, SystemClock},
    config::{Config, JudgeConfig},
    outbound::Answered,
    verify::{Voucher, remote::RemoteCheck},
};

use super::claims::named;
use crate::{
    reference::{Broken, introspection},
    tally,
    world::{self, NOW},
};

const TARGET: &str = "introspection";

static CONFIG: LazyLock<Config> = LazyLock::new(world::config);

/// The moment of every fuzzed check.
pub fn now() -> Now {
    Now {
        unix_seconds: NOW,
        ..SystemClock.now()
    }
}

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let mut broken = Broken::default();
    let rules = (&world::asked_rules(), &world::asked_naming());
    let issuers = ["https://asked.test"];
    let theirs = introspection::user(data, rules, &issuers, NOW, &mut broken);
    tally::compare(TARGET, named_by_us(data), theirs, &broken);
}

fn named_by_us(data: &[u8]) -> Result<String, String> {
    let provider = CONFIG.providers.last().expect("the provider that is asked");
    let JudgeConfig::Remote {
        check: RemoteCheck::Introspection(introspection),
        rules,
        ..
    } = &provider.judge
    else {
        panic!("a provider that is asked");
    };
    let answered = Answered {
        status: 200,
        media_type: "application/json".to_owned(),
        retry_after: None,
        body: data.to_vec().into(),
    };
    let claims = introspection
        .read(&answered)
        .map_err(|why| why.to_string())?;
    named(
        claims,
        Voucher::Answer(Duration::from_secs(30)),
        rules,
        provider,
    )
}
