//! The OpenAPI document. It comes from the routes, and what it says of bodies is what bodies are held against.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use jsonschema::Validator;
use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::problem::{MEDIA_TYPE, Problem};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> =
    LazyLock::new(|| validators(&document()));

/// What is the same for all operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "atlassian-authz admin API",
        description = "API tokens and the decisions of atlassian-authz. Served on `listen.admin` when the configuration \
                       has a section `admin`. Every problem is an RFC 9457 document; `code` is a stable word."
    ),
    servers((url = "/api/v1")),
    security(("provider_token" = [])),
    components(schemas(Problem)),
    modifiers(&Scheme),
    tags(
        (name = "tokens", description = "API tokens. Administrators manage all of them, users their own with `self_service`."),
        (name = "users", description = "All tokens of a user at once."),
        (name = "events", description = "The audit trail."),
        (name = "checks", description = "What the service decides, and what it decides upon."),
        (name = "document", description = "This document."),
    )
)]
struct Frame;

struct Scheme;

impl Modify for Scheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of one of the providers that `admin.providers` names, in exactly one Authorization header. \
                 Neither Basic nor an API token is accepted.",
            ))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("provider_token", SecurityScheme::Http(scheme));
    }
}

/// The document without its routes.
pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// The routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(openapi_document))
}

/// Read this document
#[utoipa::path(
    get, path = "/openapi.json", tag = "document", security(()),
    responses((status = 200, description = "The document.", body = Object, content_type = "application/json"))
)]
async fn openapi_document() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.as_str()).into_response()
}

/// The whole document.
pub fn document() -> Value {
    let mut document = super::routes().into_openapi();
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post];
        for operation in operations.into_iter().flatten() {
            add_problems(path, operation);
        }
    }
    json!(document)
}

/// The problems that operations of a kind have in common.
fn add_problems(path: &str, operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let authenticates = operation.security.is_none();
    let is_about_tokens = operation.tags.iter().flatten().any(|tag| tag != "checks");
    let has_input = has_body || operation.parameters.is_some();
    for (applies, status, description) in [
        (
            has_input,
            "400",
            "The request breaks a rule; `member` says which of its members.",
        ),
        (authenticates, "401", "There is no good bearer token."),
        (
            authenticates,
            "403",
            "The caller is known and may not do this, or the request comes from another site.",
        ),
        (
            is_about_tokens || path.contains('{'),
            "404",
            "There is no such thing, or there are no API tokens here.",
        ),
        (has_body, "408", "The body did not arrive in time."),
        (has_body, "413", "The body is too large."),
        (has_body, "415", "The body is not `application/json`."),
        (
            authenticates,
            "503",
            "It cannot be found out right now; `Retry-After` says when to try again.",
        ),
    ] {
        if applies && authenticates {
            let problem = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(problem)).build();
            let response = ResponseBuilder::new()
                .description(description)
                .content(MEDIA_TYPE, content)
                .build();
            let responses = &mut operation.responses.responses;
            responses
                .entry(status.to_owned())
                .or_insert_with(|| response.into());
        }
    }
}

/// What holds a body against the schema of this name.
pub(super) fn validator(name: &str) -> Option<&'static Validator> {
    VALIDATORS.get(name)
}

fn validators(document: &Value) -> BTreeMap<String, Validator> {
    let components = document.get("components").cloned().unwrap_or_default();
    let schemas = components.get("schemas").and_then(Value::as_object);
    let names = schemas.into_iter().flat_map(|schemas| schemas.keys());
    let validator = |name: &String| {
        let schema =
            json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
        Some((name.clone(), jsonschema::validator_for(&schema).ok()?))
    };
    names.filter_map(validator).collect()
}
