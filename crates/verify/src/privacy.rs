//! Privacy: the tenant's key for pseudonyms, scans of witnesses, and whether a redacted run still shows
//! its incident.

use std::collections::BTreeSet;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_witness::redact::{Policy, ScanReport, Scanner, scan_capsule};
use assay_witness::{Capsule, Host, MapSource, ReplayRequest, RunReport, WitnessError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::judge::{Budget, mismatch};
use crate::observation::{Observation, ending_text};
use crate::stacks::fault_fingerprint;
use crate::{IncidentDefinition, Verifier, VerifyError, VerifyResult};

/// What the tenant's secret is derived for.
const PURPOSE: &str = "pseudonyms";

/// The tenant's key for pseudonyms. Its `Debug` shows nothing.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedactionKey {
    /// 32 bytes as 64 hex digits. Whoever has it can tell which value a pseudonym stands for by trying.
    pub key: String,
}

impl std::fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedactionKey(..)")
    }
}

/// What a scan of a witness found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct WitnessScan {
    /// The witness.
    pub witness: Sha256,
    /// Whether nothing was found.
    pub clean: bool,
    /// The findings.
    #[serde(flatten)]
    pub report: ScanReport,
}

impl Verifier {
    /// The tenant's key for pseudonyms: for those who record, since redaction comes before uploading.
    pub async fn redaction_key(&self, principal: &Principal, now: Timestamp) -> VerifyResult<RedactionKey> {
        principal.require(Permission::AddEvidence)?;
        let secret = self.notary().tenant_secret(principal.tenant(), PURPOSE, now).await?;
        Ok(RedactionKey { key: Sha256::from_bytes(*secret).hex() })
    }

    /// Looks for secrets and personal data in a stored witness.
    pub async fn scan_witness(
        &self,
        principal: &Principal,
        id: &Sha256,
        policy: Policy,
    ) -> VerifyResult<WitnessScan> {
        principal.require(Permission::ReadEvidence)?;
        let ready = self.ready(principal.tenant(), id).await?;
        let redaction = ready.origin.and_then(|origin| origin.redaction);
        let known: BTreeSet<Sha256> =
            redaction.into_iter().flat_map(|redaction| redaction.pseudonyms).collect();
        let (capsule, files) = (ready.capsule, ready.files);
        let work = move || scan_capsule(&Scanner::new(policy), &capsule, &files, &known);
        let report = tokio::task::spawn_blocking(work).await.map_err(|_| VerifyError::Stopped)??;
        Ok(WitnessScan { witness: *id, clean: report.findings.is_empty(), report })
    }
}

/// Replays a capsule that is in no store, watching its subject as [`Verifier::replay`] does.
///
/// # Errors
/// What [`assay_witness::replay`] fails with.
pub fn watched_replay(
    capsule: &Capsule,
    files: &MapSource,
    role: &str,
    host: &Host,
) -> Result<RunReport, WitnessError> {
    let slot = capsule.subjects.iter().find(|slot| slot.role == role);
    let artifact = slot.and_then(|slot| capsule.artifact(slot)).and_then(|digest| files.0.get(&digest));
    let bytes = artifact.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let image = assay_binary::Image::parse(&bytes).ok();
    let watched = slot.zip(image.as_ref()).map(|(slot, image)| crate::running::plan(&slot.path, image));
    let request = ReplayRequest { coverage: watched.into_iter().collect(), ..ReplayRequest::default() };
    assay_witness::replay(capsule, files, &request, host)
}

/// Whether a run shows what an earlier run of the same incident showed: the expectation holds, it ends
/// alike, and where there is a fault, its stack has the same fingerprint.
///
/// # Errors
/// What differs, in a few words.
pub fn still_shows(
    definition: &IncidentDefinition,
    before: &RunReport,
    after: &RunReport,
) -> Result<(), String> {
    let package = definition.package_path();
    if let Some(detail) = mismatch(&definition.expect.vulnerable, after, package.as_deref(), Budget::Over) {
        return Err(format!("the expectation `{detail}` does not hold"));
    }
    if ending_text(&before.ending) != ending_text(&after.ending) {
        return Err(format!(
            "it ends with {} instead of {}",
            ending_text(&after.ending),
            ending_text(&before.ending)
        ));
    }
    if fault_fingerprint(before) != fault_fingerprint(after) {
        return Err("it fails with another stack".to_owned());
    }
    Ok(())
}

/// The digest of what a run showed.
pub(crate) fn shown(report: &RunReport) -> Sha256 {
    Observation::of(report).digest()
}
