//! Hosts that refuse something, simulated; and this one as another user.

use assay_witness::{Host, Kernel, Profile, RefusalCode, Tried};

#[derive(Clone)]
struct Pretended {
    machine: &'static str,
    release: (u32, u32),
    proc: bool,
    seccomp: bool,
    landlock: u32,
    settings: Vec<(&'static str, i64)>,
    ptrace: Tried,
    namespaces: Tried,
}

const REFUSED: Tried = Tried::Refused { step: "starting the first process", errno: 1 };

impl Default for Pretended {
    fn default() -> Self {
        Self {
            machine: "x86_64",
            release: (6, 1),
            proc: true,
            seccomp: true,
            landlock: 3,
            settings: Vec::new(),
            ptrace: Tried::Works,
            namespaces: Tried::Works,
        }
    }
}

impl Kernel for Pretended {
    fn machine(&self) -> String {
        self.machine.to_owned()
    }
    fn release(&self) -> (u32, u32) {
        self.release
    }
    fn has_proc(&self) -> bool {
        self.proc
    }
    fn has_seccomp(&self) -> bool {
        self.seccomp
    }
    fn landlock_version(&self) -> u32 {
        self.landlock
    }
    fn setting(&self, name: &str) -> Option<i64> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
    fn try_ptrace(&self) -> Tried {
        self.ptrace
    }
    fn try_namespaces(&self) -> Tried {
        self.namespaces
    }
}

fn refusal(pretended: Pretended) -> (RefusalCode, String) {
    let refusal = Host::probe_with(&pretended).unwrap_err();
    assert!(!refusal.what.is_empty());
    (refusal.code, refusal.remedy)
}

#[test]
fn every_refusal_has_its_code_and_remedy() {
    let none = Pretended { namespaces: REFUSED, landlock: 0, ..Pretended::default() };
    let with = |name, value| Pretended { settings: vec![(name, value)], ..none.clone() };
    let (code, remedy) = refusal(with("kernel/apparmor_restrict_unprivileged_userns", 1));
    assert_eq!(code, RefusalCode::ApparmorUserns);
    assert!(remedy.contains("apparmor_restrict_unprivileged_userns=0"));
    assert_eq!(refusal(with("user/max_user_namespaces", 0)).0, RefusalCode::UsernsLimit);
    assert_eq!(refusal(with("kernel/unprivileged_userns_clone", 0)).0, RefusalCode::UsernsLimit);
    assert_eq!(refusal(none).0, RefusalCode::NamespacesRefused);
    let yama = |scope| Pretended {
        ptrace: REFUSED,
        settings: vec![("kernel/yama/ptrace_scope", scope)],
        ..Pretended::default()
    };
    assert_eq!(refusal(yama(2)).0, RefusalCode::YamaPtraceScope);
    assert!(refusal(yama(3)).1.contains("restart"));
    assert_eq!(refusal(yama(1)).0, RefusalCode::PtraceRefused);
    assert_eq!(refusal(Pretended { ptrace: REFUSED, ..Pretended::default() }).0, RefusalCode::PtraceRefused);
    assert_eq!(refusal(Pretended { seccomp: false, ..Pretended::default() }).0, RefusalCode::NoSeccomp);
    assert_eq!(refusal(Pretended { release: (5, 4), ..Pretended::default() }).0, RefusalCode::KernelTooOld);
    assert_eq!(
        refusal(Pretended { machine: "aarch64", ..Pretended::default() }).0,
        RefusalCode::WrongPlatform
    );
    assert_eq!(refusal(Pretended { proc: false, ..Pretended::default() }).0, RefusalCode::NoProc);
}

#[test]
fn without_namespaces_the_profile_is_another_environment() {
    let full = Host::probe_with(&Pretended::default()).unwrap();
    let reduced = Host::probe_with(&Pretended { namespaces: REFUSED, ..Pretended::default() }).unwrap();
    assert_eq!(*reduced.profile(), Profile::Reduced { name: "reduced-no-namespaces".to_owned() });
    assert_ne!(full.environment_class(), reduced.environment_class());
    let no_landlock = Host::probe_with(&Pretended { landlock: 0, ..Pretended::default() }).unwrap();
    assert_eq!(*no_landlock.profile(), Profile::Full, "Landlock is a second wall behind namespaces");
}

#[test]
fn the_reduced_profile_replays_what_it_can_and_says_what_not() {
    use crate::lab::{Lab, text};
    use assay_witness::{Ending, ReplayRequest, record, replay};
    let Some(lab) = Lab::new() else { return };
    let reduced = Host::probe_with(&Pretended {
        namespaces: REFUSED,
        landlock: lab.host.landlock_version(),
        ..Pretended::default()
    });
    let Ok(reduced) = reduced else {
        eprintln!("skipped: no Landlock");
        return;
    };
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <fcntl.h>\n#include <time.h>\nint main(int c,char**v){printf(\"%d %d %d %ld\\n\",getpid(),open(\"/etc/passwd\",0),access(\"/usr\",0),(long)time(0));fflush(stdout);if(c>1)fork();abort();}";
    let program = lab.compile("reduced", source, &[]);
    let plain = lab.record(&["/bin/true"]);
    let how = ReplayRequest::default();
    let report = replay(&plain.capsule, &plain, &how, &reduced).unwrap();
    assert_eq!(report.ending, Ending::Exited { code: 0 });
    assert_eq!(report.environment_class, *reduced.environment_class());
    let mut recording = lab.record(&[program.to_str().unwrap()]);
    recording.capsule.files.retain(|file| file.path != "/etc/passwd");
    for _ in 0..3 {
        let report = replay(&recording.capsule, &recording, &how, &reduced).unwrap();
        assert_eq!(report.ending, Ending::Signalled { signal: 6 }, "{}", text(&report));
        assert_eq!(text(&report), "2 -1 0 1600000000\n");
        assert!(!report.faults.is_empty());
    }
    let unsupported = |report: assay_witness::RunReport| {
        assert!(matches!(&report.ending, Ending::Unsupported { code, .. } if code == "needs_namespaces"));
    };
    let forking = lab.record(&[program.to_str().unwrap(), "fork"]);
    unsupported(replay(&forking.capsule, &forking, &how, &reduced).unwrap());
    lab.compile("reduced", "int main(){return 1;}", &[]);
    unsupported(replay(&recording.capsule, &recording, &how, &reduced).unwrap());
    let refused = record(&lab.request(&["/bin/true"]), &reduced);
    assert!(
        matches!(refused, Err(assay_witness::WitnessError::Refused(refusal)) if !refusal.remedy.is_empty())
    );
    assert!(crate::lab::children().is_empty());
}

/// The segments of the host, as its kernel lists them.
fn segments() -> String {
    std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default()
}

#[test]
fn without_namespaces_nothing_of_system_v_reaches_the_host() {
    use crate::lab::Lab;
    use assay_witness::{Ending, ReplayRequest, replay};
    let Some(lab) = Lab::new() else { return };
    let reduced = Host::probe_with(&Pretended {
        namespaces: REFUSED,
        landlock: lab.host.landlock_version(),
        ..Pretended::default()
    });
    let Ok(reduced) = reduced else {
        eprintln!("skipped: no Landlock");
        return;
    };
    let source = r#"
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
int main(int c, char **v) { switch (atoi(v[1])) {
    case 0: return shmget(0x5a5a1234, 4096, IPC_CREAT | 0600) < 0;
    case 1: return shmat(0, 0, 0) == 0; case 2: return shmdt(v) == 0; case 3: return shmctl(0, IPC_RMID, 0) == 0;
    case 4: return semget(IPC_PRIVATE, 1, 0600) < 0; case 5: return semop(0, 0, 0) == 0;
    case 6: return semctl(0, 0, GETPID) == 0; case 7: return msgget(IPC_PRIVATE, 0600) < 0;
    case 8: return msgsnd(0, v, 1, IPC_NOWAIT) == 0; case 9: return msgrcv(0, v, 1, 0, IPC_NOWAIT) == 0;
    default: return msgctl(0, IPC_RMID, 0) == 0; } }"#;
    let program = lab.compile("system_v", source, &[]);
    let before = segments();
    for call in 0..=10 {
        let recording = lab.record(&[program.to_str().unwrap(), &call.to_string()]);
        let report = replay(&recording.capsule, &recording, &ReplayRequest::default(), &reduced).unwrap();
        let refused =
            matches!(&report.ending, Ending::Unsupported { code, .. } if code == "needs_namespaces");
        assert!(refused, "{call}: {:?}", report.ending);
    }
    let key = 0x5a5a_1234.to_string();
    assert!(before.contains(&key) || !segments().contains(&key), "a segment was left on the host");
}

#[test]
fn this_host_is_able() {
    let host = Host::probe().unwrap();
    assert_eq!(host.environment_class(), Host::probe().unwrap().environment_class());
    assert_eq!(host.environment_class().runner_version, assay_witness::RUNNER_VERSION);
}

/// As root, runs the observing test again as an ordinary user.
#[test]
fn an_ordinary_user_can_do_all_of_it() {
    let uid = std::fs::metadata("/proc/self").map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap();
    if uid != 0 || std::process::Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: not root, or no setpriv");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
    std::fs::set_permissions(folder.path(), mode(0o777)).unwrap();
    let copy = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, mode(0o755)).unwrap();
    for name in ["exactness::time", "exactness::fork", "escapes::", "limits::", "faults::abort", "coverage::"]
    {
        let output = std::process::Command::new("setpriv")
            .args(["--reuid", "1000", "--regid", "1000", "--clear-groups"])
            .arg(&copy)
            .arg(name)
            .args(["--test-threads", "1"])
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("running 0 tests"), "{name}");
    }
}
