//! Ten replays, one observation.

use crate::lab::{Lab, assert_exited, runtime, text};

const OBSERVER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/random.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/stat.h>
#include <sched.h>
#include <x86intrin.h>
int main(int argc, char **argv) {
    struct timespec t; struct timeval v; struct utsname u; struct stat s; unsigned char r[16]; long stack;
    clock_gettime(CLOCK_REALTIME, &t); printf("real %ld.%09ld\n", t.tv_sec, t.tv_nsec);
    clock_gettime(CLOCK_MONOTONIC, &t); printf("mono %ld.%09ld\n", t.tv_sec, t.tv_nsec);
    gettimeofday(&v, 0); printf("tod %ld.%06ld %ld\n", v.tv_sec, v.tv_usec, (long)time(0));
    getrandom(r, 16, 0); for (int i = 0; i < 16; i++) printf("%02x", r[i]); puts("");
    int f = open("/dev/urandom", O_RDONLY); read(f, r, 16); for (int i = 0; i < 16; i++) printf("%02x", r[i]); puts("");
    fstat(f, &s); printf("urandom %o %lx\n", s.st_mode, (long)s.st_rdev);
    FILE *q = fopen("/dev/random", "r"); printf("random %d\n", fgetc(q));
    printf("pid %d %d\n", getpid(), getppid());
    printf("addr %p %p %p %p\n", &stack, malloc(10), main, printf);
    uname(&u); printf("%s %s %s\n", u.sysname, u.nodename, u.release);
    printf("cpus %ld tsc %llu\n", sysconf(_SC_NPROCESSORS_ONLN), __rdtsc());
    stat(argv[0], &s); printf("stat %ld %ld %o %d %ld\n", (long)s.st_ino, (long)s.st_dev, s.st_mode, s.st_uid, s.st_mtime);
    char b[256]; int n = readlink("/proc/self/exe", b, 255); b[n > 0 ? n : 0] = 0; printf("exe %d\n", n > 0);
    char h[64]; gethostname(h, 64); puts(h);
    f = open("/tmp/x", O_CREAT | O_RDWR, 0600); printf("tmp %d\n", f >= 0); write(f, "hello", 5);
    sleep(3600); printf("%ld\n", (long)time(0));
    return 0;
}"#;

#[test]
fn time_random_ids_and_addresses() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("observer", OBSERVER, &[]);
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    let out = text(&report);
    assert!(out.contains("witness") && out.contains("real 1600000000."), "{out}");
    assert!(report.wall_micros < 60_000_000, "an hour of sleep is virtual");
}

#[test]
fn other_layouts_show_in_addresses_only() {
    let Some(lab) = Lab::new() else { return };
    let observer = lab.record(&[lab.compile("observer", OBSERVER, &[]).to_str().unwrap()]);
    let fixed = lab.replay(&observer);
    for other in lab.elsewhere(&observer) {
        assert_exited(&other);
        assert_ne!(other.stdout.digest, fixed.stdout.digest);
    }
    let blind = "#include <stdio.h>\n#include <stdlib.h>\nint main(){char*p=malloc(300000);p[5]=7;printf(\"%d\\n\",p[5]);free(p);return 0;}";
    let blind = lab.record(&[lab.compile("blind", blind, &[]).to_str().unwrap()]);
    let fixed = lab.replay(&blind);
    for other in lab.elsewhere(&blind) {
        assert_eq!(other.trace, fixed.trace);
        assert_eq!((other.trace_digest, other.stdout.digest), (fixed.trace_digest, fixed.stdout.digest));
    }
}

#[test]
fn six_threads_with_mutex_and_condition() {
    let source = r#"
#include <stdio.h>
#include <pthread.h>
#include <unistd.h>
#include <time.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int turn, order[600], count;
static void *work(void *a) { int id = (int)(long)a;
    for (int i = 0; i < 100; i++) { pthread_mutex_lock(&m); while (turn % 6 != id) {
            struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_nsec += 1000; if (t.tv_nsec > 999999999) { t.tv_sec++; t.tv_nsec -= 1000000000; }
            if (i % 2) pthread_cond_wait(&c, &m); else pthread_cond_timedwait(&c, &m, &t); }
        order[count++] = id; turn++; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); if (i % 10 == 0) usleep(100); }
    return 0; }
int main() { pthread_t t[6]; for (long i = 0; i < 6; i++) pthread_create(&t[i], 0, work, (void *)i);
    for (int i = 0; i < 6; i++) pthread_join(t[i], 0); for (int i = 0; i < count; i++) putchar('0' + order[i]); puts(""); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("threads", source, &[]);
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    assert_eq!(report.stdout.bytes, 601);
}

#[test]
fn fork_pipe_wait_and_signals() {
    let source = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <signal.h>
#include <sys/wait.h>
static volatile int got; static void on(int s) { got++; }
int main() { int p[2], q[2]; pipe(p); pipe(q); signal(SIGCHLD, on); signal(SIGALRM, on);
    char *big = malloc(300000); memset(big, 'x', 300000);
    pid_t a = fork(); if (!a) { close(p[0]); write(p[1], big, 300000); dprintf(p[1], "child %d of %d", getpid(), getppid()); exit(7); }
    close(p[1]); long total = 0; int n; char b[4096]; while ((n = read(p[0], b, sizeof b)) > 0) total += n;
    int st; pid_t w = wait(&st); printf("%ld bytes, %d==%d exit %d got %d\n", total, w == a, 1, WEXITSTATUS(st), got);
    pid_t k = fork(); if (!k) { pause(); exit(1); } usleep(10); kill(k, SIGTERM); waitpid(k, &st, 0); printf("term %d\n", WTERMSIG(st));
    k = fork(); if (!k) { for (;;) pause(); } kill(k, SIGKILL); waitpid(k, &st, 0); printf("kill %d\n", WTERMSIG(st));
    alarm(5); pause(); printf("alarm %d\n", got);
    FILE *f = popen("echo from the shell; exit 3", "r"); while (fgets(b, sizeof b, f)) fputs(b, stdout); printf("%d\n", WEXITSTATUS(pclose(f)));
    system("cat /nowhere 2>/dev/null; echo done"); fflush(stdout); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("forks", source, &[]);
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    let out = text(&report);
    for part in ["300012 bytes", "exit 7", "term 15", "kill 9", "from the shell\n3", "done"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn timeouts_of_poll_select_and_epoll() {
    let source = r#"
#include <stdio.h>
#include <poll.h>
#include <unistd.h>
#include <pthread.h>
#include <time.h>
#include <sys/select.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
static int p[2]; static void *late(void *a) { usleep(5000); write(p[1], "x", 1); return 0; }
static void say(const char *w, int n) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); printf("%s %d at %ld.%06ld\n", w, n, t.tv_sec, t.tv_nsec / 1000); }
int main() { pipe(p); struct pollfd f = {p[0], POLLIN, 0}; say("poll", poll(&f, 1, 2500));
    fd_set s; FD_ZERO(&s); FD_SET(p[0], &s); struct timeval v = {1, 500000}; say("select", select(p[0] + 1, &s, 0, 0, &v));
    int e = epoll_create1(0); struct epoll_event ev = {EPOLLIN, {0}}, out; epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev); say("epoll", epoll_wait(e, &out, 1, 700));
    pthread_t t; pthread_create(&t, 0, late, 0); say("epoll", epoll_wait(e, &out, 1, 60000)); say("poll", poll(&f, 1, -1));
    FD_SET(p[0], &s); say("select", select(p[0] + 1, &s, 0, 0, 0)); char c; read(p[0], &c, 1); pthread_join(t, 0);
    struct timespec ts = {2, 0}; say("ppoll", ppoll(&f, 1, &ts, 0)); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("timeouts", source, &["-D_GNU_SOURCE"]);
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    let out = text(&report);
    assert!(out.contains("poll 0") && out.contains("epoll 1") && out.contains("select 1"), "{out}");
}

#[test]
fn directory_order_and_the_main_threads_stack() {
    let source = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <pthread.h>
#include <sys/stat.h>
int main() { mkdir("/tmp/d", 0755); const char *n[] = {"z", "a", "m", "b"}; char b[64];
    for (int i = 0; i < 4; i++) { sprintf(b, "/tmp/d/%s", n[i]); close(open(b, O_CREAT | O_WRONLY, 0600)); }
    DIR *d = opendir("/tmp/d"); struct dirent *e; for (int r = 0; r < 2; r++) { while ((e = readdir(d))) printf("%s %ld,", e->d_name, (long)e->d_ino); puts(""); rewinddir(d); }
    pthread_attr_t at; void *base; size_t size; pthread_getattr_np(pthread_self(), &at); pthread_attr_getstack(&at, &base, &size);
    printf("%p %zu\n", base, size); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("dirs", source, &[]);
    let report = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&report);
    let out = text(&report);
    let line = out.lines().next().unwrap();
    let names: Vec<&str> = line.split(',').filter_map(|part| part.split(' ').next()).collect();
    assert_eq!(names, [".", "..", "a", "b", "m", "z", ""]);
}

#[test]
fn python_with_random_uuid_and_threads() {
    let Some(lab) = Lab::new() else { return };
    let Some(python) = runtime("python3", &["-c", "import os,sys; print(os.path.realpath(sys.executable))"])
    else {
        return;
    };
    let code = "import random,uuid,time,os,threading,tempfile\nl=[]\ndef f(i):\n for k in range(50): l.append(i); time.sleep(0.001)\nts=[threading.Thread(target=f,args=(i,)) for i in range(6)]\n[t.start() for t in ts];[t.join() for t in ts]\nprint(random.random(),uuid.uuid4(),time.time(),os.getpid(),id(l),hash('x'),l,tempfile.mkdtemp())";
    let report = lab.assert_exact(&[&python, "-c", code]);
    assert_exited(&report);
}

#[test]
fn node_prints() {
    let Some(lab) = Lab::new() else { return };
    let Some(node) = runtime("node", &["-p", "process.execPath"]) else { return };
    let report = lab.assert_exact(&[&node, "-e", "console.log(Math.random(), Date.now(), process.pid)"]);
    assert_exited(&report);
}

#[test]
fn two_threads_replay_at_once() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("observer", OBSERVER, &[]);
    let recording = lab.record(&[program.to_str().unwrap()]);
    let digests: Vec<_> = std::thread::scope(|scope| {
        let work = || (0..8).map(|_| lab.replay(&recording).trace_digest).collect::<Vec<_>>();
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(digests.len(), 16);
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert!(crate::lab::children().is_empty());
}

/// The first thread ends; the other one reads, seeks, asks about and closes files.
const FIRST_ENDS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static void *work(void *first) {
    pthread_join((pthread_t)first, 0);
    char bytes[8] = {0}; struct stat st; int ends[2];
    int fd = memfd_create("file", 0);
    long wrote = write(fd, "abcdef", 6), at = lseek(fd, 2, SEEK_SET), got = read(fd, bytes, 3);
    int asked = fstat(fd, &st), closed = close(fd), again = close(fd);
    pipe(ends); write(ends[1], "x", 1); close(ends[1]);
    long first_read = read(ends[0], bytes + 4, 1), end = read(ends[0], bytes + 5, 1);
    printf("%ld %ld %ld %s %d %ld %d %d %ld %ld\n", wrote, at, got, bytes, asked, (long)st.st_size, closed, again,
           first_read, end);
    fflush(stdout);
    _exit(0);
}
int main() {
    pthread_t other;
    pthread_create(&other, 0, work, (void *)pthread_self());
    pthread_exit(0);
}"#;

#[test]
fn files_of_a_process_whose_first_thread_has_ended() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("program", FIRST_ENDS, &[]);
    let run = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&run);
    assert_eq!(text(&run), "6 2 3 cde 0 6 0 -1 1 0\n");
}

/// Reads at the border of what is mapped: as much as there is room for, then nothing.
const BORDER: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main() {
    static char all[8192];
    char *two = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(two + 4096, 4096);
    int fd = memfd_create("file", 0);
    write(fd, all, 8192); lseek(fd, 0, SEEK_SET);
    long part = read(fd, two, 8192), at = lseek(fd, 0, SEEK_CUR);
    long placed = pread(fd, two + 4000, 8192, 0);
    long none = read(fd, two + 4096, 10); int why = errno;
    printf("%ld %ld %ld %ld %d %ld\n", part, at, placed, none, why == EFAULT, (long)lseek(fd, 0, SEEK_CUR));
    return 0;
}"#;

#[test]
fn reads_into_a_buffer_that_is_only_partly_there() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("program", BORDER, &[]);
    let run = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_exited(&run);
    let natively = std::process::Command::new(&program).output().unwrap();
    assert_eq!(text(&run), String::from_utf8(natively.stdout).unwrap());
}

/// Reads past the page cache, into a buffer that is aligned as that asks for.
const DIRECT: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    void *buffer; posix_memalign(&buffer, 4096, 4096);
    int fd = open(argv[0], O_RDONLY | O_DIRECT);
    printf("%d %ld\n", fd >= 0, (long)read(fd, buffer, 4096));
    return 0;
}"#;

#[test]
fn files_are_read_past_the_page_cache() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("program", DIRECT, &[]);
    let natively = std::process::Command::new(&program).output().unwrap();
    if natively.stdout != b"1 4096\n" {
        return eprintln!("skipped: this file system reads nothing past its cache");
    }
    let run = lab.assert_exact(&[program.to_str().unwrap()]);
    assert_eq!(text(&run), "1 4096\n");
}

/// Three processes take a lock in turn, each in the middle of a sleep; an alarm ends a fourth one's wait.
const RECORD_LOCKS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static int number = COMMAND;
static void on(int s) {}
static int lock(int f, int type) { struct flock l; memset(&l, 0, sizeof l); l.l_type = type; l.l_len = 10;
    return fcntl(f, type == F_UNLCK ? number - 1 : number, &l); }
int main() { char line[64]; int log = open("/tmp/witness-locks-log", O_CREAT | O_RDWR | O_APPEND, 0600);
    for (int i = 0; i < 3; i++) if (!fork()) { int f = open("/tmp/witness-locks-file", O_CREAT | O_RDWR, 0600);
        int r = lock(f, F_WRLCK); write(log, line, sprintf(line, "%d in %d\n", i, r)); usleep(100000);
        write(log, line, sprintf(line, "%d out\n", i)); if (i == 1) lock(f, F_UNLCK); _exit(0); }
    usleep(1000); if (!fork()) { struct sigaction a; memset(&a, 0, sizeof a); a.sa_handler = on; sigaction(SIGALRM, &a, 0);
        int f = open("/tmp/witness-locks-file", O_RDWR); ualarm(50000, 0); int r = lock(f, F_WRLCK); write(log, line, sprintf(line, "%d %d\n", r, errno == EINTR)); _exit(0); }
    while (wait(0) > 0); char all[512]; int n = pread(log, all, sizeof all, 0); write(1, all, n); return 0; }"#;

#[test]
fn record_locks_are_waited_for() {
    let Some(lab) = Lab::new() else { return };
    for command in ["F_SETLKW", "F_OFD_SETLKW"] {
        let program = lab.compile("locks", &RECORD_LOCKS.replace("COMMAND", command), &[]);
        let report = lab.assert_exact(&[program.to_str().unwrap()]);
        assert_exited(&report);
        let out = text(&report);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 7, "{out}");
        assert!(lines.contains(&"-1 1"), "the alarm ends the wait: {out}");
        let locked: Vec<&str> = lines.into_iter().filter(|line| *line != "-1 1").collect();
        for pair in locked.chunks(2) {
            let who = pair[0].strip_suffix(" in 0").expect("the lock was had");
            assert_eq!(pair[1], format!("{who} out"), "nobody else was inside: {out}");
        }
    }
}

#[test]
fn processes_that_wait_for_each_others_record_locks_are_not_promised() {
    let source = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
static void lock(int f, int at) { struct flock l; memset(&l, 0, sizeof l); l.l_type = F_WRLCK; l.l_start = at; l.l_len = 1; fcntl(f, F_SETLKW, &l); }
int main() { int f = open("/tmp/lock", O_CREAT | O_RDWR, 0600); int child = !fork();
    lock(f, child); usleep(1000); lock(f, !child); if (child) _exit(0); wait(0); return 0; }"#;
    let Some(lab) = Lab::new() else { return };
    let report = lab.run_c(source, &[]);
    assert!(
        matches!(&report.ending, assay_witness::Ending::Unsupported { code, .. } if code == "record_lock_wait"),
        "{:?}",
        report.ending
    );
}
