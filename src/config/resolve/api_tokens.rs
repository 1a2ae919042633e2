//! The section `api_tokens`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Resolver;
use crate::{
    api_token::Peppers,
    config::{ApiTokensConfig, schema},
    identity::UsernamePolicy,
    store::StoreLocation,
};

const SECTION: &str = "api_tokens";
const A_DAY: Duration = Duration::from_hours(24);

impl Resolver<'_> {
    pub(super) fn api_tokens(&mut self, written: &schema::ApiTokens) -> Option<ApiTokensConfig> {
        self.inputs.begin();
        self.inputs
            .add(format!("{}{:?}", written.usage_interval, written.store).as_bytes());
        let location = self.store_location(written);
        let store_edition = self.inputs.edition();
        self.inputs.add(format!("{written:?}").as_bytes());
        let peppers = self.peppers(written);
        let hour = Duration::from_hours(1);
        let max_lifetime = self.duration(
            "/api_tokens/max_lifetime",
            &written.max_lifetime,
            hour..=A_DAY * 3650,
        );
        let rotation_overlap = self.duration(
            "/api_tokens/rotation_overlap",
            &written.rotation_overlap,
            Duration::ZERO..=A_DAY * 7,
        );
        let usage_interval = self.duration(
            "/api_tokens/usage_interval",
            &written.usage_interval,
            Duration::from_secs(1)..=hour,
        );
        let reserved = written.allow_reserved.iter();
        Some(ApiTokensConfig {
            location: location?,
            peppers: peppers?,
            max_lifetime,
            max_per_user: written.max_per_user,
            max_created_per_hour: written.max_created_per_hour,
            rotation_overlap,
            usage_interval,
            usernames: UsernamePolicy {
                allow_email_characters: written.allow_email_characters,
                allow_reserved: reserved.map(|name| name.to_ascii_lowercase()).collect(),
                pattern: None,
            },
            store_edition,
            edition: self.inputs.edition(),
        })
    }

    fn store_location(&mut self, written: &schema::ApiTokens) -> Option<StoreLocation> {
        let pointer = "/api_tokens/store";
        let (url, is_secret) = match &written.store {
            schema::StoreUrl::Url(url) => (SecretString::from(url.as_str()), false),
            schema::StoreUrl::Secret(secret) => (self.secret(SECTION, pointer, secret)?, true),
        };
        let location = StoreLocation::parse(
            url.expose_secret(),
            self.base,
            written.accept_insecure_store,
        );
        match location {
            Ok(location) if location.has_password() && !is_secret => {
                self.problem(
                    pointer,
                    "api_tokens: 'store' has a password in it: put the URL into a file and write \
                     store: { file: FILE }",
                );
                None
            }
            Ok(location) => Some(location),
            Err(error) => {
                self.problem(pointer, format!("api_tokens: 'store': {error}"));
                None
            }
        }
    }

    fn peppers(&mut self, written: &schema::ApiTokens) -> Option<Peppers> {
        let pointer = "/api_tokens/pepper";
        let current = self.secret(SECTION, pointer, &written.pepper);
        let former: Vec<_> = written
            .former_peppers
            .iter()
            .enumerate()
            .map(|(at, secret)| {
                let pointer = format!("/api_tokens/former_peppers/{at}");
                (self.secret(SECTION, &pointer, secret), pointer)
            })
            .collect();
        let mut peppers = match Peppers::new(&current?) {
            Ok(peppers) => peppers,
            Err(error) => {
                self.problem(pointer, format!("api_tokens: 'pepper': {error}"));
                return None;
            }
        };
        for (secret, pointer) in former {
            if let Err(error) = peppers.add_former(&secret?) {
                self.problem(&pointer, format!("api_tokens: 'former_peppers': {error}"));
            }
        }
        Some(peppers)
    }
}
