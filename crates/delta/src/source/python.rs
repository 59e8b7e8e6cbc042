//! What a Python program asked for that shows more of its sources than what they do.

use super::{SourceReason, SourceRefusal, SourceRun, Use};

/// Names that give the code or the text of functions, or how much memory they take.
const INTROSPECTION: [&str; 42] = [
    "__code__",
    "gi_code",
    "cr_code",
    "ag_code",
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_flags",
    "co_exceptiontable",
    "co_positions",
    "co_linetable",
    "co_lnotab",
    "co_lines",
    "getsource",
    "getsourcelines",
    "getsourcefile",
    "findsource",
    "getblock",
    "getcomments",
    "getclosurevars",
    "linecache",
    "ctypes",
    "cffi",
    "tracemalloc",
    "getsizeof",
    "getrefcount",
    "getallocatedblocks",
    "settrace",
    "setprofile",
    "monitoring",
    "_startTime",
    "_overload_registry",
    // What is handed the text of a module while it is imported.
    "source_to_code",
    "SourceFileLoader",
    "SourceLoader",
    "FileLoader",
    "path_hooks",
    "builtins",
    "__builtins__",
];
/// Names that give lines.
const LINES: [&str; 7] =
    ["f_lineno", "tb_lineno", "f_lasti", "tb_lasti", "co_firstlineno", "getframeinfo", "lineno"];
/// Names that tell when memory is reclaimed, or run then.
const FINALISERS: [&str; 3] = ["__del__", "get_count", "get_objects"];
/// Modules of the standard library whose functions look at sources or code.
const LOOKING: [&str; 5] = ["/dis.py", "/bdb.py", "/pdb.py", "/doctest.py", "/trace.py"];
/// Functions of others that do.
const LOOKING_FUNCTIONS: [(&str, &str); 6] = [
    ("/inspect.py", "getsource"),
    ("/inspect.py", "getsourcelines"),
    ("/inspect.py", "findsource"),
    ("/inspect.py", "getcomments"),
    ("/inspect.py", "getclosurevars"),
    ("/inspect.py", "_has_code_flag"),
];
/// Modules that show the lines of stacks.
const SHOWING: [&str; 4] = ["/linecache.py", "/traceback.py", "/tokenize.py", "/faulthandler.py"];
/// Functions of others that do.
const SHOWING_FUNCTIONS: [(&str, &str); 8] = [
    ("/inspect.py", "getframeinfo"),
    ("/inspect.py", "stack"),
    ("/inspect.py", "trace"),
    ("/inspect.py", "getouterframes"),
    ("/inspect.py", "getinnerframes"),
    ("/logging/__init__.py", "findCaller"),
    ("/warnings.py", "_showwarnmsg"),
    ("/warnings.py", "warn_explicit"),
];
/// Functions of the standard library that ask for a function's code and use nothing of it that may differ.
///
/// `typing.overload` keeps a function under its first line; `logging` asks for the name of its own file.
const ONLY_KIND_OF_CODE: [(&str, &str); 3] =
    [("/types.py", "<module>"), ("/typing.py", "overload"), ("/logging/__init__.py", "<module>")];
/// Modules that read files of packages for the program.
const READING: [&str; 4] =
    ["/pkgutil.py", "/importlib/resources/", "/importlib/metadata/", "/pkg_resources/"];
/// Attributes that lead to code.
const ATTRIBUTES: [&str; 5] = ["__code__", "f_code", "gi_code", "cr_code", "ag_code"];
const CLOCKS: [&str; 24] = [
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
    "time.ctime",
    "time.asctime",
    "time.strftime",
    "time.thread_time",
    "time.clock_settime",
    "signal.alarm",
    "signal.setitimer",
    "resource.getrusage",
    "sys.intern",
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
pub(super) fn refusals(run: &SourceRun, changed: &[&str], moved: bool) -> Vec<SourceRefusal> {
    let mut all = Vec::new();
    let mut refuse = |reason, place: &str| {
        all.push(SourceRefusal { reason, place: place.to_owned(), detail: String::new() });
    };
    let native = |path: &&String| path.ends_with(".so") && !is_of_system(path);
    if let Some(path) = run.opened.iter().find(native) {
        refuse(SourceReason::NativeCode, path);
    }
    if !known_version(&run.version) {
        refuse(SourceReason::RuntimeUnknown, &run.version);
    }
    for used in &run.uses {
        if let Some(reason) = of_use(run, used, changed, moved) {
            let place = format!("{} {}", used.path, used.function).trim().to_owned();
            all.push(SourceRefusal { reason, place, detail: used.what.clone() });
        }
    }
    for (path, functions) in &run.functions {
        for function in functions.iter().filter(|function| function.executed && function.name != "<module>") {
            let name = function.name.as_str();
            let is_of = |modules: &[&str], functions: &[(&str, &str)]| {
                modules.iter().any(|module| path.ends_with(module))
                    || functions.iter().any(|(module, own)| path.ends_with(module) && name == *own)
            };
            let looks = is_standard(path)
                && !runs_on_import(name)
                && (is_of(&LOOKING, &LOOKING_FUNCTIONS) || moved && is_of(&SHOWING, &SHOWING_FUNCTIONS));
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

/// The releases whose grammar, compiler and coverage are known: from 3.13 a traceback shows lines in between,
/// from 3.14 annotations are functions.
fn known_version(version: &str) -> bool {
    let minor = version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
    minor.is_some_and(|minor: u32| (8..=12).contains(&minor))
}

/// Whether a library is part of the runtime or of the system, and no extension module of a package.
fn is_of_system(path: &str) -> bool {
    let system = ["/lib", "/usr/lib"].iter().any(|folder| path.starts_with(folder));
    is_standard(path) || system && !path.contains("-packages/")
}

/// What a word in code that may have run leads to.
pub(super) fn of_word(word: &str, moved: bool) -> Option<SourceReason> {
    if INTROSPECTION.contains(&word) || moved && LINES.contains(&word) {
        Some(SourceReason::Introspection)
    } else if FINALISERS.contains(&word) {
        Some(SourceReason::FinalisersRun)
    } else {
        None
    }
}

fn of_use(run: &SourceRun, used: &Use, changed: &[&str], moved: bool) -> Option<SourceReason> {
    let (kind, value) = used.what.split_once(' ').unwrap_or((used.what.as_str(), ""));
    match kind {
        "option" => Some(SourceReason::RuntimeUnknown),
        // A warning or a stack, which the runtime prints itself too.
        "stderr" if moved => Some(SourceReason::Introspection),
        "call" if value == "sys.intern" && is_standard(&used.path) => None,
        // `logging` notes when it was imported, and its records read the clock themselves.
        "call" if value == "time.time" && of_logging(used) => None,
        "call" if CLOCKS.contains(&value) => Some(SourceReason::ClockRead),
        "call" if value == "_warnings.warn" && moved => Some(SourceReason::Introspection),
        "call" if STATS.contains(&value) && !uses_only_kind(used) => Some(SourceReason::SizesObserved),
        "call" if value.starts_with("importlib.get_") => Some(SourceReason::SourceReadAsData),
        "call" if value.starts_with("gc.") => Some(SourceReason::FinalisersRun),
        "open" => {
            let file = value.rsplit('/').next().unwrap_or(value);
            let same = |path: &&&str| path.rsplit('/').next() == Some(file);
            changed.iter().find(same).map(|_| SourceReason::SourceReadAsData)
        }
        "attribute" if ATTRIBUTES.contains(&value) => {
            let known = |(module, name): &(&str, &str)| used.path.ends_with(module) && used.function == *name;
            let fine = is_standard(&used.path) && (value == "f_code" || ONLY_KIND_OF_CODE.iter().any(known));
            (!fine).then_some(SourceReason::Introspection)
        }
        "audit" => of_audit(run, used, value, moved),
        _ => None,
    }
}

fn of_logging(used: &Use) -> bool {
    is_standard(&used.path) && used.path.ends_with("/logging/__init__.py") && used.function == "<module>"
}

/// Whether the standard library asks, and looks only at whether something is there, and what.
fn uses_only_kind(used: &Use) -> bool {
    let name = used.function.rsplit('.').next().unwrap_or(&used.function);
    is_standard(&used.path) && ONLY_KIND.contains(&name)
}

fn of_audit(run: &SourceRun, used: &Use, event: &str, moved: bool) -> Option<SourceReason> {
    match event {
        "sys.excepthook" | "sys.unraisablehook" => moved.then_some(SourceReason::Introspection),
        "marshal.dumps" => Some(SourceReason::SourceReadAsData),
        "sys._current_frames"
        | "sys._current_exceptions"
        | "sys.settrace"
        | "sys.setprofile"
        | "sys.addaudithook"
        | "function.__new__"
        | "code.__new__"
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
