//! `health`: a gRPC health client, for probes that can only run a command.

use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, runtime, time::timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{NO, YES, complain, say};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(address: &str, service: String) -> u8 {
    match ask(address, service) {
        Ok(ServingStatus::Serving) => {
            say("SERVING");
            YES
        }
        Ok(status) => {
            say(status.as_str_name());
            NO
        }
        Err(error) => {
            complain(format!("{address}: {error:#}"));
            NO
        }
    }
}

fn ask(address: &str, service: String) -> anyhow::Result<ServingStatus> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let asked = async {
            let mut client = HealthClient::new(connect(address).await?);
            let answer = client.check(HealthCheckRequest { service }).await;
            let answer = answer.map_err(|status| anyhow::anyhow!("{}", status.code()))?;
            anyhow::Ok(answer.into_inner().status())
        };
        timeout(PATIENCE, asked)
            .await
            .context("no answer within 2 seconds")?
    })
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let Some(path) = address.strip_prefix("unix:") else {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        return endpoint.connect().await.context("cannot connect");
    };
    let path = path.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address is never used: the connector knows the path.
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint
        .connect_with_connector(connector)
        .await
        .context("cannot connect")
}
