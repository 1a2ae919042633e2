//! A discovery document: where keys are fetched from.

use atlassian_authz::{outbound::UrlPolicy, verify::discovery::Discovery};

use crate::{
    reference::{Broken, discovery},
    tally,
};

const TARGET: &str = "discovery";
const ISSUER: &str = "https://idp.example/realm";
const HOST: &str = "idp.example";

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let discovery = Discovery {
        issuer: ISSUER.to_owned(),
        hosts: vec![HOST.to_owned()],
        urls: UrlPolicy::default(),
    };
    let ours = discovery.jwks_uri(data).map(|url| url.to_string());
    if let Ok(url) = &ours {
        assert!(discovery::is_on(url, HOST), "keys from elsewhere: {url}");
    }
    let mut broken = Broken::default();
    let address = discovery::address(data, ISSUER, &mut broken);
    match address {
        // What a reader has to mend first (blanks, case) may be refused or mended; where it leads is held above.
        Ok(address) if !discovery::is_plainly_on(&address, HOST) => {}
        address => {
            let ours = ours.map(drop);
            tally::compare(TARGET, ours, address.map(drop), &broken);
        }
    }
}
