//! Taking in and replaying witnesses.

use std::collections::BTreeMap;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, json, predicate};
use assay_gate::Verdict;
use assay_notary::{Notary, Prepared};
use assay_store::StoreError;
use assay_witness::{Capsule, RunReport};
use serde::{Deserialize, Serialize};

use crate::judge::{Budget, judge, mismatch};
use crate::observation::Observation;
use crate::path::{reached, recorded_path, recorded_sources};
use crate::predicates::{MicroWitness, Origin};
use crate::run::environment_digest;
use crate::running::{How, Ready};
use crate::sql::WitnessRow;
use crate::{IncidentDefinition, Verifier, VerifyError, VerifyResult, sql};

/// A witness to take in: the capsule whose files are in the store already.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewWitness {
    /// The incident, defined already.
    pub incident: String,
    /// The capsule.
    pub capsule: Capsule,
    /// The role of the artifact under test.
    pub role: String,
    /// What was done to the capsule after it was recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
}

/// A witness in a list.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WitnessInfo {
    /// Its id: the capsule's OCI manifest digest.
    pub witness: Sha256,
    /// The incident.
    pub incident: String,
    /// The role under test.
    pub role: String,
    /// The recorded artifact.
    pub artifact: Sha256,
    /// Digest of the observation at the fixed layout.
    pub observation: Sha256,
    /// Whether replays agreed.
    pub admitted: bool,
    /// Whether it depends on where things lie.
    pub layout_sensitive: bool,
    /// Replays that were compared.
    pub replays: i64,
    /// The functions that a run must reach.
    pub recorded_path: Vec<String>,
    /// Its statement.
    pub statement: Sha256,
    /// When it was taken in.
    pub created_at: Timestamp,
}

impl WitnessInfo {
    pub(crate) fn of(row: &WitnessRow) -> Self {
        Self {
            witness: row.id,
            incident: row.incident.clone(),
            role: row.role.clone(),
            artifact: row.artifact,
            observation: row.observation,
            admitted: row.admitted,
            layout_sensitive: row.layout_sensitive,
            replays: row.replays,
            recorded_path: row.recorded_path.clone(),
            statement: row.statement,
            created_at: row.created_at,
        }
    }
}

/// What one replay showed.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ReplayOutcome {
    /// The witness.
    pub witness: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// Always `replayed`.
    pub mode: assay_gate::Mode,
    /// Why.
    pub reason: String,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// What the run showed.
    pub observation: Observation,
    /// How long it took.
    pub milliseconds: f64,
    /// Virtual events.
    pub events: u64,
    /// Executed functions of the subject, by name.
    pub functions_executed: Vec<String>,
    /// The beginning of the standard output.
    pub stdout: String,
    /// The beginning of the standard error.
    pub stderr: String,
}

impl Verifier {
    /// Takes in a witness: replays it, checks that it shows its incident, captures the stack, and
    /// states all of it.
    pub async fn add_witness(
        &self,
        principal: &Principal,
        new: NewWitness,
        now: Timestamp,
    ) -> VerifyResult<WitnessInfo> {
        principal.require(Permission::AddEvidence)?;
        let tenant = principal.tenant();
        let (definition, _) = self.definition(tenant, &new.incident).await?;
        let row = self.draft(tenant, &definition, &new).await?;
        if let Some(known) = sql::witness(self.store().database(), tenant, &row.id).await? {
            if known.incident == row.incident {
                return Ok(WitnessInfo::of(&known));
            }
            let (id, incident) = (known.id, known.incident);
            return Err(VerifyError::WitnessExists { id, incident });
        }
        let files = self.files(tenant, &new.capsule).await?;
        assay_witness::check_provenance(&new.capsule, &files)?;
        self.admit_capsule(tenant, &new.capsule).await?;
        let ready = Ready {
            tenant: tenant.clone(),
            row,
            definition,
            capsule: new.capsule,
            files,
            origin: new.origin,
        };
        let run = self.run(&ready, None, How { observe: true, ..How::default() }).await?;
        let package = ready.definition.package_path();
        let expected = &ready.definition.expect.vulnerable;
        if let Some(detail) = mismatch(expected, &run.report, package.as_deref(), Budget::Over) {
            return Err(VerifyError::NotShown { incident: ready.definition.id, detail });
        }
        let mut row = ready.row.clone();
        row.observation = Observation::of(&run.report).digest();
        row.trace = run.report.trace_digest;
        row.recorded_path = match run.source {
            Some(_) => recorded_sources(&run.executed_names),
            None => recorded_path(&ready.definition, &run.report, &run.executed_names),
        };
        row.replays = 1;
        row.created_at = now;
        let witness = self.state_witness(tenant, &ready, &mut row, &run.report, now).await?;
        let stack = self.state_stack(tenant, &row, &run.report, now).await?;
        let (row_ref, statements) =
            (&row, &[Some(witness), stack.as_ref().map(|stack| stack.prepared.clone())]);
        let (stack, capsule) = (&stack, &ready.capsule);
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                sql::insert_witness(&tx, tenant, row_ref).await?;
                Self::note_size(&tx, tenant, &row_ref.id, capsule).await?;
                for prepared in statements.iter().flatten() {
                    Notary::accept(&tx, tenant, prepared).await?;
                }
                if let Some(stack) = stack {
                    stack.insert(&tx, tenant, now).await?;
                }
                Ok(())
            })
            .await;
        written?;
        self.notary().publish(tenant, now).await?;
        Ok(WitnessInfo::of(&row))
    }

    async fn draft(
        &self,
        tenant: &TenantId,
        definition: &IncidentDefinition,
        new: &NewWitness,
    ) -> VerifyResult<WitnessRow> {
        let row = self.row(definition, &new.capsule, &new.role)?;
        self.store().blobs().put_content(tenant, json::canonical(&new.capsule)?).await?;
        self.store().blobs().put_content(tenant, assay_witness::manifest(&new.capsule)).await?;
        Ok(row)
    }

    /// The row of a witness of which nothing is known yet but its capsule.
    pub(crate) fn row(
        &self,
        definition: &IncidentDefinition,
        capsule: &Capsule,
        role: &str,
    ) -> VerifyResult<WitnessRow> {
        capsule.validate().map_err(assay_witness::WitnessError::from)?;
        let known = || capsule.subjects.iter().map(|slot| slot.role.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || VerifyError::UnknownRole { role: role.to_owned(), known: known() };
        let slot = capsule.subjects.iter().find(|slot| slot.role == role).ok_or_else(unknown)?;
        let artifact = capsule.artifact(slot).ok_or_else(unknown)?;
        let none = Sha256::of(b"");
        Ok(WitnessRow {
            id: assay_witness::witness_id(capsule),
            incident: definition.id.clone(),
            role: role.to_owned(),
            subject_path: slot.path.clone(),
            artifact,
            capsule: Sha256::of(&json::canonical(capsule)?),
            recorded_path: Vec::new(),
            observation: none,
            trace: none,
            admitted: false,
            layout_sensitive: false,
            replays: 0,
            statement: none,
            created_at: Timestamp::default(),
        })
    }

    pub(crate) async fn state_witness(
        &self,
        tenant: &TenantId,
        ready: &Ready,
        row: &mut WitnessRow,
        report: &RunReport,
        now: Timestamp,
    ) -> VerifyResult<Prepared> {
        let slot = ready.capsule.subjects.iter().find(|slot| slot.role == row.role);
        let body = MicroWitness {
            incident: row.incident.clone(),
            witness: row.id,
            role: row.role.clone(),
            artifact: row.artifact,
            observation: Observation::of(report),
            observation_digest: row.observation,
            trace_digest: row.trace,
            layout_sensitive: row.layout_sensitive,
            replays: u32::try_from(row.replays).unwrap_or(u32::MAX),
            recorded_path: row.recorded_path.clone(),
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            environment: environment_digest(report),
            origin: ready.origin.clone(),
            toolchain: slot.and_then(|slot| slot.toolchain.clone()),
            provenance: ready.capsule.provenance.clone(),
        };
        let subjects = vec![
            Subject::new(row.role.clone(), row.artifact),
            Subject::new(format!("witness of {}", ready.definition.id), row.id),
        ];
        let statement = Statement::new(predicate::MICRO_WITNESS, subjects, &body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        row.statement = *prepared.digest();
        Ok(prepared)
    }

    /// Replays a witness, on another build if one is given; nothing is kept.
    pub async fn replay(
        &self,
        principal: &Principal,
        id: &Sha256,
        substitutions: &BTreeMap<String, Sha256>,
    ) -> VerifyResult<ReplayOutcome> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let ready = self.ready(tenant, id).await?;
        if let Some(role) = substitutions.keys().find(|role| **role != ready.row.role) {
            return Err(VerifyError::UnknownRole { role: role.clone(), known: ready.row.role });
        }
        let artifact = substitutions.get(&ready.row.role).copied();
        let ready = match &artifact {
            Some(digest) => self.with_artifact(tenant, ready, digest).await?,
            None => ready,
        };
        let run = self.run(&ready, artifact, How { observe: true, ..How::default() }).await?;
        let path = reached(&ready.row.recorded_path, &run.executed_names);
        let judgement = judge(&ready.definition, &run.report, path);
        Ok(ReplayOutcome {
            witness: *id,
            verdict: judgement.verdict,
            mode: assay_gate::Mode::Replayed,
            reason: judgement.reason,
            reached: judgement.reached,
            observation: Observation::of(&run.report),
            milliseconds: run.milliseconds,
            events: run.report.events,
            functions_executed: run.executed_names.into_iter().collect(),
            stdout: String::from_utf8_lossy(&run.report.stdout.head).into_owned(),
            stderr: String::from_utf8_lossy(&run.report.stderr.head).into_owned(),
        })
    }

    /// A witness by id.
    pub async fn witness(&self, principal: &Principal, id: &Sha256) -> VerifyResult<(WitnessInfo, Capsule)> {
        principal.require(Permission::ReadEvidence)?;
        let ready = self.ready(principal.tenant(), id).await?;
        Ok((WitnessInfo::of(&ready.row), ready.capsule))
    }
}
