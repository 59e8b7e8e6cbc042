//! Executed functions against what the source says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use assay_binary::Address;
use assay_witness::{CoveragePlan, Layout, ReplayRequest};

use crate::lab::{Lab, assert_exited};

const SOURCE: &str = r#"
#include <unistd.h>
#include <sys/wait.h>
#include <pthread.h>
void leaf_called(void) {} void leaf_not_called(void) {}
void only_in_child(void) {} void only_in_thread(void) {}
void caller(int n) { if (n) leaf_called(); else leaf_not_called(); }
static void *run(void *a) { only_in_thread(); return 0; }
int main() { caller(1); caller(2); if (!fork()) { only_in_child(); _exit(0); } wait(0);
    pthread_t t; pthread_create(&t, 0, run, 0); pthread_join(t, 0); return 0; }"#;

/// Functions by `nm`, an independent reader.
fn functions(program: &Path) -> Vec<(u64, String)> {
    let output = Command::new("nm").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let mut fields = line.split(' ');
        let (address, kind, name) = (fields.next()?, fields.next()?, fields.next()?);
        matches!(kind, "T" | "t").then(|| (u64::from_str_radix(address, 16).unwrap(), name.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn executed_functions_are_those_that_the_source_calls() {
    let Some(lab) = Lab::new() else { return };
    for flags in [&["-fPIE", "-pie"][..], &["-no-pie"]] {
        let program = lab.compile("covered", SOURCE, flags);
        let recording = lab.record(&[program.to_str().unwrap()]);
        let all = functions(&program);
        let entries = all.iter().map(|(address, _)| Address(*address)).collect();
        let path = program.canonicalize().unwrap().to_str().unwrap().to_owned();
        for layout in [Layout::Fixed, Layout::Elsewhere(1)] {
            let plan = CoveragePlan {
                path: path.clone(),
                entries: Vec::clone(&entries),
                traps: Vec::new(),
                watch: Vec::new(),
            };
            let request = ReplayRequest { coverage: vec![plan], layout, ..ReplayRequest::default() };
            let report = lab.replay_as(&recording, &request);
            assert_exited(&report);
            let executed: BTreeSet<u64> = report.functions_executed.iter().map(|f| f.offset.0).collect();
            let was = |name: &str| all.iter().any(|(at, n)| n == name && executed.contains(at));
            for name in ["main", "caller", "leaf_called", "only_in_child", "only_in_thread", "run", "_start"]
            {
                assert!(was(name), "{name} {flags:?}");
            }
            assert!(!was("leaf_not_called"));
            assert_eq!(report.unknown_code, []);
            let plain = lab.replay(&recording);
            assert_eq!(plain.trace_digest, report.trace_digest, "watching changes nothing");
        }
    }
}

#[test]
fn code_outside_known_functions_is_seen() {
    let Some(lab) = Lab::new() else { return };
    let program = lab.compile("covered", SOURCE, &["-no-pie"]);
    let recording = lab.record(&[program.to_str().unwrap()]);
    let all = functions(&program);
    let at = |name: &str| all.iter().find(|(_, n)| n == name).unwrap().0;
    let traps =
        vec![at("leaf_called")..at("leaf_called") + 2, at("leaf_not_called")..at("leaf_not_called") + 2];
    let path = program.canonicalize().unwrap().to_str().unwrap().to_owned();
    let plan = CoveragePlan { path, entries: vec![Address(at("main"))], traps, watch: Vec::new() };
    let request = ReplayRequest { coverage: vec![plan], ..ReplayRequest::default() };
    let report = lab.replay_as(&recording, &request);
    assert_exited(&report);
    let places: BTreeSet<u64> = report.unknown_code.iter().map(|frame| frame.offset.0).collect();
    assert!(places.contains(&at("leaf_called")) && !places.contains(&at("leaf_not_called")), "{places:x?}");
}

#[test]
fn functions_of_libraries_are_seen_wherever_they_are_loaded() {
    let Some(lab) = Lab::new() else { return };
    let place =
        |name: &str| lab.folder.path().join(name).canonicalize().unwrap().to_str().unwrap().to_owned();
    let library = |name: &str, source: &str| {
        let file = lab.folder.path().join(format!("{name}.c"));
        std::fs::write(&file, source).unwrap();
        let output = lab.folder.path().join(format!("{name}.so"));
        let done = Command::new("cc").args(["-shared", "-fPIC", "-O0", "-o"]).args([&output, &file]).status();
        assert!(done.unwrap().success());
        output
    };
    let linked = library("linked", "int linked_called(void){return 1;} int linked_idle(void){return 2;}");
    let opened = library(
        "opened",
        "int opened_called(void){return 3;} int opened_in_child(void){return 4;} int opened_idle(void){return 5;}",
    );
    let source = format!(
        "#include <dlfcn.h>\n#include <unistd.h>\n#include <sys/wait.h>\nint linked_called(void);\nint main(){{ linked_called(); void*h=dlopen(\"{}\",RTLD_NOW); int(*f)(void)=dlsym(h,\"opened_called\"); f(); int st; if(!fork()){{ int(*g)(void)=dlsym(h,\"opened_in_child\"); _exit(g()); }} wait(&st); return WEXITSTATUS(st)==4?0:1; }}",
        opened.display()
    );
    let rpath = format!("-Wl,-rpath,{}", lab.folder.path().display());
    let program = lab.compile("program", &source, &[linked.to_str().unwrap(), "-ldl", &rpath]);
    let recording = lab.record(&[program.to_str().unwrap()]);
    let files = [linked, opened];
    let plans = files.iter().map(|file| {
        let entries = functions(file).into_iter().map(|(address, _)| Address(address)).collect();
        let path = place(file.file_name().unwrap().to_str().unwrap());
        CoveragePlan { path, entries, traps: Vec::new(), watch: Vec::new() }
    });
    let coverage: Vec<CoveragePlan> = plans.collect();
    for layout in [Layout::Fixed, Layout::Elsewhere(1)] {
        let request = ReplayRequest { coverage: coverage.clone(), layout, ..ReplayRequest::default() };
        let report = lab.replay_as(&recording, &request);
        assert_exited(&report);
        let was = |file: &Path, name: &str| {
            let at = functions(file).into_iter().find(|(_, n)| n == name).unwrap().0;
            let here = |f: &&assay_binary::FunctionRef| {
                f.module.path.ends_with(file.file_name().unwrap().to_str().unwrap())
            };
            report.functions_executed.iter().filter(here).any(|f| f.offset.0 == at)
        };
        assert!(was(&files[0], "linked_called") && !was(&files[0], "linked_idle"));
        assert!(was(&files[1], "opened_called") && !was(&files[1], "opened_idle"));
        assert!(was(&files[1], "opened_in_child"), "{layout:?}");
        assert_eq!(report.trace_digest, lab.replay(&recording).trace_digest, "watching changes nothing");
    }
}

#[test]
fn executed_instructions_that_tell_about_the_cpu_are_reported() {
    let Some(lab) = Lab::new() else { return };
    let source = "static int ask(void){unsigned a=0,b,c,d;__asm__ volatile(\"cpuid\":\"+a\"(a),\"=b\"(b),\"=c\"(c),\"=d\"(d));return a>0;} static int idle(void){unsigned long r;__asm__ volatile(\"rdrand %0\":\"=r\"(r));return r;}\nint main(int c,char**v){ return c>5?idle():(c>1?ask()*0:0); }";
    let program = lab.compile("asks", source, &[]);
    let path = program.canonicalize().unwrap().to_str().unwrap().to_owned();
    let all = functions(&program);
    let entries: Vec<Address> = all.iter().map(|(address, _)| Address(*address)).collect();
    for (arguments, wanted) in [(&["x"][..], vec!["cpuid"]), (&[], vec![])] {
        let command = [&[path.as_str()], arguments].concat();
        let recording = lab.record(&command);
        let plan = CoveragePlan {
            path: path.clone(),
            entries: entries.clone(),
            traps: Vec::new(),
            watch: Vec::new(),
        };
        let report =
            lab.replay_as(&recording, &ReplayRequest { coverage: vec![plan], ..ReplayRequest::default() });
        assert_exited(&report);
        let names: Vec<&str> =
            report.environment_instructions.iter().map(|i| i.instruction.as_str()).collect();
        assert_eq!((names, report.environment_bound), (wanted.clone(), !wanted.is_empty()));
        if let Some(found) = report.environment_instructions.first() {
            let asks = all.iter().find(|(_, name)| name == "ask").unwrap().0;
            assert!((asks..asks + 64).contains(&found.place.offset.0));
        }
    }
}
