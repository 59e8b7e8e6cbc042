//! Mutants within the body of a function that did not run: what may carry, and what aims at how such a body
//! can be seen all the same.

use std::collections::BTreeMap;
use std::ops::Range;

use super::mutate::{Files, Mutant, digit, edit};
use crate::bench::carryover::Random;

/// The interiors of functions that did not run, by path.
pub type IdleLines = BTreeMap<String, Vec<Range<usize>>>;

const KINDS: [&str; 9] = [
    "idle: statement more",
    "idle: statement changed",
    "idle: comment",
    "idle: statement removed",
    "idle: emptied",
    "idle: edit",
    "idle: documentation",
    "idle: closure",
    "idle: odd",
];
const ODD_PYTHON: [&str; 26] = [
    "yield 1",
    "return super().x",
    "await x",
    "break",
    "x = '\\d'",
    "# coding: latin-1",
    "\tpass",
    "global os",
    "nonlocal x",
    "x = (",
    "x = '",
    "'''",
    "if x is 1: pass",
    "assert (x, 'y')",
    "1()",
    "from os import *",
    "from __future__ import annotations",
    "return __class__",
    "print 1",
    "x = 1if y else 2",
    "x: int = (yield)",
    "\\",
    "def g(): nonlocal x",
    "class x: pass",
    "return [y := 1 for z in x]",
    "return f'{x!r:{y}}'",
];
const ODD_JAVASCRIPT: [&str; 26] = [
    "exports.late = 1;",
    "//# sourceURL=elsewhere.js",
    "/*# sourceMappingURL=x.map */",
    "eval('1');",
    "with (x) {}",
    "'use strict';",
    "let x; var x;",
    "break;",
    "await x;",
    "yield 1;",
    "return /(/;",
    "return 08;",
    "x: for (;;) break x;",
    "}",
    "{",
    "`",
    "/*",
    "(",
    "<!-- x",
    "--> x",
    "return super.x;",
    "return new.target;",
    "import('x');",
    "return import.meta;",
    "return this.#x;",
    "arguments = 1;",
];

/// Makes one; none where the edit does not fit.
pub fn make(original: &Files, idle: &IdleLines, random: &mut Random) -> Option<Mutant> {
    let kind = *random.pick(&KINDS)?;
    let paths: Vec<&String> = idle.keys().collect();
    let path = (*random.pick(&paths)?).clone();
    let range = random.pick(idle.get(&path)?)?.clone();
    let text = String::from_utf8(original.get(&path)?.clone()).ok()?;
    let body = changed(kind, path.ends_with(".py"), &text[range.clone()], random)?;
    let edited = format!("{}{body}{}", &text[..range.start], &text[range.end..]);
    if edited == text {
        return None;
    }
    let mut files = original.clone();
    files.insert(path.clone(), edited.into_bytes());
    Some(Mutant { kind, path, files })
}

fn changed(kind: &'static str, is_python: bool, body: &str, random: &mut Random) -> Option<String> {
    let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
    let first = lines.iter().find(|line| !line.trim().is_empty())?;
    let indent: String = first.chars().take_while(|letter| *letter == ' ').collect();
    let number = random.below(1000);
    // Lines of the body's own level.
    let own = |line: &String| {
        let rest = line.strip_prefix(&indent);
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with([' ', ')', ']', '}']))
    };
    let top: Vec<usize> = (0..lines.len()).filter(|at| own(&lines[*at])).collect();
    let level = *random.pick(&top)?;
    let of =
        |python: &str, javascript: &str| format!("{indent}{}", if is_python { python } else { javascript });
    match kind {
        "idle: statement more" => {
            lines.insert(level, of(&format!("value = {number}"), &format!("const zq{number} = 1;")));
        }
        "idle: statement changed" => lines[level] = digit(&lines[level], random)?,
        "idle: comment" => lines.insert(level, of("# later", "// later")),
        "idle: statement removed" => drop(lines.remove(random.below(lines.len()))),
        "idle: emptied" => lines = vec![of("pass", "return;")],
        "idle: documentation" => lines.insert(0, of("\"\"\"New.\"\"\"", "'use strict';")),
        "idle: closure" => {
            let python = format!("value = lambda one: (one, os, self, {number})");
            let javascript = format!("const zq{number} = () => [exports, module, this, require];");
            lines.insert(level, of(&python, &javascript));
        }
        "idle: odd" => {
            let at = random.below(lines.len() + 1);
            lines.insert(at, of(random.pick(&ODD_PYTHON)?, random.pick(&ODD_JAVASCRIPT)?));
        }
        _ => {
            let kinds =
                ["operator", "constant", "branch", "text", "name", "statement twice", "statements swapped"];
            let kind = *random.pick(&kinds)?;
            return edit(kind, if is_python { "x.py" } else { "x.js" }, body, random);
        }
    }
    Some(lines.join("\n") + "\n")
}
