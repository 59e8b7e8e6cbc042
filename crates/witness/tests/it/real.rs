//! What real programs do: each is recorded once and replayed ten times to one observation.

use assay_witness::{Limits, ReplayRequest};

use crate::lab::{Lab, assert_exited, children, runtime, text};

fn exact_c(source: &str, flags: &[&str]) -> Option<String> {
    let lab = Lab::new()?;
    let program = lab.compile("program", source, &[&["-D_GNU_SOURCE"], flags].concat());
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    assert!(children().is_empty());
    Some(text(&report))
}

fn exact_python(code: &str) -> Option<String> {
    let lab = Lab::new()?;
    let python = runtime("python3", &["-c", "import os,sys; print(os.path.realpath(sys.executable))"])?;
    let report = lab.assert_exact(&[&python, "-c", code]);
    assert_exited(&report);
    Some(text(&report))
}

#[test]
fn timers_of_every_kind_run_on_virtual_time() {
    let Some(out) = exact_c(include_str!("../../examples/real_programs/timers.c"), &["-lrt"]) else { return };
    // A first time of 0.5 s and three periods of 0.2 s later, from 1000 s on: at 1001.1 s.
    assert!(out.contains("signals 4 at 1001.1"), "{out}");
    // A second of sleep over periods of 0.2 s: one signal waits, four more came due.
    for part in ["code 1 value 7", "overrun 4", "thread notified 9", "timerfd 1", "timerfd 5", "disarmed 0"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(out.contains("nonblock -1") && out.contains("absolute 1"), "{out}");
}

#[test]
fn owners_of_futexes_inherit_and_die() {
    let Some(out) = exact_c(include_str!("../../examples/real_programs/pi.c"), &[]) else { return };
    assert_eq!(out, "200\nowner dead 1\n");
}

#[test]
fn signal_and_event_descriptors_and_shared_semaphores() {
    let Some(out) = exact_c(include_str!("../../examples/real_programs/signalfd.c"), &[]) else { return };
    assert_eq!(out, "10 from 1\npoll 1\n17 status 5\n17 status 6\nevent 1\nposted\n");
}

#[test]
fn tcp_and_udp_on_the_runs_own_loopback() {
    let Some(out) = exact_python(
        "import asyncio,socket\nasync def serve(r,w):\n d=await r.readline(); w.write(b'hello '+d); await w.drain(); w.close()\nasync def main():\n s=await asyncio.start_server(serve,'127.0.0.1',0); p=s.sockets[0].getsockname(); print('port',p[1])\n for i in range(5):\n  r,w=await asyncio.open_connection(*p); w.write(b'%d\\n'%i); print(await r.read()); w.close()\n s.close()\nasyncio.run(main())\na=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); a.bind(('::1',0)); a.sendto(b'x'*5000,a.getsockname()); print(len(a.recv(9000))); a.settimeout(3600)\ntry: a.recv(5)\nexcept TimeoutError: print('an hour')\ntry: socket.create_connection(('10.1.2.3',80),3)\nexcept OSError as e: print(e)",
    ) else {
        return;
    };
    assert!(out.contains("hello 4") && out.contains("5000\nan hour\n"), "{out}");
    assert!(out.contains("Network is unreachable"), "{out}");
}

#[test]
fn processes_stop_go_on_and_die_in_groups() {
    let Some(out) = exact_c(
        r#"
#include <stdio.h>
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>
int main() { int st; pid_t p = fork(); if (!p) { setpgid(0, 0); for (;;) sleep(100); } setpgid(p, p);
    kill(p, SIGSTOP); pid_t w = waitpid(p, &st, WUNTRACED); printf("%d stopped %d by %d\n", w == p, WIFSTOPPED(st), WSTOPSIG(st));
    sleep(500); kill(p, SIGCONT); w = waitpid(p, &st, WCONTINUED); printf("%d continued %d\n", w == p, WIFCONTINUED(st));
    kill(-p, SIGTERM); w = waitpid(-p, &st, 0); printf("%d ended by %d\n", w == p, WTERMSIG(st));
    pid_t a = fork(); if (!a) { setpgid(0, 0); if (!fork()) for (;;) pause(); for (;;) pause(); } setpgid(a, a); usleep(10); kill(-a, SIGKILL);
    siginfo_t i; waitid(P_PID, a, &i, WEXITED); printf("%d killed %d\n", i.si_pid == a, i.si_status); return 0; }"#,
        &[],
    ) else {
        return;
    };
    assert_eq!(out, "1 stopped 1 by 19\n1 continued 1\n1 ended by 15\n1 killed 9\n");
}

#[test]
fn named_pipes_and_terminals() {
    let Some(out) = exact_c(
        r#"
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <pty.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
int main() { setvbuf(stdout, 0, _IONBF, 0); char b[100]; mkfifo("/tmp/pipe", 0600); if (!fork()) { int f = open("/tmp/pipe", O_WRONLY); write(f, "through", 7); _exit(0); }
    int f = open("/tmp/pipe", O_RDONLY), n = read(f, b, 100); printf("%.*s then %zd\n", n, b, read(f, b, 100)); wait(0); close(f);
    if (!fork()) { int f = open("/tmp/pipe", O_RDONLY); n = read(f, b, 100); _exit(n); } f = open("/tmp/pipe", O_WRONLY); write(f, "12345", 5); int st; wait(&st); printf("read %d\n", WEXITSTATUS(st));
    close(f); printf("no reader %d\n", open("/tmp/pipe", O_WRONLY | O_NONBLOCK) < 0 && errno == ENXIO);
    int m, s; char name[64]; if (openpty(&m, &s, name, 0, 0)) { perror("openpty"); return 1; } printf("%s %d\n", name, isatty(s)); write(m, "line\n", 5); n = read(s, b, 100); printf("%d bytes in\n", n); n = read(m, b, 100); printf("%d bytes echoed\n", n);
    pid_t p = forkpty(&m, 0, 0, 0); if (!p) { char c[10]; int n = read(0, c, 10); printf("got %d", n); _exit(0); } write(m, "abc\n", 4); int all = 0; while ((n = read(m, b, 100)) > 0) all += n; printf("%d from the child\n", all); waitpid(p, 0, 0); return 0; }"#,
        &["-lutil"],
    ) else {
        return;
    };
    // The terminal echoes "abc" and CR LF, and the child says "got 4".
    let wanted =
        "through then 0\nread 5\nno reader 1\n/dev/pts/0 1\n5 bytes in\n6 bytes echoed\n10 from the child\n";
    assert_eq!(out, wanted);
}

const SPIN: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <stdatomic.h>
static atomic_int go, count; static volatile int plain;
static void *f(void *a) { while (!go); for (int i = 0; i < 1000; i++) count++; plain = 1; return 0; }
static void *late(void *a) { sleep(5); plain = 2; return 0; }
int main() { pthread_t t[3]; for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, f, 0); usleep(10); go = 1; while (!plain); for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    plain = 0; pthread_create(&t[0], 0, late, 0); while (plain != 2); printf("%d\n", (int)count); return 0; }"#;

#[test]
fn threads_that_spin_lose_their_turn_at_the_same_instruction() {
    assert_eq!(exact_c(SPIN, &[]).unwrap_or("3000\n".to_owned()), "3000\n");
}

#[test]
fn a_schedule_is_followed_in_every_layout_and_kept_in_the_capsule() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("program", SPIN, &[]);
    let recording = lab.record_limited(&program, Limits::default());
    assert!(!recording.capsule.schedule.is_empty());
    let fixed = lab.replay(&recording);
    assert_exited(&fixed);
    for other in lab.elsewhere(&recording) {
        assert_eq!((other.trace_digest, &other.stdout), (fixed.trace_digest, &fixed.stdout));
    }
    // Without its schedule the same capsule has no such run: that it has one is the schedule's doing.
    let mut capsule = recording.capsule.clone();
    capsule.schedule.clear();
    capsule.limits.cpu_micros = 500_000;
    let report = assay_witness::replay(&capsule, &recording, &ReplayRequest::default(), &lab.host).unwrap();
    assert!(matches!(report.ending, assay_witness::Ending::Unsupported { .. }), "{:?}", report.ending);
}
