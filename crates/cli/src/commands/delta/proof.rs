//! Carry-over proofs from files alone.

use std::path::Path;

use assay_delta::{DeltaProof, Executed};
use assay_evidence::Sha256;
use serde_json::json;

use super::MAX_BINARY;
use crate::commands::read_input;
use crate::error::{CliError, Exit, chain};
use crate::output::{Output, table};

/// The largest proof.
const MAX_PROOF: u64 = 256 << 20;

pub(super) fn prove(a: &Path, b: &Path, file: Option<&Path>, output: &Output) -> Result<Exit, CliError> {
    let (before, after) = (read_input(a, MAX_BINARY)?, read_input(b, MAX_BINARY)?);
    match assay_delta::prove(&before, &after, Executed::All) {
        Ok(proof) => {
            let bytes = assay_evidence::json::canonical(&proof)
                .map_err(|error| CliError::environment("the proof cannot be written", &error))?;
            if let Some(file) = file {
                std::fs::write(file, &bytes).map_err(|error| CliError::file(file, &error))?;
            }
            let unchanged = proof.executed.len();
            let document = json!({ "proof": proof, "digest": Sha256::of(&bytes), "valid": true, "functions_unchanged": unchanged });
            output.data(&document, || format!("proven: {unchanged} functions unchanged"));
            Ok(Exit::Yes)
        }
        Err(refusals) => {
            let document =
                json!({ "proof": null, "valid": false, "functions_unchanged": 0, "refusals": refusals });
            output.data(&document, || {
                let row = |refusal: &assay_delta::Refusal| {
                    vec![format!("{:?}", refusal.reason), refusal.place.clone(), refusal.detail.clone()]
                };
                format!("not proven\n{}", table(&refusals.iter().take(20).map(row).collect::<Vec<_>>()))
            });
            Ok(Exit::No)
        }
    }
}

pub(super) fn check(proof: &Path, a: &Path, b: &Path, output: &Output) -> Result<Exit, CliError> {
    let bytes = read_input(proof, MAX_PROOF)?;
    let proof: DeltaProof = assay_evidence::json::from_strict(&bytes).map_err(|error| {
        CliError::refused("proof_refused", chain(&error), "`assay delta prove -o FILE` writes the form")
    })?;
    let (before, after) = (read_input(a, MAX_BINARY)?, read_input(b, MAX_BINARY)?);
    match assay_delta::check(&proof, &before, &after) {
        Ok(_) => {
            let unchanged = proof.executed.len();
            let document =
                json!({ "proof": Sha256::of(&bytes), "valid": true, "functions_unchanged": unchanged });
            output.data(&document, || format!("valid: {unchanged} functions unchanged"));
            Ok(Exit::Yes)
        }
        Err(error) => {
            let document = json!({ "proof": Sha256::of(&bytes), "valid": false, "functions_unchanged": 0, "problem": chain(&error) });
            output.data(&document, || format!("not valid: {}", chain(&error)));
            Ok(Exit::Trust)
        }
    }
}
