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

#[tokio::test]
async fn many_statements_are_prepared_in_their_order_and_looked_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let notary = notary(&folder_locations(&folder, None)).await;
    let subject = |number: u64| Subject::new("app", Sha256::of(&number.to_be_bytes()));
    let statement = |number: u64| {
        let body = serde_json::json!({ "number": number });
        Statement::new(predicate::REPLAY_VERDICT, vec![subject(number)], &body).unwrap()
    };
    let tenant = tenant();
    let prepared = notary.prepare_all(&tenant, (0..600).map(statement).collect(), NOW).await.unwrap();
    let one = notary.prepare(&tenant, statement(7), NOW).await.unwrap();
    assert_eq!(prepared[7].digest(), one.digest(), "signing is deterministic, so this is the eighth");
    let (accepted, left_out) = prepared.split_at(599);
    let (tenant_ref, accepted) = (&tenant, &accepted);
    let committed: StoreResult<()> = notary
        .store()
        .database()
        .write(|tx| async move {
            for prepared in *accepted {
                Notary::accept(&tx, tenant_ref, prepared).await?;
            }
            Ok(())
        })
        .await;
    committed.unwrap();
    let head = notary.publish(&tenant, NOW).await.unwrap();
    assert_eq!(head.size, 599);
    let all: Vec<Sha256> = prepared.iter().map(|prepared| *prepared.digest()).collect();
    let included = notary.included(&tenant, &all, head.size).await.unwrap();
    assert_eq!(included.len(), 599);
    assert!(!included.contains(left_out[0].digest()), "it was never accepted");
    assert_eq!(notary.included(&tenant, &all, 10).await.unwrap().len(), 10, "only what stands below");
    assert!(notary.included(&tenant, &[], head.size).await.unwrap().is_empty());
}
