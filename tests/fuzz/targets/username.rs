//! The value of a claim that names a user, under the rules of every provider.

use std::sync::LazyLock;

use atlassian_authz::config::Config;

use crate::{
    reference::{
        Broken,
        username::{self, PLAIN},
    },
    tally, world,
};

const TARGET: &str = "username";

static CONFIG: LazyLock<Config> = LazyLock::new(world::config);

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let Ok(value) = std::str::from_utf8(data) else {
        return;
    };
    let namings = [
        PLAIN,
        world::es_naming(),
        world::ed_naming(),
        world::id_naming(),
        world::asked_naming(),
    ];
    for (provider, naming) in CONFIG.providers.iter().zip(&namings) {
        let ours = provider
            .mapping
            .rule
            .name(value)
            .map(|name| name.to_string());
        if let Ok(name) = &ours {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
            assert!(name.bytes().all(plain), "no header value: {name:?}");
        }
        tally::compare(
            TARGET,
            ours,
            username::name(value, naming),
            &Broken::default(),
        );
    }
}
