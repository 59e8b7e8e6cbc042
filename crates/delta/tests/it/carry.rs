//! What carries and what does not, in C and in Rust.

use assay_delta::{Executed, Prover, Reason, Refusal, check, prove};

use crate::build::{all_but, build, c, only, rust};

/// One program that does a bit of everything; the tests replace parts of it.
const C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#define NOINLINE __attribute__((noinline, noclone))
static volatile int sink;
static int table[5] = {3, 1, 4, 1, 5};
static const int primes[6] = {2, 3, 5, 7, 11, 13};
int initial = 42;
struct ops { int (*run)(int); const char *name; };
NOINLINE int add(int x) { return x + 1 + sink; }
NOINLINE int sub(int x) { return x - 1 - sink; }
static const struct ops ops = { add, "add" };
NOINLINE int unrelated(int x) { puts("unrelated"); sink = x; return x * 77; }
NOINLINE int pick(int x) {
    switch (x) { case 0: return sink; case 1: return sink * 17; case 2: puts("two"); return 2;
                 case 3: return table[x & sink]; case 4: sink = 9; return 99; case 5: puts("five"); return 1;
                 case 6: sink += 4; return -4; case 7: abort(); }
    return x;
}
NOINLINE int tail(int x) { return pick(x + 5); }
NOINLINE int sum(int n) { int s = 0; for (int i = 0; i < n; i++) s += primes[i % 6] * table[i % 5]; return s; }
__attribute__((constructor)) static void first(void) { sink += 1; }
__attribute__((constructor)) static void second(void) { sink *= 2; }
static int resolve_a(int x) { return x + 100; }
static int resolve_b(int x) { return x + 200; }
static int (*resolver(void))(int) { return resolve_a; }
int chosen(int) __attribute__((ifunc("resolver")));
int main(int argc, char **argv) {
    const struct ops *volatile o = &ops;
    printf("%d %d %d\n", o->run(argc), tail(argc), sum(argc) + initial + chosen(argc));
    if (argc > 3) printf("%d\n", unrelated(argc) + sub(argc) + resolve_b(argc));
    return 0;
}
"#;

fn changed(from: &str, to: &str) -> String {
    assert!(C.contains(from), "{from}");
    C.replace(from, to)
}

fn reasons(refusals: &[Refusal]) -> Vec<Reason> {
    refusals.iter().map(|refusal| refusal.reason).collect()
}

/// Both versions, and the executed functions of the first: all but what main reaches only with
/// more arguments.
fn pair(source: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((c(C)?, c(source)?))
}

const NOT_EXECUTED: [&str; 3] = ["unrelated", "sub", "resolve_b"];

#[track_caller]
fn refused(source: &str, expected: Reason) {
    let Some((a, b)) = pair(source) else { return };
    let executed = all_but(&a, &NOT_EXECUTED);
    match prove(&a, &b, Executed::Units(&executed)) {
        Ok(_) => panic!("carried, expected {expected:?}"),
        Err(refusals) => assert!(reasons(&refusals).contains(&expected), "{refusals:#?}"),
    }
}

#[test]
fn the_same_source_twice_carries_and_checks() {
    let Some((a, b)) = pair(C) else { return };
    let proof = prove(&a, &b, Executed::All).unwrap();
    assert!(proof.executed.len() > 10);
    let report = check(&proof, &a, &b).unwrap();
    assert_eq!(report.functions_unchanged, proof.executed.len() as u64);
    let text = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<assay_delta::DeltaProof>(&text).unwrap(), proof);
}

#[test]
fn a_change_elsewhere_carries() {
    for to in ["return x * 78;", "puts(\"two\"); sink += 3; return x - sub(x);"] {
        let Some((a, b)) = pair(&changed("return x * 77;", to)) else { return };
        let executed = all_but(&a, &NOT_EXECUTED);
        let proof = prove(&a, &b, Executed::Units(&executed)).unwrap();
        check(&proof, &a, &b).unwrap();
        assert!(prove(&a, &b, Executed::All).is_err());
    }
}

#[test]
fn a_forged_proof_is_noticed() {
    let Some((a, b)) = pair(&changed("return x * 77;", "return x * 78;")) else { return };
    let executed = all_but(&a, &NOT_EXECUTED);
    let proof = prove(&a, &b, Executed::Units(&executed)).unwrap();
    assert!(check(&proof, &b, &a).is_err());
    let mut forged = proof.clone();
    forged.executed.pop();
    assert!(check(&forged, &a, &b).is_err() || forged.executed.len() + 1 == proof.executed.len());
    let mut forged = proof.clone();
    forged.data.pop();
    assert!(check(&forged, &a, &b).is_err());
    let mut forged = proof.clone();
    forged.assumptions.pop();
    assert!(check(&forged, &a, &b).is_err());
    let mut forged = proof;
    let unrelated = only(&a, &["unrelated"])[0];
    forged.executed[0].address_a = unrelated;
    assert!(check(&forged, &a, &b).is_err());
}

#[test]
fn an_executed_function_changed() {
    refused(&changed("return x + 1 + sink", "return x + 2 + sink"), Reason::FunctionChanged);
}

#[test]
fn a_callee_swapped() {
    refused(&changed("o->run(argc), tail(argc)", "o->run(argc), pick(argc)"), Reason::ReferenceDiffers);
}

#[test]
fn a_tail_call_argument() {
    refused(&changed("pick(x + 5)", "pick(x + 6)"), Reason::FunctionChanged);
}

#[test]
fn a_string_that_executed_code_prints() {
    refused(&changed("puts(\"five\")", "puts(\"FIVE\")"), Reason::DataDiffers);
}

#[test]
fn a_jump_table() {
    let source = changed(
        "case 0: return sink; case 1: return sink * 17;",
        "case 1: return sink; case 0: return sink * 17;",
    );
    let Some((a, b)) = pair(&source) else { return };
    let executed = all_but(&a, &NOT_EXECUTED);
    let refusals = prove(&a, &b, Executed::Units(&executed)).unwrap_err();
    let found = reasons(&refusals);
    assert!(
        found.contains(&Reason::JumpTableDiffers) || found.contains(&Reason::FunctionChanged),
        "{refusals:#?}"
    );
}

#[test]
fn a_slot_of_a_table_of_functions() {
    refused(&changed("{ add, \"add\" }", "{ sub, \"add\" }"), Reason::ReferenceDiffers);
}

#[test]
fn an_initial_value() {
    refused(&changed("initial = 42", "initial = 43"), Reason::DataDiffers);
}

#[test]
fn an_array_element() {
    refused(&changed("{2, 3, 5, 7, 11, 13}", "{2, 3, 5, 7, 11, 17}"), Reason::DataDiffers);
    refused(&changed("{3, 1, 4, 1, 5}", "{3, 1, 4, 2, 5}"), Reason::DataDiffers);
}

#[test]
fn the_order_of_initialisers() {
    let source = changed("(constructor)) static void first", "(constructor(102))) static void first")
        .replace("(constructor)) static void second", "(constructor(101))) static void second");
    refused(&source, Reason::InitialisersDiffer);
}

#[test]
fn the_choice_of_an_indirect_function() {
    let Some((a, b)) = pair(&changed("return resolve_a;", "return resolve_b;")) else { return };
    let executed = all_but(&a, &NOT_EXECUTED);
    assert!(prove(&a, &b, Executed::Units(&executed)).is_err());
}

#[test]
fn an_import_elsewhere() {
    refused(&changed("return x * 77;", "return rand() * x;"), Reason::ImportsDiffer);
}

#[test]
fn link_order_reversed_is_moved_only() {
    let one = "int g(int); int f(int x) { return g(x) + 1; } int f2(int x) { return f(x) * 3; }";
    let two = "int f(int); int g(int x) { return x > 9 ? x : f(x * 2); } int g2(int x) { return g(x) - 4; }";
    let main = "#include <stdio.h>\nint f2(int); int g2(int); int main(int n, char **v) { printf(\"%d\\n\", f2(n) + g2(n)); return 0; }";
    let files = |order: [usize; 3]| order.map(|i| [("main.c", main), ("one.c", one), ("two.c", two)][i]);
    let Some(a) = build("cc", &files([0, 1, 2]), &["-O2"]) else { return };
    let Some(b) = build("cc", &files([2, 1, 0]), &["-O2"]) else { return };
    let (index_a, index_b) = (assay_delta::Index::build(&a).unwrap(), assay_delta::Index::build(&b).unwrap());
    let delta = assay_delta::diff(&index_a, &index_b);
    assert!(delta.functions.changed.is_empty(), "{:#?}", delta.functions.changed);
    assert!(delta.functions.added.is_empty() && delta.functions.removed.is_empty());
    assert!(!delta.functions.moved.is_empty());
    assert_eq!((delta.delta_information, delta.delta_entropy), (0.0, 0.0));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let files = [("t.c", C)];
    let Some(a) = c(C) else { return };
    for (args, expected) in [
        (&["-O2", "-s"][..], Reason::NoSymbols),
        (&["-O2", "-no-pie", "-fno-pie"], Reason::PositionDependent),
        (&["-O2", "-z", "now"], Reason::FlagsDiffer),
        (&["-O2", "-Wl,--no-as-needed", "-lm"], Reason::LibrariesDiffer),
    ] {
        let Some(b) = build("cc", &files, args) else { return };
        let refusals = prove(&a, &b, Executed::All).unwrap_err();
        assert!(reasons(&refusals).contains(&expected), "{args:?}: {refusals:#?}");
    }
    let refusals = prove(&a, b"no binary", Executed::All).unwrap_err();
    assert_eq!(reasons(&refusals), [Reason::Unreadable]);
    assert_eq!(Reason::OrderMayBeObserved.to_string(), "order_may_be_observed");
    assert_eq!(serde_json::to_value(Reason::NoSymbols).unwrap(), Reason::NoSymbols.to_string());
}

#[test]
fn address_taken_functions_in_another_order() {
    let one = "__attribute__((noinline)) int low(int x) { return x + sink; }\n";
    let two = "__attribute__((noinline)) int high(int x) { return x * sink; }\n";
    let rest = "int main(int n, char **v) { int (*volatile f)(int) = low; int (*volatile g)(int) = high; return f(n) + g(n) + (f < g); }";
    let source = |first: &str, second: &str| format!("static volatile int sink;\n{first}{second}{rest}");
    let args = ["-O2", "-fno-toplevel-reorder"];
    let Some(a) = build("cc", &[("t.c", &source(one, two))], &args) else { return };
    let Some(b) = build("cc", &[("t.c", &source(two, one))], &args) else { return };
    let refusals = prove(&a, &b, Executed::All).unwrap_err();
    assert_eq!(reasons(&refusals), [Reason::OrderMayBeObserved], "{refusals:#?}");
}

#[test]
fn the_contents_of_a_registry() {
    let source = |names: [&str; 3]| {
        let item = |name: &&str| {
            format!(
                "static const int item_{name} __attribute__((section(\"registry\"), used)) = sizeof \"{name}\" * 10 + '{name}';\n"
            )
        };
        let items: String = names.iter().map(item).collect();
        format!(
            "#include <stdio.h>\nextern const int __start_registry[], __stop_registry[];\n{items}\
             int main(void) {{ for (const int *i = __start_registry; i < __stop_registry; i++) printf(\"%d\\n\", *i); return 0; }}"
        )
    };
    let Some(a) = c(&source(["a", "b", "c"])) else { return };
    prove(&a, &c(&source(["a", "b", "c"])).unwrap(), Executed::All).unwrap();
    for other in [["a", "c", "b"], ["a", "b", "d"]] {
        let refusals = prove(&a, &c(&source(other)).unwrap(), Executed::All).unwrap_err();
        assert_eq!(reasons(&refusals), [Reason::DataDiffers], "{refusals:#?}");
    }
}

#[test]
fn the_schema_names_what_is_written() {
    let schema = schemars::schema_for!(assay_delta::DeltaProof);
    let text = serde_json::to_string(&schema).unwrap();
    for key in
        ["baseline", "candidate", "normaliserVersion", "referencedFunctions", "addressA", "assumptions"]
    {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
}

const RUST: &str = r#"
use std::collections::HashMap;
trait Shape { fn area(&self, k: u32) -> u32; fn name(&self) -> String; }
struct Square(u32);
struct Circle(u32);
impl Shape for Square { #[inline(never)] fn area(&self, k: u32) -> u32 { self.0 * self.0 + k } fn name(&self) -> String { "square".into() } }
impl Shape for Circle { #[inline(never)] fn area(&self, k: u32) -> u32 { self.0 * 3 + k } fn name(&self) -> String { format!("circle {}", self.0) } }
#[inline(never)]
fn kind(x: u32) -> &'static str { match x { 0 => "zero", 1 => "one", 2 => "two", 3 => "three", 4 => "four", _ => "many" } }
#[inline(never)]
fn shapes(n: u32) -> Vec<Box<dyn Shape>> { vec![Box::new(Square(n)), Box::new(Circle(n + 1))] }
mod other {
    #[inline(never)]
    pub fn unrelated(x: u32) -> u32 { std::hint::black_box(x) * 77 }
}
fn main() {
    let n = std::env::args().count() as u32;
    let mut seen = HashMap::new();
    for shape in shapes(n) { *seen.entry(shape.name()).or_insert(0) += shape.area(n); }
    let total: u32 = seen.values().sum();
    if n > 9 { println!("{}", other::unrelated(n)); }
    println!("{} {}", kind(n), total);
}
"#;

fn rust_pair(from: &str, to: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    assert!(RUST.contains(from), "{from}");
    Some((rust(RUST)?, rust(&RUST.replace(from, to))?))
}

#[test]
fn rust_same_source_twice() {
    let Some((a, b)) = rust_pair("n > 9", "n > 9") else { return };
    let executed = all_but(&a, &[]);
    let proof = prove(&a, &b, Executed::Units(&executed));
    eprintln!("{:#?}", proof.as_ref().err());
    let proof = proof.unwrap();
    check(&proof, &a, &b).unwrap();
}

#[test]
fn rust_change_elsewhere_carries() {
    for to in ["* 78", "* 77 + std::hint::black_box(x) / 3"] {
        let Some((a, b)) = rust_pair("* 77", to) else { return };
        // Nothing panics, so nothing prints a backtrace, and nothing that only a backtrace uses runs.
        let idle = ["unrelated", "backtrace", "gimli", "addr2line", "demangle", "5ErrorNtB5_5Debug"];
        let executed = all_but(&a, &idle);
        let proof = prove(&a, &b, Executed::Units(&executed));
        eprintln!("{:#?}", proof.as_ref().err());
        check(&proof.unwrap(), &a, &b).unwrap();
    }
}

#[test]
fn rust_slot_of_a_vtable_and_strings() {
    for (from, to) in [
        ("self.0 * 3 + k", "self.0 * 4 + k"),
        ("\"three\"", "\"THREE\""),
        ("Box::new(Square(n)), Box::new(Circle(n + 1))", "Box::new(Circle(n + 1)), Box::new(Square(n))"),
    ] {
        let Some((a, b)) = rust_pair(from, to) else { return };
        let executed = all_but(&a, &["unrelated"]);
        assert!(prove(&a, &b, Executed::Units(&executed)).is_err(), "{from} -> {to}");
    }
}

#[test]
fn one_reading_of_two_files_proves_run_after_run() {
    let source = changed("return x * 77;", "return x * 78;");
    let Some((a, b)) = pair(&source) else { return };
    let prover = Prover::read(&a, &b).unwrap();
    let few = only(&a, &["main", "pick"]);
    let without = all_but(&a, &NOT_EXECUTED);
    let all = all_but(&a, &[]);
    // In this order a proof follows a refusal, and the other way round.
    for executed in [&few, &all, &without, &all, &few] {
        let executed = Executed::Units(executed);
        assert_eq!(prover.prove(executed), prove(&a, &b, executed));
    }
    assert!(prover.prove(Executed::Units(&without)).is_ok());
    assert!(prover.prove(Executed::Units(&all)).is_err());
}
