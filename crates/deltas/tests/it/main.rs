//! The catalogue over both databases: tenants, nodes, crashes, versions.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod crash;
mod given_up;
mod suite;

use assay_deltas::Deltas;
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Locations, Store};
use assay_testkit::{Postgres, S3, start_or_skip};

pub fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub fn now() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000)
}

pub async fn open(locations: &Locations) -> (Store, Deltas) {
    let store = Store::open(locations, &[assay_deltas::MIGRATIONS]).await.unwrap();
    (store.clone(), Deltas::new(store))
}

/// A WebAssembly module of `count` functions; each returns a number, and the numbers begin at `first`.
/// Written by hand after the specification (binary format, version 1), so that no tool is needed.
pub fn module(first: u32, count: u32) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, body: Vec<u8>| {
        bytes.push(id);
        bytes.extend(number(body.len() as u32));
        bytes.extend(body);
    };
    section(1, vec![1, 0x60, 0, 1, 0x7f]);
    let mut functions = number(count);
    functions.resize(functions.len() + count as usize, 0);
    section(3, functions);
    let mut code = number(count);
    for value in first..first + count {
        let mut body = vec![0, 0x41];
        body.extend(signed(value));
        body.push(0x0b);
        code.extend(number(body.len() as u32));
        code.extend(body);
    }
    section(10, code);
    bytes
}

/// Unsigned LEB128.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Signed LEB128 of a number that is not negative.
fn signed(value: u32) -> Vec<u8> {
    let mut bytes = number(value);
    if bytes.last().unwrap() & 0x40 != 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// T1 of the function that returns `value`.
pub fn meaning(value: u32) -> Sha256 {
    let index = assay_delta::Index::build(&module(value, 1)).unwrap();
    index.functions().next().unwrap().meaning()
}

async fn run(postgres: Option<&Postgres>, s3: Option<&S3>) {
    for scenario in 0..suite::SCENARIOS {
        let folder = tempfile::tempdir().unwrap();
        let (database, blobs) = (postgres.map(Postgres::new_database), s3.map(S3::new_bucket));
        let locations = Locations { data: folder.path().to_owned(), database, blobs };
        suite::scenario(scenario, &locations).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_folder() {
    run(None, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_and_s3() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    let Some(s3) = start_or_skip("s3", S3::start) else { return };
    run(Some(&postgres), Some(&s3)).await;
}
