//! Whether a binary has a patch: across versions, compilers and architectures as far as they can be
//! compared, and `inconclusive` where they cannot.
//!
//! Each function of the signature is looked for by what it is exactly, by name, and by its sketch. A
//! function that is exactly the fixed or the flawed one decides at once. Otherwise what only the fixed
//! side has and what only the flawed side has are looked for in it and in what it calls, and what is found
//! decides (`evidence.rs`). That a function which only one side has is there, or is not, says nothing: the
//! compiler may have inlined it.
//! (The question is that of Fiber: Zhang, Qian, "Precise and Accurate Patch Presence Test for Binaries",
//! USENIX Security 2018; features instead of symbolic execution, so that a search over many files takes
//! milliseconds.)

mod evidence;
mod reach;
mod signature;

use assay_binary::Address;
use fnv::FnvHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::index::{Index, IndexedFunction, NORMALISER_VERSION};
use crate::lift::FeatureKind;
use reach::Reach;

pub use signature::{PatchSignature, PatchedFunction, Side, SignatureError, SignedBuild, sign};

/// Whether the patch is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchStatus {
    /// Every function that could be judged is as the fix left it.
    Patched,
    /// Every function that could be judged is as it was before the fix.
    Vulnerable,
    /// Some are the one, some the other.
    Partial,
    /// What could be found does not tell.
    Inconclusive,
}

/// One function of the signature in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundFunction {
    /// The signature's name of it, or its number there.
    pub name: String,
    /// Where it was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<Address>,
    /// What the file calls it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found_as: Option<String>,
    /// How it was found: `exact`, `name`, `sketch`, `absent`.
    pub by: String,
    /// What it says.
    pub status: PatchStatus,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// The answer for one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// Whether the patch is there.
    pub status: PatchStatus,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// What it rests on.
    pub functions: Vec<FoundFunction>,
}

/// Below this a function's own evidence says nothing.
const MIN_EVIDENCE: f64 = 0.25;
/// One side must outweigh the other by this share to be the answer for the whole.
const DOMINANT: f64 = 0.8;
/// A sketch less alike than this is not the function.
const MIN_SIMILARITY: f64 = 0.3;
/// One function is at most so many times as long as the other at another level of optimisation.
const MAX_GROWTH: usize = 8;
/// The best must be this much better than the second.
const MIN_MARGIN: f64 = 1.1;

/// Looks for a patch in a file.
///
/// # Errors
/// [`SignatureError::OtherVersion`].
pub fn presence(signature: &PatchSignature, index: &Index) -> Result<Presence, SignatureError> {
    if signature.normaliser_version != NORMALISER_VERSION {
        return Err(SignatureError::OtherVersion {
            found: signature.normaliser_version,
            expected: NORMALISER_VERSION,
        });
    }
    let search = Search {
        signature,
        index,
        one_compiler: is_one_compiler(signature, index),
        occurrences: occurrences(signature, index),
    };
    let functions: Vec<FoundFunction> =
        (0..).zip(&signature.functions).map(|(number, function)| search.function(number, function)).collect();
    Ok(conclude(functions))
}

fn is_one_compiler(signature: &PatchSignature, index: &Index) -> bool {
    let name =
        |toolchain: Option<&assay_binary::Toolchain>| toolchain.map(|toolchain| toolchain.name.clone());
    signature.fixed.architecture == index.about.architecture
        && name(signature.fixed.toolchain.as_ref()) == name(index.toolchain())
}

fn conclude(functions: Vec<FoundFunction>) -> Presence {
    let sum = |status: PatchStatus| -> f64 {
        functions.iter().filter(|f| f.status == status).map(|f| f.confidence).sum()
    };
    let (patched, vulnerable) = (sum(PatchStatus::Patched), sum(PatchStatus::Vulnerable));
    let total = patched + vulnerable;
    let best = |status: PatchStatus| {
        functions.iter().filter(|f| f.status == status).map(|f| f.confidence).fold(0.0, f64::max)
    };
    let (status, confidence) = if total < MIN_EVIDENCE {
        (PatchStatus::Inconclusive, 0.0)
    } else if patched >= DOMINANT * total {
        (PatchStatus::Patched, best(PatchStatus::Patched) * patched / total)
    } else if vulnerable >= DOMINANT * total {
        (PatchStatus::Vulnerable, best(PatchStatus::Vulnerable) * vulnerable / total)
    } else {
        (PatchStatus::Partial, 1.0 - (patched - vulnerable).abs() / total)
    };
    Presence { status, confidence, functions }
}

struct Search<'s> {
    signature: &'s PatchSignature,
    index: &'s Index,
    one_compiler: bool,
    /// Where in the file the signature's features and numbers occur.
    occurrences: FnvHashMap<u32, Vec<u32>>,
}

/// What so many functions of a file have finds none of them.
const MAX_OCCURRENCES: usize = 256;
/// Functions that are compared in full for one of the signature.
const MAX_CANDIDATES: usize = 32;

fn occurrences(signature: &PatchSignature, index: &Index) -> FnvHashMap<u32, Vec<u32>> {
    let mut found: FnvHashMap<u32, Vec<u32>> =
        signature.rarity.keys().map(|&key| (key, Vec::new())).collect();
    for (number, function) in (0..).zip(index.functions()) {
        for key in function.features().iter().chain(function.numbers()) {
            if let Some(places) = found.get_mut(key).filter(|places| places.last() != Some(&number)) {
                places.push(number);
            }
        }
    }
    found.retain(|_, places| (1..=MAX_OCCURRENCES).contains(&places.len()));
    found
}

impl Search<'_> {
    fn function(&self, number: usize, wanted: &PatchedFunction) -> FoundFunction {
        let name = wanted.name.clone().unwrap_or_else(|| format!("function {number}"));
        let found = |function: Option<IndexedFunction<'_>>, by: &str, status, confidence| FoundFunction {
            name: name.clone(),
            address: function.map(|function| function.address()),
            found_as: function.map(|function| function.name().to_owned()),
            by: by.to_owned(),
            status,
            confidence,
        };
        if let Some((function, status)) = self.exact(wanted) {
            return found(Some(function), "exact", status, 1.0);
        }
        let (function, by) = match self.by_name(wanted) {
            Some(function) => (Some(function), "name"),
            None => (self.by_sketch(wanted), "sketch"),
        };
        let Some(function) = function else {
            return found(None, "absent", PatchStatus::Inconclusive, 0.0);
        };
        let (status, confidence) = self.judge(wanted, function);
        let found_surely = if by == "name" { 1.0 } else { 0.9 };
        found(Some(function), by, status, confidence * found_surely)
    }

    /// A function that is one of the sides to the last instruction.
    fn exact(&self, wanted: &PatchedFunction) -> Option<(IndexedFunction<'_>, PatchStatus)> {
        let of = |side: &Option<Side>| {
            let side = side.as_ref().filter(|side| side.instructions >= 8 || wanted.name.is_some())?;
            let named = |function: &IndexedFunction<'_>| match &wanted.name {
                Some(name) if function.is_named() => function.name() == name,
                _ => side.instructions >= 8,
            };
            let mut same = self.index.functions().filter(|f| f.meaning() == side.meaning && named(f));
            same.next()
        };
        let both = wanted.fixed.is_some() && wanted.vulnerable.is_some();
        let fixed = of(&wanted.fixed).map(|function| (function, PatchStatus::Patched));
        let vulnerable = of(&wanted.vulnerable).map(|function| (function, PatchStatus::Vulnerable));
        // The same body on both sides: only what it refers to differs, which a hash of its own cannot see.
        match (fixed, vulnerable) {
            (Some(fixed), Some(_)) => Some((fixed.0, PatchStatus::Inconclusive)),
            (one, other) => one.or(other).map(|(function, status)| match both {
                true => (function, status),
                // The other side may have inlined it, or may be the one that does not.
                false => (function, PatchStatus::Inconclusive),
            }),
        }
    }

    fn by_name(&self, wanted: &PatchedFunction) -> Option<IndexedFunction<'_>> {
        let name = wanted.name.as_ref()?;
        self.index.functions().find(|function| function.is_named() && function.name() == name)
    }

    fn by_sketch(&self, wanted: &PatchedFunction) -> Option<IndexedFunction<'_>> {
        let sides: Vec<&Side> = wanted.vulnerable.iter().chain(&wanted.fixed).collect();
        let mut best: Vec<(f64, IndexedFunction<'_>)> = Vec::new();
        for function in self.candidates(&sides) {
            if function.is_named() && wanted.name.is_some() {
                continue;
            }
            let alike = sides.iter().map(|side| self.alike(side, function)).fold(0.0, f64::max);
            best.push((alike, function));
        }
        best.sort_by(|x, y| y.0.total_cmp(&x.0));
        let second = best.get(1).map_or(0.0, |(alike, _)| *alike);
        let (alike, function) = best.into_iter().next()?;
        (alike >= MIN_SIMILARITY && alike >= second * MIN_MARGIN).then_some(function)
    }

    /// The functions that share the rarest features with the sides.
    fn candidates(&self, sides: &[&Side]) -> Vec<IndexedFunction<'_>> {
        let mut scores: FnvHashMap<u32, f64> = FnvHashMap::default();
        for key in sides.iter().flat_map(|side| side.features.iter().chain(&side.numbers)) {
            let weight = self.weight(*key);
            let places = self.occurrences.get(key).map(Vec::as_slice).unwrap_or_default();
            places.iter().for_each(|&number| *scores.entry(number).or_default() += weight);
        }
        let mut scores: Vec<(u32, f64)> = scores.into_iter().collect();
        scores.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
        scores.truncate(MAX_CANDIDATES);
        scores.into_iter().map(|(number, _)| self.index.function(number as usize)).collect()
    }

    fn weight(&self, key: u32) -> f64 {
        f64::from(self.signature.rarity.get(&key).copied().unwrap_or(3.0))
    }

    /// How alike the sketches are, 0 to 1: what is in both against what is in either, where what a
    /// compiler may write otherwise weighs less when it is missing.
    fn alike(&self, side: &Side, function: IndexedFunction<'_>) -> f64 {
        let (larger, smaller) = (side.instructions as usize, function.instructions());
        if larger.max(smaller) > MAX_GROWTH * larger.min(smaller).max(8) {
            return 0.0;
        }
        let sketch = self.common(&side.features, function.features(), trust);
        if !self.one_compiler {
            return sketch;
        }
        sketch.max(self.common(&side.numbers, &distinct(function.numbers()), |_| (1.0, 1.0)))
    }

    fn common(&self, x: &[u32], y: &[u32], trust: impl Fn(u32) -> (f64, f64)) -> f64 {
        let (mut both, mut all) = (0.0, 0.0);
        for &key in x {
            let (weight, missing) = trust(key);
            let weight = self.weight(key) * weight;
            let is_there = y.binary_search(&key).is_ok();
            both += if is_there { weight } else { 0.0 };
            all += if is_there { weight } else { weight * missing };
        }
        for &key in y.iter().filter(|key| x.binary_search(key).is_err()) {
            let (weight, missing) = trust(key);
            all += self.weight(key) * weight * missing;
        }
        if all > 0.0 { both / all } else { 0.0 }
    }

    fn judge(&self, wanted: &PatchedFunction, function: IndexedFunction<'_>) -> (PatchStatus, f64) {
        let reach = Reach::of(self.index, function);
        evidence::judge(wanted, &reach, |key| self.weight(key), self.one_compiler)
    }
}

/// What it weighs that a feature of this kind is found, and how much of that its absence weighs: a
/// compiler keeps texts and calls; it may write a comparison or a number in another way.
fn trust(feature: u32) -> (f64, f64) {
    match FeatureKind::of(feature) {
        FeatureKind::Text => (4.0, 1.0),
        FeatureKind::Import => (3.0, 1.0),
        FeatureKind::Bound => (2.0, 0.3),
        FeatureKind::Number => (1.5, 0.3),
        _ => (1.0, 0.15),
    }
}

fn distinct(numbers: &[u32]) -> Vec<u32> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
