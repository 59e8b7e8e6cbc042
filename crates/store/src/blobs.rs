//! Objects by name: create-only, fsynced, checked against their digest when read.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use assay_evidence::{Sha256, TenantId};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use crate::error::{StoreError, StoreResult};

/// How much of a file is digested at a time.
const PIECE_BYTES: usize = 256 << 10;

/// The name of an object. Made only from a tenant and a checked rest, so no name leaves its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobKey(String);

impl BlobKey {
    /// The object of `digest`, owned by `tenant`.
    pub fn blob(tenant: &TenantId, digest: &Sha256) -> Self {
        let hex = digest.hex();
        Self(format!("tenants/{tenant}/blobs/sha256/{}/{hex}", &hex[..2]))
    }

    /// A file of `tenant`'s log.
    pub fn log(tenant: &TenantId, path: &str) -> Self {
        Self(format!("tenants/{tenant}/log/{path}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a create-only write found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is new.
    New,
    /// The object was there with the same bytes.
    Same,
}

/// A blob store that was opened.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Place,
    checked: Arc<Checked>,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    Remote { cache: PathBuf },
}

impl Blobs {
    pub(crate) fn open(data: &FilePath, url: Option<&str>) -> StoreResult<Self> {
        let Some(url) = url else { return Self::open_folder(&data.join("blobs")) };
        let address = || StoreError::Address { what: "blob store", url: url.to_owned() };
        let parsed = url::Url::parse(url).map_err(|_| address())?;
        match parsed.scheme() {
            "file" => Self::open_folder(&parsed.to_file_path().map_err(|()| address())?),
            "s3" => {
                let store = open_bucket(&parsed)?;
                let prefix = Path::parse(parsed.path().trim_matches('/')).map_err(|_| address())?;
                let cache = data.join("cache");
                crate::create_private(&cache)?;
                Ok(Self { store, prefix, place: Place::Remote { cache }, checked: Arc::default() })
            }
            _ => Err(address()),
        }
    }

    fn open_folder(folder: &FilePath) -> StoreResult<Self> {
        crate::create_private(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| StoreError::Blob { path: folder.display().to_string(), source })?
            .with_fsync(true);
        let folder = folder.to_owned();
        let (prefix, checked) = (Path::default(), Arc::default());
        Ok(Self { store: Arc::new(store), prefix, place: Place::Folder(folder), checked })
    }

    fn path(&self, key: &BlobKey) -> Path {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        Path::from_iter(parts.chain(key.0.split('/').map(str::to_owned)))
    }

    /// Creates an object. One that exists is read and compared: equal is success, different is
    /// [`StoreError::Frozen`].
    pub async fn create(&self, key: &BlobKey, bytes: impl Into<Bytes>) -> StoreResult<Created> {
        let bytes: Bytes = bytes.into();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(key), bytes.clone().into(), options).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                match self.get(key).await? {
                    Some(there) if there == bytes => Ok(Created::Same),
                    _ => Err(StoreError::Frozen { path: key.to_string() }),
                }
            }
            Err(source) => Err(StoreError::Blob { path: key.to_string(), source }),
        }
    }

    /// Replaces an object: only a log's `checkpoint` is ever written so.
    pub async fn replace(&self, key: &BlobKey, bytes: impl Into<Bytes>) -> StoreResult<()> {
        let bytes: Bytes = bytes.into();
        let put = self.store.put(&self.path(key), bytes.into()).await;
        put.map(drop).map_err(|source| StoreError::Blob { path: key.to_string(), source })
    }

    /// Reads an object.
    pub async fn get(&self, key: &BlobKey) -> StoreResult<Option<Bytes>> {
        let failed = |source| StoreError::Blob { path: key.to_string(), source };
        match self.store.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether an object is there.
    pub async fn exists(&self, key: &BlobKey) -> StoreResult<bool> {
        match self.store.head(&self.path(key)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(StoreError::Blob { path: key.to_string(), source }),
        }
    }

    /// Keeps `bytes` under their digest.
    pub async fn put_content(&self, tenant: &TenantId, bytes: impl Into<Bytes>) -> StoreResult<Sha256> {
        let bytes: Bytes = bytes.into();
        let digest = Sha256::of(&bytes);
        self.create(&BlobKey::blob(tenant, &digest), bytes).await?;
        Ok(digest)
    }

    /// Reads content by its digest and checks it.
    pub async fn get_content(&self, tenant: &TenantId, digest: &Sha256) -> StoreResult<Bytes> {
        let key = BlobKey::blob(tenant, digest);
        let bytes = self.get(&key).await?.ok_or_else(|| StoreError::Missing { path: key.to_string() })?;
        if Sha256::of(&bytes) != *digest {
            return Err(StoreError::Damaged { path: key.to_string() });
        }
        Ok(bytes)
    }

    /// A local, read-only file with the content of `digest`: the object itself in a folder, a copy
    /// of a remote one. Its bytes are digested when this process uses it first, and again whenever
    /// the file changed since.
    pub async fn local_file(&self, tenant: &TenantId, digest: &Sha256) -> StoreResult<PathBuf> {
        let key = BlobKey::blob(tenant, digest);
        let (target, remote) = match &self.place {
            Place::Folder(folder) => (folder.join(key.as_str()), false),
            Place::Remote { cache } => (cache.join(key.as_str()), true),
        };
        match self.checked.holds(&target, digest) {
            Ok(true) => return Ok(target),
            Ok(false) if remote => {}
            Ok(false) => return Err(StoreError::Damaged { path: key.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && remote => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { path: key.to_string() });
            }
            Err(source) => return Err(StoreError::Folder { path: target, source }),
        }
        let bytes = self.get_content(tenant, digest).await?;
        write_whole(&target, &bytes).map_err(|source| StoreError::Folder { path: target.clone(), source })?;
        Ok(target)
    }

    /// Whether [`Blobs::local_file`] would find the content on this machine.
    pub fn is_local(&self, tenant: &TenantId, digest: &Sha256) -> bool {
        let key = BlobKey::blob(tenant, digest);
        match &self.place {
            Place::Folder(folder) => folder.join(key.as_str()).is_file(),
            Place::Remote { cache } => cache.join(key.as_str()).is_file(),
        }
    }

    /// The names of all objects below `prefix` (a whole path segment), in order.
    pub async fn list(&self, prefix: &BlobKey) -> StoreResult<Vec<String>> {
        let failed = |source| StoreError::Blob { path: prefix.to_string(), source };
        let found: Vec<_> = self.store.list(Some(&self.path(prefix))).try_collect().await.map_err(failed)?;
        let skip = if self.prefix.as_ref().is_empty() { 0 } else { self.prefix.as_ref().len() + 1 };
        let mut names: Vec<String> =
            found.iter().map(|object| object.location.as_ref()[skip..].to_owned()).collect();
        names.sort();
        Ok(names)
    }
}

/// A bucket; the address's query may hold options such as `endpoint` and `region`, while secrets
/// come from the environment only.
fn open_bucket(address: &url::Url) -> StoreResult<Arc<dyn ObjectStore>> {
    let mut shown = address.clone();
    shown.set_query(None);
    let refuse = || StoreError::Address { what: "blob store", url: shown.to_string() };
    let mut builder = AmazonS3Builder::from_env().with_url(shown.as_str());
    for (name, value) in address.query_pairs() {
        let option: AmazonS3ConfigKey = name.parse().map_err(|_| refuse())?;
        if matches!(option, AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::Token) {
            return Err(refuse());
        }
        builder = builder.with_config(option, value);
    }
    let store = builder.build().map_err(|source| StoreError::Blob { path: shown.to_string(), source })?;
    Ok(Arc::new(store))
}

/// Files whose bytes this process has digested, with the size and time they had then.
#[derive(Debug, Default)]
struct Checked(Mutex<HashMap<PathBuf, (u64, SystemTime)>>);

impl Checked {
    /// Whether the file holds the bytes of `digest`.
    fn holds(&self, file: &FilePath, digest: &Sha256) -> std::io::Result<bool> {
        use std::io::Read as _;
        let metadata = std::fs::metadata(file)?;
        let stamp = (metadata.len(), metadata.modified()?);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known().get(file) == Some(&stamp) {
            return Ok(true);
        }
        let mut source = std::fs::File::open(file)?;
        let (mut stream, mut piece) = (Sha256::stream(), vec![0; PIECE_BYTES]);
        loop {
            match source.read(&mut piece)? {
                0 => break,
                count => stream.update(&piece[..count]),
            }
        }
        let holds = stream.finish() == *digest;
        if holds {
            known().insert(file.to_owned(), stamp);
        }
        Ok(holds)
    }
}

fn write_whole(target: &FilePath, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = target.parent().expect("a blob's path has a folder");
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}
