//! A patch as a signature: what a fix took away and what it brought, function by function.

use std::collections::BTreeMap;

use assay_binary::{Architecture, Toolchain};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reach::Reach;
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
    /// Features and numbers, sorted, that one side alone has itself and the other has in what it calls: a
    /// compiler moved them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub moved: Vec<u32>,
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
        if !functions.iter().any(|(function, _)| function.name.as_ref() == Some(name)) {
            return Err(SignatureError::NotChanged { name: name.clone() });
        }
    }
    if !only.is_empty() {
        functions.retain(|(function, _)| function.name.as_ref().is_some_and(|name| only.contains(name)));
    }
    let rarity = rarity(vulnerable, fixed, &functions);
    functions.sort_by(|x, y| telling(&y.0, &rarity).total_cmp(&telling(&x.0, &rarity)));
    functions.truncate(MAX_FUNCTIONS);
    let functions = functions.into_iter().map(|(function, pair)| match pair {
        Some((x, y)) => {
            let before = Reach::of(vulnerable, vulnerable.function(x));
            let after = Reach::of(fixed, fixed.function(y));
            PatchedFunction { moved: moved(&function, &before, &after), ..function }
        }
        None => function,
    });
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
        functions: functions.collect(),
        rarity,
    })
}

/// A function of the patch, and its numbers in the two builds where it is in both.
type Found = (PatchedFunction, Option<(usize, usize)>);

fn patched(vulnerable: &Index, fixed: &Index, pairing: &Pairing) -> Vec<Found> {
    let name = |function: IndexedFunction<'_>| function.is_named().then(|| function.name().to_owned());
    let changed = pairing.changed.iter().map(|&(x, y)| {
        let (before, after) = (vulnerable.function(x), fixed.function(y));
        let name = name(after).or_else(|| name(before));
        let (vulnerable, fixed) = (Some(side(before)), Some(side(after)));
        (PatchedFunction { name, vulnerable, fixed, moved: Vec::new() }, Some((x, y)))
    });
    let added = pairing.added.iter().map(|&y| fixed.function(y)).filter(|f| tells(*f));
    let alone =
        |name, vulnerable, fixed| (PatchedFunction { name, vulnerable, fixed, moved: Vec::new() }, None);
    let added = added.map(|f| alone(name(f), None, Some(side(f))));
    let removed = pairing.removed.iter().map(|&x| vulnerable.function(x)).filter(|f| tells(*f));
    let removed = removed.map(|f| alone(name(f), Some(side(f)), None));
    changed.chain(added).chain(removed).collect()
}

/// What only one of two functions has itself and the other has in what it calls.
fn moved(function: &PatchedFunction, before: &Reach, after: &Reach) -> Vec<u32> {
    let (Some(vulnerable), Some(fixed)) = (&function.vulnerable, &function.fixed) else { return Vec::new() };
    let mut moved = Vec::new();
    let mut add = |own: &[u32], other: &[u32], reached: &[u32]| {
        let is_moved = |key: &&u32| other.binary_search(key).is_err() && reached.binary_search(key).is_ok();
        moved.extend(own.iter().filter(is_moved));
    };
    add(&vulnerable.features, &fixed.features, &after.features);
    add(&vulnerable.numbers, &fixed.numbers, &after.numbers);
    add(&fixed.features, &vulnerable.features, &before.features);
    add(&fixed.numbers, &vulnerable.numbers, &before.numbers);
    moved.sort_unstable();
    moved.dedup();
    moved
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

fn rarity(a: &Index, b: &Index, functions: &[Found]) -> BTreeMap<u32, f32> {
    let sides = functions.iter().flat_map(|(f, _)| f.vulnerable.iter().chain(&f.fixed));
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
