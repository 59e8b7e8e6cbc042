//! Patch signatures, looked for in builds of other compilers, levels and architectures.

use assay_delta::{Index, PatchStatus, SignatureError, presence, sign};

use crate::build::{build, stripped};

/// A parser of length-prefixed records. The fix checks the length before copying and refuses a depth.
const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define NOINLINE __attribute__((noinline))
struct record { char name[64]; unsigned length; unsigned char *body; struct record *next; };
NOINLINE static int complain(const char *what, unsigned at) { fprintf(stderr, "records: %s at %u\n", what, at); return -1; }
NOINLINE static unsigned read_u32(const unsigned char *p) { return p[0] | p[1] << 8 | p[2] << 16 | (unsigned)p[3] << 24; }
NOINLINE int read_record(const unsigned char *p, unsigned left, struct record *out) {
    if (left < 8) return complain("too short", left);
    unsigned name = p[0], length = read_u32(p + 4);
    CHECK_NAME
    memcpy(out->name, p + 8, name);
    out->name[name] = 0;
    out->length = length;
    out->body = malloc(length ? length : 1);
    if (!out->body) return complain("out of memory", length);
    memcpy(out->body, p + 8 + name, length);
    return (int)(8 + name + length);
}
NOINLINE unsigned long total(const struct record *r) { unsigned long sum = 0; for (; r; r = r->next) sum += r->length; return sum; }
NOINLINE int read_all(const unsigned char *p, unsigned left, struct record **list) {
    while (left > 0) {
        struct record *r = calloc(1, sizeof *r);
        int used = read_record(p, left, r);
        if (used < 0) { free(r); return -1; }
        r->next = *list; *list = r; p += used; left -= (unsigned)used;
    }
    return 0;
}
int main(int argc, char **argv) {
    static unsigned char input[65536];
    struct record *list = 0;
    unsigned size = (unsigned)fread(input, 1, sizeof input, stdin);
    if (read_all(input, size, &list)) return 1;
    printf("%lu bytes in %s\n", total(list), argc > 1 ? argv[1] : "stdin");
    return 0;
}
"#;

const CHECK: &str = "if (name >= sizeof out->name) return complain(\"name too long\", name); \
                     if (length > left - 8 - name) return complain(\"body past the end\", length);";

fn source(fixed: bool) -> String {
    SOURCE.replace("CHECK_NAME", if fixed { CHECK } else { "" })
}

fn compiled(compiler: &str, level: &str, fixed: bool, strip: bool) -> Option<Index> {
    let bytes = build(compiler, &[("records.c", &source(fixed))], &[level])?;
    let bytes = if strip { stripped(compiler, &bytes)? } else { bytes };
    Some(Index::build(&bytes).expect("it is read"))
}

/// Every build of one compiler at every level, with and without symbols, has the right answer or none.
fn judged_right(compiler: &str, least_share: f64) {
    let Some(vulnerable) = compiled("cc", "-O2", false, false) else { return };
    let fixed = compiled("cc", "-O2", true, false).expect("the other was built");
    let signature = sign("an-incident", &vulnerable, &fixed, &[]).expect("they differ");
    let (mut right, mut all) = (0, 0);
    for level in ["-O0", "-O1", "-O2", "-O3", "-Os"] {
        for (is_fixed, strip) in [(false, false), (true, false), (false, true), (true, true)] {
            let Some(index) = compiled(compiler, level, is_fixed, strip) else { return };
            let found = presence(&signature, &index).expect("one version");
            let expected = if is_fixed { PatchStatus::Patched } else { PatchStatus::Vulnerable };
            let opposite = if is_fixed { PatchStatus::Vulnerable } else { PatchStatus::Patched };
            assert_ne!(found.status, opposite, "{compiler} {level} stripped: {strip}: {found:#?}");
            if found.status != expected {
                eprintln!("{compiler} {level} fixed: {is_fixed} stripped: {strip}: {found:?}");
            }
            right += u32::from(found.status == expected);
            all += 1;
        }
    }
    assert!(f64::from(right) >= least_share * f64::from(all), "{compiler}: {right} of {all}");
}

#[test]
fn the_same_compiler() {
    judged_right("cc", 0.9);
}

#[test]
fn another_compiler() {
    judged_right("clang-14", 0.8);
}

#[test]
fn another_architecture() {
    judged_right("aarch64-linux-gnu-gcc", 0.8);
}

#[test]
fn a_program_without_the_code_is_not_judged() {
    let (Some(vulnerable), Some(fixed)) =
        (compiled("cc", "-O2", false, false), compiled("cc", "-O2", true, false))
    else {
        return;
    };
    let signature = sign("an-incident", &vulnerable, &fixed, &[]).expect("they differ");
    let other = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }";
    let other = build("cc", &[("other.c", other)], &["-O2"]).expect("cc is here");
    let index = Index::build(&other).expect("it is read");
    assert_eq!(presence(&signature, &index).expect("one version").status, PatchStatus::Inconclusive);
}

#[test]
fn nothing_to_sign() {
    let Some(index) = compiled("cc", "-O2", true, false) else { return };
    assert_eq!(sign("an-incident", &index, &index, &[]), Err(SignatureError::NothingChanged));
    let vulnerable = compiled("cc", "-O2", false, false).expect("the other was built");
    let missing = sign("an-incident", &vulnerable, &index, &["main".to_owned()]);
    assert_eq!(missing, Err(SignatureError::NotChanged { name: "main".to_owned() }));
}
