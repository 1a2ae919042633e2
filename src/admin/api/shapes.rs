//! Bodies of requests and answers. One doc comment serves the OpenAPI document and the reader of this file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api_token::{AccessLevel, ApiTokenId},
    desk::{EventView, TokenView},
};

/// An order for a token. Nothing in it may hold a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenOrder {
    /// Whom it stands for. Absent: the caller. Somebody else: administrators only.
    #[schema(example = "alice")]
    pub(super) user: Option<String>,
    /// What it is for, in a few words.
    #[schema(example = "nightly build")]
    pub(super) name: String,
    /// When it ends, from now.
    #[schema(example = "90d")]
    pub(super) expires: String,
    /// What it may do. Absent: read.
    pub(super) access: Option<AccessLevel>,
    /// Names of the applications that it is for; at least one.
    #[schema(example = json!(["jira"]))]
    pub(super) applications: Vec<String>,
    /// Paths below which it may be used, as clients write them. Absent: everywhere.
    #[schema(example = json!(["/rest/api/2/project"]))]
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// Networks from which it may be used. Absent: from everywhere.
    #[schema(example = json!(["10.0.0.0/8"]))]
    #[serde(default)]
    pub(super) networks: Vec<String>,
}

/// An order for a successor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationOrder {
    /// When the new token ends, from now. Absent: it lasts as long as the old one did.
    #[schema(example = "90d")]
    pub(super) expires: Option<String>,
    /// How long the old token works on, at most 7d. Absent: `api_tokens.rotation_overlap`.
    #[schema(example = "24h")]
    pub(super) overlap: Option<String>,
}

/// Why something is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// For the audit trail. May not hold a token.
    #[schema(example = "left the company")]
    pub(super) reason: String,
}

/// Nothing to say: `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::empty_structs_with_brackets,
    reason = "an empty object; without brackets it would be null"
)]
pub(super) struct Nothing {}

/// An order to end a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationOrder {
    /// For the audit trail. May not hold a token.
    #[schema(example = "not needed any more")]
    pub(super) reason: String,
    /// Also end the tokens that it replaced, and those that replaced it.
    #[serde(default)]
    pub(super) family: bool,
}

/// A token that somebody has found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakedToken {
    /// The whole token.
    #[schema(example = "axt_x7Kd02MqZr5B_...")]
    pub(super) token: String,
    /// Where it was found, for the audit trail. May not hold a token.
    #[schema(example = "found in a public repository")]
    pub(super) reason: String,
}

/// A request to be decided about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckOrder {
    /// The application, as Envoy's `context_extensions` would name it.
    #[schema(example = "jira")]
    pub(super) application: Option<String>,
    /// The host that the client calls.
    #[schema(example = "jira-api.example.com")]
    pub(super) host: String,
    /// The path, with its query if there is one.
    #[schema(example = "/rest/api/2/myself")]
    pub(super) path: String,
    /// The HTTP method. Absent: GET.
    #[schema(example = "GET")]
    pub(super) method: Option<String>,
    /// Further request headers. None of them may be a credential.
    #[serde(default)]
    pub(super) headers: Vec<HeaderLine>,
    /// The address that the request comes from.
    #[schema(example = "10.1.2.3")]
    pub(super) source: Option<String>,
    /// The bearer token of the request.
    pub(super) bearer: Option<String>,
    /// The `user:token` of `Basic` authentication, instead of a bearer token.
    pub(super) basic: Option<String>,
}

/// A request header.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderLine {
    /// Its name.
    #[schema(example = "accept")]
    pub(super) name: String,
    /// Its value.
    #[schema(example = "application/json")]
    pub(super) value: String,
}

/// A token of an identity provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownToken {
    /// The token alone, without a scheme.
    pub(super) token: String,
}

/// A new token, and the only time that its text can be seen.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedView {
    /// The token.
    #[serde(flatten)]
    pub(super) view: TokenView,
    /// Its text. Nobody can show it again.
    #[schema(example = "axt_x7Kd02MqZr5B_...")]
    pub(super) token: String,
}

/// A page of tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenPage {
    /// The newest first.
    pub(super) items: Vec<TokenView>,
    /// The `after` of the next page. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// A page of the audit trail.
#[derive(Serialize, ToSchema)]
pub(super) struct EventPage {
    /// The newest first.
    pub(super) items: Vec<EventView>,
    /// The `after` of the next page. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// Whether a token was ended by this request.
#[derive(Serialize, ToSchema)]
pub(super) struct RevocationView {
    /// Which token.
    #[schema(value_type = String, example = "x7Kd02MqZr5B")]
    pub(super) id: ApiTokenId,
    /// It had been ended before.
    pub(super) was_revoked: bool,
}

/// The tokens that were ended.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedTokens {
    /// Their ids.
    #[schema(value_type = Vec<String>, example = json!(["x7Kd02MqZr5B"]))]
    pub(super) revoked: Vec<ApiTokenId>,
}
