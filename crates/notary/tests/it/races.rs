//! Two nodes over one store, and a database older than its log.

use assay_store::StoreResult;
use assay_store::query;
use assay_testkit::{Postgres, start_or_skip};

use crate::{NOW, accept, folder_locations, notary, tenant, verified_entries};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_publish_side_by_side() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    let folder = tempfile::tempdir().unwrap();
    let locations = folder_locations(&folder, Some(postgres.new_database()));
    let nodes: Vec<_> = (0..2u64)
        .map(|node| {
            let locations = locations.clone();
            tokio::spawn(async move {
                let notary = notary(&locations).await;
                for number in 0..12 {
                    accept(&notary, node * 100 + number).await.unwrap();
                    notary.publish(&tenant(), NOW).await.unwrap();
                }
            })
        })
        .collect();
    for node in nodes {
        node.await.unwrap();
    }
    // No further publication: `checkpoint` follows the highest head whoever wrote last.
    assert_eq!(verified_entries(&notary(&locations).await).await.len(), 24);
}

/// The database was restored from before the last heads: what the log holds is taken over, with
/// the statements themselves, so that none of them can enter the log again.
#[tokio::test]
async fn a_restored_database_imports_what_the_log_holds() {
    let folder = tempfile::tempdir().unwrap();
    let notary = notary(&folder_locations(&folder, None)).await;
    let kept = accept(&notary, 0).await.unwrap();
    notary.publish(&tenant(), NOW).await.unwrap();
    let lost = accept(&notary, 1).await.unwrap();
    notary.publish(&tenant(), NOW).await.unwrap();
    let restored: StoreResult<()> = notary
        .store()
        .database()
        .write(|tx| async move {
            tx.execute(query("DELETE FROM log_entries WHERE position > 0")).await?;
            tx.execute(query("DELETE FROM log_heads WHERE ordinal > 0")).await?;
            tx.execute(query("DELETE FROM statements WHERE digest = $1").bind(lost)).await?;
            tx.execute(query("DELETE FROM statement_subjects WHERE digest = $1").bind(lost)).await.map(drop)
        })
        .await;
    restored.unwrap();
    notary.publish(&tenant(), NOW).await.unwrap();
    assert_eq!(verified_entries(&notary).await, [kept.to_string(), lost.to_string()]);
    assert_eq!(notary.statement(&tenant(), &lost).await.unwrap().row.position, Some(1));
    assert_eq!(
        notary.about(&tenant(), &assay_evidence::Sha256::of(&1u64.to_be_bytes())).await.unwrap().len(),
        1
    );
    accept(&notary, 1).await.unwrap();
    notary.publish(&tenant(), NOW).await.unwrap();
    assert_eq!(verified_entries(&notary).await.len(), 2);
}
