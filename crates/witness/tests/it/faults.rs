//! Faults and the stacks they leave.

use assay_witness::{Ending, INNER_FRAMES, OUTER_FRAMES, RunReport};

use crate::lab::Lab;

fn symbols(report: &RunReport, fault: usize) -> Vec<String> {
    let frames = &report.faults[fault].frames;
    frames.iter().map(|frame| frame.symbol.clone().unwrap_or_default()).collect()
}

#[test]
fn a_wild_write_names_the_function() {
    let source = "__attribute__((noinline)) void crash_here(int*p){*p=1;}\n__attribute__((noinline)) void middle(int*p){crash_here(p);}\nint main(){middle((int*)0x10);return 0;}";
    let Some(lab) = Lab::new() else { return };
    for flags in [&["-O0"][..], &["-no-pie"], &["-static"], &["-O2", "-fomit-frame-pointer"]] {
        let report = lab.run_c(source, flags);
        assert_eq!(report.ending, Ending::Signalled { signal: libc_signal("SEGV") }, "{flags:?}");
        let names = symbols(&report, 0);
        if flags != ["-O2", "-fomit-frame-pointer"] {
            assert_eq!(names[..3], ["crash_here", "middle", "main"], "{flags:?}");
        }
        assert!(names.contains(&"main".to_owned()), "{names:?}");
        assert_eq!(report.faults[0].address, Some(0x10));
        assert!(report.faults[0].frames[0].module.as_ref().unwrap().path.ends_with("/program"));
    }
}

fn libc_signal(name: &str) -> i32 {
    match name {
        "SEGV" => 11,
        "ABRT" => 6,
        _ => unreachable!("named in these tests only"),
    }
}

#[test]
fn abort_is_a_fault_and_a_signal() {
    let Some(lab) = Lab::new() else { return };
    let source = "#include <stdlib.h>\nvoid gives_up(){abort();}\nint main(){gives_up();}";
    let report = lab.run_c(source, &[]);
    assert_eq!(report.ending, Ending::Signalled { signal: libc_signal("ABRT") });
    assert!(symbols(&report, 0).contains(&"gives_up".to_owned()), "{:?}", symbols(&report, 0));
}

#[test]
fn a_stack_overflow_keeps_both_ends() {
    let source = "int down(int n){volatile char pad[32];pad[0]=n;return down(n+1)+pad[0];}\nint main(){return down(0);}";
    let Some(lab) = Lab::new() else { return };
    let report = lab.run_c(source, &[]);
    assert_eq!(report.ending, Ending::Signalled { signal: libc_signal("SEGV") });
    let fault = &report.faults[0];
    assert_eq!(fault.frames.len(), INNER_FRAMES + OUTER_FRAMES);
    assert!(fault.frames_omitted > 10_000, "{}", fault.frames_omitted);
    let names = symbols(&report, 0);
    assert_eq!(names[0], "down");
    assert!(names.contains(&"main".to_owned()), "{:?}", &names[INNER_FRAMES..]);
}

#[test]
fn a_handled_fault_followed_by_abort_leaves_both() {
    let source = r#"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
static char alt[65536]; static void on(int s, siginfo_t *i, void *c) { abort(); }
int down(int n) { volatile char pad[64]; pad[0] = n; return down(n + 1) + pad[0]; }
int main() { stack_t s = {.ss_sp = alt, .ss_size = sizeof alt}; sigaltstack(&s, 0);
    struct sigaction a; memset(&a, 0, sizeof a); a.sa_sigaction = on; a.sa_flags = SA_SIGINFO | SA_ONSTACK; sigaction(SIGSEGV, &a, 0); return down(0); }"#;
    let Some(lab) = Lab::new() else { return };
    let report = lab.run_c(source, &[]);
    assert_eq!(report.ending, Ending::Signalled { signal: libc_signal("ABRT") });
    let signals: Vec<i32> = report.faults.iter().map(|fault| fault.signal).collect();
    assert_eq!(signals, [libc_signal("SEGV"), libc_signal("ABRT")]);
}

#[test]
fn division_illegal_instruction_and_trap() {
    let Some(lab) = Lab::new() else { return };
    for (body, signal) in
        [("volatile int z=0;return 7/z;", 8), ("__builtin_trap();", 4), ("__asm__(\"int3\");", 5)]
    {
        let report = lab.run_c(&format!("int main(){{{body}}}"), &[]);
        assert_eq!(report.ending, Ending::Signalled { signal }, "{body}");
        assert_eq!(report.faults[0].signal, signal);
        assert_eq!(symbols(&report, 0)[0], "main");
    }
}

/// Rust's own handler turns the fault into an abort; `lld` lays segments out so that pages of the file
/// belong to two of them.
#[test]
fn a_rust_stack_overflow_leaves_the_fault_and_the_abort() {
    let Some(lab) = Lab::new() else { return };
    let file = lab.folder.path().join("overflow.rs");
    let source = "#[inline(never)] fn recurse(n: u64) -> u64 { let a = [n; 50]; std::hint::black_box(&a); if n == u64::MAX { 0 } else { recurse(n + 1) + a[(n % 50) as usize] } }\nfn main() { std::process::exit(recurse(0) as i32) }";
    std::fs::write(&file, source).unwrap();
    let program = lab.folder.path().join("overflow");
    let compiled = std::process::Command::new("rustc").args(["-g", "-o"]).args([&program, &file]).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no rustc");
        return;
    }
    let recording = lab.record(&[program.to_str().unwrap()]);
    let report = lab.replay(&recording);
    assert_eq!(report.ending, Ending::Signalled { signal: libc_signal("ABRT") });
    assert_eq!(report.faults.len(), 2);
    assert!(symbols(&report, 0)[0].contains("recurse"), "{:?}", &symbols(&report, 0)[..1]);
    assert!(report.faults[0].frames_omitted > 1000);
    assert!(symbols(&report, 0).iter().any(|name| name.contains("lang_start")));
    assert!(symbols(&report, 1).iter().any(|name| name.contains("recurse")), "through the signal's frame");
}
