mod access;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    api_token::{AccessLevel, PathPrefix},
    identity::{Groups, KeptClaims, Username, UsernamePolicy},
    pb::envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
        service::auth::v3::{
            AttributeContext, CheckRequest,
            attribute_context::{HttpRequest, Peer, Request as HttpAttributes},
        },
    },
    route::Product,
    verify::Voucher,
};

fn request(method: &str, path: &str, source: &str) -> Request {
    let header = HeaderValue {
        key: ":method".to_owned(),
        value: method.to_owned(),
        ..HeaderValue::default()
    };
    let http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "x.example".to_owned(),
        header_map: Some(HeaderMap {
            headers: vec![header],
        }),
        ..HttpRequest::default()
    };
    let socket = SocketAddress {
        address: source.to_owned(),
    };
    let address = Address {
        address: Some(address::Address::SocketAddress(socket)),
    };
    let attributes = AttributeContext {
        source: Some(Peer {
            address: Some(address),
        }),
        request: Some(HttpAttributes { http: Some(http) }),
        ..AttributeContext::default()
    };
    let check = CheckRequest {
        attributes: Some(attributes),
    };
    Request::parse(check, 0).expect("a request")
}

fn application(product: Product, context_path: &str) -> Application {
    Application {
        context_path: context_path.into(),
        ..Application::plain("app", product)
    }
}

fn identity(name: &str) -> Identity {
    Identity {
        username: Username::parse(name, &UsernamePolicy::default()).expect("a name"),
        provider: "corp".into(),
        client: None,
        scopes: Vec::new(),
        valid_until: i64::MAX,
        voucher: Voucher::Record,
        groups: Groups::Untold,
        claims: KeptClaims::default(),
    }
}

fn within(scope: &Scope, request: &Request, application: &Application) -> Result<(), Refusal> {
    limits::api_token(&Question {
        identity: &identity("alice"),
        bounds: Bounds::ApiToken(scope),
        request,
        application,
    })
    .into_result()
}

fn scope(access: AccessLevel) -> Scope {
    Scope {
        access,
        applications: BTreeSet::from(["app".to_owned()]),
        paths: Vec::new(),
        networks: Vec::new(),
    }
}

/// One word for the outcome: `ok`, or the reason.
fn verdict(
    scope: &Scope,
    product: Product,
    context_path: &str,
    method: &str,
    path: &str,
) -> &'static str {
    let request = request(method, path, "10.1.2.3");
    match within(scope, &request, &application(product, context_path)) {
        Ok(()) => "ok",
        Err(refusal) => refusal.reason(),
    }
}

#[test]
fn a_reading_token_reads_and_nothing_else() {
    let reading = scope(AccessLevel::Read);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(
            verdict(&reading, Product::Jira, "", method, "/rest/api/2/issue/A-1"),
            "ok",
            "{method}"
        );
    }
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "GET ", "", "X",
    ] {
        let verdict = verdict(&reading, Product::Jira, "", method, "/rest/api/2/issue/A-1");
        assert_eq!(verdict, "api_token_read_only", "{method}");
    }
    assert_eq!(
        verdict(
            &scope(AccessLevel::Write),
            Product::Jira,
            "",
            "DELETE",
            "/rest/api/2/issue/A-1"
        ),
        "ok"
    );
}

#[test]
fn git_is_judged_by_what_it_does() {
    let reading = scope(AccessLevel::Read);
    let judged = |method: &str, path: &str| verdict(&reading, Product::Bitbucket, "", method, path);
    for (method, path) in [
        ("GET", "/scm/p/r.git/info/refs?service=git-upload-pack"),
        ("POST", "/scm/p/r.git/git-upload-pack"),
        ("GET", "/scm/~alice/r.git/info/refs?service=git-upload-pack"),
        ("GET", "/scm/p/r.git/HEAD"),
        ("GET", "/rest/api/1.0/projects"),
    ] {
        assert_eq!(judged(method, path), "ok", "{method} {path}");
    }
    for (method, path) in [
        ("GET", "/scm/p/r.git/info/refs?service=git-receive-pack"),
        ("GET", "/scm/p/r.git/info/refs?service=git%2Dreceive-pack"),
        (
            "GET",
            "/scm/p/r.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        ),
        ("GET", "/scm/p/r.git/info/refs?x=1&service=git-upload-pack"),
        ("GET", "/scm/p/r.git/info/refs?SERVICE=git-upload-pack"),
        ("GET", "/scm/p/r.git/info/refs"),
        ("POST", "/scm/p/r.git/git-receive-pack"),
        ("PUT", "/scm/p/r.git/git-upload-pack"),
        ("POST", "/scm/p/r.git/info/lfs/objects/batch"),
        ("POST", "/scm/p/r.git/git-upload-pack/x"),
        ("POST", "/scm/p/git-upload-pack"),
        ("POST", "/scm/git-upload-pack"),
        ("POST", "/SCM/p/r.git/git-upload-pack"),
        ("POST", "/x/scm/p/r.git/git-upload-pack"),
        // A fork, named so that it looks like a fetch.
        ("POST", "/rest/api/1.0/projects/P/repos/git-upload-pack"),
        ("POST", "/rest/scm/p/r/git-upload-pack"),
    ] {
        assert_eq!(
            judged(method, path),
            "api_token_read_only",
            "{method} {path}"
        );
    }
}

#[test]
fn git_begins_below_the_context_path_of_bitbucket_only() {
    let reading = scope(AccessLevel::Read);
    let fetch = "/bitbucket/scm/p/r.git/git-upload-pack";
    assert_eq!(
        verdict(&reading, Product::Bitbucket, "/bitbucket", "POST", fetch),
        "ok"
    );
    for (product, context, path) in [
        (Product::Bitbucket, "", fetch),
        (
            Product::Bitbucket,
            "/bitbucket",
            "/scm/p/r.git/git-upload-pack",
        ),
        (
            Product::Bitbucket,
            "/bit",
            "/bitscm/p/r.git/git-upload-pack",
        ),
        (Product::Jira, "", "/scm/p/r.git/git-upload-pack"),
    ] {
        assert_eq!(
            verdict(&reading, product, context, "POST", path),
            "api_token_read_only",
            "{path}"
        );
    }
}

#[test]
fn limits_are_not_applied_to_a_path_with_two_readings() {
    let mut limited = scope(AccessLevel::Write);
    limited.paths = vec![PathPrefix::parse("/rest/api/2/project").expect("a prefix")];
    let everything = scope(AccessLevel::Write);
    for path in [
        "/rest/api/2/project/..;/user",
        "/rest/api/2/project/%2e%2e/user",
        "/rest/api/2/project//P",
        "/rest/api/2/project/P;x=1",
        "/rest/api/2/project/%50",
        "/rest/api/2/project\\..\\user",
    ] {
        for scope in [&limited, &scope(AccessLevel::Read)] {
            assert_eq!(
                verdict(scope, Product::Jira, "", "GET", path),
                "path_not_canonical",
                "{path}"
            );
        }
        assert_eq!(
            verdict(&everything, Product::Jira, "", "GET", path),
            "ok",
            "{path}"
        );
    }
    assert_eq!(
        verdict(&limited, Product::Jira, "", "PUT", "/rest/api/2/project/P"),
        "ok"
    );
    assert_eq!(
        verdict(&limited, Product::Jira, "", "GET", "/rest/api/2/projects"),
        "api_token_path"
    );
}

#[test]
fn another_application_and_another_network_are_out_of_scope() {
    let mut limited = scope(AccessLevel::Read);
    limited.networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let app = application(Product::Jira, "");
    let reason = |scope: &Scope, source: &str| {
        within(scope, &request("GET", "/x", source), &app)
            .err()
            .map(|refusal| refusal.reason())
    };
    assert_eq!(reason(&limited, "10.9.9.9"), None);
    // How a dual-stack listener tells of an IPv4 client.
    assert_eq!(reason(&limited, "::ffff:10.9.9.9"), None);
    for outside in ["11.0.0.1", "::1", "::a00:1", "unknown", ""] {
        assert_eq!(
            reason(&limited, outside),
            Some("api_token_network"),
            "{outside}"
        );
    }
    limited.applications = BTreeSet::from(["App".to_owned(), "other".to_owned()]);
    assert_eq!(reason(&limited, "10.9.9.9"), Some("api_token_application"));
}

proptest! {
    /// Every limit only takes away.
    #[test]
    fn a_limit_never_turns_a_refusal_into_a_grant(
        method in "GET|POST|HEAD|PUT|get",
        path in "/(rest|scm|a)(/[a-z.;%]{1,6}){0,4}(\\?service=git-(upload|receive)-pack)?",
        prefix in "/(rest|scm|a)(/[a-z]{1,3}){0,2}",
        network in prop_oneof![Just("10.0.0.0/8"), Just("192.168.0.0/16")],
    ) {
        let wide = scope(AccessLevel::Write);
        let request = request(&method, &path, "10.1.2.3");
        let app = application(Product::Bitbucket, "");
        prop_assert!(within(&wide, &request, &app).is_ok());
        let mut narrow = wide;
        let mut was_granted = true;
        for step in 0..3 {
            match step {
                0 => narrow.access = AccessLevel::Read,
                1 => narrow.paths = vec![PathPrefix::parse(&prefix).expect("a prefix")],
                _ => narrow.networks = vec![network.parse().expect("a network")],
            }
            let is_granted = within(&narrow, &request, &app).is_ok();
            prop_assert!(was_granted || !is_granted);
            was_granted = is_granted;
        }
    }
}
