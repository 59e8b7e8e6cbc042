//! The signature of a fix: stored, bundled, taken in, and found in files elsewhere.

use std::io::Read as _;

use serde_json::Value;

use crate::{Bench, text};

/// The fix checks the end of the list before it reads from it.
const SOURCE: &str = r#"
#include <stdio.h>
struct item { int number; struct item *next; };
__attribute__((noinline)) int total(struct item *item) {
    int sum = 0;
    for (int turn = 0; turn < 4; turn++) {
        if (FIXED && !item) { printf("short list of %d\n", turn); break; }
        sum += item->number * 7 + turn; item = item->next;
    }
    return sum;
}
int main(int count, char **words) {
    struct item second = { 2, NULL }, first = { count, &second };
    printf("total %d\n", total(&first));
    return 0;
}
"#;

fn build(bench: &Bench, name: &str, fixed: u32) -> Option<String> {
    bench.compile(name, SOURCE, &[&format!("-DFIXED={fixed}")]).map(|program| text(&program))
}

fn recorded(bench: &Bench) -> Option<(String, String)> {
    let (vulnerable, fixed) = (build(bench, "tool", 0)?, build(bench, "fixed", 1)?);
    bench.ok(&["witness", "record", "--incident", "LIST-1", "--check", "4", "--", &vulnerable]);
    Some((vulnerable, fixed))
}

/// Names and bytes of an archive.
type Entries = Vec<(String, Vec<u8>)>;

fn entries(file: &str) -> Entries {
    let mut archive = tar::Archive::new(std::fs::File::open(file).unwrap());
    let all = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    all.collect()
}

fn write(file: &std::path::Path, entries: &[(String, Vec<u8>)]) {
    let mut builder = tar::Builder::new(std::fs::File::create(file).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.finish().unwrap();
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|row| row["status"].as_str().unwrap()).collect()
}

#[test]
fn a_bundle_brings_the_signature_and_it_is_found_elsewhere() {
    let bench = Bench::new();
    let Some((vulnerable, fixed)) = recorded(&bench) else { return };
    let absent = text(&bench.path("absent.tar"));
    let made = bench.ok(&["incident", "bundle", "LIST-1", "-o", &absent]);
    assert_eq!(made["delta_signature"]["reason"], "no_fixed_build", "{made}");

    // The store learns of a build without the incident: the signature can be made.
    bench.ok(&["release", "create", "v2", "--artifact", &format!("tool={fixed}")]);
    let verdict = bench.ok(&["verify", "v2"])["verdicts"][0].clone();
    assert_eq!(verdict["verdict"], "not_reproduced", "{verdict}");
    let (first, second) = (text(&bench.path("a.tar")), text(&bench.path("b.tar")));
    let made = bench.ok(&["incident", "bundle", "LIST-1", "-o", &first]);
    assert_eq!(made["delta_signature"]["type"], "present", "{made}");
    bench.ok(&["incident", "bundle", "LIST-1", "-o", &second]);
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());

    let other = Bench::new();
    assert_eq!(other.ok(&["incident", "verify", &first])["verified"], true);
    let taken = other.ok(&["incident", "import", &first]);
    assert_eq!(taken["delta_signature"], made["delta_signature"]["digest"]);
    let told = other.call(&["delta", "presence", "LIST-1", &vulnerable, &fixed]);
    assert_eq!((told.code, statuses(&told.json)), (1, vec!["vulnerable", "patched"]), "{}", told.json);
    // Builds that the signature was not made of.
    let flags = ["-DFIXED=1", "-O2", "-fno-stack-protector"];
    let rebuilt = text(&other.compile("rebuilt", SOURCE, &flags).unwrap());
    assert_eq!(statuses(&other.call(&["delta", "presence", "LIST-1", &rebuilt]).json), ["patched"]);
    assert_eq!(other.call(&["delta", "presence", "LIST-2", &fixed]).code, 3);
    // And it is handed on from there.
    let third = text(&other.path("c.tar"));
    let on = other.ok(&["incident", "bundle", "LIST-1", "-o", &third]);
    assert_eq!(on["delta_signature"]["digest"], made["delta_signature"]["digest"]);
}

#[test]
fn what_delta_sign_makes_is_kept_with_its_incident() {
    let bench = Bench::new();
    let Some((vulnerable, fixed)) = recorded(&bench) else { return };
    let signed = bench.ok(&["delta", "sign", &vulnerable, &fixed, "--incident", "LIST-1"]);
    assert!(signed["statement"].as_str().is_some_and(|text| text.starts_with("sha256:")), "{signed}");
    let file = text(&bench.path("bundle.tar"));
    let made = bench.ok(&["incident", "bundle", "LIST-1", "-o", &file]);
    assert_eq!(made["delta_signature"]["digest"], signed["digest"]);
    assert_eq!(made["delta_signature"]["statement"], signed["statement"]);
    // Of an incident that the store does not know, only the file is made.
    let other = bench.ok(&["delta", "sign", &vulnerable, &fixed, "--incident", "LIST-9"]);
    assert_eq!(other["statement"], Value::Null);
}

#[test]
fn a_signature_that_was_changed_breaks_trust() {
    let bench = Bench::new();
    let Some((vulnerable, fixed)) = recorded(&bench) else { return };
    let absent = text(&bench.path("absent.tar"));
    bench.ok(&["incident", "bundle", "LIST-1", "-o", &absent]);
    let signed = bench.ok(&["delta", "sign", &vulnerable, &fixed, "--incident", "LIST-1"]);
    let good = text(&bench.path("good.tar"));
    bench.ok(&["incident", "bundle", "LIST-1", "-o", &good]);
    let attempt = |name: &str, code: i32, change: &dyn Fn(&mut Entries)| {
        let mut all = entries(&good);
        change(&mut all);
        let file = bench.path(name);
        write(&file, &all);
        let answer = bench.call(&["incident", "verify", &text(&file)]);
        assert_eq!(answer.code, code, "{name}: {}", answer.json);
    };
    let at = |all: &[(String, Vec<u8>)], name: &str| all.iter().position(|(found, _)| found == name).unwrap();
    attempt("same", 0, &|_| {});
    let changed = |all: &mut Entries| {
        let at = at(all, "delta-signature.json");
        let text = String::from_utf8(all[at].1.clone()).unwrap();
        all[at].1 = text.replacen("\"instructions\":", "\"instructions\":1", 1).into_bytes();
        assert_ne!(all[at].1, text.as_bytes());
    };
    attempt("changed", 5, &|all| changed(all));
    // The bundle's own page is not signed: the statement is.
    attempt("changed-with-its-digest", 5, &|all| {
        changed(all);
        let digest = assay_evidence::Sha256::of(&all[at(all, "delta-signature.json")].1).to_string();
        let page = at(all, "bundle.json");
        let text = String::from_utf8(all[page].1.clone()).unwrap();
        let wanted = format!("\"digest\":\"{}\",\"statement\"", signed["digest"].as_str().unwrap());
        all[page].1 = text.replace(&wanted, &format!("\"digest\":\"{digest}\",\"statement\"")).into_bytes();
        assert_ne!(all[page].1, text.as_bytes());
    });
    attempt("missing", 3, &|all| all.retain(|(name, _)| name != "delta-signature.json"));

    // A bundle from before there were signatures is still read.
    let mut old = entries(&absent);
    let page = at(&old, "bundle.json");
    let text_of = String::from_utf8(old[page].1.clone()).unwrap();
    let without = "\"deltaSignature\":{\"reason\":\"no_fixed_build\",\"type\":\"absent\"},";
    old[page].1 = text_of.replace(without, "").into_bytes();
    assert_ne!(old[page].1, text_of.as_bytes());
    write(&bench.path("old.tar"), &old);
    let other = Bench::new();
    assert_eq!(
        other.ok(&["incident", "import", &text(&bench.path("old.tar"))])["delta_signature"],
        Value::Null
    );
}
