//! `assay witness minimize`.

use serde_json::{Value, json};

use super::{text, witness};
use crate::args::Minimize;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, milliseconds};

pub(super) async fn run(client: &Client, args: &Minimize, output: &Output) -> Result<Exit, CliError> {
    let id = witness::resolve(client, &args.witness).await?;
    let spinner = output.spinner(&format!("minimizing with at most {} replays", args.budget));
    let request = json!({ "budget": args.budget, "seconds": args.seconds, "arguments": args.arguments });
    let path = format!("/api/v1/witnesses/{}/minimizations", segment(&id));
    let answer = client.post(&path, &request).await;
    spinner.finish_and_clear();
    let answer = answer?;
    output.data(&answer, || describe(&answer));
    Ok(if answer["admitted"].as_bool() == Some(true) { Exit::Yes } else { Exit::Unknown })
}

fn describe(answer: &Value) -> String {
    let row =
        |what: &str, key: &str| format!("{what}: {} -> {}\n", answer["before"][key], answer["after"][key]);
    let rest = if answer["complete"].as_bool() == Some(true) { "" } else { ", stopped at its budget" };
    let admitted = if answer["admitted"].as_bool() == Some(true) { "admitted" } else { "not admitted" };
    format!(
        "witness {} of {} ({admitted}), from {}\n{}{}{}{}{}{} replays in {}{rest}",
        text(answer, "witness"),
        text(answer, "incident"),
        text(answer, "parent"),
        row("files", "files"),
        row("bytes", "bytes"),
        row("stdin bytes", "stdin_bytes"),
        row("variables", "variables"),
        row("arguments", "arguments"),
        answer["replays"],
        milliseconds(answer["milliseconds"].as_f64().unwrap_or_default()),
    )
}
