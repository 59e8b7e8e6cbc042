//! `kill -9` in the middle of a merge.

use std::path::Path;
use std::process::Command;

use assay_access::Principal;
use assay_deltas::MergeStep;
use assay_store::Locations;

use crate::suite::{add, artifacts};
use crate::{meaning, module, now, open, tenant};

const FOLDER: &str = "ASSAY_TEST_DELTAS_FOLDER";
const STEP: &str = "ASSAY_TEST_DELTAS_STEP";
const STEPS: [MergeStep; 4] = [MergeStep::Read, MergeStep::Stored, MergeStep::Manifest, MergeStep::Moved];

fn locations(folder: &Path) -> Locations {
    Locations { data: folder.to_owned(), database: None, blobs: None }
}

/// The process that dies; it does nothing unless the test below starts it.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let step = STEPS[std::env::var(STEP).unwrap().parse::<usize>().unwrap()];
    let (_, deltas) = open(&locations(Path::new(&folder))).await;
    let die = |at: MergeStep| {
        if at == step {
            assay_testkit::kill_self();
        }
    };
    deltas.merge(&tenant("one"), now(), &die).await.unwrap();
    panic!("the merge went on after {step:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_merge_changes_no_answer() {
    for (step, killed_at) in STEPS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Principal::owner(tenant("one"));
        let mut all = Vec::new();
        {
            let (store, deltas) = open(&locations(folder.path())).await;
            for number in 0..12 {
                all.push(add(&store, &deltas, &owner, module(300 + number, 15)).await);
            }
            store.database().close().await;
        }
        all.sort_unstable();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(STEP, step.to_string())
            .output()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
        assert_eq!(signal, Some(9), "{}", String::from_utf8_lossy(&child.stderr));
        let (_, deltas) = open(&locations(folder.path())).await;
        assert_eq!(artifacts(&deltas, &owner, &meaning(311)).await, all, "after {killed_at:?}");
        deltas.maintain(owner.tenant(), now()).await.unwrap();
        assert!(!deltas.merge(owner.tenant(), now(), &|_| {}).await.unwrap(), "it was merged");
        assert_eq!(artifacts(&deltas, &owner, &meaning(311)).await, all);
    }
}
