//! What `--expect` tells apart: stacks by their fingerprint, outputs by a pattern; the match and the near miss.

use serde_json::Value;

use crate::{Bench, text};

/// Fails in `fail`, reached through `first` or `second`; the fixed build says so and ends well.
const PATHS: &str = r#"
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) int fail(volatile int *at) { return *at + UNRELATED; }
__attribute__((noinline)) int first(volatile int *at) { return fail(at) + 1; }
__attribute__((noinline)) int second(volatile int *at) { return fail(at) + 2; }
int main(int count, char **words) {
    fprintf(stderr, "reading entry %d of list 0x%x\n", count + UNRELATED, ENTRY);
    if (FIXED) { printf("entry %d: %d bytes\n", count, 40 + ENTRY); return 0; }
    return strcmp(words[0], "") ? PATH((volatile int *)(long) count) : 0;
}
"#;

fn build(bench: &Bench, name: &str, path: &str, fixed: u32, unrelated: u32, entry: u32) -> Option<String> {
    let flags = [
        format!("-DPATH={path}"),
        format!("-DFIXED={fixed}"),
        format!("-DUNRELATED={unrelated}"),
        format!("-DENTRY={entry}"),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    bench.compile(name, PATHS, &flags).map(|program| text(&program))
}

fn verdict(bench: &Bench, program: &str) -> Value {
    let name = program.rsplit('/').next().unwrap();
    bench.ok(&["release", "create", name, "--artifact", &format!("tool={program}")]);
    bench.call(&["verify", name]).json["verdicts"][0].clone()
}

fn said(verdict: &Value) -> (&str, &str) {
    (verdict["verdict"].as_str().unwrap_or_default(), verdict["reason"].as_str().unwrap_or_default())
}

/// The fingerprint as the program gives it for what gdb would print: nothing of the runner is in it.
fn fingerprint_of_gdb(bench: &Bench, through: &str) -> String {
    let trace = format!(
        "#0  0x0000555555555159 in fail (at=0x1) at tool.c:4\n\
         #1  0x0000555555555170 in {through} (at=0x1) at tool.c:5\n\
         #2  0x00005555555551a0 in main (count=1, words=0x7ffe) at tool.c:10\n"
    );
    std::fs::write(bench.path("gdb.txt"), trace).unwrap();
    bench.ok(&["stack", "fingerprint", "gdb.txt"])["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn a_fault_is_proposed_with_its_fingerprint_and_another_stack_is_another_failure() {
    let bench = Bench::new();
    let Some(program) = build(&bench, "tool", "first", 0, 3, 1) else { return };
    bench.ok(&["witness", "record", "--incident", "STACK-1", "--check", "4", "--", &program]);
    let wanted = fingerprint_of_gdb(&bench, "first");
    let expected = bench.ok(&["incident", "show", "STACK-1"])["expect"]["vulnerable"].clone();
    assert_eq!(expected["signal"], "SIGSEGV");
    assert_eq!(expected["stack_fingerprint"], wanted.as_str(), "{expected}");

    let unrelated = build(&bench, "unrelated", "first", 0, 5, 1).unwrap();
    assert_eq!(said(&verdict(&bench, &unrelated)), ("reproduced", "expected_observation"));
    let other = build(&bench, "other", "second", 0, 3, 1).unwrap();
    assert_eq!(said(&verdict(&bench, &other)), ("inconclusive", "failed_differently"));
}

#[test]
fn a_run_with_another_stack_is_no_witness() {
    let bench = Bench::new();
    let Some(program) = build(&bench, "tool", "second", 0, 3, 1) else { return };
    let record = |incident: &str, through: &str| {
        let expect = format!("stack_fingerprint={}", fingerprint_of_gdb(&bench, through));
        bench.call(&["witness", "record", "--incident", incident, "--expect", &expect, "--", &program])
    };
    let refused = record("STACK-2", "first");
    assert_eq!((refused.code, &refused.json["error"]["code"]), (3, &"incident_not_shown".into()));
    assert!(refused.json["error"]["message"].as_str().unwrap().ends_with("stack_fingerprint"));
    assert_eq!(record("STACK-3", "second").code, 0);
}

#[test]
fn patterns_hold_on_both_sides_and_a_near_miss_does_not() {
    let bench = Bench::new();
    let Some(program) = build(&bench, "tool", "first", 0, 3, 11) else { return };
    let record = |incident: &str, expect: &str| {
        let fixed = r"stdout_pattern=^entry [0-9]: [0-9]{2} bytes\n\z";
        let words = ["witness", "record", "--incident", incident, "--check", "4", "--expect", expect];
        bench.call(
            &[&words[..], &["--expect-fixed", fixed, "--expect-fixed", "exit=0", "--", &program]].concat(),
        )
    };
    let missed = record("PATTERN-1", "stderr_pattern=^reading entry [0-9] of list 0x[0-9]$");
    assert_eq!((missed.code, &missed.json["error"]["code"]), (3, &"incident_not_shown".into()));
    let taken = record("PATTERN-2", r"stderr_pattern=(?m)^reading entry \d+ of list 0x[[:xdigit:]]{1,8}$");
    assert_eq!(taken.code, 0, "{} {}", taken.json, taken.stderr);

    // The vulnerable side says nothing of a signal: what is printed decides.
    let unrelated = build(&bench, "unrelated", "second", 0, 5, 12).unwrap();
    assert_eq!(said(&verdict(&bench, &unrelated)), ("reproduced", "expected_observation"));
    let fixed = SILENT.replace("SAYS", r#""entry 1: 42 bytes\n""#);
    let fixed = text(&bench.compile("fixed", &fixed, &[]).unwrap());
    assert_eq!(said(&verdict(&bench, &fixed)), ("not_reproduced", "fixed_observation"));
    let nearly = SILENT.replace("SAYS", r#""entry 1: 142 bytes\n""#);
    let nearly = text(&bench.compile("nearly", &nearly, &[]).unwrap());
    assert_eq!(verdict(&bench, &nearly)["verdict"], "inconclusive");
}

const SILENT: &str = "#include <stdio.h>\nint main(void) { fputs(SAYS, stdout); return 0; }\n";

#[test]
fn what_does_not_compile_is_refused_with_a_hint() {
    let bench = Bench::new();
    let refused = |expect: &str| {
        let answer = bench.call(&[
            "witness",
            "record",
            "--incident",
            "PATTERN-3",
            "--expect",
            expect,
            "--",
            "/bin/false",
        ]);
        let error = answer.json["error"].clone();
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
        (answer.code, error["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused("stdout_pattern=a(b"), (2, "pattern_refused".to_owned()));
    assert_eq!(refused(r"stderr_pattern=(x)\1"), (2, "pattern_refused".to_owned()));
    assert_eq!(refused("stderr_pattern=.*"), (2, "pattern_refused".to_owned()));
    assert_eq!(refused("stack_fingerprint=total"), (2, "usage".to_owned()));

    let define = |pattern: &str| {
        let definition =
            format!("id = 'P'\nrole = 'tool'\n[expect.vulnerable]\nstdout_pattern = '{pattern}'\n");
        std::fs::write(bench.path("incident.toml"), definition).unwrap();
        bench.call(&["incident", "define", "incident.toml"])
    };
    assert_eq!(define("a(b").code, 3);
    assert_eq!(define("a[(]b").code, 0);
}
