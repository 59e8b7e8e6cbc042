//! What replays of mutants showed: each false carry-over of the bench, and what divides constants.

use assay_binary::Image;
use assay_delta::{Executed, Reason, Refusal, prove};

use crate::build::{all_but, build, c};

fn reasons(refusals: &[Refusal]) -> Vec<Reason> {
    refusals.iter().map(|refusal| refusal.reason).collect()
}

#[track_caller]
fn refused(a: &[u8], b: &[u8], but: &[&str], expected: Reason) {
    let executed = all_but(a, but);
    let refusals = prove(a, b, Executed::Units(&executed)).expect_err("it was carried");
    assert!(reasons(&refusals).contains(&expected), "{refusals:#?}");
}

#[track_caller]
fn carries(a: &[u8], b: &[u8], but: &[&str]) {
    let executed = all_but(a, but);
    if let Err(refusals) = prove(a, b, Executed::Units(&executed)) {
        panic!("{refusals:#?}");
    }
}

/// The bytes with `new` written at an offset into a section.
fn patched(bytes: &[u8], section: &str, offset: usize, new: &[u8]) -> Vec<u8> {
    let image = Image::parse(bytes).unwrap();
    let at = image.section(section).unwrap().file.start + offset;
    let mut out = bytes.to_vec();
    out[at..at + new.len()].copy_from_slice(new);
    out
}

/// Mutant: `functions aligned` of a program that prints distances between return addresses; and an
/// unrelated text in one that prints its program headers.
#[test]
fn a_program_that_looks_at_its_own_image() {
    let source = |number: &str| {
        format!(
            "#define _GNU_SOURCE\n#include <link.h>\n#include <stdio.h>\n\
             static int look(struct dl_phdr_info *i, size_t s, void *c) {{ printf(\"%lu\\n\", i->dlpi_phdr[2].p_memsz); return 1; }}\n\
             int unrelated(int x) {{ puts(\"some {number}\"); return x; }}\n\
             int main(int n, char **v) {{ dl_iterate_phdr(look, 0); return n > 9 ? unrelated(n) : 0; }}\n"
        )
    };
    let (Some(a), Some(b)) = (c(&source("text")), c(&source("longer text"))) else { return };
    refused(&a, &b, &["unrelated"], Reason::OwnImageMayBeObserved);
    // A file is its own image.
    carries(&a, &a, &["unrelated"]);
}

/// Mutants: one bit of the Bloom filter, so that libc's `stdout` was no longer the program's copy; and
/// a size in the table's head, on which the loader stopped.
#[test]
fn a_damaged_hash_table() {
    let source = "#include <stdio.h>\nint shown(int x) { return x; }\nint main(int n, char **v) { fputs(\"x\", stdout); return shown(n); }\n";
    let Some(a) = build("cc", &[("t.c", source)], &["-O2", "-rdynamic"]) else { return };
    const FILTER: usize = 16;
    const FILTERS: usize = 8;
    refused(&a, &patched(&a, ".gnu.hash", FILTER, &[0; 8]), &[], Reason::ExportsDiffer);
    refused(&a, &patched(&a, ".gnu.hash", FILTERS, &0x4001u32.to_le_bytes()), &[], Reason::ExportsDiffer);
    let Some(a) = c("#include <stdio.h>\nint main(void) { return puts(\"x\"); }\n") else { return };
    refused(&a, &patched(&a, ".gnu.hash", FILTERS, &0x4001u32.to_le_bytes()), &[], Reason::ExportsDiffer);
}

/// Mutant: a relocation whose slot lay outside of every segment; the loader died of it.
#[test]
fn a_slot_that_cannot_be_written() {
    let Some(a) = c("#include <stdio.h>\nint main(void) { return puts(\"x\"); }\n") else { return };
    refused(&a, &patched(&a, ".rela.dyn", 4, &[0x40]), &[], Reason::RelocationsOverlap);
}

/// Mutant: a statement of a Rust program removed that was never executed. The standard library asks for
/// the main thread's stack, libc reads `/proc/self/maps` for that, and the segments listed there had
/// moved in the file.
#[test]
fn a_program_that_lists_its_segments() {
    let source = |bytes: u32| {
        format!(
            "#define _GNU_SOURCE\n#include <pthread.h>\n\
             __attribute__((noinline)) int unrelated(int x) {{ asm volatile(\".skip {bytes}, 0x90\"); return x; }}\n\
             int main(int n, char **v) {{ pthread_attr_t a; return n > 9 ? unrelated(n) : pthread_getattr_np(pthread_self(), &a); }}\n"
        )
    };
    let (Some(a), Some(b)) = (c(&source(16)), c(&source(9000))) else { return };
    refused(&a, &b, &["unrelated"], Reason::SegmentsDiffer);
    let Some(near) = c(&source(24)) else { return };
    carries(&a, &near, &["unrelated"]);
}

const TEXTS: &str = r#"
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) void first(void) { puts("say hello"); printf("%d colours\n", 3); }
__attribute__((noinline)) void unrelated(void) { puts("hello"); puts("nothing of interest"); printf("%s\n", "at all"); }
__attribute__((noinline)) void last(int n) {
    for (const char *p = "red\0green\0blue\0"; *p; p += strlen(p) + n) puts(p);
    int image[12] = {65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76};
    printf("%d\n", image[n] + image[n + 3]);
    puts("end");
}
int main(int n, char **v) { first(); if (n > 9) unrelated(); last(n); return 0; }
"#;

/// The list that a loop steps through: what lies near a stepping pointer is reached with it.
const STEPPING: &str = r#"for (const char *p = "red\0green\0blue\0"; *p; p += strlen(p) + n) puts(p);"#;

fn builds(sources: &[String]) -> Vec<Vec<Vec<u8>>> {
    let tools = [("cc", &["-O2"][..]), ("clang", &["-O2", "-fuse-ld=lld"])];
    let all = |(tool, args): &(&str, &[&str])| {
        sources.iter().map(|source| build(tool, &[("t.c", source)], args)).collect::<Option<Vec<_>>>()
    };
    tools.iter().filter_map(all).collect()
}

fn changed(source: &str, changes: &[(&str, &str)]) -> Vec<String> {
    let change = |(from, to): &(&str, &str)| {
        assert!(source.contains(from), "{from}");
        source.replace(from, to)
    };
    changes.iter().map(change).collect()
}

#[test]
fn a_text_elsewhere_carries() {
    let source = TEXTS.replace(STEPPING, "");
    assert_ne!(source, TEXTS);
    let mut sources = vec![source.clone()];
    sources.extend(changed(
        &source,
        &[
            ("nothing of interest", "something of more interest than before"),
            ("puts(\"hello\")", "puts(\"another hello\")"),
            ("puts(\"hello\")", "puts(\"hello\"); puts(\"one more\")"),
        ],
    ));
    for built in builds(&sources) {
        for b in &built[1..] {
            carries(&built[0], b, &["unrelated"]);
        }
    }
}

#[test]
fn every_text_that_is_read_counts() {
    let changes = [
        ("say hello", "say jello"),
        ("say hello", "say hellp"),
        ("green", "greed"),
        ("blue", "blub"),
        ("\"end\"", "\"and\""),
        ("75, 76}", "75, 77}"),
        ("{65, 66,", "{65, 67,"),
    ];
    let mut sources = vec![TEXTS.to_owned()];
    sources.extend(changed(TEXTS, &changes));
    for built in builds(&sources) {
        let executed = all_but(&built[0], &["unrelated"]);
        for (b, change) in built[1..].iter().zip(changes) {
            assert!(prove(&built[0], b, Executed::Units(&executed)).is_err(), "{change:?}");
        }
    }
}

/// A constant that one function enters at its middle only, and another as a whole.
#[test]
fn a_constant_with_two_users() {
    let source = |text: &str| {
        format!(
            "#include <stdio.h>\nstatic inline __attribute__((always_inline)) int pick(int k, int i) {{ const unsigned char t[16] = \"{text}\"; return t[(k + i) & 15]; }}\n\
             __attribute__((noinline)) int middle(int i) {{ return pick(4, i); }}\n\
             __attribute__((noinline)) int whole(int i) {{ return pick(0, i); }}\n\
             int main(int n, char **v) {{ printf(\"%d\\n\", whole(n)); return n > 9 ? middle(n) : 0; }}\n"
        )
    };
    for tool in ["cc", "clang"] {
        let one = |text: &str| build(tool, &[("t.c", &source(text))], &["-O2"]);
        let (Some(a), Some(b)) = (one("abc\\0efghijklmno"), one("abc\\0efghijklmnX")) else { continue };
        let executed = all_but(&a, &["middle"]);
        assert!(prove(&a, &b, Executed::Units(&executed)).is_err(), "{tool}");
    }
}

/// A loop that is given a base before its object; the object before it carries no such meaning.
#[test]
fn a_base_before_its_object() {
    let source = |last: &str| {
        format!(
            "#include <stdio.h>\nstatic int before[4] = {{9, 9, 9, 9}};\nstatic int table[40] = {{1, 2, 3, [39] = {last}}};\n\
             __attribute__((noinline)) int sum(int n) {{ int s = 0; for (int i = 4; i < n + 4; i++) s += table[i - 4] * i; return s; }}\n\
             int main(int n, char **v) {{ before[n & 3]++; table[n]++; printf(\"%d %d\\n\", sum(n * 40), before[1]); return 0; }}\n"
        )
    };
    for (tool, level) in [("cc", "-O1"), ("cc", "-O3"), ("clang", "-O3")] {
        let one = |last: &str| build(tool, &[("t.c", &source(last))], &[level]);
        let (Some(a), Some(b)) = (one("7"), one("8")) else { continue };
        assert!(prove(&a, &b, Executed::All).is_err(), "{tool} {level}");
    }
}

/// Pointers that are stored may be compared, and so their order counts; bases never are.
#[test]
fn order_counts_where_addresses_are_kept() {
    let one = "int one[8] = {1}; int sum_one(int n) { int s = 0; for (int i = 0; i < n; i++) s += one[i]; return s; }";
    let two = "int two[8] = {2}; int sum_two(int n) { int s = 0; for (int i = 0; i < n; i++) s += two[i]; return s; }";
    let based = "#include <stdio.h>\nint sum_one(int), sum_two(int); int main(int n, char **v) { printf(\"%d\\n\", sum_one(n) + sum_two(n)); return 0; }";
    let kept = "#include <stdio.h>\nextern int one[], two[]; int sum_one(int), sum_two(int); int *volatile p, *volatile q;\
                int main(int n, char **v) { p = one; q = two; printf(\"%d %d\\n\", p < q, sum_one(n) + sum_two(n)); return 0; }";
    let linked = |main: &str, order: [usize; 3]| {
        build("cc", &order.map(|at| [("main.c", main), ("one.c", one), ("two.c", two)][at]), &["-O1"])
    };
    let (Some(a), Some(b)) = (linked(based, [0, 1, 2]), linked(based, [0, 2, 1])) else { return };
    carries(&a, &b, &[]);
    let (Some(a), Some(b)) = (linked(kept, [0, 1, 2]), linked(kept, [0, 2, 1])) else { return };
    refused(&a, &b, &[], Reason::OrderMayBeObserved);
}

/// Mutant: the visibility of the import `__gmon_start__`. The loader binds a hidden name to the file
/// itself, so that the weak reference was no longer empty and was called.
#[test]
fn an_import_that_is_hidden() {
    const SYMBOL_BYTES: usize = 24;
    const OTHER: usize = 5;
    const HIDDEN: u8 = 2;
    let Some(a) = c("#include <stdio.h>\nint main(void) { return puts(\"x\"); }\n") else { return };
    let image = Image::parse(&a).unwrap();
    let weak = image.dynamic_symbols().iter().position(|symbol| symbol.name == "__gmon_start__");
    let Some(weak) = weak else { return };
    let b = patched(&a, ".dynsym", weak * SYMBOL_BYTES + OTHER, &[HIDDEN]);
    refused(&a, &b, &[], Reason::ImportsDiffer);
}

/// Mutant: an unrelated text longer in a program with an `unordered_map` whose keys are pointers: its
/// order is that of addresses modulo a prime.
#[test]
fn addresses_that_may_be_hashed() {
    let source = |text: &str, hashed: &str| {
        format!(
            "#include <stdio.h>\nint *volatile p; int x = 1;\nconst char other[] = \"{text}\";\nint y = 2;\n\
             __attribute__((noinline)) int unrelated(int n) {{ return other[n]; }}\n\
             int main(int n, char **v) {{ p = &x; unsigned long h = (unsigned long)p {hashed}; printf(\"%lu\\n\", h & 1); return n > 9 ? unrelated(n) : 0; }}\n"
        )
    };
    let built = |text: &str, hashed: &str| {
        let moved = format!("-Wl,--section-start=.data={text}");
        build("cc", &[("t.c", &source("text", hashed))], &["-O2", &moved])
    };
    let (Some(a), Some(b)) = (built("0x8000", "% (n + 12ul)"), built("0x8100", "% (n + 12ul)")) else {
        return;
    };
    refused(&a, &b, &["unrelated"], Reason::AddressesMayBeHashed);
    let (Some(a), Some(b)) = (built("0x8000", "& 8"), built("0x8100", "& 8")) else { return };
    carries(&a, &b, &["unrelated"]);
}

/// The loader writes through `DT_PLTGOT`; a run with it damaged ends in a signal before `main`.
#[test]
fn the_table_of_linkage_stubs_lies_where_it_lay() {
    let source = "#include <stdio.h>\nint main(void) { puts(\"x\"); return 0; }";
    let Some(a) = build("cc", &[("t.c", source)], &["-O2", "-Wl,-z,lazy"]) else { return };
    let image = Image::parse(&a).unwrap();
    let address = image.loader().plt_got.expect("lazy binding has one").0;
    let entry = [3u64.to_le_bytes(), address.to_le_bytes()].concat();
    let at = a.windows(16).position(|window| window == entry).expect("the tag stands in the file");
    let mut b = a.clone();
    b[at + 14] ^= 0x48;
    assert!(prove(&a, &a, Executed::All).is_ok());
    let refusals = prove(&a, &b, Executed::All).unwrap_err();
    assert!(refusals.iter().any(|refusal| refusal.reason == Reason::FlagsDiffer), "{refusals:?}");
}

/// The loader binds to the address of a name that is not defined, does not find what has a type it does
/// not know, and compares versions by hash first: replays of such files ended in a signal or a refusal of
/// the loader. What is damaged is read from the tables' own layout (gABI, "Symbol Table"; LSB, "Symbol
/// Versioning").
#[test]
fn symbols_are_bound_as_they_were() {
    let source = "#include <stdio.h>\nint main(void) { puts(\"x\"); return 0; }";
    let Some(a) = build("cc", &[("t.c", source)], &["-O2", "-rdynamic"]) else { return };
    assert!(prove(&a, &a, Executed::All).is_ok());
    let image = Image::parse(&a).unwrap();
    let start = |name: &str| image.section(name).unwrap().file.start;
    let number = |name: &str| image.dynamic_symbols().iter().position(|symbol| symbol.name == name).unwrap();
    let symbol = |name: &str| start(".dynsym") + 24 * number(name);
    let version = start(".gnu.version") + 2 * number("puts");
    let damages = [
        ("a name that is not defined has an address", symbol("puts") + 10, 0x0b),
        ("the type of an export", symbol("main") + 4, 0x01),
        ("the binding of an export", symbol("main") + 4, 0xb0),
        ("an export is absolute", symbol("main") + 6, 0xf1 ^ a[symbol("main") + 6]),
        ("a version is hidden", version + 1, 0x80),
        ("the hash of a needed version", start(".gnu.version_r") + 16, 0x01),
        ("the flags of a needed version", start(".gnu.version_r") + 20, 0x02),
    ];
    for (what, at, bits) in damages {
        let mut b = a.clone();
        b[at] ^= bits;
        if what.contains("absolute") {
            b[at + 1] = 0xff;
        }
        assert!(prove(&a, &b, Executed::All).is_err(), "{what}");
    }
}
