//! What a person does with a witness: redact, scan, minimize, bundle, push, export.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Bench, text};

/// Reads its input and aborts when a line holds a card number that passes Luhn's check.
const CARDS: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
static int luhn(const char *text) {
    int sum = 0, n = 0;
    for (int i = 15; i >= 0; i--, n++) {
        if (!isdigit(text[i])) return 0;
        int d = text[i] - '0';
        if (n % 2) { d *= 2; if (d > 9) d -= 9; }
        sum += d;
    }
    return sum % 10 == 0;
}
__attribute__((noinline)) void charge(const char *number) { if (luhn(number)) abort(); }
int main(void) {
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "card ", 5) && strlen(line) >= 21) charge(line + 5);
        if (!strncmp(line, "only anna.novak@posteo.net", 26)) abort();
    }
    puts("done");
    return 0;
}
"#;

const CARD: &str = "4111111111111111";
const MAIL: &str = "anna.novak@posteo.net";
/// One that the program does not hold itself.
const PRIVATE_MAIL: &str = "bert.okafor@orange.fr";

fn input(bench: &Bench, lines: &str) -> String {
    let file = bench.path("input.txt");
    std::fs::write(&file, lines).unwrap();
    text(&file)
}

/// All bytes of all files below a folder.
fn everything(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all.extend(everything(&entry.path()));
        } else {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn nothing_private_is_stored_when_a_recording_is_redacted() {
    let bench = Bench::new();
    let Some(program) = bench.compile("cards", CARDS, &[]) else { return };
    let program = text(&program);
    let file = input(&bench, &format!("mail {PRIVATE_MAIL}\ncard {CARD}\n"));
    let command = ["--stdin", &file, "--env", "API_TOKEN=8f2b77c1d94e4a03b6a5", "--", &program];
    let with = |flags: &[&'static str]| {
        let mut words = vec!["witness", "record", "--incident", "CARD-1"];
        words.extend(flags);
        words.extend(command);
        words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let call = |words: &[String]| bench.call(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let recorded = call(&with(&["--redact"]));
    assert_eq!(recorded.code, 0, "{} {}", recorded.json, recorded.stderr);
    let replaced = &recorded.json["redaction"];
    assert_eq!(
        (&replaced["payment_card"], &replaced["email"], &replaced["secret_value"]),
        (&1.into(), &1.into(), &1.into()),
        "{replaced}"
    );
    let stored = everything(&bench.path("data"));
    for value in [CARD, PRIVATE_MAIL, "8f2b77c1d94e4a03b6a5"] {
        assert!(!holds(&stored, value), "{value} was stored");
    }
    // Luhn still holds for the pseudonym, or the program would not abort.
    let replayed = bench.call(&["witness", "replay", "CARD-1"]);
    assert_eq!((replayed.code, replayed.json["verdict"].as_str()), (1, Some("reproduced")));
    let scanned = bench.ok(&["witness", "scan", "CARD-1"]);
    assert_eq!(scanned["clean"], true, "{scanned}");

    // Without it, recording warns, and the scan finds what was stored.
    let mut plain = with(&[]);
    plain[3] = "CARD-2".to_owned();
    let warned = call(&plain);
    assert_eq!(warned.code, 0);
    assert!(
        warned.stderr.contains("payment_card in stdin") && !warned.stderr.contains(CARD),
        "{}",
        warned.stderr
    );
    let found = bench.call(&["witness", "scan", "CARD-2"]);
    assert_eq!(found.code, 1);
    assert!(!found.json.to_string().contains(CARD) && !found.json.to_string().contains(PRIVATE_MAIL));
}

#[test]
fn a_redaction_that_loses_the_incident_is_refused_and_keeps_nothing() {
    let bench = Bench::new();
    let Some(program) = bench.compile("cards", CARDS, &[]) else { return };
    let file = input(&bench, &format!("only {MAIL}\n"));
    let refused = bench.call(&[
        "witness",
        "record",
        "--incident",
        "MAIL-1",
        "--redact",
        "--stdin",
        &file,
        "--",
        &text(&program),
    ]);
    assert_eq!(
        (refused.code, refused.json["error"]["code"].as_str()),
        (3, Some("redaction_breaks_incident"))
    );
    assert_eq!(bench.ok(&["incident", "list"])["incidents"], serde_json::json!([]));
    assert!(!holds(&everything(&bench.path("data")), MAIL));
    let policy = bench.path("policy.toml");
    std::fs::write(&policy, "version = 1\non_finding = 'refuse'\n").unwrap();
    let strict = [
        "witness",
        "record",
        "--incident",
        "MAIL-1",
        "--redaction-policy",
        &text(&policy),
        "--stdin",
        &file,
        "--",
        &text(&program),
    ];
    assert_eq!(bench.call(&strict).json["error"]["code"], "private_data_found");
}

#[test]
fn a_scan_of_files_says_kinds_and_places() {
    let bench = Bench::new();
    let log = bench.path("app.log");
    std::fs::write(&log, format!("ok\nuser {MAIL} paid with {CARD}\n")).unwrap();
    let found = bench.call(&["witness", "scan", &text(&log)]);
    let kinds: Vec<&str> =
        found.json["findings"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!((found.code, kinds), (1, vec!["email", "payment_card"]));
    assert!(!found.json.to_string().contains(CARD));
    std::fs::write(&log, "commit 4f2a1b9c0d3e5f60718293a4b5c6d7e8f9012345 at 2024-01-02T03:04:05Z\n")
        .unwrap();
    assert_eq!(bench.ok(&["witness", "scan", &text(&log)])["clean"], true);
}

#[test]
fn minimizing_leaves_what_the_incident_needs() {
    let bench = Bench::new();
    let Some(program) = bench.compile("cards", CARDS, &[]) else { return };
    let mut lines: Vec<String> = (0..200).map(|at| format!("line {at} of nothing in particular\n")).collect();
    lines.insert(140, format!("card {CARD}\n"));
    let file = input(&bench, &lines.concat());
    let recorded = bench.ok(&[
        "witness",
        "record",
        "--incident",
        "CARD-1",
        "--env",
        "MODE=x",
        "--stdin",
        &file,
        "--check",
        "6",
        "--",
        &text(&program),
    ]);
    let small = bench.ok(&["witness", "minimize", "CARD-1", "--budget", "600"]);
    assert_eq!(small["parent"], recorded["witness"]);
    assert_ne!(small["witness"], recorded["witness"]);
    assert_eq!((&small["admitted"], &small["complete"]), (&true.into(), &true.into()), "{small}");
    assert_eq!(small["after"]["variables"], 0, "{small}");
    // `card ` and sixteen digits; the line's end is not needed.
    assert_eq!(small["after"]["stdin_bytes"], 21, "{small}");
    assert!(small["after"]["files"].as_u64() <= small["before"]["files"].as_u64());
    let replayed = bench.call(&["witness", "replay", small["witness"].as_str().unwrap()]);
    assert_eq!(replayed.json["verdict"], "reproduced");
    // A budget ends the search with something that still holds.
    let stopped = bench.ok(&["witness", "minimize", recorded["witness"].as_str().unwrap(), "--budget", "12"]);
    assert_eq!(stopped["complete"], false);
    assert!(stopped["after"]["stdin_bytes"].as_u64() >= Some(21));
}

/// A bench with one admitted witness of CARD-1.
fn recorded(bench: &Bench) -> Option<String> {
    let program = bench.compile("cards", CARDS, &[])?;
    let file = input(bench, "card 0000000000000000\n");
    let answer = bench.ok(&[
        "witness",
        "record",
        "--incident",
        "CARD-1",
        "--stdin",
        &file,
        "--check",
        "6",
        "--",
        &text(&program),
    ]);
    Some(answer["witness"].as_str().unwrap().to_owned())
}

#[test]
fn a_bundle_is_reproducible_and_is_taken_in_elsewhere() {
    let bench = Bench::new();
    let Some(witness) = recorded(&bench) else { return };
    let (first, second) = (text(&bench.path("a.tar")), text(&bench.path("b.tar")));
    let made = bench.ok(&["incident", "bundle", "CARD-1", "-o", &first]);
    bench.ok(&["incident", "bundle", "CARD-1", "-o", &second]);
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    assert_eq!((made["incident"].as_str(), made["statements"].as_u64()), (Some("CARD-1"), Some(2)));

    let other = Bench::new();
    assert_eq!(other.ok(&["incident", "verify", &first])["verified"], true);
    assert_eq!(other.ok(&["evidence", "verify", &first])["verified"], true);
    let taken = other.ok(&["incident", "import", &first]);
    assert_eq!(taken["digest"], made["digest"]);
    assert_eq!(
        (
            &taken["witnesses"][0]["witness"],
            &taken["witnesses"][0]["admitted"],
            &taken["witnesses"][0]["same_observation"]
        ),
        (&witness.into(), &true.into(), &true.into())
    );
    // Twice is once.
    assert_eq!(other.ok(&["incident", "import", &first])["witnesses"], taken["witnesses"]);
    assert_eq!(other.call(&["witness", "replay", "CARD-1"]).json["verdict"], "reproduced");
}

/// Entries of an archive, to be put together otherwise.
fn entries(file: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(std::fs::File::open(file).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written as bytes: the crate refuses paths such as `../x`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Names and bytes of an archive.
type Entries = Vec<(String, Vec<u8>)>;

#[test]
fn hostile_bundles_are_refused_and_change_nothing() {
    let bench = Bench::new();
    if recorded(&bench).is_none() {
        return;
    }
    let good = text(&bench.path("good.tar"));
    bench.ok(&["incident", "bundle", "CARD-1", "-o", &good]);
    let honest = entries(&good);
    let other = Bench::new();
    let attempt = |name: &str, bytes: Vec<u8>, code: i32| {
        let file = other.path(&format!("{name}.tar"));
        std::fs::write(&file, bytes).unwrap();
        for verb in ["verify", "import"] {
            let answer = other.call(&["incident", verb, &text(&file)]);
            assert_eq!(answer.code, code, "{name} {verb}: {}", answer.json);
        }
    };
    let changed = |change: &dyn Fn(&mut Entries)| {
        let mut all = honest.clone();
        change(&mut all);
        archive(&all)
    };
    let edit = |name: &'static str, from: &'static str, to: &'static str| {
        changed(&|all| {
            let entry = all.iter_mut().find(|(found, _)| found == name).unwrap();
            let text = String::from_utf8(entry.1.clone()).unwrap();
            assert!(text.contains(from), "{name} holds no {from}");
            entry.1 = text.replacen(from, to, 1).into_bytes();
        })
    };
    attempt("path", changed(&|all| all.push(("../escape".to_owned(), b"x".to_vec()))), 3);
    attempt("absolute", changed(&|all| all.push(("/tmp/escape".to_owned(), b"x".to_vec()))), 3);
    attempt("twice", changed(&|all| all.push(all[0].clone())), 3);
    attempt(
        "extra",
        changed(&|all| {
            all.push((format!("blobs/sha256/{}", assay_evidence::Sha256::of(b"x").hex()), b"x".to_vec()))
        }),
        3,
    );
    attempt("missing", changed(&|all| all.retain(|(name, _)| name != "bundle.json")), 3);
    attempt(
        "blob",
        changed(&|all| {
            all.iter_mut().filter(|(name, _)| name.starts_with("blobs/")).for_each(|(_, bytes)| bytes[0] ^= 1)
        }),
        5,
    );
    attempt("gone", changed(&|all| drop(all.remove(0))), 3);
    attempt("script", edit("replay.sh", "set -eu", "set -eu; :"), 3);
    attempt("definition", edit("bundle.json", "\"signal\":\"SIGABRT\"", "\"signal\":\"SIGSEGV\""), 5);
    attempt("version", edit("bundle.json", "\"version\":1", "\"version\":9"), 3);
    attempt("proof", edit("bundle.json", "\"index\":", "\"index\":1"), 5);
    attempt("truncated", std::fs::read(&good).unwrap()[..5000].to_vec(), 5);
    let key = bench.ok(&["key", "show"])["key"].as_str().map(str::to_owned);
    let own = other.ok(&["key", "show"])["key"].as_str().map(str::to_owned);
    if let (Some(key), Some(own)) = (key, own) {
        assert_eq!(other.call(&["incident", "verify", &good, "--trust", &own]).code, 5);
        assert_eq!(other.call(&["incident", "import", &good, "--trust", &own]).code, 5);
        assert_eq!(other.call(&["incident", "verify", &good, "--trust", &key]).code, 0);
    }
    assert_eq!(other.ok(&["incident", "list"])["incidents"], serde_json::json!([]));
    assert!(!other.path("escape").exists() && !Path::new("/tmp/escape").exists());
}

/// A registry of the distribution project, that dies with its test.
struct Registry {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// None, with the reason printed, where Debian's `docker-registry` is not there.
    fn start(password: bool) -> Option<Self> {
        let program = ["/usr/bin/docker-registry", "/usr/bin/registry"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file());
        let Some(program) = program else {
            println!("skipped: docker-registry is not there");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = folder.path().join("htpasswd");
        // bcrypt of `example-password`, as any htpasswd tool writes it.
        std::fs::write(&users, "assay:$2b$05$abcdefghijklmnopqrstuutctEcn9jLJdOiC0zNE0sKf5GrTF.I0C\n")
            .unwrap();
        let auth = if password {
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", users.display())
        } else {
            String::new()
        };
        let config = folder.path().join("config.yml");
        let store = folder.path().join("store");
        std::fs::write(&config, format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}", store.display())).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { child, address: format!("127.0.0.1:{port}"), _folder: folder };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the registry does not come up");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_witness_goes_through_a_registry_that_nobody_here_wrote() {
    let Some(registry) = Registry::start(false) else { return };
    let bench = Bench::new();
    let Some(witness) = recorded(&bench) else { return };
    let place = format!("oci://{}/team/card-1:v1", registry.address);
    let pushed = bench.ok(&["witness", "push", "CARD-1", &place, "--plain-http"]);
    assert_eq!(pushed["digest"], witness.as_str());
    assert_eq!(pushed["blobs_sent"], pushed["blobs"]);
    let again = bench.ok(&["witness", "push", "CARD-1", &place, "--plain-http"]);
    assert_eq!((&again["blobs_sent"], &again["bytes_sent"]), (&0.into(), &0.into()));

    let other = Bench::new();
    let toml = other.path("incident.toml");
    std::fs::write(&toml, "id = 'CARD-1'\nrole = 'cards'\n[expect.vulnerable]\nsignal = 'SIGABRT'\n")
        .unwrap();
    other.ok(&["incident", "define", &text(&toml)]);
    let exact = format!("oci://{}/team/card-1@{witness}", registry.address);
    for place in [&place, &exact] {
        let pulled = other.ok(&["witness", "pull", place, "--incident", "CARD-1", "--plain-http"]);
        assert_eq!(pulled["witness"], witness.as_str());
    }
    assert_eq!(other.call(&["witness", "replay", "CARD-1"]).json["verdict"], "reproduced");
    let missing = format!("oci://{}/team/card-1:v2", registry.address);
    assert_eq!(other.call(&["witness", "pull", &missing, "--incident", "CARD-1", "--plain-http"]).code, 3);
}

#[test]
fn a_registry_that_asks_for_a_password_gets_it_from_the_environment() {
    let Some(registry) = Registry::start(true) else { return };
    let bench = Bench::over(vec![
        ("ASSAY_REGISTRY_USER", "assay".to_owned()),
        ("ASSAY_REGISTRY_PASSWORD", "example-password".to_owned()),
    ]);
    if recorded(&bench).is_none() {
        return;
    }
    let place = format!("oci://{}/card:1", registry.address);
    bench.ok(&["witness", "push", "CARD-1", &place, "--plain-http"]);
    let stranger = Bench::new();
    let toml = stranger.path("incident.toml");
    std::fs::write(&toml, "id = 'CARD-1'\nrole = 'cards'\n[expect.vulnerable]\nsignal = 'SIGABRT'\n")
        .unwrap();
    stranger.ok(&["incident", "define", &text(&toml)]);
    let denied = stranger.call(&["witness", "pull", &place, "--incident", "CARD-1", "--plain-http"]);
    assert_eq!((denied.code, denied.json["error"]["code"].as_str()), (3, Some("registry_denied")));
}

#[test]
fn an_exported_runtime_bundle_runs_under_crun() {
    let bench = Bench::new();
    if recorded(&bench).is_none() {
        return;
    }
    let folder = text(&bench.path("runtime"));
    let exported = bench.ok(&["witness", "export", "CARD-1", "--oci-bundle", &folder]);
    assert_eq!(exported["isolation_only"], true);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("runtime/config.json")).unwrap()).unwrap();
    assert!(config["annotations"]["org.stella-ops.assay.isolation-only"].is_string());
    assert_eq!(bench.call(&["witness", "export", "CARD-1", "--oci-bundle", &folder]).code, 3);
    if Command::new("crun").arg("--version").output().is_err() {
        println!("skipped: crun is not there");
        return;
    }
    let name = format!("assay-test-{}", std::process::id());
    let state = text(&bench.path("state"));
    let input = std::fs::File::open(bench.path("runtime/stdin")).unwrap();
    let output = Command::new("crun")
        .args(["--root", &state, "--cgroup-manager", "disabled", "run", "--bundle", &folder, &name])
        .stdin(input)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(1)
        && (said.contains("not permitted") || said.contains("cgroup") || said.contains("mount"))
    {
        println!("skipped: crun cannot make a container here: {said}");
        return;
    }
    // 128 + SIGABRT.
    assert_eq!(output.status.code(), Some(134), "{said}");
}

#[test]
fn requalifying_lists_what_would_change_and_alters_nothing_by_itself() {
    let bench = Bench::new();
    if recorded(&bench).is_none() {
        return;
    }
    let artifact = format!("cards={}", text(&bench.path("cards")));
    bench.ok(&["release", "create", "v1", "--artifact", &artifact]);
    assert_eq!(bench.call(&["verify", "v1"]).code, 1);
    let same = bench.ok(&["witness", "requalify"]);
    assert_eq!((&same["unchanged"], &same["changes"]), (&1.into(), &serde_json::json!([])));
    // An earlier runner's verdict, put in place of this one's by another program, and what was carried from
    // its run to a build that nobody asks about any more.
    let change = "import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
d.row_factory = sqlite3.Row
d.execute(\"UPDATE verdicts SET verdict = 'not_reproduced'\")
row = dict(d.execute('SELECT * FROM verdicts').fetchone())
key = row['cache_key']
row.update(cache_key=key[:-1] + ('1' if key[-1] == '0' else '0'), mode='carried_over', created_at=row['created_at'] - 1)
d.execute('INSERT INTO verdicts (%s) VALUES (%s)' % (','.join(row), ','.join('?' * len(row))), list(row.values()))
d.commit()";
    let count = "import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('SELECT mode FROM verdicts').fetchall()
sys.exit(0 if rows == [('replayed',)] else str(rows))";
    let database = text(&bench.path("data/assay.sqlite"));
    let Ok(status) = Command::new("python3").args(["-c", change, &database]).status() else {
        println!("skipped: python3 is not there");
        return;
    };
    assert!(status.success());
    for _ in 0..2 {
        let changed = bench.call(&["witness", "requalify", "--incident", "CARD-1"]);
        let row = &changed.json["changes"][0];
        assert_eq!(
            (changed.code, &row["from"], &row["to"]),
            (1, &"not_reproduced".into(), &"reproduced".into()),
            "{row}"
        );
        assert_eq!(row["reason"], "expected_observation");
    }
    assert_eq!(bench.call(&["witness", "requalify", "--accept"]).code, 1);
    let left = Command::new("python3").args(["-c", count, &database]).output().unwrap();
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    assert_eq!(bench.ok(&["witness", "requalify"])["unchanged"], 1);
    assert_eq!(bench.ok(&["log", "verify"])["verified"], true);
}

#[test]
fn quotas_refuse_what_is_past_them() {
    let bench = Bench::new();
    if recorded(&bench).is_none() {
        return;
    }
    let used = bench.ok(&["quota", "show"])["witness_bytes"].as_u64().unwrap();
    assert!(used > 0);
    let refused = |quota: &str, words: &[&str]| {
        let answer = bench.call(words);
        let message = answer.json["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (answer.code, answer.json["error"]["code"].as_str()),
            (3, Some("quota_exceeded")),
            "{}",
            answer.json
        );
        assert!(message.contains(quota), "{message}");
    };
    let (program, file) = (text(&bench.path("cards")), input(&bench, "card 0000000000000000\nmore\n"));
    let record = ["witness", "record", "--incident", "CARD-1", "--stdin", &file, "--", &program];
    bench.ok(&["quota", "set", "--capsule-bytes", &(used - 1).to_string()]);
    refused("capsule_bytes", &record);
    bench.ok(&["quota", "set", "--witness-bytes", &(used + 1).to_string()]);
    refused("witness_bytes", &record);
    bench.ok(&["quota", "set", "--concurrent-replays", "0"]);
    refused("concurrent_replays", &["witness", "replay", "CARD-1"]);
    bench.ok(&["quota", "set", "--replays-per-hour", "1"]);
    assert_eq!(bench.call(&["witness", "replay", "CARD-1"]).code, 1);
    refused("replays_per_hour", &["witness", "replay", "CARD-1"]);
    assert_eq!(bench.ok(&["quota", "set"])["quotas"], serde_json::json!({}));
    bench.ok(&record);
}
