//! `assay incident bundle`, `import` and `verify`.

use std::path::Path;

use assay_evidence::PublicKey;
use assay_verify::{BundleError, MAX_INCIDENT_BUNDLE_BYTES, open_bundle};
use serde_json::{Value, json};

use super::{evidence, list, read_input, text};
use crate::client::{Client, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;

pub(super) async fn bundle(
    client: &Client,
    id: &str,
    file: &Path,
    output: &Output,
) -> Result<Exit, CliError> {
    let spinner = output.spinner("bundling");
    sign_if_possible(client, id).await?;
    let bytes = client.get_raw(&format!("/api/v1/incidents/{}/bundle", segment(id))).await;
    spinner.finish_and_clear();
    let bytes = bytes?;
    let document = checked(&bytes, None)?;
    let failed = |error: std::io::Error| CliError::file(file, &error);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::fs::write(target.path(), &bytes).map_err(failed)?;
    target.as_file().sync_all().map_err(failed)?;
    target.persist(file).map_err(|error| failed(error.error))?;
    output.data(&document, || describe(&document));
    Ok(Exit::Yes)
}

/// Has the patch signature made of the builds in the store, where none is kept. Where there can be none the
/// bundle itself says why.
async fn sign_if_possible(client: &Client, id: &str) -> Result<(), CliError> {
    let path = format!("/api/v1/incidents/{}", segment(id));
    match client.get_raw(&format!("{path}/patch-signature")).await {
        Err(error) if error.code == "unknown_signature" => {}
        other => return other.map(drop),
    }
    const EXPECTED: [&str; 3] = ["no_signature", "no_signing_key", "not_permitted"];
    match client.post(&format!("{path}/patch-signatures"), &json!({})).await {
        Err(error) if !EXPECTED.contains(&error.code.as_str()) => Err(error),
        _ => Ok(()),
    }
}

/// Checks a bundle offline.
pub(super) fn verify(file: &Path, trust: Option<&str>, output: &Output) -> Result<Exit, CliError> {
    let key = trust.map(evidence::trusted).transpose()?;
    let bytes = read_input(file, MAX_INCIDENT_BUNDLE_BYTES)?;
    let document = checked(&bytes, key.as_ref())?;
    output.data(&document, || format!("verified: {}", describe(&document)));
    if key.is_none() {
        output.say("the bundle's own key was believed; name the one you trust with --trust");
    }
    Ok(Exit::Yes)
}

/// A bundle that holds, in a few words; nothing of it is run.
pub(super) fn checked(bytes: &[u8], key: Option<&PublicKey>) -> Result<Value, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let opened = open_bundle(&mut &*bytes, folder.path(), key).map_err(refused)?;
    Ok(json!({
        "incident": opened.bundle.incident.id,
        "digest": opened.bundle.digest,
        "statements": opened.bundle.statements.len(),
        "witnesses": opened.bundle.witnesses,
        "symbols": opened.bundle.symbols,
        "fingerprints": opened.bundle.fingerprints,
        "delta_signature": opened.bundle.delta_signature,
        "bundle": assay_evidence::Sha256::of(bytes),
        "bytes": bytes.len(),
        "key": opened.key,
        "verified": true,
        "problems": [],
    }))
}

fn refused(error: BundleError) -> CliError {
    if error.is_trust_broken() {
        let hint = "ask its sender for the bundle again, and for the key that signed it";
        return CliError::new(Exit::Trust, "bundle_not_trusted", chain(&error), hint);
    }
    CliError::refused("bundle_refused", chain(&error), "`assay incident bundle` writes the form")
}

pub(super) async fn import(
    client: &Client,
    file: &Path,
    trust: Option<&str>,
    output: &Output,
) -> Result<Exit, CliError> {
    let bytes = read_input(file, MAX_INCIDENT_BUNDLE_BYTES)?;
    let key = trust.map(evidence::trusted).transpose()?;
    let query = key
        .map(|key| format!("?trust={}", segment(&key.to_string()).replace('+', "%2B")))
        .unwrap_or_default();
    let spinner = output.spinner("checking and replaying");
    let answer = client.post_raw(&format!("/api/v1/incident-bundles{query}"), bytes).await;
    spinner.finish_and_clear();
    let answer = answer?;
    let admitted = list(&answer, "witnesses").iter().all(|row| row["admitted"].as_bool() == Some(true));
    output.data(&answer, || describe(&answer));
    Ok(if admitted { Exit::Yes } else { Exit::Unknown })
}

fn describe(answer: &Value) -> String {
    let mut lines = format!(
        "{}: {} witness(es), {} statements, {}\n",
        text(answer, "incident"),
        list(answer, "witnesses").len(),
        answer["statements"],
        text(answer, "bundle")
    );
    for row in list(answer, "witnesses") {
        let admitted = match row["admitted"].as_bool() {
            Some(true) => "  admitted",
            Some(false) => "  quarantined",
            None => "",
        };
        lines.push_str(&format!("witness {}{admitted}\n", text(row, "witness")));
    }
    let signature = &answer["delta_signature"];
    if let Some(digest) = signature.as_str().or(signature["digest"].as_str()) {
        lines.push_str(&format!("delta signature {digest}\n"));
    } else if let Some(reason) = signature["reason"].as_str() {
        lines.push_str(&format!("no delta signature ({reason})\n"));
    }
    lines
}
