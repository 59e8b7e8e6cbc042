//! A draft from a real core file.

use std::process::Command;

use crate::{Bench, text};

const CRASH: &str = r#"
#include <string.h>
int fail(char *word) { return word[0] / (int) strlen(word + 1); }
int main(int count, char **words) { return fail(words[1]) + *(volatile int *) (long) count; }
"#;

#[test]
fn a_core_tells_the_command_the_fault_and_what_is_missing() {
    let bench = Bench::new();
    let Some(program) = bench.compile("crash", CRASH, &["-O0", "-Wl,--build-id=sha1"]) else { return };
    let core = bench.path("core");
    // gdb writes a core in the kernel's own format, whatever this host does with real ones.
    let made = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "set debuginfod enabled off"])
        .args(["-ex", "run", "-ex", &format!("generate-core-file {}", text(&core))])
        .args(["-ex", "kill", "--args", &text(&program), "two words", "it's"])
        .env("SECRET_TOKEN", "do-not-show")
        .output();
    if made.is_err() || !core.exists() {
        println!("skipped: gdb is not there or cannot write a core");
        return;
    }
    let answer = bench.call(&["witness", "record", "--incident", "CORE-1", "--attach-core", &text(&core)]);
    let draft = &answer.json;
    assert_eq!((answer.code, &draft["kind"]), (4, &"core".into()), "{draft} {}", answer.stderr);
    assert_eq!(draft["signal"], 11);
    assert_eq!(draft["fault_address"], "0x3");
    let words: Vec<_> =
        draft["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[1..], ["two words", "it's"]);
    assert_eq!(draft["threads"][0]["module"], text(&program));
    assert!(draft["environment"].as_array().unwrap().contains(&"SECRET_TOKEN".into()));
    assert!(!draft.to_string().contains("do-not-show"));
    let own =
        draft["modules"].as_array().unwrap().iter().find(|module| module["path"] == text(&program)).unwrap();
    assert_eq!(own["here"], "same", "{own}");
    let next = draft["next"].as_str().unwrap();
    assert!(next.ends_with(r"'two words' 'it'\''s'") && next.contains("--incident CORE-1"), "{next}");
    // Another build in its place is seen, and so is none.
    std::fs::write(bench.path("other.c"), "int main(void) { return 2; }").unwrap();
    bench.compile("crash", "int main(void) { return 2; }", &["-Wl,--build-id=sha1"]).unwrap();
    let missing = |bench: &Bench| {
        let answer = bench.call(&["witness", "record", "--attach-core", &text(&core)]).json;
        answer["missing"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(missing(&bench).contains(&"module_differs".to_owned()));
    std::fs::remove_file(&program).unwrap();
    assert!(missing(&bench).contains(&"module_absent".to_owned()));
}

#[test]
fn what_is_no_core_is_refused_and_a_report_is_taken() {
    let bench = Bench::new();
    let program = std::fs::read("/bin/true").unwrap();
    let mut cut = program.clone();
    cut[16] = 4; // ET_CORE, with the program's own headers
    cut.truncate(200);
    for bytes in [program.as_slice(), &cut, b"MDMP\x93\xa7\0\0"] {
        std::fs::write(bench.path("file"), bytes).unwrap();
        let answer = bench.call(&["witness", "record", "--attach-core", "file"]);
        assert_eq!(
            (answer.code, &answer.json["error"]["code"]),
            (3, &"draft_refused".into()),
            "{}",
            answer.json
        );
    }
    let report =
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nValueError: x\n";
    std::fs::write(bench.path("report"), report).unwrap();
    let answer = bench.call(&["witness", "record", "--attach-core", "report"]);
    assert_eq!((answer.code, &answer.json["kind"]), (4, &"report".into()), "{}", answer.json);
    assert_eq!(answer.json["threads"][0]["frames"][0]["function"], "f");
}
