//! The floor: the least that a gRPC service of this protocol can cost. tonic as it comes, on tokio's
//! default runtime, the same generated code, one constant answer, no log.
//!
//! The answer is the shortest that lets a request in as somebody. Envoy pays for what an answer says, too, so there is
//! another floor, which says what the service would.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
    thread,
};

use atlassian_authz::pb::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    service::auth::v3::{
        CheckRequest, CheckResponse, OkHttpResponse,
        authorization_server::{Authorization, AuthorizationServer},
        check_response::HttpResponse,
    },
};
use atlassian_authz::pb::google::rpc;
use prost_types::{Struct, Value};
use tokio::{net::UnixListener, runtime::Runtime, sync::oneshot};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Whom the floor lets everybody in as.
pub const USER: &str = "alice";

/// Serves at an address or a `unix:/path` until standard input ends: whoever started it is gone then.
pub fn run(address: &str, tells: bool) -> ExitCode {
    let answer = if tells { telling() } else { shortest() };
    let (gone, parent_gone) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = gone.send(());
    });
    Runtime::new().expect("a runtime").block_on(async {
        tokio::select! {
            () = serve(address, answer) => {}
            _ = parent_gone => {}
        }
    });
    ExitCode::SUCCESS
}

async fn serve(address: &str, answer: CheckResponse) {
    let router = Server::builder().add_service(AuthorizationServer::new(AllowAll(answer)));
    let served = if let Some(path) = address.strip_prefix("unix:") {
        let listener = UnixListener::bind(path).expect("a socket");
        announce(address);
        let incoming = UnixListenerStream::new(listener);
        router.serve_with_incoming(incoming).await
    } else {
        // As `Server::serve` does.
        let incoming = TcpIncoming::bind(address.parse().expect("an address"))
            .expect("a port")
            .with_nodelay(Some(true));
        announce(&incoming.local_addr().expect("bound").to_string());
        router.serve_with_incoming(incoming).await
    };
    served.expect("serves");
}

/// Tells whoever started it where it is.
fn announce(address: &str) {
    println!("{address}");
    io::stdout().flush().expect("a reader");
}

struct AllowAll(CheckResponse);

#[tonic::async_trait]
impl Authorization for AllowAll {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

fn shortest() -> CheckResponse {
    allow(&["authorization"], None)
}

/// As long as what the service says of a JWT.
fn telling() -> CheckResponse {
    let removed = [
        "authorization",
        "proxy-authorization",
        "dpop",
        "cookie",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    let told = [
        ("application", "jira"),
        ("credential", "jwt"),
        ("provider", "idp0"),
        ("reason", "token_valid"),
        ("token_id", "0123456789abcdef"),
        ("user", USER),
    ];
    let told = told.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let told = Struct {
        fields: told.into(),
    };
    allow(&removed, Some(told))
}

fn allow(removed: &[&str], told: Option<Struct>) -> CheckResponse {
    let user = HeaderValueOption {
        header: Some(HeaderValue {
            key: "x-remote-user".to_owned(),
            value: USER.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    };
    CheckResponse {
        status: Some(rpc::Status { code: 0 }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: vec![user],
            headers_to_remove: removed.iter().map(|name| (*name).to_owned()).collect(),
        })),
        dynamic_metadata: told,
    }
}
