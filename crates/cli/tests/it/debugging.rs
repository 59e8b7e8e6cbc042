//! `assay witness debug` as gdb sees it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Bench, text};

const CRASH: &str = r#"
#include <pthread.h>
#include <stdio.h>
struct node { int value; struct node *next; };
int total;
int sum(struct node *list) {
    int found = 0;
    while (1) {
        found += list->value;
        total = found;
        list = list->next;
    }
    return found;
}
void *other(void *unused) {
    struct node b = {2, 0}, a = {40, &b};
    printf("%d\n", sum(&a));
    return 0;
}
int main(void) {
    pthread_t thread;
    puts("begin");
    fflush(stdout);
    pthread_create(&thread, 0, other, 0);
    pthread_join(thread, 0);
    return 0;
}
"#;

/// Starts the server over the recorded crash, whose program is gone from its place, and has gdb run a script.
fn gdb(bench: &Bench, arguments: &[&str], script: &[&str]) -> (Value, String) {
    let mut words = vec!["witness", "debug", "CRASH-1", "--json"];
    words.extend(arguments);
    let mut server = bench.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    let mut lines = BufReader::new(server.stdout.take().unwrap());
    while !ready.ends_with("}\n") {
        assert_ne!(lines.read_line(&mut ready).unwrap(), 0, "the server ended: {ready}");
    }
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let target = format!("target remote {}", ready["listen"].as_str().unwrap());
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-ex", "set pagination off", "-ex", "set debuginfod enabled off"]);
    command.args(["-ex", &target]);
    for line in script {
        command.args(["-ex", line]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(server.wait().unwrap().success());
    let mut said = String::new();
    server.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (ready, format!("{text}{}{said}", String::from_utf8_lossy(&output.stderr)))
}

fn bench() -> Option<Bench> {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("skipped: gdb is not there");
        return None;
    }
    let bench = Bench::new();
    let program = bench.compile("crash", CRASH, &["-O0", "-pthread"])?;
    bench.ok(&["witness", "record", "--incident", "CRASH-1", "--", &text(&program)]);
    std::fs::remove_file(program).unwrap();
    std::fs::remove_file(bench.path("crash.c")).unwrap();
    Some(bench)
}

#[test]
fn gdb_reads_the_fault_from_the_capsule_alone() {
    let Some(bench) = bench() else { return };
    let script = [
        "bt",
        "print total",
        "print found",
        "info threads",
        "thread apply 1 bt",
        "info sharedlibrary",
        "print $xmm0",
        "set var total = 3",
        "print total",
        "monitor trace 2",
        "continue",
    ];
    let (ready, text) = gdb(&bench, &[], &script);
    assert_eq!(ready["stopped"], "stopped at signal 11, before it is delivered");
    for expected in [
        "in sum (list=0x0)",
        "in other (unused=0x0)",
        "$1 = 42",
        "* 2    Thread 2",
        "in main ()",
        "Yes         target:/lib/x86_64-linux-gnu/libc.so.6",
        "Cannot access memory",
        "1 signal 11",
        "Program terminated with signal SIGSEGV",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    assert_eq!(text.matches("= 42").count(), 3, "total was changed, or found is not 42:\n{text}");
}

#[test]
fn gdb_stops_at_an_event_and_breaks_steps_and_watches_from_there() {
    let Some(bench) = bench() else { return };
    let script = [
        "monitor event",
        "break sum",
        "continue",
        "print list->value",
        "next",
        "next",
        "print found",
        "stepi",
        "set can-use-hw-watchpoints 0",
        "watch total",
        "continue",
        "continue",
        "print total",
        "delete",
        "continue",
        "continue",
    ];
    let (ready, text) = gdb(&bench, &["--event", "3"], &script);
    assert_eq!(ready["stopped"], "stopped after event 3");
    for expected in [
        "Breakpoint 1, sum (list=",
        "$1 = 40",
        "Old value = 0\nNew value = 40",
        "Old value = 40\nNew value = 42",
        "$3 = 42",
        "received signal SIGSEGV",
        "Program terminated with signal SIGSEGV",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
}

#[test]
fn only_loopback_is_served() {
    let Some(bench) = bench() else { return };
    let refused = bench.call(&["witness", "debug", "CRASH-1", "--listen", "0.0.0.0:0"]);
    assert_eq!((refused.code, &refused.json["error"]["code"]), (2, &"usage".into()), "{}", refused.json);
}
