//! What may differ around a run, and looking into one.

use assay_witness::{Perturbation, RecordRequest, ReplayRequest};

use crate::lab::{Lab, text};

/// Other load, CPU, user, host name, order of files and memory pressure around it: nothing shows inside.
#[test]
fn nothing_of_the_surroundings_shows() {
    let Some(lab) = Lab::new() else { return };
    let source = r#"
        #define _GNU_SOURCE
        #include <dirent.h>
        #include <stdio.h>
        #include <sys/stat.h>
        #include <time.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            char name[100];
            gethostname(name, sizeof name);
            printf("%s %d %d %d %ld\n", name, getuid(), getgid(), getpid(), time(0));
            DIR *dir = opendir(argv[1]);
            for (struct dirent *entry; (entry = readdir(dir));) {
                char path[500];
                snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
                struct stat stat;
                lstat(path, &stat);
                printf("%s %lu %ld %o %d\n", entry->d_name, entry->d_ino, stat.st_ino, stat.st_mode, stat.st_uid);
            }
            return 0;
        }"#;
    let program = lab.compile("surroundings", source, &[]);
    let folder = lab.folder.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for name in 0..40 {
        std::fs::write(folder.join(format!("file-{}", name * 7 % 40)), format!("{name}")).unwrap();
    }
    let command = [program.to_str().unwrap(), folder.to_str().unwrap()];
    let request = RecordRequest { include: vec![folder.clone()], ..lab.request(&command) };
    let recording = assay_witness::record(&request, &lab.host).unwrap();
    let first = lab.replay(&recording);
    assert_eq!(text(&first).lines().count(), 43, "{}", text(&first));
    for turn in 1..12 {
        let perturbation = Perturbation::of_turn(turn);
        let how = ReplayRequest { perturbation, keep_trace: Some(2000), ..ReplayRequest::default() };
        let again = lab.replay_as(&recording, &how);
        assert_eq!((text(&again), &again.trace), (text(&first), &first.trace), "turn {turn}");
    }
}

/// What a program reads of memory that it never wrote changes when that memory is filled.
#[test]
fn unwritten_memory_is_seen_by_filling_it() {
    let Some(lab) = Lab::new() else { return };
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int main(void) {
            unsigned char *bytes = malloc(64);
            printf("%d\n", bytes[32]);
            return 0;
        }"#;
    let program = lab.compile("unwritten", source, &[]);
    let recording = lab.record(&[program.to_str().unwrap()]);
    let filled = Perturbation { malloc_fill: Some(0x5a), ..Perturbation::default() };
    let how = ReplayRequest { perturbation: filled, ..ReplayRequest::default() };
    assert_eq!(text(&lab.replay(&recording)), "0\n");
    // mallopt(3): memory handed out holds the complement of the byte.
    assert_eq!(text(&lab.replay_as(&recording, &how)), format!("{}\n", !0x5au8));
}

#[test]
fn stopping_after_an_event_shows_every_stack() {
    let Some(lab) = Lab::new() else { return };
    let source = r#"
        #include <pthread.h>
        #include <stdio.h>
        #include <unistd.h>
        static pthread_barrier_t barrier;
        void waits_here(void) { pthread_barrier_wait(&barrier); }
        void *other(void *unused) { waits_here(); return 0; }
        void writes_here(void) { write(1, "mark\n", 5); }
        int main(void) {
            pthread_t thread;
            pthread_barrier_init(&barrier, 0, 2);
            pthread_create(&thread, 0, other, 0);
            sleep(1);
            writes_here();
            pthread_barrier_wait(&barrier);
            return pthread_join(thread, 0);
        }"#;
    let program = lab.compile("stopped", source, &[]);
    let recording = lab.record(&[program.to_str().unwrap()]);
    let whole = lab.replay(&recording);
    let at = whole.trace.iter().position(|line| line.contains("mark")).unwrap() as u64 + 1;
    let how = ReplayRequest { stop_at: Some(at), keep_trace: Some(2000), ..ReplayRequest::default() };
    let stopped = lab.replay_as(&recording, &how);
    assert_eq!(stopped.trace, whole.trace[..at as usize]);
    let threads = stopped.stopped.unwrap().threads;
    let named = |at: usize| -> Vec<_> {
        threads[at].frames.iter().filter_map(|frame| frame.symbol.as_deref()).collect()
    };
    assert!(threads[0].current && named(0).contains(&"writes_here"), "{:?}", named(0));
    assert!(!threads[1].current && named(1).contains(&"waits_here"), "{:?}", named(1));
}
