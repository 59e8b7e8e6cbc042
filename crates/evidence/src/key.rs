//! Key types. Ed25519 (RFC 8032) is verified strictly: small-order points and non-canonical
//! encodings are refused, so that every node gives the same answer on the same bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::Sha256;

/// Names a key: the digest of its algorithm name and public bytes.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key or a signature is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The text is no key of a known form.
    #[error("not a key: {detail}")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// The signature does not fit the key and the bytes.
    #[error("the signature by key {key} does not verify")]
    BadSignature {
        /// The key that was tried.
        key: KeyId,
    },
}

/// A public key, written `ed25519:<base64 of 32 bytes>`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Verifies `signature` over `message` strictly.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let refuse = || KeyError::BadSignature { key: self.id() };
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| refuse())?;
        self.0.verify_strict(message, &signature).map_err(|_| refuse())
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        let mut named = b"ed25519:".to_vec();
        named.extend_from_slice(self.0.as_bytes());
        KeyId(Sha256::of(&named).to_string())
    }

    /// The 32 public bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Reads 32 public bytes; refuses points of small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] =
            bytes.try_into().map_err(|_| KeyError::Malformed { detail: "an Ed25519 key has 32 bytes" })?;
        let key = VerifyingKey::from_bytes(bytes)
            .map_err(|_| KeyError::Malformed { detail: "the bytes are no point of the curve" })?;
        if key.is_weak() {
            return Err(KeyError::Malformed { detail: "the key is a point of small order" });
        }
        Ok(Self(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text
            .trim()
            .strip_prefix("ed25519:")
            .ok_or(KeyError::Malformed { detail: "a public key starts with `ed25519:`" })?;
        let bytes = STANDARD.decode(text).map_err(|_| KeyError::Malformed { detail: "not base64" })?;
        Self::from_bytes(&bytes)
    }
}

/// A private key; its `Debug` shows the public half only.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Makes the key of a 32-byte seed, which the caller takes from the system's randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Signs `message`; 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The text that is kept in a key file: `assay-ed25519-private:<base64 of the seed>`.
    pub fn to_secret_text(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(format!("{SECRET_PREFIX}{}\n", STANDARD.encode(self.0.to_bytes())))
    }

    /// Reads a key file's text.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let text = text
            .trim()
            .strip_prefix(SECRET_PREFIX)
            .ok_or(KeyError::Malformed { detail: "a private key starts with `assay-ed25519-private:`" })?;
        let bytes = zeroize::Zeroizing::new(
            STANDARD.decode(text).map_err(|_| KeyError::Malformed { detail: "not base64" })?,
        );
        let seed: &[u8; 32] =
            bytes.as_slice().try_into().map_err(|_| KeyError::Malformed { detail: "a seed has 32 bytes" })?;
        Ok(Self::from_seed(seed))
    }
}

const SECRET_PREFIX: &str = "assay-ed25519-private:";

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    #[test]
    fn rfc8032_test_2() {
        let seed: [u8; 32] =
            bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").try_into().unwrap();
        let key = PrivateKey::from_seed(&seed);
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.sign(&[0x72]).to_vec(), signature);
        assert_eq!(key.public().verify(&[0x72], &signature), Ok(()));
        assert!(key.public().verify(&[0x73], &signature).is_err());
    }

    #[test]
    fn small_order_keys_are_refused() {
        // "Taming the many EdDSAs" (Chalkias et al. 2020), vectors 0-1: a small-order public key.
        let key = bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa");
        assert!(PublicKey::from_bytes(&key).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let secret = STANDARD.encode([7; 32]);
        assert!(!format!("{key:?}").contains(&secret));
        let again = PrivateKey::from_secret_text(&key.to_secret_text()).unwrap();
        assert_eq!(again.public(), key.public());
    }
}
