use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::jobs::{self, Ended, Job};
use assay_store::{Generation, Store, StoreResult};

const LEASE_SECONDS: i64 = 60;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000_000_000).plus_seconds(second)
}

async fn enqueue(store: &Store, id: &str, payload: &str, now: Timestamp) {
    let tenant = &TenantId::local();
    let queued: StoreResult<()> = store
        .database()
        .write(|tx| async move { jobs::enqueue(&tx, tenant, id, "replay", payload, now).await })
        .await;
    queued.unwrap();
}

async fn claim(store: &Store, owner: &str, now: Timestamp) -> Option<Job> {
    jobs::claim(store.database(), owner, now, LEASE_SECONDS).await.unwrap()
}

async fn finish(store: &Store, job: &Job, owner: &str, ended: Ended<'_>, now: Timestamp) -> bool {
    let done: StoreResult<bool> =
        store.database().write(|tx| async move { jobs::finish(&tx, job, owner, ended, now).await }).await;
    done.unwrap()
}

async fn state(store: &Store, id: &str) -> (String, String) {
    let state = jobs::state(store.database(), &TenantId::local(), id).await.unwrap().unwrap();
    (state.state, state.outcome)
}

pub async fn queued_once(store: &Store) {
    enqueue(store, "once", "first", at(0)).await;
    enqueue(store, "once", "second", at(1)).await;
    let job = claim(store, "a", at(2)).await.unwrap();
    assert_eq!((job.payload.as_str(), job.attempt), ("first", 1));
    enqueue(store, "once", "third", at(3)).await;
    assert_eq!(claim(store, "b", at(3)).await, None);
    assert!(finish(store, &job, "a", Ended::Done("{}"), at(4)).await);
    assert!(!finish(store, &job, "a", Ended::Done("{}"), at(4)).await);
    assert_eq!(state(store, "once").await, ("done".to_owned(), "{}".to_owned()));
    enqueue(store, "once", "fourth", at(5)).await;
    let job = claim(store, "b", at(6)).await.unwrap();
    assert_eq!((job.payload.as_str(), job.attempt), ("fourth", 1));
    assert!(finish(store, &job, "b", Ended::Done("{}"), at(7)).await);
}

pub async fn one_of_many_claimers_gets_it(store: &Store) {
    enqueue(store, "wanted", "", at(10)).await;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let database = store.database().clone();
            tokio::spawn(
                async move { jobs::claim(&database, &format!("w{number}"), at(11), LEASE_SECONDS).await },
            )
        })
        .collect();
    let mut got = Vec::new();
    for (task, number) in tasks.into_iter().zip(0..) {
        got.extend(task.await.unwrap().unwrap().map(|job| (format!("w{number}"), job)));
    }
    assert_eq!(got.len(), 1);
    let (owner, job) = &got[0];
    assert!(finish(store, job, owner, Ended::Done(""), at(12)).await);
}

pub async fn an_expired_lease_goes_to_another(store: &Store) {
    enqueue(store, "left", "", at(20)).await;
    let first = claim(store, "a", at(20)).await.unwrap();
    assert_eq!(claim(store, "b", at(20 + LEASE_SECONDS)).await, None);
    let second = claim(store, "b", at(21 + LEASE_SECONDS)).await.unwrap();
    assert_eq!(second.attempt, 2);
    assert!(!finish(store, &first, "a", Ended::Done("stale"), at(90)).await);
    // The same worker's earlier try is stale as well.
    let third = claim(store, "b", at(90 + 2 * LEASE_SECONDS)).await.unwrap();
    assert!(!finish(store, &second, "b", Ended::Done("stale"), at(220)).await);
    assert!(finish(store, &third, "b", Ended::Done("fresh"), at(220)).await);
    assert_eq!(state(store, "left").await.1, "fresh");
}

pub async fn given_up_after_the_last_try(store: &Store) {
    enqueue(store, "hopeless", "", at(300)).await;
    for attempt in 1..=jobs::MAX_ATTEMPTS {
        let job = claim(store, "a", at(301)).await.unwrap();
        assert_eq!(job.attempt, i64::from(attempt));
        assert!(finish(store, &job, "a", Ended::Failed("broken"), at(302)).await);
    }
    assert_eq!(claim(store, "a", at(303)).await, None);
    assert_eq!(state(store, "hopeless").await, ("failed".to_owned(), "broken".to_owned()));
}

pub async fn a_job_whose_last_worker_vanished_can_be_queued_again(store: &Store) {
    enqueue(store, "vanished", "", at(1000)).await;
    for attempt in 0..i64::from(jobs::MAX_ATTEMPTS) {
        assert!(claim(store, "a", at(1000 + attempt * 100)).await.is_some());
    }
    assert_eq!(claim(store, "b", at(2000)).await, None);
    enqueue(store, "vanished", "again", at(2001)).await;
    let job = claim(store, "b", at(2002)).await.unwrap();
    assert_eq!((job.payload.as_str(), job.attempt), ("again", 1));
    assert!(finish(store, &job, "b", Ended::Done(""), at(2003)).await);
}

pub async fn generations_advance(store: &Store) {
    let tenant = &TenantId::local();
    assert_eq!(Generation::current(store.database(), tenant, "stacks").await.unwrap(), None);
    for number in 1..=3 {
        let blob = &Sha256::of(&[number]);
        let advanced: StoreResult<()> = store
            .database()
            .write(|tx| async move {
                Generation::advance(&tx, tenant, "stacks", blob, at(i64::from(number))).await
            })
            .await;
        advanced.unwrap();
        let now = Generation::current(store.database(), tenant, "stacks").await.unwrap().unwrap();
        assert_eq!((now.number, now.blob), (i64::from(number), *blob));
    }
    let other = "other".parse().unwrap();
    assert_eq!(Generation::current(store.database(), &other, "stacks").await.unwrap(), None);
}
