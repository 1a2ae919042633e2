//! Asking a real HTTP server.

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::SystemClock,
    metrics::Present,
    outbound::{ExtraAuthorities, UrlPolicy},
    provider::{Judge, Provider},
    verify::{
        introspection::ClientAuthentication,
        keyring::tests::idp::{Answer, Idp},
    },
};

const BELIEVED: Duration = Duration::from_mins(1);
const LOOPBACK: UrlPolicy = UrlPolicy {
    allow_loopback_http: true,
};

fn now() -> Now {
    SystemClock.now()
}

/// The rules of a provider without settings.
fn rules() -> ClaimRules {
    match Provider::plain("idp").judge {
        Judge::Jwt(verifier) => verifier.rules,
        Judge::Remote(_) => panic!("it verifies here"),
    }
}

fn verifier(idp: &Idp) -> RemoteVerifier {
    let endpoint = format!("{}/introspect", idp.issuer);
    RemoteVerifier::new(RemoteParts {
        provider: "idp".into(),
        check: RemoteCheck::Introspection(Introspection {
            endpoint: endpoint.parse().expect("a URL"),
            client: ClientAuthentication::SecretBasic {
                id: "us".to_owned(),
                secret: "secret".into(),
            },
            timeout: Duration::from_secs(10),
            issuers: Vec::new(),
        }),
        rules: rules(),
        believed_for: BELIEVED,
        outbound: Outbound::new(LOOPBACK, ExtraAuthorities::default()).expect("a client"),
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
    })
}

fn answering(answer: &Value) -> Idp {
    let idp = Idp::start();
    idp.answer("/introspect", Answer::Json(answer.to_string()));
    idp
}

fn good() -> Value {
    let end = now().unix_seconds + 60;
    json!({"active": true, "aud": "jira-api", "sub": "alice", "exp": end})
}

/// The user, or one word.
async fn asked(verifier: &RemoteVerifier) -> String {
    match verifier.verify("token", now(), None).await {
        Ok(verified) => verified
            .claims
            .get("sub")
            .expect("sub")
            .to_value()
            .to_string(),
        Err(TokenError::Rejected(rejection)) => rejection.reason().to_owned(),
        Err(TokenError::Unavailable(unavailable)) => unavailable.reason().to_owned(),
    }
}

fn count(verifier: &RemoteVerifier, outcome: &str) -> bool {
    let page = verifier.metrics.render(&Present::default());
    let is_counted = |line: &str| {
        line.contains("provider=\"idp\"")
            && line.contains(&format!("\"{outcome}\""))
            && !line.ends_with(" 0")
    };
    page.lines().any(is_counted)
}

#[tokio::test]
async fn a_good_token_is_believed_as_long_as_the_answer() {
    let idp = answering(&good());
    let verifier = verifier(&idp);
    let verified = verifier.verify("token", now(), None).await;
    let verified = verified.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verified.claims.text("sub"), Ok(Some("alice")));
    assert!(verified.facts.valid_until > now().unix_seconds);
    match verified.voucher {
        Voucher::Answer(believed) => assert_eq!(believed, BELIEVED),
        other @ (Voucher::Key(_) | Voucher::Record) => panic!("{other:?}"),
    }
    let requests = idp.received();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body.contains("token=token"), "{requests:?}");
    assert!(requests[0].headers.contains_key("authorization"));
    assert!(count(&verifier, "good"));
}

#[tokio::test]
async fn what_the_provider_calls_good_must_keep_our_rules_too() {
    for (change, why) in [
        (json!({"aud": "others"}), "wrong_audience"),
        (json!({"exp": 0}), "expired"),
        (json!({"active": false}), "token_inactive"),
    ] {
        let mut answer = good();
        let change = change.as_object().expect("an object").clone();
        answer.as_object_mut().expect("an object").extend(change);
        let idp = answering(&answer);
        assert_eq!(asked(&verifier(&idp)).await, why);
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_left_alone_and_one_that_refuses_tokens_is_not() {
    let inactive = answering(&json!({"active": false}));
    let refusing = verifier(&inactive);
    let broken = answering(&json!({}));
    let failing = verifier(&broken);
    for _ in 0..10 {
        assert!(!failing.status().circuit_open);
        assert_eq!(asked(&refusing).await, "token_inactive");
        assert_eq!(asked(&failing).await, "provider_error");
    }
    assert!(!refusing.status().circuit_open);
    assert!(failing.status().circuit_open);
    assert_eq!(asked(&failing).await, "provider_circuit_open");
    assert_eq!(broken.received().len(), 10, "it was not asked again");
    assert!(count(&refusing, "bad"));
    assert!(count(&failing, "answer"));
}

#[tokio::test]
async fn one_request_to_come_back_later_is_enough() {
    let idp = Idp::start();
    let later = Answer::status("429 Too Many Requests", &["retry-after: 20"], "");
    idp.answer("/introspect", later);
    let verifier = verifier(&idp);
    assert_eq!(asked(&verifier).await, "provider_throttled");
    assert_eq!(asked(&verifier).await, "provider_circuit_open");
}

#[tokio::test]
async fn few_ask_at_a_time() {
    let idp = answering(&good());
    let verifier = verifier(&idp);
    assert_eq!(verifier.waiting().available_permits(), 1024);
    assert_eq!(verifier.status().calls, 0);
    let all = verifier.calls.try_acquire_many(64).expect("64 places");
    assert_eq!(verifier.status().calls, 64);
    assert_eq!(asked(&verifier).await, "overloaded");
    drop(all);
    assert_eq!(asked(&verifier).await, "\"alice\"");
    assert_eq!(verifier.status().calls, 0);
}

#[test]
fn a_failure_of_the_provider_is_never_a_refusal_of_the_token() {
    let timeout = CheckError::Outbound(OutboundError::Timeout);
    for (error, word, outcome) in [
        (
            CheckError::Rejected(Rejection::Expired),
            "expired",
            "expired",
        ),
        (
            CheckError::CredentialsRefused(401),
            "credentials_refused",
            "provider_credentials_refused",
        ),
        (
            CheckError::Throttled(None),
            "throttled",
            "provider_throttled",
        ),
        (CheckError::Status(500), "status", "provider_error"),
        (CheckError::Answer("x"), "answer", "provider_error"),
        (timeout, OutboundError::Timeout.reason(), "provider_timeout"),
    ] {
        assert_eq!(error.reason(), word);
        let said = match TokenError::from(error) {
            TokenError::Rejected(rejection) => rejection.reason(),
            TokenError::Unavailable(unavailable) => unavailable.reason(),
        };
        assert_eq!(said, outcome);
    }
}
