//! `assay evidence`: one archive that needs nobody to be believed.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use assay_control::{Bundle, BundleReport, MAX_BUNDLE_BYTES, verify_bundle};
use assay_evidence::PublicKey;
use serde_json::json;

use super::{evidence_page, handover, read_input};
use crate::args::{Evidence, Global};
use crate::client::{Client, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;

/// The files of an archive, each exactly once.
const BUNDLE: &str = "bundle.json";
const PAGE: &str = "index.html";
const KEY: &str = "public-key.txt";
const CHECKPOINT: &str = "checkpoint";
/// The largest archive.
const MAX_ARCHIVE: u64 = 4 * MAX_BUNDLE_BYTES as u64;

pub(super) async fn run(global: &Global, command: &Evidence, output: &Output) -> Result<Exit, CliError> {
    match command {
        Evidence::Export { release, output: file } => {
            let client = Client::open(global).await?;
            let path = format!("/api/v1/releases/{}/evidence", segment(release));
            let bundle: Bundle = client.get_as(&path).await?;
            let report = verify(&bundle, None)?;
            write(&bundle, &report, file)?;
            let document = document(&report);
            output.data(&document, || format!("{} statements in {}", report.statements, file.display()));
            Ok(Exit::Yes)
        }
        Evidence::Verify { file, trust } => {
            if is_incident_bundle(file) {
                return handover::verify(file, trust.as_deref(), output);
            }
            let bundle = read(file)?;
            let key = trust.as_deref().map(trusted).transpose()?;
            let report = verify(&bundle, key.as_ref())?;
            let document = document(&report);
            output.data(&document, || describe(&report));
            if key.is_none() {
                output.say("the archive's own key was believed; name the one you trust with --trust");
            }
            Ok(if report.verified { Exit::Yes } else { Exit::Trust })
        }
    }
}

/// Whether the archive is an incident's: its first entry is one of an OCI layout.
fn is_incident_bundle(file: &Path) -> bool {
    let Ok(source) = std::fs::File::open(file) else { return false };
    let mut archive = tar::Archive::new(source.take(MAX_ARCHIVE));
    let first = archive.entries().ok().and_then(|mut entries| entries.next()?.ok());
    first.is_some_and(|entry| entry.path_bytes().starts_with(b"blobs/sha256/"))
}

fn verify(bundle: &Bundle, key: Option<&PublicKey>) -> Result<BundleReport, CliError> {
    verify_bundle(bundle, key).map_err(|error| CliError::refused("bundle_refused", chain(&error), ""))
}

fn document(report: &BundleReport) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_else(|_| json!({}))
}

fn describe(report: &BundleReport) -> String {
    let word = if report.verified { "verified" } else { "NOT verified" };
    let decision = report.decision.and_then(|ruling| serde_json::to_value(ruling).ok());
    let decision = decision.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let mut text = format!(
        "{word}: {} {decision}, {} statements, key {}\n",
        report.release, report.statements, report.key
    );
    for problem in &report.problems {
        text.push_str(&format!("  {problem}\n"));
    }
    text
}

/// A key as text, or the file that holds it.
pub(super) fn trusted(text: &str) -> Result<PublicKey, CliError> {
    let refuse = |error: assay_evidence::KeyError| {
        CliError::refused("key_refused", error.to_string(), "a key is written ed25519:...")
    };
    if text.starts_with("ed25519:") {
        return text.parse().map_err(refuse);
    }
    let bytes = read_input(Path::new(text), 4096)?;
    String::from_utf8_lossy(&bytes).trim().parse().map_err(refuse)
}

fn write(bundle: &Bundle, report: &BundleReport, file: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::file(file, &error);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut archive = tar::Builder::new(target);
    let checkpoint = bundle.statements.iter().find(|proof| proof.statement == bundle.decision);
    let entries = [
        (BUNDLE, serde_json::to_vec_pretty(bundle).unwrap_or_default()),
        (PAGE, evidence_page::render(bundle, report)?.into_bytes()),
        (KEY, format!("{}\n", bundle.public_key).into_bytes()),
        (CHECKPOINT, checkpoint.map(|proof| proof.checkpoint.clone().into_bytes()).unwrap_or_default()),
    ];
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(failed)?;
    }
    let target = archive.into_inner().map_err(failed)?;
    target.as_file().sync_all().map_err(failed)?;
    target.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads an archive: plain files of the four names, each once, none past its limit.
fn read(file: &Path) -> Result<Bundle, CliError> {
    let refuse = |detail: String| {
        let hint = "an archive of `assay evidence export` holds four plain files and nothing else";
        CliError::refused("bundle_refused", format!("{}: {detail}", file.display()), hint)
    };
    let source = std::fs::File::open(file).map_err(|error| CliError::file(file, &error))?;
    let mut archive = tar::Archive::new(source.take(MAX_ARCHIVE));
    let mut seen = BTreeSet::new();
    let mut bundle = None;
    for entry in archive.entries().map_err(|error| refuse(error.to_string()))? {
        let entry = entry.map_err(|error| refuse(error.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown: String = name.chars().take(100).collect();
        if ![BUNDLE, PAGE, KEY, CHECKPOINT].contains(&name.as_str()) || !entry.header().entry_type().is_file()
        {
            return Err(refuse(format!("the entry `{shown}` does not belong")));
        }
        if !seen.insert(name.clone()) {
            return Err(refuse(format!("the entry `{shown}` stands twice")));
        }
        if entry.size() > MAX_BUNDLE_BYTES as u64 {
            return Err(refuse(format!(
                "the entry `{shown}` has {} bytes, at most {MAX_BUNDLE_BYTES}",
                entry.size()
            )));
        }
        if name == BUNDLE {
            let mut bytes = Vec::new();
            entry
                .take(MAX_BUNDLE_BYTES as u64)
                .read_to_end(&mut bytes)
                .map_err(|error| refuse(error.to_string()))?;
            let parsed: Bundle =
                assay_evidence::json::from_strict(&bytes).map_err(|error| refuse(chain(&error)))?;
            bundle = Some(parsed);
        }
    }
    bundle.ok_or_else(|| refuse(format!("there is no {BUNDLE}")))
}
