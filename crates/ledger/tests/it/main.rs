//! The tree against published vectors and against the definition of RFC 6962 written out plainly.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod golden;

use std::collections::BTreeMap;

use assay_ledger::{
    Hash, TileId, Tree, TreeError, decode_entries, decode_tile, empty_root, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::{ProptestConfig, any, proptest};

/// Leaf inputs and roots of certificate-transparency's reference tests (`merkle_tree_test`).
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// MTH of RFC 6962 section 2.1, word for word.
fn plain_root(leaves: &[Vec<u8>]) -> Hash {
    match leaves.len() {
        0 => empty_root(),
        1 => leaf_hash(&leaves[0]),
        n => {
            let k = n.next_power_of_two() / 2;
            node_hash(&plain_root(&leaves[..k]), &plain_root(&leaves[k..]))
        }
    }
}

/// A log kept as files, grown in steps, read back through tiles alone.
#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn hashes(&self, tile: &TileId) -> Result<Vec<Hash>, TreeError> {
        let missing = || TreeError::MissingTile(tile.path());
        let bytes = self.0.get(&tile.path()).ok_or_else(missing)?;
        decode_tile(bytes, tile.width()).ok_or_else(missing)
    }

    fn append(&mut self, size: u64, leaves: &[Vec<u8>]) -> Tree {
        let mut tree = Tree::open(size, |tile| self.hashes(tile)).unwrap();
        let width = (size % 256) as usize;
        let head = match width {
            0 => Vec::new(),
            _ => decode_entries(&self.0[&TileId::entries_path(size / 256, width)]).unwrap(),
        };
        for file in tree.append(&head, leaves).unwrap() {
            let before = self.0.insert(file.path.clone(), file.bytes.clone());
            assert!(before.is_none_or(|before| before == file.bytes), "{} changed", file.path);
        }
        tree
    }
}

#[test]
fn published_roots() {
    let leaves: Vec<Vec<u8>> = LEAVES.iter().map(|text| hex::decode(text).unwrap()).collect();
    let mut files = Files::default();
    for (size, root) in (0..).zip(ROOTS) {
        let tree = files.append(size, &leaves[size as usize..=size as usize]);
        assert_eq!(hex::encode(tree.root().unwrap()), root);
    }
}

#[test]
fn grows_across_tile_borders_in_any_steps() {
    let leaves: Vec<Vec<u8>> = (0..70_000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut files = Files::default();
    let mut size = 0;
    for step in [1, 254, 1, 1, 255, 256, 1000, 63_000, 5_000, 231] {
        let tree = files.append(size as u64, &leaves[size..size + step]);
        size += step;
        assert_eq!(tree.root().unwrap(), plain_root(&leaves[..size]), "at {size}");
    }
    let size = size as u64;
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let mut tree = Tree::open(size, |tile| files.hashes(tile)).unwrap();
        for tile in Tree::tiles_towards(index, size) {
            tree.add_tile(&tile, &files.hashes(&tile).unwrap()).unwrap();
        }
        let proof = tree.inclusion_proof(index, size).unwrap();
        let leaf = leaf_hash(&leaves[index as usize]);
        assert_eq!(verify_inclusion(index, size, &leaf, &proof, &tree.root().unwrap()), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn proofs_hold_and_changed_ones_do_not(size in 1u64..600, a in any::<u64>(), b in any::<u64>(), bit in 0usize..256) {
        let leaves: Vec<Vec<u8>> = (0..size as u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let mut files = Files::default();
        let tree = files.append(0, &leaves);
        let root = tree.root().unwrap();
        let (index, old) = (a % size, b % size + 1);
        let leaf = leaf_hash(&leaves[index as usize]);
        let mut proof = tree.inclusion_proof(index, size).unwrap();
        assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root), Ok(()));
        if let Some(hash) = proof.first_mut() {
            hash[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_inclusion(index, size, &leaf, &proof, &root).is_err());
        }
        let old_root = plain_root(&leaves[..old as usize]);
        assert_eq!(tree.root_at(old).unwrap(), old_root);
        let mut proof = tree.consistency_proof(old, size).unwrap();
        assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
        if let Some(hash) = proof.last_mut() {
            hash[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_consistency(old, &old_root, size, &root, &proof).is_err());
        }
    }
}
