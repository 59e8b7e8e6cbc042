use assay_evidence::{Sha256, TenantId};
use assay_store::{BlobKey, Created, Locations, Store, StoreError};

use crate::Place;

pub async fn created_once(store: &Store) {
    let (blobs, tenant) = (store.blobs(), &TenantId::local());
    let key = BlobKey::log(tenant, "tile/0/000");
    assert!(!blobs.exists(&key).await.unwrap());
    assert_eq!(blobs.get(&key).await.unwrap(), None);
    assert_eq!(blobs.create(&key, "one").await.unwrap(), Created::New);
    assert_eq!(blobs.create(&key, "one").await.unwrap(), Created::Same);
    assert!(matches!(blobs.create(&key, "two").await, Err(StoreError::Frozen { .. })));
    assert_eq!(blobs.get(&key).await.unwrap().unwrap(), "one");
    blobs.replace(&key, "three").await.unwrap();
    assert_eq!(blobs.get(&key).await.unwrap().unwrap(), "three");
    let (left, right) = (BlobKey::log(tenant, "race"), BlobKey::log(tenant, "race"));
    let (left, right) = tokio::join!(blobs.create(&left, "left"), blobs.create(&right, "right"));
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
}

pub async fn listed_in_order_and_by_tenant(store: &Store) {
    let (ours, theirs): (TenantId, TenantId) = ("ours".parse().unwrap(), "ours-too".parse().unwrap());
    for name in ["heads/2", "heads/10", "heads/1", "headsman/0"] {
        store.blobs().create(&BlobKey::log(&ours, name), "x").await.unwrap();
    }
    store.blobs().create(&BlobKey::log(&theirs, "heads/9"), "x").await.unwrap();
    let listed = store.blobs().list(&BlobKey::log(&ours, "heads")).await.unwrap();
    let expected = ["heads/1", "heads/10", "heads/2"].map(|name| format!("tenants/ours/log/{name}"));
    assert_eq!(listed, expected);
    let digest = store.blobs().put_content(&ours, "ours").await.unwrap();
    assert!(matches!(store.blobs().get_content(&theirs, &digest).await, Err(StoreError::Missing { .. })));
}

pub async fn content_is_checked(store: &Store, place: &Place) {
    let (blobs, tenant) = (store.blobs(), &TenantId::local());
    let digest = blobs.put_content(tenant, "content").await.unwrap();
    assert_eq!(digest, Sha256::of(b"content"));
    assert_eq!(blobs.put_content(tenant, "content").await.unwrap(), digest);
    assert_eq!(blobs.get_content(tenant, &digest).await.unwrap(), "content");
    for _ in 0..2 {
        let file = blobs.local_file(tenant, &digest).await.unwrap();
        assert_eq!(std::fs::read(file).unwrap(), b"content");
    }
    let absent = Sha256::of(b"absent");
    assert!(matches!(blobs.local_file(tenant, &absent).await, Err(StoreError::Missing { .. })));
    if place.locations.blobs.is_none() {
        let file = blobs.local_file(tenant, &digest).await.unwrap();
        std::fs::write(file, b"c0ntent").unwrap();
        let local = blobs.local_file(tenant, &digest).await;
        assert!(matches!(local, Err(StoreError::Damaged { .. })), "what was checked once is checked again");
    } else {
        blobs.replace(&BlobKey::blob(tenant, &digest), "c0ntent").await.unwrap();
    }
    assert!(matches!(blobs.get_content(tenant, &digest).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(blobs.put_content(tenant, "content").await, Err(StoreError::Frozen { .. })));
}

#[tokio::test]
async fn a_secret_in_the_address_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["secret_access_key=hush", "token=hush", "no_such_option=hush"] {
        let blobs = Some(format!("s3://bucket/prefix?{option}"));
        let locations = Locations { data: folder.path().to_owned(), database: None, blobs };
        let error = Store::open(&locations, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Address { .. }));
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
