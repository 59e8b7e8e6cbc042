//! `assay witness record`: runs here, keeps everything in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assay_evidence::dsse::MAX_ENVELOPE_BYTES;
use assay_verify::{
    Expectations, Facts, IncidentDefinition, Kind, NewWitness, Observation, Side, SideError, SpecError,
};
use assay_witness::{Ending, Host, Limits, Located, MAX_PROVENANCE, RecordRequest, Recording, RunReport};
use serde_json::{Value, json};

use super::privacy::{self, Cleared};
use super::{read_input, role_and_path, search, text, witness};
use crate::args::Record;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;

/// The largest standard input of a witness.
const MAX_STDIN: u64 = 256 << 20;
/// How many times its budget a program may compute before it is stopped.
const GUARD_FACTOR: u64 = 4;

pub(super) async fn run(client: &Client, args: &Record, output: &Output) -> Result<Exit, CliError> {
    let host = Host::probe()?;
    let known = known_incident(client, args).await?;
    if known.is_some() && !(args.expect.is_empty() && args.expect_fixed.is_empty()) {
        let message = format!("{} is defined already, and its expectations stand", args.incident);
        return Err(CliError::usage(message, "leave --expect out, or choose another incident id"));
    }
    let subjects = subjects(args, known.as_ref())?;
    let budget = budget(args, known.as_ref())?;
    let request = request(args, &subjects, budget)?;
    let (recording, searched) = match args.search {
        Some(tries) => {
            let expected = search::expected(args, known.as_ref(), &subjects[0].0)?;
            match search::run(&request, &host, tries, &expected, output)? {
                (Some(recording), searched) => (recording, Some(searched)),
                (None, searched) => return Ok(search::say_nothing_found(&args.incident, searched, output)),
            }
        }
        None => {
            let spinner = output.spinner("recording");
            let recording = tokio::task::block_in_place(|| assay_witness::record(&request, &host))?;
            spinner.finish_and_clear();
            (recording, None)
        }
    };
    if args.dry_run {
        let mut seen = seen(&recording.report);
        if let Some(searched) = &searched {
            seen["search"] = searched.clone();
        }
        output.data(&seen, || search::line_before(&searched) + &describe(&seen));
        return Ok(Exit::Yes);
    }
    let is_new = known.is_none();
    let definition = match known {
        Some(definition) => definition,
        None => new_definition(args, &subjects[0].0, &recording.report)?,
    };
    let cleared = privacy::clear(client, args, &definition, recording, &host, output).await?;
    if is_new {
        client.post("/api/v1/incidents", &definition).await?;
    }
    let mut answer = add(client, &definition.id, &subjects[0].0, cleared, output).await?;
    if let Some(searched) = &searched {
        answer["search"] = searched.clone();
    }
    let mut exit = Exit::Yes;
    if let Some(replays) = args.check {
        let checked = witness::checked(client, text(&answer, "witness"), replays, output).await?;
        if checked["admitted"].as_bool() != Some(true) {
            exit = Exit::Unknown;
        }
        answer["check"] = checked;
    }
    output.data(&answer, || {
        search::line_before(&searched)
            + &format!(
                "witness {} of {}: {}, {} files, {} bytes, {} events",
                text(&answer, "witness"),
                definition.id,
                text(&answer["observation"], "ending"),
                answer["files"],
                answer["bytes"],
                answer["events"]
            )
            + &answer
                .get("check")
                .map(|check| format!("\n{}", witness::describe_check(check)))
                .unwrap_or_default()
    });
    Ok(exit)
}

/// Uploads a capsule's content and has the witness taken in.
async fn add(
    client: &Client,
    incident: &str,
    role: &str,
    cleared: Cleared,
    output: &Output,
) -> Result<Value, CliError> {
    let Cleared { recording, origin, .. } = &cleared;
    let spinner = output.spinner("storing the capsule");
    for (digest, located) in &recording.located {
        let found = match located {
            Located::Path(path) => client.upload_file(path).await?,
            Located::Bytes(bytes) => client.upload(bytes.clone()).await?,
        };
        if found != *digest {
            let message = format!("a file changed while it was recorded: {found} instead of {digest}");
            return Err(CliError::refused("file_changed", message, "record again when nothing writes to it"));
        }
    }
    let (files, bytes) = size(recording);
    let new = NewWitness {
        incident: incident.to_owned(),
        capsule: recording.capsule.clone(),
        role: role.to_owned(),
        origin: origin.clone(),
    };
    let witness = client.post("/api/v1/witnesses", &new).await?;
    spinner.finish_and_clear();
    Ok(json!({
        "witness": witness["witness"],
        "incident": incident,
        "observation": Observation::of(&recording.report),
        "observation_digest": witness["observation"],
        "files": files,
        "bytes": bytes,
        "events": recording.report.events,
        "statement": witness["statement"],
        "redaction": origin.as_ref().and_then(|origin| origin.redaction.as_ref()).map(|record| &record.replaced),
    }))
}

fn size(recording: &Recording) -> (usize, u64) {
    let blobs = recording.capsule.blobs();
    (recording.capsule.files.len(), blobs.iter().map(|blob| blob.size).sum())
}

async fn known_incident(client: &Client, args: &Record) -> Result<Option<IncidentDefinition>, CliError> {
    match client.get(&format!("/api/v1/incidents/{}", segment(&args.incident))).await {
        Ok(value) => {
            let read = serde_json::from_value(value);
            read.map(Some).map_err(|error| CliError::environment("the incident cannot be read", &error))
        }
        Err(error) if error.code == "unknown_incident" => Ok(None),
        Err(error) => Err(error),
    }
}

fn subjects(args: &Record, known: Option<&IncidentDefinition>) -> Result<Vec<(String, PathBuf)>, CliError> {
    let mut subjects: Vec<(String, PathBuf)> =
        args.subject.iter().map(|text| role_and_path(text)).collect::<Result<_, _>>()?;
    if subjects.is_empty() {
        let command = find_command(&args.command[0])?;
        let name = command.file_name().and_then(|name| name.to_str()).unwrap_or("subject").to_owned();
        subjects.push((known.map_or(name, |definition| definition.role.clone()), command));
    }
    for (_, path) in &mut subjects {
        *path = std::fs::canonicalize(&*path).map_err(|error| CliError::file(path, &error))?;
    }
    if let Some(definition) = known
        && !subjects.iter().any(|(role, _)| *role == definition.role)
    {
        let message = format!("{} is about the role `{}`", definition.id, definition.role);
        return Err(CliError::refused("unknown_role", message, "name the subject with --subject ROLE=PATH"));
    }
    if let Some(definition) = known {
        subjects.sort_by_key(|(role, _)| *role != definition.role);
    }
    Ok(subjects)
}

/// The command's file: as given, or found in PATH.
fn find_command(command: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(command);
    if command.contains('/') {
        std::fs::metadata(path).map_err(|error| CliError::file(path, &error))?;
        // Links stay: a program may look at the name it was called by.
        return std::path::absolute(path).map_err(|error| CliError::file(path, &error));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(command)).find(|file| file.is_file());
    found.ok_or_else(|| CliError::refused("command_not_found", format!("`{command}` is not in PATH"), ""))
}

fn budget(args: &Record, known: Option<&IncidentDefinition>) -> Result<Option<u64>, CliError> {
    let side = match known {
        Some(definition) => definition.expect.vulnerable.clone(),
        None => side(&args.expect)?,
    };
    Ok(side.cpu_budget_milliseconds)
}

pub(super) fn side(specs: &[String]) -> Result<Side, CliError> {
    let mut side = Side::default();
    for spec in specs {
        side.add(spec).map_err(|error| refused_spec(&error))?;
    }
    Ok(side)
}

fn refused_spec(error: &SpecError) -> CliError {
    let message = chain(error);
    match error.reason {
        SideError::Pattern { .. } => {
            CliError::new(Exit::Usage, "pattern_refused", message, assay_server::PATTERN_HINT)
        }
        SideError::Fingerprint(_) => CliError::usage(
            message,
            "`assay stack fingerprint FILE` and `assay stack explain INCIDENT` print it",
        ),
        _ => CliError::usage(message, "see docs/concepts.md"),
    }
}

fn request(
    args: &Record,
    subjects: &[(String, PathBuf)],
    budget: Option<u64>,
) -> Result<RecordRequest, CliError> {
    let mut command = args.command.clone();
    command[0] = find_command(&args.command[0])?.to_string_lossy().into_owned();
    let stdin = match &args.stdin {
        Some(file) => read_input(file, MAX_STDIN)?,
        None => Vec::new(),
    };
    let defaults = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("HOME", "/")];
    let mut environment: BTreeMap<String, String> =
        defaults.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for variable in &args.env {
        let split = variable.split_once('=');
        let (name, value) =
            split.ok_or_else(|| CliError::usage(format!("`{variable}` is not NAME=VALUE"), ""))?;
        environment.insert(name.to_owned(), value.to_owned());
    }
    let mut limits = Limits::default();
    if let Some(milliseconds) = budget {
        limits.cpu_micros = milliseconds * 1000 * GUARD_FACTOR;
    }
    Ok(RecordRequest {
        command,
        subjects: subjects.to_vec(),
        stdin,
        environment,
        include: args.include.clone(),
        working_directory: working_directory(&args.working_directory)?,
        limits,
        seed: 1,
        provenance: provenance(args)?,
    })
}

fn provenance(args: &Record) -> Result<Vec<Vec<u8>>, CliError> {
    if args.provenance.len() > MAX_PROVENANCE {
        return Err(CliError::usage(format!("at most {MAX_PROVENANCE} statements of provenance"), ""));
    }
    args.provenance.iter().map(|file| read_input(file, MAX_ENVELOPE_BYTES as u64)).collect()
}

fn working_directory(path: &Path) -> Result<String, CliError> {
    let real = std::fs::canonicalize(path).map_err(|error| CliError::file(path, &error))?;
    real.into_os_string().into_string().map_err(|_| CliError::usage("the working directory is not UTF-8", ""))
}

/// A definition for an incident that was not known: from the flags, or from what the run showed.
fn new_definition(args: &Record, role: &str, report: &RunReport) -> Result<IncidentDefinition, CliError> {
    let mut vulnerable = side(&args.expect)?;
    if vulnerable.is_empty() {
        vulnerable = propose(report)?;
    }
    definition_of(args, role, vulnerable, &report.ending)
}

/// The definition of a new incident with this vulnerable side.
pub(super) fn definition_of(
    args: &Record,
    role: &str,
    vulnerable: Side,
    ending: &Ending,
) -> Result<IncidentDefinition, CliError> {
    let fixed = side(&args.expect_fixed)?;
    let kind = match (&vulnerable.cpu_budget_milliseconds, ending) {
        (Some(_), _) => Kind::Budget,
        (None, Ending::Exited { code: 0 }) => Kind::Output,
        _ => Kind::Crash,
    };
    Ok(IncidentDefinition {
        id: args.incident.clone(),
        title: String::new(),
        aliases: Vec::new(),
        ecosystem: String::new(),
        package: args.package.clone(),
        vulnerable: String::new(),
        fixed: String::new(),
        source: Vec::new(),
        kind,
        role: role.to_owned(),
        expect: Expectations { vulnerable, fixed: (!fixed.is_empty()).then_some(fixed) },
        facts: Facts { undefined_behaviour: args.undefined_behaviour, summary: String::new() },
    })
}

/// The expectation that a run itself suggests: its signal with the stack's fingerprint, or a failing
/// exit code.
fn propose(report: &RunReport) -> Result<Side, CliError> {
    let mut side = Side::default();
    match &report.ending {
        Ending::Exited { code: 0 } => {
            let hint = "say what shows the incident, such as --expect stdout_contains=TEXT";
            return Err(CliError::refused("nothing_to_expect", "the command ended well", hint));
        }
        Ending::Exited { code } => side.exit = Some(*code),
        Ending::Signalled { .. } => {
            side.signal = Some(Observation::of(report).ending);
            side.stack_fingerprint = assay_verify::named_fingerprint(report);
        }
        other => {
            let message = format!("the run ended with {other:?}");
            return Err(CliError::refused(
                "nothing_to_expect",
                message,
                "say what shows the incident with --expect",
            ));
        }
    }
    Ok(side)
}

fn seen(report: &RunReport) -> Value {
    json!({
        "observation": Observation::of(report),
        "events": report.events,
        "cpu_milliseconds": report.cpu_micros as f64 / 1000.0,
        "stdout": String::from_utf8_lossy(&report.stdout.head),
        "stderr": String::from_utf8_lossy(&report.stderr.head),
        "detail": format!("{:?}", report.ending),
    })
}

fn describe(seen: &Value) -> String {
    format!(
        "ended: {}\nevents: {}\nstdout: {}\nstderr: {}",
        text(seen, "detail"),
        seen["events"],
        text(seen, "stdout"),
        text(seen, "stderr")
    )
}
