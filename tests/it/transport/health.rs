//! gRPC health, readiness and reflection: what Kubernetes, Envoy and people with grpcurl ask.

use std::process::Command;

use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::runtime::Runtime;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{connect, end_of, runtime};
use crate::support::{
    children::Running,
    eventually,
    idp::{Answer, DISCOVERY, Idp},
    service::{Service, config_for},
    tokens::Token,
};

pub const AUTHORIZATION: &str = "envoy.service.auth.v3.Authorization";
/// Everything that follows readiness.
const READINESS: [&str; 3] = ["", AUTHORIZATION, "readiness"];

pub fn ask(runtime: &Runtime, channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = runtime.block_on(HealthClient::new(channel.clone()).check(request));
    answer
        .map(|answer| answer.into_inner().status())
        .map_err(|status| status.code())
}

/// Runs the command that exec probes run: exit code and what it printed.
pub fn command(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"));
    command.arg("health").args(arguments);
    let mut process = Running::start(command);
    end_of(&mut process, "\n")
}

#[test]
fn it_is_ready_when_every_provider_has_been_asked_once_and_live_before() {
    let idp = Idp::start();
    idp.answer(DISCOVERY, Answer::Held(idp.discovery().to_string()));
    let mut service = Service::unready(&config_for(&idp));
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));

    for name in READINESS {
        let status = ask(&runtime, &channel, name);
        assert_eq!(status, Ok(ServingStatus::NotServing), "{name:?}");
    }
    let live = ask(&runtime, &channel, "liveness");
    assert_eq!(live, Ok(ServingStatus::Serving));
    assert_eq!(service.admin_page("/readyz").0, 503);
    assert_eq!(service.admin_page("/livez").0, 200);
    assert!(service.admin_page("/statusz").1.contains("\"ready\":false"));
    assert_eq!(command(&[&service.grpc]), (Some(1), "NOT_SERVING\n".into()));

    idp.release();
    service.process.wait_for("readiness", |line| {
        line.contains("\"message\":\"ready\"").then_some(())
    });

    for name in READINESS {
        let status = ask(&runtime, &channel, name);
        assert_eq!(status, Ok(ServingStatus::Serving), "{name:?}");
    }
    assert_eq!(service.admin_page("/readyz"), (200, "ok\n".to_owned()));
    assert!(service.admin_page("/statusz").1.contains("\"ready\":true"));
    let token = Token::of(&idp.issuer).signed();
    assert_eq!(service.check_token(&token).user(), Some("alice"));

    for unknown in ["envoy.service.auth.v2.Authorization", "x", " "] {
        let status = ask(&runtime, &channel, unknown);
        assert_eq!(status, Err(Code::NotFound), "{unknown:?}");
    }
    let serving = (Some(0), "SERVING\n".to_owned());
    assert_eq!(command(&[&service.grpc]), serving);
    for name in ["liveness", "readiness", AUTHORIZATION] {
        assert_eq!(command(&[&service.grpc, "--service", name]), serving);
    }
    assert_eq!(command(&[&service.grpc, "--service", "x"]).0, Some(1));

    let watched = HealthCheckRequest::default();
    let mut watch = runtime
        .block_on(HealthClient::new(channel.clone()).watch(watched))
        .expect("watches")
        .into_inner();
    let mut next = || {
        let message = runtime.block_on(watch.message());
        message.expect("no error").map(|answer| answer.status())
    };
    assert_eq!(next(), Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(), Some(ServingStatus::NotServing));
    drop((watch, channel));
    assert_eq!(service.process.wait().code(), Some(0));
    let (code, said) = command(&[&service.grpc]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot connect"), "{said}");
}

#[test]
fn it_is_ready_although_its_providers_are_unreachable() {
    let idp = Idp::start();
    let config = config_for(&idp);
    let token = Token::of(&idp.issuer).signed();
    let port = idp.port();
    drop(idp);
    eventually("a refused port", || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });

    let mut service = Service::with_config(&config);

    assert_eq!(service.admin_page("/readyz").0, 200);
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    let ready = ask(&runtime, &channel, AUTHORIZATION);
    assert_eq!(ready, Ok(ServingStatus::Serving));
    let outcome = service.check_token(&token);
    assert_eq!(outcome.status, 503);
    assert_eq!(outcome.reason(), "provider_keys_not_loaded");
}

#[test]
fn reflection_describes_the_services() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let runtime = runtime();
    let mut client = ServerReflectionClient::new(runtime.block_on(connect(&service.grpc)));
    let mut ask = |question: MessageRequest| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        runtime.block_on(async {
            let asked = tokio_stream::iter([request]);
            let answers = client.server_reflection_info(asked).await;
            let answer = answers.expect("reflects").into_inner().message().await?;
            let answer = answer.and_then(|answer| answer.message_response);
            Ok::<_, tonic::Status>(answer.expect("an answer"))
        })
    };

    let Ok(MessageResponse::ListServicesResponse(list)) =
        ask(MessageRequest::ListServices(String::new()))
    else {
        panic!("no list");
    };
    let mut names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            AUTHORIZATION,
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection"
        ]
    );

    let symbol = format!("{AUTHORIZATION}.Check");
    let Ok(MessageResponse::FileDescriptorResponse(file)) =
        ask(MessageRequest::FileContainingSymbol(symbol))
    else {
        panic!("no file");
    };
    let file = FileDescriptorProto::decode(&*file.file_descriptor_proto[0]).expect("decodes");
    let method = &file.service[0].method[0];
    assert_eq!(method.name(), "Check");
    assert_eq!(method.input_type(), ".envoy.service.auth.v3.CheckRequest");
    assert_eq!(method.output_type(), ".envoy.service.auth.v3.CheckResponse");
    for dependency in file.dependency {
        let answer = ask(MessageRequest::FileByFilename(dependency.clone()));
        let found = matches!(answer, Ok(MessageResponse::FileDescriptorResponse(_)));
        assert!(found, "{dependency}");
    }

    let nothing = ask(MessageRequest::FileContainingSymbol("x.Y".to_owned()));
    assert_eq!(nothing.map_err(|status| status.code()), Err(Code::NotFound));
}
