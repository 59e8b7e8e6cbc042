//! What was altered in the files is seen.

use assay_evidence::PrivateKey;
use assay_notary::{InclusionProof, Notary, NotaryError};

use crate::{NOW, accept, folder_locations, notary, tenant, verified_entries};

fn log_file(folder: &tempfile::TempDir, path: &str) -> std::path::PathBuf {
    folder.path().join("blobs/tenants/default/log").join(path)
}

async fn log_of_three(folder: &tempfile::TempDir) -> Notary {
    let notary = notary(&folder_locations(folder, None)).await;
    for number in 0..3 {
        accept(&notary, number).await.unwrap();
        notary.publish(&tenant(), NOW).await.unwrap();
    }
    assert_eq!(verified_entries(&notary).await.len(), 3);
    notary
}

#[tokio::test]
async fn another_tile_in_the_place_of_the_next_one_freezes_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let notary = log_of_three(&folder).await;
    std::fs::write(log_file(&folder, "tile/0/000.p/4"), [0; 128]).unwrap();
    accept(&notary, 3).await.unwrap();
    for _ in 0..2 {
        let error = notary.publish(&tenant(), NOW).await.unwrap_err();
        assert!(matches!(error, NotaryError::Frozen { .. }) && error.is_trust_broken(), "{error:?}");
    }
    std::fs::remove_file(log_file(&folder, "tile/0/000.p/4")).unwrap();
    let again = crate::notary(&folder_locations(&folder, None)).await;
    assert!(matches!(again.publish(&tenant(), NOW).await, Err(NotaryError::Frozen { .. })));
    assert!(matches!(accept(&again, 4).await, Err(NotaryError::Frozen { .. })));
}

#[tokio::test]
async fn an_altered_envelope_tile_or_head_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let notary = log_of_three(&folder).await;
    let digest = accept(&notary, 0).await.unwrap();
    let envelope = notary.store().blobs().local_file(&tenant(), &digest).await.unwrap();
    let head = log_file(&folder, "heads/00000000000000000001");
    for path in [envelope, head, log_file(&folder, "tile/0/000.p/3"), log_file(&folder, "checkpoint")] {
        let bytes = std::fs::read(&path).unwrap();
        let mut altered = bytes.clone();
        altered[20] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let report = notary.verify_log(&tenant()).await.unwrap();
        assert!(!report.verified && !report.problems.is_empty(), "{}", path.display());
        std::fs::write(&path, bytes).unwrap();
        assert!(notary.verify_log(&tenant()).await.unwrap().verified);
    }
}

#[tokio::test]
async fn a_proof_with_any_altered_field_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let notary = log_of_three(&folder).await;
    let digest = accept(&notary, 1).await.unwrap();
    let other = accept(&notary, 2).await.unwrap();
    let (proof, other) =
        (notary.prove(&tenant(), &digest).await.unwrap(), notary.prove(&tenant(), &other).await.unwrap());
    let key = PrivateKey::from_seed(&[5; 32]).public();
    proof.verify(&key).unwrap();
    assert!(proof.verify(&PrivateKey::from_seed(&[6; 32]).public()).is_err());
    let altered: [fn(&mut InclusionProof, &InclusionProof); 8] = [
        |proof, other| proof.statement = other.statement,
        |proof, other| proof.envelope.clone_from(&other.envelope),
        |proof, other| proof.leaf.clone_from(&other.leaf),
        |proof, _| proof.index += 1,
        |proof, _| proof.index = u64::MAX,
        |proof, _| proof.path.reverse(),
        |proof, _| drop(proof.path.pop()),
        |proof, _| proof.checkpoint = proof.checkpoint.replacen("\n3\n", "\n4\n", 1),
    ];
    for (alter, number) in altered.into_iter().zip(0..) {
        let mut changed = proof.clone();
        alter(&mut changed, &other);
        assert!(changed.verify(&key).is_err(), "alteration {number}");
    }
}
