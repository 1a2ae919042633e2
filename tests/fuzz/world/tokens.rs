//! The API tokens of the world: issued as the service issues them, so their texts are new in every run and have names.

use std::{sync::Arc, time::Duration};

use atlassian_authz::{
    api_token::{AccessLevel, Actor},
    config::Config,
    desk::{By, Desk, Rules, Text, Written},
    store::{Family, Patience, Store},
};

use super::{NOW, WALK, WallStandsStill};
use crate::reference::walk::{Network, Token};

pub struct Order {
    pub name: &'static str,
    owner: &'static str,
    applications: &'static [&'static str],
    path: Option<&'static str>,
    network: Option<Network>,
    writes: bool,
    revoked: bool,
    /// It was issued so long ago, for a day.
    age: Duration,
}

const PLAIN: Order = Order {
    name: "reader",
    owner: "erin",
    applications: &["jira"],
    path: None,
    network: None,
    writes: false,
    revoked: false,
    age: Duration::from_secs(1),
};

pub const ORDERS: [Order; 7] = [
    PLAIN,
    Order {
        name: "writer",
        applications: &["jira", "git", "trial"],
        writes: true,
        ..PLAIN
    },
    Order {
        name: "below",
        path: Some("/rest/api/2/project"),
        writes: true,
        ..PLAIN
    },
    Order {
        name: "inside",
        applications: &["git", "wiki"],
        network: Some(([10, 0, 0, 0], 8)),
        ..PLAIN
    },
    Order {
        name: "of-mallory",
        owner: "mallory",
        writes: true,
        ..PLAIN
    },
    Order {
        name: "revoked",
        revoked: true,
        ..PLAIN
    },
    Order {
        name: "expired",
        age: Duration::from_hours(24),
        ..PLAIN
    },
];

/// The text of the token of this name, or of one that there is not.
pub fn text(name: &[u8]) -> &'static str {
    let at = ORDERS
        .iter()
        .position(|order| order.name.as_bytes() == name);
    at.map_or("axt_nobodyhasit1_x000000", |at| &WALK.texts[at])
}

/// For the reference.
pub fn issued() -> Vec<Token> {
    let tokens = ORDERS.iter().zip(&WALK.texts);
    let token = |(order, text): (&Order, &String)| Token {
        text: text.clone(),
        owner: order.owner,
        applications: order.applications,
        path: order.path,
        network: order.network,
        writes: order.writes,
        has_ended: order.revoked || order.age == Duration::from_hours(24),
    };
    tokens.map(token).collect()
}

/// Issues all of them into the store of the configuration.
pub async fn issue(config: Config) -> Vec<String> {
    let names: Vec<String> = config
        .applications
        .into_iter()
        .map(|one| one.name)
        .collect();
    let api_tokens = config.api_tokens.expect("API tokens");
    let rules = api_tokens.rules(names);
    let store = Store::open(&api_tokens.location, Patience::default()).await;
    let (store, peppers) = (
        Arc::new(store.expect("opens")),
        Arc::new(api_tokens.peppers),
    );
    let mut texts = Vec::new();
    for order in &ORDERS {
        let age = i64::try_from(order.age.as_secs()).expect("days");
        let clock = Arc::new(WallStandsStill(NOW - age));
        let desk = Desk::new(
            Arc::clone(&store),
            Arc::clone(&peppers),
            rules.clone(),
            clock,
        );
        texts.push(order.carry_out(&desk, &rules).await);
    }
    texts
}

impl Order {
    async fn carry_out(&self, desk: &Desk, rules: &Rules) -> String {
        let by = By {
            actor: Actor::command_line("fuzz"),
            source: None,
            limits: None,
        };
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let network = self
            .network
            .map(|([a, b, c, d], bits)| format!("{a}.{b}.{c}.{d}/{bits}"));
        let written = Written {
            user: self.owner,
            name: self.name,
            expires: "1d",
            access: if self.writes {
                AccessLevel::Write
            } else {
                AccessLevel::Read
            },
            applications: &owned(self.applications),
            paths: &owned(self.path.as_slice()),
            networks: network.as_slice(),
        };
        let order = rules.order(&written).expect("an order");
        let issued = desk
            .issue(order, &by)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        if self.revoked {
            let reason = Text::reason("lost").expect("a reason");
            let revoked = desk
                .revoke(issued.record.id, Family::Spared, &reason, &by)
                .await;
            assert!(revoked.is_ok_and(|first| first), "it was revoked before");
        }
        issued.token.expose().to_owned()
    }
}
