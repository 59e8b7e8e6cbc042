//! What holds on every combination of database and blob store.

use assay_access::Principal;
use assay_deltas::{Deltas, DeltasError, Tier};
use assay_evidence::Sha256;
use assay_store::{Locations, Store, StoreError, query};

use crate::{meaning, module, now, open, tenant};

pub const SCENARIOS: u32 = 6;

pub async fn scenario(number: u32, locations: &Locations) {
    match number {
        0 => found_page_by_page(locations).await,
        1 => a_stranger_sees_nothing(locations).await,
        2 => two_nodes_lose_nothing(locations).await,
        3 => an_older_version_waits_and_is_indexed_again(locations).await,
        4 => what_vanished_is_forgotten(locations).await,
        _ => what_cannot_be_indexed_is_refused(locations).await,
    }
}

pub async fn add(store: &Store, deltas: &Deltas, principal: &Principal, bytes: Vec<u8>) -> Sha256 {
    let artifact = store.blobs().put_content(principal.tenant(), bytes).await.unwrap();
    deltas.index(principal, &artifact, now()).await.unwrap();
    artifact
}

pub async fn artifacts(deltas: &Deltas, principal: &Principal, function: &Sha256) -> Vec<Sha256> {
    let found = deltas.find(principal, function, None, 1000, now()).await.unwrap();
    found.artifacts.iter().map(|place| place.artifact).collect()
}

async fn found_page_by_page(locations: &Locations) {
    let (store, deltas) = open(locations).await;
    let owner = Principal::owner(tenant("one"));
    let mut all = Vec::new();
    for number in 0..20 {
        all.push(add(&store, &deltas, &owner, module(1000 + number, 30)).await);
        deltas.maintain(owner.tenant(), now()).await.unwrap();
    }
    all.sort_unstable();
    // The function that returns 1019 is in all twenty: they begin at 1000 to 1019 and have thirty each.
    let (function, mut after, mut seen) = (meaning(1019), None, Vec::new());
    loop {
        let page = deltas.find(&owner, &function, after.as_deref(), 7, now()).await.unwrap();
        assert_eq!(page.occurrences, 20);
        assert!(page.artifacts.len() <= 7 && page.index_age_seconds == 0.0);
        seen.extend(page.artifacts.iter().map(|place| place.artifact));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
    assert_eq!(artifacts(&deltas, &owner, &meaning(1048)).await.len(), 1);
    assert_eq!(artifacts(&deltas, &owner, &meaning(999)).await, []);
    let again = deltas.find(&owner, &function, None, 1, now()).await.unwrap();
    assert_eq!(again.tier, Tier::Hot);
    let refused = deltas.find(&owner, &function, Some("nonsense"), 1, now()).await;
    assert!(matches!(refused, Err(DeltasError::Cursor { .. })));
    let delta = deltas.compare(&owner, &seen[0], &seen[1]).await.unwrap().delta;
    assert!(delta.functions.unchanged > 0);
}

async fn a_stranger_sees_nothing(locations: &Locations) {
    let (store, deltas) = open(locations).await;
    let (one, two) = (Principal::owner(tenant("one")), Principal::owner(tenant("two")));
    let artifact = add(&store, &deltas, &one, module(5000, 40)).await;
    let found = deltas.find(&two, &meaning(5001), None, 10, now()).await.unwrap();
    assert_eq!((found.occurrences, found.artifacts.len(), found.next), (0, 0, None));
    assert_eq!(found.tier, Tier::Hot, "no shard was opened for a stranger");
    for error in [
        deltas.summary(&two, &artifact).await.map(drop).unwrap_err(),
        deltas.compare(&two, &artifact, &artifact).await.map(drop).unwrap_err(),
        deltas.graph(&two, &artifact, &artifact).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, DeltasError::NotIndexed { .. }), "{error}");
    }
    let missing = deltas.index(&two, &artifact, now()).await.unwrap_err();
    assert!(matches!(missing, DeltasError::Store(StoreError::Missing { .. })), "{missing}");
    // The same bytes of another tenant are that one's own.
    add(&store, &deltas, &two, module(5000, 40)).await;
    assert_eq!(artifacts(&deltas, &two, &meaning(5001)).await, [artifact]);
    assert_eq!(artifacts(&deltas, &one, &meaning(5001)).await, [artifact]);
}

async fn two_nodes_lose_nothing(locations: &Locations) {
    let ((store, first), (_, second)) = (open(locations).await, open(locations).await);
    let owner = Principal::owner(tenant("one"));
    let mut work = tokio::task::JoinSet::new();
    for number in 0..24u32 {
        let (store, owner) = (store.clone(), owner.clone());
        let deltas = if number % 2 == 0 { first.clone() } else { second.clone() };
        work.spawn(async move {
            let artifact = add(&store, &deltas, &owner, module(9000 + number * 10, 20)).await;
            deltas.maintain(owner.tenant(), now()).await.unwrap();
            artifact
        });
    }
    let mut all = work.join_all().await;
    all.sort_unstable();
    for deltas in [&first, &second] {
        let mut seen = Vec::new();
        for number in 0..24 {
            let function = meaning(9000 + number * 10 + 15);
            let found = deltas.find(&owner, &function, None, 1000, now()).await.unwrap();
            // Twenty functions from every tenth on: the sixteenth is the sixth of the next, if there is one.
            assert_eq!(found.occurrences, if number < 23 { 2 } else { 1 }, "entered once: {number}");
            seen.extend(found.artifacts.iter().map(|place| place.artifact));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, all);
    }
}

async fn an_older_version_waits_and_is_indexed_again(locations: &Locations) {
    let (store, deltas) = open(locations).await;
    let owner = Principal::owner(tenant("one"));
    let artifact = add(&store, &deltas, &owner, module(70, 5)).await;
    // As an older program would have left it: its rows and its pointer are of another version.
    execute(&store, "UPDATE delta_artifacts SET normaliser = 1").await;
    execute(&store, "UPDATE index_generations SET name = 'delta-functions-v1'").await;
    let (_, newer) = open(locations).await;
    let later = now().plus_seconds(90);
    let found = newer.find(&owner, &meaning(71), None, 10, later).await.unwrap();
    assert_eq!(
        (found.occurrences, found.index_age_seconds),
        (0, 90.0),
        "hashes of two versions are not mixed"
    );
    newer.maintain(owner.tenant(), later).await.unwrap();
    let found = newer.find(&owner, &meaning(71), None, 10, later).await.unwrap();
    assert_eq!((found.occurrences, found.index_age_seconds), (1, 0.0));
    assert_eq!(found.artifacts[0].artifact, artifact);
    // As if a node of the older version indexed it only now: maintenance notices although it asked before.
    execute(&store, "DELETE FROM delta_artifacts WHERE normaliser > 1").await;
    execute(&store, "DELETE FROM index_generations WHERE name <> 'delta-functions-v1'").await;
    assert_eq!(artifacts(&newer, &owner, &meaning(71)).await, []);
    newer.maintain(owner.tenant(), later).await.unwrap();
    assert_eq!(artifacts(&newer, &owner, &meaning(71)).await, [artifact]);
}

pub async fn execute(store: &Store, statement: &'static str) {
    let done: Result<(), StoreError> =
        store.database().write(|tx| async move { tx.execute(query(statement)).await.map(drop) }).await;
    done.unwrap();
}

async fn what_vanished_is_forgotten(locations: &Locations) {
    let (store, deltas) = open(locations).await;
    let owner = Principal::owner(tenant("one"));
    let there = add(&store, &deltas, &owner, module(600, 5)).await;
    // Waits although its bytes are nowhere, as after a clean-up of the object store.
    let gone = assay_delta::Index::build(&module(600, 6)).unwrap().about().artifact;
    let left: Result<(), StoreError> = store
        .database()
        .write(|tx| async move {
            let sql = "INSERT INTO delta_artifacts (tenant, artifact, normaliser, index_blob, summary, asked_at, \
                       indexed_at) SELECT tenant, $1, normaliser, '', '', asked_at, 0 FROM delta_artifacts";
            tx.execute(query(sql).bind(gone)).await.map(drop)
        })
        .await;
    left.unwrap();
    let later = now().plus_seconds(70);
    let found = deltas.find(&owner, &meaning(600), None, 10, later).await.unwrap();
    assert_eq!((found.occurrences, found.index_age_seconds), (1, 70.0));
    assert_eq!(deltas.oldest_waiting(later), 70.0);
    deltas.maintain(owner.tenant(), later).await.unwrap();
    let found = deltas.find(&owner, &meaning(600), None, 10, later).await.unwrap();
    assert_eq!((found.artifacts[0].artifact, found.index_age_seconds), (there, 0.0));
    assert_eq!(deltas.oldest_waiting(later), 0.0);
    // An older version knew it: it is asked for once, and not again by every maintenance.
    let known: Result<(), StoreError> = store
        .database()
        .write(|tx| async move {
            let sql = "INSERT INTO delta_artifacts (tenant, artifact, normaliser, index_blob, summary, asked_at, \
                       indexed_at) SELECT tenant, $1, normaliser - 1, '', '', asked_at, 1 FROM delta_artifacts";
            tx.execute(query(sql).bind(gone)).await.map(drop)
        })
        .await;
    known.unwrap();
    for _ in 0..2 {
        deltas.maintain(owner.tenant(), later).await.unwrap();
    }
    let sql = "SELECT COUNT(*) AS count FROM delta_artifacts WHERE artifact = $1";
    let rows = store.database().first(query(sql).bind(gone)).await.unwrap().unwrap();
    assert_eq!(rows.int("count").unwrap(), 0);
}

async fn what_cannot_be_indexed_is_refused(locations: &Locations) {
    let (store, deltas) = open(locations).await;
    let owner = Principal::owner(tenant("one"));
    let text = store.blobs().put_content(owner.tenant(), b"no binary".to_vec()).await.unwrap();
    let refused = deltas.index(&owner, &text, now()).await.unwrap_err();
    assert!(matches!(refused, DeltasError::Refused { .. }), "{refused}");
    let found = deltas.find(&owner, &meaning(1), None, 10, now().plus_seconds(9)).await.unwrap();
    assert_eq!(found.index_age_seconds, 0.0, "what is refused does not wait");
}
