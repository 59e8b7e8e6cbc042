//! `kill -9` between every two steps of the write path.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use assay_notary::Step;
use assay_store::Locations;
use assay_testkit::{Postgres, kill_self, start_or_skip};

use crate::{NOW, accept, folder_locations, notary, tenant, verified_entries};

const STEPS: [Step; 8] = [
    Step::Blob,
    Step::Commit,
    Step::Assign,
    Step::Tile,
    Step::Head,
    Step::Checkpoint,
    Step::Note,
    Step::Done,
];
/// At which meeting with its step the child dies.
const OCCURRENCES: [u32; 2] = [1, 2];
/// What the child accepts in each of its rounds.
const ROUND: u64 = 2;
const ROUNDS: u64 = 2;

/// The child: not a test of its own, it does something only when the tests below start it.
#[test]
fn child() {
    let Ok(step) = std::env::var("ASSAY_CRASH_STEP") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let database = std::env::var("ASSAY_CRASH_DATABASE").ok();
    let locations = Locations { data: variable("ASSAY_CRASH_DATA").into(), database, blobs: None };
    let occurrence: u32 = variable("ASSAY_CRASH_OCCURRENCE").parse().unwrap();
    let met = AtomicU32::new(0);
    let hook = move |now: Step| {
        if format!("{now:?}") == step && met.fetch_add(1, Ordering::SeqCst) + 1 == occurrence {
            kill_self();
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let notary = notary(&locations).await.with_step_hook(hook);
        for round in 0..ROUNDS {
            for number in 0..ROUND {
                let digest = accept(&notary, round * ROUND + number).await.unwrap();
                // Straight to the descriptor: what is printed here was acknowledged.
                let mut output = std::io::stdout().lock();
                writeln!(output, "\nacknowledged {digest}").unwrap();
                output.flush().unwrap();
            }
            notary.publish(&tenant(), NOW).await.unwrap();
        }
    });
}

/// Runs the child until it dies; what it acknowledged.
fn crash(locations: &Locations, step: Step, occurrence: u32) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--nocapture", "--test-threads=1"]);
    command
        .env("ASSAY_CRASH_STEP", format!("{step:?}"))
        .env("ASSAY_CRASH_OCCURRENCE", occurrence.to_string());
    command.env("ASSAY_CRASH_DATA", &locations.data);
    if let Some(database) = &locations.database {
        command.env("ASSAY_CRASH_DATABASE", database);
    }
    let ended = command.output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    assert_eq!(signal, Some(9), "{step:?}: {}", String::from_utf8_lossy(&ended.stderr));
    let output = String::from_utf8(ended.stdout).unwrap();
    output.lines().filter_map(|line| line.strip_prefix("acknowledged ")).map(str::to_owned).collect()
}

async fn nothing_is_lost_or_invented(locations: &Locations, step: Step, occurrence: u32) {
    let acknowledged = crash(locations, step, occurrence);
    let notary = notary(locations).await;
    let head = notary.publish(&tenant(), NOW).await.unwrap();
    let entries = verified_entries(&notary).await;
    let distinct: BTreeSet<&String> = entries.iter().collect();
    assert_eq!(distinct.len(), entries.len(), "{step:?} {occurrence}: a statement stands twice");
    for digest in &acknowledged {
        assert!(distinct.contains(digest), "{step:?} {occurrence}: {digest} is lost");
    }
    // No step lies between a commit and its being printed, so nothing else can be in the log.
    assert_eq!(entries.len(), acknowledged.len(), "{step:?} {occurrence}: something was invented");
    assert_eq!(notary.noted(&tenant()).await.unwrap(), Some((head.ordinal, head.size)));
    assert_eq!(notary.waiting(&tenant()).await.unwrap(), 0);
    // The same statements again change nothing; new ones go behind them.
    for number in 0..ROUND * ROUNDS {
        accept(&notary, number).await.unwrap();
    }
    notary.publish(&tenant(), NOW).await.unwrap();
    let after = verified_entries(&notary).await;
    assert_eq!(after[..entries.len()], entries);
    assert_eq!(after.len() as u64, ROUND * ROUNDS);
    notary.store().database().close().await;
}

async fn every_step(postgres: Option<&Postgres>) {
    for step in STEPS {
        for occurrence in OCCURRENCES {
            let folder = tempfile::tempdir().unwrap();
            let locations = folder_locations(&folder, postgres.map(Postgres::new_database));
            nothing_is_lost_or_invented(&locations, step, occurrence).await;
        }
    }
}

#[tokio::test]
async fn kill_between_every_two_steps_on_sqlite() {
    every_step(None).await;
}

#[tokio::test]
async fn kill_between_every_two_steps_on_postgresql() {
    let Some(postgres) = start_or_skip("postgresql", Postgres::start) else { return };
    every_step(Some(&postgres)).await;
}
