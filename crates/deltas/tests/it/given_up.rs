//! An artifact whose entry fails every time.

use assay_access::Principal;
use assay_deltas::DeltasError;
use assay_evidence::Sha256;
use assay_store::{Locations, Store, jobs, query};

use crate::suite::{add, execute};
use crate::{meaning, module, now, open, tenant};

/// The state of the artifact's only job, and how often it was tried.
async fn job(store: &Store, artifact: &Sha256) -> (String, i64) {
    let sql = "SELECT id FROM jobs WHERE kind = 'delta_index'";
    let rows = store.database().all(query(sql)).await.unwrap();
    let ids = rows.iter().map(|row| row.text("id").unwrap());
    let id = ids.into_iter().find(|id| id.ends_with(&artifact.to_string())).unwrap();
    let state = jobs::state(store.database(), &tenant("one"), &id).await.unwrap().unwrap();
    (state.state, state.attempts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_given_up_and_the_age_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations { data: folder.path().to_owned(), database: None, blobs: None };
    let (store, deltas) = open(&locations).await;
    let owner = Principal::owner(tenant("one"));
    let good = add(&store, &deltas, &owner, module(700, 5)).await;
    // SQLite passes over every update of a row: nothing can be noted as indexed.
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON delta_artifacts BEGIN SELECT RAISE(IGNORE); END";
    execute(&store, refuse).await;
    let bad = store.blobs().put_content(owner.tenant(), module(700, 6)).await.unwrap();
    let refused = deltas.index(&owner, &bad, now()).await.unwrap_err();
    assert!(matches!(refused, DeltasError::Contended { .. }), "{refused}");
    assert_eq!(job(&store, &bad).await, ("queued".to_owned(), 1));
    for (day, attempts) in [(1, 2), (2, 3), (3, 3), (4, 3)] {
        let then = now().plus_seconds(day * 86_400);
        deltas.maintain(owner.tenant(), then).await.unwrap();
        assert_eq!(job(&store, &bad).await.1, attempts, "on day {day}");
        let found = deltas.find(&owner, &meaning(700), None, 10, then).await.unwrap();
        assert_eq!((found.occurrences, found.artifacts[0].artifact), (1, good), "the pointer did not move");
        assert_eq!(found.index_age_seconds, (day * 86_400) as f64);
    }
    assert_eq!(job(&store, &bad).await.0, "failed");
    execute(&store, "DROP TRIGGER refuse").await;
    deltas.maintain(owner.tenant(), now().plus_seconds(1)).await.unwrap();
    assert_eq!(job(&store, &bad).await, ("failed".to_owned(), 3), "nobody asked for it");
    deltas.index(&owner, &bad, now()).await.unwrap();
    let found = deltas.find(&owner, &meaning(700), None, 10, now()).await.unwrap();
    assert_eq!((found.occurrences, found.index_age_seconds), (2, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_died_count_and_one_at_work_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations { data: folder.path().to_owned(), database: None, blobs: None };
    let (store, deltas) = open(&locations).await;
    let owner = Principal::owner(tenant("one"));
    let artifact = add(&store, &deltas, &owner, module(800, 5)).await;
    execute(&store, "UPDATE delta_artifacts SET indexed_at = 0").await;
    execute(&store, "UPDATE jobs SET state = 'leased', attempts = 2").await;
    // The first lease was taken at `now`, for ten minutes.
    for (seconds, attempts) in [(599, 2), (601, 3)] {
        deltas.maintain(owner.tenant(), now().plus_seconds(seconds)).await.unwrap();
        assert_eq!(job(&store, &artifact).await.1, attempts, "after {seconds} seconds");
    }
    execute(&store, "UPDATE delta_artifacts SET indexed_at = 0").await;
    execute(&store, "UPDATE jobs SET state = 'leased'").await;
    deltas.maintain(owner.tenant(), now().plus_seconds(86_400)).await.unwrap();
    assert_eq!(job(&store, &artifact).await, ("leased".to_owned(), 3), "three workers died of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_are_answered_by_one_build() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations { data: folder.path().to_owned(), database: None, blobs: None };
    let (store, deltas) = open(&locations).await;
    let owner = Principal::owner(tenant("one"));
    let artifact = store.blobs().put_content(owner.tenant(), module(900, 50)).await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (deltas, owner) = (deltas.clone(), owner.clone());
        asked.spawn(async move { deltas.index(&owner, &artifact, now()).await.unwrap() });
    }
    let answers = asked.join_all().await;
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(job(&store, &artifact).await, ("done".to_owned(), 1));
}
