//! Which frames say nothing about the incident: the machinery that reports it, starts the program,
//! or belongs to the language.

use super::Language;
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

const PANIC_ENTRIES: &[&str] = &[
    "core::panicking::",
    "std::panicking::begin_panic",
    "std::panicking::rust_panic",
    "std::panicking::panic_fmt",
    "std::panicking::panic_display",
    "rust_begin_unwind",
    "__rustc::rust_begin_unwind",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::str::slice_error_fail",
    "alloc::raw_vec::handle_error",
    "alloc::raw_vec::capacity_overflow",
    "alloc::alloc::handle_alloc_error",
    "std::alloc::rust_oom",
    "std::process::abort",
];

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
        || system_module(module);
    if library || starts_with_any(key, STANDARD_PREFIXES) || LIBC_NAMES.contains(&key) {
        return Role::Standard;
    }
    Role::Application
}

fn system_module(module: &str) -> bool {
    let base = super::base_name(module);
    [
        "libc.so",
        "libc-2",
        "libpthread",
        "ld-linux",
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

const RUNTIME_PREFIXES: &[&str] = &[
    "std::panicking::",
    "std::panic::",
    "std::rt::",
    "std::sys_common::backtrace::",
    "std::sys::backtrace::",
    "std::sys_common::",
    "std::sys::",
    "std::backtrace",
    "backtrace::",
    "std::thread::",
    "core::ops::function::",
    "__rust_",
    "rust_panic",
    "rust_oom",
    "panic_unwind::",
    "__rustc::",
    "rust_eh_personality",
    "_Unwind_",
    "__cxa_",
    "__gxx_personality",
    "__cxxabiv1::",
    "__asan",
    "__sanitizer",
    "__ubsan",
    "__tsan",
    "__msan",
    "__hwasan",
    "__lsan",
    "__interception",
    "__scudo",
    "scudo::",
    "fuzzer::",
    "__libc_start",
    "__libc_message",
    "__libc_fatal",
    "__pthread_kill",
    "__assert",
    "__stack_chk",
    "__fortify",
    "_dl_",
    "std::terminate",
    "std::__throw",
    "std::__terminate",
    "uw_",
    "google::LogMessage",
    "base::debug::",
    "logging::LogMessage",
    "mozalloc_",
    "core::panic",
];

const RUNTIME_NAMES: &[&str] = &[
    "raise",
    "gsignal",
    "abort",
    "pthread_kill",
    "kill",
    "tgkill",
    "__kill",
    "_start",
    "start",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "thread_start",
    "_pthread_start",
    "_pthread_body",
    "__restore_rt",
    "__kernel_vsyscall",
    "exit",
    "_exit",
    "__GI_abort",
    "__chk_fail",
    "malloc_printerr",
    "_int_free",
    "_int_malloc",
    "_int_realloc",
    "malloc_consolidate",
    "sysmalloc",
    "unlink_chunk",
    "malloc",
    "calloc",
    "realloc",
    "free",
    "cfree",
    "posix_memalign",
    "memalign",
    "aligned_alloc",
    "operator new",
    "operator new[]",
    "operator delete",
    "operator delete[]",
    "LLVMFuzzerTestOneInput",
    "rust_fuzzer_test_input",
    "signal handler called",
    "RtlUserThreadStart",
    "__RtlUserThreadStart",
    "_RtlUserThreadStart",
    "BaseThreadInitThunk",
    "RaiseException",
    "KiUserExceptionDispatcher",
    "__tmainCRTStartup",
    "__scrt_common_main_seh",
    "invoke_main",
    "mainCRTStartup",
    "fault",
    "bug_report",
    "__interceptor_free",
    "exe_start",
    "gsignal_impl",
];

const STANDARD_PREFIXES: &[&str] = &[
    "std::",
    "core::",
    "alloc::",
    "__gnu_cxx::",
    "hashbrown::",
    "swift_",
    "Swift::",
    "compiler_builtins::",
    "mem::",
    "boost::detail::",
    "_dispatch_",
];

const LIBC_NAMES: &[&str] = &[
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "strlen",
    "strcpy",
    "strncpy",
    "strcat",
    "strcmp",
    "strncmp",
    "strdup",
    "strchr",
    "strrchr",
    "strstr",
    "strtol",
    "qsort",
    "bsearch",
    "printf",
    "vfprintf",
    "fprintf",
    "snprintf",
    "vsnprintf",
    "sprintf",
    "fread",
    "fwrite",
    "fclose",
    "read",
    "write",
    "poll",
    "ioctl",
    "syscall",
    "nanosleep",
];

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

const KERNEL_RUNTIME_PREFIXES: &[&str] = &[
    "dump_stack",
    "__dump_stack",
    "dump_backtrace",
    "show_stack",
    "show_regs",
    "show_trace",
    "print_address_description",
    "print_report",
    "kasan_",
    "__kasan_",
    "__asan_",
    "__hwasan_",
    "check_memory_region",
    "kmsan_",
    "__msan_",
    "kcsan_",
    "__tsan_",
    "ubsan_",
    "__ubsan_",
    "check_panic_on_warn",
    "warn_slowpath_",
    "report_bug",
    "fixup_bug",
    "do_error_trap",
    "do_invalid_op",
    "invalid_op",
    "exc_",
    "asm_exc_",
    "handle_bug",
    "__warn",
    "do_trap",
    "trap_",
    "entry_SYS",
    "entry_INT80",
    "do_syscall_",
    "do_fast_syscall",
    "__do_fast_syscall",
    "do_int80_syscall",
    "ret_from_",
    "system_call_fastpath",
    "sysenter_",
    "kdb_",
    "Xfast_syscall",
    "dump_",
    "kprobe_exceptions",
];

const KERNEL_RUNTIME: &[&str] = &[
    "panic",
    "vpanic",
    "die",
    "__die",
    "oops_end",
    "page_fault",
    "do_page_fault",
    "__do_page_fault",
    "async_page_fault",
    "page_fault_oops",
    "kernelmode_fixup_or_oops",
    "bad_area_nosemaphore",
    "__bad_area_nosemaphore",
    "no_context",
    "general_protection",
    "error_entry",
    "save_stack",
    "save_stack_trace",
    "set_track",
    "stack_trace_save",
    "print_trailer",
    "object_err",
    "slab_err",
    "should_fail",
    "should_failslab",
    "should_fail_ex",
    "should_fail_alloc_page",
    "fail_dump",
    "check_region",
    "check_region_inline",
    "instrument_atomic_read",
    "instrument_atomic_write",
    "instrument_atomic_read_write",
    "kthread",
    "worker_thread",
    "process_one_work",
    "x64_sys_call",
    "ia32_sys_call",
    "calltrap",
    "trap",
    "db_enter",
    "invoke_syscall",
    "el0_svc",
    "el0_svc_common",
    "el0t_64_sync",
    "el0t_64_sync_handler",
    "do_el0_svc",
    "amd64_syscall",
    "native_write_msr",
];

const KERNEL_STANDARD_PREFIXES: &[&str] = &[
    "_raw_",
    "__raw_",
    "lockdep_",
    "debug_lockdep",
    "__schedule",
    "schedule_",
    "rcu_",
    "__sanitizer_cov",
    "print_usage_bug",
    "mark_lock",
    "mark_held",
    "check_noncircular",
    "check_usage",
    "register_lock_class",
    "spin_dump",
    "do_raw_",
    "vprintk",
    "printk",
    "sched_show_task",
    "rb_",
    "klist_",
    "wait_for_completion",
    "mutex_optimistic",
    "rwsem_",
    "down_",
    "__down_",
    "__alloc_pages",
    "alloc_page",
    "___kmalloc",
    "stack_trace_",
    "quarantine_",
    "qlist_",
    "krealloc",
    "fortify_panic",
    "ref_tracker_",
    "bad_page",
    "kasan_check",
    "drop_nlink",
    "vmalloc",
    "__vmalloc",
    "copy_user_generic",
    "kobject_",
    "dev_printk",
    "raw_spin_",
    "lock_acquire",
    "__lock_acquire",
    "lock_release",
    "lock_is_held",
    "mutex_lock",
    "__mutex_lock",
    "kmem_cache_",
    "__kmalloc",
    "kmalloc",
    "kzalloc",
    "kfree",
    "slab_",
    "__slab_",
    "__cache_alloc",
    "refcount_",
    "debug_object_",
    "__debug_",
    "debug_check_",
    "debug_print_",
    "print_deadlock",
    "print_circular",
    "__list_",
];

const KERNEL_STANDARD: &[&str] = &[
    "__switch_to",
    "context_switch",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "console_unlock",
    "update_process_times",
    "tick_sched_handle",
    "tick_sched_timer",
    "kvfree",
    "kthread_stop",
    "io_schedule",
    "___slab_alloc",
    "validate_chain",
    "check_prev_add",
    "check_prevs_add",
    "list_del",
    "list_add",
    "atomic_read",
    "atomic_inc",
    "__read_once_size",
    "__write_once_size",
    "read_word_at_a_time",
    "test_bit",
    "constant_test_bit",
    "copy_user_generic_unrolled",
    "raw_copy_from_user",
    "copy_from_user",
    "copy_to_user",
    "_copy_from_user",
    "_copy_to_user",
    "memcpy",
    "memset",
    "memmove",
    "strlen",
    "strnlen",
    "strcmp",
    "strlcpy",
    "strscpy",
    "schedule",
    "__schedule",
    "preempt_schedule",
    "sys_open",
    "vfs_write",
    "vfs_read",
    "sock_sendmsg",
];

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
