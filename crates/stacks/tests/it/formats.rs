//! Short texts of our own, one per format, and what must be read from each.

use assay_binary::{Address, Frame, ModuleId};
use assay_stacks::{
    Format, Index, Item, MAX_FRAMES, MAX_TEXT_BYTES, Report, StackError, Trace, TraceFrame, fingerprint,
    from_frames, normalize, parse,
};
use proptest::prelude::*;

fn read(text: &str) -> Report {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn keys(trace: &Trace) -> Vec<&str> {
    trace.frames.iter().map(TraceFrame::key).collect()
}

#[track_caller]
fn expect(text: &str, format: Format, frames: &[&str]) {
    let report = read(text);
    assert_eq!(report.format, format, "{report:#?}");
    assert_eq!(keys(&normalize(&report)), frames, "{report:#?}");
}

const RUST_BACKTRACE: &str = "
thread 'main' panicked at /home/u/.cargo/registry/src/index.crates.io-1/vec-lib-1.2.3/src/store.rs:40:9:
index out of bounds: the len is 3 but the index is 7
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
             at /rustc/abc/library/core/src/panicking.rs:74:14
   2: core::panicking::panic_bounds_check
   3: vec_lib::store::Store<T>::get
             at /home/u/.cargo/registry/src/index.crates.io-1/vec-lib-1.2.3/src/store.rs:40:9
   4: app::load::{{closure}}
             at ./src/main.rs:9:18
   5: app::main
             at ./src/main.rs:3:5
   6: core::ops::function::FnOnce::call_once
             at /rustc/abc/library/core/src/ops/function.rs:250:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
";

const RUST_GDB: &str = "
Program received signal SIGABRT, Aborted.
#0  __pthread_kill_implementation (no_tid=0, signo=6, threadid=140737352) at ./nptl/pthread_kill.c:44
#1  __GI_raise (sig=6) at ../sysdeps/posix/raise.c:26
#2  0x00007ffff7c428ff in __GI_abort () at ./stdlib/abort.c:79
#3  0x0000555555560001 in std::sys::pal::unix::abort_internal () at library/std/src/sys/pal/unix/mod.rs:370
#4  0x0000555555561001 in std::panicking::rust_panic_with_hook () at library/std/src/panicking.rs:825
#5  0x0000555555562001 in core::panicking::panic_fmt () at library/core/src/panicking.rs:74
#6  0x0000555555562051 in core::panicking::panic_bounds_check () at library/core/src/panicking.rs:276
#7  0x0000555555563001 in vec_lib::store::{impl#0}::get<i32> (self=0x7ffe, at=7)
    at /home/u/.cargo/registry/src/index.crates.io-1/vec-lib-1.2.3/src/store.rs:40
#8  0x0000555555564001 in app::load::{closure#0} () at src/main.rs:9
#9  0x0000555555565001 in app::main () at src/main.rs:3
#10 0x0000555555566001 in std::rt::lang_start::{closure#0}<()> () at library/std/src/rt.rs:195
#11 0x0000555555567001 in main ()
";

fn captured(symbols: &[&str]) -> Vec<Frame> {
    let module = ModuleId { path: "/bin/app".to_owned(), debug_id: None };
    (0..)
        .zip(symbols)
        .map(|(at, symbol)| Frame {
            module: Some(module.clone()),
            offset: Address(0x1000 + at),
            symbol: Some((*symbol).to_owned()),
        })
        .collect()
}

/// What the runner sees: physical frames with mangled names, `load`'s closure inlined away.
fn rust_captured() -> Report {
    let frames = captured(&[
        "raise",
        "abort",
        "_ZN3std9panicking20rust_panic_with_hook17h0123456789abcdefE",
        "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
        "_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE",
        "_ZN7vec_lib5store14Store$LT$T$GT$3get17h0123456789abcdefE",
        "_ZN3app4main17h0123456789abcdefE",
        "_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
        "main",
        "__libc_start_main",
        "_start",
    ]);
    from_frames(&frames, Some("SIGABRT"))
}

/// An index over the captured panic and some others.
fn incidents() -> Index {
    let item = |incident: &str, trace: Trace| Item { incident: incident.to_owned(), trace, time: None };
    let native = |names: &[&str], signal| normalize(&from_frames(&captured(names), Some(signal)));
    let mut deep =
        ["_ZN4yaml6parser4Load5value17h0123456789abcdefE", "_ZN4yaml6parser4Load3seq17h0123456789abcdefE"]
            .repeat(60);
    deep.push("_ZN3app4main17h0123456789abcdefE");
    Index::build(&[
        item("bounds", normalize(&rust_captured())),
        item("overflow", native(&deep, "SIGSEGV")),
        item(
            "write",
            native(&["memcpy", "_ZN3img6decode3rowEv", "_ZN3img6decode4openEv", "main"], "SIGSEGV"),
        ),
        item(
            "quote",
            native(
                &["_ZN5shlex5quote17h0123456789abcdefE", "_ZN3app4main17h0123456789abcdefE", "main"],
                "SIGABRT",
            ),
        ),
        item(
            "regex",
            native(&["_ZN5regex7compile17h0123456789abcdefE", "_ZN3app4main17h0123456789abcdefE"], "SIGABRT"),
        ),
    ])
    .expect("a small index")
}

#[track_caller]
fn expect_match(text: &str, incident: &str) {
    let found = incidents().match_trace(&normalize(&read(text)), 5);
    let best = found.matches.first().expect("a match");
    assert_eq!(best.incident, incident, "{found:#?}");
    assert!(!found.new, "{found:#?}");
}

#[test]
fn rust_backtrace() {
    expect(
        RUST_BACKTRACE,
        Format::Rust,
        &["vec_lib::store::Store::get", "app::load::{closure}", "app::main"],
    );
    assert!(read(RUST_BACKTRACE).reason.is_some_and(|reason| reason.contains("store.rs:40:9")));
}

#[test]
fn every_form_of_one_panic_finds_it() {
    expect_match(RUST_BACKTRACE, "bounds");
    expect_match(RUST_GDB, "bounds");
    let captured = serde_json::to_string(&rust_captured()).expect("a report");
    expect_match(&captured, "bounds");
    // The message alone: only the place is known.
    let message = RUST_BACKTRACE.split("stack backtrace:").next().expect("a message");
    expect_match(message, "bounds");
    expect_match("thread 'main' panicked at 'out of range', /x/vec-lib-1.2.3/src/store.rs:40:9\n", "bounds");
}

#[test]
fn an_exhausted_stack_is_found_by_its_message_alone() {
    expect_match(
        "\nthread 'main' (71) has overflowed its stack\nfatal runtime error: stack overflow, aborting\nAborted\n",
        "overflow",
    );
}

#[test]
fn cpp_converges_over_gdb_sanitizer_valgrind_and_capture() {
    let gdb = "Program received signal SIGSEGV, Segmentation fault.\n\
        #0  0x00007ffff7e5a9c0 in __memmove_avx_unaligned_erms () from /lib/x86_64-linux-gnu/libc.so.6\n\
        #1  0x0000000000401136 in img::decode::row (this=0x7ffe, width=<optimized out>) at /src/decode.cpp:31\n\
        #2  0x0000000000401200 in img::decode::open<char> (path=\"a) b(\") at /src/decode.cpp:12\n\
        #3  0x0000000000401300 in main (argc=2, argv=0x7ffe) at /src/main.cpp:5\n";
    let asan = "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60 at pc 0x4a bp 0x7f sp 0x7f\nWRITE of size 8 at 0x60 thread T0\n    \
        #0 0x49fd31 in __asan_memcpy /llvm/compiler-rt/lib/asan/asan_interceptors_memintrinsics.cpp:22:3\n    \
        #1 0x4f2b11 in img::decode::row(unsigned int) /src/decode.cpp:31:9\n    \
        #2 0x4f2c22 in void img::decode::open<char>(char const*) /src/decode.cpp:12:5\n    \
        #3 0x4f2d33 in main /src/main.cpp:5:3\n    \
        #4 0x7f00 in __libc_start_main (/lib/x86_64-linux-gnu/libc.so.6+0x24082) (BuildId: 1878)\n    \
        #5 0x41c in _start (/bin/app+0x41c)\n\n0x60 is located 0 bytes after 16-byte region\nallocated by thread T0 here:\n    \
        #0 0x49 in malloc /llvm/x.cpp:1:1\n    #1 0x4f in main /src/main.cpp:4:3\n";
    let valgrind = "==12== Invalid write of size 8\n==12==    at 0x4C32373: memmove (vg_replace_strmem.c:1270)\n\
        ==12==    by 0x401136: img::decode::row(unsigned int) (decode.cpp:31)\n\
        ==12==    by 0x401200: void img::decode::open<char>(char const*) (decode.cpp:12)\n\
        ==12==    by 0x401300: main (main.cpp:5)\n==12==  Address 0x60 is 0 bytes after a block\n\
        ==12==    at 0x4C2FB0F: malloc (in /usr/lib/valgrind/vgpreload.so)\n==12==    by 0x401280: main (main.cpp:4)\n";
    let own = ["img::decode::row", "img::decode::open", "main"];
    for (text, format) in [(gdb, Format::Gdb), (asan, Format::Sanitizer), (valgrind, Format::Valgrind)] {
        let report = read(text);
        assert_eq!(report.format, format);
        let trace = normalize(&report);
        let named: Vec<&str> =
            trace.frames.iter().filter(|frame| !frame.standard).map(TraceFrame::key).collect();
        assert_eq!(named, own, "{text}");
        assert_eq!(fingerprint(&trace).frames, own);
        assert_eq!(fingerprint(&trace).digest, fingerprint(&normalize(&read(asan))).digest);
        expect_match(text, "write");
    }
}

#[test]
fn unrelated_stacks_are_new() {
    let text = "#0  0x1 in other::thing::explode (a=1) at /src/t.cpp:1\n#1  0x2 in other::thing::run () at /src/t.cpp:2\n#2  0x3 in main () at m.c:1\n";
    let found = incidents().match_trace(&normalize(&read(text)), 5);
    assert!(found.new, "{found:#?}");
}

#[test]
fn ubsan_and_panic_messages_give_a_location() {
    let report =
        read("/src/a.c:12:5: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented\n");
    assert_eq!(report.threads[0].frames[0].line, Some(12));
    assert_eq!(keys(&normalize(&report)), ["at a.c:12"]);
}

#[test]
fn java_with_a_cause() {
    let text = "Exception in thread \"main\" java.lang.RuntimeException: wrapped\n\tat org.app.Outer.run(Outer.java:10)\n\tat org.app.Main.main(Main.java:3)\n\
        Caused by: java.lang.IllegalStateException: inner\n\tat java.util.Objects.requireNonNull(Objects.java:1)\n\tat org.app.Inner.lambda$load$0(Inner.java:7)\n\t... 1 more\n";
    expect(
        text,
        Format::Java,
        &["java.util.Objects.requireNonNull", "org.app.Inner.load", "org.app.Main.main"],
    );
    assert_eq!(read(text).reason.as_deref(), Some("java.lang.IllegalStateException: inner"));
}

#[test]
fn python_innermost_first() {
    let text = "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    run()\n  File \"/app/work.py\", line 9, in run\n    raise KeyError(1)\nKeyError: 1\n";
    expect(text, Format::Python, &["work.run", "main.module"]);
}

#[test]
fn node_go_and_kernel() {
    let node = "TypeError: x is not a function\n    at check (/app/lib/check.js:27:9)\n    at async Object.run (/app/run.js:3:1)\n    at node:internal/main:1:1\n";
    expect(node, Format::Node, &["check.check", "run.run"]);
    let go = "panic: runtime error: index out of range [5]\n\ngoroutine 1 [running]:\nmain.(*List).At(...)\n\t/app/list.go:7\nmain.main()\n\t/app/main.go:3 +0x1d\n\ngoroutine 7 [select]:\nmain.wait()\n\t/app/wait.go:1 +0x1\n";
    expect(go, Format::Go, &["main.List.At", "main.main"]);
    let kernel = "[  10.1][ T12] BUG: KASAN: use-after-free in nft_flush+0x12/0x80 net/nft.c:10\n[  10.1][ T12] Read of size 8\n[  10.1][ T12] Call Trace:\n[  10.1][ T12]  <TASK>\n[  10.1][ T12]  dump_stack_lvl+0x1/0x2 lib/dump_stack.c:88\n[  10.1][ T12]  kasan_report+0x1/0x2 mm/kasan/report.c:1\n[  10.1][ T12]  ? old+0x1/0x2\n[  10.1][ T12]  nft_flush+0x12/0x80 net/nft.c:10\n[  10.1][ T12]  __x64_sys_close+0x1/0x2 fs/open.c:2\n[  10.1][ T12]  do_syscall_64+0x1/0x2\n[  10.1][ T12]  </TASK>\n";
    expect(kernel, Format::Kernel, &["nft_flush", "sys_close"]);
}

#[test]
fn minidump_casr_and_apple() {
    let minidump = "Crash reason:  SIGSEGV\nCrash address: 0x0\n\nThread 0 main\n 0  app!idle [a.c : 1 + 0x3]\n\nThread 1  (crashed)\n 0  app!img::row(int) [row.c : 58 + 0x3]\n     eip = 0x0040429e\n    Found by: given as instruction pointer in context\n 1  app!main [main.c : 65]\n    Found by: stack scanning\n";
    expect(minidump, Format::Minidump, &["img::row"]);
    let casr = r##"{"Stacktrace": ["#0  0x1 in img::row (a=1) at /s/row.c:3", "#1 0x2 in main /s/main.c:4:1"], "CrashLine": "/s/row.c:3", "timestamp": 1668783695292947691}"##;
    expect(casr, Format::Casr, &["img::row", "main"]);
    let apple = "Exception Type:  SIGSEGV\nThread 0 Crashed:\n0   App    0x00000001018b8cad -[Player play:] + 285\n1   App    0x00000001018ba765 main + 12\n";
    expect(apple, Format::Apple, &["-[Player play:]", "main"]);
}

#[test]
fn our_own_json_comes_back() {
    let report = read(RUST_BACKTRACE);
    let again = parse(&serde_json::to_vec(&report).expect("json")).expect("own JSON");
    assert_eq!(report, again);
    let frames = serde_json::to_vec(&captured(&["_ZN3app4main17h0123456789abcdefE"])).expect("json");
    assert_eq!(keys(&normalize(&parse(&frames).expect("frames"))), ["app::main"]);
}

#[test]
fn what_is_no_stack_is_refused() {
    for text in ["", "hello world", "{}", "[]", "{\"a\": 1}", "[1, 2]", "all tests passed\n#hashtag"] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(parse(b"nothing here"), Err(StackError::UnknownFormat));
}

#[test]
fn limits_hold_at_and_past_them() {
    let at = vec![b'x'; MAX_TEXT_BYTES];
    assert_eq!(parse(&at), Err(StackError::UnknownFormat));
    assert_eq!(
        parse(&vec![b'x'; MAX_TEXT_BYTES + 1]),
        Err(StackError::TooLarge { bytes: MAX_TEXT_BYTES + 1 })
    );
    let frames = |count: usize| {
        (0..count).map(|at| format!("#{at}  0x1 in f{at} (a=1) at a.c:1\n")).collect::<String>()
    };
    assert!(read(&frames(MAX_FRAMES)).warnings.is_empty());
    let past = read(&frames(MAX_FRAMES + 1));
    assert_eq!((past.threads[0].frames.len(), past.warnings.len()), (MAX_FRAMES, 1));
}

#[test]
fn the_index_refuses_damage_and_comes_back() {
    let index = incidents();
    let bytes = index.to_bytes().to_vec();
    let query = normalize(&read(RUST_GDB));
    let again = Index::from_bytes(bytes.as_slice()).expect("the same bytes");
    assert_eq!(again.match_trace(&query, 3), index.match_trace(&query, 3));
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        assert!(Index::from_bytes(damaged).is_err(), "byte {at}");
    }
    assert!(Index::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(Index::build(&[]).expect("empty").match_trace(&query, 3).new);
}

/// Texts that make pathological work if anything is worse than linear.
#[test]
fn a_quarter_mebibyte_of_anything_is_read_in_bounded_time() {
    let size = 1 << 18;
    let lines = [
        "#0 0x1 in a<",
        "<<<<<<<<",
        "((((((((",
        "#1 0x2 in f(",
        "    at ",
        "[<",
        "thread '",
        "::",
        "a::",
        "  File \"",
        "== ",
        "Call Trace:\n f+0x1/0x2\n",
        "goroutine 1 [running]:\n",
        "{",
        "[",
        "\u{1b}[",
    ];
    for line in lines {
        for separator in ["", "\n"] {
            let text: String = format!("{line}{separator}").repeat(size / (line.len() + separator.len()));
            let start = std::time::Instant::now();
            if let Ok(report) = parse(text.as_bytes()) {
                let _ = fingerprint(&normalize(&report));
            }
            println!("{line:?}: {:?}", start.elapsed());
            assert!(start.elapsed().as_secs() < 20, "{line:?} took {:?}", start.elapsed());
        }
    }
}

fn samples() -> Vec<String> {
    let report = serde_json::to_string(&read(RUST_BACKTRACE)).expect("json");
    vec![RUST_BACKTRACE.to_owned(), RUST_GDB.to_owned(), report]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn crash_like_text_never_panics(text in "(#[0-9]{1,3} +|0x[0-9a-f]{1,9} in |at |by |[a-z:<>(){}$_.&*'` é\\[\\]+]{1,12}|/a\\.c:[0-9]{1,9}|\n|\t|File \"|line |==1== |_ZN[0-9]{1,4}|_R[A-Za-z]{1,4}|Call Trace:\n|goroutine 1 \\[running\\]:\n|stack backtrace:\n){0,80}") {
        if let Ok(report) = parse(text.as_bytes()) {
            let trace = normalize(&report);
            let _ = fingerprint(&trace);
            let _ = incidents().match_trace(&trace, 3);
        }
    }

    #[test]
    fn mutated_reports_never_panic(which in 0..3_usize, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<prop::sample::Index>()) {
        let mut bytes = samples()[which].clone().into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(report) = parse(&bytes) {
            let _ = incidents().match_trace(&normalize(&report), 3);
        }
    }
}
