//! `serve`

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{ERROR, NO, YES, complain};
use crate::{
    app::{App, Control, Source},
    clock::SystemClock,
    config::Config,
    telemetry,
};

pub(super) fn run(file: &Path) -> u8 {
    let (config, files) = Config::read(file);
    let config = match config {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return NO;
        }
    };
    let source = Source {
        path: file.to_owned(),
        files,
    };
    match serve(config, source) {
        Ok(()) => YES,
        Err(error) => {
            complain(format!("atlassian-authz: {error:#}"));
            ERROR
        }
    }
}

/// The control runtime accepts connections, fetches keys and answers operators; checks are decided
/// on threads of their own.
fn serve(config: Config, source: Source) -> anyhow::Result<()> {
    let logging = telemetry::init(config.log)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let control = signals()?;
        let app = App::build(config, Arc::new(SystemClock))?.logging_to(&logging);
        Box::pin(app.serve(control, Some(source))).await?;
        anyhow::Ok(())
    });
    // What is left is left: tasks that fetch keys have no end of their own.
    runtime.shutdown_background();
    served
}

/// SIGTERM and SIGINT stop, as often as they come; SIGHUP reloads.
fn signals() -> anyhow::Result<Control> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let (to_stop, stop) = mpsc::channel(2);
    let (to_reload, reload) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "lives as long as the process")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    // What is read then is what is there then.
                    let _asked_already = to_reload.try_send(());
                    continue;
                }
            }
            if to_stop.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(Control { stop, reload })
}
