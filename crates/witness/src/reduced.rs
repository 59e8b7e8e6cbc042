//! Replaying on a host without namespaces: profile `reduced-no-namespaces`.
//!
//! The host's own tree stays in place, so a capsule can be replayed only where each of its files lies on
//! the host at the very same path with the very same bytes, and no subject is substituted. Landlock lets
//! the program read these files and nothing else; the tracer answers every other path as absent, gives
//! the ids that a namespace would give, and refuses whatever needs a second thread or process. Anything
//! that would not be the same run ends as [`Ending::Unsupported`].

use std::fs::File;

use crate::capsule::{Capsule, FileKind, is_within};
use crate::error::WitnessError;
use crate::host::Host;
use crate::replay::{ReplayRequest, Run, not_run, read_blob};
use crate::report::{Ending, RunReport};
use crate::root::{RootPlan, c_string};
use crate::source::FileSource;
use crate::substitutes::{Files, Substitutes};
use crate::sys::child::Tree;
use crate::sys::landlock::{Access, Network, Rules};

const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

pub(crate) fn replay(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
) -> Result<RunReport, WitnessError> {
    if let Some(detail) = why_not(capsule, request) {
        let ending = Ending::Unsupported { code: "needs_namespaces".to_owned(), detail };
        return Ok(not_run(ending, host));
    }
    let stdin = match capsule.stdin {
        None => Vec::new(),
        Some(blob) => read_blob(source, &blob.digest)?,
    };
    let substitutes = Substitutes::default();
    let files = Files { capsule, source, substitutes: &substitutes };
    let run = Run {
        tree: Tree::Bare,
        plan: RootPlan::default(),
        size: 0,
        writable: Vec::new(),
        hidden: Vec::new(),
        command: &capsule.command,
        environment: &capsule.environment,
        working_directory: &capsule.working_directory,
        stdin: &stdin,
        limits: capsule.limits,
        seed: capsule.seed,
        schedule: &capsule.schedule,
        conditions: &capsule.conditions,
        explore: None,
        patience: None,
        request,
        landlock: Some(rules(capsule, host)?),
        recording: false,
        lookups: false,
        visible: Some(&|path| is_visible(capsule, path)),
        debugger: None,
        host,
    };
    Ok(run.go(&|path| files.file(path), &|path| files.digest(path))?.0)
}

/// Why this capsule cannot be replayed in place; none if it can.
fn why_not(capsule: &Capsule, request: &ReplayRequest) -> Option<String> {
    if !request.substitutions.is_empty() {
        return Some("another build cannot be put in a subject's place without namespaces".to_owned());
    }
    for file in &capsule.files {
        let same = match &file.kind {
            FileKind::Directory => std::fs::symlink_metadata(&file.path).is_ok_and(|meta| meta.is_dir()),
            FileKind::Symlink { target } => {
                std::fs::read_link(&file.path).is_ok_and(|found| found.as_os_str() == target.as_str())
            }
            FileKind::Regular { digest, .. } => File::open(&file.path)
                .and_then(|found| crate::record::digest_of(&found))
                .is_ok_and(|found| found == *digest),
        };
        if !same {
            return Some(format!("{} is not the same on this host", file.path));
        }
    }
    None
}

fn rules(capsule: &Capsule, host: &Host) -> Result<Rules, WitnessError> {
    let mut places = Vec::new();
    for file in &capsule.files {
        if matches!(file.kind, FileKind::Regular { .. }) {
            places.push((c_string(file.path.as_str())?, Access::ReadFile));
        }
    }
    for device in DEVICES {
        places.push((c_string(device)?, Access::Device));
    }
    Ok(Rules { abi: host.landlock_version(), places, network: Network::Hosts })
}

/// Whether a path leads to an entry of the capsule or to a directory on the way to one.
fn is_visible(capsule: &Capsule, path: &str) -> bool {
    let Some(real) = capsule.resolve(path) else { return false };
    DEVICES.contains(&real.as_str())
        || real == "/"
        || capsule.file(&real).is_some()
        || capsule.files.iter().any(|file| is_within(&file.path, &real))
}
