//! `config check | show | schema | rule-variables | openapi`

use std::path::Path;

use super::{ERROR, NO, YES, complain, say};
use crate::{
    admin::api,
    config::{Config, schema},
};

pub(super) fn check(file: &Path) -> u8 {
    match Config::load(file) {
        Ok(config) => {
            let (providers, applications) = (config.providers.len(), config.applications.len());
            say(format!(
                "{}: ok ({providers} provider{}, {applications} application{})",
                file.display(),
                plural(providers),
                plural(applications),
            ));
            YES
        }
        Err(problems) => {
            complain(problems);
            NO
        }
    }
}

pub(super) fn show(file: &Path) -> u8 {
    match Config::load(file) {
        Ok(config) => {
            match serde_saphyr::to_string_with_options(&config.effective, one_line_each()) {
                Ok(yaml) => {
                    say(yaml.trim_end());
                    YES
                }
                Err(error) => {
                    complain(error);
                    ERROR
                }
            }
        }
        Err(problems) => {
            complain(problems);
            NO
        }
    }
}

pub(super) fn schema() -> u8 {
    say(format!("{:#}", schema::json_schema()));
    YES
}

pub(super) fn rule_variables() -> u8 {
    say(format!("{:#}", schema::rule_variables()));
    YES
}

pub(super) fn openapi() -> u8 {
    say(format!("{:#}", api::document()));
    YES
}

/// A long URL stays in one piece: it can be searched for, and copied.
fn one_line_each() -> serde_saphyr::SerializerOptions {
    serde_saphyr::ser_options! { prefer_block_scalars: false }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
