//! What other programs read: JUnit, SARIF, the server's first words, the version.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Bench;

#[test]
fn junit_and_sarif_of_an_unmatched_incident() {
    let bench = Bench::new();
    std::fs::write(bench.path("i.toml"), "id = 'I-1'\nrole = 'r'\n[expect.vulnerable]\nexit = 1\n").unwrap();
    bench.ok(&["incident", "define", "i.toml"]);
    std::fs::write(bench.path("file"), "x").unwrap();
    bench.ok(&["release", "create", "v1", "--artifact", "tool=file"]);
    let answer = bench.call(&["verify", "v1", "--junit", "junit.xml", "--sarif", "log.sarif"]);
    assert_eq!(answer.code, 4);
    assert_eq!(answer.json["unknown"][0]["reason"], "no_witness");
    let junit = std::fs::read_to_string(bench.path("junit.xml")).unwrap();
    assert!(junit.contains("errors=\"1\"") && junit.contains("no_witness"), "{junit}");
    let sarif: Value = serde_json::from_slice(&std::fs::read(bench.path("log.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"][0]["kind"], "open");
}

#[test]
fn version_names_the_commit() {
    let output = Bench::new().raw(&["--version"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("assay 0.1.0 ("), "{text}");
}

#[test]
fn the_server_says_where_it_listens_and_answers() {
    let bench = Bench::new();
    let mut server = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("ASSAY_DATA", bench.path("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit('/').next().unwrap().to_owned();
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health").starts_with("HTTP/1.1 200"));
    assert!(get("/metrics").contains("assay_http_requests"));
    assert!(get("/openapi.json").contains("\"openapi\""));
    let missing = get("/api/v1/releases/nope");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("application/problem+json"), "{missing}");
    server.kill().unwrap();
    server.wait().unwrap();
    let open = bench.call(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((open.code, open.json["error"]["code"].as_str()), (3, Some("not_loopback")));
}

#[test]
fn the_ci_snippet_decides_and_writes_both_reports() {
    let bench = Bench::new();
    std::fs::write(bench.path("i.toml"), "id = 'I-1'\nrole = 'r'\n[expect.vulnerable]\nexit = 1\n").unwrap();
    bench.ok(&["incident", "define", "i.toml"]);
    std::fs::write(bench.path("a file"), "x").unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/integrations/verify.sh");
    let run = |release: &str| {
        Command::new("sh")
            .arg(&script)
            .args([release, "tool=a file"])
            .env("ASSAY", env!("CARGO_BIN_EXE_assay"))
            .env("ASSAY_DATA", bench.path("data"))
            .current_dir(bench.path(""))
            .output()
            .unwrap()
    };
    let pending = run("v1");
    assert_eq!(pending.status.code(), Some(4), "{}", String::from_utf8_lossy(&pending.stderr));
    assert!(std::fs::read_to_string(bench.path("assay-junit.xml")).unwrap().contains("no_witness"));
    let sarif: Value = serde_json::from_slice(&std::fs::read(bench.path("assay.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["properties"]["release"], "v1");
    assert_eq!(run("not/a/name").status.code(), Some(3));
}
