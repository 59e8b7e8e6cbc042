//! What a Python program asked for that shows more of its sources than what they do.

use super::{SourceReason, SourceRefusal, SourceRun, Use};

/// Names that give line numbers, positions or texts of sources.
pub(super) const INTROSPECTION: [&str; 22] = [
    "f_lineno",
    "tb_lineno",
    "f_lasti",
    "tb_lasti",
    "co_firstlineno",
    "co_lnotab",
    "co_linetable",
    "co_lines",
    "co_positions",
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_exceptiontable",
    "getsource",
    "getsourcelines",
    "findsource",
    "getframeinfo",
    "getcomments",
    "linecache",
];
/// Modules of the standard library whose functions look at sources or stacks.
const LOOKING: [&str; 9] = [
    "/linecache.py",
    "/traceback.py",
    "/tokenize.py",
    "/dis.py",
    "/bdb.py",
    "/pdb.py",
    "/doctest.py",
    "/trace.py",
    "/faulthandler.py",
];
/// Functions of others that do.
const LOOKING_FUNCTIONS: [(&str, &str); 14] = [
    ("/inspect.py", "getsource"),
    ("/inspect.py", "getsourcelines"),
    ("/inspect.py", "findsource"),
    ("/inspect.py", "getframeinfo"),
    ("/inspect.py", "stack"),
    ("/inspect.py", "trace"),
    ("/inspect.py", "getouterframes"),
    ("/inspect.py", "getinnerframes"),
    ("/inspect.py", "getcomments"),
    ("/inspect.py", "_has_code_flag"),
    ("/logging/__init__.py", "findCaller"),
    ("/warnings.py", "_showwarnmsg"),
    ("/warnings.py", "showwarning"),
    ("/warnings.py", "_formatwarnmsg_impl"),
];
/// Modules that read files of packages for the program.
const READING: [&str; 4] =
    ["/pkgutil.py", "/importlib/resources/", "/importlib/metadata/", "/pkg_resources/"];
/// Attributes that lead to code, frames and positions.
const ATTRIBUTES: [&str; 9] =
    ["__code__", "f_code", "tb_frame", "gi_code", "cr_code", "ag_code", "f_lineno", "tb_lineno", "tb_next"];
const CLOCKS: [&str; 15] = [
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.process_time_ns",
    "time.clock_gettime",
    "time.localtime",
    "time.gmtime",
    "now",
    "utcnow",
    "today",
    "posix.times",
];
const STATS: [&str; 4] = ["posix.stat", "posix.lstat", "posix.fstat", "posix.statvfs"];
/// Callers of these that use only whether something is there, and what.
const ONLY_KIND: [&str; 12] = [
    "exists",
    "isfile",
    "isdir",
    "islink",
    "lexists",
    "ismount",
    "isdevdrive",
    "_joinrealpath",
    "realpath",
    "walk",
    "_walk",
    "is_dir",
];

/// Refusals for what a run asked for, given that some source differs.
pub(super) fn refusals(run: &SourceRun, changed: &[&str]) -> Vec<SourceRefusal> {
    let mut all = Vec::new();
    for used in &run.uses {
        if let Some(reason) = of_use(run, used, changed) {
            let place = format!("{} {}", used.path, used.function).trim().to_owned();
            all.push(SourceRefusal { reason, place, detail: used.what.clone() });
        }
    }
    for (path, functions) in &run.functions {
        for function in functions.iter().filter(|function| function.executed && function.name != "<module>") {
            let name = function.name.as_str();
            let looks = is_standard(path)
                && !runs_on_import(name)
                && (LOOKING.iter().any(|module| path.ends_with(module))
                    || LOOKING_FUNCTIONS.iter().any(|(module, own)| path.ends_with(module) && name == *own));
            let reads = READING.iter().any(|part| path.contains(part));
            let reason = match (looks, reads, name) {
                (true, ..) => SourceReason::Introspection,
                (_, true, _) => SourceReason::SourceReadAsData,
                (.., "__del__") => SourceReason::FinalisersRun,
                _ => continue,
            };
            all.push(SourceRefusal { reason, place: path.clone(), detail: name.to_owned() });
        }
    }
    all
}

/// Whether a function of such a module also runs when it is only imported: class bodies, comprehensions
/// and what makes `tokenize`'s patterns.
fn runs_on_import(name: &str) -> bool {
    let is_class = name.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase());
    is_class
        || matches!(name, "<listcomp>" | "<dictcomp>" | "<setcomp>" | "<genexpr>")
        || matches!(name, "group" | "any" | "maybe" | "_all_string_prefixes")
}

fn of_use(run: &SourceRun, used: &Use, changed: &[&str]) -> Option<SourceReason> {
    let (kind, value) = used.what.split_once(' ').unwrap_or((used.what.as_str(), ""));
    match kind {
        "call" if CLOCKS.contains(&value) => Some(SourceReason::ClockRead),
        "call" if STATS.contains(&value) && !uses_only_kind(used) => Some(SourceReason::SizesObserved),
        "call" if value.starts_with("importlib.get_") => Some(SourceReason::SourceReadAsData),
        "call" if value.starts_with("gc.") => Some(SourceReason::FinalisersRun),
        "open" => {
            let file = value.rsplit('/').next().unwrap_or(value);
            let same = |path: &&&str| path.rsplit('/').next() == Some(file);
            changed.iter().find(same).map(|_| SourceReason::SourceReadAsData)
        }
        "attribute" if ATTRIBUTES.contains(&value) && !is_standard(&used.path) => {
            Some(SourceReason::Introspection)
        }
        "audit" => of_audit(run, used, value),
        _ => None,
    }
}

/// Whether the standard library asks, and looks only at whether something is there, and what.
fn uses_only_kind(used: &Use) -> bool {
    let name = used.function.rsplit('.').next().unwrap_or(&used.function);
    is_standard(&used.path) && ONLY_KIND.contains(&name)
}

fn of_audit(run: &SourceRun, used: &Use, event: &str) -> Option<SourceReason> {
    match event {
        "sys.excepthook"
        | "sys.unraisablehook"
        | "sys._current_frames"
        | "sys._current_exceptions"
        | "sys.settrace"
        | "sys.setprofile"
        | "sys._getframemodulename" => Some(SourceReason::Introspection),
        "gc.get_objects" | "gc.get_referrers" | "gc.get_referents" => Some(SourceReason::Introspection),
        // An address in the tree's own hands may become part of what it says.
        "builtins.id" if used.path.starts_with(&run.root) => None,
        "os.scandir" if !uses_only_kind(used) => Some(SourceReason::SizesObserved),
        _ if event.starts_with("ctypes.") => Some(SourceReason::Introspection),
        _ if event.starts_with("subprocess.")
            || event.starts_with("os.exec")
            || event.starts_with("os.fork") =>
        {
            Some(SourceReason::OtherRealm)
        }
        _ => None,
    }
}

/// Whether a path is of Python's standard library, which is part of the runtime.
pub fn is_standard(path: &str) -> bool {
    path.starts_with("<frozen ") || path.contains("/lib/python3") && !path.contains("-packages/")
}
