//! `assay witness debug`: a replay stopped where it matters, for gdb.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;

use assay_witness::debug::{Connection, GdbServer, StopReason};
use assay_witness::{Ending, Host, ReplayRequest, replay, replay_debugged};
use serde_json::json;

use super::{role_and_path, witness};
use crate::args::WitnessDebug;
use crate::client::Client;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Lines of the trace that `monitor trace` can show.
const MAX_TRACE: usize = 1_000_000;

pub(super) async fn run(client: &Client, args: &WitnessDebug, output: &Output) -> Result<Exit, CliError> {
    if !args.listen.ip().is_loopback() {
        let message = format!("{} is no loopback address", args.listen);
        return Err(CliError::usage(message, "gdb's protocol knows no password; forward the port with ssh"));
    }
    let host = Host::probe()?;
    let folder = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let (answer, capsule, files) = witness::fetched(client, &args.witness, folder.path()).await?;
    let substitutions: BTreeMap<String, PathBuf> =
        args.subject.iter().map(|text| role_and_path(text)).collect::<Result<_, _>>()?;
    let listener = TcpListener::bind(args.listen)
        .map_err(|error| CliError::environment("the address cannot be listened on", &error))?;
    let address =
        listener.local_addr().map_err(|error| CliError::environment("the address has no port", &error))?;
    let mut request = ReplayRequest {
        substitutions,
        stop_at: args.event,
        keep_trace: Some(MAX_TRACE),
        ..ReplayRequest::default()
    };
    let output_of_server = output.clone();
    let id = answer["witness"].clone();
    let accept = move |reason: StopReason| {
        let stop = describe(reason);
        let ready = json!({ "witness": id, "listen": address.to_string(), "stopped": stop });
        output_of_server.data(&ready, || format!("{stop}\nconnect with: gdb -ex 'target remote {address}'"));
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream) as Box<dyn Connection>)
    };
    let report = tokio::task::block_in_place(|| {
        if request.stop_at.is_none() && replay(&capsule, &files, &request, &host)?.faults.is_empty() {
            request.stop_at = Some(1);
        }
        replay_debugged(&capsule, &files, &request, &host, Box::new(GdbServer::new(Box::new(accept))))
    })?;
    if let Ending::Unsupported { code, detail } = &report.ending
        && code != "stopped_on_request"
    {
        return Err(CliError::refused(
            "run_unsupported",
            format!("{code}: {detail}"),
            "see docs/runner-hosts.md",
        ));
    }
    Ok(Exit::Yes)
}

fn describe(reason: StopReason) -> String {
    match reason {
        StopReason::Event(event) => format!("stopped after event {event}"),
        StopReason::Signal(signal) => format!("stopped at signal {signal}, before it is delivered"),
        StopReason::Exited(code) => format!("the run exited with {code} before any stop"),
        StopReason::Killed(signal) => format!("the run was ended by signal {signal}"),
        StopReason::Breakpoint | StopReason::Step => "stopped".to_owned(),
    }
}
