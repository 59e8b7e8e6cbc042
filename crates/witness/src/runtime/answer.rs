//! From an observer's block to coverage.

use std::collections::{BTreeMap, BTreeSet};

use assay_evidence::Sha256;
use serde::Deserialize;

use super::{CoveredFile, CoveredFunction, Place, Runtime, RuntimeCoverage, RuntimeUse, Uncovered, watched};
use crate::capsule::Capsule;
use crate::replay::Beyond;
use crate::report::RunReport;

/// `[file, qualified name, first line, builtins called]`.
type Entry = (String, String, u32, Vec<String>);
/// `[name, start, end, executed]`.
type Function = (String, u32, u32, bool);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PythonAnswer {
    #[serde(rename = "runtime")]
    _runtime: String,
    version: String,
    complete: bool,
    entries: Vec<Entry>,
    imports: BTreeSet<String>,
    uses: Vec<(String, String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeAnswer {
    #[serde(rename = "runtime")]
    _runtime: String,
    version: String,
    complete: bool,
    uncaught: bool,
    scripts: Vec<(String, Vec<Function>)>,
    internals: Vec<(String, String, u64)>,
    sources: u64,
}

/// A function that ran, or asked for something, while the interpreter was torn down: `[file, qualified name,
/// first line]`; 0 where the line is not known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Late {
    late: (String, String, u32),
}

/// The coverage that the one block of a run tells.
pub(super) fn read(
    runtime: Runtime,
    blocks: &[Vec<u8>],
    capsule: &Capsule,
    (report, beyond): (&RunReport, &Beyond),
    plain: &RunReport,
) -> Result<RuntimeCoverage, Uncovered> {
    let (block, late) = match (runtime, blocks) {
        (_, []) => return Err(Uncovered::new("no_answer", "no block")),
        (_, [block]) => (block, Vec::new()),
        (Runtime::Python, [block, late @ ..]) => (block, late_functions(late)?),
        _ => return Err(Uncovered::new("several_answers", format!("{} blocks", blocks.len()))),
    };
    let opened: BTreeMap<&str, Option<Sha256>> =
        plain.files_opened.iter().map(|file| (file.path.as_str(), file.digest)).collect();
    let mut coverage = RuntimeCoverage {
        runtime,
        version: String::new(),
        files: Vec::new(),
        uses: Vec::new(),
        imports: Vec::new(),
        looked_up: lookups(capsule, &beyond.looked_up),
        opened: opened.keys().map(|&path| path.to_owned()).collect(),
        watched: watched::files(&report.trace, &beyond.openings),
        micros: report.wall_micros,
    };
    let mut functions = match runtime {
        Runtime::Python => python(block, &mut coverage)?,
        Runtime::Node => node(block, &mut coverage)?,
    };
    for (path, name, line) in late {
        if runtime == Runtime::Python {
            let (path, function) = (path.clone(), name.clone());
            coverage.uses.push(RuntimeUse { what: "late".to_owned(), path, function, count: 0 });
        }
        let covered = CoveredFunction { place: Place::Line(line), name, executed: true };
        functions.entry(path).or_default().insert(covered);
    }
    if plain.stderr.bytes > 0 {
        let what = "stderr".to_owned();
        coverage.uses.push(RuntimeUse { what, path: String::new(), function: String::new(), count: 1 });
    }
    coverage.uses.sort();
    coverage.files = functions
        .into_iter()
        .map(|(path, functions)| CoveredFile {
            digest: opened.get(path.as_str()).copied().flatten(),
            path,
            functions: functions.into_iter().collect(),
        })
        .collect();
    Ok(coverage)
}

/// What ran behind the end, or that a second process answered too.
fn late_functions(blocks: &[Vec<u8>]) -> Result<Vec<(String, String, u32)>, Uncovered> {
    let read = |block: &Vec<u8>| serde_json::from_slice::<Late>(block).map(|late| late.late);
    let all: Result<Vec<_>, _> = blocks.iter().map(read).collect();
    all.map_err(|_| Uncovered::new("several_answers", format!("{} more blocks", blocks.len())))
}

type Functions = BTreeMap<String, BTreeSet<CoveredFunction>>;

fn python(block: &[u8], coverage: &mut RuntimeCoverage) -> Result<Functions, Uncovered> {
    let answer: PythonAnswer = parse(block)?;
    if !answer.complete {
        return Err(Uncovered::new("incomplete", "the program set another profiler, or ran out of stack"));
    }
    coverage.version = answer.version;
    coverage.imports = answer.imports.into_iter().collect();
    let mut functions = Functions::new();
    for (path, name, line, calls) in answer.entries {
        for call in calls {
            let what = format!("call {}", builtin(&call));
            coverage.uses.push(RuntimeUse { what, path: path.clone(), function: name.clone(), count: 0 });
        }
        let covered = CoveredFunction { place: Place::Line(line), name, executed: true };
        functions.entry(path).or_default().insert(covered);
    }
    let uses = answer.uses.into_iter();
    coverage.uses.extend(uses.map(|(what, path, function)| RuntimeUse { what, path, function, count: 0 }));
    Ok(functions)
}

/// `posix.stat` of `<built-in method posix.stat>`.
fn builtin(text: &str) -> &str {
    let inner = text.strip_prefix("<built-in method ").or_else(|| text.strip_prefix("<built-in function "));
    let inner = inner.and_then(|inner| inner.strip_suffix('>')).unwrap_or(text);
    // Of a class: `now of type object at 0x...`.
    inner.split(" of type object at ").next().unwrap_or(inner)
}

fn node(block: &[u8], coverage: &mut RuntimeCoverage) -> Result<Functions, Uncovered> {
    let answer: NodeAnswer = parse(block)?;
    if !answer.complete {
        return Err(Uncovered::new("incomplete", "the program took over how the process ends"));
    }
    coverage.version = answer.version;
    let of = |what: String, count| RuntimeUse { what, path: String::new(), function: String::new(), count };
    for (url, name, count) in answer.internals {
        coverage.uses.push(of(format!("run {url} {name}"), count));
    }
    if answer.sources > 0 {
        coverage.uses.push(of("function_source".to_owned(), answer.sources));
    }
    if answer.uncaught {
        coverage.uses.push(of("uncaught".to_owned(), 1));
    }
    let mut functions = Functions::new();
    for (url, list) in answer.scripts {
        let path = path_of(&url);
        let known = functions.entry(path).or_default();
        for (name, start, end, executed) in list {
            known.insert(CoveredFunction { place: Place::Range { start, end }, name, executed });
        }
    }
    Ok(functions)
}

/// The path of a `file:` address; other addresses, and the empty one of evaluated code, stay.
fn path_of(url: &str) -> String {
    let Some(path) = url.strip_prefix("file://") else { return url.to_owned() };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| url.to_owned())
}

fn parse<'a, T: Deserialize<'a>>(block: &'a [u8]) -> Result<T, Uncovered> {
    serde_json::from_slice(block).map_err(|error| Uncovered::new("broken_answer", error.to_string()))
}

/// Paths as they lie in the capsule: `.`, `..` and its symbolic links resolved.
fn lookups(capsule: &Capsule, looked_up: &[String]) -> Vec<String> {
    let resolved = looked_up.iter().map(|path| capsule.resolve(path).unwrap_or_else(|| path.clone()));
    let mut all: BTreeSet<String> = resolved.collect();
    all.extend(looked_up.iter().cloned());
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files() {
        for (url, path) in [
            ("file:///a/b.js", "/a/b.js"),
            ("file:///a%20b/%C3%A9.js", "/a b/é.js"),
            ("/plain.js", "/plain.js"),
            ("", ""),
            ("file:///a%", "/a%"),
        ] {
            assert_eq!(path_of(url), path);
        }
    }

    #[test]
    fn builtins() {
        assert_eq!(builtin("<built-in method posix.stat>"), "posix.stat");
        assert_eq!(builtin("<built-in method now of type object at 0x9584a0>"), "now");
        assert_eq!(builtin("<method 'get' of 'dict' objects>"), "<method 'get' of 'dict' objects>");
    }
}
