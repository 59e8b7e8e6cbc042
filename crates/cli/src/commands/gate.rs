//! `assay gate`.

use serde_json::{Value, json};

use super::{list, text};
use crate::args::Gate;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) async fn run(client: &Client, command: &Gate, output: &Output) -> Result<Exit, CliError> {
    match command {
        Gate::Explain { decision } => {
            let answer = client.get(&format!("/api/v1/decisions/{}/explanation", segment(decision))).await?;
            output.data(&answer, || describe(&answer));
            Ok(Exit::Yes)
        }
        Gate::Replay { decision } => {
            let path = format!("/api/v1/decisions/{}/replays", segment(decision));
            let answer = client.post(&path, &json!({})).await?;
            let same = answer["same"].as_bool() == Some(true);
            output.data(&answer, || {
                let word = if same { "the same decision" } else { "ANOTHER decision" };
                format!("{word}: {} {}", text(&answer, "decision"), text(&answer, "determinismHash"))
            });
            Ok(if same { Exit::Yes } else { Exit::Trust })
        }
    }
}

fn describe(answer: &Value) -> String {
    let mut lines = format!(
        "{}  {}  {}\n",
        text(answer, "decision"),
        text(answer, "release"),
        text(answer, "evaluatedAtUtc")
    );
    for rule in list(answer, "rules") {
        let reasons: Vec<&str> = list(rule, "reasonCodes").iter().filter_map(Value::as_str).collect();
        lines.push_str(&format!(
            "\n{}  {}  {}\n",
            text(rule, "outcome"),
            text(rule, "rule"),
            reasons.join(", ")
        ));
        for item in list(rule, "evidence") {
            let statement = item["statement"].as_str().unwrap_or("no statement");
            let mode = item["mode"].as_str().unwrap_or("-");
            lines.push_str(&format!(
                "    {}  {} ({mode}, {})  {statement}\n",
                text(item, "incident"),
                text(item, "verdict"),
                text(item, "reason")
            ));
        }
    }
    lines.push_str(&format!(
        "\npolicy {}\nhash   {}\n",
        text(answer, "policyDigest"),
        text(answer, "determinismHash")
    ));
    lines
}
