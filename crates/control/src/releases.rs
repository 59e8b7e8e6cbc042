//! Releases: named, fixed sets of artifacts.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_store::{BlobKey, StoreError};
use assay_verify::Target;
use serde::{Deserialize, Serialize};

use crate::{Control, ControlError, ControlResult, sql};

/// The most artifacts of one release.
const MAX_ARTIFACTS: usize = 1000;
/// The longest name or role.
const MAX_NAME: usize = 100;
/// The most releases in one page.
pub(crate) const MAX_PAGE: u32 = 200;

/// An artifact of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactRef {
    /// The role by which witnesses find it.
    pub role: String,
    /// Its bytes.
    pub digest: Sha256,
    /// Its file name, for people.
    #[serde(default)]
    pub name: String,
    /// Its size in bytes; filled in from the store.
    #[serde(default)]
    pub size: u64,
}

/// A release to create.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRelease {
    /// Its name.
    pub release: String,
    /// Its artifacts, uploaded already.
    pub artifacts: Vec<ArtifactRef>,
}

/// A release.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its name.
    pub release: String,
    /// Its artifacts, by role.
    pub artifacts: Vec<ArtifactRef>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Release {
    pub(crate) fn targets(&self) -> Vec<Target> {
        let target = |artifact: &ArtifactRef| Target { role: artifact.role.clone(), digest: artifact.digest };
        self.artifacts.iter().map(target).collect()
    }
}

impl Control {
    /// Creates a release. The same one again is the same release; another set of artifacts under
    /// the same name is refused: a release never changes.
    pub async fn create_release(
        &self,
        principal: &Principal,
        new: &NewRelease,
        now: Timestamp,
    ) -> ControlResult<Release> {
        principal.require(Permission::AddEvidence)?;
        check(new)?;
        let tenant = principal.tenant();
        let mut artifacts = new.artifacts.clone();
        artifacts.sort_by(|a, b| (&a.role, a.digest).cmp(&(&b.role, b.digest)));
        artifacts.dedup_by(|a, b| a.role == b.role && a.digest == b.digest);
        for artifact in &mut artifacts {
            let missing =
                || ControlError::MissingArtifact { role: artifact.role.clone(), digest: artifact.digest };
            let bytes = self.store().blobs().get(&BlobKey::blob(tenant, &artifact.digest)).await?;
            artifact.size = bytes.ok_or_else(missing)?.len() as u64;
        }
        let (name, artifacts) = (&new.release, &artifacts);
        if let Some(there) = sql::release(self.store().database(), tenant, name).await? {
            let key = |artifact: &ArtifactRef| (artifact.role.clone(), artifact.digest);
            let same = there.artifacts.iter().map(key).eq(artifacts.iter().map(key));
            return if same { Ok(there) } else { Err(ControlError::ReleaseExists { name: name.clone() }) };
        }
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move { sql::insert_release(&tx, tenant, name, artifacts, now).await })
            .await;
        written?;
        self.release(principal, name).await
    }

    /// A release by name.
    pub async fn release(&self, principal: &Principal, name: &str) -> ControlResult<Release> {
        principal.require(Permission::ReadEvidence)?;
        let found = sql::release(self.store().database(), principal.tenant(), name).await?;
        found.ok_or_else(|| ControlError::UnknownRelease { name: name.to_owned() })
    }

    /// Releases after the name `after`, in order; at most `limit`.
    pub async fn releases(
        &self,
        principal: &Principal,
        after: &str,
        limit: u32,
    ) -> ControlResult<Vec<Release>> {
        principal.require(Permission::ReadEvidence)?;
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        Ok(sql::releases(self.store().database(), principal.tenant(), after, limit).await?)
    }
}

fn check(new: &NewRelease) -> ControlResult<()> {
    let refuse = |detail: String| Err(ControlError::Release { detail });
    let named = |text: &str| {
        (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b))
            && text != "."
            && text != ".."
    };
    if !named(&new.release) {
        return refuse(format!("a name has 1 to {MAX_NAME} letters, digits and -._+"));
    }
    if new.artifacts.is_empty() || new.artifacts.len() > MAX_ARTIFACTS {
        return refuse(format!("a release has 1 to {MAX_ARTIFACTS} artifacts"));
    }
    match new.artifacts.iter().find(|artifact| !named(&artifact.role)) {
        Some(artifact) => refuse(format!(
            "`{}` is not a role: 1 to {MAX_NAME} letters, digits and -._+",
            artifact.role.chars().take(60).collect::<String>()
        )),
        None => Ok(()),
    }
}
