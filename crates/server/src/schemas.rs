//! The JSON Schema of every statement and manifest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Where a schema says it lives; the last part is the file's name in `schemas/`.
const BASE: &str = "https://stella-ops.org/assay/schemas/";

/// The files of `schemas/` by name, generated from the types (draft 2020-12).
pub fn schemas() -> BTreeMap<String, Value> {
    BTreeMap::from([
        of::<assay_evidence::Statement>("statement", "An in-toto statement v1"),
        of::<assay_verify::MicroWitness>("micro-witness", "Predicate of stella.ops/microWitness@v1"),
        of::<assay_verify::ReplayVerdict>("replay-verdict", "Predicate of stella.ops/replayVerdict@v1"),
        of::<assay_verify::StackFingerprint>(
            "stack-fingerprint",
            "Predicate of stella.ops/stackFingerprint@v1",
        ),
        of::<assay_delta::source::SourceProof>(
            "source-delta-proof",
            "Predicate of stella.ops/sourceDeltaProof@v1",
        ),
        of::<assay_verify::SignedPatch>("patch-signature", "Predicate of stella.ops/patchSignature@v1"),
        of::<assay_delta::DeltaProof>("delta-proof", "Predicate of stella.ops/deltaProof@v1"),
        of::<assay_control::StoredDecision>("gate-decision", "Predicate of stella.ops/gateDecision@v1"),
        of::<assay_ledger::Leaf>("leaf-v1", "A leaf of the log, version 1"),
        of::<assay_notary::InclusionProof>("inclusion-proof", "A statement's inclusion in its log"),
        of::<assay_witness::Capsule>("capsule", "A micro-witness's capsule"),
        of::<assay_witness::RunReport>("run-report", "What one run showed"),
        of::<assay_gate::Policy>("policy", "A policy, written in TOML"),
        of::<assay_verify::IncidentDefinition>(
            "incident",
            "An incident's definition, written in TOML or JSON",
        ),
        of::<assay_witness::redact::Policy>("redaction-policy", "A redaction policy, written in TOML"),
        of::<assay_control::NewRelease>("release", "A release to create"),
        of::<assay_control::Bundle>("evidence-bundle", "The evidence of a release, to hand over"),
        of::<assay_verify::IncidentBundle>("incident-bundle", "An incident, to hand over"),
        of::<crate::Problem>("problem", "An error of the API"),
    ])
}

fn of<T: JsonSchema>(name: &str, title: &str) -> (String, Value) {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let file = format!("{name}.schema.json");
    schema.insert("$id".to_owned(), format!("{BASE}{file}").into());
    schema.insert("title".to_owned(), title.into());
    let mut value = schema.to_value();
    value.sort_all_objects();
    (file, value)
}
