//! `assay delta`: from files alone. What was indexed once is kept in the data folder.

mod catalogue;
mod inside;
mod kept;
mod package;
mod patch;
mod print;
mod proof;

use std::path::{Path, PathBuf};
use std::time::Instant;

use assay_binary::{Address, Module};
use assay_delta::Index;
use assay_evidence::Sha256;
use serde_json::{Value, json};

use super::read_input;
use crate::args::{Delta, Global};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use kept::Kept;

/// The largest binary.
const MAX_BINARY: u64 = 2 << 30;

pub(super) async fn run(global: &Global, command: &Delta, output: &Output) -> Result<Exit, CliError> {
    let kept = Kept::of(global);
    match command {
        Delta::Index { files, catalogue: false } => {
            let mut rows = Vec::new();
            index(&kept, files, output, |row, _| rows.push(row))?;
            report(&rows, output)
        }
        Delta::Index { files, catalogue: true } => catalogue::index(global, &kept, files, output).await,
        Delta::Find { function, file, limit, after } => {
            let asked = catalogue::Asked { function, file: file.as_deref(), limit: *limit, after };
            catalogue::find(global, &kept, &asked, output).await
        }
        Delta::Diff { a, b, function: None } => diff(&kept, a, b, output),
        Delta::Diff { a, b, function: Some(name) } => side_by_side(&kept, a, b, name, output),
        Delta::Sign { vulnerable, fixed, incident, function, output: file } => {
            let builds = [artifact(&kept, vulnerable)?.1, artifact(&kept, fixed)?.1];
            let signed = patch::Signed { incident, only: function, file: file.as_deref() };
            patch::sign(global, &builds, &signed, output).await
        }
        Delta::Presence { signature, files } => {
            patch::presence(global, &kept, signature, files, output).await
        }
        Delta::Prove { a, b, output: file } => proof::prove(a, b, file.as_deref(), output),
        Delta::Check { proof, a, b } => proof::check(proof, a, b, output),
    }
}

/// A file and its index, from the data folder where it is kept there.
fn artifact(kept: &Kept, file: &Path) -> Result<(Vec<u8>, Index), CliError> {
    let bytes = read_input(file, MAX_BINARY)?;
    let index = indexed(kept, file, &bytes)?;
    Ok((bytes, index))
}

fn indexed(kept: &Kept, name: &Path, bytes: &[u8]) -> Result<Index, CliError> {
    if let Some(index) = kept.load(Sha256::of(bytes)) {
        return Ok(index);
    }
    let index = Index::build(bytes).map_err(|error| refused(name, &error))?;
    kept.keep(&index);
    Ok(index)
}

fn refused(file: &Path, error: &dyn std::error::Error) -> CliError {
    let message = format!("{}: {}", file.display(), chain(error));
    CliError::refused("artifact_refused", message, "name a binary of a format that `assay delta index` reads")
}

/// Gives `each` binary's row, and its bytes so that only who needs them keeps them.
fn index(
    kept: &Kept,
    files: &[PathBuf],
    output: &Output,
    mut each: impl FnMut(Value, Vec<u8>),
) -> Result<(), CliError> {
    let bar = output.bar("indexing", files.len() as u64);
    let mut any = false;
    for file in files {
        if !file.exists() || inside::is_single(file) {
            let bytes = read_input(file, MAX_BINARY)?;
            each(index_row(kept, file, &bytes)?, bytes);
            any = true;
        } else {
            for found in inside::binaries(file)? {
                let path =
                    if file.is_dir() { file.join(&found.path) } else { file.with_file_name(&found.path) };
                match index_row(kept, &path, &found.bytes) {
                    Ok(row) => {
                        each(row, found.bytes);
                        any = true;
                    }
                    Err(error) => output.warn(&error.message),
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !any {
        let hint = "name binaries, folders or packages with binaries";
        return Err(CliError::refused("artifact_refused", "no binary is there", hint));
    }
    Ok(())
}

fn report(rows: &[Value], output: &Output) -> Result<Exit, CliError> {
    let document = if let [row] = rows { row.clone() } else { json!({ "artifacts": rows }) };
    output.data(&document, || print::indexes(rows));
    Ok(Exit::Yes)
}

fn index_row(kept: &Kept, file: &Path, bytes: &[u8]) -> Result<Value, CliError> {
    let started = Instant::now();
    let index = Index::build(bytes).map_err(|error| refused(file, &error))?;
    let stored = index.to_bytes();
    kept.keep(&index);
    let about = index.about();
    Ok(json!({
        "file": file,
        "artifact": about.artifact,
        "index": Sha256::of(&stored),
        "bytes": stored.len(),
        "format": about.format,
        "architecture": about.architecture,
        "variant": about.variant,
        "debugId": about.debug_id,
        "lifted": about.lifted,
        "functions": index.functions().len(),
        "objects": index.objects().len(),
        "toolchain": index.toolchain(),
        "toolchains": about.toolchains,
        "gapBytes": about.gap_bytes,
        "overlapBytes": about.overlap_bytes,
        "paddingBytes": about.padding_bytes,
        "warnings": about.warnings,
        "milliseconds": started.elapsed().as_secs_f64() * 1000.0,
    }))
}

fn diff(kept: &Kept, a: &Path, b: &Path, output: &Output) -> Result<Exit, CliError> {
    if a.exists() && b.exists() && !(inside::is_single(a) && inside::is_single(b)) {
        return package::diff(kept, a, b, output);
    }
    let started = Instant::now();
    let spinner = output.spinner("comparing");
    let ((bytes_a, index_a), (bytes_b, index_b)) = (artifact(kept, a)?, artifact(kept, b)?);
    let read = |bytes| Module::parse(bytes);
    let modules = (read(&bytes_a), read(&bytes_b));
    let delta = match &modules {
        (Ok(module_a), Ok(module_b)) => assay_delta::diff_modules(module_a, module_b, &index_a, &index_b),
        _ => assay_delta::diff(&index_a, &index_b),
    };
    spinner.finish_and_clear();
    let mut value = serde_json::to_value(&delta).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("milliseconds".to_owned(), json!(started.elapsed().as_secs_f64() * 1000.0));
    }
    output.data(&value, || print::delta(&delta, output));
    Ok(Exit::Yes)
}

fn side_by_side(kept: &Kept, a: &Path, b: &Path, name: &str, output: &Output) -> Result<Exit, CliError> {
    let ((bytes_a, index_a), (bytes_b, index_b)) = (artifact(kept, a)?, artifact(kept, b)?);
    let wanted = name.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()).map(Address);
    let delta = assay_delta::diff(&index_a, &index_b);
    let all = delta.functions.changed.iter().chain(&delta.functions.renamed);
    let found = all
        .into_iter()
        .find(|entry| entry.name == name || wanted.is_some_and(|at| entry.address_a == Some(at)));
    let addresses = found.and_then(|entry| Some((entry.address_a?, entry.address_b?)));
    let Some((x, y)) = addresses else {
        let message = format!("`{name}` is no changed function of these two files");
        return Err(CliError::refused(
            "function_not_changed",
            message,
            "`assay delta diff A B` lists those that changed",
        ));
    };
    let explanation = assay_delta::explain(&bytes_a, &bytes_b, x, y).map_err(|error| refused(a, &error))?;
    let document = json!({ "function": name, "address_a": x, "address_b": y, "words": explanation.words, "rows": explanation.rows });
    output.data(&document, || print::side_by_side(&explanation, output));
    Ok(Exit::Yes)
}
