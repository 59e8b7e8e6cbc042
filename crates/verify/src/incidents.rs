//! Defining and listing incidents.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, TenantId, Timestamp, json};
use assay_gate::{Mode, Verdict};
use assay_store::{StoreError, query};
use serde::Serialize;

use crate::{IncidentDefinition, Verifier, VerifyError, VerifyResult, WitnessInfo, sql};

/// An incident in a list.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentSummary {
    /// The definition.
    #[serde(flatten)]
    pub definition: IncidentDefinition,
    /// The definition's digest.
    pub digest: Sha256,
    /// Its witnesses.
    pub witnesses: Vec<WitnessInfo>,
}

/// One verdict in an incident's history.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictRecord {
    /// The artifact.
    pub artifact: Sha256,
    /// The witness.
    pub witness: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// How it was come by.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// How long it took.
    pub milliseconds: f64,
    /// The statement.
    pub statement: Sha256,
    /// When.
    pub created_at: Timestamp,
}

impl Verifier {
    /// Defines an incident. The same definition again changes nothing; another one is refused.
    pub async fn define_incident(
        &self,
        principal: &Principal,
        definition: &IncidentDefinition,
        now: Timestamp,
    ) -> VerifyResult<Sha256> {
        principal.require(Permission::AddEvidence)?;
        definition.check()?;
        let tenant = principal.tenant();
        let text = json::canonical(definition)?;
        let digest = Sha256::of(&text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let text = &text;
        let there: Result<Option<Sha256>, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                let sql = "SELECT digest FROM incidents WHERE tenant = $1 AND id = $2";
                if let Some(row) = tx.first(query(sql).bind(tenant).bind(&definition.id)).await? {
                    return row.parse("digest").map(Some);
                }
                let sql = "INSERT INTO incidents (tenant, id, definition, digest, created_at) \
                           VALUES ($1, $2, $3, $4, $5)";
                tx.execute(query(sql).bind(tenant).bind(&definition.id).bind(text).bind(digest).bind(now))
                    .await?;
                for name in std::iter::once(&definition.id).chain(&definition.aliases) {
                    let sql = "INSERT INTO incident_names (tenant, name, incident) VALUES ($1, $2, $3) \
                               ON CONFLICT (tenant, name) DO NOTHING";
                    tx.execute(query(sql).bind(tenant).bind(name).bind(&definition.id)).await?;
                }
                Ok(None)
            })
            .await;
        match there? {
            Some(known) if known != digest => Err(VerifyError::IncidentExists { id: definition.id.clone() }),
            _ => Ok(digest),
        }
    }

    /// The incident of an id or alias.
    pub async fn incident(&self, principal: &Principal, name: &str) -> VerifyResult<IncidentSummary> {
        principal.require(Permission::ReadEvidence)?;
        let (definition, digest) = self.definition(principal.tenant(), name).await?;
        let witnesses = sql::witnesses(self.store().database(), principal.tenant()).await?;
        let own = witnesses.iter().filter(|witness| witness.incident == definition.id);
        Ok(IncidentSummary { witnesses: own.map(WitnessInfo::of).collect(), definition, digest })
    }

    /// All incidents, by id.
    pub async fn incidents(&self, principal: &Principal) -> VerifyResult<Vec<IncidentSummary>> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let witnesses = sql::witnesses(self.store().database(), tenant).await?;
        let definitions = self.definitions(tenant).await?;
        let summary = |(definition, digest): (IncidentDefinition, Sha256)| {
            let own = witnesses.iter().filter(|witness| witness.incident == definition.id);
            IncidentSummary { witnesses: own.map(WitnessInfo::of).collect(), definition, digest }
        };
        Ok(definitions.into_iter().map(summary).collect())
    }

    /// What was said of an incident, newest first.
    pub async fn history(&self, principal: &Principal, name: &str) -> VerifyResult<Vec<VerdictRecord>> {
        principal.require(Permission::ReadEvidence)?;
        let (definition, _) = self.definition(principal.tenant(), name).await?;
        let rows = sql::history(self.store().database(), principal.tenant(), &definition.id).await?;
        let record = |row: sql::VerdictRow| VerdictRecord {
            artifact: row.artifact,
            witness: row.witness,
            verdict: row.verdict,
            mode: row.mode,
            reason: row.reason,
            reached: row.reached,
            milliseconds: row.milliseconds,
            statement: row.statement,
            created_at: row.created_at,
        };
        Ok(rows.into_iter().map(record).collect())
    }

    pub(crate) async fn definition(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> VerifyResult<(IncidentDefinition, Sha256)> {
        let sql = "SELECT i.definition, i.digest FROM incident_names n \
                   JOIN incidents i ON i.tenant = n.tenant AND i.id = n.incident WHERE n.tenant = $1 AND n.name = $2";
        let row = self.store().database().first(query(sql).bind(tenant).bind(name)).await?;
        let row = row.ok_or_else(|| VerifyError::UnknownIncident { id: name.to_owned() })?;
        Ok((sql::read_json(&row, "definition")?, row.parse("digest")?))
    }

    pub(crate) async fn definitions(
        &self,
        tenant: &TenantId,
    ) -> VerifyResult<Vec<(IncidentDefinition, Sha256)>> {
        let sql = "SELECT definition, digest FROM incidents WHERE tenant = $1 ORDER BY id";
        let rows = self.store().database().all(query(sql).bind(tenant)).await?;
        rows.iter().map(|row| Ok((sql::read_json(row, "definition")?, row.parse("digest")?))).collect()
    }
}
