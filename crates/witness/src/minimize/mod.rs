//! Making a capsule smaller while it still shows its incident.
//!
//! # Design constraints
//! - What "still shows" means is the caller's: a closure that replays. This room knows no clock and no
//!   verdict.
//! - The artifacts under test and the program itself are never dropped.
//! - Whatever stops the search, what it returns was seen to hold.

mod ddmin;

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capsule::{Blob, Capsule, CapsuleFile, FileKind, is_within};

pub use ddmin::{Tried, ddmin};

/// More lines than this are taken as bytes at once.
const MAX_LINES: usize = 50_000;

/// How large a capsule is, in what minimizing makes smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Size {
    /// Files, links and directories.
    pub files: u64,
    /// Bytes of all contents, each counted once.
    pub bytes: u64,
    /// Bytes on standard input.
    pub stdin_bytes: u64,
    /// Variables of the environment.
    pub variables: u64,
    /// Arguments after the program.
    pub arguments: u64,
}

impl Size {
    /// Of a capsule.
    pub fn of(capsule: &Capsule) -> Self {
        Self {
            files: capsule.files.len() as u64,
            bytes: capsule.blobs().iter().map(|blob| blob.size).sum(),
            stdin_bytes: capsule.stdin.map_or(0, |blob| blob.size),
            variables: capsule.environment.len() as u64,
            arguments: capsule.command.len().saturating_sub(1) as u64,
        }
    }
}

/// A capsule with the bytes of its standard input, which are all that minimizing makes anew.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The capsule; its `stdin` names the bytes below.
    pub capsule: Capsule,
    /// The bytes on standard input.
    pub stdin: Vec<u8>,
}

impl Candidate {
    fn with_stdin(&self, stdin: Vec<u8>) -> Self {
        let mut capsule = self.capsule.clone();
        let blob = Blob { digest: Sha256::of(&stdin), size: stdin.len() as u64 };
        capsule.stdin = (!stdin.is_empty()).then_some(blob);
        Self { capsule, stdin }
    }
}

/// Drops files, variables, arguments where they may be dropped, then lines and bytes of the standard
/// input. `holds` says whether a candidate still shows the incident; the first one is taken to.
///
/// # Errors
/// Whatever `holds` fails with.
pub fn minimize<E>(
    mut best: Candidate,
    arguments: bool,
    holds: &mut dyn FnMut(&Candidate) -> Result<Tried, E>,
) -> Result<Candidate, E> {
    best = files(best, holds)?;
    best = variables(best, holds)?;
    if arguments {
        best = words(best, holds)?;
    }
    // Lines first: they are what formats are made of. Then bytes, which begins by halves.
    let lines: Vec<Vec<u8>> = best.stdin.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if (2..=MAX_LINES).contains(&lines.len()) {
        best = input(best, lines, holds)?;
    }
    let bytes: Vec<Vec<u8>> = best.stdin.iter().map(|byte| vec![*byte]).collect();
    input(best, bytes, holds)
}

/// Whether an entry may go: it is neither the program nor an artifact under test, nor on the way there.
fn may_go(capsule: &Capsule, file: &CapsuleFile) -> bool {
    let program = capsule.resolve(&capsule.command[0]);
    let kept = capsule.subjects.iter().map(|slot| &slot.path).chain(&program).chain([&capsule.command[0]]);
    let mut kept = kept.chain([&capsule.working_directory]);
    !kept.any(|path| {
        is_within(path, &file.path) || is_within(&file.path, path) && file.path != "/" && path != "/"
    })
}

fn files<E>(best: Candidate, holds: &mut dyn FnMut(&Candidate) -> Result<Tried, E>) -> Result<Candidate, E> {
    let (loose, fixed): (Vec<CapsuleFile>, Vec<CapsuleFile>) =
        best.capsule.files.iter().cloned().partition(|file| may_go(&best.capsule, file));
    let with = |kept: &[CapsuleFile]| {
        let mut candidate = best.clone();
        candidate.capsule.files = fixed.iter().chain(kept).cloned().collect();
        candidate.capsule.files.sort_by(|a, b| a.path.cmp(&b.path));
        candidate
    };
    // A directory goes only when nothing lies under it, so files and links are tried before.
    let is_directory = |file: &CapsuleFile| matches!(file.kind, FileKind::Directory);
    let (directories, contents): (Vec<CapsuleFile>, Vec<CapsuleFile>) =
        loose.into_iter().partition(is_directory);
    let contents = ddmin(contents, &mut |kept| holds(&with(&[kept, &directories].concat())))?;
    let directories = ddmin(directories, &mut |kept| holds(&with(&[kept, &contents].concat())))?;
    Ok(with(&[directories, contents].concat()))
}

fn variables<E>(
    best: Candidate,
    holds: &mut dyn FnMut(&Candidate) -> Result<Tried, E>,
) -> Result<Candidate, E> {
    let with = |kept: &[(String, String)]| {
        let mut candidate = best.clone();
        candidate.capsule.environment = kept.iter().cloned().collect();
        candidate
    };
    let all = best.capsule.environment.clone().into_iter().collect();
    Ok(with(&ddmin(all, &mut |kept| holds(&with(kept)))?))
}

fn words<E>(best: Candidate, holds: &mut dyn FnMut(&Candidate) -> Result<Tried, E>) -> Result<Candidate, E> {
    let with = |kept: &[String]| {
        let mut candidate = best.clone();
        candidate.capsule.command = [&best.capsule.command[..1], kept].concat();
        candidate
    };
    Ok(with(&ddmin(best.capsule.command[1..].to_vec(), &mut |kept| holds(&with(kept)))?))
}

fn input<E>(
    best: Candidate,
    pieces: Vec<Vec<u8>>,
    holds: &mut dyn FnMut(&Candidate) -> Result<Tried, E>,
) -> Result<Candidate, E> {
    let kept = ddmin(pieces, &mut |kept| holds(&best.with_stdin(kept.concat())))?;
    Ok(best.with_stdin(kept.concat()))
}
