//! What is remembered has an end, whoever sends what.

use std::{
    env,
    sync::mpsc::{self, Receiver},
    thread,
};

use atlassian_authz::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use futures_util::{StreamExt, stream};
use tonic::transport::Channel;

use crate::{
    process::resident_kib,
    support::{
        idp::Idp,
        keys::shared_es256,
        service::{Check, Outcome, Service, config_for},
        tokens::{Token, unix_now},
    },
};

/// Distinct tokens, unless `FAULTS_TOKENS` says otherwise.
const TOKENS: u64 = 1_000_000;
/// Tokens that are shown again and again meanwhile: one request in five.
const HOT: usize = 200;
const BETWEEN_HOT: usize = 4;
const LIMIT_MIB: u64 = 128;
/// Tokens that are made ahead of those who show them.
const LOT: u64 = 2_000;

fn token(issuer: &str, number: u64) -> String {
    let token = Token::of(issuer).header("kid", "es").header("alg", "ES256");
    let token = token.claim("jti", format!("cnry{number}"));
    token
        .claim("exp", unix_now() + 12 * 3600)
        .signed_by(shared_es256())
}

/// Distinct tokens, made on a thread of their own.
pub fn distinct(issuer: &str, count: u64) -> Receiver<Vec<String>> {
    let (sender, ready) = mpsc::sync_channel(4);
    let issuer = issuer.to_owned();
    thread::spawn(move || {
        for begin in (0..count).step_by(usize::try_from(LOT).expect("64 bits")) {
            let lot = begin..(begin + LOT).min(count);
            if sender
                .send(lot.map(|number| token(&issuer, number)).collect())
                .is_err()
            {
                return;
            }
        }
    });
    ready
}

/// Shows all of these at a time; each must be alice's.
async fn show(clients: &[AuthorizationClient<Channel>], tokens: &[&String]) {
    let calls = tokens.iter().enumerate().map(|(number, token)| {
        let mut client = clients[number % clients.len()].clone();
        let check = Check::get("/rest/api/2/myself").bearer(token).build();
        async move {
            let answer = client.check(check).await.expect("an answer");
            Outcome::of(answer.into_inner())
        }
    });
    let mut answers = stream::iter(calls).buffer_unordered(32);
    while let Some(outcome) = answers.next().await {
        assert_eq!(outcome.user(), Some("alice"), "{}", outcome.reason());
    }
}

/// Fault 43.
#[test]
fn a_million_distinct_tokens_stay_within_128_mib_and_push_out_nothing_that_is_used() {
    const HITS: &str = "atlassian_authz_cache_requests_total{result=\"hit\"} ";
    let text = env::var("FAULTS_TOKENS").ok();
    let count = text.map_or(TOKENS, |text| text.parse().expect("a number"));
    let idp = Idp::start();
    idp.publish(&[("es", shared_es256())]);
    // Every line of a million would be kept by this process.
    let log = "log: { level: info, format: json, sample_allowed: 0.001 }\n";
    let service = Service::with_config(&format!("{}{log}", config_for(&idp)));
    let hot: Vec<_> = (0..HOT as u64)
        .map(|number| token(&idp.issuer, u64::MAX - number))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let shown = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = AuthorizationClient::connect(format!("http://{}", service.grpc)).await;
            clients.push(client.expect("connects"));
        }
        show(&clients, &hot.iter().collect::<Vec<_>>()).await;
        let mut shown = 0;
        for lot in distinct(&idp.issuer, count) {
            let mut mixed = Vec::new();
            for (number, distinct) in lot.iter().enumerate() {
                mixed.push(distinct);
                if number % BETWEEN_HOT == 0 {
                    mixed.push(&hot[shown % HOT]);
                    shown += 1;
                }
            }
            show(&clients, &mixed).await;
        }
        shown
    });
    // Nothing but those that are shown again can be a hit.
    let ratio = service.metric(HITS) / shown as f64;
    let (now, most) = resident_kib(service.process.id());
    eprintln!(
        "fault 43: {count} distinct tokens: {} MiB, {} MiB at most; {:.2} % of {shown} uses of {HOT} others were hits",
        now / 1024,
        most / 1024,
        ratio * 100.0
    );
    assert!(most < LIMIT_MIB * 1024, "{most} KiB");
    assert!(ratio >= 0.95, "{ratio}");
    let log = service.process.output();
    assert!(
        !log.contains("eyJ") && !log.contains("cnry"),
        "a token in the log"
    );
}
