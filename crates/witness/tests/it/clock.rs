//! The clock that a program reads without a stop: it shows and counts what a stop would have.

use assay_witness::{Ending, MAX_CLOCK_START, ReplayRequest, replay};

use crate::lab::{Lab, assert_exited, text};

/// Reads clocks beside a thread that sleeps, a timer whose handler reads them too, and a child.
const READER: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int now(int id, struct timespec *t) {
#ifdef RAW
    return syscall(SYS_clock_gettime, id, t);
#else
    return clock_gettime(id, t);
#endif
}
static volatile int done; static volatile long fired;
static void *sleeper(void *a) { usleep(2000); done = 1; return 0; }
static void on(int s) { struct timespec t; fired++; now(CLOCK_MONOTONIC, &t); }
static void all(const char *who) {
    for (int id = 0; id < 12; id++) {
        struct timespec t = {-1, -1}; int r = now(id, &t);
        printf("%s clock %d: %d %ld.%09ld\n", who, id, r, t.tv_sec, t.tv_nsec);
    }
}
int main() {
    struct timespec t; long reads = 0; pthread_t p;
    struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    signal(SIGALRM, on); setitimer(ITIMER_REAL, &every, 0);
    pthread_create(&p, 0, sleeper, 0);
    while (!done) { now(reads % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &t); reads++; }
    setitimer(ITIMER_REAL, &never, 0);
    pthread_join(p, 0);
    printf("%ld reads, %ld alarms, %ld.%09ld\n", reads, fired, t.tv_sec, t.tv_nsec);
    all("parent"); fflush(stdout);
    if (!fork()) { all("child"); fflush(stdout); _exit(0); }
    wait(0); all("parent");
    return 0;
}"#;

#[test]
fn reads_without_a_stop_are_the_same_run_as_reads_with_one() {
    let Some(lab) = Lab::new() else { return };
    let run = |name: &str, flags: &[&str]| {
        let program = lab.compile(name, READER, flags);
        lab.assert_exact(&[program.to_str().unwrap()])
    };
    // Names of one length, so that nothing lies elsewhere.
    let (without, with) = (run("library", &[]), run("syscall", &["-DRAW"]));
    assert_exited(&without);
    assert_eq!(text(&without), text(&with));
    let start = |trace: &[String]| trace.iter().position(|line| line.contains("setitimer")).unwrap();
    let rest = |trace: &[String]| trace[start(trace)..].to_vec();
    assert_eq!(rest(&without.trace), rest(&with.trace));
    assert_eq!(without.events, with.events);
    let reads = without.trace.iter().filter(|line| line.contains("clock_gettime")).count();
    assert!(reads > 500, "{reads} reads");
}

/// Finds the shared page by the address in the clock's own code and does with it what is asked.
const MEDDLER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
int main(int argc, char **argv) {
    unsigned char *code = (unsigned char *)getauxval(AT_SYSINFO_EHDR);
    if (!code) { puts("no clock"); return 3; }
    int at = 0; while (at < 4000 && (code[at] != 0x49 || code[at + 1] != 0xb8)) at++;
    unsigned long *page; memcpy(&page, code + at + 2, 8);
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    unsigned long before = page[0]; clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%lu without a stop\n", page[0] - before);
    if (argv[1][0] == 'u') munmap(page, 4096);
    if (argv[1][0] == 'w') { page[0] = 0; page[1] = ~0ul; page[2] = 12345; }
    if (argv[1][0] == 'c') { page[0] = ~0ul - 3; page[1] = ~0ul; }
    for (int i = 0; i < 1000; i++) clock_gettime(CLOCK_MONOTONIC, &t);
    page[0] = 1ul << 40;
    printf("%d\n", t.tv_sec >= 0);
    return 0;
}"#;

#[test]
fn a_program_that_meddles_with_its_clock_deceives_only_itself() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("meddler", MEDDLER, &[]);
    let run = |how| lab.assert_exact(&[program.to_str().unwrap(), how]);
    let honest = run("n");
    assert_exited(&honest);
    assert!(text(&honest).starts_with("1 without a stop\n"), "{}", text(&honest));
    assert_eq!(run("u").ending, Ending::Signalled { signal: 11 });
    for how in ["w", "c"] {
        let forged = run(how);
        assert_exited(&forged);
        assert!(forged.events <= honest.events + 128, "{how}: {} events", forged.events);
    }
}

/// Reads where the kernel shows real time to every program: below its own code.
const REAL_TIME: &str = r#"
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/auxv.h>
static sigjmp_buf back;
static void on(int s) { siglongjmp(back, 1); }
int main(int argc, char **argv) {
    volatile unsigned char *code = (unsigned char *)getauxval(AT_SYSINFO_EHDR);
    if (!code) { puts("no clock"); return 3; }
    signal(SIGSEGV, on); signal(SIGBUS, on);
    volatile int readable = 0;
    for (volatile int page = 1; page <= atoi(argv[1]); page++)
        if (!sigsetjmp(back, 1)) { (void)code[-4096 * page]; readable++; }
    printf("%d readable\n", readable);
    return 0;
}"#;

#[test]
fn the_kernels_pages_of_real_time_are_not_there() {
    let Some(lab) = Lab::new() else { return };
    // They lie side by side below the code, as many on every program of one host.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let bytes = maps.lines().filter(|line| line.contains("[vvar")).map(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        u64::from_str_radix(end, 16).unwrap() - u64::from_str_radix(start, 16).unwrap()
    });
    let pages = bytes.sum::<u64>() / 4096;
    assert!(pages > 0, "{maps}");
    let program = lab.compile("program", REAL_TIME, &[]);
    let run = lab.assert_exact(&[program.to_str().unwrap(), &pages.to_string()]);
    assert_exited(&run);
    assert_eq!(text(&run), "0 readable\n");
}

/// Reads the clock into a page that is not there; the handler maps it, and the read goes on.
const MENDED: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
static char *page = (char *)0x10000000000;
static long mended;
static void on(int s) { mended++; mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); }
int main() {
    struct timespec t, u;
    signal(SIGSEGV, on);
    for (int i = 0; i < 7; i++) clock_gettime(CLOCK_MONOTONIC, &t);
    clock_gettime(CLOCK_MONOTONIC, (struct timespec *)page);
    clock_gettime(CLOCK_MONOTONIC, &u);
    struct timespec *m = (struct timespec *)page;
    printf("%ld mended, %ld then %ld\n", mended, (m->tv_nsec - t.tv_nsec) / 1000, (u.tv_nsec - m->tv_nsec) / 1000);
    return 0;
}"#;

#[test]
fn a_read_that_faults_and_is_mended_counts_once() {
    let Some(lab) = Lab::new() else { return };
    let run = lab.run_c(MENDED, &[]);
    assert_exited(&run);
    // Between the first two reads is the call that maps; returning from a handler is no event.
    assert_eq!(text(&run), "1 mended, 2 then 1\n");
}

/// What a clock that starts elsewhere says, and the times of a file made in the run.
const TIMES: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <sys/stat.h>
int main() { struct stat s; int f = open("/tmp/made", O_CREAT | O_RDWR, 0600); fstat(f, &s);
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
    printf("%ld %ld %ld %ld\n", (long)t.tv_sec, (long)s.st_mtime, (long)s.st_atime, (long)s.st_ctime); return 0; }"#;

#[test]
fn a_clock_may_start_up_to_its_limit_and_files_tell_the_same_time() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("times", TIMES, &[]);
    let mut recording = lab.record(&[program.to_str().unwrap()]);
    for start in [0, 2_147_483_646, MAX_CLOCK_START] {
        recording.capsule.conditions.clock_start = Some(start);
        assert_eq!(text(&lab.replay(&recording)), format!("{start} {start} {start} {start}\n"));
    }
    recording.capsule.conditions.clock_start = Some(MAX_CLOCK_START + 1);
    assert!(replay(&recording.capsule, &recording, &ReplayRequest::default(), &lab.host).is_err());
}
