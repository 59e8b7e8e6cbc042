use assay_store::{Migration, Store, StoreError, query};

use crate::{Place, SCHEMA};

const NEXT: &[Migration] = &[Migration {
    id: "20261123T990001_suite_expanded",
    statements: &["ALTER TABLE counters ADD COLUMN note {TEXT} NOT NULL DEFAULT 'old'"],
}];

pub async fn run_twice_and_side_by_side(place: &Place) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let locations = place.locations.clone();
            tokio::spawn(async move { Store::open(&locations, &[SCHEMA]).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = place.open().await;
    let rows = store.database().all(query("SELECT id FROM schema_migrations ORDER BY id")).await.unwrap();
    assert_eq!(rows.len(), 3);
}

pub async fn expand_over_the_previous_version(place: &Place) {
    let old = place.open().await;
    let insert = "INSERT INTO counters (name, value) VALUES ($1, $2)";
    let written: Result<u64, StoreError> = old
        .database()
        .write(|tx| async move { tx.execute(query(insert).bind("kept").bind(7i64)).await })
        .await;
    assert_eq!(written.unwrap(), 1);
    let new = Store::open(&place.locations, &[SCHEMA, NEXT]).await.unwrap();
    let row = new.database().first(query("SELECT value, note FROM counters")).await.unwrap().unwrap();
    assert_eq!((row.int("value").unwrap(), row.text("note").unwrap()), (7, "old".to_owned()));
    // The previous version still writes beside the new one.
    let written: Result<u64, StoreError> = old
        .database()
        .write(|tx| async move { tx.execute(query(insert).bind("late").bind(8i64)).await })
        .await;
    assert_eq!(written.unwrap(), 1);
}
