//! Interpreted programs: what carries at source level, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use assay_delta::source::{
    Function, Language, Place, SameBy, SourceProof, SourceReason, SourceRule, SourceRun, SourceTree,
    TreeEntry, Use, Watched, prove_source,
};
use assay_evidence::Sha256;

/// First line or offset, end, name, and whether it was executed.
type Ran<'a> = (u32, u32, &'a str, bool);

fn tree(files: &[(&str, &str)]) -> SourceTree {
    let file = |text: &str| TreeEntry::File { bytes: text.as_bytes().to_vec(), executable: false };
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

fn run(language: Language, functions: &[(&str, &[Ran<'_>])]) -> SourceRun {
    let place = |start, end| match language {
        Language::Python => Place::Line(start),
        Language::JavaScript => Place::Range(start, end),
    };
    let of = |list: &[Ran<'_>]| -> BTreeSet<Function> {
        let function = |&(start, end, name, executed): &Ran<'_>| Function {
            place: place(start, end),
            name: name.to_owned(),
            executed,
        };
        list.iter().map(function).collect()
    };
    let functions: BTreeMap<_, _> =
        functions.iter().map(|(path, list)| (format!("/p/{path}"), of(list))).collect();
    let opened: BTreeSet<String> = functions.keys().cloned().collect();
    let watched =
        opened.iter().map(|path| (path.clone(), Watched { opens: 1, stats: 4, clocks: Vec::new() }));
    let watched = watched.collect();
    SourceRun {
        language,
        version: match language {
            Language::Python => "3.11.2".to_owned(),
            Language::JavaScript => "v20.20.2".to_owned(),
        },
        root: "/p".to_owned(),
        functions,
        uses: Vec::new(),
        imports: BTreeSet::new(),
        looked_up: opened.clone(),
        opened,
        outside: BTreeMap::new(),
        watched,
        script: None,
        library: Some("/usr/lib/python3.11".to_owned()),
    }
}

fn prove(a: &SourceTree, b: &SourceTree, run: &SourceRun) -> Result<SourceProof, Vec<SourceReason>> {
    prove_source((Sha256::of(b"a"), a), (Sha256::of(b"b"), b), run, SourceRule::Functions)
        .map_err(|refusals| refusals.into_iter().map(|refusal| refusal.reason).collect())
}

const PYTHON: &str = r#"# first
import os


def used(a, b=1):
    """What."""
    def inner(c):
        return a + c

    return a + b  # sum


@os.fspath
def idle(x):
    # why
    y = x * 2
    return y


class C:
    y = used(1)

    def m(self):
        """Kept."""
        return [i for i in range(3)]

    def asks(self):
        return super().m()


def makes(n):
    for i in range(n):
        yield i


async def waits(n):
    await n


END = 1
"#;

fn python_run() -> SourceRun {
    run(Language::Python, &[("m.py", &[(1, 0, "<module>", true), (5, 0, "used", true), (20, 0, "C", true)])])
}

fn python_as(run: &SourceRun, from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    let changed = PYTHON.replacen(from, to, 1);
    assert_ne!(changed, PYTHON, "{from}");
    prove(&tree(&[("m.py", PYTHON)]), &tree(&[("m.py", &changed)]), run)
}

fn python(from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    python_as(&python_run(), from, to)
}

#[test]
fn bodies_that_did_not_run_carry() {
    for (from, to, moved) in [
        ("    y = x * 2\n", "    y = x * 3\n", false),
        ("    # why\n", "    # because\n", false),
        (
            "    y = x * 2\n",
            "    y = x * 2\n    if y > 3 and not x.done:\n        raise ValueError(f\"{y} {x.z!r:>4}\") from None\n",
            true,
        ),
        ("    y = x * 2\n", "", true),
        ("    y = x * 2\n", "    y = {'a': [k for k, v in x if k], **x}['a'](*x, b=2)\n", false),
        (
            "    y = x * 2\n",
            "    try:\n        y, z = x\n    except (KeyError, os.error) as e:\n        y = lambda q: e\n    finally:\n        x += 1\n",
            true,
        ),
        (
            "    y = x * 2\n",
            "    def g(p, q=1):\n        return y is not None\n    with x as y, g(x):\n        pass\n",
            true,
        ),
        ("range(3)]", "range(4) if i is not None]", false),
        ("return super().m()", "return super().asks() or 1", false),
        ("        yield i", "        yield i + 1", false),
        ("    await n", "    n = await n.m(1)", false),
    ] {
        if to.contains("**x}") {
            assert_eq!(python(from, to), Err(vec![SourceReason::MayNotCompile]), "not in the grammar");
            continue;
        }
        let proof = python(from, to).unwrap_or_else(|reasons| panic!("{to:?}: {reasons:?}"));
        assert_eq!((proof.files[0].same_by, proof.files[0].moved), (SameBy::Executed, moved), "{to:?}");
        assert_eq!(proof.files[0].free_bodies.len(), 1, "{to:?}");
    }
}

#[test]
fn every_other_byte_is_the_same() {
    for (from, to) in [
        ("# first\n", "# second\n"),
        ("# first\n", ""),
        ("  # sum", ""),
        ("\n\n\nclass C", "\n\nclass C"),
        ("a + b", "a  + b"),
        ("What.", "Which."),
        ("b=1", "b=2"),
        ("import os", "import sys"),
        ("def idle(x):", "def idle(y):"),
        ("def idle(x):", "def idle(x): "),
        ("@os.fspath\n", ""),
        ("END = 1", "END = 2"),
        ("END = 1\n", "END = 1"),
        // Its names become cells of a function that ran.
        ("        return a + c", "        return b + c"),
    ] {
        assert_eq!(python(from, to), Err(vec![SourceReason::SourceDiffers]), "{from:?} -> {to:?}");
    }
    // What ran of a function is in the coverage by any line of it.
    let mut other = python_run();
    let nested = Function { place: Place::Line(17), name: "<lambda>".into(), executed: true };
    other.functions.get_mut("/p/m.py").unwrap().insert(nested);
    assert_eq!(python_as(&other, "x * 2", "x * 3"), Err(vec![SourceReason::SourceDiffers]));
    let unseen = run(Language::Python, &[("m.py", &[(5, 0, "used", true)])]);
    assert_eq!(python_as(&unseen, "x * 2", "x * 3"), Err(vec![SourceReason::ExecutedCodeUnknown]));
}

#[test]
fn what_is_seen_of_a_body_is_the_same() {
    for (from, to) in [
        ("    # why\n", "    \"\"\"New.\"\"\"\n"),
        ("Kept.", "Other."),
        ("        \"\"\"Kept.\"\"\"\n", ""),
        ("    y = x * 2\n", "    yield x\n"),
        ("        yield i", "        return i"),
        ("return super().m()", "return self.m()"),
        ("return [i for i in range(3)]", "return super().m()"),
        ("    # why\n    y = x * 2\n    return y\n", "      # why\n      y = x * 2\n      return y\n"),
    ] {
        assert_eq!(python(from, to), Err(vec![SourceReason::SignatureDiffers]), "{from:?} -> {to:?}");
    }
}

/// Errors and warnings of the compiler, and texts that end a body, a string or a line elsewhere.
#[test]
fn what_is_not_recognised_does_not_carry() {
    for line in [
        "return (",
        "break",
        "return x is 2",
        "return 2 is x",
        "return x is -1",
        "return '\\d'",
        "return b'\\u'",
        "assert (x, 'y')",
        "return (1)()",
        "return [1](2)",
        "return 'a'[x]",
        "return ('a')[1, 2]",
        "yield x; y = 1",
        "\treturn x",
        "return x \\",
        "\u{27}\u{27}\u{27}",
        "x = '",
        "global os",
        "nonlocal x",
        "from os import *",
        "x: int = 1",
        "from __future__ import division",
        "return __class__",
        "print x",
        "return 1if x else 2",
        "return 0777",
        "return (y := 1)",
        "class D: pass",
        "return await x",
        "async for a in x: pass",
        "f(a=1, a=2)",
        "f(a=1, 2)",
        "lambda a, a: 1",
        "def g(a, a): pass",
        "x() = 1",
        "x + 1 = 2",
        "del x()",
        "for 1 in x: pass",
        "try: pass",
        "return *x",
        "match x:",
        "@x",
        "if x:",
        "    return 1",
        "return {1: 2, 3}",
        "return f'{x!z}'",
        "return é",
        "return f'{x:{y}}'",
        "return 'a' b'a'",
        "return __debug__",
        "except: pass",
        "return [await x for x in y]",
        "return x\u{c}",
        "return 1_0",
        "return f(x for x in y, 1)",
        "with x as y(): pass",
        "x: yield",
    ] {
        let body = format!("    {line}\n");
        let found = python("    y = x * 2\n", &body).expect_err(line);
        use SourceReason::{MayNotCompile, SignatureDiffers, SourceDiffers, SourceUnreadable};
        let fits = matches!(found[..], [MayNotCompile | SignatureDiffers | SourceDiffers | SourceUnreadable]);
        assert!(fits, "{line:?}: {found:?}");
    }
    let deep = format!("    y = {}x{}\n", "(".repeat(60), ")".repeat(60));
    assert_eq!(python("    y = x * 2\n", &deep), Err(vec![SourceReason::MayNotCompile]));
    let long = format!("    y = x{}\n", " + x".repeat(400));
    assert_eq!(python("    y = x * 2\n", &long), Err(vec![SourceReason::MayNotCompile]));
}

/// A declaration of the encoding counts in the first two lines, wherever these are.
#[test]
fn the_first_two_lines_are_never_free() {
    let a = "def f():\n    # plain\n    pass\n";
    let b = "def f():\n    # coding: latin-1\n    pass\n";
    let c = "def f():\n    # other\n    pass\n";
    let run = run(Language::Python, &[("m.py", &[(1, 0, "<module>", true)])]);
    assert!(prove(&tree(&[("m.py", a)]), &tree(&[("m.py", b)]), &run).is_err());
    assert!(prove(&tree(&[("m.py", a)]), &tree(&[("m.py", c)]), &run).is_err());
}

#[test]
fn a_run_that_looks_at_its_functions_carries_only_over_the_same_bytes() {
    use SourceReason as R;
    let same = tree(&[("m.py", PYTHON)]);
    let mut run = python_run();
    for (what, path, function, reason) in [
        ("attribute __code__", "/p/m.py", "used", R::Introspection),
        ("attribute f_code", "/p/m.py", "used", R::Introspection),
        ("attribute __code__", "/usr/lib/python3.11/inspect.py", "signature", R::Introspection),
        ("audit function.__new__", "/p/m.py", "used", R::Introspection),
        ("audit sys.settrace", "/p/m.py", "used", R::Introspection),
        ("audit sys.addaudithook", "/p/m.py", "used", R::Introspection),
        ("audit ctypes.dlopen", "/p/m.py", "used", R::Introspection),
        (
            "audit marshal.dumps",
            "<frozen importlib._bootstrap_external>",
            "_code_to_bytecode",
            R::SourceReadAsData,
        ),
        ("open /p/m.py", "/p/m.py", "used", R::SourceReadAsData),
        ("call importlib.get_data", "/p/m.py", "used", R::SourceReadAsData),
        ("call time.time", "/p/m.py", "used", R::ClockRead),
        ("call time.strftime", "/p/m.py", "used", R::ClockRead),
        ("call sys.intern", "/p/m.py", "used", R::ClockRead),
        ("call posix.stat", "<frozen genericpath>", "getsize", R::SizesObserved),
        ("call gc.collect", "/p/m.py", "used", R::FinalisersRun),
        ("option PYTHONTRACEMALLOC", "", "", R::RuntimeUnknown),
    ] {
        run.uses = vec![Use { what: what.into(), path: path.into(), function: function.into(), count: 0 }];
        assert_eq!(python_as(&run, "x * 2", "x * 3"), Err(vec![reason]), "{what}");
        assert!(prove(&same, &same, &run).is_ok(), "{what}");
    }
    run.uses.clear();
    run.version = "3.14.0".to_owned();
    assert_eq!(python_as(&run, "x * 2", "x * 3"), Err(vec![R::RuntimeUnknown]));
    let mut native = python_run();
    native
        .opened
        .insert("/usr/lib/python3/dist-packages/markupsafe/_speedups.cpython-311-x86_64-linux-gnu.so".into());
    assert_eq!(python_as(&native, "x * 2", "x * 3"), Err(vec![R::NativeCode]));
    let mut compiled = python_run();
    compiled.opened.insert("/p/__pycache__/m.cpython-311.pyc".into());
    assert!(python_as(&compiled, "x * 2", "x * 3").unwrap_err().contains(&R::DataDiffers));
    for (text, reason) in [
        ("import m\nm.used.__code__.co_consts\n", R::Introspection),
        ("import m\ngetattr(m, '__code__')\n", R::Introspection),
        ("import inspect, m\ninspect.getsource(m)\n", R::Introspection),
        ("import m\nclass L(SourceFileLoader):\n    pass\n", R::Introspection),
        ("import builtins, m\nbuiltins.compile = print\n", R::Introspection),
        ("import m\nclass K:\n    def __del__(self):\n        m.idle(1)\n", R::FinalisersRun),
    ] {
        let mut asking = python_run();
        asking.outside.insert("/main.py".into(), text.as_bytes().to_vec());
        asking.functions.insert(
            "/main.py".into(),
            [Function { place: Place::Line(1), name: "<module>".into(), executed: true }].into(),
        );
        let found = python_as(&asking, "x * 2", "x * 3").expect_err(text);
        assert!(found.iter().all(|one| *one == reason), "{text}: {found:?}");
    }
}

/// Lines may move only where nothing shows a line; as long as they stay, a stack may be shown.
#[test]
fn lines_move_only_where_no_line_is_shown() {
    let mut run = python_run();
    let longer = ("    y = x * 2\n", "    y = x * 2\n    y = 1\n");
    for (what, path, function) in [
        ("audit sys.excepthook", "", ""),
        ("audit sys.unraisablehook", "", ""),
        ("stderr", "", ""),
        ("call _warnings.warn", "/p/m.py", "used"),
    ] {
        run.uses = vec![Use { what: what.into(), path: path.into(), function: function.into(), count: 0 }];
        assert!(python_as(&run, "x * 2", "x * 3").is_ok(), "{what}");
        assert_eq!(python_as(&run, longer.0, longer.1), Err(vec![SourceReason::Introspection]), "{what}");
    }
    run.uses.clear();
    for (path, name) in [("traceback.py", "format_exc"), ("logging/__init__.py", "findCaller")] {
        let mut shows = run.clone();
        let function = Function { place: Place::Line(9), name: name.into(), executed: true };
        shows.functions.insert(format!("/usr/lib/python3.11/{path}"), [function].into());
        assert_eq!(python_as(&shows, longer.0, longer.1), Err(vec![SourceReason::Introspection]), "{path}");
    }
    let mut asking = python_run();
    asking.outside.insert("/main.py".into(), b"import sys, m\nprint(sys._getframe().f_lineno)\n".to_vec());
    asking.functions.insert("/main.py".into(), BTreeSet::new());
    assert!(python_as(&asking, "x * 2", "x * 3").is_ok());
    let reasons = python_as(&asking, longer.0, longer.1).unwrap_err();
    assert!(reasons.iter().all(|reason| *reason == SourceReason::Introspection), "{reasons:?}");
}

#[test]
fn names_that_the_run_could_see() {
    let a = tree(&[("m.py", PYTHON), ("data.txt", "1")]);
    let mut run = python_run();
    run.imports.extend(["m".to_owned(), "json".to_owned()]);
    run.looked_up.insert("/p/settings.ini".to_owned());
    let with = |path: &str| {
        let mut b = a.clone();
        b.extend(tree(&[(path, "")]));
        b
    };
    assert_eq!(prove(&a, &with("docs/new.txt"), &run).unwrap().unseen_paths, 2);
    for path in ["json.py", "json/__init__.py", "m.cpython-311-x86_64-linux-gnu.so", "settings.ini"] {
        let found = prove(&a, &with(path), &run).expect_err(path);
        assert!(found.iter().all(|one| *one == SourceReason::FileSetDiffers), "{path}: {found:?}");
    }
    // A file that is there in both, and not opened, is free.
    let mut b = a.clone();
    b.extend(tree(&[("data.txt", "2")]));
    assert!(prove(&a, &b, &run).is_ok());
    run.opened.insert("/p/data.txt".to_owned());
    assert_eq!(prove(&a, &b, &run), Err(vec![SourceReason::DataDiffers]));
    b.remove("data.txt");
    assert!(prove(&a, &b, &run).unwrap_err().contains(&SourceReason::OpenedFileMissing));
}

const SCRIPT: &str = "'use strict';\n// first\nfunction used(a) {\n  return a + 1;\n}\nfunction idle(b) {\n  // why\n  return b * 2;\n}\nconst rest = (c) => {\n  return /x[/]y/g.test(c);\n};\nmodule.exports = { used, idle };\n";

fn script_run() -> SourceRun {
    let place = |from: &str, to: &str| {
        let start = SCRIPT.find(from).unwrap();
        (start as u32, (start + SCRIPT[start..].find(to).unwrap() + to.len()) as u32)
    };
    let (used, idle, rest) =
        (place("function used", "\n}"), place("function idle", "\n}"), place("(c) =>", "\n}"));
    let functions = [
        (0, SCRIPT.len() as u32, "", true),
        (used.0, used.1, "used", true),
        (idle.0, idle.1, "idle", false),
        (rest.0, rest.1, "rest", false),
    ];
    run(Language::JavaScript, &[("m.js", &functions)])
}

fn script_as(run: &SourceRun, from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    let changed = SCRIPT.replacen(from, to, 1);
    assert_ne!(changed, SCRIPT, "{from}");
    prove(&tree(&[("m.js", SCRIPT)]), &tree(&[("m.js", &changed)]), run)
}

fn script(from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    script_as(&script_run(), from, to)
}

#[test]
fn scripts_carry_by_the_same_rule() {
    for (from, to, moved) in [
        ("return b * 2;", "return b * 3;", false),
        ("  // why\n", "", true),
        (
            "  return b * 2;\n",
            "  if (b) { return 3 } else b.x[1]++\n  return [...b, { b, k: `${b}!` }]\n",
            true,
        ),
        (
            "return b * 2;",
            "for (const k of b) { switch (k) { case 1: { break; } default: continue; } }",
            false,
        ),
        (
            "return b * 2;",
            "try { b = (x, { y, z: [w = 1] }) => x + y; } catch (e) { throw new Error('no') }",
            false,
        ),
        (
            "return b * 2;",
            "let q = 1; var p = b ? -q : typeof b; while (p--) { let q = p; } return b?.q ?? p;",
            false,
        ),
        ("test(c)", "test(c + 1)", false),
    ] {
        let proof = script(from, to).unwrap_or_else(|reasons| panic!("{to:?}: {reasons:?}"));
        assert_eq!((proof.files[0].same_by, proof.files[0].moved), (SameBy::Executed, moved), "{to:?}");
    }
    for (from, to) in [
        ("a + 1", "a - 1"),
        ("// first", "// second"),
        ("'use strict'", "\"use strict\""),
        ("idle(b) {", "idle(c) {"),
        ("{ used, idle }", "{ idle, used }"),
        ("return b * 2;\n}", "return b * 2; }"),
    ] {
        assert_eq!(script(from, to), Err(vec![SourceReason::SourceDiffers]), "{from:?} -> {to:?}");
    }
}

/// Early errors, directives, comments that the engine reads, and what ends a body elsewhere.
#[test]
fn scripts_that_are_not_recognised_do_not_carry() {
    for line in [
        "let b = 1;",
        "let x; var x;",
        "let x, x;",
        "{ let x; { var x; } }",
        "const x;",
        "break;",
        "continue;",
        "return /(/;",
        "return (;",
        "return 08;",
        "return 1_0;",
        "return 1n;",
        "await b;",
        "yield b;",
        "label: for (;;) {}",
        "eval('1');",
        "with (b) {}",
        "//# sourceURL=x.js",
        "/*# sourceMappingURL=x */",
        "<!-- b",
        "--> b",
        "return super.x;",
        "return new.target;",
        "import('x');",
        "return import.meta;",
        "this.#x;",
        "arguments = 1;",
        "b() = 1;",
        "b?.c = 1;",
        "1 = b;",
        "({ b } = b);",
        "[b] = b;",
        "return b ?? b || b;",
        "return -b ** 2;",
        "delete b;",
        "b\n++\nb",
        "`",
        "return '\\x';",
        "return `\\u`;",
        "throw\nb;",
        "if (b) let x;",
        "if (b) function f() {}",
        "class K {}",
        "}",
        "{",
        "}, function () {",
        "function f(x, x) {}",
        "(x, x) => 1;",
        "function f() { 'use strict' }",
        "b\n`x`",
        "b\n(b)/",
        "return { __proto__: b, '__proto__': b };",
        "for (let x of b, b) {}",
        "for (let x = 1 of b) {}",
        "try {}",
        "switch (b) { default: default: }",
        "switch (b) { case 1: let x; case 2: let x; }",
        "async () => {};",
        "let let;",
        "debugger;",
        "enum x {}",
        "new b?.c();",
        "b b",
        "return b\u{2028}",
        "\\u0061 = 1;",
        "return é;",
        "x => {}()",
    ] {
        let found = script("return b * 2;", line).expect_err(line);
        assert!(
            found.iter().all(|one| matches!(one, SourceReason::MayNotCompile | SourceReason::SourceDiffers)),
            "{line:?}: {found:?}"
        );
    }
    assert_eq!(script("  // why\n", "  'use strict';\n"), Err(vec![SourceReason::SignatureDiffers]));
    // A name of the code around it, captured or no longer.
    assert_eq!(script("return b * 2;", "return rest(b);"), Err(vec![SourceReason::SignatureDiffers]));
    assert_eq!(script("return b * 2;", "const rest = 1;"), Err(vec![SourceReason::SignatureDiffers]));
    assert!(script("return b * 2;", "return fetch(b);").is_ok(), "a global is none");
    assert_eq!(
        script("test(c)", "test(arguments)"),
        Err(vec![SourceReason::MayNotCompile]),
        "an arrow has none"
    );
}

#[test]
fn a_script_that_looks_at_its_functions_carries_only_over_the_same_bytes() {
    use SourceReason as R;
    let mut run = script_run();
    for (what, reason) in [
        ("function_source", R::Introspection),
        ("run node:assert getErrMessage", R::Introspection),
        ("run node:v8 getHeapStatistics", R::Introspection),
        ("run node:internal/modules/esm/translators cjsPreparseModuleExports", R::SourceReadAsData),
        ("run node:internal/timers Timeout", R::ClockRead),
        ("run node:vm Script", R::OtherRealm),
        ("run node:fs statSync", R::SizesObserved),
        ("run node:fs openSync", R::SourceReadAsData),
        ("option NODE_V8_COVERAGE", R::RuntimeUnknown),
    ] {
        run.uses = vec![Use { what: what.into(), path: String::new(), function: String::new(), count: 1 }];
        assert_eq!(script_as(&run, "b * 2", "b * 3"), Err(vec![reason]), "{what}");
    }
    // As long as lines stay, a stack may be shown.
    for what in ["uncaught", "run node:internal/errors prepareStackTraceCallback"] {
        run.uses = vec![Use { what: what.into(), path: String::new(), function: String::new(), count: 1 }];
        assert!(script_as(&run, "b * 2", "b * 3").is_ok(), "{what}");
        assert_eq!(script_as(&run, "  // why\n", ""), Err(vec![R::Introspection]), "{what}");
    }
    for (text, reason) in [
        ("Error.prepareStackTrace = (e, s) => s[0].getPosition();", R::Introspection),
        ("module.constructor.wrap = (text) => text;", R::Introspection),
        ("require('module').register(x);", R::Introspection),
        ("require.extensions['.js'] = (m) => m._compile;", R::Introspection),
        ("new FinalizationRegistry(() => 1);", R::FinalisersRun),
        ("console.log(Date.now());", R::ClockRead),
        ("setTimeout(() => 1, 1);", R::ClockRead),
    ] {
        let mut asking = script_run();
        asking.outside.insert("/main.js".into(), text.as_bytes().to_vec());
        asking.functions.insert("/main.js".into(), BTreeSet::new());
        let found = script_as(&asking, "b * 2", "b * 3").expect_err(text);
        assert!(found.iter().all(|one| *one == reason), "{text}: {found:?}");
    }
    let mut native = script_run();
    native.opened.insert("/q/build/Release/native.node".into());
    assert_eq!(script_as(&native, "b * 2", "b * 3"), Err(vec![R::NativeCode]));
}

#[test]
fn what_v8_does_not_call_idle_counts_as_executed() {
    let bare = run(Language::JavaScript, &[("m.js", &[(0, SCRIPT.len() as u32, "", true)])]);
    assert_eq!(script_as(&bare, "b * 2", "b * 3"), Err(vec![SourceReason::SourceDiffers]));
    // Something within it ran, whatever its own count says.
    let mut inner = script_run();
    let at = SCRIPT.find("b * 2").unwrap() as u32;
    let function = Function { place: Place::Range(at, at + 5), name: String::new(), executed: true };
    inner.functions.get_mut("/p/m.js").unwrap().insert(function);
    assert_eq!(script_as(&inner, "b * 2", "b * 3"), Err(vec![SourceReason::SourceDiffers]));
}

/// Offsets are counted in UTF-16 there.
#[test]
fn scripts_that_are_not_ascii() {
    let a = "// 𝄞é\nfunction idle() {\n  return 1;\n}\n";
    let b = a.replace("return 1", "return 2");
    let start = "// 𝄞é\n".encode_utf16().count() as u32;
    let end = a.trim_end().encode_utf16().count() as u32;
    let all = a.encode_utf16().count() as u32;
    let covered =
        |start| run(Language::JavaScript, &[("m.js", &[(0, all, "", true), (start, end, "idle", false)])]);
    let judged = |start| prove(&tree(&[("m.js", a)]), &tree(&[("m.js", &b)]), &covered(start));
    assert!(judged(start).is_ok());
    assert!(judged(start - 1).is_err());
}

/// Hostile sources take bounded time and stack.
#[test]
fn hostile_sources_are_refused_in_bounded_time() {
    let started = std::time::Instant::now();
    let head = "def f():\n    pass\n\n\nx = 1\n";
    let python_run = run(Language::Python, &[("m.py", &[(1, 0, "<module>", true)])]);
    let judge = |a: &str, b: &str| prove(&tree(&[("m.py", a)]), &tree(&[("m.py", b)]), &python_run);
    for nested in ["(", "[", "not ", "-", "lambda: ", "x if y else ", "{1:", "x."] {
        let body =
            format!("def f():\n    pass\n    {}x\n\n\nx = 1\n", nested.repeat((1 << 20) / nested.len()));
        assert!(judge(head, &body).is_err(), "{nested}");
    }
    for nested in ["(", "not "] {
        let body =
            format!("def f():\n    pass\n    {}x\n\n\nx = 1\n", nested.repeat((1 << 20) / nested.len()));
        assert!(judge(&body, head).is_err(), "{nested}");
    }
    let blocks: String = (1..1400).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    assert!(judge(head, &format!("def f():\n{blocks}{}x\n\n\nx = 1\n", " ".repeat(1400))).is_err());
    // A hundred thousand functions, all changed, and all unchanged but one.
    let many = |value: &str| -> String {
        (0..100_000).map(|n| format!("def f{n}():\n    return {value}\n")).collect()
    };
    let lines = format!("import os\n\n{}", many("1"));
    assert!(judge(&lines, &lines.replace("return 1", "return 2")).is_err());
    let one = lines.replacen("return 1\ndef f50001", "return 2\ndef f50001", 1);
    assert_eq!(judge(&lines, &one).unwrap().files[0].free_bodies, ["f50000"]);

    let script = |open: &str, times: usize| format!("function f() {{\n{}x\n}}\n", open.repeat(times));
    let plain = "function f() {\n}\n";
    let judge = |a: &str, b: &str| {
        let functions = [(0, a.len() as u32, "", true), (0, a.len() as u32 - 1, "f", false)];
        let run = run(Language::JavaScript, &[("m.js", &functions)]);
        prove(&tree(&[("m.js", a)]), &tree(&[("m.js", b)]), &run)
    };
    for open in
        ["(", "[", "{", "!", "a => ", "a ? ", "if (x) ", "new ", "`${", "a = ", "{a: ", "function(){", "-"]
    {
        let hostile = script(open, (1 << 20) / open.len());
        assert!(judge(plain, &hostile).is_err(), "{open}");
    }
    for open in ["(", "{", "a ? "] {
        assert!(judge(&script(open, (1 << 20) / open.len()), plain).is_err(), "{open}");
    }
    assert!(started.elapsed().as_secs() < 300, "{:?}", started.elapsed());
}

#[test]
fn a_package_json_that_is_only_resolved() {
    let json = |text: &str| tree(&[("package.json", text), ("m.js", SCRIPT)]);
    let mut run = run(Language::JavaScript, &[("m.js", &[(0, SCRIPT.len() as u32, "", true)])]);
    run.opened.insert("/p/package.json".to_owned());
    let a = json(r#"{"name":"p","version":"1","exports":{"import":"./a","require":"./b"}}"#);
    let newer = json(r#"{"name":"p","version":"2","exports":{"import":"./a","require":"./b"}}"#);
    let other = json(r#"{"name":"p","version":"1","exports":{"require":"./b","import":"./a"}}"#);
    assert_eq!(prove(&a, &newer, &run).unwrap().files[1].same_by, SameBy::ResolverFields);
    assert_eq!(prove(&a, &other, &run), Err(vec![SourceReason::DataDiffers]));
    let what = "run node:internal/modules/cjs/loader Module._extensions..json".to_owned();
    run.uses.push(Use { what, path: String::new(), function: String::new(), count: 1 });
    assert_eq!(prove(&a, &newer, &run), Err(vec![SourceReason::DataDiffers]));
}

/// What the pipeline acts on: whatever the run opened, looked up or listed is the same, byte by byte.
#[test]
fn files_that_were_looked_at_are_the_same() {
    let a = tree(&[("m.py", PYTHON), ("data.txt", "1"), ("tests/t.py", "a = 1"), ("lib/x.py", "")]);
    let mut run = python_run();
    run.looked_up.insert("/p/data.txt".to_owned());
    run.looked_up.insert("/p/lib".to_owned());
    let with = |path: &str, text: &str| {
        let mut b = a.clone();
        b.extend(tree(&[(path, text)]));
        b
    };
    let proven = |b: &SourceTree| {
        prove_source((Sha256::of(b"a"), &a), (Sha256::of(b"b"), b), &run, SourceRule::Files).is_ok()
    };
    assert!(proven(&a));
    assert!(proven(&with("tests/t.py", "a = 2")), "nobody looked there");
    assert!(proven(&with("tests/new.py", "a = 2")), "nobody listed that");
    assert!(!proven(&with("m.py", &format!("# a comment\n{PYTHON}"))), "opened");
    assert!(!proven(&with("data.txt", "22")), "its size may have been asked for");
    assert!(!proven(&with("lib/new.py", "")), "its directory was looked at");
    let mut gone = a.clone();
    gone.remove("data.txt");
    assert!(!proven(&gone), "looked up and gone");
    // What lies on the way to a path that was looked up.
    run.looked_up.insert("/p/locale/en/words.txt".to_owned());
    run.looked_up.insert("/p/plugins/../settings".to_owned());
    let proven = |b: &SourceTree| {
        prove_source((Sha256::of(b"a"), &a), (Sha256::of(b"b"), b), &run, SourceRule::Files).is_ok()
    };
    assert!(proven(&with("tests/new.py", "a = 2")), "nobody listed that");
    assert!(!proven(&with("locale/en", "a file")), "no directory now");
    assert!(!proven(&with("plugins/one.py", "")), "there is such a directory now");
    assert!(!proven(&with("settings", "")), "it is found now");
    let mut linked = with("tests/t.py", "a = 2");
    linked.insert("tests/link".to_owned(), TreeEntry::Link("t.py".to_owned()));
    assert!(!proven(&linked), "links lead anywhere");
}
