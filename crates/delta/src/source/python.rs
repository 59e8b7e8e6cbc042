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
/// Names that give lines, or lead to what has one.
const LINES: [&str; 14] = [
    "f_lineno",
    "f_lasti",
    "co_firstlineno",
    "getframeinfo",
    "getlineno",
    "lineno",
    "currentframe",
    "_getframe",
    "__traceback__",
    "__trace",
    "exc_info",
    "last_traceback",
    "last_exc",
    "faulthandler",
];
/// Names of the clock that the runtime reads for itself too, and of what holds them.
const MONOTONIC: [&str; 9] = [
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "clock_gettime",
    "clock_gettime_ns",
    "default_timer",
    "_time",
    "_timer",
];
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
const SHOWING: [&str; 3] = ["/linecache.py", "/traceback.py", "/tokenize.py"];
/// Functions of others that do.
const SHOWING_FUNCTIONS: [(&str, &str); 10] = [
    ("/inspect.py", "getframeinfo"),
    ("/inspect.py", "getlineno"),
    ("/inspect.py", "currentframe"),
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
/// Functions of the standard library that look at the frame above for the names in it.
const NAMES_OF_FRAME: [(&str, &str); 8] = [
    ("/collections/__init__.py", "namedtuple"),
    ("/typing.py", "_caller"),
    ("/typing.py", "_allow_reckless_class_checks"),
    ("/typing.py", "_allow_reckless_class_cheks"),
    ("/typing.py", "NamedTuple"),
    ("/typing.py", "__init__"),
    ("/enum.py", "_create_"),
    ("/enum.py", "__call__"),
];
/// Functions of the standard library that run texts which they put together of names themselves, and those
/// that run a program's own files, whose functions are known.
const OWN_TEXTS: [(&str, &str); 5] = [
    ("/collections/__init__.py", "namedtuple"),
    ("/dataclasses.py", "_create_fn"),
    ("/runpy.py", "_run_code"),
    ("<frozen runpy>", "_run_code"),
    ("/functools.py", "<module>"),
];
/// Attributes that lead to frames, which have lines.
const FRAMES: [&str; 4] = ["tb_frame", "gi_frame", "cr_frame", "ag_frame"];
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
    let native = |path: &&String| path.ends_with(".so") && !is_of_system(run, path);
    let standard = |path: &str| is_standard(path, run.library.as_deref());
    if let Some(path) = run.opened.iter().find(native) {
        refuse(SourceReason::NativeCode, path);
    }
    if !known_version(&run.version) {
        refuse(SourceReason::RuntimeUnknown, &run.version);
    }
    if moved && run.imports.contains("faulthandler") {
        refuse(SourceReason::Introspection, "faulthandler");
    }
    // What the system tells of the process: its memory, its descriptors.
    if let Some(path) = run.looked_up.iter().find(|path| path.contains("/proc/") || path.ends_with("/proc")) {
        refuse(SourceReason::Introspection, path);
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
            let looks = standard(path)
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

/// The releases whose grammar, compiler and coverage are known: from 3.12 the profiler is told of otherwise,
/// and gives no coverage here; from 3.13 a traceback shows lines in between, from 3.14 annotations are
/// functions.
fn known_version(version: &str) -> bool {
    let minor = version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
    minor.is_some_and(|minor: u32| (8..=11).contains(&minor))
}

/// Whether a library is part of the runtime or of the system, and no extension module of a package.
fn is_of_system(run: &SourceRun, path: &str) -> bool {
    let system = ["/lib", "/usr/lib"].iter().any(|folder| path.starts_with(folder));
    is_standard(path, run.library.as_deref()) || system && !path.contains("-packages/")
}

/// What a word in code that may have run leads to.
pub(super) fn of_word(word: &str, piece: &str, moved: bool) -> Option<SourceReason> {
    if INTROSPECTION.contains(&word) || moved && (LINES.contains(&word) || word.starts_with("tb_")) {
        Some(SourceReason::Introspection)
    } else if MONOTONIC.contains(&word) || word == "time" && of_module(word, piece) {
        Some(SourceReason::ClockRead)
    } else if FINALISERS.contains(&word) {
        Some(SourceReason::FinalisersRun)
    } else {
        None
    }
}

/// Whether a word is the name of a module that is imported, or a text.
fn of_module(word: &str, piece: &str) -> bool {
    // The word is a part of the piece.
    let at = (word.as_ptr() as usize).saturating_sub(piece.as_ptr() as usize);
    let before = piece.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    before.ends_with(['\'', '"']) || line.starts_with("import ") || line == "from "
}

/// How often the loader opens a source and asks for its status: a finder for whether it is a file, the loader
/// for its time, and what opens it twice. The program's own script is first taken for an archive.
pub(super) fn loads(is_script: bool) -> (u64, u64) {
    if is_script { (2, 5) } else { (1, 4) }
}

fn of_use(run: &SourceRun, used: &Use, changed: &[&str], moved: bool) -> Option<SourceReason> {
    let (kind, value) = used.what.split_once(' ').unwrap_or((used.what.as_str(), ""));
    let is_standard = |path: &str| is_standard(path, run.library.as_deref());
    match kind {
        // Whatever is asked for behind the end of the coverage is not in it.
        "late" if !is_standard(&used.path) => Some(SourceReason::FinalisersRun),
        "option" => Some(SourceReason::RuntimeUnknown),
        // A warning or a stack, which the runtime prints itself too.
        "stderr" if moved => Some(SourceReason::Introspection),
        "call" if value == "sys.intern" && is_standard(&used.path) => None,
        // `logging` notes when it was imported, and its records read the clock themselves.
        "call" if value == "time.time" && of_logging(run, used) => None,
        "call" if CLOCKS.contains(&value) => Some(SourceReason::ClockRead),
        "call" if value == "_warnings.warn" && moved => Some(SourceReason::Introspection),
        "call" if STATS.contains(&value) && !uses_only_kind(run, used) => Some(SourceReason::SizesObserved),
        "call" if value.starts_with("faulthandler.") && moved => Some(SourceReason::Introspection),
        "call" if value.starts_with("importlib.get_") => Some(SourceReason::SourceReadAsData),
        "call" if value.starts_with("gc.") => Some(SourceReason::FinalisersRun),
        "open" => {
            let file = value.rsplit('/').next().unwrap_or(value);
            let same = |path: &&&str| path.rsplit('/').next() == Some(file);
            changed.iter().find(same).map(|_| SourceReason::SourceReadAsData)
        }
        "attribute" if moved && FRAMES.contains(&value) && !is_known(run, used, &ONLY_KIND_OF_CODE) => {
            Some(SourceReason::Introspection)
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

fn of_logging(run: &SourceRun, used: &Use) -> bool {
    is_standard(&used.path, run.library.as_deref())
        && used.path.ends_with("/logging/__init__.py")
        && used.function == "<module>"
}

/// Whether the standard library asks, and looks only at whether something is there, and what.
fn uses_only_kind(run: &SourceRun, used: &Use) -> bool {
    let name = used.function.rsplit('.').next().unwrap_or(&used.function);
    is_standard(&used.path, run.library.as_deref()) && ONLY_KIND.contains(&name)
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
        "sys._getframe" if moved && !is_known(run, used, &NAMES_OF_FRAME) => {
            Some(SourceReason::Introspection)
        }
        // A text may say anything, and no word of it is seen. The program itself is run by nobody.
        "exec" if !used.path.is_empty() && !is_known(run, used, &OWN_TEXTS) => {
            Some(SourceReason::Introspection)
        }
        "os.scandir" if !uses_only_kind(run, used) => Some(SourceReason::SizesObserved),
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

fn is_known(run: &SourceRun, used: &Use, known: &[(&str, &str)]) -> bool {
    let name = used.function.rsplit('.').next().unwrap_or(&used.function);
    let is_of = |(module, own): &(&str, &str)| used.path.ends_with(module) && name == *own;
    is_standard(&used.path, run.library.as_deref()) && known.iter().any(is_of)
}

/// Whether a path is of Python's standard library in this folder, which is part of the runtime.
pub fn is_standard(path: &str, library: Option<&str>) -> bool {
    let below =
        library.and_then(|library| path.strip_prefix(library)).is_some_and(|rest| rest.starts_with('/'));
    path.starts_with("<frozen ") || below && !path.contains("-packages/")
}
