//! A witness that cannot be repeated is quarantined with its reason; a tree in a subject's place.

use crate::{Bench, text};

/// Reads the processor's own random numbers, which nothing can stand in for.
const RANDOM: &str = r#"
#include <stdio.h>
unsigned long long draw(void) {
    unsigned long long value;
    unsigned char fine;
    do __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(fine)); while (!fine);
    return value;
}
void say(unsigned long long value) { printf("%llu\n", value); fflush(stdout); }
int main(void) { puts("begin"); fflush(stdout); say(draw()); return 3; }
"#;

#[test]
fn what_cannot_be_repeated_is_quarantined_with_the_event_and_both_stacks() {
    let features = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    if !features.contains(" rdrand") {
        println!("skipped: this processor has no rdrand");
        return;
    }
    let bench = Bench::new();
    let Some(program) = bench.compile("random", RANDOM, &["-O0"]) else { return };
    bench.ok(&["witness", "record", "--incident", "RANDOM-1", "--expect", "exit=3", "--", &text(&program)]);
    let answer = bench.call(&["witness", "check", "RANDOM-1", "-n", "6"]);
    assert_eq!((answer.code, answer.json["admitted"].as_bool()), (4, Some(false)), "{}", answer.json);
    let divergence = &answer.json["divergence"];
    assert_eq!(answer.json["diverged_at"], divergence["event"]);
    let stacks = divergence["stacks"].as_array().unwrap();
    assert_eq!(stacks.len(), 2, "{divergence}");
    for stack in stacks {
        assert!(stack["event"].as_str().unwrap().contains("write(1,"), "{stack}");
        let frames = stack["frames"].as_array().unwrap().iter().map(|frame| frame.as_str().unwrap());
        assert!(frames.into_iter().any(|frame| frame.ends_with(" say")), "{stack}");
    }
    let event = divergence["expected"].as_str().unwrap();
    assert!(!event.contains("begin") && event.contains("write(1,"), "{event}");
}

#[test]
fn a_directory_is_an_artifact_and_its_difference_is_explained() {
    let bench = Bench::new();
    let script = bench.path("script");
    let package = |name: &str, value: &str| {
        let folder = bench.path(name);
        std::fs::create_dir_all(folder.join("lib")).unwrap();
        std::fs::write(folder.join("lib/answer"), value).unwrap();
        text(&folder)
    };
    let (vulnerable, fixed) = (package("vulnerable", "42\n"), package("fixed", "refused\n"));
    std::fs::write(&script, format!("cat {vulnerable}/lib/answer\n")).unwrap();
    let subject = format!("package={vulnerable}");
    let recorded = bench.ok(&[
        "witness",
        "record",
        "--incident",
        "TREE-1",
        "--subject",
        &subject,
        "--expect",
        "stdout_exact=42\n",
        "--expect-fixed",
        "stdout_exact=refused\n",
        "--check",
        "4",
        "--",
        "/bin/sh",
        &text(&script),
    ]);
    assert_eq!(recorded["check"]["admitted"], true, "{recorded}");
    let other = format!("package={fixed}");
    let replayed = bench.ok(&["witness", "replay", "TREE-1", "--subject", &other]);
    assert_eq!(
        (&replayed["verdict"], &replayed["reason"]),
        (&"not_reproduced".into(), &"fixed_observation".into())
    );
    let nothing = bench.call(&["witness", "replay", "TREE-1", "--subject", "package=/bin/true"]);
    assert_eq!((nothing.code, &nothing.json["verdict"]), (4, &"inconclusive".into()), "{}", nothing.json);
    assert_eq!(nothing.json["reason"], "subject_does_not_fit");
    let difference = bench.call(&["witness", "diff", "TREE-1", "--subject", &other]);
    assert_eq!(difference.code, 1, "{}", difference.json);
    assert_eq!(difference.json["reason_class"], "changed_observation");
    assert_eq!(difference.json["stacks"].as_array().unwrap().len(), 2);
    let same = bench.ok(&["witness", "diff", "TREE-1", "TREE-1"]);
    assert_eq!((&same["reason_class"], &same["diverged_at"]), (&"none".into(), &serde_json::Value::Null));
    bench.ok(&["release", "create", "v1", "--artifact", &other]);
    let verified = bench.call(&["verify", "v1"]);
    assert_eq!(verified.json["verdicts"][0]["verdict"], "not_reproduced", "{}", verified.json);
}
