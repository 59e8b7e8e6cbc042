//! Asking stored verdicts again under the present runner.

use std::collections::BTreeSet;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_gate::Verdict;
use futures_util::{StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::Serialize;

use crate::judge::judge;
use crate::leased::Asking;
use crate::path::reached;
use crate::pipeline::{Asked, MAX_JOBS, Target};
use crate::running::How;
use crate::sql::{self, VerdictRow};
use crate::{Verifier, VerifyError, VerifyResult};

/// What asking again found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct RequalifyOutcome {
    /// The runner that was asked.
    pub runner_version: String,
    /// Verdicts that stand.
    pub unchanged: u64,
    /// Verdicts that would change.
    pub changes: Vec<VerdictChange>,
    /// Whether the changes were taken over.
    pub accepted: bool,
}

/// A verdict that would change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct VerdictChange {
    /// The incident.
    pub incident: String,
    /// The witness.
    pub witness: Sha256,
    /// The artifact.
    pub artifact: Sha256,
    /// The stored verdict.
    pub from: Verdict,
    /// The verdict now.
    pub to: Verdict,
    /// Why it is what it is now, as a stable code.
    pub reason: String,
    /// Why it was what it was.
    pub reason_before: String,
}

impl Verifier {
    /// Replays every stored verdict, of one incident or of all, as many at a time as there are processors,
    /// and lists those that would change.
    /// Nothing is altered unless `accept` says so; then each change is stated anew.
    pub async fn requalify(
        &self,
        principal: &Principal,
        incident: Option<&str>,
        accept: bool,
        now: Timestamp,
    ) -> VerifyResult<RequalifyOutcome> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let mut outcome = RequalifyOutcome {
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            unchanged: 0,
            changes: Vec::new(),
            accepted: accept,
        };
        let rows = self.stored_verdicts(tenant, incident).await?;
        let most = self.quotas(tenant).await?.concurrent_replays.unwrap_or(MAX_JOBS as u64);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = usize::try_from(most).unwrap_or(MAX_JOBS).clamp(1, processors);
        let each = rows.into_iter().map(|row| async move {
            let change = self.asked_again(tenant, &row).await?;
            Ok::<_, VerifyError>((row, change))
        });
        let asked = futures_util::stream::iter(each).buffered(jobs);
        let answers = asked.try_for_each(|(row, change)| {
            match &change {
                None => outcome.unchanged += 1,
                Some(change) => outcome.changes.push(change.clone()),
            }
            async move {
                match change.is_some() && accept {
                    true => self.accept_change(tenant, &row, now).await,
                    false => Ok(()),
                }
            }
        });
        let answered = answers.await;
        // What was accepted before a failure is in force, so it is published too.
        if accept {
            self.notary().publish(tenant, now).await?;
        }
        answered.map(|()| outcome)
    }

    /// The newest verdict of every witness on every artifact.
    async fn stored_verdicts(
        &self,
        tenant: &TenantId,
        incident: Option<&str>,
    ) -> VerifyResult<Vec<VerdictRow>> {
        let names = match incident {
            Some(name) => vec![self.definition(tenant, name).await?.0.id],
            None => {
                self.definitions(tenant).await?.into_iter().map(|(definition, _)| definition.id).collect()
            }
        };
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        for name in names {
            let all = sql::history_all(self.store().database(), tenant, &name).await?;
            rows.extend(all.into_iter().filter(|row| seen.insert((row.witness, row.artifact))));
        }
        Ok(rows)
    }

    async fn asked_again(&self, tenant: &TenantId, row: &VerdictRow) -> VerifyResult<Option<VerdictChange>> {
        let ready = self.ready(tenant, &row.witness).await?;
        let ready = self.with_artifact(tenant, ready, &row.artifact).await?;
        let how = How { observe: true, ..How::default() };
        let run = self.run(&ready, Some(row.artifact), how).await?;
        let path = reached(&ready.row.recorded_path, &run.executed_names);
        let judgement = judge(&ready.definition, &run.report, path);
        Ok((judgement.verdict != row.verdict).then(|| VerdictChange {
            incident: row.incident.clone(),
            witness: row.witness,
            artifact: row.artifact,
            from: row.verdict,
            to: judgement.verdict,
            reason: judgement.reason,
            reason_before: row.reason.clone(),
        }))
    }

    /// Asks for a new answer and states it in place of the stored one.
    async fn accept_change(&self, tenant: &TenantId, row: &VerdictRow, now: Timestamp) -> VerifyResult<()> {
        let ready = self.ready(tenant, &row.witness).await?;
        let (definition, definition_digest) = self.definition(tenant, &row.incident).await?;
        let target = Target { role: ready.row.role.clone(), digest: row.artifact };
        let asked = Asked {
            definition: &definition,
            definition_digest,
            witness: &ready.row,
            target: &target,
            baseline: &[],
        };
        let key = self.cache_key(&asked)?;
        let asking = Asking { instead_of: Some(row), ..Asking::default() };
        self.replay_as_job(tenant, &asked, key, &asking, now).await.map(drop)
    }
}
