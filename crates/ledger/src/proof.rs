//! Checking proofs without the tree (RFC 9162 sections 2.1.3.2 and 2.1.4.2).

use crate::tree::{Hash, node_hash};

/// The longest proof that can be right: one hash for each bit of a size, and one more.
const MAX_PROOF_HASHES: usize = 65;

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
    /// The proof does not have the form that its sizes ask for.
    #[error("the proof does not fit the tree's sizes")]
    Malformed,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// Checks that `leaf` is at `index` of the tree of `size` with `root`.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size || proof.len() > MAX_PROOF_HASHES {
        return Err(ProofError::Malformed);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Malformed);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Malformed);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Checks that the tree of `size` with `root` extends the tree of `old` with `old_root`.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > size || proof.len() > MAX_PROOF_HASHES {
        return Err(ProofError::Malformed);
    }
    if old == size || old == 0 {
        let same = old == 0 || old_root == root;
        return match (proof.is_empty(), same) {
            (false, _) => Err(ProofError::Malformed),
            (true, false) => Err(ProofError::WrongRoot),
            (true, true) => Ok(()),
        };
    }
    let mut hashes = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { hashes.next().ok_or(ProofError::Malformed)? };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut from, mut to) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError::Malformed);
        }
        if node & 1 == 1 || node == last {
            from = node_hash(hash, &from);
            to = node_hash(hash, &to);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            to = node_hash(&to, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Malformed);
    }
    if from == *old_root && to == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}
