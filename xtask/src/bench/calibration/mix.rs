//! Which deltas a user is taken to ask about, and how much each pair of functions weighs for it.
//!
//! A probability holds for a population or for none: how many of the functions that differ changed in
//! meaning is nearly all of them between two releases built alike, and none between two builds of one
//! release. The mix was set on the fitted projects, before any of the judging ones was built.

use std::collections::BTreeMap;

use super::samples::Sample;

/// The kinds of deltas and their shares.
pub const MIX: [(&str, f64); 3] = [("release", 0.7), ("settings", 0.2), ("both", 0.1)];

/// Every kind has its share; within it a project weighs the square root of its pairs, between counting
/// functions and counting projects: large projects would drown others, and small ones say little.
pub fn weights(samples: &[&Sample]) -> Vec<f64> {
    let mut pairs: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for sample in samples {
        *pairs.entry((sample.scenario, sample.project)).or_default() += 1.0;
    }
    let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
    for ((scenario, _), pairs) in &pairs {
        *kinds.entry(*scenario).or_default() += pairs.sqrt();
    }
    let present: f64 = MIX.iter().filter(|(name, _)| kinds.contains_key(name)).map(|kind| kind.1).sum();
    let share = |scenario: &str| MIX.iter().find(|(name, _)| *name == scenario).map_or(0.0, |kind| kind.1);
    let weight = |sample: &&Sample| {
        let (scenario, project) = (sample.scenario, sample.project);
        share(scenario) / (present * kinds[scenario] * pairs[&(scenario, project)].sqrt())
    };
    samples.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use assay_delta::FIGURES;

    use super::*;

    #[test]
    fn every_kind_has_its_share() {
        let sample = |scenario, project| Sample {
            project,
            toolchain: "gcc x86-64",
            scenario,
            fitted: true,
            project_fitted: true,
            figures: [0.0; FIGURES],
            changed: true,
        };
        let mut samples = vec![sample("release", "a"), sample("both", "a")];
        samples.extend((0..9).map(|_| sample("release", "b")));
        samples.extend((0..5).map(|_| sample("settings", "b")));
        let samples: Vec<&Sample> = samples.iter().collect();
        let weights = weights(&samples);
        let sum = |scenario: &str| -> f64 {
            samples.iter().zip(&weights).filter(|(s, _)| s.scenario == scenario).map(|(_, w)| w).sum()
        };
        for (scenario, share) in MIX {
            assert!((sum(scenario) - share).abs() < 1e-9, "{scenario}: {}", sum(scenario));
        }
        // One pair of `a` weighs a quarter of `release`, the nine of `b` the rest.
        assert!((weights[0] - 0.7 / 4.0).abs() < 1e-9, "{weights:?}");
    }
}
