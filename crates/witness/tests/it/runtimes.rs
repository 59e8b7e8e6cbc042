//! What interpreters executed, by their own coverage.

use std::path::Path;

use assay_witness::{
    Recording, ReplayRequest, Runtime, RuntimeCoverage, Uncovered, replay, runtime_coverage,
};

use crate::lab::Lab;

fn observe(
    program: &str,
    script: &str,
    files: &[(&str, &str)],
) -> Option<Result<RuntimeCoverage, Uncovered>> {
    if !Path::new(program).exists() {
        eprintln!("skipped: no {program}");
        return None;
    }
    let lab = Lab::new()?;
    for (name, text) in files {
        std::fs::write(lab.folder.path().join(name), text).unwrap();
    }
    let recording: Recording = lab.record(&[program, lab.folder.path().join(script).to_str().unwrap()]);
    let request = ReplayRequest::default();
    let plain = replay(&recording.capsule, &recording, &request, &lab.host).unwrap();
    Some(runtime_coverage(&recording.capsule, &recording, &request, &lab.host, &plain).unwrap())
}

/// Names of the functions of a file, executed ones and others.
fn names(coverage: &RuntimeCoverage, file: &str) -> (Vec<String>, Vec<String>) {
    let file = coverage.files.iter().find(|covered| covered.path.ends_with(file)).unwrap();
    assert!(file.digest.is_some(), "{}", file.path);
    let of = |executed| {
        let functions = file.functions.iter().filter(move |function| function.executed == executed);
        functions.map(|function| function.name.clone()).collect()
    };
    (of(true), of(false))
}

const PYTHON: &str = "/usr/bin/python3";
const NODE: &str = "/usr/bin/node";

#[test]
fn python_tells_which_functions_ran() {
    let part = "def used(n):\n    return [x for x in range(n)]\n\n\ndef idle():\n    return 1\n\n\nclass C:\n    def method(self):\n        yield from used(3)\n\n    def other(self):\n        pass\n";
    let main =
        "import os\nimport part\nprint(list(part.C().method()))\nprint(os.path.exists('/nowhere/at/all'))\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main), ("part.py", part)]) else { return };
    let coverage = answer.unwrap();
    assert_eq!(coverage.runtime, Runtime::Python);
    let (executed, _) = names(&coverage, "/part.py");
    assert_eq!(executed, ["<module>", "used", "used.<locals>.<listcomp>", "C", "C.method"]);
    assert!(coverage.imports.iter().any(|name| name == "part"));
    assert!(coverage.looked_up.iter().any(|path| path == "/nowhere/at/all"));
    assert!(!coverage.opened.iter().any(|path| path.contains("_lsprof")));
}

#[test]
fn python_that_prints_a_traceback_says_so() {
    let main = "def f():\n    return 1 / 0\nf()\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main)]) else { return };
    let coverage = answer.unwrap();
    assert!(coverage.uses.iter().any(|used| used.what == "audit sys.excepthook"), "{:?}", coverage.uses);
}

#[test]
fn python_that_sets_another_profiler_has_no_coverage() {
    let main = "import sys\nsys.setprofile(None)\nprint(1)\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main)]) else { return };
    assert_eq!(answer.unwrap_err().code, "incomplete");
}

#[test]
fn a_child_process_is_not_covered() {
    let main = "import os\np = os.fork()\nif p == 0:\n    os._exit(0)\nos.waitpid(p, 0)\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main)]) else { return };
    assert_eq!(answer.unwrap_err().code, "several_processes");
    let main = "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main)]) else { return };
    assert_eq!(answer.unwrap_err().code, "several_threads");
    let main = "import os\nprint(1, flush=True)\nos._exit(0)\n";
    let Some(answer) = observe(PYTHON, "main.py", &[("main.py", main)]) else { return };
    assert_eq!(answer.unwrap_err().code, "no_answer");
}

#[test]
fn node_tells_which_functions_ran() {
    let part = "'use strict';\nfunction used(n) { return n + eval('1'); }\nfunction idle() { return 2; }\nclass K { m() { return used(1); } n() { return 3; } }\nmodule.exports = { K, idle };\n";
    let main = "const { K } = require('./part');\nconsole.log(new K().m());\nprocess.on('exit', () => { late(); });\nfunction late() { return 5; }\n";
    let Some(answer) = observe(NODE, "main.js", &[("main.js", main), ("part.js", part)]) else { return };
    let coverage = answer.unwrap();
    assert_eq!(coverage.runtime, Runtime::Node);
    let (executed, idle) = names(&coverage, "/part.js");
    assert!(executed.contains(&"used".to_owned()) && executed.contains(&"m".to_owned()), "{executed:?}");
    assert_eq!(idle, ["idle", "n"]);
    let (executed, _) = names(&coverage, "/main.js");
    assert!(executed.contains(&"late".to_owned()), "{executed:?}");
    assert!(!coverage.uses.iter().any(|used| used.what == "function_source"));
}

#[test]
fn node_that_shows_its_own_source_or_stack_says_so() {
    let asked = |main: &str| {
        let answer = observe(NODE, "main.js", &[("main.js", main)])?;
        Some(answer.unwrap().uses.into_iter().map(|used| used.what).collect::<Vec<_>>())
    };
    let Some(uses) = asked("function f() { /* here */ }\nconsole.log(`${f}`.length);\n") else { return };
    assert!(uses.iter().any(|what| what == "function_source"), "{uses:?}");
    let Some(uses) = asked("console.log(new Error('x').stack.length);\n") else { return };
    assert!(uses.iter().any(|what| what.ends_with(" prepareStackTraceCallback")), "{uses:?}");
    let Some(uses) = asked("try { null.x } catch (e) { console.log(e.message) }\n") else { return };
    assert!(!uses.iter().any(|what| what.ends_with(" prepareStackTraceCallback")), "{uses:?}");
}
