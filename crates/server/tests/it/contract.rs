//! The committed descriptions are what this program generates, and what it generates is true.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::schema;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn assert_current(file: &str, document: &Value) {
    let committed = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    let generated = serde_json::to_string_pretty(document).unwrap() + "\n";
    assert!(committed == generated, "{file} is not current; `cargo xtask schemas` rewrites it");
}

#[test]
fn the_committed_openapi_document_is_current() {
    assert_current("openapi.json", &assay_server::openapi());
}

#[test]
fn the_committed_schemas_are_current() {
    let schemas = assay_server::schemas();
    for (name, schema) in &schemas {
        assert_current(&format!("schemas/{name}"), schema);
    }
    for entry in std::fs::read_dir(root().join("schemas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            !name.ends_with(".schema.json") || schemas.contains_key(&name),
            "schemas/{name} belongs to no type"
        );
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = assay_server::openapi();
    let mut references = Vec::new();
    collect(&document, &mut references);
    for reference in references {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The router is built from the table, so what is left to show is that every entry answers, and
/// that no other method of its path does.
#[tokio::test]
async fn every_described_operation_answers() {
    let lab = Lab::owner().await;
    let document = assay_server::openapi();
    for (template, item) in document["paths"].as_object().unwrap() {
        let path: String = template.split('/').map(example).collect::<Vec<_>>().join("/");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = lab.send(method, &path, &[], Vec::new()).await;
            let known = item.get(method.to_lowercase()).is_some();
            assert_eq!(answer.status != 405, known, "{method} {path}: {}", answer.text());
            let unrouted = answer.status == 404 && answer.text().contains("no such route");
            assert!(!unrouted, "{method} {path}");
        }
    }
}

fn example(part: &str) -> String {
    match part {
        "{digest}" => format!("sha256:{}", "0".repeat(64)),
        "{tenant}" => "default".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    }
}

fn assert_sample(file: &str, sample: &Value) {
    let schemas = assay_server::schemas();
    let schema = &schemas[file];
    schema::assert_valid(schema, schema, sample);
    let object = sample.as_object().unwrap();
    for key in schema["required"].as_array().unwrap_or(&Vec::new()) {
        let mut without = object.clone();
        without.remove(key.as_str().unwrap());
        assert!(!schema::is_valid(schema, schema, &without.into()), "{file} does not miss {key}");
    }
}

/// A sample as its type writes it, after its type has read it.
fn through<T: serde::Serialize + serde::de::DeserializeOwned>(sample: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(sample).unwrap()).unwrap()
}

fn digest(text: &str) -> String {
    assay_evidence::Sha256::of(text.as_bytes()).to_string()
}

#[test]
fn predicates_fit_their_schemas() {
    let observation = json!({
        "ending": "SIGSEGV", "stdout": digest(""), "stderr": digest("e"),
        "fault": { "signal": "SIGSEGV", "frames": ["/app+0x1000 app::work"] },
    });
    let witness = json!({
        "incident": "RUSTSEC-2021-0003", "witness": digest("w"), "role": "app", "artifact": digest("a"),
        "observation": observation, "observationDigest": digest("o"), "traceDigest": digest("t"),
        "layoutSensitive": false, "replays": 10, "recordedPath": ["app::work"], "runnerVersion": "1",
        "environment": digest("env"),
    });
    assert_sample("micro-witness.schema.json", &through::<assay_verify::MicroWitness>(witness));
    let verdict = json!({
        "incident": "RUSTSEC-2021-0003", "witness": digest("w"), "role": "app", "artifact": digest("b"),
        "verdict": "not_reproduced", "mode": "carried_over", "reason": "fixed_observation", "reached": true,
        "observation": observation, "traceDigest": digest("t"), "cacheKey": digest("k"),
        "carriedFrom": digest("v"), "deltaProof": digest("p"), "notCarried": ["data_differs"], "runnerVersion": "1",
        "environment": digest("env"),
    });
    assert_sample("replay-verdict.schema.json", &through::<assay_verify::ReplayVerdict>(verdict));
    let module = json!({ "path": "/app", "debugId": null });
    let frame = json!({ "module": module, "offset": "0x1000", "symbol": "_ZN3app4workE" });
    let stack = json!({
        "incident": "RUSTSEC-2021-0003", "witness": digest("w"), "signal": "SIGSEGV",
        "fingerprint": digest("f"), "frames": [frame, { "module": null, "offset": "0x2000" }],
    });
    assert_sample("stack-fingerprint.schema.json", &through::<assay_verify::StackFingerprint>(stack));
    let proof = json!({
        "baseline": { "sha256": digest("a") }, "candidate": { "sha256": digest("b") }, "normaliserVersion": 1,
        "executed": [{ "name": "main", "addressA": "0x1000", "addressB": "0x1010", "hash": digest("h") }],
        "referencedFunctions": 3, "data": [{ "addressA": "0x3000", "addressB": "0x3000", "size": 16 }],
        "compared": ["imports"], "assumptions": ["no_undefined_behaviour"],
    });
    assert_sample("delta-proof.schema.json", &through::<assay_delta::DeltaProof>(proof));
}

#[test]
fn manifests_fit_their_schemas() {
    let file = json!({ "type": "regular", "digest": digest("a"), "size": 1, "executable": true });
    let limits = serde_json::to_value(assay_witness::Limits::default()).unwrap();
    let capsule = json!({
        "schemaVersion": 1, "command": ["/app"], "environment": { "LANG": "C" }, "workingDirectory": "/",
        "files": [{ "path": "/app", "kind": file }], "subjects": [{ "role": "app", "path": "/app" }], "seed": 7,
        "limits": limits,
    });
    assert_sample("capsule.schema.json", &through::<assay_witness::Capsule>(capsule));
    let policy = assay_gate::Policy::parse(assay_control::DEFAULT_POLICY).unwrap();
    assert_sample("policy.schema.json", &serde_json::to_value(policy).unwrap());
    let golden = include_str!("../../../../schemas/leaf-v1.golden.json");
    let vectors: Vec<Value> = serde_json::from_str(golden).unwrap();
    for vector in vectors {
        assert_sample("leaf-v1.schema.json", &vector["leaf"]);
    }
    let release = json!({ "release": "app-1.0", "artifacts": [{ "role": "app", "digest": digest("a"), "name": "app", "size": 1 }] });
    assert_sample("release.schema.json", &through::<assay_control::NewRelease>(release));
}

#[test]
fn the_corpus_fits_the_schema_of_incidents() {
    let folders = std::fs::read_dir(root().join("incidents")).unwrap();
    let files = folders.map(|entry| entry.unwrap().path().join("incident.toml")).filter(|file| file.exists());
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let definition = assay_verify::IncidentDefinition::from_toml(&text).unwrap();
        assert_sample("incident.schema.json", &serde_json::to_value(definition).unwrap());
        seen += 1;
    }
    assert!(seen >= 6);
}

#[tokio::test]
async fn what_the_server_gives_out_fits_its_schemas() {
    let lab = Lab::owner().await;
    let verified = lab.decided("app-1.0").await;
    let statement = verified["statement"].as_str().unwrap();
    let answer = lab.get(&format!("/api/v1/statements/{statement}")).await.json();
    assert_sample("statement.schema.json", &answer["statement"]);
    assert_sample("gate-decision.schema.json", &answer["statement"]["predicate"]);
    assert_sample(
        "inclusion-proof.schema.json",
        &lab.get(&format!("/api/v1/log/proofs/{statement}")).await.json(),
    );
    assert_sample("evidence-bundle.schema.json", &lab.get("/api/v1/releases/app-1.0/evidence").await.json());
    assert_sample("problem.schema.json", &lab.get("/api/v1/releases/none").await.json());
}
