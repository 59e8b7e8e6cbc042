//! Patch signatures of incidents: what a fix looks like in machine code, kept and stated.

use assay_access::{Permission, Principal};
use assay_delta::{Index, NORMALISER_VERSION, PatchSignature, PatchStatus};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, predicate};
use assay_gate::Verdict;
use assay_notary::Notary;
use assay_store::{Migration, StoreError, query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predicates::{ImportedFrom, SignedPatch};
use crate::{Verifier, VerifyError, VerifyResult, sql};

/// The largest signature, in bytes of JSON.
pub const MAX_SIGNATURE_BYTES: u64 = 64 << 20;
/// Most functions of one signature.
const MAX_FUNCTIONS: usize = 256;

/// The table of signatures.
pub(crate) const MIGRATION: Migration = Migration {
    id: "20261124T003000_verify_signatures",
    statements: &["CREATE TABLE patch_signatures (
            tenant {TEXT} NOT NULL, incident {TEXT} NOT NULL, digest {TEXT} NOT NULL, statement {TEXT} NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (tenant, incident, digest))"],
};

/// A signature that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureInfo {
    /// The incident.
    pub incident: String,
    /// The digest of the signature's bytes.
    pub digest: Sha256,
    /// The build that has the incident.
    pub vulnerable: Sha256,
    /// The build that has the fix.
    pub fixed: Sha256,
    /// How many functions it looks at.
    pub functions: usize,
    /// Its statement.
    pub statement: Sha256,
}

/// Why an incident has no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoSignature {
    /// No witness of it is admitted.
    NoWitness,
    /// No build was ever found to be without the incident.
    NoFixedBuild,
    /// One of the two builds is not in the store any more.
    BuildMissing,
    /// One of the two builds is of no format that can be lifted, such as a directory of scripts.
    NotLifted,
    /// The builds do not differ in what they do.
    NothingChanged,
    /// It can be made of the builds in the store, and nobody had it made and stated.
    NotStated,
}

impl NoSignature {
    /// Its stable code.
    pub fn code(self) -> String {
        sql::word(&self)
    }
}

/// A signature with what the store knows of it.
pub(crate) struct KeptSignature {
    pub digest: Sha256,
    pub statement: Sha256,
    pub bytes: Vec<u8>,
}

impl Verifier {
    /// Keeps a signature and states it; where none is given, it is made of the first admitted witness's own
    /// build and the first build that was found to be without the incident.
    pub async fn add_signature(
        &self,
        principal: &Principal,
        incident: &str,
        signature: Option<PatchSignature>,
        now: Timestamp,
    ) -> VerifyResult<SignatureInfo> {
        principal.require(Permission::AddEvidence)?;
        let tenant = principal.tenant();
        let (definition, _) = self.definition(tenant, incident).await?;
        let signature = match signature {
            Some(signature) => signature,
            None => self
                .made_of_store(tenant, &definition.id)
                .await?
                .map_err(|reason| VerifyError::NoSignature { incident: definition.id.clone(), reason })?,
        };
        self.keep_signature(tenant, &definition.id, &signature, None, now).await
    }

    /// The newest signature of an incident.
    pub async fn signature(&self, principal: &Principal, incident: &str) -> VerifyResult<PatchSignature> {
        principal.require(Permission::ReadEvidence)?;
        let (definition, _) = self.definition(principal.tenant(), incident).await?;
        let kept = self.kept_signature(principal.tenant(), &definition.id).await?;
        let kept = kept.ok_or(VerifyError::UnknownSignature { incident: definition.id })?;
        read(&kept.bytes)
    }

    pub(crate) async fn kept_signature(
        &self,
        tenant: &TenantId,
        incident: &str,
    ) -> VerifyResult<Option<KeptSignature>> {
        let sql = "SELECT digest, statement FROM patch_signatures WHERE tenant = $1 AND incident = $2 \
                   ORDER BY created_at DESC, digest LIMIT 1";
        let row = self.store().database().first(query(sql).bind(tenant).bind(incident)).await?;
        let Some(row) = row else { return Ok(None) };
        let (digest, statement) = (row.parse("digest")?, row.parse("statement")?);
        let bytes = self.store().blobs().get_content(tenant, &digest).await?.to_vec();
        Ok(Some(KeptSignature { digest, statement, bytes }))
    }

    /// States and keeps a signature; one that is kept already stays as it is.
    pub(crate) async fn keep_signature(
        &self,
        tenant: &TenantId,
        incident: &str,
        signature: &PatchSignature,
        imported_from: Option<ImportedFrom>,
        now: Timestamp,
    ) -> VerifyResult<SignatureInfo> {
        check(signature, incident)?;
        let bytes = serde_json::to_vec(signature).unwrap_or_default();
        let digest = self.store().blobs().put_content(tenant, bytes).await?;
        let (vulnerable, fixed) = (signature.vulnerable.sha256, signature.fixed.sha256);
        let info = |statement| SignatureInfo {
            incident: incident.to_owned(),
            digest,
            vulnerable,
            fixed,
            functions: signature.functions.len(),
            statement,
        };
        let sql =
            "SELECT statement FROM patch_signatures WHERE tenant = $1 AND incident = $2 AND digest = $3";
        let asked = query(sql).bind(tenant).bind(incident).bind(digest);
        if let Some(row) = self.store().database().first(asked).await? {
            return Ok(info(row.parse("statement")?));
        }
        let body = SignedPatch {
            incident: incident.to_owned(),
            signature: digest,
            vulnerable,
            fixed,
            normaliser_version: signature.normaliser_version,
            functions: signature.functions.len() as u32,
            imported_from,
        };
        let subjects = vec![Subject::new("vulnerable build", vulnerable), Subject::new("fixed build", fixed)];
        let statement = Statement::new(predicate::PATCH_SIGNATURE, subjects, &body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        let (prepared, statement) = (&prepared, *prepared.digest());
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                Notary::accept(&tx, tenant, prepared).await?;
                let sql = "INSERT INTO patch_signatures (tenant, incident, digest, statement, created_at) \
                           VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, incident, digest) DO NOTHING";
                let row = query(sql).bind(tenant).bind(incident).bind(digest).bind(statement).bind(now);
                tx.execute(row).await.map(drop)
            })
            .await;
        written?;
        self.notary().publish(tenant, now).await?;
        Ok(info(statement))
    }

    /// Makes a signature of two builds in the store, or says why there can be none.
    pub(crate) async fn made_of_store(
        &self,
        tenant: &TenantId,
        incident: &str,
    ) -> VerifyResult<Result<PatchSignature, NoSignature>> {
        let (vulnerable, fixed) = match self.both_builds(tenant, incident).await? {
            Ok(both) => both,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut builds = Vec::new();
        for digest in [vulnerable, fixed] {
            match self.store().blobs().get_content(tenant, &digest).await {
                Ok(bytes) => builds.push(bytes),
                Err(StoreError::Missing { .. }) => return Ok(Err(NoSignature::BuildMissing)),
                Err(error) => return Err(error.into()),
            }
        }
        let incident = incident.to_owned();
        let work = move || {
            let lifted: Option<Vec<Index>> = builds.iter().map(|bytes| Index::build(bytes).ok()).collect();
            let lifted = lifted.ok_or(NoSignature::NotLifted)?;
            assay_delta::sign(&incident, &lifted[0], &lifted[1], &[]).map_err(|_| NoSignature::NothingChanged)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| VerifyError::Stopped)
    }

    /// The recorded build of the first witness that has a fixed one, and that one; the earliest of each.
    async fn both_builds(
        &self,
        tenant: &TenantId,
        incident: &str,
    ) -> VerifyResult<Result<(Sha256, Sha256), NoSignature>> {
        let database = self.store().database();
        let witnesses = sql::witnesses(database, tenant).await?;
        let own: Vec<_> = witnesses.iter().filter(|row| row.incident == incident && row.admitted).collect();
        if own.is_empty() {
            return Ok(Err(NoSignature::NoWitness));
        }
        let mut verdicts = sql::history_all(database, tenant, incident).await?;
        verdicts.retain(|row| row.verdict == Verdict::NotReproduced);
        verdicts.sort_by_key(|row| (row.created_at, row.cache_key));
        for witness in own {
            if let Some(fixed) = verdicts.iter().find(|row| row.witness == witness.id) {
                return Ok(Ok((witness.artifact, fixed.artifact)));
            }
        }
        Ok(Err(NoSignature::NoFixedBuild))
    }

    /// Whether a signature finds its own incident in the build that a witness recorded, where it was made of
    /// that one; true where that cannot be asked.
    pub(crate) async fn finds_itself(signature: PatchSignature, build: Vec<u8>) -> VerifyResult<bool> {
        if signature.normaliser_version != NORMALISER_VERSION
            || signature.vulnerable.sha256 != Sha256::of(&build)
        {
            return Ok(true);
        }
        let work = move || {
            let found =
                Index::build(&build).ok().and_then(|index| assay_delta::presence(&signature, &index).ok());
            found.is_some_and(|found| found.status == PatchStatus::Vulnerable)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| VerifyError::Stopped)
    }
}

/// Reads a signature.
pub(crate) fn read(bytes: &[u8]) -> VerifyResult<PatchSignature> {
    let refuse = |error: serde_json::Error| VerifyError::Signature { detail: error.to_string() };
    serde_json::from_slice(bytes).map_err(refuse)
}

fn check(signature: &PatchSignature, incident: &str) -> VerifyResult<()> {
    let refuse = |detail: String| Err(VerifyError::Signature { detail });
    if signature.incident != incident {
        return refuse(format!("it is of {}, not of {incident}", signature.incident));
    }
    if signature.functions.is_empty() || signature.functions.len() > MAX_FUNCTIONS {
        return refuse(format!(
            "it has {} functions, 1 to {MAX_FUNCTIONS} are kept",
            signature.functions.len()
        ));
    }
    Ok(())
}
