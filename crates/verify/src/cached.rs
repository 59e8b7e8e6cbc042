//! A verdict that is known already, for whoever only asks.

use assay_access::{Permission, Principal};
use assay_evidence::Sha256;
use assay_gate::{Mode, Verdict};

use crate::pipeline::{Asked, IncidentVerdict, Target};
use crate::{Verifier, VerifyError, VerifyResult, sql};

impl Verifier {
    /// The verdict of a witness on an artifact under the present runner, environment and definition of the
    /// incident; nothing is run.
    ///
    /// # Errors
    /// [`VerifyError::UnknownVerdict`] where there is none, or none that says anything.
    pub async fn cached_verdict(
        &self,
        principal: &Principal,
        witness: &Sha256,
        artifact: &Sha256,
    ) -> VerifyResult<IncidentVerdict> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let started = std::time::Instant::now();
        let row = sql::witness(self.store().database(), tenant, witness).await?;
        let row = row.ok_or_else(|| VerifyError::UnknownWitness { id: witness.to_string() })?;
        let (definition, digest) = self.definition(tenant, &row.incident).await?;
        let target = Target { role: row.role.clone(), digest: *artifact };
        let asked = Asked {
            definition: &definition,
            definition_digest: digest,
            witness: &row,
            target: &target,
            baseline: &[],
        };
        let known = sql::verdict(self.store().database(), tenant, &self.cache_key(&asked)?).await?;
        let known = known.filter(|known| known.verdict != Verdict::Inconclusive);
        let known = known.ok_or_else(|| VerifyError::UnknownVerdict {
            witness: witness.to_string(),
            artifact: artifact.to_string(),
        })?;
        let took = started.elapsed().as_secs_f64() * 1000.0;
        Ok(asked.verdict(&known, Mode::Cached, Vec::new(), took))
    }
}
