//! Every bad input is a typed refusal with a hint and the right exit code, and changes nothing.

use crate::{Bench, text};

/// Calls and checks code, the stable code of the error, and that the log did not move.
fn refused(bench: &Bench, exit: i32, code: &str, args: &[&str]) {
    let before = bench.ok(&["log", "head"]);
    let answer = bench.call(args);
    assert_eq!(answer.code, exit, "{args:?}: {} {}", answer.json, answer.stderr);
    assert_eq!(answer.json["error"]["code"], code, "{args:?}: {}", answer.json);
    assert!(
        answer.json["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{args:?}: {}",
        answer.json
    );
    assert!(answer.stderr.contains("hint:"), "{}", answer.stderr);
    assert_eq!(bench.ok(&["log", "head"]), before);
}

#[test]
fn unknown_names() {
    let bench = Bench::new();
    refused(&bench, 3, "unknown_release", &["verify", "nope"]);
    refused(&bench, 3, "unknown_release", &["release", "show", "nope"]);
    refused(&bench, 3, "unknown_incident", &["incident", "show", "nope"]);
    refused(&bench, 3, "unknown_decision", &["gate", "explain", "nope"]);
    refused(&bench, 3, "digest_refused", &["log", "prove", "nope"]);
    let nothing = format!("sha256:{}", "0".repeat(64));
    refused(&bench, 3, "unknown_statement", &["log", "prove", &nothing]);
    refused(&bench, 3, "unknown_witness", &["witness", "check", &nothing]);
    refused(&bench, 3, "unknown_incident", &["witness", "check", "nope"]);
    refused(&bench, 3, "file_not_found", &["release", "create", "v", "--artifact", "missing"]);
    assert_eq!(bench.raw(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn a_truncated_elf() {
    let bench = Bench::new();
    let whole = std::fs::read(env!("CARGO_BIN_EXE_assay")).unwrap();
    for length in [0, 3, 63, 64, 4000] {
        std::fs::write(bench.path("truncated"), &whole[..length]).unwrap();
        refused(&bench, 3, "artifact_refused", &["delta", "index", "truncated"]);
    }
}

#[test]
fn archives_that_lead_elsewhere() {
    let bench = Bench::new();
    for (name, path) in [("dots", "../evil"), ("absolute", "/evil"), ("other", "evil")] {
        let file = bench.path(name);
        write_tar(&file, path, b"x");
        refused(&bench, 3, "bundle_refused", &["evidence", "verify", &text(&file)]);
        std::fs::write(bench.path("i.toml"), "id = 'I'\nrole = 'r'\n[expect.vulnerable]\nexit = 1\n")
            .unwrap();
        bench.ok(&["incident", "define", "i.toml"]);
        refused(&bench, 3, "capsule_refused", &["witness", "import", &text(&file), "--incident", "I"]);
    }
    assert!(!bench.path("evil").exists() && !std::path::Path::new("/evil").exists());
}

#[test]
fn json_with_duplicate_keys() {
    let bench = Bench::new();
    std::fs::write(bench.path("proof.json"), r#"{"baseline":1,"baseline":2}"#).unwrap();
    let program = text(std::path::Path::new(env!("CARGO_BIN_EXE_assay")));
    refused(&bench, 3, "proof_refused", &["delta", "check", "proof.json", &program, &program]);
}

#[test]
fn keys_are_never_overwritten_and_never_open() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    refused(&bench, 3, "key_exists", &["key", "new"]);
    let file = bench.path("data/keys/signing.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let answer = bench.call(&["key", "show"]);
    assert_eq!((answer.code, answer.json["error"]["code"].as_str()), (3, Some("key_file_open")));
}

#[test]
fn a_policy_with_unknown_words() {
    let bench = Bench::new();
    std::fs::write(bench.path("file"), "x").unwrap();
    bench.ok(&["release", "create", "v1", "--artifact", "tool=file"]);
    std::fs::write(bench.path("policy.toml"), "name = 'x'\nallow = true\n").unwrap();
    refused(&bench, 3, "policy_refused", &["verify", "v1", "--policy", "policy.toml"]);
    std::fs::write(bench.path("policy.toml"), "name = 'empty'\n").unwrap();
    let denied = bench.call(&["verify", "v1", "--policy", "policy.toml"]);
    assert_eq!((denied.code, denied.json["reasonCodes"][0].as_str()), (1, Some("policy_empty")));
}

/// A ustar archive of one entry, whose name the `tar` crate would refuse to write.
fn write_tar(file: &std::path::Path, name: &str, bytes: &[u8]) {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(bytes);
    archive.resize(512 * 2 + 1024, 0);
    std::fs::write(file, archive).unwrap();
}
