//! The walk with what needs no network: one issuer whose keys are known, one application.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, tests::PausedClock},
    credential::Foreign,
    holder::tests::Office,
    request::Host,
    route::{DeniedPaths, NativeTraffic, Product, PublicPath},
    usage::Note,
    verdict::denial,
    verify::{
        jws::tests::signed,
        keyring::Keyring,
        keys::{KeySet, tests::signing::SigningKey},
    },
};

const ISSUER: &str = "https://idp.example";
const LIMITS: CacheLimits = CacheLimits {
    ttl: Duration::from_mins(5),
    entries: 100,
    bytes: 100_000,
};

/// An identity provider, and the application `jira` at `x.example` that believes it.
struct World {
    key: SigningKey,
    provider: Arc<Provider>,
    application: Application,
    enforcement: Enforcement,
    api_tokens: Option<ApiTokens>,
}

impl World {
    fn new() -> Self {
        Self::of(Provider::plain("idp"))
    }

    fn of(provider: Provider) -> Self {
        let (key, provider) = (SigningKey::eddsa(), Arc::new(provider));
        let keys = json!({"keys": [key.jwk("k1")]}).to_string();
        let keys = KeySet::parse(keys.as_bytes()).expect("a key set");
        let mut selector = Selector::new(0);
        selector.add_issuer(Issuer {
            provider: Arc::clone(&provider),
            keyring: Arc::new(Keyring::loaded(ISSUER, keys, PausedClock.now())),
            required: Arc::default(),
        });
        let application = Application {
            providers: Arc::new(selector),
            ..Application::plain("jira", Product::Jira)
        };
        Self {
            key,
            provider,
            application,
            enforcement: Enforcement::Enforce,
            api_tokens: None,
        }
    }

    /// The value of `Authorization` with a token of this user.
    fn bearer(&self, user: &str) -> String {
        format!("Bearer {}", self.token(json!({ "sub": user })))
    }

    fn token(&self, change: Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"});
        let mut claims = json!({"iss": ISSUER, "aud": "jira-api", "exp": 60});
        let Value::Object(change) = change else {
            panic!("an object")
        };
        claims.as_object_mut().expect("an object").extend(change);
        signed(&self.key, &header, &claims)
    }

    fn pipeline(self) -> Pipeline {
        let mut routes = Routes::default();
        let host = Host::parse("x.example").expect("a host");
        routes.insert(self.application, [host]);
        let memory = TokenMemory::new(TokenCache::new(&[1; 32], LIMITS));
        Pipeline::new(routes, memory, self.api_tokens, self.enforcement)
    }
}

async fn check(pipeline: &Pipeline, request: &Request) -> Decision {
    let now = PausedClock.now();
    let occasion = Occasion {
        now,
        deadline: now.instant + Duration::from_secs(1),
        span: None,
    };
    pipeline.check(request, occasion).await
}

fn get(path: &str, authorization: &str) -> Request {
    Request::plain("GET", path, &[("authorization", authorization)])
}

/// The user, or one word.
fn outcome(decision: &Decision) -> String {
    match &decision.verdict {
        Ok(Grant::As(identity)) => format!("as {}", identity.username),
        Ok(grant) => grant.reason().to_owned(),
        Err(denial) => format!("denied: {}", denial.reason()),
    }
}

async fn asked(pipeline: &Pipeline, request: &Request) -> String {
    outcome(&check(pipeline, request).await)
}

#[tokio::test(start_paused = true)]
async fn a_request_passes_as_the_user_of_its_token_and_is_remembered() {
    let world = World::new();
    let (alice, bob) = (world.bearer("alice"), world.bearer("bob"));
    let pipeline = world.pipeline();
    let first = check(&pipeline, &get("/", &alice)).await;
    assert_eq!(outcome(&first), "as alice");
    assert_eq!(first.trail.credential, CredentialKind::Jwt);
    assert_eq!(first.trail.provider.as_deref(), Some("idp"));
    assert!(!first.trail.cached && !first.trail.takes_basic);
    let again = check(&pipeline, &get("/", &alice)).await;
    assert_eq!(outcome(&again), "as alice");
    assert_eq!(again.trail.credential, CredentialKind::Jwt);
    assert_eq!(again.trail.provider.as_deref(), Some("idp"));
    assert!(again.trail.cached);
    let other = check(&pipeline, &get("/", &bob)).await;
    assert_eq!(outcome(&other), "as bob");
    let id = |decision: &Decision| decision.trail.token_id.expect("an id").to_string();
    assert_eq!(id(&first), id(&again));
    assert_ne!(id(&first), id(&other));
    assert_eq!(id(&first).len(), 16, "eight bytes in hexadecimal");
    assert_eq!(pipeline.cache_sizes().identities, 2);
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_refused_twice_and_verified_once() {
    let world = World::new();
    let expired = format!("Bearer {}", world.token(json!({"sub": "a", "exp": 0})));
    let pipeline = world.pipeline();
    for (authorization, why) in [
        (expired.as_str(), "denied: expired"),
        ("Bearer ey.x.x", "denied: malformed_token"),
    ] {
        for cached in [false, true] {
            let decision = check(&pipeline, &get("/", authorization)).await;
            assert_eq!(outcome(&decision), why);
            assert_eq!(decision.trail.cached, cached, "{why}");
        }
    }
    assert_eq!(pipeline.cache_sizes().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_policies_refuse_is_refused_to_a_remembered_identity_too() {
    let mut world = World::new();
    world.application.denied_paths = DeniedPaths::new(Some(Product::Jira), &[]);
    let alice = world.bearer("alice");
    let pipeline = world.pipeline();
    for _ in 0..2 {
        assert_eq!(asked(&pipeline, &get("/x", &alice)).await, "as alice");
        let denied = check(&pipeline, &get("/rest/pat", &alice)).await;
        assert_eq!(outcome(&denied), "denied: path_denied");
        let refused = denied.trail.refused.expect("who was refused");
        assert_eq!(refused.username.as_str(), "alice");
        assert!(denied.trail.policies.is_empty());
    }
    let trial = check(&pipeline.for_trials(), &get("/rest/pat", &alice)).await;
    assert!(trial.trail.cached, "a trial has the same memory");
    let denied_paths = trial.trail.policies.first().expect("an explanation");
    assert_eq!(denied_paths.policy, "denied_paths");
    assert!(!denied_paths.passes);
}

#[tokio::test(start_paused = true)]
async fn without_a_credential_nobody_passes_unless_the_product_shall_judge() {
    let preflight: &[_] = &[
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    let asking = Request::plain("OPTIONS", "/", preflight);
    let looking = Request::plain("GET", "/", &[]);
    for (native, look, ask) in [
        (
            NativeTraffic::default(),
            "denied: no_credential",
            "denied: no_credential",
        ),
        (
            NativeTraffic {
                preflight: true,
                ..NativeTraffic::default()
            },
            "denied: no_credential",
            "preflight",
        ),
        (
            NativeTraffic {
                without_credentials: true,
                ..NativeTraffic::default()
            },
            "native",
            "native",
        ),
    ] {
        let mut world = World::new();
        world.application.native = native;
        let pipeline = world.pipeline();
        assert_eq!(asked(&pipeline, &looking).await, look, "{native:?}");
        assert_eq!(asked(&pipeline, &asking).await, ask, "{native:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_of_the_product_pass_as_nobody_or_not_at_all() {
    let password = get("/", "Basic YWxpY2U6c2VjcmV0");
    let token = get("/", "Bearer BBDC-x");
    for (takes, password_said, token_said) in [
        (
            false,
            "denied: password_not_accepted",
            "denied: product_token_not_accepted",
        ),
        (true, "native", "native"),
    ] {
        let mut world = World::new();
        world.application.native.foreign_credentials = takes;
        let pipeline = world.pipeline();
        let decision = check(&pipeline, &password).await;
        assert_eq!(outcome(&decision), password_said);
        assert_eq!(decision.trail.credential, CredentialKind::Password);
        let decision = check(&pipeline, &token).await;
        assert_eq!(outcome(&decision), token_said);
        assert_eq!(decision.trail.credential, CredentialKind::ProductToken);
        // Ours is nobody else's business, whatever the product takes.
        let own = check(&pipeline, &get("/", "Bearer axt_x")).await;
        assert_eq!(outcome(&own), "denied: api_tokens_disabled");
        assert_eq!(own.trail.credential, CredentialKind::ApiToken);
    }
}

#[tokio::test(start_paused = true)]
async fn public_paths_pass_as_nobody_and_tunnels_not_at_all() {
    let mut world = World::new();
    world.application.public_paths = vec![PublicPath::parse("/status").expect("a rule")];
    let alice = world.bearer("alice");
    let pipeline = world.pipeline();
    let public = get("/status", &alice);
    assert_eq!(asked(&pipeline, &public).await, "public_path");
    let upgrade: &[_] = &[("authorization", &*alice), ("upgrade", "websocket")];
    let upgrade = Request::plain("GET", "/", upgrade);
    let denied = "denied: upgrade_not_allowed";
    assert_eq!(asked(&pipeline, &upgrade).await, denied);
}

#[tokio::test(start_paused = true)]
async fn enforcement_is_that_of_the_application_or_of_the_whole() {
    let other_host = || Request {
        host: Host::parse("y.example").expect("a host"),
        ..Request::plain("GET", "/", &[])
    };
    for (whole, application, here, elsewhere) in [
        (
            Enforcement::Enforce,
            Enforcement::Off,
            "not_enforced",
            "denied: unknown_application",
        ),
        (
            Enforcement::ReportOnly,
            Enforcement::Enforce,
            "denied: no_credential",
            "unknown_application",
        ),
        (
            Enforcement::Enforce,
            Enforcement::ReportOnly,
            "no_credential",
            "denied: unknown_application",
        ),
    ] {
        let mut world = World::new();
        world.enforcement = whole;
        world.application.enforcement = application;
        let pipeline = world.pipeline();
        let decision = check(&pipeline, &Request::plain("GET", "/", &[])).await;
        assert_eq!(outcome(&decision), here);
        assert_eq!(decision.trail.enforcement, application);
        let decision = check(&pipeline, &other_host()).await;
        assert_eq!(outcome(&decision), elsewhere);
        assert!(denial(&decision.verdict).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_ends_too_late_is_not_believed() {
    let world = World::new();
    let alice = world.bearer("alice");
    let pipeline = world.pipeline();
    let passed = check(&pipeline, &get("/", &alice)).await;
    let late = passed.clone().too_late();
    assert_eq!(outcome(&late), "denied: deadline");
    assert_eq!(late.trail.provider.as_deref(), Some("idp"));
    let mut reported = passed;
    reported.trail.enforcement = Enforcement::ReportOnly;
    let late = reported.too_late();
    assert_eq!(outcome(&late), "deadline");
    let denied = Decision::denied(Denial::NoCredential);
    assert_eq!(outcome(&denied), "denied: no_credential");
    assert!(denied.trail.application.is_none());
}

#[tokio::test]
async fn an_api_token_passes_as_its_owner_within_its_limits() {
    let mut office = Office::open().await;
    let token = office.issue("alice").await;
    let mut world = World::new();
    world.api_tokens = Some(office.api_tokens.clone());
    let pipeline = world.pipeline();
    let bearer = format!("Bearer {}", token.expose());
    for cached in [false, true] {
        let decision = check(&pipeline, &get("/", &bearer)).await;
        assert_eq!(outcome(&decision), "as alice");
        assert_eq!(decision.trail.cached, cached);
        assert!(decision.trail.takes_basic);
        let id = decision.trail.token_id.map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some(token.id.as_str()));
    }
    assert!(matches!(office.notes.try_recv(), Ok(Note::Used { .. })));
    let writing = Request::plain("POST", "/", &[("authorization", &bearer)]);
    let decision = check(&pipeline, &writing).await;
    assert_eq!(outcome(&decision), "denied: api_token_read_only");
    assert!(matches!(office.notes.try_recv(), Ok(Note::Exceeded { .. })));
    let cut = asked(&pipeline, &get("/", "Bearer axt_x")).await;
    assert_eq!(cut, "denied: api_token_malformed");
    let records = |pipeline: &Pipeline| {
        let known = pipeline.api_tokens().expect("they are issued here");
        known.memory().status(PausedClock.now().instant).records
    };
    assert_eq!(records(&pipeline), 1);
    assert_eq!(records(&pipeline.for_trials()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_our_own_api_needs_what_the_provider_asks_of_every_token() {
    let world = World::of(Provider {
        required_scopes: vec!["admin".to_owned()],
        ..Provider::plain("idp")
    });
    let good = world.token(json!({"sub": "alice", "scope": "x admin"}));
    let poor = world.token(json!({"sub": "alice", "scope": "x"}));
    let (selector, provider) = (
        Arc::clone(&world.application.providers),
        Arc::clone(&world.provider),
    );
    let pipeline = world.pipeline();
    let now = PausedClock.now();
    let asked = async |token: &str| {
        let token = BearerToken::from_b64token(token.as_bytes()).expect("a token");
        let deadline = now.instant + Duration::from_secs(1);
        pipeline.authenticate(token, &selector, now, deadline).await
    };
    let (identity, judge) = asked(&good).await.expect("known");
    assert_eq!(identity.username.as_str(), "alice");
    assert!(Arc::ptr_eq(&judge, &provider));
    let refused = asked(&poor).await.expect_err("refused");
    assert_eq!(refused.reason(), "insufficient_scope");
    let nobody = asked("opaque").await.expect_err("refused");
    assert_eq!(nobody.reason(), "no_provider_for_opaque_token");
}

#[test]
fn kinds_of_credentials_have_their_words_for_logs() {
    for (kind, word) in [
        (CredentialKind::None, "none"),
        (CredentialKind::Bearer, "opaque"),
        (CredentialKind::Jwt, "jwt"),
        (CredentialKind::ApiToken, "api_token"),
        (Foreign::Password.into(), "password"),
        (Foreign::ProductToken.into(), "product_token"),
    ] {
        assert_eq!(kind.as_str(), word);
        assert_eq!(kind.to_string(), word);
    }
}
