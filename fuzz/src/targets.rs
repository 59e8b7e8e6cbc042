//! What is called on the bytes, and what must hold of the answer beyond not panicking.

use assay_archive::Limits;
use assay_binary::{CodeMap, Image, Module};
use assay_delta::catalogue::{FunctionKey, Shard};
use assay_delta::source::{Language, SourceRule, SourceRun, SourceTree, TreeEntry, prove_source};
use assay_delta::{Executed, Index, PatchSignature};
use assay_evidence::{Envelope, Sha256, json};
use assay_witness::{draft, redact};

/// A parser under test.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive),
    ("catalogue", catalogue),
    ("core", core),
    ("image", image),
    ("index", index),
    ("index-file", index_file),
    ("javascript", javascript),
    ("json", strict_json),
    ("module", module),
    ("prove", prove),
    ("python", python),
    ("redaction", redaction),
    ("report", report),
];

/// The target that the environment names.
///
/// # Panics
/// Where it names none: there is nothing to run.
pub fn chosen() -> Target {
    let name = std::env::var("ASSAY_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    found.unwrap_or_else(|| panic!("ASSAY_FUZZ_TARGET names none of {known:?}: {name:?}")).1
}

/// Containers in containers: what is handed out stays within the limits.
fn archive(data: &[u8]) {
    let limits = Limits {
        depth: 4,
        entries: 10_000,
        entry_bytes: 8 << 20,
        output_bytes: 32 << 20,
        ratio: 2_000,
        memory_bytes: 32 << 20,
    };
    let (mut entries, mut bytes) = (0, 0);
    let _ = assay_archive::walk("input", data, &limits, &mut |_, file| {
        entries += 1;
        bytes += file.len() as u64;
        assert!(file.len() as u64 <= limits.entry_bytes.max(data.len() as u64));
    });
    assert!(entries <= limits.entries + 1, "{entries} entries");
    assert!(bytes <= limits.output_bytes + data.len() as u64, "{bytes} bytes");
}

/// A shard answers look-ups, also where its checksum was not looked at, as in the cold tier.
fn catalogue(data: &[u8]) {
    let length = data.len() as u64;
    let Ok(shard) = Shard::open(data, length) else { return };
    // Keys at every place where a key can stand, and what leads to one that is nowhere.
    for at in [[0; 16].as_slice(), &[0xff; 16]].into_iter().chain(data.windows(16).step_by(4)).take(MOST_KEYS) {
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(at);
        let key = FunctionKey::of(&Sha256::from_bytes(digest));
        let Ok((count, found)) = shard.find(data, &key, None, MOST_FOUND) else { continue };
        assert!(found.len() as u64 == count.min(MOST_FOUND as u64), "{count} but {}", found.len());
        if let Some(first) = found.first() {
            let _ = shard.find(data, &key, Some(first), MOST_FOUND);
        }
    }
}

/// Keys looked up in one shard, and occurrences asked of each.
const MOST_KEYS: usize = 4_096;
const MOST_FOUND: usize = 100;

/// ELF core files.
fn core(data: &[u8]) {
    let _ = draft::read_core(data);
}

/// ELF images with their unwind tables and code maps: what is in a unit is found there, and in no gap.
fn image(data: &[u8]) {
    let Ok(image) = Image::parse(data) else { return };
    let _ = image.imports();
    let map = CodeMap::build(&image);
    for (number, unit) in map.units().iter().enumerate() {
        for range in &unit.ranges {
            assert!(range.start < range.end, "{unit:?}");
            for at in [range.start.0, range.end.0 - 1] {
                assert_eq!(map.unit_at(at), Some(number), "{at:#x} of {unit:?}");
                let in_gap = map.gaps().iter().any(|gap| (gap.start.0..gap.end.0).contains(&at));
                assert!(!in_gap, "{at:#x} of {unit:?} is in a gap too");
            }
        }
    }
}

/// Every format to its functions, and the index of them: it reads back as it was written, and a file
/// compared with itself has not changed.
fn index(data: &[u8]) {
    let Ok(index) = Index::build(data) else { return };
    let read = Index::from_bytes(&index.to_bytes()).expect("an index reads back");
    assert!(read == index, "an index reads back as another");
    let delta = assay_delta::diff(&index, &read);
    assert!(delta.functions.changed.is_empty(), "changed against itself: {:?}", delta.functions.changed);
}

/// Stored indexes.
fn index_file(data: &[u8]) {
    if let Ok(index) = Index::from_bytes(data) {
        let _ = assay_delta::diff(&index, &index);
    }
}

fn javascript(data: &[u8]) {
    source(data, Language::JavaScript, "main.js");
}

fn python(data: &[u8]) {
    source(data, Language::Python, "main.py");
}

/// Two versions of one opened source, divided by the first zero byte; no function of it ran.
fn source(data: &[u8], language: Language, name: &str) {
    let (first, second) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let tree = |bytes: &[u8]| {
        let file = TreeEntry::File { bytes: bytes.to_vec(), executable: false };
        SourceTree::from([(name.to_owned(), file)])
    };
    let path = format!("/app/{name}");
    let run = SourceRun {
        language,
        version: "3".to_owned(),
        root: "/app".to_owned(),
        functions: [(path.clone(), Default::default())].into(),
        uses: Vec::new(),
        imports: Default::default(),
        looked_up: [path.clone()].into(),
        opened: [path].into(),
        outside: Default::default(),
        watched: Default::default(),
        script: None,
        library: None,
    };
    let (a, b) = (tree(first), tree(second));
    let (digest_a, digest_b) = (Sha256::of(first), Sha256::of(second));
    let proven = prove_source((digest_a, &a), (digest_b, &b), &run, SourceRule::Functions);
    let files = prove_source((digest_a, &a), (digest_b, &b), &run, SourceRule::Files);
    assert!(files.is_err() || proven.is_ok(), "the narrower rule carries and the wider does not");
    assert!(files.is_err() || first == second, "files that differ were carried by files");
}

/// Strict JSON and what stands on it: what is accepted has one canonical form.
fn strict_json(data: &[u8]) {
    let _ = Envelope::parse(data);
    let _ = json::from_strict::<PatchSignature>(data);
    let Ok(value) = json::parse_strict(data) else { return };
    let Ok(first) = json::canonical(&value) else { return };
    let again = json::parse_strict(&first).expect("the canonical form is strict JSON");
    assert_eq!(json::canonical(&again).expect("it was canonical"), first);
}

/// Formats other than the index needs: slices of universal files, methods, regions.
fn module(data: &[u8]) {
    let _ = Module::slices(data);
    let _ = Module::parse_all(data);
}

/// The check that carries runs over: a file against itself, and against itself with one bit turned.
fn prove(data: &[u8]) {
    let _ = assay_delta::prove(data, data, Executed::All);
    let mut other = data.to_vec();
    let Some(byte) = other.get_mut(data.len() / 2) else { return };
    *byte ^= 1;
    let _ = assay_delta::prove(data, &other, Executed::All);
}

/// The scanner's findings lie within the text.
fn redaction(data: &[u8]) {
    let scanner = redact::Scanner::new(redact::Policy::default());
    for finding in scanner.scan(data) {
        assert!(finding.range.start <= finding.range.end && finding.range.end <= data.len(), "{finding:?}");
    }
}

/// Crash reports of every kind.
fn report(data: &[u8]) {
    let _ = assay_stacks::parse(data);
}
