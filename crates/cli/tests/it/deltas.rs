//! Deltas, patch signatures and packages through the program, by the names and keys of the contract.

use std::path::Path;
use std::process::Command;

use crate::{Bench, text};

const SOURCE: &str = r#"
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) int copy(char *to, unsigned size, const char *from) {
    unsigned length = (unsigned)strlen(from);
    CHECK
    memcpy(to, from, length + 1);
    return (int)length;
}
__attribute__((noinline)) int twice(int x) { return x * 2 + 1; }
int main(int argc, char **argv) {
    char name[32];
    printf("%d %d\n", copy(name, sizeof name, argc > 1 ? argv[1] : "nobody"), twice(argc));
    return 0;
}
"#;

/// The flawed and the fixed program.
fn programs(bench: &Bench) -> Option<(String, String)> {
    let check = "if (length >= size) { puts(\"the name is too long\"); return -1; }";
    let flawed = bench.compile("flawed", &SOURCE.replace("CHECK", ""), &["-O2", "-g0"])?;
    let fixed = bench.compile("fixed", &SOURCE.replace("CHECK", check), &["-O2", "-g0"])?;
    Some((text(&flawed), text(&fixed)))
}

#[test]
fn what_changed_in_words_and_side_by_side() {
    let bench = Bench::new();
    let Some((flawed, fixed)) = programs(&bench) else { return };
    for program in [&flawed, &fixed] {
        let index = bench.ok(&["delta", "index", program]);
        for key in ["artifact", "index", "functions", "toolchain", "milliseconds"] {
            assert!(!index[key].is_null(), "{key}: {index}");
        }
        assert_eq!((&index["toolchain"]["name"], &index["lifted"]), (&"gcc".into(), &true.into()), "{index}");
    }
    let delta = bench.ok(&["delta", "diff", &flawed, &fixed]);
    let changed = delta["functions"]["changed"].as_array().unwrap();
    assert_eq!(changed.len(), 1, "{delta}");
    assert_eq!(changed[0]["name"], "copy");
    let words = changed[0]["details"].to_string();
    assert!(words.contains("the name is too long") && words.contains("puts"), "{words}");
    for key in ["affected", "added", "removed", "moved", "renamed"] {
        assert!(delta["functions"][key].is_array(), "{key}");
    }
    let rows = bench.ok(&["delta", "diff", &flawed, &fixed, "--function", "copy"]);
    let rows = rows["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["same"] == true) && rows.iter().any(|row| row["a"].is_null()));
    let answer = bench.call(&["delta", "diff", &flawed, &fixed, "--function", "twice"]);
    assert_eq!((answer.code, &answer.json["error"]["code"]), (3, &"function_not_changed".into()));
}

#[test]
fn the_catalogue_says_which_files_have_a_function() {
    let bench = Bench::new();
    let Some((flawed, fixed)) = programs(&bench) else { return };
    let entered = bench.ok(&["delta", "index", "--catalogue", &flawed, &fixed]);
    assert_eq!(entered["artifacts"].as_array().unwrap().len(), 2, "{entered}");
    let twice = bench.ok(&["delta", "find", "twice", "--in", &flawed]);
    assert_eq!((&twice["occurrences"], &twice["index_age_seconds"]), (&2.into(), &0.0.into()), "{twice}");
    let copy = bench.ok(&["delta", "find", "copy", "--in", &fixed]);
    assert_eq!(copy["occurrences"], 1, "{copy}");
    let nowhere = bench.call(&["delta", "find", &format!("sha256:{}", "0".repeat(64))]);
    assert_eq!((nowhere.code, &nowhere.json["occurrences"]), (1, &0.into()));
    let missing = bench.call(&["delta", "find", "absent", "--in", &fixed]);
    assert_eq!((missing.code, &missing.json["error"]["code"]), (3, &"unknown_function".into()));
}

#[test]
fn a_patch_is_signed_and_looked_for() {
    let bench = Bench::new();
    let Some((flawed, fixed)) = programs(&bench) else { return };
    let signed = bench.ok(&["delta", "sign", &flawed, &fixed, "--incident", "CVE-0", "-o", "patch.json"]);
    assert_eq!(signed["functions"], serde_json::json!(["copy"]));
    let own = text(Path::new(env!("CARGO_BIN_EXE_assay")));
    let strip = |program: &str| {
        let stripped = format!("{program}-stripped");
        std::fs::copy(program, &stripped).unwrap();
        assert!(Command::new("strip").arg(&stripped).status().unwrap().success());
        stripped
    };
    let cases = [
        (fixed.clone(), 0, "patched"),
        (strip(&fixed), 0, "patched"),
        (flawed.clone(), 1, "vulnerable"),
        (strip(&flawed), 1, "vulnerable"),
        (own, 4, "inconclusive"),
    ];
    for (program, code, status) in cases {
        let answer = bench.call(&["delta", "presence", "patch.json", &program]);
        assert_eq!(answer.code, code, "{program}: {}", answer.json);
        assert_eq!(answer.json["results"][0]["status"], status, "{program}: {}", answer.json);
    }
    let same = bench.call(&["delta", "sign", &fixed, &fixed, "--incident", "CVE-0"]);
    assert_eq!((same.code, &same.json["error"]["code"]), (3, &"no_signature".into()));
    std::fs::write(bench.path("broken.json"), "{}").unwrap();
    let broken = bench.call(&["delta", "presence", "broken.json", &fixed]);
    assert_eq!((broken.code, &broken.json["error"]["code"]), (3, &"signature_refused".into()));
}

#[test]
fn folders_and_archives_are_compared_file_by_file() {
    let bench = Bench::new();
    let Some((flawed, fixed)) = programs(&bench) else { return };
    for (folder, program) in [("tool-1.0", &flawed), ("tool-1.1", &fixed)] {
        std::fs::create_dir_all(bench.path(folder).join("bin")).unwrap();
        std::fs::copy(program, bench.path(folder).join("bin/tool")).unwrap();
        std::fs::copy(&flawed, bench.path(folder).join("bin/other")).unwrap();
        std::fs::write(bench.path(folder).join("README"), folder).unwrap();
        let archive = format!("{folder}.tar.gz");
        let packed = Command::new("tar").current_dir(bench.path("")).args(["czf", &archive, folder]).status();
        assert!(packed.unwrap().success());
    }
    for (a, b) in [("tool-1.0", "tool-1.1"), ("tool-1.0.tar.gz", "tool-1.1.tar.gz")] {
        let delta = bench.ok(&["delta", "diff", a, b]);
        let status = |name: &str| {
            let mut files = delta["files"].as_array().unwrap().iter();
            files.find(|file| file["path"].as_str().unwrap().ends_with(name)).unwrap()["status"].clone()
        };
        assert_eq!((status("tool"), status("other")), ("changed".into(), "identical".into()), "{delta}");
        assert_eq!(delta["functions"]["changed"][0]["name"], "copy");
        assert!(delta["functions"]["changed"][0]["file"].as_str().unwrap().ends_with("bin/tool"));
    }
}
