//! Node programs that showed something else where an idle body differed, and were carried once.

use crate::lab::{Judged, has, judge};

const NODE: &str = "/usr/bin/node";

fn pair(main: &str, texts: [&str; 2]) -> Judged {
    judge(NODE, ("main.js", &format!("const m = require('PLACE/m');\n{main}")), "m.js", texts)
}

fn module(idle: &str) -> String {
    format!(
        "'use strict';\nfunction idle(a) {{\n{idle}}}\nfunction used() {{\n  return 5;\n}}\nmodule.exports = {{ idle, used }};\n"
    )
}

/// A program beside a module whose idle function is longer by more than Node reads at once.
fn longer(main: &str) -> Judged {
    let texts = [module("  return a;\n"), module(&format!("  return a;\n  // {}\n", "x".repeat(9000)))];
    pair(main, texts.each_ref().map(String::as_str))
}

#[test]
fn plain_programs_are_carried() {
    if !has(NODE) {
        return;
    }
    longer("console.log(m.used());\n").assert_carried();
    let date = "console.log(m.used(), new Date(5).getTime(), m instanceof Date, Date.parse('2020-01-01'));\n";
    longer(date).assert_carried();
    longer("process.on('exit', () => { m.used(); });\nconsole.log([3, 1].sort().length);\n").assert_carried();
}

/// Finding 1: coverage is taken at the last `exit`, and where there is more than one, not at all.
#[test]
fn coverage_does_not_end_where_the_program_says_so() {
    if !has(NODE) {
        return;
    }
    let text = |value: u32| {
        format!("'use strict';\nfunction late() {{\n  return {value};\n}}\nmodule.exports = {{ late }};\n")
    };
    let texts = [text(1), text(2)];
    for main in [
        "process.emit('exit', 0);\nconsole.log(m.late());\n",
        "require('events').prototype.emit.call(process, 'exit', 0);\nconsole.log(m.late());\n",
        "Object.create(process).emit('exit', 0);\nconsole.log(m.late());\n",
    ] {
        println!("{main}");
        pair(main, texts.each_ref().map(String::as_str)).assert_refused("");
    }
}

/// Finding 6: a line that ends in the last two bytes of a comment ends a statement.
#[test]
fn a_line_that_ends_late_in_a_comment_is_seen() {
    if !has(NODE) {
        return;
    }
    for line in ["throw /*\n*/ a;", "a /*\n*/ ++;", "return x /*\n*/ => 1;", "throw /* \n */ a;"] {
        let texts = [module("  return a;\n"), module(&format!("  {line}\n"))];
        let judged = pair("console.log(m.used());\n", texts.each_ref().map(String::as_str));
        judged.assert_refused_all_the_same("may_not_compile");
    }
}

/// Finding 8: clocks that no list knew.
#[test]
fn clocks_are_not_carried() {
    if !has(NODE) {
        return;
    }
    for main in [
        "console.time('x');\nfor (let i = 0; i < 1e5; i += 1);\nconsole.timeEnd('x');\n",
        "console.log(new Event('x').timeStamp);\n",
        "console.log(Date.prototype.constructor.now());\n",
        "console.log(new Date(0).constructor.now());\n",
        "console.log(Intl.DateTimeFormat('en', { fractionalSecondDigits: 3 }).format());\n",
        "console.log(new (Object.getPrototypeOf(new Date(0)).constructor)().getTime());\n",
    ] {
        println!("{main}");
        // Who prints the time prints another one while it is observed, and then there is no coverage.
        longer(main).assert_refused_all_the_same("");
    }
}

/// Finding 10: an arrow that asks for `this` or `arguments` makes its surroundings keep them.
#[test]
fn what_an_arrow_asks_of_its_surroundings_is_the_same() {
    if !has(NODE) {
        return;
    }
    for (old, new) in [("1", "this"), ("arguments", "1"), ("1", "(() => this)()"), ("x", "this.x")] {
        let text = |value: &str| {
            format!(
                "'use strict';\nlet depth = 0;\nfunction deep(x) {{\n  const f = () => {{\n    return {value};\n  }};\n  depth += 1;\n  deep(x);\n  return f;\n}}\nmodule.exports = {{ run() {{ try {{ deep(1); }} catch (e) {{ return depth > 5; }} }} }};\n"
            )
        };
        println!("{old} {new}");
        let texts = [text(old), text(new)];
        let judged = pair("console.log(m.run());\n", texts.each_ref().map(String::as_str));
        let Err(reasons) = &judged.carried else { panic!("carried") };
        let either = ["signature_differs", "may_not_compile"];
        assert!(reasons.iter().all(|one| either.iter().any(|two| one.starts_with(two))), "{reasons:?}");
    }
}
