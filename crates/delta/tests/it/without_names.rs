//! Deltas of files without symbols, of other architectures, and of what only a build changes.

use assay_delta::{Delta, Index, diff, diff_files};

use crate::build::{build, stripped};

/// Enough functions of several sizes that call each other, so that matching has something to do.
fn program() -> String {
    let mut text = String::from(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#define N __attribute__((noinline))\nvolatile int sink; static int first, second;\n",
    );
    for i in 0..40 {
        let callee = if i == 0 { "abs".to_owned() } else { format!("step{}", i / 2) };
        text.push_str(&format!(
            "N int step{i}(int x, const char *s) {{ if (x > {0}) {{ puts(\"step {i}\"); return {callee}(x - {1}{2}) * {3}; }} \
             for (int k = 0; k < {4}; k++) sink += (int)strlen(s) ^ k; return x + sink; }}\n",
            i * 7 + 3,
            i + 1,
            if i == 0 { "" } else { ", s" },
            i % 5 + 2,
            i % 9 + 20,
        ));
    }
    text.push_str("N int use(int x) { first += x; return first; }\nN int use2(int x) { second -= x; return second * 3; }\n");
    text.push_str("int main(int argc, char **argv) { printf(\"%d %d\\n\", step39(argc, argv[0]), use(argc) + use2(argc)); return 0; }\n");
    text
}

fn delta(compiler: &str, change: impl Fn(&str) -> String, args: &[&str]) -> Option<Delta> {
    let source = program();
    let changed = change(&source);
    assert_ne!(source, changed, "the test changes something");
    let bytes = |text: &str| {
        let built = build(compiler, &[("program.c", text)], args)?;
        stripped(compiler, &built)
    };
    let (a, b) = (bytes(&source)?, bytes(&changed)?);
    Some(diff_files(&a, &b).expect("both are read"))
}

/// One function is changed and one is added in front of all others; nothing else is reported.
fn one_changed(compiler: &str) {
    let change = |source: &str| {
        let added = "N int extra(int x) { puts(\"extra\"); return x * 11 + sink; }\nN int use(int x)";
        let text = source.replace("if (x > 80) { puts(\"step 11\")", "if (x > 81) { puts(\"step 11\")");
        text.replace("N int use(int x)", added).replace("use2(argc));", "use2(argc) + extra(argc));")
    };
    let Some(delta) = delta(compiler, change, &["-O2"]) else { return };
    let functions = &delta.functions;
    let told: Vec<String> = functions.changed.iter().map(|entry| entry.details.join("; ")).collect();
    assert_eq!(functions.changed.len(), 2, "the function and main: {told:?}");
    assert_eq!((functions.added.len(), functions.removed.len()), (1, 0), "{functions:#?}");
    assert!(functions.unchanged >= 40, "{}", functions.unchanged);
}

#[test]
fn x86_64() {
    one_changed("cc");
}

#[test]
fn aarch64() {
    one_changed("aarch64-linux-gnu-gcc");
}

#[test]
fn x86_32() {
    one_changed("i686-linux-gnu-gcc");
}

#[test]
fn another_callee_of_the_same_shape_is_a_change() {
    let change = |source: &str| source.replace("return step10(x - 21", "return step12(x - 21");
    let Some(delta) = delta("cc", change, &["-O2"]) else { return };
    let [entry] = delta.functions.changed.as_slice() else { panic!("{:#?}", delta.functions.changed) };
    assert!(entry.why.contains("where it referred to"), "{}", entry.why);
}

#[test]
fn another_variable_is_a_change() {
    let change =
        |source: &str| source.replace("second -= x; return second * 3", "first -= x; return first * 3");
    let Some(delta) = delta("cc", change, &["-O2"]) else { return };
    assert_eq!(delta.functions.changed.len(), 1, "{:#?}", delta.functions.changed);
}

const ASSERTING: &str = "#include <assert.h>\n#include <stdio.h>\n#include <stdlib.h>\n\
    __attribute__((noinline)) void *get(unsigned long n, const char *file, int line) { void *p = malloc(n); if (!p) printf(\"%s:%d\\n\", file, line); return p; }\n\
    #define GET(n) get(n, __FILE__, __LINE__)\n\
    __attribute__((noinline)) int work(int x) { char *p = GET(64); assert(p != 0); p[0] = (char)x; int y = p[0]; free(p); return y; }\n\
    int main(int argc, char **argv) { assert(argc > 0); return work(argc); }\n";

fn asserting(text: &str, args: &[&str]) -> Option<Index> {
    Some(Index::build(&build("cc", &[("asserting.c", text)], args)?).expect("it is read"))
}

#[test]
fn lines_paths_and_dates_are_set_aside_by_name() {
    let Some(a) = asserting(ASSERTING, &["-O2"]) else { return };
    let shifted = format!("\n\n\n/* a comment */\n{ASSERTING}");
    let b = asserting(&shifted, &["-O2", "-fmacro-prefix-map=./=/another/folder/"]).expect("cc is here");
    let delta = diff(&a, &b);
    assert!(delta.functions.changed.is_empty(), "{:#?}", delta.functions.changed);
    assert!(delta.ignored.iter().any(|words| words.contains("line numbers")), "{:?}", delta.ignored);
}

/// The number beside the path is the line; the size before it is not.
#[test]
fn a_changed_size_is_not_taken_for_a_line() {
    let Some(a) = asserting(ASSERTING, &["-O2"]) else { return };
    let b = asserting(&ASSERTING.replace("GET(64)", "GET(65)"), &["-O2"]).expect("cc is here");
    let delta = diff(&a, &b);
    let names: Vec<&str> = delta.functions.changed.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["work"]);
}
