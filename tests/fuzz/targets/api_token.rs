//! The text of an API token: what is read is what was issued.

use atlassian_authz::api_token::{ApiToken, is_own};

use crate::{
    reference::{Broken, api_token, authorization},
    tally,
};

const TARGET: &str = "api_token";
const CHECKSUM: usize = 6;

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    judge(text);
    // Again with the checksum that would be right: otherwise no change gets past it.
    if let Some((body, _)) = text.split_at_checked(text.len().saturating_sub(CHECKSUM)) {
        let checksum = api_token::checksum(body.as_bytes()).map(char::from);
        judge(&(body.to_owned() + &String::from_iter(checksum)));
    }
}

fn judge(text: &str) {
    assert_eq!(
        is_own(text),
        authorization::is_own(text),
        "two readings of a prefix"
    );
    let ours = ApiToken::parse(text).map(|token| token.id.to_string());
    assert!(
        ours.is_err() || is_own(text),
        "a token that would be shown to a provider"
    );
    tally::compare(TARGET, ours, api_token::id(text), &Broken::default());
}
