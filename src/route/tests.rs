use super::*;

/// What a host or a name leads to.
fn routes() -> Routes {
    let mut routes = Routes::default();
    let host = |name| Host::parse(name).expect("a host");
    routes.insert(
        Application::plain("jira", Product::Jira),
        [host("x.example"), host("jira.example")],
    );
    routes.insert(
        Application::plain("wiki", Product::Confluence),
        [host("wiki.example")],
    );
    routes
}

fn found(application: Option<&str>, host: &str) -> Result<String, NoRoute> {
    let request = Request {
        application: application.map(str::to_owned),
        host: Host::parse(host).expect("a host"),
        ..Request::plain("GET", "/", &[])
    };
    let routes = routes();
    let found = routes.find(&request)?;
    Ok(found.name.to_string())
}

#[test]
fn what_envoy_says_is_believed_before_what_the_client_says() {
    assert_eq!(found(None, "x.example").as_deref(), Ok("jira"));
    assert_eq!(found(None, "jira.example").as_deref(), Ok("jira"));
    assert_eq!(found(Some("wiki"), "jira.example").as_deref(), Ok("wiki"));
    let nobody = Err(NoRoute::UnknownApplication);
    assert_eq!(found(None, "other.example"), nobody);
    for unknown in ["other", "", "Wiki", "jira.example"] {
        assert_eq!(found(Some(unknown), "jira.example"), nobody, "{unknown}");
    }
}

#[test]
fn a_connection_that_outlives_the_decision_must_be_wanted() {
    let websocket: &[_] = &[("upgrade", "websocket")];
    let with = |upgrades: Upgrades, method: &str, headers: &[(&str, &str)]| {
        let application = Application {
            upgrades,
            ..Application::plain("jira", Product::Jira)
        };
        application.admit(&Request::plain(method, "/", headers))
    };
    let websockets = Upgrades {
        websocket: true,
        connect: false,
    };
    let tunnels = Upgrades {
        websocket: false,
        connect: true,
    };
    for upgrades in [Upgrades::default(), websockets, tunnels] {
        assert_eq!(with(upgrades, "GET", &[]), Ok(()));
        let other = with(upgrades, "GET", &[("upgrade", "h2c")]);
        assert_eq!(other, Err(NoRoute::Tunnel));
    }
    assert_eq!(with(websockets, "GET", websocket), Ok(()));
    assert_eq!(with(tunnels, "GET", websocket), Err(NoRoute::Tunnel));
    assert_eq!(with(tunnels, "CONNECT", &[]), Ok(()));
    assert_eq!(with(websockets, "CONNECT", &[]), Err(NoRoute::Tunnel));
}

#[test]
fn only_a_look_at_a_public_path_needs_no_credential() {
    let application = Application {
        public_paths: vec![PublicPath::parse("/status/*").expect("a rule")],
        ..Application::plain("jira", Product::Jira)
    };
    let is_public = |method: &str, target: &str| {
        let request = Request::plain(method, target, &[]);
        matches!(application.protection(&request), Protection::Public)
    };
    assert!(is_public("GET", "/status/x"));
    assert!(is_public("HEAD", "/status/x?y=1"));
    for (method, target) in [
        ("POST", "/status/x"),
        ("get", "/status/x"),
        ("OPTIONS", "/status/x"),
        ("GET", "/other"),
        ("GET", "/status/%2e%2e/other"),
        ("GET", "/status/..;/other"),
    ] {
        assert!(!is_public(method, target), "{method} {target}");
    }
}

#[test]
fn products_and_enforcement_are_called_as_in_the_configuration() {
    for product in [Product::Jira, Product::Confluence, Product::Bitbucket] {
        assert_eq!(serde_json::json!(product), product.as_str());
    }
    for enforcement in [
        Enforcement::Enforce,
        Enforcement::ReportOnly,
        Enforcement::Off,
    ] {
        assert_eq!(serde_json::json!(enforcement), enforcement.as_str());
    }
}
