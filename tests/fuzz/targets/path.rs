//! A request target: which paths have one reading, and which need no credential.

use atlassian_authz::{
    access::Access,
    provider::Selector,
    request::{CanonicalPath, Request},
    route::{
        Application, DeniedPaths, Enforcement, Messages, NativeTraffic, Product, Protection,
        PublicPath, Upgrades,
    },
};
use std::sync::{Arc, LazyLock};

use crate::{
    recipe,
    reference::{
        Broken,
        path::{self, READERS},
    },
    tally,
};

const TARGET: &str = "path";
const PUBLIC: [&str; 3] = ["/status", "/public/*", "/a/b/*"];

static APPLICATION: LazyLock<Application> = LazyLock::new(|| Application {
    name: "jira".into(),
    product: Product::Jira,
    context_path: "".into(),
    enforcement: Enforcement::Enforce,
    native: NativeTraffic::default(),
    upgrades: Upgrades::default(),
    providers: Arc::new(Selector::new(0)),
    public_paths: PUBLIC
        .iter()
        .filter_map(|rule| PublicPath::parse(rule))
        .collect(),
    denied_paths: DeniedPaths::default(),
    access: Access::default(),
    messages: Messages::default(),
});

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let whole = text.split('?').next().unwrap_or_default();
    let canonical = CanonicalPath::parse(whole)
        .ok_or(())
        .map(|path| path.as_str().to_owned());
    let theirs = path::is_canonical(whole).then(|| whole.to_owned());
    tally::compare(
        TARGET,
        canonical.clone(),
        theirs.ok_or("two readings"),
        &Broken::default(),
    );
    if canonical.is_ok() {
        has_one_reading(whole);
    }
    if let Some(is_public) = is_public(text) {
        assert_eq!(
            is_public,
            path::is_public(&PUBLIC, whole),
            "open to one and closed to the other"
        );
        for (reader, read) in READERS.iter().filter(|_| is_public) {
            let served = read(whole).unwrap_or_default();
            assert!(
                path::serves_public(&PUBLIC, &served),
                "{reader} serves {served:?}"
            );
        }
    }
}

fn has_one_reading(text: &str) {
    let plain = path::plain(text);
    for (reader, read) in READERS {
        assert_eq!(read(text), plain, "{reader} reads another path");
    }
}

/// `None`: it is no request.
fn is_public(target: &str) -> Option<bool> {
    let check = recipe::check(b"GET jira.example.com /\nx: y")?;
    let mut attributes = check.attributes?;
    let http = attributes.request.as_mut()?.http.as_mut()?;
    target.clone_into(&mut http.path);
    let check = atlassian_authz::pb::envoy::service::auth::v3::CheckRequest {
        attributes: Some(attributes),
    };
    let request = Request::parse(check, 0).ok()?;
    Some(matches!(
        APPLICATION.protection(&request),
        Protection::Public
    ))
}
