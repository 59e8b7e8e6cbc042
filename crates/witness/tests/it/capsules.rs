//! What a capsule may be, and what recording makes of a run.

use assay_evidence::Sha256;
use assay_witness::{
    Blob, Capsule, CapsuleError, CapsuleFile, Conditions, FileKind, Limits, RecordRequest, ReplayRequest,
    SubjectSlot, manifest, record, witness_id,
};

use crate::lab::{Lab, assert_exited, text};

fn file(path: &str) -> CapsuleFile {
    let kind = FileKind::Regular { digest: Sha256::of(b"x"), size: 1, executable: true, modified: None };
    CapsuleFile { path: path.to_owned(), kind }
}

fn capsule() -> Capsule {
    Capsule {
        schema_version: 1,
        command: vec!["/bin/program".to_owned()],
        environment: [("A".to_owned(), "b".to_owned())].into(),
        working_directory: "/".to_owned(),
        stdin: Some(Blob { digest: Sha256::of(b"in"), size: 2 }),
        files: vec![file("/bin/program"), file("/lib/x")],
        subjects: vec![SubjectSlot {
            role: "app".to_owned(),
            path: "/bin/program".to_owned(),
            tree: None,
            toolchain: None,
        }],
        seed: 7,
        limits: Limits::default(),
        schedule: Vec::new(),
        conditions: Conditions::default(),
        provenance: Vec::new(),
    }
}

#[test]
fn a_good_capsule_is_good_and_has_one_identity() {
    let capsule = capsule();
    capsule.validate().unwrap();
    assert_eq!(manifest(&capsule), manifest(&capsule.clone()));
    assert_eq!(witness_id(&capsule), Sha256::of(&manifest(&capsule)));
    let json = serde_json::to_string(&capsule).unwrap();
    assert_eq!(serde_json::from_str::<Capsule>(&json).unwrap(), capsule);
    let text = String::from_utf8(manifest(&capsule)).unwrap();
    assert_eq!(text.matches(&Sha256::of(b"x").to_string()).count(), 1, "equal bytes are one layer");
}

#[test]
fn every_broken_rule_is_named() {
    let broken = |change: fn(&mut Capsule)| {
        let mut capsule = capsule();
        change(&mut capsule);
        capsule.validate().unwrap_err()
    };
    for path in ["relative", "/a/../b", "/a//b", "/a/./b", "/a/", "/nul\0", ""] {
        let mut capsule = capsule();
        capsule.files[1].path = path.to_owned();
        assert!(capsule.validate().is_err(), "{path:?}");
    }
    assert!(matches!(broken(|c| c.files.swap(0, 1)), CapsuleError::Order { .. }));
    assert!(matches!(broken(|c| c.files[1] = c.files[0].clone()), CapsuleError::Order { .. }));
    assert!(matches!(
        broken(|c| c.files[1].path = "/bin/program/x".to_owned()),
        CapsuleError::NotADirectory { .. }
    ));
    assert!(matches!(broken(|c| c.files[1].path = "/proc/x".to_owned()), CapsuleError::Reserved { .. }));
    assert!(matches!(broken(|c| c.subjects[0].path = "/nowhere".to_owned()), CapsuleError::NotAFile { .. }));
    assert!(matches!(broken(|c| c.limits.events = 0), CapsuleError::Limit { name: "events" }));
    assert!(matches!(broken(|c| c.limits.cpu_micros = u64::MAX), CapsuleError::Limit { .. }));
    assert!(matches!(broken(|c| c.schema_version = 2), CapsuleError::SchemaVersion { found: 2 }));
    assert!(matches!(broken(|c| c.command.clear()), CapsuleError::Text { .. }));
    assert!(matches!(broken(|c| c.command.push("a\0".to_owned())), CapsuleError::Text { .. }));
    assert!(matches!(
        broken(|c| c.stdin.as_mut().unwrap().digest = Sha256::of(b"x")),
        CapsuleError::Size { .. }
    ));
}

#[test]
fn recording_closes_over_what_was_touched_and_nothing_else() {
    let Some(lab) = Lab::new() else { return };
    let data = lab.folder.path().join("data.txt");
    std::fs::write(&data, "the data").unwrap();
    std::fs::write(lab.folder.path().join("unused.txt"), "secret").unwrap();
    std::os::unix::fs::symlink("data.txt", lab.folder.path().join("link")).unwrap();
    let source = "#include <stdio.h>\nint main(){char b[99]={0},c[99]={0};FILE*f=fopen(\"link\",\"r\");fread(b,1,98,f);fread(c,1,98,stdin);printf(\"%s|%s|%s\\n\",b,c,getenv(\"X\")?\"x\":\"-\");return 0;}";
    let program = lab.compile("reader", source, &["-include", "stdlib.h"]);
    let request = RecordRequest {
        command: vec!["./reader".to_owned()],
        working_directory: lab.folder.path().to_str().unwrap().to_owned(),
        stdin: b"from stdin".to_vec(),
        subjects: vec![("app".to_owned(), program.clone())],
        ..RecordRequest::default()
    };
    let recording = record(&request, &lab.host).unwrap();
    let paths: Vec<&str> = recording.capsule.files.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.iter().any(|path| path.ends_with("/link")), "{paths:?}");
    assert!(
        paths.iter().any(|path| path.ends_with("/data.txt"))
            && paths.iter().any(|path| path.contains("libc.so"))
    );
    assert!(!paths.iter().any(|path| path.ends_with("unused.txt")));
    std::fs::remove_file(&data).unwrap_or_default();
    std::fs::write(&data, "the data").unwrap();
    let stdin = lab.folder.path().join("stdin");
    std::fs::write(&stdin, "from stdin").unwrap();
    let mut source = assay_witness::MapSource::default();
    for (digest, located) in &recording.located {
        let path = match located {
            assay_witness::Located::Path(path) => path.clone(),
            assay_witness::Located::Bytes(_) => stdin.clone(),
        };
        source.0.insert(*digest, path);
    }
    let report =
        assay_witness::replay(&recording.capsule, &source, &ReplayRequest::default(), &lab.host).unwrap();
    assert_exited(&report);
    assert_eq!(text(&report), "the data|from stdin|-\n");
    let other =
        lab.compile("other", "#include <stdio.h>\nint main(){puts(\"another build\");return 0;}", &[]);
    let request =
        ReplayRequest { substitutions: [("app".to_owned(), other)].into(), ..ReplayRequest::default() };
    let report = assay_witness::replay(&recording.capsule, &source, &request, &lab.host).unwrap();
    assert_eq!(text(&report), "another build\n");
    let opened = |name: &str| {
        recording.report.files_opened.iter().any(|f| f.path.ends_with(name) && f.digest.is_some())
    };
    assert!(opened("data.txt"));
}

#[test]
fn scripts_bring_their_interpreter() {
    let Some(lab) = Lab::new() else { return };
    let script = lab.folder.path().join("script.sh");
    std::fs::write(&script, "#!/bin/sh\necho a | cat; for i in 1 2; do echo $i; done\nls -d /tmp\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let report = lab.assert_exact(&[script.to_str().unwrap()]);
    assert_exited(&report);
    assert_eq!(text(&report), "a\n1\n2\n/tmp\n");
}

#[test]
fn a_capsule_from_before_toolchains_were_noted_has_the_same_bytes() {
    let capsule = capsule();
    let text = serde_json::to_string(&capsule).unwrap();
    assert!(!text.contains("toolchain") && !text.contains("provenance"), "{text}");
    assert_eq!(serde_json::from_str::<Capsule>(&text).unwrap(), capsule);
}
