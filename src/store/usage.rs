//! When tokens are used, and from where. Written in batches, never while a request waits.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::json;

use super::{
    Event, EventKind, Store, StoreError,
    dialect::Dialect,
    row::{column, id, owner},
    statement::Statement,
};
use crate::api_token::ApiTokenId;

/// A use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of which.
    pub id: ApiTokenId,
    /// Unix seconds.
    pub at: i64,
    /// From where, if that is known.
    pub from: Option<IpAddr>,
}

/// The network that an address belongs to, as far as "a new network" goes: /24 of IPv4, /48 of IPv6.
pub fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new(address, 24)
            .map_or_else(|_| Ipv4Net::from(address).into(), |net| net.trunc().into()),
        IpAddr::V6(address) => Ipv6Net::new(address, 48)
            .map_or_else(|_| Ipv6Net::from(address).into(), |net| net.trunc().into()),
    }
}

impl Store {
    /// Notes uses: the newest of each token, unless one of the last ten minutes is noted already, and every
    /// network that a token has not been seen from. The first network of a token is no event, each later one is.
    pub async fn record_usage(&self, uses: &[Usage]) -> Result<Vec<Event>, StoreError> {
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        let (newest, seen) = (newest(uses), seen(uses));
        let mut session = self.sessions.write().await?;
        session.for_many_rows();
        let mut rows = Vec::new();
        for text in statements(session.dialect()) {
            let statement = Statement::new(text)
                .text(newest.as_str())
                .text(seen.as_str());
            rows.extend(session.rows(&statement).await?);
        }
        session.commit().await?;
        rows.iter()
            .map(|row| {
                let event = Event {
                    at: column(row, "at")?,
                    kind: EventKind::FirstUseFromNewNetwork,
                    actor: None,
                    token: None,
                    owner: None,
                    source: column(row, "source")?,
                    detail: serde_json::from_str(column(row, "detail")?)
                        .map_err(|_no_detail| StoreError::Corrupt("detail"))?,
                };
                Ok(event.about(id(row, "token")?, &owner(row)?))
            })
            .collect()
    }
}

/// Both have the texts of [`newest`] and [`seen`] as their values. Events are written before the networks that
/// they are about, or at once with them, so that "not seen before" is still to be seen.
fn statements(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Sqlite => &[
            "UPDATE api_token SET last_used_at = newest.at, last_used_from = newest.address FROM \
             (SELECT value ->> 'id' AS id, value ->> 'at' AS at, value ->> 'address' AS address \
             FROM json_each($1)) newest WHERE api_token.id = newest.id \
             AND (last_used_at IS NULL OR last_used_at < newest.at - 600)",
            "INSERT INTO api_token_event (at, event, token, owner, source, detail) \
             SELECT at, 'first_use_from_new_network', id, owner, address, json_object('network', network) FROM \
             (SELECT seen.*, token.owner, row_number() OVER (PARTITION BY seen.id ORDER BY at, network) AS nth, \
             EXISTS (SELECT 1 FROM api_token_network known WHERE known.token = seen.id) AS later FROM \
             (SELECT value ->> 'id' AS id, value ->> 'network' AS network, value ->> 'at' AS at, \
             value ->> 'address' AS address FROM json_each($2)) seen JOIN api_token token ON token.id = seen.id \
             WHERE NOT EXISTS (SELECT 1 FROM api_token_network known \
             WHERE known.token = seen.id AND known.network = seen.network)) \
             WHERE later OR nth > 1 RETURNING at, token, owner, source, detail",
            "INSERT INTO api_token_network (token, network, first_seen_at) \
             SELECT value ->> 'id', value ->> 'network', value ->> 'at' FROM json_each($2) \
             WHERE value ->> 'id' IN (SELECT id FROM api_token) ON CONFLICT DO NOTHING",
        ],
        // Rows that are being changed are left out (the next use is noted), and networks are inserted in one
        // order: so replicas cannot lock each other out.
        Dialect::Postgres => &[
            "WITH newest AS (SELECT * FROM jsonb_to_recordset(CAST($1 AS jsonb)) \
             AS newest (id TEXT, at BIGINT, address TEXT)), \
             free AS (SELECT token.id, newest.at, newest.address FROM api_token token \
             JOIN newest ON newest.id = token.id \
             WHERE token.last_used_at IS NULL OR token.last_used_at < newest.at - 600 \
             FOR NO KEY UPDATE OF token SKIP LOCKED), \
             used AS (UPDATE api_token token SET last_used_at = free.at, last_used_from = free.address \
             FROM free WHERE token.id = free.id), \
             seen AS (SELECT seen.*, token.owner, \
             row_number() OVER (PARTITION BY seen.id ORDER BY at, network) AS nth, \
             EXISTS (SELECT FROM api_token_network known WHERE known.token = seen.id) AS later \
             FROM jsonb_to_recordset(CAST($2 AS jsonb)) \
             AS seen (id TEXT, network TEXT, at BIGINT, address TEXT) JOIN api_token token ON token.id = seen.id \
             WHERE NOT EXISTS (SELECT FROM api_token_network known \
             WHERE known.token = seen.id AND known.network = seen.network)), \
             fresh AS (INSERT INTO api_token_network (token, network, first_seen_at) \
             SELECT id, network, at FROM seen ORDER BY id, network ON CONFLICT DO NOTHING \
             RETURNING token, network) \
             INSERT INTO api_token_event (at, event, token, owner, source, detail) \
             SELECT seen.at, 'first_use_from_new_network', seen.id, seen.owner, seen.address, \
             CAST(jsonb_build_object('network', seen.network) AS TEXT) FROM seen \
             JOIN fresh ON fresh.token = seen.id AND fresh.network = seen.network \
             WHERE seen.later OR seen.nth > 1 RETURNING at, token, owner, source, detail",
        ],
    }
}

/// The newest use of each token, as JSON: a batch is one value, however many it holds.
fn newest(uses: &[Usage]) -> String {
    let mut newest = BTreeMap::new();
    for used in uses {
        let known = newest.entry(used.id).or_insert(used);
        if used.at > known.at {
            *known = used;
        }
    }
    let all = newest
        .values()
        .map(|used| json!({ "id": used.id, "at": used.at, "address": used.from }));
    json!(all.collect::<Vec<_>>()).to_string()
}

/// The first use of each token from each network, as JSON.
fn seen(uses: &[Usage]) -> String {
    let mut seen = BTreeMap::new();
    for used in uses {
        let Some(address) = used.from else { continue };
        let first = seen
            .entry((used.id, network_of(address)))
            .or_insert((used.at, address));
        *first = (*first).min((used.at, address));
    }
    let all = seen.iter().map(|((id, network), (at, address))| {
        json!({ "id": id, "network": network, "at": at, "address": address })
    });
    json!(all.collect::<Vec<_>>()).to_string()
}
