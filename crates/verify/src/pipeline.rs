//! The one verify pipeline: for every witness and every artifact of its role, a verdict.

use std::collections::HashMap;
use std::time::Instant;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp, json};
use assay_gate::{Mode, Verdict};
use serde::Serialize;

use crate::rounds::Rounds;
use crate::sql::{self, VerdictRow, WitnessRow};
use crate::{IncidentDefinition, Verifier, VerifyResult};

/// The version of the rules that turn a run into a verdict; part of every cache key.
const JUDGE_VERSION: u32 = 1;

/// The most witnesses that run at one time.
pub const MAX_JOBS: usize = 256;

/// An artifact to verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its role in the release.
    pub role: String,
    /// Its bytes.
    pub digest: Sha256,
}

/// One incident's verdict on one artifact.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct IncidentVerdict {
    /// The incident.
    pub incident: String,
    /// The artifact.
    pub artifact: Sha256,
    /// Its role.
    pub role: String,
    /// The witness.
    pub witness: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// How it was come by.
    pub mode: Mode,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// How long it took now; of what was looked up, proven or stated for several, its share.
    pub milliseconds: f64,
    /// How long the replay behind it took, once.
    pub replay_milliseconds: f64,
    /// Why, as a stable code.
    pub reason: String,
    /// Why it was not carried over, where that was tried.
    pub not_carried: Vec<String>,
    /// The verdict's statement.
    pub statement: Sha256,
    /// When the run behind it happened.
    #[serde(skip)]
    pub observed_at: Timestamp,
}

/// An incident that nothing could be said of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Unknown {
    /// The incident.
    pub incident: String,
    /// Why, as a stable code.
    pub reason: String,
}

/// Everything that verifying found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// The verdicts, by incident.
    pub verdicts: Vec<IncidentVerdict>,
    /// The incidents that no artifact could be asked about.
    pub unknown: Vec<Unknown>,
    /// How long it all took.
    pub milliseconds: f64,
    /// How long replaying everything took, measured when each replay ran.
    pub replay_all_milliseconds: f64,
}

impl Verifier {
    /// Verifies every incident of the tenant against `targets`; verdicts of `baseline`'s artifacts
    /// are tried first for carry-over. At most `jobs` witnesses run at one time; of one witness that may
    /// carry over, one build runs at a time, so that what it showed can carry over to the others.
    /// `progress` hears of every verdict. Dropping the future starts nothing more; replays that run are
    /// left to their end.
    pub async fn verify(
        &self,
        principal: &Principal,
        targets: &[Target],
        baseline: &[Target],
        jobs: usize,
        now: Timestamp,
        progress: &(dyn Fn(&IncidentVerdict) + Send + Sync),
    ) -> VerifyResult<Verification> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let started = Instant::now();
        let witnesses = sql::witnesses(self.store().database(), tenant).await?;
        let mut verification = Verification::default();
        let definitions = self.definitions(tenant).await?;
        let most = self.quotas(tenant).await?.concurrent_replays.unwrap_or(MAX_JOBS as u64);
        let jobs = jobs.clamp(1, MAX_JOBS).min(usize::try_from(most).unwrap_or(MAX_JOBS)).max(1);
        let mut by_incident: HashMap<&str, Vec<&WitnessRow>> = HashMap::new();
        for witness in &witnesses {
            by_incident.entry(&witness.incident).or_default().push(witness);
        }
        let mut asked = Vec::new();
        for (definition, digest) in &definitions {
            let own = by_incident.remove(definition.id.as_str()).unwrap_or_default();
            if let Some(reason) = unaskable(&own, targets) {
                let incident = definition.id.clone();
                verification.unknown.push(Unknown { incident, reason: reason.to_owned() });
                continue;
            }
            for witness in own.into_iter().filter(|witness| witness.admitted) {
                let matching = targets.iter().filter(|target| target.role == witness.role);
                asked.extend(matching.map(|target| Asked {
                    definition,
                    definition_digest: *digest,
                    witness,
                    target,
                    baseline,
                }));
            }
        }
        let rounds = Rounds { verifier: self, tenant, jobs, now, progress };
        verification.verdicts = rounds.answer(&asked).await?;
        self.notary().publish(tenant, now).await?;
        verification.milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        verification.replay_all_milliseconds =
            verification.verdicts.iter().map(|verdict| verdict.replay_milliseconds).sum();
        Ok(verification)
    }

    /// Capsule, artifact closure, runner version, environment class (with the sandbox's profile)
    /// and the expectations that the run is judged by.
    pub(crate) fn cache_key(&self, asked: &Asked<'_>) -> VerifyResult<Sha256> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Key<'a> {
            version: u32,
            judge: u32,
            witness: &'a Sha256,
            artifacts: [(&'a str, &'a Sha256); 1],
            runner_version: &'a str,
            environment: Sha256,
            definition: &'a Sha256,
        }
        let key = Key {
            version: 1,
            judge: JUDGE_VERSION,
            witness: &asked.witness.id,
            artifacts: [(&asked.target.role, &asked.target.digest)],
            runner_version: assay_witness::RUNNER_VERSION,
            environment: self.class()?,
            definition: &asked.definition_digest,
        };
        Ok(Sha256::of(&json::canonical(&key)?))
    }
}

/// One question of the pipeline.
pub(crate) struct Asked<'a> {
    pub definition: &'a IncidentDefinition,
    pub definition_digest: Sha256,
    pub witness: &'a WitnessRow,
    pub target: &'a Target,
    pub baseline: &'a [Target],
}

impl Asked<'_> {
    pub(crate) fn verdict(
        &self,
        row: &VerdictRow,
        mode: Mode,
        not_carried: Vec<String>,
        milliseconds: f64,
    ) -> IncidentVerdict {
        IncidentVerdict {
            incident: row.incident.clone(),
            artifact: row.artifact,
            role: self.target.role.clone(),
            witness: row.witness,
            verdict: row.verdict,
            mode,
            reached: row.reached,
            milliseconds,
            replay_milliseconds: row.replay_milliseconds,
            reason: row.reason.clone(),
            not_carried,
            statement: row.statement,
            observed_at: row.observed_at,
        }
    }
}

/// Why an incident cannot be asked about, if so.
fn unaskable(witnesses: &[&WitnessRow], targets: &[Target]) -> Option<&'static str> {
    if witnesses.is_empty() {
        return Some("no_witness");
    }
    let mut admitted = witnesses.iter().filter(|witness| witness.admitted).peekable();
    if admitted.peek().is_none() {
        return Some("witness_not_admitted");
    }
    let matched = admitted.any(|witness| targets.iter().any(|target| target.role == witness.role));
    if matched { None } else { Some("no_artifact_for_role") }
}
