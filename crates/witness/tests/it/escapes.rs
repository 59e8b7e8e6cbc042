//! What a hostile program tries.

use assay_witness::{Ending, Limits, RecordRequest, ReplayRequest, record};

use crate::lab::{Lab, assert_exited, children, text};

#[test]
fn host_files_network_and_privileges_are_out_of_reach() {
    let source = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <sys/un.h>
static void try(const char *what, long result) { printf("%s %s\n", what, result < 0 ? "denied" : "ALLOWED"); }
int main(int c, char **v) {
    try("passwd", open("/etc/passwd", O_RDONLY)); try("dotdot", open("../../../../etc/passwd", O_RDONLY));
    try("root", open("/root", O_RDONLY)); try("proc1", open("/proc/1/root/etc/passwd", O_RDONLY)); try("mem", open("/dev/mem", O_RDWR));
    try("write", open("/usr/evil", O_CREAT | O_WRONLY, 0600)); try("self", open(v[0], O_WRONLY)); try("chmod", chmod(v[0], 0777)); try("unlink", unlink(v[0]));
    int s = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in o = {AF_INET, htons(53), {htonl(0x08080808)}}; try("inet", connect(s, (void *)&o, sizeof o)); s = socket(AF_INET, SOCK_DGRAM, 0); try("udp", sendto(s, "x", 1, 0, (void *)&o, sizeof o)); o.sin_addr.s_addr = htonl(0x7f000001); o.sin_port = htons(HOSTPORT); s = socket(AF_INET, SOCK_STREAM, 0); try("host's loopback", connect(s, (void *)&o, sizeof o));
    struct sockaddr_in6 w = {AF_INET6, htons(53), 0, {{{0x20, 1, 0x48, 0x60}}}}; s = socket(AF_INET6, SOCK_DGRAM, 0); try("inet6", connect(s, (void *)&w, sizeof w)); try("raw", socket(AF_INET, SOCK_RAW, 1)); try("audit", socket(AF_NETLINK, SOCK_RAW, 9)); try("packet", socket(AF_PACKET, SOCK_RAW, 0)); try("vsock", socket(40, SOCK_STREAM, 0));
    int u = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "/run/docker.sock"}; try("docker", connect(u, (void *)&a, sizeof a));
    memcpy(a.sun_path, "\0abstract", 9); try("abstract", connect(u, (void *)&a, sizeof a));
    try("ptrace", ptrace(PTRACE_ATTACH, 1, 0, 0)); try("traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    try("mount", mount("none", "/tmp", "tmpfs", 0, 0)); try("umount", umount("/")); try("unshare", unshare(CLONE_NEWUSER)); try("chroot", chroot("/tmp"));
    try("kill", kill(1, 0) < 0 ? -1 : kill(99999, 9)); try("setuid", setuid(0)); try("bpf", syscall(SYS_bpf, 0, 0, 0)); try("keyctl", syscall(SYS_keyctl, 0, 0));
    try("userfaultfd", syscall(SYS_userfaultfd, 0)); try("perf", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0)); try("iouring", syscall(425, 1, 0)); try("nested", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    try("hostname", sethostname("x", 1)); try("vm", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0)); try("mknod", -1); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    // Somebody listens on the host's loopback: out of reach, although the run has a loopback of its own.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("-DHOSTPORT={}", listener.local_addr().unwrap().port());
    let hostile = lab.compile("hostile", source, &[&port]);
    let request = RecordRequest {
        subjects: vec![("app".to_owned(), "/bin/true".into())],
        ..lab.request(&["/bin/true"])
    };
    let recording = record(&request, &lab.host).unwrap();
    let request =
        ReplayRequest { substitutions: [("app".to_owned(), hostile)].into(), ..ReplayRequest::default() };
    let report = lab.replay_as(&recording, &request);
    assert_exited(&report);
    let out = text(&report);
    assert!(!out.contains("ALLOWED"), "{out}");
    assert!(out.lines().count() > 30);
    assert!(children().is_empty());
}

#[test]
fn an_unmodelled_call_is_never_a_pass() {
    let Some(lab) = Lab::new() else { return };
    for (source, what) in [
        ("#include <unistd.h>\nint main(){syscall(400);return 0;}", "unmodelled_syscall"),
        ("#include <unistd.h>\nint main(){syscall(0x40000000|39);return 0;}", "unmodelled_syscall"),
        (
            "int main(){int r;__asm__ volatile(\"int $0x80\":\"=a\"(r):\"a\"(20));return 0;}",
            "unmodelled_syscall",
        ),
    ] {
        let report = lab.run_c(source, &[]);
        assert!(
            matches!(&report.ending, Ending::Unsupported { code, .. } if code == what),
            "{what}: {:?}",
            report.ending
        );
    }
    assert!(children().is_empty());
}

#[test]
fn nothing_outlives_the_run() {
    let source = r#"
#include <stdio.h>
#include <unistd.h>
#include <signal.h>
int main() { for (int i = 0; i < 5; i++) if (!fork()) { setsid(); signal(SIGTERM, SIG_IGN); signal(SIGHUP, SIG_IGN); if (fork()) _exit(0); for (;;) pause(); }
    puts("parent leaves"); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let report = lab.run_c(source, &[]);
    assert_exited(&report);
    assert!(children().is_empty());
    assert_eq!(mounts(), before);
    let mine = format!("{}/program", lab.folder.path().display());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let exe = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
        assert_ne!(exe.to_str(), Some(mine.as_str()), "{:?}", entry.path());
    }
}

#[test]
fn the_program_has_no_capability_and_an_unprivileged_id() {
    let source = r#"
#include <stdio.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
int main() { unsigned h[2] = {0x20080522, 0}, d[6]; syscall(SYS_capget, h, d);
    printf("uid %d gid %d caps %x %x %x nnp %d\n", getuid(), getgid(), d[0], d[1], d[2], prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let report = lab.run_c(source, &[]);
    assert_eq!(text(&report), "uid 1000 gid 1000 caps 0 0 0 nnp 1\n");
}

/// What each hostile program does, and how its run must end: `None` where it exits with 0 by itself.
const CONTAINED: [(&str, &str, Option<&str>); 9] = [
    (
        "hard links and symbolic links lead nowhere",
        "#include <unistd.h>\n#include <fcntl.h>\nint main(){ int bad=0; symlink(\"/etc/shadow\",\"/tmp/l\"); bad|=open(\"/tmp/l\",O_RDONLY)>=0; symlink(\"../../../../etc\",\"/tmp/d\"); bad|=open(\"/tmp/d/passwd\",O_RDONLY)>=0; bad|=link(\"/proc/version\",\"/tmp/h\")==0; symlink(\"/proc/1/root\",\"/tmp/r\"); bad|=open(\"/tmp/r/etc/passwd\",O_RDONLY)>=0; bad|=rename(\"/tmp\",\"/usr/tmp\")==0; return bad; }",
        None,
    ),
    (
        "the tracer is out of reach",
        "#include <signal.h>\n#include <unistd.h>\n#include <sys/types.h>\nint main(){ int bad=0; pid_t p=getppid(); kill(p,SIGKILL); for(int i=3;i<40000;i+=7) bad|=kill(i,0)==0; return bad; }",
        None,
    ),
    (
        "a time bomb waits in virtual time",
        "#include <unistd.h>\n#include <time.h>\nint main(){ time_t a=time(0); sleep(86400*365); return time(0)-a<86400*365; }",
        None,
    ),
    (
        "keyrings, userfaultfd, io_uring and namespaces are refused",
        "#include <unistd.h>\n#include <sys/syscall.h>\nint main(){ return syscall(SYS_add_key,\"user\",\"x\",\"y\",1,-3)>=0||syscall(SYS_userfaultfd,0)>=0||syscall(425,8,0)>=0||syscall(SYS_unshare,0x10000000)>=0||syscall(435,0,0)>=0; }",
        None,
    ),
    (
        "a flood of output",
        "#include <unistd.h>\nint main(){ static char b[65536]; for(;;) write(1,b,sizeof b); }",
        Some("Output"),
    ),
    (
        "a disk bomb",
        "#include <unistd.h>\n#include <fcntl.h>\n#include <stdio.h>\nint main(){ static char b[65536]; char n[64]; for(int i=0;;i++){ sprintf(n,\"/tmp/%d\",i); int f=open(n,O_CREAT|O_WRONLY,0600); for(int k=0;k<16;k++) write(f,b,sizeof b); close(f);} }",
        Some("Disk"),
    ),
    ("a fork bomb", "#include <unistd.h>\nint main(){ for(;;) if(fork()<0) _exit(9); }", Some("Processes")),
    (
        "a memory bomb",
        "#include <stdlib.h>\n#include <string.h>\nint main(){ for(;;){ char*p=malloc(1<<20); if(p) memset(p,1,1<<20);} }",
        Some("Memory"),
    ),
    ("a spin without events", "int main(){ for(;;); }", Some("CpuTime")),
];

fn tight() -> Limits {
    Limits {
        cpu_micros: 400_000,
        memory_bytes: 64 << 20,
        output_bytes: 1 << 20,
        processes: 20,
        disk_bytes: 4 << 20,
        ..Limits::default()
    }
}

/// Everything of this host that a run could have left behind.
fn left_behind() -> (usize, String, usize) {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    (open, mounts, children().len())
}

#[test]
fn every_attack_is_contained_with_its_reason() {
    let Some(lab) = Lab::new() else { return };
    for (what, source, limit) in CONTAINED {
        // A recording sees the host's files; a hostile build takes the place of an honest one.
        let program = lab.compile("hostile", source, &["-D_GNU_SOURCE"]);
        let request = RecordRequest {
            subjects: vec![("app".to_owned(), "/bin/true".into())],
            limits: tight(),
            ..lab.request(&["/bin/true"])
        };
        let recording = record(&request, &lab.host).unwrap();
        let substitutions = [("app".to_owned(), program)].into();
        let report = lab.replay_as(&recording, &ReplayRequest { substitutions, ..ReplayRequest::default() });
        match limit {
            None => assert_eq!(report.ending, Ending::Exited { code: 0 }, "{what}"),
            Some(limit) => {
                let shown = format!("{:?}", report.ending);
                assert!(shown.contains("LimitExceeded") && shown.contains(limit), "{what}: {shown}");
            }
        }
        assert!(children().is_empty(), "{what}");
    }
}

/// `WITNESS_ESCAPE_LOOPS` says how often; by hand a thousand.
#[test]
fn attacks_in_a_loop_leave_nothing() {
    let Some(lab) = Lab::new() else { return };
    let loops = std::env::var("WITNESS_ESCAPE_LOOPS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let recordings: Vec<_> = CONTAINED
        .iter()
        .enumerate()
        .filter(|(_, (_, _, limit))| limit.is_none() || *limit == Some("Processes"))
        .map(|(at, (_, source, _))| {
            let program = lab.compile(&format!("hostile{at}"), source, &["-D_GNU_SOURCE"]);
            lab.record_limited(&program, tight())
        })
        .collect();
    lab.replay(&recordings[0]);
    let before = left_behind();
    for _ in 0..loops {
        for recording in &recordings {
            lab.replay(recording);
        }
    }
    assert_eq!(left_behind(), before, "after {loops} loops");
}
