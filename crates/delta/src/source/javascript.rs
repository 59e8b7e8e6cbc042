//! What a Node program asked for that shows more of its sources than what they do.

use super::lex::Part;
use super::{SourceReason, SourceRefusal, SourceRun};

/// Names that give texts of sources or their positions.
pub(super) const INTROSPECTION: [&str; 2] = ["prepareStackTrace", "getFunctionLocation"];
/// Names that read clocks.
pub(super) const CLOCKS: [&str; 4] = ["Date", "performance", "hrtime", "uptime"];
/// The fields of `package.json` that Node's resolver reads.
const RESOLVER_FIELDS: [&str; 5] = ["name", "main", "exports", "imports", "type"];

/// Functions inside Node that the program cannot reach without reading files itself.
const READING: [&str; 9] = [
    "openSync",
    "open",
    "readFile",
    "createReadStream",
    "copyFileSync",
    "copyFile",
    "cpSync",
    "openAsBlob",
    "readv",
];
const SIZES: [&str; 7] = ["statSync", "lstatSync", "fstatSync", "stat", "lstat", "fstat", "statfsSync"];
const LISTING: [&str; 5] = ["readdirSync", "readdir", "opendirSync", "opendir", "globSync"];

/// Whether a name of a clock is used as a name of a class only: `x instanceof Date`, `Date.parse`.
pub(super) fn names_only(parts: &[Part], at: usize) -> bool {
    const HARMLESS: [&str; 3] = ["parse", "UTC", "prototype"];
    let text = |at: Option<usize>| match at.and_then(|at| parts.get(at)) {
        Some(Part::Token(_, text)) => text.as_str(),
        _ => "",
    };
    text(at.checked_sub(1)) == "instanceof"
        || text(Some(at + 1)) == "." && HARMLESS.contains(&text(Some(at + 2)))
}

/// Whether the program read files itself, beyond what loading modules reads.
pub(super) fn reads_files(run: &SourceRun) -> bool {
    let loads = count(
        run,
        "node:internal/modules/cjs/loader",
        &["Module._extensions..js", "Module._extensions..json"],
    ) + count(run, "node:internal/modules/esm/load", &["getSourceSync"]);
    count(run, "node:fs", &["readFileSync"]) > loads
        || count(run, "node:fs", &READING) > 0
        || of_promises(run)
}

/// Whether a JSON file was loaded as a module.
pub(super) fn loads_json(run: &SourceRun) -> bool {
    count(run, "node:internal/modules/cjs/loader", &["Module._extensions..json"]) > 0
        || count(run, "node:internal/modules/esm/translators", &["jsonStrategy", "jsonProvider"]) > 0
}

/// Whether a directory was listed.
pub(super) fn lists(run: &SourceRun) -> bool {
    count(run, "node:fs", &LISTING) > 0 || of_promises(run)
}

fn of_promises(run: &SourceRun) -> bool {
    run.uses.iter().any(|used| used.what.starts_with("run node:internal/fs/promises "))
}

fn count(run: &SourceRun, module: &str, names: &[&str]) -> u64 {
    let counted = run.uses.iter().filter(|used| {
        let rest = used.what.strip_prefix("run ").and_then(|rest| rest.strip_prefix(module));
        rest.and_then(|rest| rest.strip_prefix(' ')).is_some_and(|name| names.contains(&name))
    });
    counted.map(|used| used.count).sum()
}

/// Refusals for what a run asked for, given that some source differs.
pub(super) fn refusals(run: &SourceRun) -> Vec<SourceRefusal> {
    let mut all = Vec::new();
    let mut refuse = |reason, detail: &str| {
        all.push(SourceRefusal { reason, place: "the run".to_owned(), detail: detail.to_owned() });
    };
    for used in &run.uses {
        let what = used.what.as_str();
        let Some((module, name)) = what.strip_prefix("run ").and_then(|rest| rest.split_once(' ')) else {
            if what == "function_source" {
                refuse(SourceReason::Introspection, "a function was turned into its source");
            }
            continue;
        };
        match (module, name) {
            (_, "prepareStackTraceCallback" | "prepareStackTrace") | ("node:assert", "getErrMessage") => {
                refuse(SourceReason::Introspection, "a stack was turned into text");
            }
            (
                "node:vm",
                "Script" | "runInContext" | "runInNewContext" | "runInThisContext" | "createContext"
                | "compileFunction",
            ) => refuse(SourceReason::OtherRealm, what),
            ("node:internal/worker", "Worker")
            | ("node:child_process", _)
            | ("node:internal/child_process", _) => {
                refuse(SourceReason::OtherRealm, what);
            }
            ("node:fs", name) if SIZES.contains(&name) => refuse(SourceReason::SizesObserved, what),
            ("node:internal/perf/performance", "now") => refuse(SourceReason::ClockRead, what),
            _ => {}
        }
    }
    if reads_files(run) {
        refuse(SourceReason::SourceReadAsData, "the program reads files itself");
    }
    all
}

/// What Node's resolver reads of a `package.json`, in order; none where it is no object.
pub(super) fn resolver_fields(bytes: &[u8]) -> Option<Vec<(String, Ordered)>> {
    let Ordered::Object(all) = serde_json::from_slice(bytes).ok()? else { return None };
    Some(all.into_iter().filter(|(name, _)| RESOLVER_FIELDS.contains(&name.as_str())).collect())
}

/// JSON whose members keep their order: conditions of `exports` are tried one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ordered {
    Null,
    Boolean(bool),
    Number(f64),
    Text(String),
    List(Vec<Ordered>),
    Object(Vec<(String, Ordered)>),
}

impl<'de> serde::Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> serde::de::Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_owned()))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Ordered, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element()? {
            all.push(value);
        }
        Ok(Ordered::List(all))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = map.next_entry()? {
            all.push(member);
        }
        Ok(Ordered::Object(all))
    }
}
