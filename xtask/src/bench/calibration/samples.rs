//! Pairs of functions whose code differs, and whether their meaning does.
//!
//! The truth comes from rebuilt sources, not from the comparison that is judged: each release is built
//! by every compiler at every level, and a function changed in meaning between two releases where its
//! code differs under most of those settings, each setting compared with itself. A change of the
//! source shows under every compiler, and what one compiler made otherwise for reasons of its own shows
//! under few.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use assay_delta::{FIGURES, PairEvidence, diff, evidence};

use super::compilers::{self, Both, Toolchain};
use super::projects::Project;

/// One pair of functions.
#[derive(Clone, Debug)]
pub struct Sample {
    pub project: &'static str,
    pub toolchain: &'static str,
    /// `release`: the same settings, the next release; `settings`: other settings, the same release;
    /// `both`: other settings and the next release.
    pub scenario: &'static str,
    /// Whether the weights were fitted on it, and on its project at all.
    pub fitted: bool,
    pub project_fitted: bool,
    pub figures: [f64; FIGURES],
    pub changed: bool,
}

/// For each function, under how many settings it is in both releases and under how many it differs.
type Truth = BTreeMap<String, (usize, usize)>;

/// All samples of one project.
pub fn of(
    project: &Project,
    toolchains: &[Toolchain],
    home: &Path,
    skipped: &mut Vec<String>,
) -> Result<Vec<Sample>> {
    // On a fitted project the compilers that nothing is fitted on only help to decide what changed.
    let levels = |toolchain: &Toolchain| {
        if project.fitted && !toolchain.fitted { 1 } else { toolchain.levels.len() }
    };
    let settings = toolchains.iter().flat_map(|toolchain| {
        toolchain.levels[..levels(toolchain)].iter().map(move |level| (toolchain, *level))
    });
    let all = compilers::both(project, settings, home, skipped)?;
    let truth = truth(&all);
    let mut samples = Vec::new();
    for (i, a) in all.iter().enumerate() {
        // Probabilities are said of deltas within one toolchain only.
        for (j, b) in all.iter().enumerate().filter(|(_, b)| a.toolchain.name == b.toolchain.name) {
            let scenarios: &[(&str, usize)] =
                if i == j { &[("release", 1)] } else { &[("settings", 0), ("both", 1)] };
            for &(scenario, which) in scenarios {
                for pair in evidence(&a.indexes[0], &b.indexes[which]) {
                    let Some(changed) = changed(&truth, &pair, which) else { continue };
                    samples.push(Sample {
                        project: project.name,
                        toolchain: b.toolchain.name,
                        scenario,
                        fitted: project.fitted && b.toolchain.fitted,
                        project_fitted: project.fitted,
                        figures: pair.figures,
                        changed,
                    });
                }
            }
        }
    }
    Ok(samples)
}

fn truth(all: &[Both<'_>]) -> Truth {
    let mut truth = Truth::new();
    for built in all {
        let [before, after] = &built.indexes;
        let delta = diff(before, after);
        let differs: std::collections::BTreeSet<String> =
            evidence(before, after).into_iter().map(|pair| pair.name).collect();
        let gone: std::collections::BTreeSet<&str> =
            delta.functions.removed.iter().map(|function| function.name.as_str()).collect();
        for function in before.functions().filter(|f| f.is_named() && !gone.contains(f.name())) {
            let entry = truth.entry(function.name().to_owned()).or_default();
            entry.0 += 1;
            entry.1 += usize::from(differs.contains(function.name()));
        }
    }
    truth
}

/// Within one release nothing changed its meaning.
fn changed(truth: &Truth, pair: &PairEvidence, which: usize) -> Option<bool> {
    let &(settings, differs) = truth.get(&pair.name)?;
    match which {
        0 => Some(false),
        _ => (settings >= 2).then_some(differs * 2 > settings),
    }
}
