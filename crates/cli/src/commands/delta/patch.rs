//! Patch signatures.

use std::path::{Path, PathBuf};

use assay_delta::{Index, PatchSignature, PatchStatus, Presence};
use assay_evidence::Sha256;
use serde_json::json;

use super::{Kept, artifact};
use crate::args::Global;
use crate::client::{self, Client, segment};
use crate::commands::read_input;
use crate::error::{CliError, Exit, chain};
use crate::output::{Output, table};

/// The largest signature.
const MAX_SIGNATURE: u64 = 64 << 20;

/// What is to be signed.
pub(super) struct Signed<'a> {
    pub incident: &'a str,
    /// The functions, all changed ones where there are none.
    pub only: &'a [String],
    pub file: Option<&'a Path>,
}

pub(super) async fn sign(
    global: &Global,
    [vulnerable, fixed]: &[Index; 2],
    Signed { incident, only, file }: &Signed<'_>,
    output: &Output,
) -> Result<Exit, CliError> {
    let signature = assay_delta::sign(incident, vulnerable, fixed, only).map_err(|error| {
        CliError::refused("no_signature", chain(&error), "`assay delta diff A B` lists what changed")
    })?;
    let bytes = serde_json::to_vec(&signature)
        .map_err(|error| CliError::environment("the signature cannot be written", &error))?;
    if let Some(file) = file {
        std::fs::write(file, &bytes).map_err(|error| CliError::file(file, &error))?;
    }
    let names: Vec<String> = (0..)
        .zip(&signature.functions)
        .map(|(number, function)| function.name.clone().unwrap_or_else(|| format!("function {number}")))
        .collect();
    let mut document = json!({
        "incident": incident,
        "digest": Sha256::of(&bytes),
        "functions": names,
        "file": file,
        "statement": stored(global, &signature, output).await?,
    });
    if file.is_none() {
        document["signature"] = serde_json::to_value(&signature).unwrap_or_default();
    }
    output.data(&document, || format!("{incident}: {} functions\n  {}", names.len(), names.join("\n  ")));
    Ok(Exit::Yes)
}

/// Keeps the signature where the store knows its incident; its statement.
async fn stored(
    global: &Global,
    signature: &PatchSignature,
    output: &Output,
) -> Result<Option<serde_json::Value>, CliError> {
    if !client::has_store(global) {
        return Ok(None);
    }
    let client = Client::open(global).await?;
    let path = format!("/api/v1/incidents/{}", segment(&signature.incident));
    match client.get(&path).await {
        Ok(_) => {}
        Err(error) if error.code == "unknown_incident" => return Ok(None),
        Err(error) => return Err(error),
    }
    let body = json!({ "signature": signature });
    match client.post(&format!("{path}/patch-signatures"), &body).await {
        Ok(kept) => Ok(Some(kept["statement"].clone())),
        Err(error) if ["no_signing_key", "not_permitted"].contains(&error.code.as_str()) => {
            output.warn(&format!("the signature is not kept in the store: {}", error.message));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn presence(
    global: &Global,
    kept: &Kept,
    signature: &Path,
    files: &[PathBuf],
    output: &Output,
) -> Result<Exit, CliError> {
    let signature = match signature.to_str().filter(|_| !signature.exists()) {
        Some(incident) => of_store(global, incident).await?,
        None => read(&read_input(signature, MAX_SIGNATURE)?)?,
    };
    let bar = output.bar("looking", files.len() as u64);
    let mut results = Vec::new();
    for file in files {
        let (_, index) = artifact(kept, file)?;
        let found = assay_delta::presence(&signature, &index)
            .map_err(|error| CliError::refused("signature_refused", chain(&error), "sign the patch again"))?;
        results.push((file, found));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rows: Vec<_> = results
        .iter()
        .map(|(file, found)| {
            json!({
                "file": file,
                "status": found.status,
                "confidence": found.confidence,
                "functions": found.functions,
            })
        })
        .collect();
    output.data(&json!({ "incident": signature.incident, "results": rows }), || print(&results));
    Ok(exit(results.iter().map(|(_, found)| found.status)))
}

/// The signature that the store has of an incident; a name that is neither that nor a file is a missing file.
async fn of_store(global: &Global, incident: &str) -> Result<PatchSignature, CliError> {
    let missing = || {
        let hint = "name a file that `assay delta sign -o FILE` wrote, or an incident that the store knows";
        CliError::refused("file_not_found", format!("{incident}: no such file or incident"), hint)
    };
    if !client::has_store(global) {
        return Err(missing());
    }
    let path = format!("/api/v1/incidents/{}/patch-signature", segment(incident));
    let found = Client::open(global).await?.get_as(&path).await;
    found.map_err(|error| if error.code == "unknown_incident" { missing() } else { error })
}

/// A signature, written by `sign -o` or printed by `sign --json`.
fn read(bytes: &[u8]) -> Result<PatchSignature, CliError> {
    let refused = |message: String| {
        CliError::refused("signature_refused", message, "`assay delta sign -o FILE` writes the form")
    };
    let mut value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| refused(chain(&error)))?;
    let inner = value.get_mut("signature").map(serde_json::Value::take);
    serde_json::from_value(inner.unwrap_or(value)).map_err(|error| refused(chain(&error)))
}

/// One file without the fix is a no; one that cannot be judged is unknown.
fn exit(statuses: impl Iterator<Item = PatchStatus>) -> Exit {
    let statuses: Vec<PatchStatus> = statuses.collect();
    let has = |status| statuses.contains(&status);
    if has(PatchStatus::Vulnerable) || has(PatchStatus::Partial) {
        Exit::No
    } else if has(PatchStatus::Inconclusive) {
        Exit::Unknown
    } else {
        Exit::Yes
    }
}

fn print(results: &[(&PathBuf, Presence)]) -> String {
    let row = |(file, found): &(&PathBuf, Presence)| {
        let word = |status: PatchStatus| format!("{status:?}").to_lowercase();
        let mut rows =
            vec![vec![file.display().to_string(), word(found.status), format!("{:.2}", found.confidence)]];
        rows.extend(found.functions.iter().take(12).map(|function| {
            vec![
                format!("  {}", function.name),
                word(function.status),
                format!("{:.2}", function.confidence),
                format!("by {}", function.by),
                function.address.map(|at| at.to_string()).unwrap_or_default(),
            ]
        }));
        rows
    };
    table(&results.iter().flat_map(row).collect::<Vec<_>>())
}
