//! Every limit ends the run, and nothing is left.

use assay_witness::{Ending, LimitKind, Limits, ReplayRequest, RunReport, replay};

use crate::lab::{Lab, children};

fn limited(source: &str, limits: Limits) -> Option<RunReport> {
    let lab = Lab::new()?;
    let program = lab.compile("greedy", source, &[]);
    let recording = lab.record_limited(&program, limits);
    let report = replay(&recording.capsule, &recording, &ReplayRequest::default(), &lab.host).unwrap();
    assert!(children().is_empty());
    assert_eq!(recording.report.ending, report.ending);
    Some(report)
}

fn assert_limit(source: &str, limits: Limits, limit: LimitKind) {
    if let Some(report) = limited(source, limits) {
        assert_eq!(report.ending, Ending::LimitExceeded { limit });
    }
}

#[test]
fn pure_computation_ends_by_cpu_time() {
    let limits = Limits { cpu_micros: 200_000, ..Limits::default() };
    let Some(report) = limited("int main(){for(;;);}", limits) else { return };
    assert_eq!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime });
    assert!((200_000..1_000_000).contains(&report.cpu_micros), "{}", report.cpu_micros);
}

#[test]
fn calls_end_by_events() {
    let limits = Limits { events: 5000, ..Limits::default() };
    let source = "#include <time.h>\nint main(){struct timespec t;for(;;)clock_gettime(0,&t);}";
    let Some(report) = limited(source, limits) else { return };
    assert_eq!((report.ending, report.events), (Ending::LimitExceeded { limit: LimitKind::Events }, 5001));
}

#[test]
fn a_memory_bomb_ends_by_memory() {
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let source = "#include <stdlib.h>\n#include <string.h>\nint main(){for(;;){char*p=malloc(1<<20);if(p)memset(p,1,1<<20);}}";
    assert_limit(source, limits, LimitKind::Memory);
    let small = "#include <stdlib.h>\nint main(){for(;;){char*p=malloc(1000);if(p)*p=1;}}";
    assert_limit(small, limits, LimitKind::Memory);
    let shared = "#include <sys/mman.h>\n#include <string.h>\nint main(){for(;;){char*p=mmap(0,1<<24,3,MAP_SHARED|MAP_ANONYMOUS,-1,0);memset(p,1,1<<24);}}";
    assert_limit(shared, limits, LimitKind::Memory);
}

#[test]
fn one_absurd_allocation_is_refused_to_the_program() {
    let source =
        "#include <stdlib.h>\n#include <stdio.h>\nint main(){puts(malloc(1L<<50)?\"got\":\"refused\");}";
    let Some(report) = limited(source, Limits::default()) else { return };
    assert_eq!(
        (report.ending, report.stdout.head.as_slice()),
        (Ending::Exited { code: 0 }, &b"refused\n"[..])
    );
}

#[test]
fn a_fork_bomb_ends_by_processes() {
    let limits = Limits { processes: 30, ..Limits::default() };
    assert_limit("#include <unistd.h>\nint main(){for(;;)fork();}", limits, LimitKind::Processes);
}

#[test]
fn an_output_flood_ends_by_output() {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let source =
        "#include <unistd.h>\nstatic char b[10000];int main(){for(;;)write(1+(b[0]^=1),b,sizeof b);}";
    assert_limit(source, limits, LimitKind::Output);
}

#[test]
fn files_end_by_size_disk_and_count() {
    let limits = Limits { file_bytes: 1 << 20, output_bytes: 1 << 20, ..Limits::default() };
    let source = "#include <fcntl.h>\n#include <unistd.h>\nstatic char b[10000];int main(){int f=open(\"/tmp/f\",O_CREAT|O_WRONLY,0600);for(;;)write(f,b,sizeof b);}";
    assert_limit(source, limits, LimitKind::FileSize);
    let limits = Limits { disk_bytes: 1 << 20, ..Limits::default() };
    assert_limit(source, limits, LimitKind::Disk);
    let limits = Limits { open_files: 50, ..Limits::default() };
    assert_limit(
        "#include <fcntl.h>\nint main(){for(;;)open(\"/dev/null\",O_RDONLY);}",
        limits,
        LimitKind::OpenFiles,
    );
}

#[test]
fn a_deadlock_is_told_as_such() {
    let source = "#include <pthread.h>\nint main(){pthread_mutex_t m=PTHREAD_MUTEX_INITIALIZER;pthread_mutex_lock(&m);pthread_mutex_lock(&m);}";
    let Some(report) = limited(source, Limits::default()) else { return };
    assert_eq!(report.ending, Ending::Deadlocked);
}

#[test]
fn a_spin_beside_others_is_not_promised() {
    let source = "#include <pthread.h>\nstatic volatile int go;static void*f(void*a){go=1;return 0;}\nint main(){pthread_t t;pthread_create(&t,0,f,0);while(!go);return 0;}";
    let limits = Limits { cpu_micros: 200_000, ..Limits::default() };
    let Some(report) = limited(source, limits) else { return };
    assert!(
        matches!(&report.ending, Ending::Unsupported { code, .. } if code == "spin_needs_preemption"),
        "{:?}",
        report.ending
    );
}

/// A thread that wakes every ten milliseconds, looks, and changes nothing, as a language's own does.
const HANG_BESIDE_A_MONITOR: &str = "#include <pthread.h>\n#include <unistd.h>\nstatic volatile int ticks;\n\
    static void*f(void*a){for(;;){usleep(10000);ticks++;}}\n\
    int main(){pthread_t t;pthread_create(&t,0,f,0);for(;;);}";
/// The same thread, which has said its word after two hundred times.
const SPIN_BESIDE_A_MONITOR: &str = "#include <pthread.h>\n#include <unistd.h>\nstatic volatile int ticks;\n\
    static void*f(void*a){for(;;){usleep(10000);ticks++;}}\n\
    int main(){pthread_t t;pthread_create(&t,0,f,0);while(ticks<200);return 7;}";

#[test]
fn a_hang_is_a_hang_when_whoever_waits_for_time_was_given_enough_of_it() {
    let limits = Limits { cpu_micros: 600_000, ..Limits::default() };
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("hang", HANG_BESIDE_A_MONITOR, &[]);
    let recording = lab.record_limited(&program, limits);
    let cpu = Ending::LimitExceeded { limit: LimitKind::CpuTime };
    assert_eq!(recording.report.ending, cpu);
    assert!(!recording.capsule.schedule.is_empty());
    let reports: Vec<_> = (0..3).map(|_| lab.replay(&recording)).collect();
    for report in &reports {
        assert_eq!((&report.ending, report.trace_digest), (&cpu, reports[0].trace_digest));
    }
    // Without the turns that were taken nobody knows whether it would have gone on.
    let mut capsule = recording.capsule.clone();
    capsule.schedule.clear();
    let report = replay(&capsule, &recording, &ReplayRequest::default(), &lab.host).unwrap();
    assert!(matches!(report.ending, Ending::Unsupported { .. }), "{:?}", report.ending);
}

#[test]
fn a_spin_for_what_comes_with_time_is_no_hang() {
    let limits = Limits { cpu_micros: 3_000_000, ..Limits::default() };
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("monitored", SPIN_BESIDE_A_MONITOR, &[]);
    let recording = lab.record_limited(&program, limits);
    assert_eq!(recording.report.ending, Ending::Exited { code: 7 });
    assert_eq!(lab.replay(&recording).ending, Ending::Exited { code: 7 });
}

/// Where a thread loses its turn is known of one build alone: in another one a breakpoint there would lie
/// in the middle of some instruction.
#[test]
fn another_build_is_not_stopped_where_the_recorded_one_was() {
    let spin = |count: u32| {
        format!(
            "#include <pthread.h>\nstatic volatile int go;static void*f(void*a){{go=1;return 0;}}\n\
             int main(){{pthread_t t;pthread_create(&t,0,f,0);{}while(!go);return 3;}}",
            "__asm__ volatile(\"movabs $0x1122334455667788,%%rax\":::\"rax\");".repeat(count as usize)
        )
    };
    let limits = Limits { cpu_micros: 600_000, ..Limits::default() };
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("spinning", &spin(0), &[]);
    let other = lab.compile("other", &spin(30), &[]);
    let path = program.to_str().unwrap().to_owned();
    let request = assay_witness::RecordRequest {
        limits,
        subjects: vec![("program".to_owned(), program.clone())],
        ..lab.request(&[&path])
    };
    let recording = assay_witness::record(&request, &lab.host).unwrap();
    assert_eq!(recording.report.ending, Ending::Exited { code: 3 });
    let with = |file: &std::path::Path| {
        let substitutions = [("program".to_owned(), file.to_owned())].into();
        lab.replay_as(&recording, &ReplayRequest { substitutions, ..ReplayRequest::default() }).ending
    };
    assert_eq!(with(&program), Ending::Exited { code: 3 }, "the same bytes");
    assert!(matches!(with(&other), Ending::Unsupported { code, .. } if code == "spin_needs_preemption"));
}

#[test]
fn hostile_arguments_end_nothing_but_the_call() {
    let source = r#"
#define _GNU_SOURCE
#include <unistd.h>
#include <stdio.h>
#include <sys/syscall.h>
int main() { long bad[] = {0, 1, -1, -8, -16, 4095, 0x7fffffffffffffff, 0x8000000000000000, 0x555555554000};
 int only[]={0,1,2,4,5,6,8,17,18,19,20,21,24,27,42,43,44,45,46,47,72,73,79,89,96,97,98,99,100,114,118,120,132,137,138,201,204,217,228,229,257,262,263,267,288,318,332,326};
 for(int k=0;k<sizeof only/4;k++) for(int i=0;i<9;i++) for (int j=1;j<9;j+=3) { if((only[k]==35||only[k]==230||only[k]==202||only[k]==232||only[k]==7||only[k]==23||only[k]==270||only[k]==281) && (i<3)) continue;
   long r=syscall(only[k],bad[i],bad[(i+j)%9],bad[(i+2*j)%9],bad[(i+3*j)%9],bad[(i+4)%9],bad[(i+5)%9]); }
 return 0;}
"#;
    let Some(report) = limited(source, Limits::default()) else { return };
    assert_eq!(report.ending, Ending::Exited { code: 0 });
    let source =
        "#include <time.h>\nint main(){struct timespec t={0x7fffffffffffffff,0};for(;;)nanosleep(&t,0);}";
    let Some(report) = limited(source, Limits::default()) else { return };
    assert_eq!(report.ending, Ending::Deadlocked, "a sleep past all time");
}

#[test]
fn many_replays_leave_no_descriptor_and_no_process() {
    let Some(lab) = Lab::new() else { return };
    let recording = lab.record(&["/bin/true"]);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    lab.replay(&recording);
    let before = open();
    for _ in 0..40 {
        lab.replay(&recording);
    }
    assert_eq!(open(), before);
    assert!(children().is_empty());
}

/// The watchdog kills from outside, in the middle of whatever the tracer does to the program: that is the
/// end of the run and no failure of the runner. Which of the two processes the limit strikes is not known.
#[test]
fn calls_without_end_end_by_cpu_time() {
    let source = "#include <unistd.h>\n#include <sys/stat.h>\n#include <sys/wait.h>\n\
        int main(){struct stat s;for(;;){pid_t p=fork();if(!p){for(int i=0;i<500;i++)stat(\"/\",&s);_exit(0);}\
        waitpid(p,0,0);}}";
    let limits = Limits { cpu_micros: 150_000, ..Limits::default() };
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("greedy", source, &[]);
    let recording = lab.record_limited(&program, limits);
    for _ in 0..5 {
        let report = replay(&recording.capsule, &recording, &ReplayRequest::default(), &lab.host).unwrap();
        assert!(children().is_empty());
        // Whoever makes calls loses its turn by them: nobody waits in vain.
        assert_eq!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime });
    }
}

#[test]
fn huge_pages_are_the_hosts_and_refused_to_the_program() {
    let source = "#include <sys/mman.h>\n#include <stdio.h>\n#include <errno.h>\n\
        int main(){void*p=mmap(0,1<<22,3,MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB,-1,0);\
        puts(p==MAP_FAILED&&errno==ENOMEM?\"refused\":\"got\");}";
    let Some(report) = limited(source, Limits::default()) else { return };
    assert_eq!(
        (report.ending, report.stdout.head.as_slice()),
        (Ending::Exited { code: 0 }, &b"refused\n"[..])
    );
}
