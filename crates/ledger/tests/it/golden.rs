//! Leaf v1 is frozen: `schemas/leaf-v1.golden.json` was computed with Python's `hashlib`, `hmac` and
//! `json`, not with this program.

use assay_evidence::Sha256;
use assay_ledger::{Leaf, SubjectCommitment, TenantSecret, leaf_hash};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../../schemas/leaf-v1.golden.json");

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

#[test]
fn golden_vectors_hold() {
    let vectors: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let canonical = text(vector, "canonical").as_bytes();
        let leaf: Leaf = serde_json::from_value(vector["leaf"].clone()).unwrap();
        assert_eq!(leaf.to_bytes().unwrap(), canonical, "{}", vector["name"]);
        assert_eq!(Leaf::parse(canonical).unwrap(), leaf);
        assert_eq!(hex::encode(leaf_hash(canonical)), text(vector, "leafHash"));
        assert_eq!(leaf.subjects, commitments(vector));
    }
}

fn commitments(vector: &Value) -> Vec<SubjectCommitment> {
    let secret: [u8; 32] = hex::decode(text(vector, "tenantSecret")).unwrap().try_into().unwrap();
    let secret = TenantSecret::new(secret);
    let subjects = vector["subjects"].as_array().unwrap().iter();
    let mut commitments: Vec<_> = subjects
        .map(|subject| secret.commit(&subject.as_str().unwrap().parse::<Sha256>().unwrap()))
        .collect();
    commitments.sort();
    commitments
}

#[test]
fn another_spelling_of_a_leaf_is_no_leaf() {
    let vectors: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    let canonical = text(&vectors[0], "canonical");
    for other in [
        canonical.replacen("{\"", "{ \"", 1),
        canonical.replacen("\"v\":1", "\"v\":2", 1),
        canonical.replacen("\"v\":1", "\"v\":1,\"w\":1", 1),
        canonical.replacen("\"v\":1", "\"v\":1,\"v\":1", 1),
        format!("{canonical}\n"),
    ] {
        assert_ne!(other, canonical);
        assert!(Leaf::parse(other.as_bytes()).is_err(), "{other}");
    }
}
