//! A patch as a signature: what a fix took away and what it brought, function by function.

use std::collections::BTreeMap;

use assay_binary::{Architecture, Toolchain};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diff::{Pairing, pairing};
use crate::index::{Index, IndexedFunction, NORMALISER_VERSION};

/// One of the two builds that a signature was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedBuild {
    /// The digest of the file.
    pub sha256: Sha256,
    /// What executes it.
    pub architecture: Architecture,
    /// The compiler of its main part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub toolchain: Option<Toolchain>,
}

/// One function on one side of the patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Its T1 hash without build noise.
    pub meaning: Sha256,
    /// How many instructions it has.
    pub instructions: u32,
    /// The distinct numbers of its instructions, sorted: they are found again in builds of one compiler.
    pub numbers: Vec<u32>,
    /// The features of its sketch (T2), sorted: they are found again across compilers.
    pub features: Vec<u32>,
}

/// What a patch did to one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchedFunction {
    /// Its name, where a file has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Before; none where the patch adds it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vulnerable: Option<Side>,
    /// After; none where the patch removes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fixed: Option<Side>,
}

/// A patch signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchSignature {
    /// The incident it is of.
    pub incident: String,
    /// The version of the normaliser that made it; another version cannot read it.
    pub normaliser_version: u32,
    /// The build that has the incident.
    pub vulnerable: SignedBuild,
    /// The build that does not.
    pub fixed: SignedBuild,
    /// What the patch did, the functions that say most first.
    pub functions: Vec<PatchedFunction>,
    /// How rare each feature and number of the functions is, in nats, among the functions of both
    /// builds.
    pub rarity: BTreeMap<u32, f32>,
}

/// Why no signature could be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The two builds do not differ in meaning.
    #[error("the two builds do not differ in what they do: nothing tells the fixed one from the other")]
    NothingChanged,
    /// A named function is not among the changed ones.
    #[error("`{name}` is not among the functions that changed")]
    NotChanged {
        /// The name.
        name: String,
    },
    /// The signature was made by another version of the normaliser.
    #[error("the signature is of normaliser version {found}, this program has {expected}")]
    OtherVersion {
        /// The signature's version.
        found: u32,
        /// This program's.
        expected: u32,
    },
}

/// Most functions of one signature.
const MAX_FUNCTIONS: usize = 256;

/// Makes the signature of the patch between two builds; `only` names the functions it is about, none
/// takes every changed one.
///
/// # Errors
/// [`SignatureError`]: nothing changed, or not that.
pub fn sign(
    incident: &str,
    vulnerable: &Index,
    fixed: &Index,
    only: &[String],
) -> Result<PatchSignature, SignatureError> {
    let pairing = pairing(vulnerable, fixed);
    let mut functions = patched(vulnerable, fixed, &pairing);
    if functions.is_empty() {
        return Err(SignatureError::NothingChanged);
    }
    for name in only {
        if !functions.iter().any(|function| function.name.as_ref() == Some(name)) {
            return Err(SignatureError::NotChanged { name: name.clone() });
        }
    }
    if !only.is_empty() {
        functions.retain(|function| function.name.as_ref().is_some_and(|name| only.contains(name)));
    }
    let rarity = rarity(vulnerable, fixed, &functions);
    functions.sort_by(|x, y| telling(y, &rarity).total_cmp(&telling(x, &rarity)));
    functions.truncate(MAX_FUNCTIONS);
    let build = |index: &Index| SignedBuild {
        sha256: index.artifact(),
        architecture: index.about.architecture.clone(),
        toolchain: index.toolchain().cloned(),
    };
    Ok(PatchSignature {
        incident: incident.to_owned(),
        normaliser_version: NORMALISER_VERSION,
        vulnerable: build(vulnerable),
        fixed: build(fixed),
        functions,
        rarity,
    })
}

fn patched(vulnerable: &Index, fixed: &Index, pairing: &Pairing) -> Vec<PatchedFunction> {
    let name = |function: IndexedFunction<'_>| function.is_named().then(|| function.name().to_owned());
    let changed = pairing.changed.iter().map(|&(x, y)| {
        let (before, after) = (vulnerable.function(x), fixed.function(y));
        PatchedFunction {
            name: name(after).or_else(|| name(before)),
            vulnerable: Some(side(before)),
            fixed: Some(side(after)),
        }
    });
    let added = pairing.added.iter().map(|&y| fixed.function(y)).filter(|f| tells(*f));
    let added = added.map(|f| PatchedFunction { name: name(f), vulnerable: None, fixed: Some(side(f)) });
    let removed = pairing.removed.iter().map(|&x| vulnerable.function(x)).filter(|f| tells(*f));
    let removed = removed.map(|f| PatchedFunction { name: name(f), vulnerable: Some(side(f)), fixed: None });
    changed.chain(added).chain(removed).collect()
}

/// Whether a function can be found again by what it is.
fn tells(function: IndexedFunction<'_>) -> bool {
    function.is_named() || function.features().len() >= 4
}

fn side(function: IndexedFunction<'_>) -> Side {
    let mut numbers = function.numbers().to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    Side {
        meaning: function.meaning(),
        instructions: function.instructions() as u32,
        numbers,
        features: function.features().to_vec(),
    }
}

fn rarity(a: &Index, b: &Index, functions: &[PatchedFunction]) -> BTreeMap<u32, f32> {
    let sides = functions.iter().flat_map(|f| f.vulnerable.iter().chain(&f.fixed));
    let mut counts: BTreeMap<u32, u32> =
        sides.flat_map(|side| side.numbers.iter().chain(&side.features)).map(|&key| (key, 0)).collect();
    for index in [a, b] {
        for key in index.records.features.iter().chain(&index.records.numbers) {
            if let Some(count) = counts.get_mut(key) {
                *count += 1;
            }
        }
    }
    let total = (a.functions().len() + b.functions().len()).max(2) as f32;
    counts.into_iter().map(|(key, count)| (key, (total / count.max(1) as f32).ln().max(0.1))).collect()
}

/// How much a function's two sides tell the fix from the flaw.
fn telling(function: &PatchedFunction, rarity: &BTreeMap<u32, f32>) -> f64 {
    let empty = Vec::new();
    let features = |side: &Option<Side>| side.as_ref().map_or(empty.clone(), |side| side.features.clone());
    let (x, y) = (features(&function.vulnerable), features(&function.fixed));
    let weight = |key: &u32| f64::from(rarity.get(key).copied().unwrap_or(0.1));
    let only = |x: &[u32], y: &[u32]| -> f64 {
        x.iter().filter(|key| y.binary_search(key).is_err()).map(weight).sum()
    };
    only(&x, &y) + only(&y, &x)
}
