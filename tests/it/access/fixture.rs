//! Three products behind one gateway, and users of several kinds.

use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    envoy::{Envoy, Options},
    eventually,
    idp::Idp,
    service::Service,
    tokens::Token,
    upstream::{Seen, Upstream},
};

/// Jira with every kind of policy, Confluence open for its own credentials, Bitbucket as it comes.
pub fn config(idp: &Idp) -> String {
    format!(
        "providers:\n  - name: idp\n    jwt: {{ issuer: \"{}\", leeway: 0s }}\n    audiences: [jira-api]\n    \
         username: {{ claim: preferred_username }}\n    groups: {{ claim: groups }}\n    claims: [department]\n\
         group_members: {{ svc-ci: [jira-users] }}\n\
         applications:\n  \
         - name: jira\n    product: jira\n    hosts: [jira.example.com, 127.0.0.1]\n    context_path: /jira\n    access:\n      \
         users: {{ deny: [mallory] }}\n      \
         groups: {{ allow: [jira-users], read_only: [auditors] }}\n      \
         methods: [GET, POST, DELETE]\n      \
         rules:\n        \
         - {{ name: no-users-by-ci, deny: 'identity.username == \"svc-ci\" && request.resource.startsWith(\"/rest/api/user\")' }}\n        \
         - {{ name: robots-only-read, deny: 'identity.client == \"robot\" && request.operation != \"read\"' }}\n  \
         - name: wiki\n    product: confluence\n    hosts: [wiki.example.com]\n    without_credentials: native\n    \
         foreign_credentials: native\n    preflight: native\n    upgrades: [websocket]\n  \
         - name: code\n    product: bitbucket\n    hosts: [code.example.com]\n    preflight: native\n",
        idp.issuer
    )
}

/// A token of a user in these groups.
pub fn token(idp: &Idp, user: &str, groups: Value) -> Token {
    Token::of(&idp.issuer)
        .claim("preferred_username", user)
        .claim("groups", groups)
}

/// A user of Jira who may do everything.
pub fn alice(idp: &Idp) -> String {
    token(idp, "alice", json!(["jira-users"])).signed()
}

/// Client, Envoy, service and product.
pub struct Lab {
    pub idp: Idp,
    pub service: Service,
    pub upstream: Upstream,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(config)
    }

    pub fn with(config: impl Fn(&Idp) -> String) -> Self {
        let idp = Idp::start();
        Self {
            service: Service::with_config(&config(&idp)),
            upstream: Upstream::start(),
            idp,
        }
    }

    pub fn options(&self) -> Options {
        Options::new(&self.service.grpc, self.upstream.port)
    }

    /// What reaches the product while `ask` runs, if anything does.
    pub fn arrives(&self, ask: impl FnOnce() -> Answer) -> (Answer, Option<Seen>) {
        let before = self.upstream.seen().len();
        let answer = ask();
        let mut seen = self.upstream.seen().split_off(before);
        assert!(seen.len() <= 1, "{seen:?}");
        (answer, seen.pop())
    }

    /// The decision of this number, counted from 1, as the log tells it, once it does.
    pub fn told(&self, number: usize) -> Value {
        eventually("a line about the decision", || {
            self.service.decisions().into_iter().nth(number - 1)
        })
    }

    pub fn envoy(&self) -> Envoy {
        self.options().start()
    }
}

/// The public word of a denial.
pub fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let code = body["error"]["code"].as_str();
    code.unwrap_or_default().to_owned()
}
