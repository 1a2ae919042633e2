//! Tokens and events as people and scripts see them: in the command line's output and in the admin API.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api_token::{AccessLevel, ApiTokenId, State, TokenRecord},
    store::Event,
};

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Its public name: 12 letters and digits.
    #[schema(value_type = String, example = "x7Kd02MqZr5B")]
    pub id: ApiTokenId,
    /// Whom it stands for.
    #[schema(example = "alice")]
    pub user: String,
    /// What its owner calls it.
    #[schema(example = "nightly build")]
    pub name: String,
    /// Whether it can be used.
    pub state: State,
    /// What it may do.
    pub access: AccessLevel,
    /// Where: names of applications.
    pub applications: Vec<String>,
    /// Below which paths; empty: everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// From which networks; empty: from everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Who made it.
    pub created_by: String,
    /// RFC 3339.
    pub expires_at: String,
    /// RFC 3339, give or take minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    /// The address of its last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_reason: Option<String>,
    /// The token that it was made to replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub replaces: Option<ApiTokenId>,
    /// The token that replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub replaced_by: Option<ApiTokenId>,
}

impl TokenView {
    /// The view of a record at this moment (Unix seconds).
    pub fn of(record: &TokenRecord, now: i64) -> Self {
        let scope = &record.scope;
        let revocation = record.revocation.as_ref();
        Self {
            id: record.id,
            user: record.owner.as_str().to_owned(),
            name: record.name.clone(),
            state: record.state(now),
            access: scope.access,
            applications: scope.applications.iter().cloned().collect(),
            paths: scope.paths.iter().map(ToString::to_string).collect(),
            networks: scope.networks.iter().map(IpNet::to_string).collect(),
            created_at: moment(record.created_at),
            created_by: record.created_by.clone(),
            expires_at: moment(record.expires_at),
            last_used_at: record.last_used_at.map(moment),
            last_used_from: record.last_used_from.clone(),
            revoked_at: revocation.map(|revocation| moment(revocation.at)),
            revoked_by: revocation.map(|revocation| revocation.by.clone()),
            revoked_reason: revocation.map(|revocation| revocation.reason.clone()),
            replaces: record.replaces,
            replaced_by: record.replaced_by,
        }
    }
}

/// One line of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Grows with every event.
    pub number: i64,
    /// RFC 3339.
    pub at: String,
    /// What happened, from a closed set.
    #[schema(example = "revoked")]
    pub event: String,
    /// Who did it, if it was somebody's decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The token that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<ApiTokenId>,
    /// The token's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address from which it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    #[schema(value_type = Option<Object>)]
    pub detail: serde_json::Value,
}

impl EventView {
    /// The view of an event with its number.
    pub fn of(number: i64, event: &Event) -> Self {
        Self {
            number,
            at: moment(event.at),
            event: event.kind.as_str().to_owned(),
            actor: event.actor.clone(),
            token: event.token,
            user: event.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            source: event.source.clone(),
            detail: event.detail.clone(),
        }
    }
}

/// RFC 3339 of Unix seconds. What no calendar has is shown as the end of time.
pub fn moment(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}
