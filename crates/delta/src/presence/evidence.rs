//! What a function says of a patch: which of the things that only one side of the patch has it has.
//!
//! Another compiler, or another level of optimisation, keeps some kinds of features and writes others anew.
//! How many of a kind survive is seen on the function itself, by what both sides of the patch have. A
//! feature that is found weighs by that share against how often it is met anywhere; one that is missing
//! weighs only where its kind survives. What is found decides: a side is answered where things of its own
//! are there and little of the other's, and a missing thing alone only where nothing speaks against it. Texts
//! are what compilers keep best: they decide alone, and missing where others of the function are there.
//!
//! The thresholds were chosen on two releases of the C libraries that `cargo xtask bench presence` names as
//! used for tuning, and on edits of Lua and zlib, each built by other compilers, at other levels and for
//! another architecture.

use super::PatchStatus;
use super::reach::Reach;
use super::signature::PatchedFunction;
use crate::lift::FeatureKind;

/// Evidence, in nats, from which what is found decides, and how much of the other side's may be there.
const ENOUGH_FOUND: f64 = 2.0;
const CONTRADICTION: f64 = 0.5;
/// The same as a share of what is found: one compiler writes alike what is not alike, and things of both
/// sides are met more often.
const CONTRADICTION_OF_LEVEL: f64 = 0.4;
const CONTRADICTION_OF_COMPILER: f64 = 0.15;
/// Evidence, in nats, from which what is missing decides where nothing of that side is there.
const ENOUGH_MISSING: f64 = 1.5;
const CONTRADICTION_OF_MISSING: f64 = 0.2;
/// Evidence, in nats, from which texts decide that are found, and ones that are missing.
const ENOUGH_TEXTS_FOUND: f64 = 1.9;
const ENOUGH_TEXTS_MISSING: f64 = 1.5;
/// Of the texts that both sides have, this share must be there before a missing one says anything.
const TEXTS_SEEN: f64 = 0.6;
/// A kind of which fewer survive says nothing by being missing.
const SURVIVES: f64 = 0.8;
/// Features of one kind depend on each other: together they say at most so much, in nats.
const MOST_OF_A_KIND: f64 = 3.0;
/// What is assumed of survival weighs as much as so many features that were seen.
const ASSUMED_WEIGHT: f64 = 6.0;

/// The kinds of [`FeatureKind`], and the numbers of instructions.
const KINDS: usize = 9;
const NUMBERS: usize = 8;

/// Shares of each kind that survive a change of level, and one of compiler or architecture. The order is
/// that of [`FeatureKind`]: text, import, number, comparison, store, result, argument, bound; then the
/// numbers of instructions, which another compiler does not keep.
const SURVIVE_LEVEL: [f64; KINDS] = [0.97, 0.95, 0.8, 0.6, 0.6, 0.5, 0.5, 0.85, 0.75];
const SURVIVE_COMPILER: [f64; KINDS] = [0.95, 0.9, 0.5, 0.2, 0.25, 0.2, 0.2, 0.65, 0.0];

/// What is known of one side of a patch in a function, in nats.
#[derive(Clone, Copy, Default)]
struct Said {
    /// For it, by what is found.
    found: f64,
    /// Against it, by what is missing.
    missing: f64,
    /// Against it, by what is missing of kinds that survive.
    surely_missing: f64,
    /// The same of texts alone, of which missing ones count where others are seen.
    texts_found: f64,
    texts_missing: f64,
}

/// One kind of what the two sides have.
#[derive(Clone, Default)]
struct Kind {
    common: (u32, u32),
    vulnerable: Vec<(f64, bool)>,
    fixed: Vec<(f64, bool)>,
}

/// What a function says, and how sure that is, 0 to 1.
pub(super) fn judge(
    function: &PatchedFunction,
    found: &Reach,
    rarity: impl Fn(u32) -> f64,
    one_compiler: bool,
) -> (PatchStatus, f64) {
    let kinds = kinds(function, found, rarity);
    let assumed = if one_compiler { &SURVIVE_LEVEL } else { &SURVIVE_COMPILER };
    let (mut vulnerable, mut fixed) = (Said::default(), Said::default());
    let looked_at = if one_compiler { KINDS } else { NUMBERS };
    for (number, (kind, assumed)) in kinds.iter().zip(assumed).enumerate().take(looked_at) {
        let survival = survival(kind.common, *assumed);
        vulnerable.add(&kind.vulnerable, survival);
        fixed.add(&kind.fixed, survival);
        if number == FeatureKind::Text as usize {
            let (found, all) = kind.common;
            let seen = found > 0 && f64::from(found) >= TEXTS_SEEN * f64::from(all);
            vulnerable.note_texts(seen);
            fixed.note_texts(seen);
        }
    }
    let share = if one_compiler { CONTRADICTION_OF_LEVEL } else { CONTRADICTION_OF_COMPILER };
    let (is_fixed, is_vulnerable) = (is_shown(fixed, vulnerable, share), is_shown(vulnerable, fixed, share));
    match (is_fixed, is_vulnerable) {
        (Some(confidence), None) => (PatchStatus::Patched, confidence),
        (None, Some(confidence)) => (PatchStatus::Vulnerable, confidence),
        _ => (PatchStatus::Inconclusive, 0.0),
    }
}

/// How sure it is that a function is this side of the patch; of the other there may be `share` as much.
fn is_shown(side: Said, other: Said, share: f64) -> Option<f64> {
    let is_alone = other.found <= CONTRADICTION.max(share * side.found);
    let found = side.found > ENOUGH_FOUND && is_alone && side.missing <= side.found;
    let missing = other.surely_missing > ENOUGH_MISSING
        && other.found <= CONTRADICTION_OF_MISSING
        && side.missing <= CONTRADICTION;
    let texts_found =
        side.texts_found > ENOUGH_TEXTS_FOUND && is_alone && side.texts_missing <= CONTRADICTION_OF_MISSING;
    let texts_missing = other.texts_missing > ENOUGH_TEXTS_MISSING
        && other.found <= CONTRADICTION_OF_MISSING
        && side.texts_missing <= CONTRADICTION_OF_MISSING;
    let shown = [
        (found, side.found),
        (missing, other.surely_missing),
        (texts_found, side.texts_found),
        (texts_missing, other.texts_missing),
    ];
    let nats = shown.iter().filter(|(holds, _)| *holds).map(|(_, nats)| *nats).reduce(f64::max)?;
    Some(1.0 - (-nats).exp())
}

/// The share of a kind that survives: what is assumed, corrected by what is seen (found, all).
fn survival((found, all): (u32, u32), assumed: f64) -> f64 {
    let share = (f64::from(found) + ASSUMED_WEIGHT * assumed) / (f64::from(all) + ASSUMED_WEIGHT);
    share.clamp(0.02, 0.97)
}

/// Evidence of one kind, however much of it there is.
fn bounded(nats: f64) -> f64 {
    MOST_OF_A_KIND * (1.0 - (-nats / MOST_OF_A_KIND).exp())
}

impl Said {
    fn add(&mut self, features: &[(f64, bool)], survival: f64) {
        let (mut found, mut missing, mut surely_missing) = (0.0, 0.0, 0.0);
        for &(rarity, is_there) in features {
            // How often it is met where the patch is not: as often as anywhere, and by chance.
            let elsewhere = (2.0 * (-rarity).exp() + 0.04).clamp(0.04, 0.9).min(0.9 * survival);
            match is_there {
                true => found += (survival / elsewhere).ln(),
                false => {
                    missing += ((1.0 - elsewhere) / (1.0 - survival)).ln();
                    surely_missing -= (1.0 - survival).ln();
                }
            }
        }
        self.found += bounded(found);
        self.missing += bounded(missing);
        self.surely_missing += if survival >= SURVIVES { bounded(surely_missing) } else { 0.0 };
    }

    /// Called when texts, the first kind, are all that was added.
    fn note_texts(&mut self, are_seen: bool) {
        self.texts_found = self.found;
        self.texts_missing = if are_seen { self.surely_missing } else { 0.0 };
    }
}

fn kinds(function: &PatchedFunction, found: &Reach, rarity: impl Fn(u32) -> f64) -> Vec<Kind> {
    let mut kinds = vec![Kind::default(); KINDS];
    let (Some(vulnerable), Some(fixed)) = (&function.vulnerable, &function.fixed) else { return kinds };
    let of_features = |key: u32| FeatureKind::of(key) as usize;
    let mut sort =
        |own: &[u32], other: &[u32], found: &[u32], kind: &dyn Fn(u32) -> usize, is_fixed: bool| {
            for &key in own {
                let kind = &mut kinds[kind(key)];
                let is_there = found.binary_search(&key).is_ok();
                let is_common = other.binary_search(&key).is_ok();
                if is_common || function.moved.binary_search(&key).is_ok() {
                    // What both have themselves is met twice, and counted once.
                    if !(is_common && is_fixed) {
                        kind.common.0 += u32::from(is_there);
                        kind.common.1 += 1;
                    }
                    continue;
                }
                let side = if is_fixed { &mut kind.fixed } else { &mut kind.vulnerable };
                side.push((rarity(key), is_there));
            }
        };
    sort(&vulnerable.features, &fixed.features, &found.features, &of_features, false);
    sort(&fixed.features, &vulnerable.features, &found.features, &of_features, true);
    sort(&vulnerable.numbers, &fixed.numbers, &found.numbers, &|_| NUMBERS, false);
    sort(&fixed.numbers, &vulnerable.numbers, &found.numbers, &|_| NUMBERS, true);
    kinds
}
