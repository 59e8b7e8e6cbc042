//! Handing an incident over and taking one in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assay_access::{Permission, Principal};
use assay_evidence::{PublicKey, Sha256, TenantId, Timestamp, predicate};
use assay_witness::MapSource;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bundle::{
    BundleError, BundledSignature, BundledWitness, INCIDENT_BUNDLE_VERSION, IncidentBundle, OpenedBundle,
    fingerprints, open_bundle, symbols, write_bundle,
};
use crate::judge::{Budget, mismatch};
use crate::observation::Observation;
use crate::predicates::{ImportedFrom, Origin, StackFingerprint};
use crate::running::{How, Ready};
use crate::signatures::NoSignature;
use crate::{NewWitness, Verifier, VerifyError, VerifyResult, sql};

/// Replays by which an imported witness is admitted.
const CHECKS: u32 = 6;

/// What taking in a bundle did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ImportOutcome {
    /// The incident.
    pub incident: String,
    /// The digest of its definition.
    pub digest: Sha256,
    /// How many statements of the bundle were checked.
    pub statements: usize,
    /// The digest of the bundle's bytes.
    pub bundle: Sha256,
    /// The id of the key that signed it.
    pub key: String,
    /// The witnesses.
    pub witnesses: Vec<ImportedWitness>,
    /// The digest of the patch signature that came along.
    pub delta_signature: Option<Sha256>,
}

/// A witness that was taken in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ImportedWitness {
    /// Its id.
    pub witness: Sha256,
    /// Whether its replays here agreed.
    pub admitted: bool,
    /// Whether it showed here, byte for byte, what its statement says it showed there.
    pub same_observation: bool,
    /// Its statement here.
    pub statement: Sha256,
}

impl Verifier {
    /// Everything of an incident as one archive: admitted witnesses, statements with proofs.
    pub async fn incident_bundle(&self, principal: &Principal, name: &str) -> VerifyResult<Vec<u8>> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let (incident, digest) = self.definition(tenant, name).await?;
        let rows = sql::witnesses(self.store().database(), tenant).await?;
        let mut rows: Vec<_> =
            rows.into_iter().filter(|row| row.incident == incident.id && row.admitted).collect();
        rows.sort_by_key(|row| row.id);
        if rows.is_empty() {
            return Err(VerifyError::NothingToBundle { incident: incident.id });
        }
        let (mut capsules, mut files, mut witnesses) = (Vec::new(), BTreeMap::new(), Vec::new());
        for row in &rows {
            let ready = self.ready(tenant, &row.id).await?;
            files.extend(ready.files.0);
            capsules.push(ready.capsule);
            witnesses.push(BundledWitness {
                witness: row.id,
                role: row.role.clone(),
                statement: row.statement,
            });
        }
        let mut wanted = self.statements_of(tenant, &rows).await?;
        let (delta_signature, signature) = self.bundled_signature(tenant, &incident.id).await?;
        if let BundledSignature::Present { statement, .. } = &delta_signature {
            wanted.insert(*statement);
        }
        let (mut proofs, mut statements) = (Vec::new(), Vec::new());
        for digest in &wanted {
            proofs.push(self.notary().prove(tenant, digest).await?);
            statements.push(self.notary().statement(tenant, digest).await?.statement);
        }
        let public_key = self.notary().log(tenant).await?.map(|log| log.key.to_string()).unwrap_or_default();
        let bundle = IncidentBundle {
            version: INCIDENT_BUNDLE_VERSION,
            incident,
            digest,
            public_key,
            witnesses,
            symbols: symbols(statements.iter()),
            fingerprints: fingerprints(statements.iter()),
            delta_signature: Some(delta_signature),
            statements: proofs,
        };
        let mut bytes = Vec::new();
        write_bundle(&bundle, &capsules, &MapSource(files), signature, &mut bytes)?;
        Ok(bytes)
    }

    /// The signature that is kept, or why there is none.
    async fn bundled_signature(
        &self,
        tenant: &TenantId,
        incident: &str,
    ) -> VerifyResult<(BundledSignature, Option<Vec<u8>>)> {
        if let Some(kept) = self.kept_signature(tenant, incident).await? {
            let present = BundledSignature::Present { digest: kept.digest, statement: kept.statement };
            return Ok((present, Some(kept.bytes)));
        }
        let made = self.made_of_store(tenant, incident).await?;
        let reason = made.err().unwrap_or(NoSignature::NotStated);
        Ok((BundledSignature::Absent { reason }, None))
    }

    /// The statements of witnesses and of the stacks that their runs left.
    async fn statements_of(
        &self,
        tenant: &TenantId,
        rows: &[sql::WitnessRow],
    ) -> VerifyResult<BTreeSet<Sha256>> {
        let mut wanted = BTreeSet::new();
        for row in rows {
            wanted.insert(row.statement);
            for about in self.notary().about(tenant, &row.artifact).await? {
                if about.predicate_type != predicate::STACK_FINGERPRINT {
                    continue;
                }
                let stated = self.notary().statement(tenant, &about.digest).await?.statement.predicate;
                let stack: Option<StackFingerprint> = serde_json::from_value(stated).ok();
                if stack.is_some_and(|stack| stack.witness == row.id) {
                    wanted.insert(about.digest);
                }
            }
        }
        Ok(wanted)
    }

    /// Checks a bundle, replays its witnesses where they lie, and only then takes them in.
    pub async fn import_bundle(
        &self,
        principal: &Principal,
        bytes: &[u8],
        key: Option<&PublicKey>,
        now: Timestamp,
    ) -> VerifyResult<ImportOutcome> {
        principal.require(Permission::AddEvidence)?;
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let folder = tempfile::tempdir().map_err(|source| assay_witness::WitnessError::File {
            path: "a temporary folder".to_owned(),
            source,
        })?;
        // The runner's user has to get at the files.
        open_to_all(folder.path());
        let opened = open_bundle(&mut &*bytes, folder.path(), key)?;
        self.check_definition(tenant, &opened).await?;
        self.check_signature(&opened).await?;
        let same = self.replayed(tenant, &opened).await?;
        let from = Sha256::of(bytes);
        let mut outcome = ImportOutcome {
            incident: opened.bundle.incident.id.clone(),
            digest: opened.bundle.digest,
            statements: opened.bundle.statements.len(),
            bundle: from,
            key: opened.key.clone(),
            witnesses: Vec::new(),
            delta_signature: None,
        };
        self.define_incident(principal, &opened.bundle.incident, now).await?;
        for (at, same_observation) in same.into_iter().enumerate() {
            let taken = self.take_in(principal, &opened, at, from, now).await?;
            outcome.witnesses.push(ImportedWitness { same_observation, ..taken });
        }
        if let (Some(signature), Some(BundledSignature::Present { statement, .. })) =
            (&opened.signature, &opened.bundle.delta_signature)
        {
            let imported = ImportedFrom { bundle: from, key: opened.key.clone(), statement: *statement };
            let kept = self.keep_signature(tenant, &outcome.incident, signature, Some(imported), now).await?;
            outcome.delta_signature = Some(kept.digest);
        }
        Ok(outcome)
    }

    /// A signature made of the build that a witness recorded must find the incident in that build.
    async fn check_signature(&self, opened: &OpenedBundle) -> VerifyResult<()> {
        let Some(signature) = &opened.signature else { return Ok(()) };
        let Some(path) = opened.files.0.get(&signature.vulnerable.sha256) else { return Ok(()) };
        let build = std::fs::read(path).map_err(|source| assay_witness::WitnessError::Bytes {
            digest: signature.vulnerable.sha256,
            source,
        })?;
        if Self::finds_itself(signature.clone(), build).await? {
            return Ok(());
        }
        Err(BundleError::not_found_by_its_signature().into())
    }

    /// An incident of that name that is known already must be the same one.
    async fn check_definition(&self, tenant: &TenantId, opened: &OpenedBundle) -> VerifyResult<()> {
        match self.definition(tenant, &opened.bundle.incident.id).await {
            Ok((known, digest))
                if known.id != opened.bundle.incident.id || digest != opened.bundle.digest =>
            {
                Err(VerifyError::IncidentExists { id: opened.bundle.incident.id.clone() })
            }
            Ok(_) | Err(VerifyError::UnknownIncident { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Runs every witness once, outside the store: whether each shows just what was stated.
    async fn replayed(&self, tenant: &TenantId, opened: &OpenedBundle) -> VerifyResult<Vec<bool>> {
        let mut same = Vec::new();
        for (at, capsule) in opened.capsules.iter().enumerate() {
            let (entry, stated) = (&opened.bundle.witnesses[at], &opened.stated[at]);
            self.admit_capsule(tenant, capsule).await?;
            let row = self.row(&opened.bundle.incident, capsule, &entry.role)?;
            let ready = Ready {
                tenant: tenant.clone(),
                row,
                definition: opened.bundle.incident.clone(),
                capsule: capsule.clone(),
                files: opened.files.clone(),
                origin: None,
            };
            let report = self.run(&ready, None, How::default()).await?.report;
            let package = ready.definition.package_path();
            let expected = &ready.definition.expect.vulnerable;
            if let Some(detail) = mismatch(expected, &report, package.as_deref(), Budget::Over) {
                return Err(VerifyError::NotShown { incident: ready.definition.id, detail });
            }
            same.push(Observation::of(&report).digest() == stated.observation_digest);
        }
        Ok(same)
    }

    async fn take_in(
        &self,
        principal: &Principal,
        opened: &OpenedBundle,
        at: usize,
        bundle: Sha256,
        now: Timestamp,
    ) -> VerifyResult<ImportedWitness> {
        let (entry, capsule) = (&opened.bundle.witnesses[at], &opened.capsules[at]);
        for blob in capsule.blobs() {
            let path = opened.files.0.get(&blob.digest).cloned().unwrap_or_default();
            let bytes = std::fs::read(&path)
                .map_err(|source| assay_witness::WitnessError::Bytes { digest: blob.digest, source })?;
            self.store().blobs().put_content(principal.tenant(), bytes).await?;
        }
        let origin = opened.stated[at].origin.clone().unwrap_or_default();
        let imported = ImportedFrom { bundle, key: opened.key.clone(), statement: entry.statement };
        let new = NewWitness {
            incident: opened.bundle.incident.id.clone(),
            capsule: capsule.clone(),
            role: entry.role.clone(),
            origin: Some(Origin { imported_from: Some(imported), ..origin }),
        };
        let witness = self.add_witness(principal, new, now).await?.witness;
        let admitted = self.check(principal, &witness, CHECKS, now).await?.admitted;
        let (info, _) = self.witness(principal, &witness).await?;
        Ok(ImportedWitness { witness, admitted, same_observation: false, statement: info.statement })
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // A folder that stays closed shows itself as files that cannot be read.
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755));
}
