//! What compiled a subject, and signed statements about it, as parts of the capsule.

use std::process::Command;

use assay_evidence::dsse::IN_TOTO_PAYLOAD;
use assay_evidence::{Envelope, PrivateKey, Sha256};
use serde_json::{Value, json};

use crate::{Bench, text};

const FAILS: &str = "int main(void) { return 3; }\n";

fn envelope(subject: &Sha256) -> Vec<u8> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            { "name": "readme", "digest": { "sha256": Sha256::of(b"something else").hex() } },
            { "name": "tool", "digest": { "sha256": subject.hex(), "sha512": "00" } },
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": { "buildDefinition": { "buildType": "https://example.org/make" } },
    });
    let key = PrivateKey::from_seed(&[7; 32]);
    Envelope::sign(IN_TOTO_PAYLOAD, serde_json::to_vec(&statement).unwrap(), &key).to_bytes()
}

/// The predicate of the witness's own statement.
fn stated(bench: &Bench, recorded: &Value) -> Value {
    let proof = bench.ok(&["log", "prove", recorded["statement"].as_str().unwrap()]);
    let decode = |text: &Value| {
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.as_str().unwrap()).unwrap()
    };
    let envelope = Envelope::parse(&decode(&proof["envelope"])).unwrap();
    serde_json::from_slice::<Value>(envelope.payload_unverified()).unwrap()["predicate"].clone()
}

#[test]
fn a_capsule_names_the_compiler_of_its_subject_or_why_it_cannot() {
    let bench = Bench::new();
    let Some(program) = bench.compile("tool", FAILS, &[]) else { return };
    let record = |incident: &str, program: &str| {
        let recorded = bench.ok(&["witness", "record", "--incident", incident, "--", program]);
        let shown = bench.ok(&["witness", "show", recorded["witness"].as_str().unwrap()]);
        shown["capsule"]["subjects"][0]["toolchain"].clone()
    };
    let first = record("TOOL-1", &text(&program));
    let version = Command::new("cc").arg("-dumpfullversion").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    assert_eq!(
        (&first["type"], &first["toolchains"][0]["name"]),
        (&"identified".into(), &"gcc".into()),
        "{first}"
    );
    assert_eq!(first["toolchains"][0]["version"], version.as_str());
    // RFC 8785 of an array of objects with text alone: sorted keys, no spaces.
    let canonical = serde_json::to_string(&first["toolchains"]).unwrap();
    assert_eq!(first["digest"], Sha256::of(canonical.as_bytes()).to_string(), "{canonical}");
    let other = bench.compile("other", "int main(void) { return 4; }\n", &[]).unwrap();
    assert_eq!(record("TOOL-2", &text(&other)), first, "one compiler, one digest");

    let bare = bench.path("bare");
    let cut = Command::new("strip").args(["-R", ".comment", "-g", "-o"]).arg(&bare).arg(&program).status();
    assert!(cut.unwrap().success());
    assert_eq!(record("TOOL-3", &text(&bare)), json!({ "type": "unidentified", "reason": "no_evidence" }));

    let script = bench.path("script");
    std::fs::write(&script, "#!/bin/sh\nexit 5\n").unwrap();
    Command::new("chmod").arg("755").arg(&script).status().unwrap();
    assert_eq!(record("TOOL-4", &text(&script)), json!({ "type": "unidentified", "reason": "script" }));
    let shown = String::from_utf8(bench.raw(&["witness", "show", "TOOL-4"]).stdout).unwrap();
    assert!(shown.contains("script: unknown (script)"), "{shown}");
    let shown = String::from_utf8(bench.raw(&["witness", "show", "TOOL-1"]).stdout).unwrap();
    assert!(shown.contains(&format!("tool: gcc {version} sha256:")), "{shown}");
}

#[test]
fn provenance_goes_where_the_capsule_goes() {
    let bench = Bench::new();
    let Some(program) = bench.compile("tool", FAILS, &[]) else { return };
    let program = text(&program);
    let bytes = envelope(&Sha256::of(&std::fs::read(&program).unwrap()));
    std::fs::write(bench.path("provenance.json"), &bytes).unwrap();
    let words =
        ["witness", "record", "--incident", "FROM-1", "--check", "4", "--provenance", "provenance.json"];
    let recorded = bench.ok(&[&words[..], &["--", &program]].concat());
    let witness = recorded["witness"].as_str().unwrap();
    let wanted = json!([{
        "digest": Sha256::of(&bytes).to_string(),
        "size": bytes.len(),
        "mediaType": "application/vnd.dsse.envelope.v1+json",
        "predicateType": "https://slsa.dev/provenance/v1",
        "role": "tool",
    }]);
    assert_eq!(bench.ok(&["witness", "show", witness])["capsule"]["provenance"], wanted);
    let predicate = stated(&bench, &recorded);
    assert_eq!(predicate["provenance"], wanted, "the statement names it");
    assert_eq!(predicate["toolchain"]["type"], "identified");

    let archive = text(&bench.path("capsule.tar"));
    bench.ok(&["witness", "export", witness, "-o", &archive]);
    let other = Bench::new();
    std::fs::write(
        other.path("incident.toml"),
        "id = 'FROM-1'\nrole = 'tool'\n[expect.vulnerable]\nexit = 3\n",
    )
    .unwrap();
    other.ok(&["incident", "define", "incident.toml"]);
    assert_eq!(other.ok(&["witness", "import", &archive, "--incident", "FROM-1"])["witness"], witness);
    assert_eq!(other.ok(&["witness", "show", witness])["capsule"]["provenance"], wanted);

    bench.ok(&["incident", "bundle", "FROM-1", "-o", "bundle.tar"]);
    let entry = format!("blobs/sha256/{}", Sha256::of(&bytes).hex());
    let listed = Command::new("tar").arg("-xOf").arg(bench.path("bundle.tar")).arg(entry).output().unwrap();
    assert_eq!(listed.stdout, bytes, "the envelope itself is in the bundle");
    let third = Bench::new();
    third.ok(&["incident", "import", &text(&bench.path("bundle.tar"))]);
    assert_eq!(third.ok(&["witness", "show", witness])["capsule"]["provenance"], wanted);
}

#[test]
fn what_is_about_something_else_is_refused_and_nothing_is_kept() {
    let bench = Bench::new();
    let Some(program) = bench.compile("tool", FAILS, &[]) else { return };
    let program = text(&program);
    let own = Sha256::of(&std::fs::read(&program).unwrap());
    let signed = |kind: &str, payload: &[u8]| {
        Envelope::sign(kind, payload.to_vec(), &PrivateKey::from_seed(&[7; 32])).to_bytes()
    };
    let cases = [
        envelope(&Sha256::of(b"another build")),
        b"{}".to_vec(),
        std::fs::read(&program).unwrap(),
        signed("text/plain", envelope(&own).as_slice()),
        signed(IN_TOTO_PAYLOAD, b"{\"subject\":[]}"),
    ];
    for bytes in cases {
        std::fs::write(bench.path("provenance.json"), bytes).unwrap();
        let words = ["witness", "record", "--incident", "FROM-2", "--provenance", "provenance.json"];
        let answer = bench.call(&[&words[..], &["--", &program]].concat());
        let error = &answer.json["error"];
        assert_eq!((answer.code, &error["code"]), (3, &"provenance_refused".into()), "{error}");
    }
    assert_eq!(bench.call(&["incident", "show", "FROM-2"]).code, 3);
    // Without it the capsule is the one that it always was.
    let record = |incident: &str| bench.ok(&["witness", "record", "--incident", incident, "--", &program]);
    let first = record("FROM-3")["witness"].clone();
    assert_eq!(record("FROM-3")["witness"], first);
    std::fs::write(bench.path("provenance.json"), envelope(&own)).unwrap();
    let words = ["witness", "record", "--incident", "FROM-4", "--provenance", "provenance.json"];
    assert_ne!(bench.ok(&[&words[..], &["--", &program]].concat())["witness"], first);
}
