use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assay_evidence::TenantId;
use assay_store::{BlobKey, Store, StoreError, query};
use assay_testkit::{Postgres, start_or_skip};

use crate::Place;

const BOUND: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_database_is_a_typed_error_and_comes_back() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start_durable) else { return };
    let place = Place::new(Some(&postgres), None);
    let store = place.open().await;
    let insert = |name: &'static str| {
        let database = store.database();
        async move {
            let sql = "INSERT INTO counters (name, value) VALUES ($1, 1)";
            let done: Result<u64, StoreError> =
                database.write(|tx| async move { tx.execute(query(sql).bind(name)).await }).await;
            done
        }
    };
    insert("before").await.unwrap();
    postgres.kill();
    let start = Instant::now();
    let error = insert("during").await.unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }) && error.is_environment(), "{error:?}");
    let error = store.database().all(query("SELECT name FROM counters")).await.err().unwrap();
    assert!(error.is_environment(), "{error:?}");
    assert!(start.elapsed() < 2 * BOUND, "{:?}", start.elapsed());
    postgres.start_again();
    insert("after").await.unwrap();
    let rows = store.database().all(query("SELECT name FROM counters ORDER BY name")).await.unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    assert_eq!(names, ["after", "before"]);
}

/// A mounted file system of its own, gone on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(folder.path());
        command.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_full_disk_is_a_typed_error_and_leaves_nothing_half_written() {
    let disk = SmallDisk::mount();
    let mut place = Place::new(None, None);
    if let Some(disk) = &disk {
        place.locations.blobs = Some(format!("file://{}", disk.path().join("blobs").display()));
    } else {
        // Nothing may be mounted here: a folder that takes no file stands in for the full disk.
        let folder = place.locations.data.join("blobs");
        std::fs::create_dir_all(&folder).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        std::fs::set_permissions(&folder, mode).unwrap();
    }
    let store = Store::open(&place.locations, &[]).await.unwrap();
    let tenant = TenantId::local();
    let large = vec![7u8; 1 << 20];
    let error = store.blobs().put_content(&tenant, large.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Blob { .. }) && error.is_environment(), "{error:?}");
    let key = BlobKey::blob(&tenant, &assay_evidence::Sha256::of(&large));
    assert!(!store.blobs().exists(&key).await.unwrap());
    assert_eq!(
        store.blobs().list(&BlobKey::blob(&tenant, &assay_evidence::Sha256::of(b""))).await.unwrap().len(),
        0
    );
    if disk.is_some() {
        // What fits is still written: the failed object gave its space back.
        store.blobs().put_content(&tenant, vec![1u8; 100 << 10]).await.unwrap();
    }
}
