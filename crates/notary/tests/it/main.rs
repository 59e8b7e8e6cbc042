//! The write path of evidence under crashes, races, restored databases and tampering.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod crash;
mod races;
mod tampering;

use assay_evidence::{PrivateKey, Sha256, Statement, Subject, TenantId, Timestamp, predicate};
use assay_notary::{MIGRATIONS, Notary, NotaryResult};
use assay_store::{Locations, Store, StoreResult, query};

/// The time at which everything in these tests happens.
pub const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub fn tenant() -> TenantId {
    TenantId::local()
}

pub async fn notary(locations: &Locations) -> Notary {
    let store = Store::open(locations, &[MIGRATIONS]).await.unwrap();
    Notary::new(store, Some(PrivateKey::from_seed(&[5; 32])))
}

pub fn folder_locations(folder: &tempfile::TempDir, database: Option<String>) -> Locations {
    Locations { data: folder.path().to_owned(), database, blobs: None }
}

/// Prepares and accepts one statement; its digest once the commit has acknowledged it.
pub async fn accept(notary: &Notary, number: u64) -> NotaryResult<Sha256> {
    let subject = Subject::new(format!("app-{number}"), Sha256::of(&number.to_be_bytes()));
    let body = serde_json::json!({ "number": number });
    let statement = Statement::new(predicate::REPLAY_VERDICT, vec![subject], &body).unwrap();
    let (tenant, prepared) = (&tenant(), &notary.prepare(&tenant(), statement, NOW).await?);
    let committed: StoreResult<()> = notary
        .store()
        .database()
        .write(|tx| async move { Notary::accept(&tx, tenant, prepared).await })
        .await;
    committed?;
    Ok(*prepared.digest())
}

/// The statements in the log, in its order, after checking the log as a whole.
pub async fn verified_entries(notary: &Notary) -> Vec<String> {
    let report = notary.verify_log(&tenant()).await.unwrap();
    assert!(report.verified, "{:?}", report.problems);
    let sql = "SELECT digest, position FROM log_entries WHERE tenant = $1 ORDER BY position";
    let rows = notary.store().database().all(query(sql).bind(&tenant())).await.unwrap();
    for (row, position) in rows.iter().zip(0u64..) {
        assert_eq!(row.count("position").unwrap(), position);
    }
    assert_eq!(report.size, rows.len() as u64);
    rows.iter().map(|row| row.text("digest").unwrap()).collect()
}
