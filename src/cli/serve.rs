//! `serve`

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{ERROR, NO, YES, complain};
use crate::{app::App, clock::SystemClock, config::Config, telemetry};

pub(super) fn run(file: &Path) -> u8 {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return NO;
        }
    };
    match serve(config) {
        Ok(()) => YES,
        Err(error) => {
            complain(format!("atlassian-authz: {error:#}"));
            ERROR
        }
    }
}

/// The control runtime accepts connections, fetches keys and answers operators; checks are decided
/// on threads of their own.
fn serve(config: Config) -> anyhow::Result<()> {
    let _log = telemetry::init(config.log)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let stop = signals()?;
        let app = App::build(config, Arc::new(SystemClock))?;
        app.serve(stop).await?;
        anyhow::Ok(())
    });
    // What is left is left: tasks that fetch keys have no end of their own.
    runtime.shutdown_background();
    served
}

/// SIGTERM and SIGINT, as often as they come.
fn signals() -> anyhow::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (sender, receiver) = mpsc::channel(2);
    #[expect(clippy::disallowed_methods, reason = "lives as long as the process")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
