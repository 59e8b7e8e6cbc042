//! Incidents that show only now and then, found by a search and exact from then on.

use std::path::Path;

use assay_witness::{Ending, Knob, RecordRequest, Recording, ReplayRequest, RunReport, Search, search};

use crate::lab::{Lab, text};

/// Two threads add to a counter that nothing guards.
const COUNTER: &str = r#"
#include <pthread.h>
#include <stdio.h>
static volatile long counter;
static void *add(void *a) { for (int i = 0; i < 50; i++) counter = counter + 1; return 0; }
int main() { pthread_t t[2]; for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, add, 0);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0); printf("%ld\n", counter); return counter != 100; }"#;

/// One thread frees what another still uses: only a switch between its check and its use shows it.
const USE_AFTER_FREE: &str = r#"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static char *volatile shared;
static void *use(void *a) { char *p = shared; if (p) p[7]++; return 0; }
static void *drop(void *a) { char *p = shared; shared = 0; if (p) munmap(p, 4096); return 0; }
int main() { shared = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); pthread_t a, b;
    pthread_create(&a, 0, use, 0); pthread_create(&b, 0, drop, 0); pthread_join(a, 0); pthread_join(b, 0); return 0; }"#;

/// Fails for one in fifty random seeds.
const SEED: &str = r#"
#include <stdio.h>
#include <sys/random.h>
int main() { unsigned r; getrandom(&r, sizeof r, 0); return r % 50 == 7 ? 3 : 0; }"#;

const FILL: &str = r#"
#include <stdlib.h>
int main() { unsigned char *p = malloc(64); return p[40] > 0x70 ? 4 : 0; }"#;

const CLOCK: &str = r#"
#include <time.h>
int main() { time_t t = time(0); struct tm m; gmtime_r(&t, &m); return m.tm_mon == 1 && m.tm_mday == 29 ? 5 : 0; }"#;

fn exits(code: i32) -> impl Fn(&RunReport) -> bool {
    move |report| report.ending == Ending::Exited { code }
}

/// Searches, and replays what was found ten times: each shows it, all are the same.
fn found_and_exact(
    lab: &Lab,
    command: &[&str],
    tries: u32,
    shows: &dyn Fn(&RunReport) -> bool,
) -> (Knob, Search) {
    let request = RecordRequest { seed: 1, ..lab.request(command) };
    let searched = search(&request, &lab.host, tries, shows, &mut |_| {}).unwrap();
    eprintln!("{} tries, {:?}", searched.tries, searched.coverage);
    let found = searched.found.as_ref().expect("shown");
    eprintln!(
        "{:?} {:?} {:?}",
        found.knob, found.recording.capsule.conditions, found.recording.capsule.schedule
    );
    let first = lab.replay(&found.recording);
    assert!(shows(&first), "{:?} {}", first.ending, text(&first));
    for _ in 0..9 {
        let again = lab.replay(&found.recording);
        assert_eq!(
            (again.trace_digest, &again.ending, &again.stdout),
            (first.trace_digest, &first.ending, &first.stdout)
        );
    }
    (found.knob, searched)
}

#[test]
fn a_lost_update_of_an_unguarded_counter() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("counter", COUNTER, &[]);
    let (knob, searched) = found_and_exact(&lab, &[program.to_str().unwrap()], 300, &exits(1));
    assert_eq!(knob, Knob::Schedule);
    assert!(searched.coverage.whole && searched.coverage.threads == 3);
}

#[test]
fn a_use_after_free_between_two_threads() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("free", USE_AFTER_FREE, &[]);
    let faults = |report: &RunReport| report.ending == Ending::Signalled { signal: libc::SIGSEGV };
    let (knob, _) = found_and_exact(&lab, &[program.to_str().unwrap()], 1500, &faults);
    assert_eq!(knob, Knob::Schedule);
}

#[test]
fn one_seed_in_fifty() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("seed", SEED, &[]);
    let (knob, _) = found_and_exact(&lab, &[program.to_str().unwrap()], 500, &exits(3));
    assert_eq!(knob, Knob::Seed);
}

#[test]
fn memory_that_was_never_written_and_a_leap_day() {
    let Some(lab) = Lab::new() else { return };
    let fill = lab.compile("fill", FILL, &[]);
    assert_eq!(found_and_exact(&lab, &[fill.to_str().unwrap()], 100, &exits(4)).0, Knob::HeapFill);
    let clock = lab.compile("clock", CLOCK, &[]);
    assert_eq!(found_and_exact(&lab, &[clock.to_str().unwrap()], 300, &exits(5)).0, Knob::Clock);
}

#[test]
fn what_is_not_there_is_not_found() {
    let Some(lab) = Lab::new() else { return };
    let sound = COUNTER.replace("counter = counter + 1", "__sync_fetch_and_add(&counter, 1)");
    let program = lab.compile("sound", &sound, &[]);
    let request = RecordRequest { seed: 1, ..lab.request(&[program.to_str().unwrap()]) };
    let searched = search(&request, &lab.host, 40, &exits(1), &mut |_| {}).unwrap();
    assert!(searched.found.is_none());
    let schedules = searched.coverage.schedules.iter().sum::<u32>() + searched.coverage.directed;
    assert!(schedules >= 20 && searched.coverage.schedules[1] > 0, "{:?}", searched.coverage);
    assert!(searched.coverage.whole && searched.coverage.missed(2).is_some(), "{:?}", searched.coverage);
}

#[test]
fn a_first_thread_that_ends_before_the_others_is_counted_to_the_end() {
    let Some(lab) = Lab::new() else { return };
    let ends = COUNTER
        .replace("for (int i = 0; i < 2; i++) pthread_join(t[i], 0); printf", "pthread_exit(0); printf");
    let program = lab.compile("ends", &ends, &[]);
    let request = RecordRequest { seed: 1, ..lab.request(&[program.to_str().unwrap()]) };
    let started = std::time::Instant::now();
    let mut stalled = 0;
    let mut count = |attempt: &assay_witness::Attempt<'_>| {
        stalled += u32::from(attempt.report.ending != Ending::Exited { code: 0 });
    };
    let searched = search(&request, &lab.host, 12, &|_| false, &mut count).unwrap();
    assert_eq!(stalled, 0);
    assert!(searched.coverage.whole && searched.coverage.steps > 200, "{:?}", searched.coverage);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn no_bound_is_told_where_threads_lose_their_turn_by_themselves() {
    let Some(lab) = Lab::new() else { return };
    let yields = COUNTER
        .replace("counter = counter + 1", "{ __sync_fetch_and_add(&counter, 1); sched_yield(); }")
        .replace("<pthread.h>", "<pthread.h>\n#include <sched.h>");
    let program = lab.compile("yields", &yields, &[]);
    let request = RecordRequest { seed: 1, ..lab.request(&[program.to_str().unwrap()]) };
    let searched = search(&request, &lab.host, 8, &exits(1), &mut |_| {}).unwrap();
    assert!(!searched.coverage.whole && searched.coverage.missed(2).is_none(), "{:?}", searched.coverage);
}

/// A use after free that a search has found, its program being the subject `program`.
fn searched_use_after_free(lab: &Lab) -> Recording {
    let program = lab.compile("free", USE_AFTER_FREE, &[]);
    let subjects = vec![("program".to_owned(), program.clone())];
    let request = RecordRequest { seed: 1, subjects, ..lab.request(&[program.to_str().unwrap()]) };
    let searched = search(&request, &lab.host, 1500, &crashes, &mut |_| {}).unwrap();
    let recording = searched.found.expect("shown").recording;
    assert!(!recording.capsule.schedule.is_empty() && crashes(&lab.replay(&recording)));
    recording
}

fn crashes(report: &RunReport) -> bool {
    report.ending == Ending::Signalled { signal: libc::SIGSEGV }
}

fn replay_with(lab: &Lab, recording: &Recording, build: &Path) -> RunReport {
    let substitutions = [("program".to_owned(), build.to_owned())].into();
    lab.replay_as(recording, &ReplayRequest { substitutions, ..ReplayRequest::default() })
}

#[test]
fn another_build_in_which_the_switch_lies_elsewhere_is_not_said_to_follow_the_schedule() {
    let Some(lab) = Lab::new() else { return };
    let recording = searched_use_after_free(&lab);
    let own = replay_with(&lab, &recording, &lab.folder.path().join("free"));
    assert!(crashes(&own) && own.switches_missed == 0, "{:?}", own.ending);
    // The same mistake, one function further down.
    let longer = USE_AFTER_FREE.replace(
        "static void *use",
        "int more(int a) { for (int i = 0; i < a; i++) a ^= i * 77 + 5; return a; }\nstatic void *use",
    );
    let rebuilt = lab.compile("longer", &longer, &[]);
    let report = replay_with(&lab, &recording, &rebuilt);
    assert!(crashes(&report) || report.switches_missed > 0, "{:?}", report.ending);
    assert!(!matches!(report.ending, Ending::Unsupported { .. }), "{:?}", report.ending);
}

#[test]
fn a_switch_in_the_middle_of_an_instruction_leaves_the_code_alone() {
    let Some(lab) = Lab::new() else { return };
    let mut recording = searched_use_after_free(&lab);
    for switch in &mut recording.capsule.schedule {
        assert!(switch.place.instruction.is_some());
        switch.place.offset.0 += 1;
    }
    let report = lab.replay(&recording);
    assert_eq!(report.ending, Ending::Exited { code: 0 });
    assert_eq!(report.switches_missed as usize, recording.capsule.schedule.len());
}
