//! Stacks of incidents: captured by the runner, fingerprinted, and found again.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, predicate};
use assay_notary::Prepared;
use assay_stacks::{Index, Item, Report};
use assay_store::{Generation, StoreError, StoreResult, Tx, query};
use assay_witness::{Fault, RunReport};
use serde::Serialize;

use crate::observation::fault_name;
use crate::predicates::StackFingerprint;
use crate::running::captured;
use crate::sql::{self, WitnessRow};
use crate::{Verifier, VerifyResult};

/// The name of the graph's index among the generations.
const INDEX: &str = "stacks";

/// A captured stack on its way into the database.
pub(crate) struct CapturedStack {
    pub prepared: Prepared,
    id: String,
    incident: String,
    report: String,
    fingerprint: Sha256,
}

/// What matching a trace found.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct StackMatch {
    /// The fingerprint of the trace that was asked about.
    pub fingerprint: Sha256,
    /// The best incidents, and whether none is good enough.
    #[serde(flatten)]
    pub result: assay_stacks::MatchResult,
}

/// The fingerprint of the stack at the fault that ended a run; none where no frame was captured.
pub fn fault_fingerprint(report: &RunReport) -> Option<Sha256> {
    captured(report).map(|fault| fingerprint_of(&stack_of(fault)))
}

/// The same, only where every frame that it covers has a name: offsets are those of one build.
pub fn named_fingerprint(report: &RunReport) -> Option<Sha256> {
    let stack = stack_of(captured(report)?);
    let print = assay_stacks::fingerprint(&assay_stacks::normalize(&stack));
    let named = !print.frames.is_empty() && !print.frames.iter().any(|frame| frame.contains("+0x"));
    named.then_some(print.digest)
}

fn stack_of(fault: &Fault) -> Report {
    assay_stacks::from_frames(&fault.frames, Some(&fault_name(fault)))
}

fn fingerprint_of(stack: &Report) -> Sha256 {
    assay_stacks::fingerprint(&assay_stacks::normalize(stack)).digest
}

impl CapturedStack {
    pub(crate) async fn insert(&self, tx: &Tx, tenant: &TenantId, now: Timestamp) -> StoreResult<()> {
        insert_trace(tx, tenant, &self.id, &self.incident, &self.report, &self.fingerprint, now).await
    }
}

async fn insert_trace(
    tx: &Tx,
    tenant: &TenantId,
    id: &str,
    incident: &str,
    report: &str,
    fingerprint: &Sha256,
    now: Timestamp,
) -> StoreResult<()> {
    let sql = "INSERT INTO traces (tenant, id, incident, report, fingerprint, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, id) DO NOTHING";
    let row = query(sql).bind(tenant).bind(id).bind(incident).bind(report).bind(fingerprint).bind(now);
    tx.execute(row).await.map(drop)
}

impl Verifier {
    /// States the stack of a recorded run, if the runner captured one at a fault.
    pub(crate) async fn state_stack(
        &self,
        tenant: &TenantId,
        row: &WitnessRow,
        report: &RunReport,
        now: Timestamp,
    ) -> VerifyResult<Option<CapturedStack>> {
        let Some(fault) = captured(report) else { return Ok(None) };
        let (signal, stack) = (fault_name(fault), stack_of(fault));
        let fingerprint = fingerprint_of(&stack);
        let body = StackFingerprint {
            incident: row.incident.clone(),
            witness: row.id,
            signal,
            fingerprint,
            frames: fault.frames.clone(),
        };
        let subject = vec![Subject::new(row.role.clone(), row.artifact)];
        let statement = Statement::new(predicate::STACK_FINGERPRINT, subject, &body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        Ok(Some(CapturedStack {
            prepared,
            id: format!("witness/{}", row.id),
            incident: row.incident.clone(),
            report: serde_json::to_string(&stack).unwrap_or_default(),
            fingerprint,
        }))
    }

    /// The normalised stacks of an incident.
    pub async fn incident_stacks(&self, principal: &Principal, name: &str) -> VerifyResult<Vec<Report>> {
        principal.require(Permission::ReadEvidence)?;
        let (definition, _) = self.definition(principal.tenant(), name).await?;
        let sql =
            "SELECT report FROM traces WHERE tenant = $1 AND incident = $2 ORDER BY created_at, id LIMIT 100";
        let rows =
            self.store().database().all(query(sql).bind(principal.tenant()).bind(&definition.id)).await?;
        Ok(rows.iter().map(|row| sql::read_json(row, "report")).collect::<StoreResult<_>>()?)
    }

    /// Finds the incidents that a trace looks like.
    pub async fn match_stack(
        &self,
        principal: &Principal,
        text: &[u8],
        limit: usize,
        now: Timestamp,
    ) -> VerifyResult<StackMatch> {
        principal.require(Permission::ReadEvidence)?;
        let trace = assay_stacks::normalize(&assay_stacks::parse(text)?);
        let index = self.stack_index(principal.tenant(), now).await?;
        let result = index.match_trace(&trace, limit.clamp(1, 100));
        Ok(StackMatch { fingerprint: assay_stacks::fingerprint(&trace).digest, result })
    }

    /// The graph's index: the current generation, rebuilt when it lacks traces.
    async fn stack_index(&self, tenant: &TenantId, now: Timestamp) -> VerifyResult<Index> {
        let db = self.store().database();
        // Traces are never removed, so an index is current when it holds as many as there are. Times
        // would not tell: a trace may be committed after an index that was built later than it began.
        let known = db
            .first(query("SELECT COUNT(*) AS n FROM traces WHERE tenant = $1").bind(tenant))
            .await?
            .map_or(Ok(0), |row| row.count("n"))?;
        if let Some(current) = Generation::current(db, tenant, INDEX).await?
            && let Ok(index) =
                Index::from_bytes(self.store().blobs().get_content(tenant, &current.blob).await?.to_vec())
            && index.len() as u64 == known
        {
            return Ok(index);
        }
        let rows = db
            .all(
                query("SELECT incident, report FROM traces WHERE tenant = $1 ORDER BY created_at, id")
                    .bind(tenant),
            )
            .await?;
        let items: Vec<Item> = rows
            .iter()
            .map(|row| {
                let report: Report = sql::read_json(row, "report")?;
                Ok(Item {
                    incident: row.text("incident")?,
                    trace: assay_stacks::normalize(&report),
                    time: None,
                })
            })
            .collect::<StoreResult<_>>()?;
        let index = Index::build(&items)?;
        let blob = self.store().blobs().put_content(tenant, index.to_bytes().to_vec()).await?;
        let blob = &blob;
        let written: Result<(), StoreError> =
            db.write(|tx| async move { Generation::advance(&tx, tenant, INDEX, blob, now).await }).await;
        written?;
        Ok(index)
    }
}
