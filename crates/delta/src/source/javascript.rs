//! What a Node program asked for that shows more of its sources than what they do.

use super::{SourceReason, SourceRefusal, SourceRun};

/// Names that give texts of sources, their positions, or how much memory they take.
const INTROSPECTION: [&str; 19] = [
    "prepareStackTrace",
    "getFunctionLocation",
    "getPosition",
    "getCallSite",
    "getCallSites",
    "inspector",
    "internalBinding",
    "_linkedBinding",
    "memoryUsage",
    "resourceUsage",
    "getHeapStatistics",
    "getReport",
    "WebAssembly",
    "reallyExit",
    "structuredClone",
    "postMessage",
    "binding",
    "_compile",
    "registerHooks",
];
/// Names that tell when memory is reclaimed.
const FINALISERS: [&str; 2] = ["WeakRef", "FinalizationRegistry"];
/// Names that give lines.
const LINES: [&str; 4] = ["stack", "lineNumber", "captureStackTrace", "stackTraceLimit"];
/// Names that read clocks or set timers.
const CLOCKS: [&str; 13] = [
    "Date",
    "DateTimeFormat",
    "performance",
    "hrtime",
    "uptime",
    "setTimeout",
    "setInterval",
    "Atomics",
    "cpuUsage",
    "timeStamp",
    "timeEnd",
    "timeLog",
    "toLocaleTimeString",
];
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

/// What a word in code that may have run leads to. A clock may be named where only its class is: `x instanceof
/// Date`, `Date.parse`.
pub(super) fn of_word(word: &str, piece: &str, moved: bool) -> Option<SourceReason> {
    let shown = INTROSPECTION.contains(&word) || LOADER.contains(&word) && of_module(word, piece);
    if shown || moved && LINES.contains(&word) {
        Some(SourceReason::Introspection)
    } else if FINALISERS.contains(&word) {
        Some(SourceReason::FinalisersRun)
    } else if CLOCKS.contains(&word) && !names_only(word, piece) {
        Some(SourceReason::ClockRead)
    } else {
        None
    }
}

/// Names of Node's module loader that hand a module's text to the program.
const LOADER: [&str; 4] = ["wrap", "wrapper", "register", "module"];

/// Whether a word is a part of the loader, or a text that loads it.
fn of_module(word: &str, piece: &str) -> bool {
    let at = (word.as_ptr() as usize).saturating_sub(piece.as_ptr() as usize);
    let (before, after) =
        (piece.get(..at).unwrap_or_default(), piece.get(at + word.len()..).unwrap_or_default());
    match word {
        "module" => before.ends_with(['\'', '"', '`', ':']) && after.starts_with(['\'', '"', '`']),
        _ => before.ends_with("odule.") || before.ends_with("constructor."),
    }
}

fn names_only(word: &str, piece: &str) -> bool {
    // The word is a part of the piece.
    let at = (word.as_ptr() as usize).saturating_sub(piece.as_ptr() as usize);
    let (before, after) =
        (piece.get(..at).unwrap_or_default(), piece.get(at + word.len()..).unwrap_or_default());
    // A date of given numbers is no clock, but its class is one.
    let given = after.strip_prefix('(').is_some_and(|rest| !rest.trim_start().starts_with([')', '.', '/']));
    let reaches_its_class = piece.contains("constructor");
    before.ends_with("instanceof ")
        || word == "Date" && before.ends_with("new ") && given && !reaches_its_class
        || [".parse(", ".UTC("].iter().any(|harmless| after.starts_with(harmless))
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
pub(super) fn refusals(run: &SourceRun, moved: bool) -> Vec<SourceRefusal> {
    let mut all = Vec::new();
    let mut refuse = |reason, detail: &str| {
        all.push(SourceRefusal { reason, place: "the run".to_owned(), detail: detail.to_owned() });
    };
    for used in &run.uses {
        let what = used.what.as_str();
        let Some((module, name)) = what.strip_prefix("run ").and_then(|rest| rest.split_once(' ')) else {
            match what {
                "function_source" => {
                    refuse(SourceReason::Introspection, "a function was turned into its source");
                }
                "uncaught" | "stderr" if moved => {
                    refuse(SourceReason::Introspection, "an exception was reported")
                }
                _ if what.starts_with("option ") => refuse(SourceReason::RuntimeUnknown, what),
                _ => {}
            }
            continue;
        };
        match (module, name) {
            (_, "prepareStackTraceCallback" | "prepareStackTrace") if moved => {
                refuse(SourceReason::Introspection, "a stack was turned into text");
            }
            ("node:assert", "getErrMessage")
            | ("node:v8", _)
            | ("node:internal/process/report", _)
            | ("node:util", "getCallSite" | "getCallSites") => {
                refuse(SourceReason::Introspection, what);
            }
            (_, "cjsPreparseModuleExports") => refuse(SourceReason::SourceReadAsData, what),
            ("node:internal/timers", "Timeout") => refuse(SourceReason::ClockRead, what),
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
            _ if is_clock(module, name) => refuse(SourceReason::ClockRead, what),
            ("node:internal/modules/esm/loader", "register")
            | (
                "node:internal/modules/customization_hooks" | "node:internal/modules/cjs/loader",
                "registerHooks",
            )
            | ("node:internal/modules/cjs/loader", "wrap" | "Module.wrap") => {
                refuse(SourceReason::Introspection, what);
            }
            _ => {}
        }
    }
    if run.opened.iter().any(|path| path.ends_with(".node")) {
        refuse(SourceReason::NativeCode, "a native module");
    }
    if !known_version(&run.version) {
        refuse(SourceReason::RuntimeUnknown, &run.version);
    }
    if reads_files(run) {
        refuse(SourceReason::SourceReadAsData, "the program reads files itself");
    }
    all
}

/// Functions inside Node that answer with a time. What reads a clock of the calendar the runner sees itself.
fn is_clock(module: &str, name: &str) -> bool {
    match module {
        "node:internal/perf/performance" | "node:internal/perf/utils" => name == "now",
        "node:internal/process/per_thread" => matches!(name, "hrtime" | "hrtimeBigInt" | "cpuUsage"),
        "node:internal/event_target" => name == "get timeStamp",
        "node:internal/console/constructor" | "node:internal/util/debuglog" => {
            matches!(name, "time" | "timeEnd" | "timeLog" | "timeLogImpl" | "timeLogInternal" | "formatTime")
        }
        _ => matches!(name, "timeLogImpl"),
    }
}

/// The releases whose loader and coverage are known.
fn known_version(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| (18..=22).contains(&major))
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
