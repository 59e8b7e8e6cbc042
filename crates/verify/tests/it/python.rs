//! Python programs that showed something else where an idle body differed, and were carried once.

use crate::lab::{Judged, has, judge};

const PYTHON: &str = "/usr/bin/python3";
/// The module's idle function, and another text of it.
const SHORT: &str = "def idle(a):\n    return a\n";
const LONG: &str = "def idle(a):\n    # The very same, and a comment of some length.\n    return a + 1\n";
/// Another text with as many lines and bytes.
const OTHER: &str = "def idle(a):\n    return 1\n";
const IMPORT: &str = "import sys\nsys.path.insert(0, 'PLACE')\nimport m\n";

/// The first two lines of a source are never free.
fn pair(program: &str, main: &str, texts: [&str; 2]) -> Judged {
    let texts = texts.map(|text| format!("import sys\n\n\n{text}"));
    let texts = texts.each_ref().map(String::as_str);
    judge(program, ("main.py", &format!("{IMPORT}{main}")), "m.py", texts)
}

/// A program beside a module whose idle function is longer in the other text, with as many lines or more.
fn longer(main: &str, lines: bool) -> Judged {
    let same_lines = "def idle(a):\n    return a + 1 + 2 + 3 + 4\n";
    pair(PYTHON, main, [SHORT, if lines { LONG } else { same_lines }].map(own).each_ref().map(String::as_str))
}

fn own(idle: &str) -> String {
    format!("{idle}\n\ndef used(ask=None):\n    return ask() if ask else 5\n")
}

fn refused(main: &str, lines: bool, reason: &str) {
    println!("{main}");
    longer(main, lines).assert_refused(reason);
}

#[test]
fn plain_programs_are_carried() {
    if !has(PYTHON) {
        return;
    }
    longer("print(m.used())\n", true).assert_carried();
    longer("import json, re, os\nprint(json.loads('[1]'), re.sub('a', 'b', 'aa'), m.used())\n", true)
        .assert_carried();
    longer("import os\nprint(os.path.exists(sys.executable), os.path.isfile('/nowhere'))\n", true)
        .assert_carried();
    // Other files may be read.
    longer("import os\nprint(len(open(os.__file__).read()) > 5)\n", true).assert_carried();
    pair(PYTHON, "print(m.idle.__name__)\n", [SHORT, OTHER]).assert_carried();
}

/// Finding 3: whoever opens a changed source besides the loader is seen from outside.
#[test]
fn a_source_that_is_opened_again_is_not_carried() {
    if !has(PYTHON) {
        return;
    }
    for main in [
        "import codecs\nprint(len(codecs.open(m.__file__).read()))\n",
        "import os\nprint(len(open(os.fsencode(m.__file__)).read()))\n",
        "import os\nos.symlink(m.__file__, '/tmp/l')\nprint(len(open('/tmp/l').read()))\n",
        "import os\nfd = os.open('PLACE', os.O_RDONLY)\nprint(len(open(os.open('m.py', 0, dir_fd=fd)).read()))\n",
        "import os\nlist(map(os.chdir, ['PLACE']))\nprint(len(open('./m.py').read()))\n",
        "print(len(list(map(open, [m.__file__]))[0].read()))\n",
        "print(len(m.__loader__.get_data(m.__file__)))\n",
        "import shutil\nshutil.copy(m.__file__, '/tmp/copy')\nprint(len(open('/tmp/copy').read()))\n",
    ] {
        refused(main, false, "source_read_as_data");
    }
}

/// Finding 3, for the releases whose loader still has `open_resource`.
#[test]
fn a_source_that_its_loader_opens_again_is_not_carried() {
    for program in
        ["/root/.pyenv/versions/3.8.18/bin/python3.8", "/root/.pyenv/versions/3.9.18/bin/python3.9"]
    {
        if !has(program) {
            continue;
        }
        let main = "print(len(m.__loader__.open_resource('m.py').read()))\n";
        pair(program, main, [SHORT, LONG]).assert_refused("source_read_as_data");
        pair(program, "print(m.__name__)\n", [SHORT, LONG]).assert_carried();
    }
}

/// Finding 4: who asks for a size from C is not seen by the profiler.
#[test]
fn sizes_that_are_asked_for_unseen_are_not_carried() {
    if !has(PYTHON) {
        return;
    }
    for main in [
        "import os\nprint([s.st_size for s in map(os.stat, [m.__file__])])\n",
        "import os, functools\nprint(functools.lru_cache(os.stat)(m.__file__).st_size)\n",
        "print(m.__loader__.path_stats(m.__file__)['size'])\n",
        "import os\nfd = os.open('PLACE', os.O_RDONLY)\nprint(sum(e.stat().st_size for e in os.scandir(fd)))\n",
        "import os\nprint(list(map(os.path.getsize, [m.__file__])))\n",
    ] {
        refused(main, false, "sizes_observed");
    }
}

/// Finding 4: clocks, likewise. The number of events is the same here, so that nothing differs.
#[test]
fn clocks_that_are_read_unseen_are_not_carried() {
    if !has(PYTHON) {
        return;
    }
    for main in [
        "import time\nt = next(iter(time.time, None))\nprint(5)\n",
        "import time, collections\nt = collections.defaultdict(time.time)['x']\nprint(5)\n",
        "import datetime, operator\nt = operator.methodcaller('now')(datetime.datetime)\nprint(5)\n",
        "import time\nt = list(map(time.sleep, [0.001]))\nprint(5)\n",
        "import time\nt = next(iter(time.monotonic, None))\nprint(5)\n",
        "import time\nt = next(iter(getattr(time, 'perf_' + 'counter'), None))\nprint(5)\n",
        "import threading\nt = next(iter(threading._time, None))\nprint(5)\n",
        "import os\nt = next(iter(os.times, None))\nprint(5)\n",
        "import resource\nt = list(map(resource.getrusage, [0]))\nprint(5)\n",
    ] {
        println!("{main}");
        longer(main, false).assert_refused_all_the_same("clock_read");
    }
}

/// Finding 9: what is asked for behind the end of the coverage.
#[test]
fn what_happens_behind_the_end_is_not_carried() {
    if !has(PYTHON) {
        return;
    }
    for (main, reason) in [
        ("import atexit\natexit._run_exitfuncs()\nprint(len(open(m.__file__).read()))\n", "finalisers_run"),
        (
            "import os\ndef g():\n    try:\n        yield 1\n    finally:\n        os.write(1, b'%d' % os.stat(m.__file__).st_size)\nx = g()\nnext(x)\n",
            "finalisers_run",
        ),
    ] {
        refused(main, false, reason);
    }
}

/// Finding 5: lines that are asked for without a word that says so.
#[test]
fn lines_that_moved_are_not_carried_where_they_show() {
    if !has(PYTHON) {
        return;
    }
    let module = |idle: &str, used: &str| format!("{idle}\n\ndef used():\n    return {used}\n");
    for used in [
        "__import__('inspect').getlineno(__import__('inspect').currentframe())",
        "repr(sys._getframe()).split(', ')[2]",
        "getattr(sys._getframe(), 'f_' + 'lineno')",
        "__import__('faulthandler').dump_traceback(sys.stdout)",
        "eval('sys._getframe(1).f_' + 'lineno')",
        "getattr(next(map(sys._getframe, [0])), 'f_' + 'lineno')",
        "getattr(getattr(fails(), '__trace' + 'back__'), 'tb_' + 'lineno')",
    ] {
        println!("{used}");
        let fails =
            "\n\ndef fails():\n    try:\n        None.x\n    except AttributeError as e:\n        return e\n";
        let texts = [SHORT, LONG].map(|idle| format!("{}{fails}", module(idle, used)));
        let judged = pair(PYTHON, "print(m.used())\n", texts.each_ref().map(String::as_str));
        judged.assert_refused("introspection");
    }
}

/// Finding 2: documentation in brackets is documentation.
#[test]
fn documentation_in_brackets_is_seen() {
    if !has(PYTHON) {
        return;
    }
    let text = |what: &str| format!("def idle(a):\n    (\"doc {what}\")\n    return a\n");
    let texts = [text("one"), text("two")];
    let judged = pair(PYTHON, "print(m.idle.__doc__)\n", texts.each_ref().map(String::as_str));
    judged.assert_refused("signature_differs");
}

/// Finding 7: bodies of which the compiler warns.
#[test]
fn bodies_that_warn_are_not_carried() {
    if !has(PYTHON) {
        return;
    }
    for line in ["(not 1)(2)", "(not 1)[0]", "assert 2 * (1,)", "assert (1,) + (2,), 3", "assert ((1, 2))"] {
        println!("{line}");
        let text = format!("def idle(a):\n    {line}\n    return a\n");
        pair(PYTHON, "print(m.__name__)\n", [SHORT, &text]).assert_refused_all_the_same("may_not_compile");
    }
}

/// Finding 12: PEP 263 takes the first `coding` that has a name behind it.
#[test]
fn the_declared_encoding_is_the_one_that_python_takes() {
    if !has(PYTHON) {
        return;
    }
    let text = |idle: &str| format!("# first\n# coding utf-8 coding=utf-7\n{idle}X = 'a+AGE-'\n");
    let texts = [text(SHORT), text(LONG)];
    let main = ("main.py", &*format!("{IMPORT}print(m.X)\n"));
    let judged = judge(PYTHON, main, "m.py", texts.each_ref().map(String::as_str));
    judged.assert_refused_all_the_same("source_unreadable");
}
