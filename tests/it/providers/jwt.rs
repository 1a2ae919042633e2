//! Providers whose tokens are verified here.

use serde_json::{Value, json};

use super::frame::{Case, Expected, Subject, now_from};
use crate::support::{
    keys::{other_rs256, shared_rs256},
    tokens::{Token, sign_raw, unix_now},
};

/// What a provider's tokens have in common with all others, and where they differ.
struct Spec {
    preset: &'static str,
    provider: &'static str,
    /// A token of [`Spec::user`].
    good: Token,
    user: &'static str,
    /// The claim that names the user.
    username: &'static str,
    /// Values go through a map or lose their domain: others are not mapped.
    is_mapped: bool,
    /// The claim that names the client.
    client: &'static str,
    /// Another tenant's or realm's token.
    foreign: (Token, &'static str),
    /// Not an access token, and why.
    other_kind: Option<(Token, &'static str)>,
    more: Vec<Case>,
    exceptions: Vec<(&'static str, &'static str)>,
}

fn denied(reason: &'static str) -> Expected {
    Expected::Denied(401, reason)
}

fn nobody(reason: &'static str) -> Expected {
    Expected::Denied(403, reason)
}

impl Spec {
    fn subject(self) -> Subject {
        let excepted: Vec<&str> = self.exceptions.iter().map(|(name, _)| *name).collect();
        let mut cases = self.header_cases();
        cases.extend(self.claim_cases());
        cases.extend(self.user_cases());
        let own: Vec<&str> = self.more.iter().map(|case| case.name).collect();
        cases.retain(|case| !excepted.contains(&case.name) && !own.contains(&case.name));
        cases.extend(self.more);
        Subject {
            preset: self.preset,
            provider: self.provider,
            hosts: &[],
            cases,
            exceptions: self.exceptions,
        }
    }

    fn good(&self, case: &str) -> Token {
        self.good.clone().claim("jti", case)
    }

    fn header_cases(&self) -> Vec<Case> {
        let named = if self.good.header.get("kid").is_some() {
            "kid"
        } else {
            "x5t"
        };
        let header = self.good.header.to_string();
        let payload = self.good.payload.to_string();
        let twice = payload.replacen('{', "{\"sub\":\"admin\",\"sub\":\"x\",", 1);
        let mut rotated = Case::new(
            "unknown_kid_then_rotated",
            self.good("rotated")
                .header(named, "k2")
                .signed_by(other_rs256()),
            Expected::User(self.user),
        );
        rotated.rotates = true;
        vec![
            Case::new(
                "valid_user",
                self.good("valid").signed(),
                Expected::User(self.user),
            ),
            Case::new(
                "wrong_signature",
                self.good("wrong").signed_by(other_rs256()),
                denied("bad_signature"),
            ),
            rotated,
            Case::new(
                "alg_none",
                self.good("none").header("alg", "none").signed(),
                denied("algorithm_not_allowed"),
            ),
            Case::new(
                "alg_hs256_with_public_key",
                self.good("hs").header("alg", "HS256").signed(),
                denied("algorithm_not_allowed"),
            ),
            Case::new(
                "duplicate_json_member",
                sign_raw(&header, &twice, shared_rs256()),
                denied("malformed_token"),
            ),
        ]
    }

    fn claim_cases(&self) -> Vec<Case> {
        let now = unix_now();
        let issuer = self.good.payload["iss"].as_str().expect("text").to_owned();
        let slashed = match issuer.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{issuer}/"),
        };
        let mut cases = vec![
            Case::new(
                "expired",
                self.good("old").claim("exp", now - 60).signed(),
                denied("expired"),
            ),
            Case::new(
                "not_yet_valid",
                self.good("new")
                    .claim("iat", now + 600)
                    .claim("exp", now + 900)
                    .signed(),
                denied("not_yet_valid"),
            ),
            Case::new(
                "foreign_audience",
                self.good("aud")
                    .claim("aud", json!(["other", "another"]))
                    .signed(),
                denied("wrong_audience"),
            ),
            Case::new(
                "foreign_client",
                self.good("client").claim(self.client, "other").signed(),
                denied("client_not_allowed"),
            ),
            Case::new(
                "foreign_tenant_or_realm",
                self.foreign.0.signed(),
                denied(self.foreign.1),
            ),
            Case::new(
                "issuer_trailing_slash_variant",
                self.good("slash").claim("iss", slashed).signed(),
                denied("unknown_issuer"),
            ),
            Case::new(
                "sender_constrained_cnf",
                self.good("cnf").claim("cnf", json!({"jkt": "x"})).signed(),
                denied("sender_constrained"),
            ),
            Case::new(
                "refresh_token_instead",
                self.good("refresh").claim("typ", "Refresh").signed(),
                denied("not_an_access_token"),
            ),
        ];
        if let Some((token, reason)) = &self.other_kind {
            cases.push(Case::new(
                "id_token_instead",
                token.signed(),
                denied(reason),
            ));
        }
        cases
    }

    fn user_cases(&self) -> Vec<Case> {
        let machine = |client: &str| {
            let token = self.good(client).claim(self.client, client);
            token.claim("sub", client).signed()
        };
        let named = |value: Value| self.good("name").claim(self.username, value).signed();
        let unmapped = if self.is_mapped {
            "username_not_mapped"
        } else {
            "username_refused"
        };
        vec![
            Case::new(
                "machine_token_unmapped",
                machine("unmapped-machine"),
                nobody("machine_client_not_mapped"),
            ),
            Case::new(
                "machine_token_mapped",
                machine("mapped-machine"),
                Expected::User("svc-ci"),
            ),
            Case::new(
                "username_claim_missing",
                self.good("missing").without(self.username).signed(),
                nobody("username_claim"),
            ),
            Case::new(
                "username_claim_array",
                named(json!(["admin", self.user])),
                // A registered claim has its type.
                if self.username == "sub" {
                    denied("claim_type")
                } else {
                    nobody("username_claim")
                },
            ),
            Case::new(
                "username_claim_with_crlf",
                named(json!("jdoe\r\nx: y")),
                nobody(unmapped),
            ),
            Case::new(
                "username_not_mapped",
                named(json!("jdoe@evil.example")),
                nobody(unmapped),
            ),
        ]
    }
}

/// A published token, issued just now and signed with our key.
fn published(text: &str) -> Token {
    let mut token: Value = serde_json::from_str(text).expect("JSON");
    for claim in ["iat", "nbf", "exp"] {
        if let Some(date) = token["payload"].get(claim).and_then(Value::as_i64) {
            token["payload"][claim] = json!(now_from(date));
        }
    }
    for name in ["kid", "x5t"] {
        if token["header"].get(name).is_some() {
            token["header"][name] = json!("k1");
        }
    }
    let [header, payload] = ["header", "payload"].map(|part| token[part].take());
    Token { header, payload }
}

macro_rules! fixture {
    ($path:literal) => {
        published(include_str!(concat!("fixtures/jwt/", $path, ".json")))
    };
}

pub fn subjects() -> Vec<Subject> {
    vec![
        adfs(),
        auth0(),
        cognito(),
        entra(),
        google_id_token(),
        keycloak(),
        okta(),
        pingone(),
        slack_id_token(),
    ]
    .into_iter()
    .map(Spec::subject)
    .collect()
}

fn adfs() -> Spec {
    let good = fixture!("adfs/access");
    Spec {
        preset: "adfs",
        provider: "
preset: { adfs: { host: adfs.example.test } }
audiences: ['microsoft:identityserver:60b3d106-d155-4f9f-ba75-84b8078829fa']
clients: [60b3d106-d155-4f9f-ba75-84b8078829fa, mapped-machine, unmapped-machine]
username: { claim: upn, strip_domain: corp.example.test }
machine_clients: { mapped-machine: svc-ci }",
        user: "jdoe",
        username: "upn",
        is_mapped: true,
        client: "appid",
        foreign: (
            good.clone()
                .claim("iss", "http://adfs.other.test/adfs/services/trust"),
            "unknown_issuer",
        ),
        // Access tokens have another issuer than ID tokens.
        other_kind: Some((
            good.clone().claim("iss", "https://adfs.example.test/adfs"),
            "unknown_issuer",
        )),
        more: vec![Case::new(
            "userinfo_audience",
            fixture!("adfs/userinfo_audience").signed(),
            denied("wrong_audience"),
        )],
        exceptions: vec![],
        good,
    }
}

fn auth0() -> Spec {
    let good = fixture!("auth0/access");
    Spec {
        preset: "auth0",
        provider: "
preset: { auth0: { domain: my-domain.auth0.test } }
audiences: ['https://example.com/health-api']
clients: [my_client_id, mapped-machine, unmapped-machine]
username: { claim: sub, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        user: "jdoe",
        username: "sub",
        is_mapped: true,
        client: "azp",
        foreign: (
            good.clone().claim("iss", "https://other.auth0.test/"),
            "unknown_issuer",
        ),
        other_kind: Some((good.clone().claim("at_hash", "x"), "not_an_access_token")),
        more: vec![
            Case::new(
                "userinfo_audience_only",
                good.clone()
                    .claim("aud", "https://my-domain.auth0.test/userinfo")
                    .signed(),
                denied("wrong_audience"),
            ),
            Case::new(
                "machine_by_its_grant",
                good.clone().claim("gty", "client-credentials").signed(),
                nobody("machine_client_not_mapped"),
            ),
        ],
        exceptions: vec![],
        good,
    }
}

fn cognito() -> Spec {
    let good = fixture!("cognito/access");
    Spec {
        preset: "cognito",
        provider: "
preset: { cognito: { user_pool_id: us-west-2_example } }
clients: [57cbishk4j24pabc1234567890, mapped-machine, unmapped-machine]
machine_clients: { mapped-machine: svc-ci }",
        user: "janedoe",
        username: "username",
        is_mapped: false,
        client: "client_id",
        foreign: (
            good.clone().claim(
                "iss",
                "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_other",
            ),
            "unknown_issuer",
        ),
        other_kind: Some((fixture!("cognito/id_token"), "not_an_access_token")),
        // Without a user name it is a machine's token.
        more: vec![Case::new(
            "username_claim_missing",
            good.clone().without("username").signed(),
            nobody("machine_client_not_mapped"),
        )],
        exceptions: vec![(
            "foreign_audience",
            "its access tokens have no audience: the client binds them",
        )],
        good,
    }
}

fn entra() -> Spec {
    let good = fixture!("entra/v2_user");
    let tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    let consumers = "9188040d-6c67-4c5b-b112-36a304b66dad";
    Spec {
        preset: "entra",
        provider: "
preset: { entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 } }
audiences: ['api://jira-gateway', 11112222-bbbb-3333-cccc-4444dddd5555]
clients: [22223333-cccc-4444-dddd-5555eeee6666, mapped-machine, unmapped-machine, 99990000-aaaa-1111-bbbb-2222cccc3333]
username: { claim: oid, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        user: "abe",
        username: "oid",
        is_mapped: true,
        client: "azp",
        foreign: (
            good.clone()
                .claim("iss", format!("https://login.microsoftonline.com/{consumers}/v2.0"))
                .claim("tid", consumers),
            "unknown_issuer",
        ),
        // The same issuer and audience when API and client share a registration, but no `scp`.
        other_kind: Some((good.clone().claim("at_hash", "x"), "not_an_access_token")),
        more: vec![
            Case::new("v1_and_v2_same_api", fixture!("entra/v1_user").signed(), Expected::User("abe")),
            Case::new(
                "tenant_of_another_issuer",
                good.clone().claim("tid", consumers).signed(),
                denied("required_claim"),
            ),
            Case::new(
                "app_only",
                fixture!("entra/app_only").signed(),
                nobody("machine_client_not_mapped"),
            ),
            Case::new(
                "groups_overage",
                fixture!("entra/groups_overage")
                    .claim("azp", "22223333-cccc-4444-dddd-5555eeee6666")
                    .signed(),
                Expected::User("abe"),
            ),
            Case::new(
                "graph_nonce_header",
                fixture!("entra/graph_token").signed(),
                denied("header_refused"),
            ),
            Case::new(
                "no_scp_is_no_user",
                good.clone().without("scp").claim("tid", tenant).signed(),
                nobody("machine_client_not_mapped"),
            ),
        ],
        exceptions: vec![],
        good,
    }
}

fn google_id_token() -> Spec {
    let client = "1008719970978-hb24n2dstb40o45d4feuo2ukqmcc6381.apps.googleusercontent.com";
    let now = unix_now();
    let good = Token {
        header: json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}),
        payload: json!({
            "iss": "https://accounts.google.com", "azp": client, "aud": client, "hd": "example.test",
            "sub": "110169484474386276334", "email": "jdoe@example.test", "email_verified": true,
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "nonce": "n", "iat": now - 5, "exp": now + 600,
        }),
    };
    Spec {
        preset: "google_id_token",
        provider: "
preset: { google_id_token: { hosted_domain: example.test } }
audiences: [1008719970978-hb24n2dstb40o45d4feuo2ukqmcc6381.apps.googleusercontent.com]
clients: [1008719970978-hb24n2dstb40o45d4feuo2ukqmcc6381.apps.googleusercontent.com, mapped-machine, unmapped-machine]
username: { claim: email, strip_domain: example.test }
machine_clients: { mapped-machine: svc-ci }",
        user: "jdoe",
        username: "email",
        is_mapped: true,
        client: "azp",
        foreign: (good.clone().claim("hd", "evil.example"), "required_claim"),
        other_kind: None,
        more: vec![
            Case::new(
                "the_other_spelling_of_the_issuer",
                good.clone().claim("iss", "accounts.google.com").signed(),
                Expected::User("jdoe"),
            ),
            Case::new(
                "email_unverified",
                good.clone().claim("email_verified", false).signed(),
                nobody("email_not_verified"),
            ),
            Case::new("outside_of_a_domain", good.clone().without("hd").signed(), denied("required_claim")),
            Case::new(
                "access_token_instead",
                good.clone().header("typ", "at+jwt").signed(),
                denied("typ_not_accepted"),
            ),
        ],
        exceptions: vec![("id_token_instead", "ID tokens are what the operator has chosen")],
        good,
    }
}

fn keycloak() -> Spec {
    let good = fixture!("keycloak/access");
    Spec {
        preset: "keycloak",
        provider: "
preset: { keycloak: { url: https://kc.example.test, realm: corp } }
audiences: [atlassian-gateway]
clients: [ci-portal, mapped-machine, unmapped-machine]
machine_clients: { mapped-machine: svc-ci }",
        user: "jdoe",
        username: "preferred_username",
        is_mapped: false,
        client: "azp",
        foreign: (
            good.clone()
                .claim("iss", "https://kc.example.test/realms/other"),
            "unknown_issuer",
        ),
        other_kind: Some((good.clone().claim("typ", "ID"), "not_an_access_token")),
        more: vec![
            Case::new(
                "default_audience_only",
                fixture!("keycloak/default_audience_only").signed(),
                denied("wrong_audience"),
            ),
            Case::new(
                "typ_DPoP",
                good.clone().claim("typ", "DPoP").signed(),
                denied("not_an_access_token"),
            ),
            Case::new(
                "without_sub",
                good.clone().without("sub").signed(),
                Expected::User("jdoe"),
            ),
            Case::new(
                "service_account",
                good.clone()
                    .claim("preferred_username", "service-account-ci-portal")
                    .signed(),
                nobody("machine_client_not_mapped"),
            ),
        ],
        exceptions: vec![],
        good,
    }
}

fn okta() -> Spec {
    let good = fixture!("okta/custom_as");
    Spec {
        preset: "okta",
        provider: "
preset: { okta: { domain: example.okta.test, authorization_server: 0oacqf8qaJw56czJi0g4 } }
audiences: ['https://api.example.com']
clients: [nmdP1fcyvdVO11AL7ECm, mapped-machine, unmapped-machine]
username: { claim: sub, strip_domain: example.test }
machine_clients: { mapped-machine: svc-ci }",
        user: "john.doe",
        username: "sub",
        is_mapped: true,
        client: "cid",
        foreign: (
            good.clone()
                .claim("iss", "https://example.okta.test/oauth2/default"),
            "unknown_issuer",
        ),
        other_kind: Some((good.clone().claim("at_hash", "x"), "not_an_access_token")),
        more: vec![Case::new(
            "without_uid_it_is_a_machine",
            good.clone().without("uid").signed(),
            nobody("machine_client_not_mapped"),
        )],
        exceptions: vec![],
        good,
    }
}

fn pingone() -> Spec {
    let good = fixture!("pingone/at_jwt");
    let issuer = "https://auth.pingone.eu/9999aaaa-0000-1111-2222-333344445555/as";
    Spec {
        preset: "pingone",
        provider: "
preset: { pingone: { environment_id: abcd1234-0000-1111-2222-333344445555, region: eu } }
audiences: ['https://jira.example.test']
clients: [3c7d0b2e-1111-4222-8333-944455556666, mapped-machine, unmapped-machine]
username: { claim: sub, map: users.yaml }
machine_clients: { mapped-machine: svc-ci }",
        user: "jdoe",
        username: "sub",
        is_mapped: true,
        client: "client_id",
        foreign: (good.clone().claim("iss", issuer), "unknown_issuer"),
        other_kind: Some((good.clone().claim("at_hash", "x"), "not_an_access_token")),
        more: vec![Case::new(
            "typ_before_2027",
            good.clone().header("typ", "JWT").signed(),
            Expected::User("jdoe"),
        )],
        exceptions: vec![],
        good,
    }
}

fn slack_id_token() -> Spec {
    let now = unix_now();
    let good = Token {
        header: json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}),
        payload: json!({
            "iss": "https://slack.com", "aud": "25259531569.1115258246291", "sub": "U0R7JM",
            "https://slack.com/team_id": "T0R7GR", "https://slack.com/user_id": "U0R7JM",
            "email": "krane@slack-corp.example.test", "email_verified": true, "at_hash": "x",
            "nonce": "n", "auth_time": now - 5, "iat": now - 5, "exp": now + 300,
        }),
    };
    let no_client = "its ID tokens do not name a client besides the audience";
    Spec {
        preset: "slack_id_token",
        provider: "
preset: { slack_id_token: { team_id: T0R7GR } }
audiences: ['25259531569.1115258246291']
username: { claim: sub, map: users.yaml }",
        user: "krane",
        username: "sub",
        is_mapped: true,
        client: "client_id",
        foreign: (
            good.clone().claim("https://slack.com/team_id", "T0OTHER"),
            "required_claim",
        ),
        other_kind: None,
        more: vec![],
        exceptions: vec![
            (
                "id_token_instead",
                "ID tokens are what the operator has chosen",
            ),
            ("foreign_client", no_client),
            ("machine_token_unmapped", no_client),
            ("machine_token_mapped", no_client),
        ],
        good,
    }
}
