//! Interpreted programs: what carries at source level, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use assay_delta::source::{
    Function, Language, Place, SameBy, SourceProof, SourceReason, SourceRule, SourceRun, SourceTree,
    TreeEntry, Use, prove_source,
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
    SourceRun {
        language,
        version: "1".to_owned(),
        root: "/p".to_owned(),
        functions,
        uses: Vec::new(),
        imports: BTreeSet::new(),
        looked_up: opened.clone(),
        opened,
        outside: BTreeMap::new(),
    }
}

fn prove(a: &SourceTree, b: &SourceTree, run: &SourceRun) -> Result<SourceProof, Vec<SourceReason>> {
    prove_source((Sha256::of(b"a"), a), (Sha256::of(b"b"), b), run, SourceRule::Functions)
        .map_err(|refusals| refusals.into_iter().map(|refusal| refusal.reason).collect())
}

const PYTHON: &str = "# first\nimport os\n\n\ndef used(a, b=1):\n    \"\"\"What.\"\"\"\n    return a + b  # sum\n\n\ndef idle(x):\n    return x * 2\n\n\nclass C:\n    y = used(1)\n\n    def m(self):\n        return [i for i in range(3)]\n";

fn python_run() -> SourceRun {
    run(Language::Python, &[("m.py", &[(1, 0, "<module>", true), (5, 0, "used", true), (14, 0, "C", true)])])
}

fn python(from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    let changed = PYTHON.replacen(from, to, 1);
    assert_ne!(changed, PYTHON, "{from}");
    prove(&tree(&[("m.py", PYTHON)]), &tree(&[("m.py", &changed)]), &python_run())
}

#[test]
fn comments_lines_quotes_and_idle_bodies_carry() {
    for (from, to) in [
        ("# first\n", ""),
        ("  # sum", ""),
        ("\n\n\ndef idle", "\n\n\n\n# more\n\ndef idle"),
        ("    return x * 2", "    y = x * 3\n    return y"),
        ("return [i for i in range(3)]", "return [j for j in range(4)]"),
        ("    return a + b", "        return a + b"),
        ("def used(a, b=1):", "def used(a,\n         b=1):"),
        ("        return [i", "        if self:\n            return {}\n        return [i"),
    ] {
        let (from, to) = match from {
            // The whole body moves: a wider indentation is the same depth.
            "    return a + b" => {
                ("    \"\"\"What.\"\"\"\n    return a + b", "      \"\"\"What.\"\"\"\n      return a + b")
            }
            _ => (from, to),
        };
        let proof = python(from, to).unwrap_or_else(|reasons| panic!("{from:?}: {reasons:?}"));
        assert_eq!(proof.files[0].same_by, SameBy::Tokens);
    }
}

#[test]
fn what_ran_may_not_differ() {
    use SourceReason::{MayNotCompile, ModuleCodeDiffers, SignatureDiffers, SourceDiffers, SourceUnreadable};
    for (from, to, reason) in [
        ("a + b", "a - b", SourceDiffers),
        ("What.", "Which.", SourceDiffers),
        ("b=1", "b=2", ModuleCodeDiffers),
        ("import os", "import sys", ModuleCodeDiffers),
        ("def idle(x)", "def idle(y)", ModuleCodeDiffers),
        ("    y = used(1)\n\n", "", ModuleCodeDiffers),
        ("def idle", "@used\ndef idle", ModuleCodeDiffers),
        ("    return x * 2", "    '''New.'''\n    return x * 2", SignatureDiffers),
        ("return x * 2", "yield x", SignatureDiffers),
        ("return [i for i in range(3)]", "return super().m()", SignatureDiffers),
        ("return x * 2", "break", MayNotCompile),
        ("return x * 2", "return x is 2", MayNotCompile),
        ("return x * 2", "return '\\d'", MayNotCompile),
        ("return x * 2", "return (", SourceUnreadable),
        ("    return x * 2", "    return x\n      return 3", SourceUnreadable),
        ("    return a + b", "    if a:\n        return a + b", SourceDiffers),
        ("a + b  # sum", "(a + b)", SourceDiffers),
    ] {
        let reasons = python(from, to).expect_err(to);
        assert!(reasons.contains(&reason), "{from:?} -> {to:?}: {reasons:?}");
    }
}

#[test]
fn a_statement_that_leaves_its_block_is_seen() {
    let a = "x = 1\nif x:\n    a = 1\n    b = 2\n";
    let b = "x = 1\nif x:\n    a = 1\nb = 2\n";
    let run = run(Language::Python, &[("m.py", &[(1, 0, "<module>", true)])]);
    assert_eq!(
        prove(&tree(&[("m.py", a)]), &tree(&[("m.py", b)]), &run),
        Err(vec![SourceReason::ModuleCodeDiffers])
    );
    // A line that ends in brackets, or after a backslash, ends nothing.
    let one = "y = (1 +\n 2)\nz = y + \\\n  1\n";
    let other = "y = (1 + 2)\nz = y + 1\n";
    assert!(prove(&tree(&[("m.py", one)]), &tree(&[("m.py", other)]), &run).is_ok());
}

#[test]
fn a_run_that_looks_at_its_sources_carries_only_over_the_same_bytes() {
    let (a, b) = (tree(&[("m.py", PYTHON)]), tree(&[("m.py", &format!("{PYTHON}# end\n"))]));
    let mut plain = python_run();
    assert!(prove(&a, &b, &plain).is_ok());
    for (what, function, reason) in [
        ("audit sys.excepthook", "", SourceReason::Introspection),
        ("attribute __code__", "used", SourceReason::Introspection),
        ("open /p/m.py", "used", SourceReason::SourceReadAsData),
        ("call time.time", "used", SourceReason::ClockRead),
        ("call posix.stat", "getsize", SourceReason::SizesObserved),
        ("call gc.collect", "used", SourceReason::FinalisersRun),
    ] {
        let used = Use { what: what.into(), path: "/p/m.py".into(), function: function.into(), count: 0 };
        plain.uses = vec![used];
        assert_eq!(prove(&a, &b, &plain), Err(vec![reason]), "{what}");
        assert!(prove(&a, &a, &plain).is_ok(), "{what}");
    }
    plain.uses.clear();
    plain.outside.insert("/main.py".into(), b"import m\nprint(m.used.__code__.co_firstlineno)\n".to_vec());
    plain.functions.insert(
        "/main.py".into(),
        [Function { place: Place::Line(1), name: "<module>".into(), executed: true }].into(),
    );
    assert_eq!(prove(&a, &b, &plain), Err(vec![SourceReason::Introspection]));
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
        assert_eq!(prove(&a, &with(path), &run), Err(vec![SourceReason::FileSetDiffers]), "{path}");
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

const SCRIPT: &str = "'use strict';\n// first\nfunction used(a) { return a + 1; }\nfunction idle(b) { return b * 2; }\nmodule.exports = { used, idle };\n";

fn script(from: &str, to: &str) -> Result<SourceProof, Vec<SourceReason>> {
    let changed = SCRIPT.replacen(from, to, 1);
    assert_ne!(changed, SCRIPT, "{from}");
    let place = |word: &str| {
        let start = SCRIPT.find(&format!("function {word}")).unwrap();
        (start as u32, (start + SCRIPT[start..].find('}').unwrap() + 1) as u32)
    };
    let ((used, used_end), (idle, idle_end)) = (place("used"), place("idle"));
    let all = SCRIPT.len() as u32;
    let functions = [(0, all, "", true), (used, used_end, "used", true), (idle, idle_end, "idle", false)];
    prove(
        &tree(&[("m.js", SCRIPT)]),
        &tree(&[("m.js", &changed)]),
        &run(Language::JavaScript, &[("m.js", &functions)]),
    )
}

#[test]
fn scripts_carry_by_the_same_rule() {
    use SourceReason::{MayNotCompile, ModuleCodeDiffers, SourceDiffers, SourceUnreadable};
    for (from, to) in [
        ("// first\n", ""),
        ("'use strict'", "\"use strict\""),
        ("return b * 2;", "if (b) { return 3; } return b;"),
        ("{ used, idle }", "{\n  used,\n  idle }"),
        ("function idle", "\n/* more\n */\nfunction idle"),
    ] {
        script(from, to).unwrap_or_else(|reasons| panic!("{from:?}: {reasons:?}"));
    }
    for (from, to, reason) in [
        ("a + 1", "a - 1", SourceDiffers),
        ("return a + 1", "return\na + 1", SourceDiffers),
        ("'use strict'", "('use strict')", ModuleCodeDiffers),
        ("idle(b)", "idle(c)", ModuleCodeDiffers),
        ("{ used, idle }", "{ idle, used }", ModuleCodeDiffers),
        ("return b * 2;", "let b = 1; return b;", MayNotCompile),
        ("return b * 2;", "break;", MayNotCompile),
        ("return b * 2;", "return /(/;", MayNotCompile),
        ("return b * 2;", "return (;", SourceUnreadable),
    ] {
        let reasons = script(from, to).expect_err(to);
        assert!(reasons.contains(&reason), "{from:?} -> {to:?}: {reasons:?}");
    }
}

#[test]
fn what_v8_does_not_call_idle_counts_as_executed() {
    let b = SCRIPT.replace("b * 2", "b * 3");
    let trees = (tree(&[("m.js", SCRIPT)]), tree(&[("m.js", &b)]));
    let run = run(Language::JavaScript, &[("m.js", &[(0, SCRIPT.len() as u32, "", true)])]);
    assert_eq!(prove(&trees.0, &trees.1, &run), Err(vec![SourceReason::SourceDiffers]));
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
    let mut linked = with("tests/t.py", "a = 2");
    linked.insert("tests/link".to_owned(), TreeEntry::Link("t.py".to_owned()));
    assert!(!proven(&linked), "links lead anywhere");
}
