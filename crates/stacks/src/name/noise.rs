//! Which frames say nothing about the incident: the machinery that reports it, starts the program,
//! or belongs to the language.

use super::Language;
use super::lists::{
    KERNEL_RUNTIME, KERNEL_RUNTIME_PREFIXES, KERNEL_STANDARD, KERNEL_STANDARD_PREFIXES, LIBC_NAMES,
    PANIC_ENTRIES, RUNTIME_NAMES, RUNTIME_PREFIXES, STANDARD_PREFIXES,
};
use crate::report::StackFrame;

/// What a frame's code is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The program, or a library that is part of the incident.
    Application,
    /// The language's own library: it agrees in too many incidents to say much.
    Standard,
    /// Panic, abort, signal, sanitizer, allocator and start-up machinery: never of interest.
    Runtime,
}

/// The role of a frame by its most specific key, its file and its module.
pub(crate) fn role(frame: &StackFrame, language: Language) -> Role {
    let Some(key) = frame.keys.first() else { return Role::Runtime };
    let file = frame.file.as_deref().unwrap_or_default();
    match language {
        Language::Native if nameless_system(frame) => Role::Runtime,
        Language::Native => native(key, file, frame.module.as_deref().unwrap_or_default()),
        Language::Kernel => kernel(key, file),
        Language::Java => java(key),
        Language::Python if file.contains("<frozen ") => Role::Runtime,
        Language::Python
            if file.contains("stdlib>") || file.contains("/lib/python3") && !file.contains("-packages/") =>
        {
            Role::Standard
        }
        Language::JavaScript if file.starts_with("node:") || file.starts_with("internal/") => Role::Runtime,
        Language::Go => go(key),
        Language::Python | Language::JavaScript => Role::Application,
    }
}

/// Whether a panic enters the machinery here: whatever lies further in only reports it.
pub(crate) fn is_panic_entry(key: &str) -> bool {
    starts_with_any(key, PANIC_ENTRIES)
}

/// Whether the program was started from here (a bare C `main` outside of it is then no function of its own).
pub(crate) fn is_rust_start(key: &str) -> bool {
    key.starts_with("std::rt::")
}

fn native(key: &str, file: &str, module: &str) -> Role {
    if is_panic_entry(key) || starts_with_any(key, RUNTIME_PREFIXES) || RUNTIME_NAMES.contains(&key) {
        return Role::Runtime;
    }
    if file.contains("compiler-rt/lib/") || file.contains("libfuzzer/Fuzzer") || file.contains("/FuzzerLoop")
    {
        return Role::Runtime;
    }
    let library = file.contains("/rustc/")
        || file.contains("rustlib/src/")
        || file.contains("glibc")
        || file.contains("sysdeps/")
        || file.contains("/include/c++/")
        || file.contains("/c++/v1/")
        || file.starts_with("library/std/src/")
        || file.starts_with("library/core/src/")
        || file.starts_with("library/alloc/src/")
        || system_module(module);
    if library || starts_with_any(key, STANDARD_PREFIXES) || LIBC_NAMES.contains(&key) {
        return Role::Standard;
    }
    Role::Application
}

/// A frame in the C library or the loader that has neither name nor source: only an offset, which is
/// another one in the next build of that library, and nothing else.
fn nameless_system(frame: &StackFrame) -> bool {
    let placed = frame.keys.first().is_some_and(|key| key.contains("+0x"));
    placed && frame.file.is_none() && frame.module.as_deref().is_some_and(system_module)
}

fn system_module(module: &str) -> bool {
    let base = super::base_name(module);
    [
        "libc.so",
        "libc-2",
        "libc.musl",
        "libpthread",
        "libm.so",
        "libm-2",
        "libdl.so",
        "librt.so",
        "ld-linux",
        "ld-musl",
        "ld64.so",
        "ld.so",
        "ld-2",
        "libstdc++",
        "libc++",
        "libgcc_s",
        "linux-vdso",
        "linux-gate",
        "ntdll",
        "kernel32",
        "KERNELBASE",
        "libsystem_",
        "libdyld",
    ]
    .iter()
    .any(|name| base.starts_with(name))
}

fn kernel(key: &str, file: &str) -> Role {
    if starts_with_any(key, KERNEL_RUNTIME_PREFIXES) || KERNEL_RUNTIME.contains(&key) {
        return Role::Runtime;
    }
    let plumbing = starts_with_any(key, KERNEL_STANDARD_PREFIXES) || KERNEL_STANDARD.contains(&key);
    if plumbing
        || file.starts_with("mm/kasan/")
        || file.starts_with("lib/dump_stack")
        || file.starts_with("kernel/locking/")
    {
        return Role::Standard;
    }
    Role::Application
}

fn java(key: &str) -> Role {
    const RUNTIME: &[&str] = &[
        "sun.reflect.",
        "jdk.internal.reflect.",
        "java.lang.reflect.",
        "java.lang.Thread.run",
        "org.junit.",
        "junit.framework.",
        "junit.runner.",
        "org.apache.tools.ant.",
        "org.gradle.",
        "com.code_intelligence.jazzer.",
        "edu.washington.cs.mut.",
        "java.lang.invoke.",
        "org.apache.maven.surefire.",
        "com.intellij.rt.",
    ];
    const STANDARD: &[&str] =
        &["java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "scala.", "dalvik."];
    if starts_with_any(key, RUNTIME) {
        Role::Runtime
    } else if starts_with_any(key, STANDARD) {
        Role::Standard
    } else {
        Role::Application
    }
}

fn go(key: &str) -> Role {
    const STANDARD: &[&str] = &[
        "fmt.",
        "strings.",
        "bytes.",
        "strconv.",
        "encoding/",
        "io.",
        "net/",
        "os.",
        "reflect.",
        "sort.",
        "sync.",
        "syscall.",
    ];
    if starts_with_any(key, &["runtime.", "panic", "testing.", "runtime/", "syscall.rawSyscall", "rt0_go"]) {
        Role::Runtime
    } else if starts_with_any(key, STANDARD) {
        Role::Standard
    } else {
        Role::Application
    }
}

fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}
