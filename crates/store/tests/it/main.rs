//! One suite for every combination of database and blob store, and what happens when one of them fails.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod blobs;
mod faults;
mod jobs;
mod migrations;
mod writes;

use assay_store::{Locations, Migration, Store};
use assay_testkit::{Postgres, S3, start_or_skip};

/// The schema of a room that exists for these tests only.
pub const SCHEMA: &[Migration] = &[Migration {
    id: "20261123T990000_suite",
    statements: &[
        "CREATE TABLE counters (name {TEXT} PRIMARY KEY, value BIGINT NOT NULL)",
        "CREATE TABLE kinds (id BIGINT PRIMARY KEY, n BIGINT, t {TEXT}, b {BYTES}, d {DOUBLE})",
    ],
}];

/// Where one test keeps its state.
pub struct Place {
    pub locations: Locations,
    _folder: tempfile::TempDir,
}

impl Place {
    pub fn new(postgres: Option<&Postgres>, s3: Option<&S3>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, blobs) = (postgres.map(Postgres::new_database), s3.map(S3::new_bucket));
        Self { locations: Locations { data: folder.path().to_owned(), database, blobs }, _folder: folder }
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.locations, &[SCHEMA]).await.unwrap()
    }
}

async fn suite(postgres: Option<&Postgres>, s3: Option<&S3>) {
    migrations::run_twice_and_side_by_side(&Place::new(postgres, s3)).await;
    migrations::expand_over_the_previous_version(&Place::new(postgres, s3)).await;
    let place = Place::new(postgres, s3);
    let store = place.open().await;
    writes::commit_or_roll_back(&store).await;
    writes::no_update_is_lost(&store).await;
    writes::values_round_trip(&store).await;
    writes::several_are_asked_at_once(&store).await;
    writes::text_is_ordered_by_bytes(&store).await;
    jobs::queued_once(&store).await;
    jobs::one_of_many_claimers_gets_it(&store).await;
    jobs::an_expired_lease_goes_to_another(&store).await;
    jobs::given_up_after_the_last_try(&store).await;
    jobs::a_job_whose_last_worker_vanished_can_be_queued_again(&store).await;
    jobs::generations_advance(&store).await;
    blobs::created_once(&store).await;
    blobs::listed_in_order_and_by_tenant(&store).await;
    blobs::content_is_checked(&store, &place).await;
    store.database().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_folder() {
    suite(None, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_s3() {
    let Some(s3) = start_or_skip("s3", S3::start) else { return };
    suite(None, Some(&s3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_and_folder() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    suite(Some(&postgres), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_and_s3() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    let Some(s3) = start_or_skip("s3", S3::start) else { return };
    suite(Some(&postgres), Some(&s3)).await;
}
