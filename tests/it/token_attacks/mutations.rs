//! No token that differs from a good one in a single byte is good.
//!
//! Inside this process, without gRPC: thousands of cases.

use std::{path::Path, sync::Arc, time::Duration};

use atlassian_authz::{
    app::App,
    clock::{Clock, Now, SystemClock},
    config::Config,
    grpc::Checks,
};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, TestRunner},
};
use serde_json::json;
use tokio::{runtime::Runtime, time::Instant};
use tokio_util::task::TaskTracker;

use super::{APPLICATION, provider, token_of, usual_provider};
use crate::support::{
    eventually,
    idp::{Answer, Idp, jwks},
    keys::{SigningKey, shared_es256, shared_rs256},
    service::{Check, Outcome},
};

/// The walk as the service runs it, on a clock of the test's.
pub struct Inside {
    runtime: Runtime,
    service: Arc<Checks>,
}

impl Inside {
    /// Builds what `serve` would build, and loads the keys.
    pub fn start(config: &str) -> Self {
        let text = format!("{config}outbound: {{ allow_loopback_http: true }}\n");
        let config = Config::parse("config.yaml", &text, Path::new("."));
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let runtime = Runtime::new().expect("a runtime");
        let service = runtime.block_on(async {
            let mut app = App::build(config, Arc::new(SystemClock)).expect("builds");
            app.keep_keys_fresh(&TaskTracker::new());
            app.providers_tried().await;
            Arc::clone(app.checks())
        });
        Self { runtime, service }
    }

    /// Asks at this second.
    pub fn at(&self, unix_seconds: i64, token: &[u8]) -> Outcome {
        let instant = SystemClock.now().instant;
        let now = Now {
            unix_seconds,
            instant,
        };
        let value = [b"Bearer ", token].concat();
        let check = Check::get("/rest/api/2/myself").header("authorization", value);
        self.ask(check, now, instant + Duration::from_mins(1))
    }

    fn ask(&self, check: Check, now: Now, deadline: Instant) -> Outcome {
        let answer = self.service.answer(check.build(), now, deadline, None);
        Outcome::read(self.runtime.block_on(answer).response())
    }

    fn asks(&self, token: &[u8]) -> Outcome {
        self.at(SystemClock.now().unix_seconds, token)
    }
}

/// Good tokens of the three kinds, and the walk that accepts them.
fn good_tokens() -> (Idp, Inside, [String; 3]) {
    let idp = Idp::start();
    let eddsa = SigningKey::eddsa();
    // Keys without `alg`, every algorithm allowed: as little as possible stands in a forger's way.
    let keys = [
        shared_rs256().jwk("k"),
        shared_es256().jwk("k"),
        eddsa.jwk("k"),
    ];
    let names = ["rs", "es", "ed"];
    let all =
        "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA], typ: legacy";
    let mut config = usual_provider(&idp);
    for (name, mut jwk) in names.into_iter().zip(keys) {
        jwk.as_object_mut().expect("an object").remove("alg");
        idp.answer(&format!("/{name}"), Answer::Json(jwks(&[jwk])));
        config.push_str(&provider(&idp, name, all, ""));
    }
    let inside = Inside::start(&(config + APPLICATION));
    let signers = [shared_rs256(), shared_es256(), &eddsa];
    let tokens = [0, 1, 2].map(|at| {
        let token = token_of(names[at])
            .header("kid", "k")
            .header("alg", signers[at].alg());
        // Floats, arrays and escapes, so that a changed byte finds all kinds of places.
        let token = token
            .claim("scope", json!(["a", "\u{e9}"]))
            .claim("nbf", 1.5e9);
        token.without("client_id").signed_by(signers[at])
    });
    for (token, name) in tokens.iter().zip(names) {
        assert_eq!(inside.asks(token.as_bytes()).user(), Some("alice"));
        // A changed kid makes the service fetch, and a slow machine answer 503 meanwhile: once.
        let unknown = token_of(name).header("kid", "unknown").signed();
        eventually("an answer about an unknown kid", || {
            (inside.asks(unknown.as_bytes()).reason() == "unknown_key").then_some(())
        });
    }
    (idp, inside, tokens)
}

/// A position, as often as not one where two rules meet: next to a dot or an end.
#[derive(Clone, Debug)]
enum Place {
    Anywhere(Index),
    Seam(Index),
}

impl Place {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            any::<Index>().prop_map(Self::Anywhere),
            any::<Index>().prop_map(Self::Seam),
        ]
    }

    /// Below `limit`.
    fn within(&self, limit: usize, token: &str) -> usize {
        match self {
            Self::Anywhere(at) => at.index(limit),
            Self::Seam(at) => {
                let dots = token
                    .match_indices('.')
                    .flat_map(|(dot, _)| dot - 1..=dot + 1);
                let seams: Vec<usize> = dots.chain([0, 1, limit - 2, limit - 1]).collect();
                *at.get(&seams)
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Delete,
    Double,
    SwapWithNext,
    Truncate,
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // Mostly bytes that a token may have: the others end at the first check.
        let byte = prop_oneof![
            4 => prop::sample::select(BASE64URL.as_bytes()),
            2 => prop::sample::select(&b".=+/~ "[..]),
            1 => any::<u8>(),
        ];
        prop_oneof![
            4 => byte.clone().prop_map(Self::Replace),
            4 => byte.prop_map(Self::Insert),
            2 => Just(Self::Delete),
            1 => Just(Self::Double),
            1 => Just(Self::SwapWithNext),
            1 => Just(Self::Truncate),
        ]
    }

    fn apply(&self, place: &Place, token: &str) -> Vec<u8> {
        let mut bytes = token.as_bytes().to_vec();
        let length = bytes.len();
        let at = match self {
            Self::Insert(_) => place.within(length + 1, token),
            Self::SwapWithNext => place.within(length - 1, token),
            Self::Replace(_) | Self::Delete | Self::Double | Self::Truncate => {
                place.within(length, token)
            }
        };
        match self {
            Self::Replace(byte) => bytes[at] = *byte,
            Self::Insert(byte) => bytes.insert(at, *byte),
            Self::Delete => drop(bytes.remove(at)),
            Self::Double => bytes.insert(at, bytes[at]),
            Self::SwapWithNext => bytes.swap(at, at + 1),
            Self::Truncate => bytes.truncate(at),
        }
        bytes
    }
}

/// A space before the token belongs to the scheme, not to the token (RFC 9110 §11.4).
fn is_the_same_token(changed: &[u8], token: &str) -> bool {
    changed.strip_prefix(b" ").unwrap_or(changed) == token.as_bytes()
}

#[test]
fn a_token_with_one_changed_byte_is_never_good() {
    let (_idp, inside, tokens) = good_tokens();
    for token in &tokens {
        let mut runner = TestRunner::new(Cases::with_cases(4000));
        let outcome = runner.run(&(Change::any(), Place::any()), |(change, place)| {
            let changed = change.apply(&place, token);
            prop_assume!(!is_the_same_token(&changed, token));
            let answer = inside.asks(&changed);
            prop_assert!(matches!(answer.status, 400 | 401), "{:?}", answer);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(inside.asks(token.as_bytes()).user(), Some("alice"));
    }
}

#[test]
fn no_byte_of_a_token_can_be_exchanged_added_or_left_out() {
    let (_idp, inside, [_, token, _]) = good_tokens();
    let mut asked = 0;
    let mut refused = |changed: &[u8]| {
        if is_the_same_token(changed, &token) {
            return;
        }
        let answer = inside.asks(changed);
        assert!(
            matches!(answer.status, 400 | 401),
            "{}: {} {}",
            String::from_utf8_lossy(changed),
            answer.status,
            answer.reason()
        );
        asked += 1;
    };
    let bytes = token.as_bytes();
    for at in 0..bytes.len() {
        let (head, tail) = (&bytes[..at], &bytes[at + 1..]);
        let old = bytes[at];
        for new in [
            old ^ 1,
            old.wrapping_add(1),
            old.wrapping_sub(1),
            b'A',
            b'_',
            b'.',
            b'=',
            b'+',
            0,
            0xff,
        ] {
            refused(&[head, &[new], tail].concat());
        }
        for added in [b'A', b'.', b'=', b' ', b'\n', 0] {
            refused(&[head, &[added], &bytes[at..]].concat());
        }
        refused(&[head, tail].concat());
        refused(head);
    }
    for added in 0..=255 {
        refused(&[bytes, &[added]].concat());
    }
    assert!(asked > 5000, "only {asked} cases");
    assert_eq!(inside.asks(bytes).user(), Some("alice"));
}
