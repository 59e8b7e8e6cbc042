//! A known verdict over HTTP, without running anything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use crate::{Bench, text};

const TOOL: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(void) { if (BROKEN) abort(); puts("fine"); return 0; }
"#;

/// The status and body of one request on a connection of its own.
fn get(address: &str, path: &str, token: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: assay\r\nauthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn a_known_verdict_is_given_and_an_unknown_one_is_named() {
    let bench = Bench::new();
    let Some(broken) = bench.compile("tool", TOOL, &["-DBROKEN=1"]) else { return };
    let fixed = bench.compile("fixed", TOOL, &["-DBROKEN=0"]).unwrap();
    bench.ok(&[
        "witness",
        "record",
        "--incident",
        "TOOL-1",
        "--expect",
        "signal=SIGABRT",
        "--expect-fixed",
        "stdout_exact=fine\n",
        "--check",
        "4",
        "--",
        &text(&broken),
    ]);
    bench.ok(&["release", "create", "v1", "--artifact", &format!("tool={}", text(&fixed))]);
    let verified = bench.ok(&["verify", "v1"]);
    let verdict = &verified["verdicts"][0];
    let token = bench.ok(&["token", "new", "--scope", "read"])["token"].as_str().unwrap().to_owned();
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["listening"].as_str().unwrap();
    let path = |artifact: &Value| {
        let witness = verdict["witness"].as_str().unwrap();
        format!("/api/v1/witnesses/{witness}/verdicts/{}", artifact.as_str().unwrap())
    };
    let known = get(address, &path(&verdict["artifact"]), &token);
    let nothing = format!("sha256:{}", "0".repeat(64)).into();
    let unknown = get(address, &path(&nothing), &token);
    let stranger = get(address, &path(&verdict["artifact"]), "none");
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(known.0, 200, "{}", known.1);
    assert_eq!((&known.1["verdict"], &known.1["mode"]), (&"not_reproduced".into(), &"cached".into()));
    assert_eq!(known.1["statement"], verdict["statement"]);
    assert_eq!((unknown.0, &unknown.1["code"]), (404, &"unknown_verdict".into()), "{}", unknown.1);
    assert_eq!(stranger.0, 401, "{}", stranger.1);
}
