//! What `diff` tells a person.

use assay_delta::{Delta, Index, diff};

use crate::build::{c, rust};

const SOURCE: &str = r#"
#include <stdio.h>
#define NOINLINE __attribute__((noinline, noclone))
static volatile int sink;
static const int weights[4] = {1, 2, 3, 4};
NOINLINE int leaf(int x) { return x + 1 + sink; }
NOINLINE int middle(int x) { sink = x; return leaf(x) * 2; }
NOINLINE int weigh(int x) { return weights[x & sink & 3] + sink; }
NOINLINE int other(int x) { return x * 9 - sink; }
int main(int argc, char **argv) { printf("%d %d %d\n", middle(argc), other(argc), weigh(argc)); return 0; }
"#;

fn delta(from: &str, to: &str) -> Option<Delta> {
    assert!(SOURCE.contains(from));
    let (a, b) = (c(SOURCE)?, c(&SOURCE.replace(from, to))?);
    Some(diff(&Index::build(&a).unwrap(), &Index::build(&b).unwrap()))
}

fn names(entries: &[assay_delta::FunctionEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn the_same_source_twice() {
    let Some(delta) = delta("x * 9", "x * 9") else { return };
    assert!(delta.functions.unchanged > 5);
    assert!(delta.functions.changed.is_empty() && delta.functions.affected.is_empty());
    assert!(delta.functions.moved.is_empty() && delta.data.changed.is_empty());
    assert_eq!((delta.delta_information, delta.delta_entropy), (0.0, 0.0));
}

#[test]
fn a_changed_body_and_who_reaches_it() {
    let Some(delta) = delta("return x + 1 + sink", "return x * x + 1 + sink") else { return };
    assert_eq!(names(&delta.functions.changed), ["leaf"]);
    let mut affected = names(&delta.functions.affected);
    affected.sort_unstable();
    assert_eq!(affected, ["_start", "main", "middle"]);
    assert!(delta.delta_information > 0.0 && delta.delta_entropy > 0.0 && delta.delta_entropy < 1.0);
}

#[test]
fn changed_data_affects_its_readers() {
    let Some(delta) = delta("{1, 2, 3, 4}", "{1, 2, 3, 5}") else { return };
    assert_eq!(names(&delta.data.changed), ["weights"]);
    assert!(delta.functions.changed.is_empty());
    assert!(names(&delta.functions.affected).contains(&"weigh"));
}

#[test]
fn added_removed_and_renamed() {
    let Some(delta) = delta("other(", "another(") else { return };
    assert_eq!(names(&delta.functions.renamed), ["another"]);
    assert!(delta.functions.added.is_empty() && delta.functions.removed.is_empty());
}

#[test]
fn the_keys_of_the_command_line() {
    let Some(delta) = delta("return x + 1 + sink", "return x * x + 1 + sink") else { return };
    let value = serde_json::to_value(&delta).unwrap();
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&value), "data delta_entropy delta_information functions ignored");
    assert_eq!(keys(&value["functions"]), "added affected changed moved removed renamed unchanged");
    assert_eq!(keys(&value["data"]), "added changed removed");
    assert_eq!(keys(&value["functions"]["changed"][0]), "address_a address_b name why");
    assert!(value["functions"]["unchanged"].is_u64());
}

#[test]
fn an_unrelated_string_in_rust_changes_one_function() {
    let source = |text: &str| {
        format!(
            "#[inline(never)] fn say(x: usize) {{ println!(\"{text} {{x}}\"); }}\n\
             #[inline(never)] fn count() -> usize {{ std::env::args().count() }}\n\
             fn main() {{ say(count()); }}"
        )
    };
    let (Some(a), Some(b)) = (rust(&source("hello")), rust(&source("goodbye, all"))) else { return };
    let delta = diff(&Index::build(&a).unwrap(), &Index::build(&b).unwrap());
    let changed = names(&delta.functions.changed);
    assert!(changed.len() <= 3 && changed.iter().any(|name| name.contains("say")), "{changed:?}");
}
