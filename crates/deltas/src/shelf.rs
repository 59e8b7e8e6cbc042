//! Shards that are open, so that a question reads a few pages and nothing else.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_delta::catalogue::{Shard, Source};
use assay_evidence::{Sha256, TenantId, Timestamp};

use crate::DeltasResult;
use crate::manifest::Manifest;

/// Most shards of one tenant that stay open: one tenant's questions close no file of another's.
const MAX_OPEN: usize = 64;
/// Most tenants with open shards.
const MAX_TENANTS: usize = 256;
/// A shard that nobody asked for so long is closed.
const HOT: Duration = Duration::from_secs(600);

/// An immutable file, read at offsets: nothing is mapped, so that a file cut short by somebody else is
/// an error and no signal.
pub(crate) struct OpenShard {
    file: File,
    pub shard: Shard,
}

impl Source for OpenShard {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Cow::Owned(bytes))
    }
}

struct Bare<'f>(&'f File);

impl Source for Bare<'_> {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(Cow::Owned(bytes))
    }
}

impl OpenShard {
    /// Opens a file whose digest was checked.
    pub fn open(path: &std::path::Path) -> DeltasResult<Self> {
        let file = File::open(path).map_err(assay_delta::catalogue::CatalogueError::Read)?;
        let length = file.metadata().map_err(assay_delta::catalogue::CatalogueError::Read)?.len();
        let shard = Shard::open(&Bare(&file), length)?;
        Ok(Self { file, shard })
    }
}

#[derive(Default)]
struct Tenant {
    manifest: Option<(Sha256, Arc<Manifest>)>,
    open: HashMap<Sha256, (Arc<OpenShard>, Instant)>,
    looked_for_old: bool,
    waits_since: Option<Timestamp>,
    used: Option<Instant>,
}

/// What is open, by tenant.
#[derive(Default)]
pub(crate) struct Shelf(HashMap<TenantId, Tenant>);

impl Shelf {
    fn tenant(&mut self, tenant: &TenantId) -> &mut Tenant {
        if self.0.len() >= MAX_TENANTS && !self.0.contains_key(tenant) {
            let oldest = self.0.iter().min_by_key(|(_, known)| known.used).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.0.remove(&name));
        }
        let known = self.0.entry(tenant.clone()).or_default();
        known.used = Some(Instant::now());
        known
    }

    pub fn manifest(&mut self, tenant: &TenantId, blob: &Sha256) -> Option<Arc<Manifest>> {
        let known = self.tenant(tenant).manifest.as_ref()?;
        (known.0 == *blob).then(|| Arc::clone(&known.1))
    }

    pub fn keep_manifest(&mut self, tenant: &TenantId, blob: Sha256, manifest: &Arc<Manifest>) {
        self.tenant(tenant).manifest = Some((blob, Arc::clone(manifest)));
    }

    /// A shard that is open.
    pub fn shard(&mut self, tenant: &TenantId, digest: &Sha256) -> Option<Arc<OpenShard>> {
        let known = self.tenant(tenant);
        known.open.retain(|_, (_, used)| used.elapsed() < HOT);
        let (shard, used) = known.open.get_mut(digest)?;
        *used = Instant::now();
        Some(Arc::clone(shard))
    }

    pub fn keep_shard(&mut self, tenant: &TenantId, digest: Sha256, shard: &Arc<OpenShard>) {
        let known = self.tenant(tenant);
        if known.open.len() >= MAX_OPEN {
            let oldest = known.open.iter().min_by_key(|(_, (_, used))| *used).map(|(digest, _)| *digest);
            oldest.and_then(|digest| known.open.remove(&digest));
        }
        known.open.insert(digest, (Arc::clone(shard), Instant::now()));
    }

    /// Whether this process asked what only an older version has indexed.
    pub fn has_looked_for_old(&mut self, tenant: &TenantId) -> bool {
        self.tenant(tenant).looked_for_old
    }

    /// Notes that it asked, and that the answer is stored.
    pub fn looked_for_old(&mut self, tenant: &TenantId) {
        self.tenant(tenant).looked_for_old = true;
    }

    /// Notes since when the tenant's oldest artifact waits.
    pub fn waits(&mut self, tenant: &TenantId, since: Option<Timestamp>) {
        self.tenant(tenant).waits_since = since;
    }

    /// Since when the oldest artifact of all tenants here waits.
    pub fn waits_since(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|tenant| tenant.waits_since).min()
    }
}
