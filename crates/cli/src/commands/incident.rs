//! `assay incident`.

use assay_verify::IncidentDefinition;
use serde_json::json;

use super::{handover, list, read_input, text};
use crate::args::Incident;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, milliseconds, table};

/// The largest definition.
const MAX_DEFINITION: u64 = 1 << 20;

pub(super) async fn run(client: &Client, command: &Incident, output: &Output) -> Result<Exit, CliError> {
    match command {
        Incident::List => {
            let answer = client.get("/api/v1/incidents").await?;
            output.data(&answer, || {
                let rows: Vec<Vec<String>> = list(&answer, "incidents")
                    .iter()
                    .map(|incident| {
                        let witnesses = list(incident, "witnesses").len();
                        let words = if witnesses == 1 {
                            "1 witness".to_owned()
                        } else {
                            format!("{witnesses} witnesses")
                        };
                        vec![
                            text(incident, "id").to_owned(),
                            text(incident, "role").to_owned(),
                            words,
                            text(incident, "title").to_owned(),
                        ]
                    })
                    .collect();
                table(&rows)
            });
            Ok(Exit::Yes)
        }
        Incident::Show { id } => show(client, id, output).await,
        Incident::Bundle { id, output: file } => handover::bundle(client, id, file, output).await,
        Incident::Import { file, trust } => handover::import(client, file, trust.as_deref(), output).await,
        Incident::Verify { file, trust } => handover::verify(file, trust.as_deref(), output),
        Incident::Define { files } => {
            let mut defined = Vec::new();
            for file in files {
                let bytes = read_input(file, MAX_DEFINITION)?;
                let refuse = |detail: String| {
                    CliError::refused(
                        "incident_refused",
                        format!("{}: {detail}", file.display()),
                        "incidents/README.md describes the form",
                    )
                };
                let text = String::from_utf8(bytes).map_err(|_| refuse("not UTF-8".to_owned()))?;
                let definition =
                    IncidentDefinition::from_toml(&text).map_err(|error| refuse(error.to_string()))?;
                let answer = client.post("/api/v1/incidents", &definition).await?;
                defined.push(json!({ "incident": answer["id"], "digest": answer["digest"] }));
            }
            output.data(&json!({ "incidents": defined }), || {
                defined.iter().map(|row| format!("{}\n", text(row, "incident"))).collect()
            });
            Ok(Exit::Yes)
        }
    }
}

async fn show(client: &Client, id: &str, output: &Output) -> Result<Exit, CliError> {
    let mut answer = client.get(&format!("/api/v1/incidents/{}", segment(id))).await?;
    let history = client.get(&format!("/api/v1/incidents/{}/verdicts", segment(id))).await?;
    answer["incident"] = answer["id"].clone();
    answer["verdicts"] = history["verdicts"].clone();
    let statements: Vec<_> = list(&answer, "witnesses")
        .iter()
        .chain(list(&answer, "verdicts"))
        .map(|row| row["statement"].clone())
        .collect();
    answer["statements"] = statements.into();
    output.data(&answer, || {
        let mut lines = format!("{}  {}\n", text(&answer, "id"), text(&answer, "title"));
        for witness in list(&answer, "witnesses") {
            lines.push_str(&format!(
                "witness {}  admitted: {}\n",
                text(witness, "witness"),
                witness["admitted"]
            ));
        }
        let rows: Vec<Vec<String>> = list(&answer, "verdicts")
            .iter()
            .map(|row| {
                vec![
                    text(row, "createdAt").to_owned(),
                    text(row, "verdict").to_owned(),
                    text(row, "mode").to_owned(),
                    text(row, "reason").to_owned(),
                    milliseconds(row["milliseconds"].as_f64().unwrap_or_default()),
                    text(row, "artifact").to_owned(),
                ]
            })
            .collect();
        lines.push_str(&table(&rows));
        lines
    });
    Ok(Exit::Yes)
}
