//! `assay serve`.

use assay_evidence::Timestamp;
use assay_server::{Access, ServeError};

use crate::args::{Global, Serve};
use crate::client::{open_app, tenant};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;

pub(super) async fn run(global: &Global, args: &Serve, output: &Output) -> Result<Exit, CliError> {
    let owner = Access::Owner(tenant(global)?);
    let probe = open_app(global, owner.clone()).await?;
    let tokens = probe.tokens().any(Timestamp::now()).await;
    let has_tokens = tokens.map_err(|error| CliError::environment("the tokens cannot be read", &error))?;
    if !has_tokens && !args.listen.ip().is_loopback() {
        let error = ServeError::NotLoopback { address: args.listen };
        let hint = "make a token with `assay token new --scope read`, or listen on 127.0.0.1";
        return Err(CliError::refused("not_loopback", error.to_string(), hint));
    }
    let app = if has_tokens { open_app(global, Access::Tokens).await? } else { probe };
    let ready = |address| {
        if output.json() {
            output.line(&serde_json::json!({ "listening": format!("http://{address}") }).to_string());
        } else {
            output.line(&format!("listening on http://{address}"));
        }
    };
    let served = assay_server::serve(app, args.listen, ready, stop()).await;
    served.map_err(|error| {
        CliError::new(Exit::Environment, "cannot_listen", chain(&error), "choose another --listen")
    })?;
    Ok(Exit::Yes)
}

/// Ends at SIGINT or SIGTERM.
async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
