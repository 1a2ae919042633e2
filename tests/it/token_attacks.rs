//! Every way of getting in with a token that should not get in, tried on the real service.
//!
//! After each batch a good token still is alice: a service that refuses everything passes no test
//! here.
#![expect(
    clippy::too_many_lines,
    reason = "most tests are tables of attacks, one a line"
)]

mod algorithms;
mod audiences;
mod bounds;
mod envoy;
mod headers;
mod json;
mod kids;
mod kinds;
mod machines;
mod mutations;
mod presets;
mod providers;
mod shape;
mod signatures;
mod times;
mod transformations;
mod users;

use crate::support::{
    eventually,
    idp::{Answer, Idp, jwks},
    keys::{SigningKey, base64url, shared_es256, shared_rs256},
    service::{Check, Outcome, Service},
    tokens::Token,
};

/// The one public answer to every bad token: it must not tell which check failed.
const BAD_TOKEN_BODY: &str = r#"{"error":{"status":"ERROR","code":"token_expired_or_invalid","message":"The access token is expired or invalid."}}"#;
const BAD_TOKEN_HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    (
        "www-authenticate",
        "Bearer realm=\"atlassian-authz\", error=\"invalid_token\"",
    ),
];

const APPLICATION: &str =
    "applications:\n  - { name: jira, product: jira, hosts: [jira.example.com] }\n";

/// The beginning of a configuration: the provider that [`Gate::good`] tokens come from.
fn usual_provider(idp: &Idp) -> String {
    format!(
        "providers:\n  - {{ name: idp, jwt: {{ issuer: \"{}\", leeway: 0s }}, audiences: [jira-api], \
         username: {{ claim: preferred_username }} }}\n",
        idp.issuer
    )
}

/// One provider whose issuer is `https://NAME.test` and whose keys are at `/NAME` of `idp`. The
/// issuer is a name that is compared, so one server stands for many providers.
fn provider(idp: &Idp, name: &str, jwt: &str, rest: &str) -> String {
    let username = if rest.contains("username:") {
        ""
    } else {
        "username: { claim: preferred_username }, "
    };
    format!(
        "  - {{ name: {name}, jwt: {{ issuer: \"https://{name}.test\", jwks_uri: \"{}/{name}\", \
         leeway: 0s, {jwt} }}, audiences: [jira-api], {username}{rest} }}\n",
        idp.issuer
    )
}

/// A good token of such a provider.
fn token_of(name: &str) -> Token {
    Token::of(&format!("https://{name}.test"))
}

/// Signs bytes that need not be text.
fn sign_bytes(header: &[u8], payload: &[u8], key: &SigningKey) -> String {
    sign_parts(&base64url(header), &base64url(payload), key)
}

/// Signs two parts as they stand, however they are encoded.
fn sign_parts(header: &str, payload: &str, key: &SigningKey) -> String {
    let message = format!("{header}.{payload}");
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

/// The service and its provider.
struct Gate {
    idp: Idp,
    service: Service,
    asked: u32,
}

impl Gate {
    /// With the configuration that most tests use.
    fn open() -> Self {
        let idp = Idp::start();
        let service = Service::start(&idp);
        Self {
            idp,
            service,
            asked: 0,
        }
    }

    /// With these providers, all of which publish RS256 `k1` and ES256 `ec`, and the usual one.
    fn with(providers: &[(&str, &str, &str)]) -> Self {
        let idp = Idp::start();
        let mut config = usual_provider(&idp);
        let keys = jwks(&[shared_rs256().jwk("k1"), shared_es256().jwk("ec")]);
        for (name, jwt, rest) in providers {
            config.push_str(&provider(&idp, name, jwt, rest));
            idp.answer(&format!("/{name}"), Answer::Json(keys.clone()));
        }
        Self::configured(idp, &(config + APPLICATION))
    }

    /// With a configuration of the test's.
    fn configured(idp: Idp, config: &str) -> Self {
        let service = Service::with_config(config);
        Self {
            idp,
            service,
            asked: 0,
        }
    }

    /// A good token of the usual provider.
    fn good(&self) -> Token {
        Token::of(&self.idp.issuer)
    }

    /// Asks in both of Envoy's encodings, which must not make a difference. The second answer comes
    /// from the memory of the first where there is one.
    #[track_caller]
    fn ask(&mut self, attack: &str, token: &[u8]) -> Outcome {
        let value = [b"Bearer ", token].concat();
        let check = Check::get("/rest/api/2/myself").header("authorization", value);
        let raw = self.service.check(check.clone().build());
        let joined = self.service.check(check.build_joined());
        let seen = |answer: &Outcome| {
            let reason = answer.reason().to_owned();
            (
                answer.status,
                answer.headers.clone(),
                answer.body.clone(),
                reason,
            )
        };
        assert_eq!(
            seen(&raw),
            seen(&joined),
            "{attack}: two encodings, two answers"
        );
        raw
    }

    /// 401 for this reason, and the public answer of every bad token.
    #[track_caller]
    fn refuses(&mut self, attack: &str, token: impl AsRef<[u8]>, reason: &str) {
        let answer = self.ask(attack, token.as_ref());
        assert_eq!((answer.status, answer.reason()), (401, reason), "{attack}");
        assert_eq!(answer.body, BAD_TOKEN_BODY, "{attack}");
        let headers = BAD_TOKEN_HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answer.headers, headers, "{attack}");
        assert_eq!(answer.metadata.get("user"), None, "{attack}");
    }

    /// 400: not one credential.
    #[track_caller]
    fn finds_malformed(&mut self, attack: &str, token: impl AsRef<[u8]>) {
        let answer = self.ask(attack, token.as_ref());
        assert_eq!(
            (answer.status, answer.reason()),
            (400, "malformed_credential"),
            "{attack}"
        );
    }

    /// 403: a good token that stands for nobody here.
    #[track_caller]
    fn knows_nobody(&mut self, attack: &str, token: &str, reason: &str) {
        let answer = self.ask(attack, token.as_bytes());
        assert_eq!((answer.status, answer.reason()), (403, reason), "{attack}");
        assert!(
            answer.body.contains(r#""code":"user_not_mapped""#),
            "{attack}: {}",
            answer.body
        );
        assert_eq!(answer.metadata.get("user"), None, "{attack}");
    }

    /// 200 as this user.
    #[track_caller]
    fn admits(&mut self, case: &str, token: &str, user: &str) {
        let answer = self.ask(case, token.as_bytes());
        let reason = answer.reason();
        assert_eq!(
            (answer.status, answer.user(), reason),
            (200, Some(user), "token_valid"),
            "{case}"
        );
    }

    /// An unknown `kid` makes the service fetch the keys, and a slow machine answer 503 meanwhile; for
    /// a while after that, unknown is unknown at once.
    fn settle(&mut self, issued: &Token) {
        let token = issued.clone().header("kid", "settle").signed();
        eventually("an answer about an unknown kid", || {
            (self.service.check_token(&token).reason() == "unknown_key").then_some(())
        });
    }

    /// A good token, never seen before, still is alice.
    #[track_caller]
    fn still_admits_alice(&mut self) {
        self.asked += 1;
        let token = self.good().claim("jti", self.asked).signed();
        self.admits("a good token", &token, "alice");
    }
}
