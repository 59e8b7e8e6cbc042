//! Two texts of a small package, recorded, observed, judged and replayed.

use std::path::Path;

use assay_delta::source::{SourceRefusal, SourceRule, prove_source};
use assay_evidence::Sha256;
use assay_verify::{source_run, source_tree};
use assay_witness::{
    Host, Located, MapSource, RecordRequest, ReplayRequest, RunReport, record, replay, runtime_coverage,
};

/// What became of a pair.
pub struct Judged {
    /// Whether it carries, or what speaks against it; the code alone where there was no coverage.
    pub carried: Result<(), Vec<String>>,
    /// Whether replaying the other text shows another end or other outputs.
    pub differs: bool,
    pub shown: [String; 2],
}

impl Judged {
    /// What shows something else is refused, for this reason.
    pub fn assert_refused(&self, reason: &str) {
        let shown = &self.shown;
        assert!(self.differs, "the pair shows the same, and tests nothing: {shown:?}");
        match &self.carried {
            Ok(()) => panic!("carried falsely, where {reason} should speak against it: {shown:?}"),
            Err(reasons) => {
                assert!(reasons.iter().any(|one| one.starts_with(reason)), "{reason}: {reasons:?}")
            }
        }
    }

    /// What is refused although it shows the same.
    pub fn assert_refused_all_the_same(&self, reason: &str) {
        let Err(reasons) = &self.carried else { panic!("carried, where {reason} should speak against it") };
        assert!(reasons.iter().any(|one| one.starts_with(reason)), "{reason}: {reasons:?}");
    }

    /// What shows the same is carried.
    pub fn assert_carried(&self) {
        assert!(!self.differs, "{:?}", self.shown);
        assert_eq!(self.carried, Ok(()), "{:?}", self.shown);
    }
}

/// Whether an interpreter is there; says so where it is not.
pub fn has(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        println!("skipped: no {program}");
    }
    there
}

/// Judges a run of `main` on a package with the file `name` in its first text against its second.
pub fn judge(program: &str, (main, text): (&str, &str), name: &str, texts: [&str; 2]) -> Judged {
    let host = Host::probe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let at = |part: &str| folder.path().join(part);
    for (part, text) in ["place", "a", "b"].into_iter().zip([texts[0], texts[0], texts[1]]) {
        std::fs::create_dir(at(part)).unwrap();
        std::fs::write(at(part).join(name), text).unwrap();
    }
    let script = at(main);
    let place = at("place").to_str().unwrap().to_owned();
    std::fs::write(&script, text.replace("PLACE", &place)).unwrap();
    let request = RecordRequest {
        command: [program, script.to_str().unwrap()].map(str::to_owned).to_vec(),
        subjects: vec![("package".to_owned(), at("place"))],
        environment: [("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())].into(),
        working_directory: "/".to_owned(),
        ..RecordRequest::default()
    };
    let recording = record(&request, &host).unwrap();
    let mut located = MapSource(Default::default());
    for (digest, bytes) in &recording.located {
        let file = match bytes {
            Located::Path(path) => path.clone(),
            Located::Bytes(bytes) => {
                std::fs::write(at(&digest.hex()), bytes).unwrap();
                at(&digest.hex())
            }
        };
        located.0.insert(*digest, file);
    }
    let as_tree = |part: &str| ReplayRequest {
        substitutions: [("package".to_owned(), at(part))].into(),
        ..ReplayRequest::default()
    };
    let [plain, other] =
        ["a", "b"].map(|part| replay(&recording.capsule, &located, &as_tree(part), &host).unwrap());
    let slot = recording.capsule.subjects[0].clone();
    let coverage = runtime_coverage(&recording.capsule, &located, &as_tree("a"), &host, &plain).unwrap();
    let carried = match coverage {
        Err(uncovered) => Err(vec![uncovered.code.to_owned()]),
        Ok(coverage) => {
            let run = source_run(&recording.capsule, &located, &slot, coverage);
            let [a, b] = ["a", "b"].map(|part| source_tree(&at(part), &slot).unwrap());
            let (digest_a, digest_b) = (Sha256::of(b"a"), Sha256::of(b"b"));
            let proven = prove_source((digest_a, &a), (digest_b, &b), &run, SourceRule::Functions);
            let said = |refusals: Vec<SourceRefusal>| refusals.iter().map(ToString::to_string).collect();
            proven.map(|_| ()).map_err(said)
        }
    };
    let end = |report: &RunReport| (report.ending.clone(), report.stdout.digest, report.stderr.digest);
    let shown = [&plain, &other].map(|report| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{:?}: {}{}", report.ending, text(&report.stdout.head), text(&report.stderr.head))
    });
    Judged { carried, differs: end(&plain) != end(&other), shown }
}
