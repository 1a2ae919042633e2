//! What identity providers do to us, on purpose or not: every answer a server can give, lies about
//! addresses, floods of tokens that ask for keys, outages. Judged by verdicts and by what arrived
//! at the other end, never by time.

mod addresses;
mod answers;
mod floods;
mod outages;
mod remote;
mod tls;

use std::net::TcpListener;

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{
    eventually,
    keys::base64url,
    service::{Check, Outcome, Service},
    tokens::{Token, unix_now},
};

/// The configuration of several providers (name, members of `jwt` in flow style) and of one
/// application that accepts them all.
fn config_of(providers: &[(String, String)]) -> String {
    let providers = providers.iter().map(|(name, jwt)| {
        format!(
            "  - name: {name}\n    jwt: {{ {jwt}, leeway: 0s }}\n    audiences: [jira-api]\n    \
             username: {{ claim: preferred_username }}\n"
        )
    });
    let providers: Vec<_> = providers.collect();
    format!(
        "providers:\n{}applications:\n  - name: jira\n    product: jira\n    \
         hosts: [jira.example.com, 127.0.0.1]\n",
        providers.concat()
    )
}

/// A good token that was never seen before.
fn fresh(issuer: &str) -> Token {
    let unique: u64 = rand::random();
    Token::of(issuer).claim("jti", unique)
}

/// A token whose `kid` nobody has heard of.
fn unknown_kid(issuer: &str) -> String {
    let kid: u64 = rand::random();
    // The signature does not matter: without a key nobody looks at it.
    let token = fresh(issuer).header("kid", kid.to_string());
    unsigned(&token)
}

fn unsigned(token: &Token) -> String {
    let (header, payload) = (token.header.to_string(), token.payload.to_string());
    format!(
        "{}.{}.{}",
        base64url(header),
        base64url(payload),
        base64url([7; 256])
    )
}

fn check(token: &str) -> CheckRequest {
    Check::get("/rest/api/2/myself").bearer(token).build()
}

/// Many checks at once, over a few connections; the answers in the order of the checks.
fn all_at_once(service: &Service, checks: Vec<CheckRequest>) -> Vec<Outcome> {
    let address = format!("http://{}", service.grpc);
    Runtime::new().expect("a runtime").block_on(async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = AuthorizationClient::connect(address.clone()).await;
            clients.push(client.expect("connects"));
        }
        let calls = checks.into_iter().enumerate().map(|(number, check)| {
            let mut client = clients[number % clients.len()].clone();
            async move {
                let answer = client.check(check).await;
                Outcome::of(answer.expect("a gRPC error is no answer").into_inner())
            }
        });
        stream::iter(calls).buffered(512).collect().await
    })
}

/// What the status page says of a provider's keys.
fn status_of(service: &Service, provider: &str) -> Value {
    let (_, page) = service.admin_page("/statusz");
    let page: Value = serde_json::from_str(&page).expect("JSON");
    let providers = page["providers"].as_array().expect("providers");
    let found = providers
        .iter()
        .find(|entry| entry["provider"] == provider)
        .expect("the provider");
    found["keys"].clone()
}

/// Waits until the last fetch of a provider has failed in this way.
fn expect_error(service: &Service, provider: &str, error: &str) {
    eventually(&format!("{provider}: {error}"), || {
        (status_of(service, provider)["last_error"] == error).then_some(())
    });
}

/// "Cannot tell": never 401, never an allow, and the client may come back.
#[track_caller]
fn assert_undecided(outcome: &Outcome, what: &str) {
    assert_eq!(
        (outcome.status, outcome.user()),
        (503, None),
        "{what}: {}",
        outcome.reason()
    );
    assert!(outcome.header("retry-after").is_some(), "{what}");
    assert!(outcome.body.contains("temporarily_unavailable"), "{what}");
}

#[track_caller]
fn assert_alice(outcome: &Outcome, what: &str) {
    assert_eq!(
        outcome.user(),
        Some("alice"),
        "{what}: {}",
        outcome.reason()
    );
}

/// A port where nobody should ever call.
struct Trap(TcpListener);

impl Trap {
    fn set(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        listener.set_nonblocking(true).expect("set");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// Whether somebody has connected; without a connection no byte can have arrived.
    #[track_caller]
    fn assert_untouched(&self) {
        let called = self.0.accept();
        assert!(called.is_err(), "somebody has called: {called:?}");
    }
}

/// A token that is valid only in this span, in seconds from now.
fn valid_between(issuer: &str, from: i64, to: i64) -> String {
    let now = unix_now();
    let token = fresh(issuer).claim("nbf", now + from);
    token.claim("exp", now + to).signed()
}
