//! Far more under way than can be worked on: whoever is served is served at the usual cost, and the others are told.

use atlassian_authz::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use futures_util::{StreamExt, stream};
use tonic::transport::Channel;

use crate::{
    memory::distinct,
    process::cpu_nanos,
    support::{
        idp::Idp,
        keys::shared_es256,
        service::{Check, Outcome, Service, config_for},
    },
};

/// Enough to keep every core busy.
const FULL: usize = 32;
/// As many as sixteen connections may carry.
const TOO_MANY: usize = 8192;
const CONNECTIONS: usize = 16;
const REQUESTS: u64 = 40_000;

/// What became of the requests of a phase.
#[derive(Debug, Default)]
struct Served {
    allowed: u64,
    undecided: u64,
    /// gRPC errors, which are no answers of ours.
    failed: u64,
    /// CPU time of the service for each allow, in microseconds.
    cpu: f64,
}

/// Tokens that nobody has seen before, so many under way at a time.
async fn serve(
    clients: &[AuthorizationClient<Channel>],
    service: &Service,
    tokens: Vec<String>,
    under_way: usize,
) -> Served {
    let before = cpu_nanos(service.process.id());
    let calls = tokens.into_iter().enumerate().map(|(number, token)| {
        let mut client = clients[number % clients.len()].clone();
        let check = Check::get("/rest/api/2/myself").bearer(&token).build();
        async move { client.check(check).await }
    });
    let mut answers = stream::iter(calls).buffer_unordered(under_way);
    let mut served = Served::default();
    while let Some(answer) = answers.next().await {
        let Ok(answer) = answer else {
            served.failed += 1;
            continue;
        };
        let outcome = Outcome::of(answer.into_inner());
        match outcome.status {
            200 => {
                assert_eq!(outcome.user(), Some("alice"));
                served.allowed += 1;
            }
            503 => served.undecided += 1,
            status => panic!("{status}: {}", outcome.reason()),
        }
    }
    let cpu = cpu_nanos(service.process.id()) - before;
    served.cpu = cpu as f64 / 1000.0 / served.allowed.max(1) as f64;
    served
}

/// Fault 36. Judged by the CPU time that an allow costs: the test itself needs the same cores.
#[test]
fn of_far_too_many_nobody_gets_an_error_and_whoever_is_served_costs_no_more() {
    let idp = Idp::start();
    idp.publish(&[("es", shared_es256())]);
    let log = "log: { level: info, format: json, sample_allowed: 0.001 }\n";
    let service = Service::with_config(&format!("{}{log}", config_for(&idp)));
    let mut lots = distinct(&idp.issuer, 3 * REQUESTS).into_iter();
    let mut tokens = || -> Vec<String> {
        let mut tokens = Vec::new();
        while (tokens.len() as u64) < REQUESTS {
            tokens.extend(lots.next().expect("enough"));
        }
        tokens
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = AuthorizationClient::connect(format!("http://{}", service.grpc)).await;
            clients.push(client.expect("connects"));
        }
        let full = serve(&clients, &service, tokens(), FULL).await;
        let over = serve(&clients, &service, tokens(), TOO_MANY).await;
        let after = serve(&clients, &service, tokens(), FULL).await;
        let goodput = full.cpu / over.cpu;
        eprintln!(
            "fault 36: full {full:?}; over {over:?}: goodput x {goodput:.2}; after {after:?}"
        );
        assert_eq!((full.undecided, full.failed), (0, 0), "not too many yet");
        assert_eq!(over.failed, 0, "every answer is our own");
        assert!(over.undecided > 0, "nothing was too much");
        assert!(goodput >= 0.8, "{goodput}");
        assert_eq!((after.undecided, after.failed), (0, 0), "it has recovered");
    });
}
