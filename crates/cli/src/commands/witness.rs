//! `assay witness`.

use std::collections::BTreeMap;
use std::path::Path;

use assay_evidence::Sha256;
use assay_verify::NewWitness;
use assay_witness::{Capsule, MapSource};
use serde_json::{Value, json};

use super::{
    draft, list, minimize, privacy, record, registry, role_and_path, text, witness_debug, witness_diff,
};
use crate::args::{Global, Witness};
use crate::client::{Client, required_key, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::{Output, milliseconds, table};

pub(super) async fn run(global: &Global, command: &Witness, output: &Output) -> Result<Exit, CliError> {
    // What takes long to record is not refused afterwards.
    if let Witness::Record(args) = command
        && global.server.is_none()
        && !args.dry_run
        && args.attach_core.is_none()
    {
        required_key(global)?;
    }
    let client = &Client::open(global).await?;
    match command {
        Witness::Record(args) => match &args.attach_core {
            Some(file) => draft::run(file, &args.incident, output),
            None => record::run(client, args, output).await,
        },
        Witness::Check { witness, replays } => check(client, witness, *replays, output).await,
        Witness::Replay { witness, subject } => replay(client, witness, subject, output).await,
        Witness::Diff(args) => witness_diff::run(client, args, output).await,
        Witness::Minimize(args) => minimize::run(client, args, output).await,
        Witness::Requalify { incident, accept } => {
            minimize::requalify(client, incident.as_deref(), *accept, output).await
        }
        Witness::Scan(args) => privacy::scan(client, args, output).await,
        Witness::Debug(args) => witness_debug::run(client, args, output).await,
        Witness::Show { witness } => show(client, witness, output).await,
        Witness::Export { witness, oci_bundle: Some(folder), .. } => {
            runtime_bundle(client, witness, folder, output).await
        }
        Witness::Export { witness, output: file, .. } => {
            export(client, witness, file.as_deref().unwrap_or(Path::new("witness.tar")), output).await
        }
        Witness::Push { witness, reference, plain_http } => {
            registry::push(client, witness, reference, *plain_http, output).await
        }
        Witness::Pull { reference, incident, plain_http } => {
            registry::pull(client, reference, incident, *plain_http, output).await
        }
        Witness::Import { file, incident } => import(client, file, incident, output).await,
    }
}

/// The id of a witness, or of the newest one of an incident.
pub(super) async fn resolve(client: &Client, name: &str) -> Result<String, CliError> {
    if name.starts_with("sha256:") {
        return Ok(name.to_owned());
    }
    let incident = client.get(&format!("/api/v1/incidents/{}", segment(name))).await?;
    let newest = list(&incident, "witnesses").last().map(|witness| text(witness, "witness").to_owned());
    newest.ok_or_else(|| {
        CliError::refused(
            "unknown_witness",
            format!("{name} has no witness"),
            "record one with `assay witness record`",
        )
    })
}

/// Replays a witness and has it admitted if all replays agree.
pub(super) async fn checked(
    client: &Client,
    witness: &str,
    replays: u32,
    output: &Output,
) -> Result<Value, CliError> {
    let spinner = output.spinner(&format!("replaying {replays} times"));
    let path = format!("/api/v1/witnesses/{}/checks", segment(witness));
    let answer = client.post(&path, &json!({ "replays": replays })).await;
    spinner.finish_and_clear();
    answer
}

/// A check in one line.
pub(super) fn describe_check(answer: &Value) -> String {
    let admitted = answer["admitted"].as_bool() == Some(true);
    let verdict = if admitted { "admitted" } else { "quarantined" };
    let layout = if answer["layout_sensitive"].as_bool() == Some(true) { ", layout-sensitive" } else { "" };
    let mut lines = witness_diff::describe_stacks(&json!({
        "diverged_at": answer["diverged_at"],
        "stacks": answer["divergence"]["stacks"],
    }));
    let line = format!(
        "{verdict}: {} replays ({} elsewhere), {} observation(s), {} trace(s){layout}, median {}",
        answer["replays"],
        answer["replays_elsewhere"],
        answer["distinct_observations"],
        answer["distinct_traces"],
        milliseconds(answer["milliseconds"].as_f64().unwrap_or_default())
    );
    lines.insert(0, line);
    lines.join("\n")
}

async fn check(client: &Client, witness: &str, replays: u32, output: &Output) -> Result<Exit, CliError> {
    let answer = checked(client, &resolve(client, witness).await?, replays, output).await?;
    let admitted = answer["admitted"].as_bool() == Some(true);
    output.data(&answer, || describe_check(&answer));
    Ok(if admitted { Exit::Yes } else { Exit::Unknown })
}

async fn replay(
    client: &Client,
    witness: &str,
    subjects: &[String],
    output: &Output,
) -> Result<Exit, CliError> {
    let mut substitutions: BTreeMap<String, Sha256> = BTreeMap::new();
    for subject in subjects {
        let (role, path) = role_and_path(subject)?;
        substitutions.insert(role, client.upload_artifact(&path).await?);
    }
    let path = format!("/api/v1/witnesses/{}/replays", segment(&resolve(client, witness).await?));
    let answer = client.post(&path, &json!({ "subjects": substitutions })).await?;
    output.data(&answer, || {
        format!(
            "{} ({}, {}), {} events, {} functions of the subject",
            text(&answer, "verdict"),
            text(&answer, "reason"),
            milliseconds(answer["milliseconds"].as_f64().unwrap_or_default()),
            answer["events"],
            list(&answer, "functions_executed").len()
        )
    });
    Ok(match text(&answer, "verdict") {
        "reproduced" => Exit::No,
        "not_reproduced" => Exit::Yes,
        _ => Exit::Unknown,
    })
}

async fn show(client: &Client, witness: &str, output: &Output) -> Result<Exit, CliError> {
    let answer =
        client.get(&format!("/api/v1/witnesses/{}", segment(&resolve(client, witness).await?))).await?;
    output.data(&answer, || {
        let command = list(&answer["capsule"], "command");
        let command: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
        let mut rows = vec![
            ("witness", text(&answer, "witness").to_owned()),
            ("incident", text(&answer, "incident").to_owned()),
            ("role", text(&answer, "role").to_owned()),
            ("artifact", text(&answer, "artifact").to_owned()),
            ("admitted", answer["admitted"].to_string()),
            ("layout-sensitive", answer["layoutSensitive"].to_string()),
            ("command", command.join(" ")),
            ("files", list(&answer["capsule"], "files").len().to_string()),
        ];
        for slot in list(&answer["capsule"], "subjects") {
            rows.push(("toolchain", format!("{}: {}", text(slot, "role"), toolchain(&slot["toolchain"]))));
        }
        for stated in list(&answer["capsule"], "provenance") {
            let words = ["role", "predicateType", "digest"].map(|key| text(stated, key));
            rows.push(("provenance", format!("{}: {} {}", words[0], words[1], words[2])));
        }
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
        table(&rows)
    });
    Ok(Exit::Yes)
}

/// What compiled a subject, in words.
fn toolchain(value: &Value) -> String {
    let digest = text(value, "digest");
    if digest.is_empty() {
        return format!("unknown ({})", value["reason"].as_str().unwrap_or("recorded before it was noted"));
    }
    let words = list(value, "toolchains").iter().map(|one| {
        let version = text(one, "version");
        format!("{}{}{version}", text(one, "name"), if version.is_empty() { "" } else { " " })
    });
    format!("{} {digest}", words.collect::<Vec<_>>().join(", "))
}

/// A witness, its capsule, and the capsule's bytes in a folder.
pub(super) async fn fetched(
    client: &Client,
    witness: &str,
    folder: &Path,
) -> Result<(Value, Capsule, MapSource), CliError> {
    let answer =
        client.get(&format!("/api/v1/witnesses/{}", segment(&resolve(client, witness).await?))).await?;
    let capsule: Capsule = serde_json::from_value(answer["capsule"].clone())
        .map_err(|error| CliError::environment("the capsule cannot be read", &error))?;
    let mut files = MapSource::default();
    for blob in capsule.blobs() {
        let bytes = client.get_raw(&format!("/api/v1/blobs/{}", blob.digest)).await?;
        let path = folder.join(blob.digest.hex());
        std::fs::write(&path, bytes).map_err(|error| CliError::file(&path, &error))?;
        files.0.insert(blob.digest, path);
    }
    Ok((answer, capsule, files))
}

async fn export(client: &Client, witness: &str, file: &Path, output: &Output) -> Result<Exit, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let (answer, capsule, files) = fetched(client, witness, folder.path()).await?;
    let target = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut archive =
        tempfile::NamedTempFile::new_in(target).map_err(|error| CliError::file(file, &error))?;
    assay_witness::oci::export(&capsule, &files, &mut archive)
        .map_err(|error| CliError::environment("the archive cannot be written", &error))?;
    let persisted = archive.persist(file).map_err(|error| CliError::file(file, &error.error))?;
    let size = persisted.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let done = json!({ "witness": answer["witness"], "file": file, "bytes": size });
    output.data(&done, || format!("{} ({size} bytes)", file.display()));
    Ok(Exit::Yes)
}

/// An OCI runtime bundle: isolation only, and it says so.
async fn runtime_bundle(
    client: &Client,
    witness: &str,
    folder: &Path,
    output: &Output,
) -> Result<Exit, CliError> {
    let blobs = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let (answer, capsule, files) = fetched(client, witness, blobs.path()).await?;
    assay_witness::oci::write_runtime_bundle(&capsule, &files, folder).map_err(|error| {
        CliError::refused("bundle_not_written", chain(&error), "name a folder that does not exist")
    })?;
    let note = "isolation only: under crun or runc time, randomness, threads and addresses are real, so this run is \
                no replay and gives no verdict";
    let done = json!({
        "witness": answer["witness"],
        "folder": folder,
        "isolation_only": true,
        "note": note,
        "stdin": capsule.stdin.map(|_| folder.join("stdin")),
    });
    output.say(note);
    output.data(&done, || {
        let input =
            if capsule.stdin.is_some() { format!(" < {}/stdin", folder.display()) } else { String::new() };
        format!("{0}: crun run --bundle {0} witness{input}", folder.display())
    });
    Ok(Exit::Yes)
}

async fn import(client: &Client, file: &Path, incident: &str, output: &Output) -> Result<Exit, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let layout = folder.path().join("layout");
    let mut archive = std::fs::File::open(file).map_err(|error| CliError::file(file, &error))?;
    let capsule = assay_witness::oci::import(&mut archive, &layout).map_err(|error| {
        let hint =
            "an archive holds exactly the files of an OCI layout: no other paths, no links, no extra bytes";
        CliError::refused("capsule_refused", chain(&error), hint)
    })?;
    let definition = client.get(&format!("/api/v1/incidents/{}", segment(incident))).await?;
    for blob in capsule.blobs() {
        client.upload_file(&layout.join("blobs").join("sha256").join(blob.digest.hex())).await?;
    }
    let new = NewWitness {
        incident: incident.to_owned(),
        capsule,
        role: text(&definition, "role").to_owned(),
        origin: None,
    };
    let answer = client.post("/api/v1/witnesses", &new).await?;
    output.data(&answer, || format!("witness {} of {incident}", text(&answer, "witness")));
    Ok(Exit::Yes)
}
