//! Record, check, release, verify: the three verdicts, the three modes, the evidence.

use assay_testkit::{Postgres, S3, start_or_skip};

use crate::{Bench, text};

const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct item { int number; struct item *next; };
__attribute__((noinline)) int unrelated(int n) { return n * UNRELATED + 1; }
__attribute__((noinline)) int weight(int n) { return n * RELATED; }
static volatile int fixed = FIXED;
__attribute__((noinline)) int total(struct item *item) {
    int sum = 0;
    while (fixed ? item != NULL : 1) { sum += weight(item->number); item = item->next; }
    return sum;
}
int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "--help")) { puts("usage: tool LIST"); return 0; }
    if (count > 1 && !strcmp(words[1], "stats")) { printf("%d\n", unrelated(count)); return 0; }
    struct item second = { 2, NULL }, first = { count, &second };
    printf("total %d\n", total(&first));
    return 0;
}
"#;

fn flags(fixed: u32, unrelated: u32, related: u32) -> Vec<String> {
    vec![format!("-DFIXED={fixed}"), format!("-DUNRELATED={unrelated}"), format!("-DRELATED={related}")]
}

#[test]
fn the_main_job_on_a_crashing_program() {
    main_job(&Bench::new());
}

#[test]
fn the_main_job_on_postgresql_and_s3() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    let Some(s3) = start_or_skip("s3", S3::start) else { return };
    let settings = vec![("ASSAY_DATABASE", postgres.new_database()), ("ASSAY_BLOBS", s3.new_bucket())];
    main_job(&Bench::over(settings));
}

fn main_job(bench: &Bench) {
    let build = |name: &str, flags: Vec<String>| {
        let words: Vec<&str> = flags.iter().map(String::as_str).collect();
        bench.compile(name, SOURCE, &words)
    };
    let Some(crash) = build("tool", flags(0, 3, 1)) else { return };
    let fixed = build("fixed", flags(1, 3, 1)).unwrap();
    let unrelated = build("unrelated", flags(1, 5, 1)).unwrap();
    let related = build("related", flags(1, 3, 2)).unwrap();

    let crash = text(&crash);
    let recorded = bench.ok(&["witness", "record", "--incident", "CRASH-1", "--", &crash, "go"]);
    assert_eq!(recorded["observation"]["ending"], "SIGSEGV");
    let witness = recorded["witness"].as_str().unwrap();
    let checked = bench.ok(&["witness", "check", witness, "-n", "10"]);
    assert_eq!(checked["distinct_observations"], 1, "{checked}");
    assert_eq!(checked["distinct_traces"], 1, "{checked}");
    assert_eq!(checked["layout_sensitive"], false, "{checked}");
    assert!(checked["replays_elsewhere"].as_u64().unwrap() >= 3);

    let release = |name: &str, file: &std::path::Path| {
        let artifact = format!("tool={}", file.display());
        bench.ok(&["release", "create", name, "--artifact", &artifact]);
    };
    release("v1", std::path::Path::new(&crash));
    release("v2", &fixed);
    release("v3", &unrelated);
    release("v4", &related);
    release("true", std::path::Path::new("/bin/true"));

    let denied = bench.call(&["verify", "v1"]);
    assert_eq!((denied.code, denied.json["decision"].as_str()), (1, Some("deny")));
    assert_eq!(denied.json["reasonCodes"][0], "incident_reproduced:CRASH-1");

    let allowed = bench.ok(&["verify", "v2", "--baseline", "v1"]);
    assert_eq!(allowed["decision"], "allow");
    assert_eq!(allowed["verdicts"][0]["mode"], "replayed");
    assert_eq!(allowed["verdicts"][0]["reason"], "path_reached");
    let cached = bench.ok(&["verify", "v2"]);
    assert_eq!(cached["verdicts"][0]["mode"], "cached");
    let carried = bench.ok(&["verify", "v3", "--baseline", "v2"]);
    assert_eq!(carried["verdicts"][0]["mode"], "carried_over", "{carried}");
    let observed_at = |release: &str| {
        let explained = bench.ok(&["gate", "explain", release]);
        explained["rules"][0]["evidence"][0]["observedAt"].clone()
    };
    let of_the_run = observed_at("v2");
    assert!(of_the_run.is_string() || of_the_run.is_number(), "{of_the_run}");
    assert_eq!(observed_at("v3"), of_the_run, "a carried verdict is as old as the run it rests on");
    assert_eq!(bench.ok(&["verify", "v3", "--baseline", "v2"])["verdicts"][0]["mode"], "cached");
    assert_eq!(observed_at("v3"), of_the_run, "and stays as old when it is known");
    let replayed = bench.ok(&["verify", "v4", "--baseline", "v2"]);
    assert_eq!(replayed["verdicts"][0]["mode"], "replayed", "{replayed}");
    assert!(replayed["verdicts"][0]["not_carried"].to_string().contains("function_changed"), "{replayed}");

    let impostor = bench.call(&["verify", "true"]);
    assert_eq!((impostor.code, impostor.json["decision"].as_str()), (4, Some("pending")));
    assert_eq!(impostor.json["verdicts"][0]["verdict"], "inconclusive");

    let explained = bench.ok(&["gate", "explain", "v2"]);
    assert!(explained["rules"].as_array().unwrap().iter().all(|rule| rule["outcome"] == "pass"));
    assert_eq!(bench.ok(&["gate", "replay", "v2"])["same"], true);
    let log = bench.ok(&["log", "verify"]);
    assert_eq!(log["verified"], true, "{log}");
    assert_eq!(bench.ok(&["log", "head"])["size"], log["size"]);

    checked_by_another_program(bench);
    stacks_are_found_as_they_come(bench);

    bench.ok(&["evidence", "export", "v3", "-o", "evidence.tar"]);
    let verified = bench.ok(&["evidence", "verify", "evidence.tar"]);
    assert_eq!((&verified["verified"], &verified["decision"]), (&true.into(), &"allow".into()));

    tampered(bench, "evidence.tar");

    let archive = text(&bench.path("capsule.tar"));
    bench.ok(&["witness", "export", witness, "-o", &archive]);
    let other = Bench::new();
    let definition = other.path("incident.toml");
    std::fs::write(&definition, "id = 'CRASH-1'\nrole = 'tool'\n[expect.vulnerable]\nsignal = 'SIGSEGV'\n")
        .unwrap();
    other.ok(&["incident", "define", &text(&definition)]);
    let imported = other.ok(&["witness", "import", &archive, "--incident", "CRASH-1"]);
    assert_eq!(imported["witness"], witness);
}

/// The crash as gdb would print it is found, and one that is recorded after that is found as well.
fn stacks_are_found_as_they_come(bench: &Bench) {
    let text = |function: &str| {
        format!("#0  0x0000555555555159 in {function} (item=0x0) at tool.c:9\n#1  main () at tool.c:20\n")
    };
    std::fs::write(bench.path("one.txt"), text("total")).unwrap();
    std::fs::write(bench.path("two.txt"), text("second_total")).unwrap();
    let found = bench.ok(&["stack", "match", "one.txt"]);
    assert_eq!(found["matches"][0]["incident"], "CRASH-1", "{found}");
    assert_eq!(bench.call(&["stack", "match", "two.txt"]).code, 1);
    let source = SOURCE
        .replace("total(struct", "second_total(struct")
        .replace("total(&first)", "second_total(&first)");
    let words = flags(0, 3, 1);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let second = crate::text(&bench.compile("second", &source, &words).unwrap());
    bench.ok(&["witness", "record", "--incident", "CRASH-2", "--", &second, "go"]);
    let found = bench.ok(&["stack", "match", "two.txt"]);
    assert_eq!(found["matches"][0]["incident"], "CRASH-2", "{found}");
}

/// The proof of a decision, checked by a Python program that shares no code with this one.
fn checked_by_another_program(bench: &Bench) {
    let has = |name: &str, argument: &str| std::process::Command::new(name).arg(argument).output().is_ok();
    if !has("python3", "--version") || !has("openssl", "version") {
        println!("skipped: python3 or openssl is not there");
        return;
    }
    let statement = bench.ok(&["release", "show", "v2"])["decisions"][0]["statement"].clone();
    let proof = bench.ok(&["log", "prove", statement.as_str().unwrap()]);
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/integrations/check_proof.py");
    let check = |proof: &serde_json::Value| {
        let file = bench.path("proof.json");
        std::fs::write(&file, proof.to_string()).unwrap();
        std::process::Command::new("python3").arg(&script).arg(&file).output().unwrap()
    };
    let good = check(&proof);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(said.starts_with("verified: stella.ops/gateDecision@v1"), "{said} {:?}", good.stderr);
    let mut moved = proof.clone();
    moved["index"] = (proof["index"].as_u64().unwrap() - 1).into();
    assert!(!check(&moved).status.success());
    let mut other = proof.clone();
    other["leaf"] = "e30=".into();
    assert!(!check(&other).status.success());
}

/// One changed byte in a signature breaks trust: exit 5.
fn tampered(bench: &Bench, archive: &str) {
    let mut bytes = std::fs::read(bench.path(archive)).unwrap();
    // The checkpoint's signature stands behind its em dash in every proof; any of them will do.
    let needle = b"\\u2014 assay.local/";
    let plain = "\u{2014} assay.local/".as_bytes();
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
    let at = find(plain).or_else(|| find(needle)).unwrap();
    let signature = at + bytes[at..].iter().position(|byte| *byte == b'=').unwrap() - 10;
    bytes[signature] = if bytes[signature] == b'A' { b'B' } else { b'A' };
    std::fs::write(bench.path("tampered.tar"), bytes).unwrap();
    let answer = bench.call(&["evidence", "verify", "tampered.tar"]);
    assert_eq!((answer.code, &answer.json["verified"]), (5, &false.into()), "{}", answer.json);
}

#[test]
fn a_usage_message_is_no_evidence() {
    let bench = Bench::new();
    let words = flags(0, 3, 1);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(crash) = bench.compile("tool", SOURCE, &words) else { return };
    let usage = "#include <stdio.h>\nint main(void) { puts(\"usage: tool LIST\"); return 0; }\n";
    let usage = bench.compile("usage", usage, &[]).unwrap();
    let crash = text(&crash);
    let recorded =
        bench.ok(&["witness", "record", "--incident", "CRASH-1", "--check", "4", "--", &crash, "go"]);
    assert_eq!(recorded["check"]["admitted"], true, "{recorded}");
    bench.ok(&["release", "create", "usage", "--artifact", &format!("tool={}", usage.display())]);
    let verified = bench.call(&["verify", "usage"]);
    assert_eq!(verified.code, 4);
    assert_eq!(verified.json["verdicts"][0]["reason"], "not_reached");
}
