//! Leaf v1: a small commitment. The envelope lies beside the log, so that redaction deletes a
//! blob and every proof still holds.

use assay_evidence::{JsonError, KeyId, Sha256, json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tile::MAX_ENTRY_BYTES;

/// The leaf format's version.
pub const LEAF_VERSION: u32 = 1;

/// A tenant's secret under which subjects are committed to; `Debug` hides it.
#[derive(Clone)]
pub struct TenantSecret(zeroize::Zeroizing<[u8; 32]>);

impl TenantSecret {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// Commits to one subject: HMAC-SHA-256(secret, "assay subject v1" || digest).
    pub fn commit(&self, subject: &Sha256) -> SubjectCommitment {
        let mut mac =
            Hmac::<sha2::Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes any key length");
        mac.update(b"assay subject v1");
        mac.update(subject.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        SubjectCommitment(Sha256::from_bytes(bytes).hex())
    }

    /// Another secret for another purpose: HMAC-SHA-256(secret, "assay derived v1" || purpose). It says
    /// nothing about the commitments.
    pub fn derive(&self, purpose: &str) -> zeroize::Zeroizing<[u8; 32]> {
        let mut mac =
            Hmac::<sha2::Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes any key length");
        mac.update(b"assay derived v1");
        mac.update(purpose.as_bytes());
        zeroize::Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl std::fmt::Debug for TenantSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantSecret(..)")
    }
}

/// A commitment to a subject, 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SubjectCommitment(String);

/// Why bytes are not a leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Not the canonical JSON of a leaf.
    #[error("not a leaf: {0}")]
    Json(#[from] JsonError),
    /// Not in canonical form, so that the same content could have two hashes.
    #[error("the leaf is not in its canonical form")]
    NotCanonical,
    /// A version that is not known here.
    #[error("leaf version {version} is not known (this is {LEAF_VERSION})")]
    Version {
        /// The version found.
        version: u32,
    },
    /// Past the size that an entry bundle can hold.
    #[error("the leaf has {bytes} bytes, at most {MAX_ENTRY_BYTES} fit an entry bundle")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Leaf v1. Frozen: golden vectors stand in `schemas/leaf-v1.golden.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leaf {
    /// [`LEAF_VERSION`].
    pub v: u32,
    /// Commitments to the statement's subjects, sorted.
    pub subjects: Vec<SubjectCommitment>,
    /// Digest of the envelope's raw bytes.
    pub envelope: Sha256,
    /// The predicate type.
    pub predicate: String,
    /// The key that signed the envelope.
    pub key: KeyId,
    /// When the statement was accepted, microseconds since 1970 UTC.
    pub time_micros: u64,
}

impl Leaf {
    /// The leaf's bytes: canonical JSON (RFC 8785).
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = json::canonical(self)?;
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(LeafError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a leaf; refuses what is not in canonical form.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let leaf: Self = json::from_strict(bytes)?;
        if leaf.v != LEAF_VERSION {
            return Err(LeafError::Version { version: leaf.v });
        }
        if leaf.to_bytes()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }
}
