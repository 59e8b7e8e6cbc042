//! `assay delta`: from files alone, no store.

use std::path::Path;
use std::time::Instant;

use assay_delta::{DeltaProof, Executed, Index};
use assay_evidence::Sha256;
use serde_json::{Value, json};

use super::read_input;
use crate::args::Delta;
use crate::error::{CliError, Exit, chain};
use crate::output::{Output, milliseconds, table};

/// The largest binary.
const MAX_BINARY: u64 = 2 << 30;
/// The largest proof.
const MAX_PROOF: u64 = 256 << 20;

pub(super) fn run(command: &Delta, output: &Output) -> Result<Exit, CliError> {
    match command {
        Delta::Index { files } => {
            let rows = files.iter().map(|file| index_row(file)).collect::<Result<Vec<Value>, _>>()?;
            let document =
                if let [row] = rows.as_slice() { row.clone() } else { json!({ "artifacts": rows }) };
            output.data(&document, || {
                let cells = |row: &Value| {
                    vec![
                        row["file"].as_str().unwrap_or_default().to_owned(),
                        format!("{} functions", row["functions"]),
                        row["toolchain"]["name"].as_str().unwrap_or("unknown toolchain").to_owned(),
                        milliseconds(row["milliseconds"].as_f64().unwrap_or_default()),
                    ]
                };
                table(&rows.iter().map(cells).collect::<Vec<_>>())
            });
            Ok(Exit::Yes)
        }
        Delta::Diff { a, b } => {
            let delta = assay_delta::diff(&index(a)?.1, &index(b)?.1);
            let value = serde_json::to_value(&delta).unwrap_or_default();
            output.data(&value, || describe(&value));
            Ok(Exit::Yes)
        }
        Delta::Prove { a, b, output: file } => prove(a, b, file.as_deref(), output),
        Delta::Check { proof, a, b } => check(proof, a, b, output),
    }
}

fn index(file: &Path) -> Result<(Vec<u8>, Index), CliError> {
    let bytes = read_input(file, MAX_BINARY)?;
    let index = Index::build(&bytes).map_err(|error| {
        let message = format!("{}: {}", file.display(), chain(&error));
        CliError::refused("artifact_refused", message, "x86-64 ELF files with symbols are read")
    })?;
    Ok((bytes, index))
}

fn index_row(file: &Path) -> Result<Value, CliError> {
    let started = Instant::now();
    let (bytes, index) = index(file)?;
    let stored = index.to_bytes();
    let toolchain = assay_binary::Image::parse(&bytes).ok().and_then(|image| image.toolchain().cloned());
    Ok(json!({
        "file": file,
        "artifact": Sha256::of(&bytes),
        "index": Sha256::of(&stored),
        "functions": index.functions().len(),
        "toolchain": toolchain,
        "milliseconds": started.elapsed().as_secs_f64() * 1000.0,
    }))
}

fn prove(a: &Path, b: &Path, file: Option<&Path>, output: &Output) -> Result<Exit, CliError> {
    let (before, after) = (read_input(a, MAX_BINARY)?, read_input(b, MAX_BINARY)?);
    match assay_delta::prove(&before, &after, Executed::All) {
        Ok(proof) => {
            let bytes = assay_evidence::json::canonical(&proof)
                .map_err(|error| CliError::environment("the proof cannot be written", &error))?;
            if let Some(file) = file {
                std::fs::write(file, &bytes).map_err(|error| CliError::file(file, &error))?;
            }
            let unchanged = proof.executed.len();
            let document = json!({ "proof": proof, "digest": Sha256::of(&bytes), "valid": true, "functions_unchanged": unchanged });
            output.data(&document, || format!("proven: {unchanged} functions unchanged"));
            Ok(Exit::Yes)
        }
        Err(refusals) => {
            let document =
                json!({ "proof": null, "valid": false, "functions_unchanged": 0, "refusals": refusals });
            output.data(&document, || {
                let row = |refusal: &assay_delta::Refusal| {
                    vec![format!("{:?}", refusal.reason), refusal.place.clone(), refusal.detail.clone()]
                };
                format!("not proven\n{}", table(&refusals.iter().take(20).map(row).collect::<Vec<_>>()))
            });
            Ok(Exit::No)
        }
    }
}

fn check(proof: &Path, a: &Path, b: &Path, output: &Output) -> Result<Exit, CliError> {
    let bytes = read_input(proof, MAX_PROOF)?;
    let proof: DeltaProof = assay_evidence::json::from_strict(&bytes).map_err(|error| {
        CliError::refused("proof_refused", chain(&error), "`assay delta prove -o FILE` writes the form")
    })?;
    let (before, after) = (read_input(a, MAX_BINARY)?, read_input(b, MAX_BINARY)?);
    match assay_delta::check(&proof, &before, &after) {
        Ok(_) => {
            let unchanged = proof.executed.len();
            let document =
                json!({ "proof": Sha256::of(&bytes), "valid": true, "functions_unchanged": unchanged });
            output.data(&document, || format!("valid: {unchanged} functions unchanged"));
            Ok(Exit::Yes)
        }
        Err(error) => {
            let document = json!({ "proof": Sha256::of(&bytes), "valid": false, "functions_unchanged": 0, "problem": chain(&error) });
            output.data(&document, || format!("not valid: {}", chain(&error)));
            Ok(Exit::Trust)
        }
    }
}

fn describe(delta: &Value) -> String {
    let functions = &delta["functions"];
    let mut text = format!("unchanged  {}\n", functions["unchanged"]);
    for kind in ["changed", "affected", "added", "removed", "moved", "renamed"] {
        let entries = functions[kind].as_array().cloned().unwrap_or_default();
        text.push_str(&format!("{kind:<10} {}\n", entries.len()));
        if kind != "moved" {
            for entry in entries.iter().take(50) {
                text.push_str(&format!(
                    "  {}  {}\n",
                    entry["name"].as_str().unwrap_or("?"),
                    entry["why"].as_str().unwrap_or("")
                ));
            }
        }
    }
    text
}
