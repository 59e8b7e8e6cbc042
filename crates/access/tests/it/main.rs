//! Tokens over a real store.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

use assay_access::{AccessError, MAX_TOKEN_DAYS, MIGRATIONS, Permission, Principal, Scope, Tokens};
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Locations, Store, query};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

async fn open(folder: &tempfile::TempDir) -> (Store, Tokens) {
    let locations = Locations { data: folder.path().to_owned(), database: None, blobs: None };
    let store = Store::open(&locations, &[MIGRATIONS]).await.unwrap();
    (store.clone(), Tokens::new(store))
}

fn owner(tenant: &str) -> Principal {
    Principal::owner(tenant.parse::<TenantId>().unwrap())
}

#[tokio::test]
async fn a_token_is_stored_as_its_digest_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tokens) = open(&folder).await;
    let made = tokens.create(&owner("a"), "ci", Scope::Read, 1, NOW).await.unwrap();
    let row = store.database().first(query("SELECT id, name, hash FROM tokens")).await.unwrap().unwrap();
    assert_eq!(row.text("hash").unwrap(), Sha256::of(made.token.as_bytes()).to_string());
    store.database().close().await;
    let secret = made.token.trim_start_matches("assay_").as_bytes();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
    }
    assert!(!format!("{made:?}").contains(&made.token));
}

#[tokio::test]
async fn a_token_ends_with_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tokens) = open(&folder).await;
    for days in [0, MAX_TOKEN_DAYS + 1, u32::MAX] {
        let refused = tokens.create(&owner("a"), "ci", Scope::Read, days, NOW).await;
        assert!(matches!(refused, Err(AccessError::Life { .. })));
    }
    assert!(!tokens.any(NOW).await.unwrap());
    for days in [1, MAX_TOKEN_DAYS] {
        let made = tokens.create(&owner("a"), "ci", Scope::Read, days, NOW).await.unwrap();
        let end = i64::from(days) * 86_400;
        assert_eq!(made.expires_at, NOW.plus_seconds(end));
        assert!(tokens.any(NOW.plus_seconds(end - 1)).await.unwrap());
        assert!(tokens.authenticate(&made.token, NOW.plus_seconds(end - 1)).await.is_ok());
        assert!(tokens.authenticate(&made.token, NOW.plus_seconds(end)).await.is_err());
    }
    assert!(!tokens.any(NOW.plus_seconds(i64::from(MAX_TOKEN_DAYS) * 86_400)).await.unwrap());
}

#[tokio::test]
async fn revoked_expired_and_unknown_look_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tokens) = open(&folder).await;
    let revoked = tokens.create(&owner("a"), "r", Scope::Write, 1, NOW).await.unwrap();
    let expired = tokens.create(&owner("a"), "e", Scope::Write, 1, NOW).await.unwrap();
    tokens.revoke(&owner("a"), &revoked.id, NOW).await.unwrap();
    let again = tokens.revoke(&owner("a"), &revoked.id, NOW).await;
    assert!(matches!(again, Err(AccessError::UnknownToken { .. })));
    let later = NOW.plus_seconds(86_401);
    let answers = [
        tokens.authenticate(&revoked.token, NOW).await,
        tokens.authenticate(&expired.token, later).await,
        tokens.authenticate("assay_unknown", NOW).await,
        tokens.authenticate("", NOW).await,
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, AccessError::BadToken));
        assert_eq!(error.to_string(), "the token is not valid");
    }
}

#[tokio::test]
async fn a_token_stays_in_its_tenant_and_scope() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tokens) = open(&folder).await;
    let read = tokens.create(&owner("a"), "r", Scope::Read, 1, NOW).await.unwrap();
    let write = tokens.create(&owner("b"), "w", Scope::Write, 1, NOW).await.unwrap();
    let reader = tokens.authenticate(&read.token, NOW).await.unwrap();
    let writer = tokens.authenticate(&write.token, NOW).await.unwrap();
    assert_eq!((reader.tenant().as_str(), reader.name()), ("a", "r"));
    assert_eq!((writer.tenant().as_str(), writer.name()), ("b", "w"));
    assert!(reader.require(Permission::ReadEvidence).is_ok());
    assert!(reader.require(Permission::AddEvidence).is_err());
    assert!(reader.require(Permission::Verify).is_err());
    assert!(writer.require(Permission::Verify).is_ok());
    for principal in [&reader, &writer] {
        let made = tokens.create(principal, "x", Scope::Read, 1, NOW).await;
        assert!(matches!(made, Err(AccessError::Denied(_))));
        assert!(matches!(tokens.list(principal).await, Err(AccessError::Denied(_))));
        assert!(matches!(tokens.revoke(principal, &read.id, NOW).await, Err(AccessError::Denied(_))));
    }
    let listed = tokens.list(&owner("a")).await.unwrap();
    assert_eq!(listed.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), [read.id.as_str()]);
    let foreign = tokens.revoke(&owner("a"), &write.id, NOW).await;
    assert!(matches!(foreign, Err(AccessError::UnknownToken { .. })));
    assert!(tokens.authenticate(&write.token, NOW).await.is_ok());
}
