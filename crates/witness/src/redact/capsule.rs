//! A capsule without what must not be kept: its inputs, arguments, environment and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pseudonym::PseudonymKey;
use super::rewrite::Rewriter;
use super::scan::Scanner;
use crate::capsule::{Blob, Capsule, FileKind};
use crate::error::WitnessError;
use crate::source::{FileSource, MapSource};

/// The largest input that is looked into.
pub const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Most pseudonyms that a record lists.
pub const MAX_PSEUDONYMS: usize = 100_000;

/// Something found, by where it stands; the value itself is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Found {
    /// What it is.
    pub kind: String,
    /// `stdin`, `argument 2`, `environment NAME`, `path ...`, `file ...`.
    pub place: String,
    /// The offset of its first byte there.
    pub offset: u64,
    /// Its shape, with stars for letters and digits.
    pub masked: String,
}

/// What was found in a capsule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ScanReport {
    /// The findings, by place.
    pub findings: Vec<Found>,
    /// Inputs that were not looked into: compressed, or too large.
    pub opaque: Vec<String>,
    /// Bytes looked at.
    pub bytes: u64,
}

/// What a redaction did; it stands in the witness's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedactionRecord {
    /// The digest of the policy.
    pub policy: Sha256,
    /// How many values of each kind were replaced.
    pub replaced: BTreeMap<String, u64>,
    /// The digests of the pseudonyms, sorted: what a later scan finds is known to be nobody's.
    pub pseudonyms: Vec<Sha256>,
    /// Inputs that were not looked into.
    pub opaque: Vec<String>,
}

/// A redacted capsule.
#[derive(Clone, Debug)]
pub struct Redacted {
    /// The capsule.
    pub capsule: Capsule,
    /// Where its bytes are; what was rewritten lies in the folder that was given.
    pub files: MapSource,
    /// What was done.
    pub record: RedactionRecord,
}

/// One piece of text of a capsule.
struct Piece {
    place: String,
    text: Vec<u8>,
}

/// The inputs of a capsule by digest, and the places that cannot be looked into.
type Inputs = (Vec<(Sha256, Piece)>, Vec<String>);

/// Whether a file's bytes are an executable's, which is a program and no input.
fn is_program(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

/// Whether a file's bytes are compressed, so that what is in them does not show.
fn is_compressed(head: &[u8]) -> bool {
    const MAGICS: &[&[u8]] =
        &[b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"7z\xbc\xaf\x27\x1c"];
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_INPUT_BYTES).then_some(bytes))
}

/// Whether a path of a capsule is an input: neither the system's nor the artifact under test.
fn is_input(scanner: &Scanner, capsule: &Capsule, path: &str) -> bool {
    let subject = capsule.subjects.iter().any(|slot| crate::capsule::is_within(path, &slot.path));
    !subject && !scanner.policy().is_system(path)
}

/// The distinct contents of a capsule that are inputs, each with a path it lies at; and those that cannot
/// be looked into.
fn inputs(scanner: &Scanner, capsule: &Capsule, source: &dyn FileSource) -> Result<Inputs, WitnessError> {
    let (mut pieces, mut opaque, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let stdin = capsule.stdin.map(|blob| ("stdin".to_owned(), blob.digest));
    let files = capsule.files.iter().filter(|file| is_input(scanner, capsule, &file.path));
    let files = files.filter_map(|file| match file.kind {
        FileKind::Regular { digest, .. } => Some((format!("file {}", file.path), digest)),
        _ => None,
    });
    for (place, digest) in stdin.into_iter().chain(files) {
        if !seen.insert(digest) {
            continue;
        }
        let missing = |source| WitnessError::Bytes { digest, source };
        match read(&source.path(&digest).map_err(missing)?).map_err(missing)? {
            Some(text) if is_program(&text) => {}
            Some(text) if !is_compressed(&text) => pieces.push((digest, Piece { place, text })),
            _ => opaque.push(place),
        }
    }
    Ok((pieces, opaque))
}

/// Texts of the manifest itself: arguments in one line, variables, paths and link targets.
fn words(scanner: &Scanner, capsule: &Capsule) -> Vec<Piece> {
    let piece = |place: String, text: &str| Piece { place, text: text.as_bytes().to_vec() };
    let mut all = vec![piece("arguments".to_owned(), &capsule.command.join(" "))];
    all.extend(
        capsule
            .environment
            .iter()
            .map(|(name, value)| piece(format!("environment {name}"), &format!("{name}={value}"))),
    );
    all.push(piece("working directory".to_owned(), &capsule.working_directory));
    for file in capsule.files.iter().filter(|file| !scanner.policy().is_system(&file.path)) {
        all.push(piece("path".to_owned(), &file.path));
        if let FileKind::Symlink { target } = &file.kind {
            all.push(piece(format!("link {}", file.path), target));
        }
    }
    all
}

/// What statements of provenance say. They are signed: they can be left out, never rewritten.
fn stated(capsule: &Capsule, source: &dyn FileSource) -> Result<Vec<Piece>, WitnessError> {
    let mut pieces = Vec::new();
    for pointer in &capsule.provenance {
        let missing = |source| WitnessError::Bytes { digest: pointer.digest, source };
        let bytes = read(&source.path(&pointer.digest).map_err(missing)?).map_err(missing)?;
        let envelope = bytes.and_then(|bytes| assay_evidence::Envelope::parse(&bytes).ok());
        let text = envelope.map(|envelope| envelope.payload_unverified().to_vec()).unwrap_or_default();
        pieces.push(Piece { place: format!("provenance {}", pointer.digest), text });
    }
    Ok(pieces)
}

/// Looks for what a policy speaks of in everything that a capsule brings from outside. `known` are the
/// digests of pseudonyms, which are no findings.
///
/// # Errors
/// Bytes that cannot be read.
pub fn scan_capsule(
    scanner: &Scanner,
    capsule: &Capsule,
    source: &dyn FileSource,
    known: &BTreeSet<Sha256>,
) -> Result<ScanReport, WitnessError> {
    let (pieces, opaque) = inputs(scanner, capsule, source)?;
    let mut report = ScanReport { opaque, ..ScanReport::default() };
    for piece in words(scanner, capsule).into_iter().chain(pieces.into_iter().map(|(_, piece)| piece)) {
        report.bytes += piece.text.len() as u64;
        report.findings.extend(found(scanner, &piece.place, &piece.text, known));
    }
    for piece in stated(capsule, source)? {
        report.bytes += piece.text.len() as u64;
        report.findings.extend(found(scanner, &piece.place, &piece.text, known));
    }
    Ok(report)
}

/// The findings in one text.
pub fn found(scanner: &Scanner, place: &str, text: &[u8], known: &BTreeSet<Sha256>) -> Vec<Found> {
    let all = scanner.scan(text).into_iter();
    let strange =
        all.filter(|finding| known.is_empty() || !known.contains(&Sha256::of(&text[finding.range.clone()])));
    strange
        .map(|finding| Found {
            kind: finding.kind.name().to_owned(),
            place: place.to_owned(),
            offset: finding.range.start as u64,
            masked: finding.masked(text),
        })
        .collect()
}

/// Replaces everything found in a capsule by pseudonyms. Rewritten contents are written into `folder`,
/// which is there.
///
/// # Errors
/// Bytes that cannot be read or written, or a capsule that breaks a rule once its paths are rewritten.
pub fn redact_capsule(
    scanner: &Scanner,
    key: &PseudonymKey,
    capsule: &Capsule,
    source: &dyn FileSource,
    folder: &Path,
) -> Result<Redacted, WitnessError> {
    let (pieces, opaque) = inputs(scanner, capsule, source)?;
    let mut rewriter = Rewriter::new(scanner, key);
    words(scanner, capsule).iter().for_each(|piece| rewriter.learn(&piece.text));
    pieces.iter().for_each(|(_, piece)| rewriter.learn(&piece.text));
    let mut rewriter = rewriter.learned();
    let mut files: BTreeMap<Sha256, PathBuf> = BTreeMap::new();
    let mut moved: BTreeMap<Sha256, Sha256> = BTreeMap::new();
    for (digest, piece) in pieces {
        let text = rewriter.rewrite(&piece.text);
        if text == piece.text {
            continue;
        }
        let to = Sha256::of(&text);
        let path = folder.join(to.hex());
        std::fs::write(&path, &text)
            .map_err(|source| WitnessError::File { path: path.display().to_string(), source })?;
        files.insert(to, path);
        moved.insert(digest, to);
    }
    let capsule = rewritten(capsule, &mut rewriter, scanner, &moved);
    capsule.validate()?;
    for blob in capsule.blobs() {
        if let std::collections::btree_map::Entry::Vacant(place) = files.entry(blob.digest) {
            place.insert(
                source
                    .path(&blob.digest)
                    .map_err(|source| WitnessError::Bytes { digest: blob.digest, source })?,
            );
        }
    }
    let (replaced, pseudonyms) = rewriter.finish();
    let record = RedactionRecord { policy: scanner.policy().digest(), replaced, pseudonyms, opaque };
    Ok(Redacted { capsule, files: MapSource(files), record })
}

/// The capsule's manifest with its texts rewritten and its contents replaced.
fn rewritten(
    capsule: &Capsule,
    rewriter: &mut Rewriter<'_>,
    scanner: &Scanner,
    moved: &BTreeMap<Sha256, Sha256>,
) -> Capsule {
    let mut out = capsule.clone();
    let line = rewriter.text(&capsule.command.join(" "));
    let mut at = 0;
    for word in &mut out.command {
        let end = at + word.len();
        *word = line[at..end].to_owned();
        at = end + 1;
    }
    for (name, value) in &mut out.environment {
        *value = rewriter.text(&format!("{name}={value}"))[name.len() + 1..].to_owned();
    }
    out.working_directory = rewriter.text(&capsule.working_directory);
    let moved_blob = |digest: &Sha256| moved.get(digest).copied().unwrap_or(*digest);
    out.stdin = capsule.stdin.map(|blob| Blob { digest: moved_blob(&blob.digest), ..blob });
    for file in &mut out.files {
        if scanner.policy().is_system(&file.path) {
            continue;
        }
        file.path = rewriter.text(&file.path);
        match &mut file.kind {
            FileKind::Regular { digest, .. } => *digest = moved_blob(digest),
            FileKind::Symlink { target } => *target = rewriter.text(target),
            FileKind::Directory => {}
        }
    }
    out.files.sort_by(|a, b| a.path.cmp(&b.path));
    for slot in &mut out.subjects {
        if !scanner.policy().is_system(&slot.path) {
            slot.path = rewriter.text(&slot.path);
        }
    }
    out
}
