//! What Envoy does with requests and with answers, and that the service is safe with all of it.
//!
//! Facts about Envoy alone are asserted too, with an authorizer that answers nonsense: the form of
//! our answers follows from them, and an Envoy that behaves differently must be noticed.

mod authorizer;
mod answers;
mod bodies;
mod checks;
mod credentials;
mod failing_open;
pub mod h2;
mod identity;
mod paths;
mod protocol;
mod recommended;

use std::cell::Cell;

use serde_json::json;

use crate::support::{
    client::{self, Answer},
    envoy::{Envoy, Options},
    idp::Idp,
    service::Service,
    tokens::Token,
    upstream::{Seen, Upstream},
};

/// Headers that products and their plugins are known to believe, in the form of [`folded`].
const BELIEVED: [&str; 9] = [
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-user",
    "x-webauth-user",
];

/// Credentials, and what changes the meaning of a request: none of it reaches the product next to an
/// identity.
const CARRIERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "dpop",
    "cookie",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// A header name as the most careless reader understands it.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.', ' '], "-")
}

/// Every header in a request that somebody could take for the user.
fn believed(seen: &Seen) -> Vec<(&str, &str)> {
    seen.headers
        .iter()
        .filter(|(name, _)| BELIEVED.contains(&&*folded(name)))
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

/// How long Envoy keeps a connection whose request it has refused itself. Its own default of 1 s is
/// spent waiting in tests that have it refuse dozens.
const LINGER: &str = "0.02s";

/// Both ways in which Envoy can tell us the headers, as settings of its filter.
const ENCODINGS: [bool; 2] = [false, true];

/// Client, Envoy, service and product. Alice's token opens.
struct Lab {
    envoy: Envoy,
    upstream: Upstream,
    token: String,
    _service: Service,
    _idp: Idp,
    looked_at: Cell<usize>,
}

impl Lab {
    fn start() -> Self {
        Self::with(|options| options)
    }

    /// `encode_raw_headers` as given, everything else as Envoy has it.
    fn encoded(raw: bool) -> Self {
        Self::with(|options| options.filter(json!({"encode_raw_headers": raw})))
    }

    fn with(configure: impl FnOnce(Options) -> Options) -> Self {
        let idp = Idp::start();
        let service = Service::start(&idp);
        let upstream = Upstream::start();
        let envoy = configure(Options::new(&service.grpc, upstream.port)).start();
        Self {
            envoy,
            upstream,
            token: Token::of(&idp.issuer).signed(),
            _service: service,
            _idp: idp,
            looked_at: Cell::new(0),
        }
    }

    /// `Authorization: Bearer …` of alice.
    fn alice(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    /// `GET` with these header lines.
    fn get(&self, target: &str, lines: &[&str]) -> Answer {
        client::get(&self.envoy.address, target, lines)
    }

    /// `GET` with these header lines, which need not be text.
    fn get_bytes(&self, target: &str, lines: &[&[u8]]) -> Answer {
        self.send("GET", target, "jira.example.com", lines)
    }

    /// Closes after the answer, unless the lines have their own `Connection`.
    fn send(&self, method: &str, target: &str, host: &str, lines: &[&[u8]]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        let connection = b"connection:";
        let names_connection = |line: &&&[u8]| {
            line.get(..connection.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(connection))
        };
        if lines.iter().find(names_connection).is_none() {
            head.extend(b"Connection: close\r\n");
        }
        for line in lines {
            head.extend(*line);
            head.extend(b"\r\n");
        }
        head.extend(b"\r\n");
        client::send(&self.envoy.address, &head)
    }

    /// What got through since the last time.
    fn arrived(&self) -> Vec<Seen> {
        let all = self.upstream.seen();
        let new = all[self.looked_at.get()..].to_vec();
        self.looked_at.set(all.len());
        new
    }

    /// Exactly one request got through, as alice and nobody else.
    #[track_caller]
    fn assert_alice(&self, answer: &Answer, what: &str) -> Seen {
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        let arrived = self.arrived();
        assert_eq!(arrived.len(), 1, "{what}: {arrived:?}");
        assert_eq!(
            believed(&arrived[0]),
            [("x-remote-user", "alice")],
            "{what}"
        );
        arrived[0].clone()
    }

    /// Exactly one request got through, as nobody.
    #[track_caller]
    fn assert_nobody(&self, answer: &Answer, what: &str) -> Seen {
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        let arrived = self.arrived();
        assert_eq!(arrived.len(), 1, "{what}: {arrived:?}");
        assert_eq!(believed(&arrived[0]), [], "{what}");
        arrived[0].clone()
    }

    /// Nothing got through. Returns the stable code of our answer's body; empty when it was Envoy
    /// that refused.
    #[track_caller]
    fn assert_refused(&self, answer: &Answer, status: u16, what: &str) -> String {
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(self.arrived().is_empty(), "{what}: something got through");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// One of the filter's counters.
    fn count(&self, name: &str) -> u64 {
        self.envoy.stat(&format!("http.ingress.ext_authz.{name}"))
    }

    /// Every check of this test was answered, by an answer that Envoy understood.
    #[track_caller]
    fn assert_no_errors(&self) {
        for counter in ["error", "failure_mode_allowed", "invalid", "disabled"] {
            assert_eq!(self.count(counter), 0, "{counter}");
        }
    }
}
