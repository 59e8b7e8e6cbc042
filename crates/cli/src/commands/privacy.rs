//! Redaction while recording, and `assay witness scan`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assay_evidence::Sha256;
use assay_verify::{IncidentDefinition, Origin, RedactionKey, still_shows, watched_replay};
use assay_witness::redact::{
    Found, MAX_POLICY_BYTES, OnFinding, Policy, PseudonymKey, Redacted, ScanReport, Scanner, found,
    redact_capsule, scan_capsule, texts,
};
use assay_witness::{Host, Located, MapSource, Recording, RunReport};
use serde_json::{Value, json};

use super::{list, read_input, text, witness};
use crate::args::{Record, Scan};
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// The largest file that is scanned.
const MAX_FILE: u64 = 1 << 30;
/// Findings that a warning lists.
const MAX_LISTED: usize = 8;

/// A recording that may be kept, and what was done to it.
pub(super) struct Cleared {
    pub recording: Recording,
    pub origin: Option<Origin>,
    /// Holds what was rewritten until it is stored.
    _folder: tempfile::TempDir,
}

/// Scans a recording before anything of it is stored, and redacts it where that was asked for.
pub(super) async fn clear(
    client: &Client,
    args: &Record,
    definition: &IncidentDefinition,
    recording: Recording,
    host: &Host,
    output: &Output,
) -> Result<Cleared, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::environment("no temporary folder", &error))?;
    let (recording, files) = on_disk(recording, folder.path())?;
    let asked = args.redact.as_deref().filter(|file| !file.is_empty());
    let policy = policy(asked.map(Path::new).or(args.redaction_policy.as_deref()))?;
    let on_finding = if args.redact.is_some() { OnFinding::Redact } else { policy.on_finding };
    let scanner = Scanner::new(policy);
    let report = scan_recording(&scanner, &recording, &files, &BTreeSet::new())?;
    warn_about_definition(&scanner, definition, output);
    if report.findings.is_empty() {
        return Ok(Cleared { recording, origin: None, _folder: folder });
    }
    match on_finding {
        OnFinding::Warn => {
            output.warn(&warning(&report));
            Ok(Cleared { recording, origin: None, _folder: folder })
        }
        OnFinding::Refuse => {
            let hint = "record with --redact, or without what is listed";
            Err(CliError::refused("private_data_found", listed(&report.findings), hint))
        }
        OnFinding::Redact => {
            let key = key(client).await?;
            let redacted = redact_capsule(&scanner, &key, &recording.capsule, &files, folder.path())?;
            let recording = rerun(&scanner, definition, &recording, &files, &redacted, host)?;
            output.say(&summary(&redacted));
            let origin = Origin { redaction: Some(redacted.record), ..Origin::default() };
            Ok(Cleared { recording, origin: Some(origin), _folder: folder })
        }
    }
}

/// Bytes that are in memory only are written, so that a replay can be made of the recording.
fn on_disk(mut recording: Recording, folder: &Path) -> Result<(Recording, MapSource), CliError> {
    let mut files = BTreeMap::new();
    for (digest, located) in &mut recording.located {
        if let Located::Bytes(bytes) = located {
            let path = folder.join(digest.hex());
            std::fs::write(&path, bytes).map_err(|error| CliError::file(&path, &error))?;
            *located = Located::Path(path);
        }
        if let Located::Path(path) = located {
            files.insert(*digest, path.clone());
        }
    }
    Ok((recording, MapSource(files)))
}

/// What stands in the capsule, and in what the run printed.
fn scan_recording(
    scanner: &Scanner,
    recording: &Recording,
    files: &MapSource,
    known: &BTreeSet<Sha256>,
) -> Result<ScanReport, CliError> {
    let mut report = scan_capsule(scanner, &recording.capsule, files, known)?;
    report.findings.extend(printed(scanner, &recording.report, known));
    Ok(report)
}

fn printed(scanner: &Scanner, run: &RunReport, known: &BTreeSet<Sha256>) -> Vec<Found> {
    let outputs = [("standard output", &run.stdout.head), ("standard error", &run.stderr.head)];
    outputs.into_iter().flat_map(|(place, head)| found(scanner, place, head, known)).collect()
}

fn warn_about_definition(scanner: &Scanner, definition: &IncidentDefinition, output: &Output) {
    let text = serde_json::to_vec(definition).unwrap_or_default();
    let findings = found(scanner, "the incident's definition", &text, &BTreeSet::new());
    if !findings.is_empty() {
        output.warn(&listed(&findings));
    }
}

/// Runs the redacted capsule: it is kept only if it still shows its incident and nothing is left in it.
fn rerun(
    scanner: &Scanner,
    definition: &IncidentDefinition,
    before: &Recording,
    files: &MapSource,
    redacted: &Redacted,
    host: &Host,
) -> Result<Recording, CliError> {
    let replayed = |capsule, files| {
        tokio::task::block_in_place(|| watched_replay(capsule, files, &definition.role, host))
    };
    let shown = replayed(&before.capsule, files)?;
    let report = replayed(&redacted.capsule, &redacted.files)?;
    still_shows(definition, &shown, &report).map_err(|detail| {
        let kinds: Vec<&str> = redacted.record.replaced.keys().map(String::as_str).collect();
        let message = format!("without the original {} the incident does not happen: {detail}", kinds.join(", "));
        let hint = "the failure depends on a value that was replaced: allow it in the policy, disable its kind, or \
                    record with other data";
        CliError::refused("redaction_breaks_incident", message, hint)
    })?;
    let located = redacted.files.0.iter().map(|(digest, path)| (*digest, Located::Path(path.clone())));
    let recording = Recording { capsule: redacted.capsule.clone(), located: located.collect(), report };
    let known: BTreeSet<Sha256> = redacted.record.pseudonyms.iter().copied().collect();
    let left = scan_recording(scanner, &recording, &redacted.files, &known)?;
    if left.findings.is_empty() {
        return Ok(recording);
    }
    let hint =
        "it comes from a program or from a file of the system; allow it in the policy or change the source";
    Err(CliError::refused("not_redacted", format!("what is left: {}", listed(&left.findings)), hint))
}

async fn key(client: &Client) -> Result<PseudonymKey, CliError> {
    let answer: RedactionKey = client.get_as("/api/v1/redaction-key").await?;
    let digest: Result<Sha256, _> = format!("sha256:{}", answer.key).parse();
    let bytes = digest.map_err(|error| CliError::environment("the redaction key cannot be read", &error))?;
    Ok(PseudonymKey::new(*bytes.as_bytes()))
}

fn policy(file: Option<&Path>) -> Result<Policy, CliError> {
    let Some(file) = file else { return Ok(Policy::default()) };
    let bytes = read_input(file, MAX_POLICY_BYTES as u64)?;
    Policy::from_toml(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let message = format!("{}: {error}", file.display());
        CliError::refused("redaction_policy_refused", message, "policies/redaction.toml shows the form")
    })
}

fn listed(findings: &[Found]) -> String {
    let mut rows: Vec<String> = findings
        .iter()
        .take(MAX_LISTED)
        .map(|row| format!("{} in {} at {}: {}", row.kind, row.place, row.offset, row.masked))
        .collect();
    if findings.len() > MAX_LISTED {
        rows.push(format!("and {} more", findings.len() - MAX_LISTED));
    }
    rows.join("; ")
}

fn warning(report: &ScanReport) -> String {
    format!("{}\nhint: --redact replaces it before anything is stored", listed(&report.findings))
}

fn summary(redacted: &Redacted) -> String {
    let counts: Vec<String> =
        redacted.record.replaced.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let opaque = redacted.record.opaque.iter().map(|place| format!("\nnot looked into: {place}"));
    format!("redacted: {}{}", counts.join(", "), opaque.collect::<String>())
}

/// `assay witness scan`.
pub(super) async fn scan(client: &Client, args: &Scan, output: &Output) -> Result<Exit, CliError> {
    let policy_text = match &args.policy {
        Some(file) => Some(String::from_utf8_lossy(&read_input(file, MAX_POLICY_BYTES as u64)?).into_owned()),
        None => None,
    };
    let scanner = Scanner::new(policy(args.policy.as_deref())?);
    let (mut findings, mut opaque, mut bytes) = (Vec::new(), Vec::new(), 0);
    for target in &args.targets {
        if Path::new(target).is_file() {
            let (rows, size) = scan_file(&scanner, Path::new(target))?;
            findings.extend(rows);
            bytes += size;
            continue;
        }
        let id = witness::resolve(client, target).await?;
        let path = format!("/api/v1/witnesses/{}/scans", segment(&id));
        let answer = client.post(&path, &json!({ "policy": policy_text })).await?;
        findings.extend(list(&answer, "findings").iter().cloned().map(|mut row| {
            row["source"] = target.clone().into();
            row
        }));
        opaque.extend(list(&answer, "opaque").iter().cloned());
        bytes += answer["bytes"].as_u64().unwrap_or_default();
    }
    let clean = findings.is_empty();
    let answer = json!({ "clean": clean, "findings": findings, "opaque": opaque, "bytes": bytes });
    output.data(&answer, || describe(&answer));
    Ok(if clean { Exit::Yes } else { Exit::No })
}

fn describe(answer: &Value) -> String {
    let mut lines = String::new();
    for row in list(answer, "findings") {
        let words = ["kind", "source", "place", "masked"].map(|key| text(row, key));
        lines.push_str(&format!(
            "{}  {}  {} at {}  {}\n",
            words[0], words[1], words[2], row["offset"], words[3]
        ));
    }
    for place in list(answer, "opaque") {
        lines.push_str(&format!("not looked into: {}\n", place.as_str().unwrap_or_default()));
    }
    let count = list(answer, "findings").len();
    lines + &format!("{count} finding(s) in {} bytes", answer["bytes"])
}

/// A log, a bundle or an archive, with what stands in base64 inside.
fn scan_file(scanner: &Scanner, file: &Path) -> Result<(Vec<Value>, u64), CliError> {
    let name = file.display().to_string();
    let bytes = read_input(file, MAX_FILE)?;
    let all = texts(&name, &bytes);
    let known: BTreeSet<Sha256> = all.iter().flat_map(|(_, text)| pseudonyms(text)).collect();
    let mut rows = Vec::new();
    for (place, text) in &all {
        for row in found(scanner, place, text, &known) {
            let mut value = serde_json::to_value(row).unwrap_or_default();
            value["source"] = name.clone().into();
            rows.push(value);
        }
    }
    Ok((rows, bytes.len() as u64))
}

/// The pseudonyms that a witness's statement lists.
fn pseudonyms(text: &[u8]) -> Vec<Sha256> {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return Vec::new() };
    let listed = &value["predicate"]["origin"]["redaction"]["pseudonyms"];
    listed.as_array().into_iter().flatten().filter_map(|digest| digest.as_str()?.parse().ok()).collect()
}
