//! The admin API, below `/api/v1/`: API tokens, checks that are explained, what a provider says of a token.
//!
//! No other site can use it through a browser: nothing but the `Authorization` header authenticates, bodies are
//! JSON by their exact type, and what says that it comes from elsewhere is refused.

mod caller;
mod check;
mod document;
mod events;
mod input;
mod page;
mod problem;
mod shapes;
mod tokens;
mod users;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use utoipa_axum::router::OpenApiRouter;

pub use document::document;

use crate::{
    config::AdminConfig, desk::Desk, grpc::Checks, inspect::Inspector, provider::Selector,
};
use problem::Problem;

/// Where the resources are.
const PREFIX: &str = "/api/v1";
const FETCH_SITE: &str = "sec-fetch-site";

/// Everything that the API works with.
pub struct Api {
    /// Who may do what.
    pub rights: AdminConfig,
    /// Whose tokens callers may show.
    pub selector: Arc<Selector>,
    /// Verifies callers.
    pub checks: Arc<Checks>,
    /// Answers checks that nobody has made.
    pub trials: Checks,
    /// Each provider alone.
    pub inspectors: Arc<Vec<Inspector>>,
    /// Our own tokens; `None`: there are none.
    pub desk: Option<Desk>,
    /// Provider → the applications that accept it.
    pub applications: BTreeMap<String, BTreeSet<String>>,
}

impl Api {
    fn desk(&self) -> Result<&Desk, Problem> {
        self.desk.as_ref().ok_or_else(|| {
            let detail = "There are no API tokens: the configuration has no section 'api_tokens'.";
            Problem::new(StatusCode::NOT_FOUND, "api_tokens_disabled", detail)
        })
    }
}

/// Everything below `/api/`.
pub(super) fn router(api: Arc<Api>) -> Router {
    let (resources, _) = routes().split_for_parts();
    let resources = resources.method_not_allowed_fallback(async || Problem::no_method());
    let below = Router::new()
        .nest("/v1", resources)
        .fallback(async || Problem::no_route())
        .layer(middleware::from_fn(guard));
    // What is nested does not begin with a slash alone.
    let slash = any(async || Problem::no_route()).layer(middleware::from_fn(guard));
    Router::new()
        .nest("/api", below)
        .route("/api/", slash)
        .with_state(api)
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(document::frame())
        .merge(tokens::router())
        .merge(users::router())
        .merge(events::router())
        .merge(check::router())
        .merge(document::router())
}

async fn guard(request: Request, next: Next) -> Response {
    let mut response = if !request.method().is_safe() && is_from_elsewhere(request.headers()) {
        let detail = "Requests of web pages are refused.";
        Problem::new(StatusCode::FORBIDDEN, "cross_site", detail).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Browsers say so themselves, and a page cannot keep them from it (Fetch §3.2, Fetch Metadata §2.4).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).iter();
    headers.contains_key(header::ORIGIN)
        || sites.any(|site| site != "none" && site != "same-origin")
}
