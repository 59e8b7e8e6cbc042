//! `assay witness minimize` and `requalify`.

use serde_json::{Value, json};

use super::{list, text, witness};
use crate::args::Minimize;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, milliseconds, table};

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

pub(super) async fn requalify(
    client: &Client,
    incident: Option<&str>,
    accept: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let spinner = output.spinner("asking stored verdicts again");
    let answer =
        client.post("/api/v1/requalifications", &json!({ "incident": incident, "accept": accept })).await;
    spinner.finish_and_clear();
    let answer = answer?;
    output.data(&answer, || {
        let row = |change: &Value| {
            let verdicts = format!("{} -> {}", text(change, "from"), text(change, "to"));
            vec![
                text(change, "incident").to_owned(),
                verdicts,
                text(change, "reason").to_owned(),
                text(change, "artifact").to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = list(&answer, "changes").iter().map(row).collect();
        format!(
            "{}{} unchanged under runner {}",
            table(&rows),
            answer["unchanged"],
            text(&answer, "runner_version")
        )
    });
    Ok(if list(&answer, "changes").is_empty() { Exit::Yes } else { Exit::No })
}
