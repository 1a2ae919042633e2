//! The requests of the load: of a hundred, eighty show a JWT that was seen before, ten a new one, five a
//! token that its provider is asked about, five one of our own. One in ten of each must be denied.

use serde_json::json;

use crate::{
    canaries::{Canaries, MARK},
    desk::Made,
    support::{
        idp::Received,
        keys::other_rs256,
        tokens::{Token, unix_now},
    },
    tally::{Class, Expect},
};

/// Users whose JWTs are seen again and again.
const REMEMBERED: u64 = 200;
/// Tokens that a provider was asked about before; one question in four is about a new one.
const ASKED: u64 = 40;

/// One request.
#[derive(Clone)]
pub struct Shown {
    pub token: String,
    pub class: Class,
    pub expect: Expect,
}

/// Good ones and bad ones that are shown again and again.
#[derive(Default)]
struct Pool {
    good: Vec<Shown>,
    bad: Vec<Shown>,
}

/// Where the requests come from.
pub struct Traffic {
    issuer: String,
    remembered: Pool,
    asked: Pool,
    own: Pool,
}

impl Traffic {
    /// `own` are tokens of ours and their users.
    pub fn new(issuer: &str, own: &[(String, Made)], canaries: &Canaries) -> Self {
        let mut traffic = Self {
            issuer: issuer.to_owned(),
            remembered: Pool::default(),
            asked: Pool::default(),
            own: Pool::default(),
        };
        for number in 0..REMEMBERED {
            let user = format!("jwt{number}");
            traffic.remembered.good.push(good_jwt(issuer, &user));
            traffic.remembered.bad.push(bad_jwt(issuer, number));
        }
        for number in 0..ASKED {
            traffic
                .asked
                .good
                .push(opaque(&format!("asked{number}"), number));
            traffic.asked.bad.push(opaque(NOBODY, number));
        }
        for (user, made) in own {
            let user = Expect::User(user.clone());
            traffic.own.good.push(Shown::own(&made.token, user));
            let guessed = made.with_wrong_secret();
            traffic.own.bad.push(Shown::own(&guessed, Expect::Denied));
        }
        traffic.tell(canaries);
        traffic
    }

    fn tell(&self, canaries: &Canaries) {
        for shown in self.remembered.good.iter().chain(&self.remembered.bad) {
            canaries.keep_jwt("the signature of a JWT", &shown.token);
        }
        for shown in self.own.good.iter().chain(&self.own.bad) {
            canaries.keep_own("the secret of an API token", &shown.token);
        }
    }

    /// Every good token that is shown again and again, so that a test can begin with all of them known.
    pub fn pooled(&self) -> impl Iterator<Item = &Shown> {
        let pools = [&self.remembered, &self.asked, &self.own];
        pools.into_iter().flat_map(|pool| &pool.good)
    }

    /// The request of this number.
    pub fn request(&self, number: u64) -> Shown {
        let (turn, round) = (number % 100, number / 100);
        // Prime to a hundred: all slots, well mixed.
        let slot = turn * 37 % 100;
        let is_bad = slot % 10 == round % 10;
        match slot {
            0..80 => self.remembered.at(number, is_bad),
            80..90 if is_bad => bad_jwt(&self.issuer, number),
            80..90 => Shown {
                class: Class::First,
                ..good_jwt(&self.issuer, &format!("first{number}"))
            },
            90..95 if !is_bad && round.is_multiple_of(4) => opaque(&format!("new{number}"), number),
            90..95 => self.asked.at(number, is_bad),
            _ => self.own.at(number, is_bad),
        }
    }
}

impl Pool {
    fn at(&self, number: u64, is_bad: bool) -> Shown {
        let shown = if is_bad { &self.bad } else { &self.good };
        shown[usize::try_from(number).expect("64 bits") % shown.len()].clone()
    }
}

impl Shown {
    fn own(token: &str, expect: Expect) -> Self {
        Self {
            token: token.to_owned(),
            class: Class::Own,
            expect,
        }
    }
}

fn jwt(issuer: &str, user: &str) -> Token {
    let unique: u64 = rand::random();
    let token = Token::of(issuer).claim("preferred_username", user);
    let token = token.claim("exp", unix_now() + 40 * 3600);
    token.claim("jti", format!("{MARK}{unique:016x}"))
}

fn good_jwt(issuer: &str, user: &str) -> Shown {
    Shown {
        token: jwt(issuer, user).signed(),
        class: Class::Remembered,
        expect: Expect::User(user.to_owned()),
    }
}

/// Expired, for another application, or forged.
fn bad_jwt(issuer: &str, number: u64) -> Shown {
    let token = jwt(issuer, "mallory");
    let token = match number % 3 {
        0 => token.claim("exp", unix_now() - 60).signed(),
        1 => token.claim("aud", "another").signed(),
        _ => token.signed_by(other_rs256()),
    };
    Shown {
        token,
        class: Class::First,
        expect: Expect::Denied,
    }
}

/// Whose tokens are not active.
const NOBODY: &str = "nobody";

fn opaque(user: &str, number: u64) -> Shown {
    let expect = match user {
        NOBODY => Expect::Denied,
        user => Expect::User(user.to_owned()),
    };
    Shown {
        token: format!("{MARK}-{user}-{number}"),
        class: Class::Asked,
        expect,
    }
}

/// What the provider says about an opaque token.
pub fn introspected(request: &Received) -> String {
    let token = request
        .body
        .split('&')
        .find_map(|it| it.strip_prefix("token="));
    let user = token.and_then(|token| token.split('-').nth(1));
    match user {
        None | Some(NOBODY) => json!({"active": false}),
        Some(user) => json!({
            "active": true, "username": user, "sub": format!("id-of-{user}"), "aud": "jira-api",
            "client_id": "portal", "exp": unix_now() + 600,
        }),
    }
    .to_string()
}
