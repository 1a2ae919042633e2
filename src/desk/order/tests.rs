use super::*;

fn rules() -> Rules {
    Rules {
        max_lifetime: Duration::from_hours(24 * 30),
        max_per_user: 20,
        max_created_per_hour: 10,
        rotation_overlap: Duration::from_hours(24),
        usernames: UsernamePolicy::default(),
        applications: BTreeSet::from(["jira".to_owned(), "wiki".to_owned()]),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The member that is refused, for a good order with one change.
fn refused(change: impl Fn(&mut Written<'_>)) -> &'static str {
    let applications = texts(&["jira"]);
    let mut written = Written {
        user: "alice",
        name: "ci",
        expires: "30d",
        applications: &applications,
        ..Written::default()
    };
    change(&mut written);
    rules()
        .order(&written)
        .err()
        .map_or("nothing", |invalid| invalid.member)
}

#[test]
fn a_plain_order_reads_only_and_belongs_to_a_lower_case_name() {
    let applications = texts(&["jira", "wiki", "jira"]);
    let written = Written {
        user: "Alice",
        name: "CI für Nächte (main)",
        expires: "12h",
        applications: &applications,
        ..Written::default()
    };
    let order = rules().order(&written).expect("a good order");
    assert_eq!(order.owner.as_str(), "alice");
    assert_eq!(order.scope.access, AccessLevel::Read);
    assert_eq!(order.scope.applications.len(), 2);
    assert_eq!(order.lifetime, Duration::from_hours(12));
}

#[test]
fn what_breaks_a_rule_is_named() {
    assert_eq!(refused(|_| ()), "nothing");
    for user in [
        "",
        "admin",
        "alice@x",
        "al ice",
        "\u{212a}im",
        "alice\r\nx: y",
        "null",
    ] {
        assert_eq!(refused(|written| written.user = user), "user", "{user:?}");
    }
    let long: &'static str = "x".repeat(65).leak();
    for name in ["", "  ", long, "a\nb", "a\u{202e}b", "\u{1b}[31m", "a\u{0}"] {
        assert_eq!(refused(|written| written.name = name), "name", "{name:?}");
    }
    for expires in [
        "",
        "never",
        "0s",
        "31d",
        "-1d",
        "30",
        "1e9d",
        "999999999999999999d",
    ] {
        assert_eq!(
            refused(|written| written.expires = expires),
            "expires",
            "{expires}"
        );
    }
    for applications in [texts(&[]), texts(&["Jira"]), texts(&["jira", "other"])] {
        assert_eq!(
            refused(|written| written.applications = &applications.clone().leak()[..]),
            "applications"
        );
    }
    for path in ["rest", "/", "/a/", "/a/../b", "/a;b", "/a/*"] {
        let paths: &'static [String] = texts(&[path]).leak();
        assert_eq!(refused(|written| written.paths = paths), "paths", "{path}");
    }
    for network in ["10.0.0.1/8", "10.0.0.0/33", "everywhere", "", "fd00::1/8"] {
        let networks: &'static [String] = texts(&[network]).leak();
        assert_eq!(
            refused(|written| written.networks = networks),
            "networks",
            "{network}"
        );
    }
    let many: &'static [String] = vec!["/a".to_owned(); 33].leak();
    assert_eq!(refused(|written| written.paths = many), "paths");
}

#[test]
fn a_single_address_is_a_network() {
    assert_eq!(
        network("10.0.0.1").map(|network| network.to_string()),
        Ok("10.0.0.1/32".to_owned())
    );
    assert_eq!(
        network("10.0.0.0/8").map(|network| network.to_string()),
        Ok("10.0.0.0/8".to_owned())
    );
    assert_eq!(
        network("fd00::/8").map(|network| network.to_string()),
        Ok("fd00::/8".to_owned())
    );
}
