//! Checkpoints (C2SP tlog-checkpoint) as signed notes (C2SP signed-note), Ed25519 signatures.

use assay_evidence::{KeyError, PrivateKey, PublicKey, Sha256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::tree::Hash;

/// The largest checkpoint that is read, in bytes.
const MAX_CHECKPOINT_BYTES: usize = 64 << 10;
/// The most signature lines that are looked at (C2SP signed-note allows a limit).
const MAX_SIGNATURES: usize = 64;
/// The signature type byte of Ed25519.
const ED25519: u8 = 0x01;

/// Why a checkpoint is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not the text of a checkpoint.
    #[error("not a checkpoint: {detail}")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// The log's own signature is missing.
    #[error("the checkpoint is not signed by `{name}`")]
    Unsigned {
        /// The key that was looked for.
        name: String,
    },
    /// The log's own signature is wrong.
    #[error(transparent)]
    Signature(#[from] KeyError),
}

/// What a checkpoint says: `size` leaves under `root` in the log named `origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's unique name, a URL without a scheme.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// The root hash.
    pub root: Hash,
}

/// A note key: the public key under the name that stands on the signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: PublicKey,
}

impl NoteKey {
    /// A key that signs as `name`; the name has no space and no plus sign.
    pub fn new(name: impl Into<String>, key: PublicKey) -> Result<Self, CheckpointError> {
        let name = name.into();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(CheckpointError::Malformed { detail: "a key name has no white space and no `+`" });
        }
        Ok(Self { name, key })
    }

    /// The four bytes that stand before a signature: SHA-256(name || LF || type || key).
    pub fn hash(&self) -> [u8; 4] {
        let mut bytes = format!("{}\n", self.name).into_bytes();
        bytes.push(ED25519);
        bytes.extend_from_slice(self.key.as_bytes());
        let digest = Sha256::of(&bytes);
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }

    /// The vkey text that other programs read: `name+hash+base64(type || key)`.
    pub fn vkey(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        format!("{}+{:08x}+{}", self.name, u32::from_be_bytes(self.hash()), STANDARD.encode(bytes))
    }
}

impl Checkpoint {
    /// The text that is signed.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The signed note; the origin is the key's name.
    pub fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, CheckpointError> {
        let name = NoteKey::new(self.origin.clone(), key.public())?;
        let body = self.body();
        let mut signature = name.hash().to_vec();
        signature.extend_from_slice(&key.sign(body.as_bytes()));
        Ok(format!("{body}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature)).into_bytes())
    }

    /// Reads a note and verifies the signature of `key`, whose name must be the origin.
    /// Signatures of others are passed over, as C2SP signed-note asks.
    pub fn open(note: &[u8], key: &NoteKey) -> Result<Self, CheckpointError> {
        let (body, signatures) = split(note)?;
        let checkpoint = Self::parse(body)?;
        if checkpoint.origin != key.name {
            return Err(CheckpointError::Unsigned { name: key.name.clone() });
        }
        let mut found = false;
        for line in signatures.lines().take(MAX_SIGNATURES) {
            let Some((name, signature)) =
                line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '))
            else {
                return Err(CheckpointError::Malformed { detail: "a signature line is broken" });
            };
            let signature = STANDARD
                .decode(signature)
                .map_err(|_| CheckpointError::Malformed { detail: "a signature is not base64" })?;
            if name == key.name && signature.get(..4) == Some(&key.hash()) {
                key.key.verify(body.as_bytes(), &signature[4..])?;
                found = true;
            }
        }
        if found { Ok(checkpoint) } else { Err(CheckpointError::Unsigned { name: key.name.clone() }) }
    }

    fn parse(body: &str) -> Result<Self, CheckpointError> {
        let malformed = |detail| CheckpointError::Malformed { detail };
        let mut lines = body.lines();
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(malformed("no origin"))?.to_owned();
        let size_text = lines.next().ok_or(malformed("no size"))?;
        let size: u64 = size_text.parse().map_err(|_| malformed("the size is no number"))?;
        if size.to_string() != size_text {
            return Err(malformed("the size has leading zeros or a sign"));
        }
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok()).ok_or(malformed("no root"))?;
        let root = root.try_into().map_err(|_| malformed("a root has 32 bytes"))?;
        Ok(Self { origin, size, root })
    }
}

fn split(note: &[u8]) -> Result<(&str, &str), CheckpointError> {
    let malformed = |detail| CheckpointError::Malformed { detail };
    if note.len() > MAX_CHECKPOINT_BYTES {
        return Err(malformed("more than 64 KiB"));
    }
    let text = std::str::from_utf8(note).map_err(|_| malformed("not UTF-8"))?;
    if text.chars().any(|c| c < ' ' && c != '\n') {
        return Err(malformed("a control character"));
    }
    let at = text.rfind("\n\n").ok_or(malformed("no empty line before the signatures"))?;
    let (body, signatures) = (&text[..=at], &text[at + 2..]);
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(malformed("no signature line"));
    }
    Ok((body, signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_note_vector() {
        // golang.org/x/mod/sumdb/note package documentation: this verifier key and signed note.
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let public = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let key = NoteKey::new("PeterNeumann", PublicKey::from_bytes(&public[1..]).unwrap()).unwrap();
        assert_eq!(key.vkey(), vkey);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = STANDARD.decode(line).unwrap();
        assert_eq!(signature[..4], key.hash());
        assert_eq!(key.key.verify(text.as_bytes(), &signature[4..]), Ok(()));
    }

    #[test]
    fn round_trip_and_refusals() {
        let private = PrivateKey::from_seed(&[9; 32]);
        let checkpoint = Checkpoint { origin: "log.example/t".into(), size: 7, root: [5; 32] };
        let note = checkpoint.sign(&private).unwrap();
        let key = NoteKey::new("log.example/t", private.public()).unwrap();
        assert_eq!(Checkpoint::open(&note, &key), Ok(checkpoint));
        let text = String::from_utf8(note).unwrap();
        assert!(Checkpoint::open(text.replacen("\n7\n", "\n8\n", 1).as_bytes(), &key).is_err());
        assert!(Checkpoint::open(text.replacen("\n7\n", "\n07\n", 1).as_bytes(), &key).is_err());
        let other = NoteKey::new("log.example/t", PrivateKey::from_seed(&[8; 32]).public()).unwrap();
        assert!(matches!(Checkpoint::open(text.as_bytes(), &other), Err(CheckpointError::Unsigned { .. })));
    }
}
