//! A place to compile, record and replay in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_witness::{
    Ending, Host, Layout, Limits, RecordRequest, Recording, ReplayRequest, RunReport, record, replay,
};

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub host: Host,
}

impl Lab {
    /// None where there is no C compiler.
    pub fn new() -> Option<Self> {
        if Command::new("cc").arg("--version").output().is_err() {
            eprintln!("skipped: no C compiler (cc)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(Self { folder, host: Host::probe().unwrap() })
    }

    pub fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let (file, program) = (self.folder.path().join(format!("{name}.c")), self.folder.path().join(name));
        std::fs::write(&file, source).unwrap();
        let output = Command::new("cc")
            .args(["-g", "-O0", "-w", "-pthread", "-fno-omit-frame-pointer", "-o"])
            .args([&program, &file])
            .args(flags)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    }

    pub fn request(&self, command: &[&str]) -> RecordRequest {
        RecordRequest {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            working_directory: "/".to_owned(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            ..RecordRequest::default()
        }
    }

    pub fn record(&self, command: &[&str]) -> Recording {
        record(&self.request(command), &self.host).unwrap()
    }

    pub fn record_limited(&self, program: &Path, limits: Limits) -> Recording {
        let request = RecordRequest { limits, ..self.request(&[program.to_str().unwrap()]) };
        record(&request, &self.host).unwrap()
    }

    pub fn replay(&self, recording: &Recording) -> RunReport {
        self.replay_as(recording, &ReplayRequest { keep_trace: Some(2000), ..ReplayRequest::default() })
    }

    pub fn replay_as(&self, recording: &Recording, request: &ReplayRequest) -> RunReport {
        replay(&recording.capsule, recording, request, &self.host).unwrap()
    }

    /// Compiles, records and replays once.
    pub fn run_c(&self, source: &str, flags: &[&str]) -> RunReport {
        let program = self.compile("program", source, flags);
        self.replay(&self.record(&[program.to_str().unwrap()]))
    }

    /// Records and replays ten times; everything that counts is the same each time.
    pub fn assert_exact(&self, command: &[&str]) -> RunReport {
        let recording = self.record(command);
        let first = self.replay(&recording);
        for turn in 1..10 {
            let again = self.replay(&recording);
            if let Some((at, (a, b))) =
                first.trace.iter().zip(&again.trace).enumerate().find(|(_, (a, b))| a != b)
            {
                panic!("replay {turn} differs at event {at}:\n  {a}\n  {b}");
            }
            assert_eq!(
                (&first.ending, first.trace_digest, &first.stdout, &first.stderr, first.events),
                (&again.ending, again.trace_digest, &again.stdout, &again.stderr, again.events),
                "replay {turn}"
            );
        }
        first
    }

    /// Replays in three other layouts.
    pub fn elsewhere(&self, recording: &Recording) -> Vec<RunReport> {
        let how = |seed| ReplayRequest {
            layout: Layout::Elsewhere(seed),
            keep_trace: Some(2000),
            ..ReplayRequest::default()
        };
        (1..=3).map(|seed| self.replay_as(recording, &how(seed))).collect()
    }
}

pub fn text(report: &RunReport) -> String {
    String::from_utf8_lossy(&report.stdout.head).into_owned()
}

pub fn assert_exited(report: &RunReport) {
    let tail = report.trace.iter().rev().take(8).rev().cloned().collect::<Vec<_>>().join("\n");
    let stderr = String::from_utf8_lossy(&report.stderr.head);
    assert_eq!(report.ending, Ending::Exited { code: 0 }, "{}\n{stderr}\n{tail}", text(report));
}

/// The processes that this one is the parent of.
pub fn children() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().map(str::to_owned));
    }
    all
}

/// Where a runtime's own executable is, past the shims of version managers.
pub fn runtime(name: &str, ask: &[&str]) -> Option<String> {
    let output = Command::new(name).args(ask).output().ok().filter(|output| output.status.success());
    match output {
        Some(output) => Some(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
        None => {
            eprintln!("skipped: no {name}");
            None
        }
    }
}
