//! A stack without source lines beside one with them: the first comes from a symbol table and cannot show
//! inlined frames, so what the second shows beyond it is no difference. What counts is how much of the
//! plain trace the other one covers, in order, whether its top is there, and how much the shared names say.

use super::Index;
use super::build::levels;
use crate::model::{NO_TOKEN, Slot};
use crate::name::{base_name, is_generic};
use crate::trace::Trace;

/// How many pairs are put in order.
const MAX_PAIRS: usize = 48;
/// How much of a frame's weight stays where the frame is an entry point, belongs to the language's
/// library, or called into the recursion that exhausted the stack.
const ENTRY: f64 = 0.3;
const STANDARD: f64 = 0.25;
const OUTSIDE: f64 = 0.15;
/// How deep the outermost frame lies that can be the top of what is contained.
const TOP: u32 = 2;
/// From a strength of 0 to 1 to a score: 0.4 is where a match becomes likely.
const SLOPE: f64 = 6.5;
const OFFSET: f64 = -2.6;
/// What is weaker is left to the alignment.
const WEAKEST: f64 = 0.2;

/// One agreeing frame: its place in the plain trace and in the other, what the agreement is worth, and
/// how much the name it rests on says.
#[derive(Clone, Copy, Debug)]
struct Shared {
    plain: usize,
    other: usize,
    agree: f64,
    telling: f64,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// The score of containment; none where the two show equally much or
    /// little is contained.
    pub(super) fn contained(
        &self,
        trace: &Trace,
        slots: &[Slot],
        known: &[Slot],
        pairs: &[(usize, usize, usize)],
    ) -> Option<f64> {
        let known_is_plain = match (has_lines(slots), has_lines(known)) {
            (Lines::Most, Lines::None) => true,
            (Lines::None, Lines::Most) => false,
            _ => return None,
        };
        let (plain, other) = if known_is_plain { (known, slots) } else { (slots, known) };
        let near = |&(q, c, _): &(usize, usize, usize)| {
            let slot = plain.get(if known_is_plain { c } else { q });
            slot.is_some_and(|slot| slot.depth <= TOP && !slot.standard)
        };
        if !pairs.iter().any(near) {
            return None;
        }
        let recursive = plain.iter().any(|slot| slot.repeated);
        let weights: Vec<f64> = (0..plain.len())
            .map(|at| {
                let name = if known_is_plain { self.token_text(plain[at].tokens[0]) } else { key(trace, at) };
                let slot = &plain[at];
                self.depths.get(slot.depth as usize).copied().unwrap_or(0.0)
                    * if slot.standard { STANDARD } else { 1.0 }
                    * if is_entry(name) { ENTRY } else { 1.0 }
                    * if recursive && !slot.repeated { OUTSIDE } else { 1.0 }
                    * self.relative_rarity(slot.tokens[0]).max(0.05)
            })
            .collect();
        let mut shared: Vec<Shared> = pairs
            .iter()
            .take(MAX_PAIRS)
            .filter_map(|&(q, c, level)| {
                let (at, beside) = if known_is_plain { (c, q) } else { (q, c) };
                let mut agree = self.agreement(trace, q, known.get(c)?, level)?;
                if plain.get(at)?.repeated != other.get(beside)?.repeated {
                    agree *= 0.5;
                }
                let entry = if is_entry(key(trace, q)) { ENTRY } else { 1.0 };
                let telling = self.relative_rarity(slots.get(q)?.tokens[level]) * entry;
                Some(Shared { plain: at, other: beside, agree, telling })
            })
            .collect();
        shared.sort_unstable_by_key(|pair| (pair.plain, pair.other));
        let shared = in_order(&shared, plain, other, &weights);
        let total: f64 = weights.iter().sum();
        let (mut covered, mut evidence, mut top) = (0.0, 0.0, 0.0_f64);
        for pair in &shared {
            covered += pair.agree * weights[pair.plain];
            let (inner, outer) = (plain[pair.plain], other[pair.other]);
            if inner.standard || outer.standard {
                continue;
            }
            evidence += pair.agree * pair.telling;
            let hidden = f64::from(outer.depth.saturating_sub(inner.depth + 2));
            let below = if inner.repeated { 0.0 } else { hidden };
            top = top.max(pair.agree * 0.5_f64.powf(f64::from(inner.depth)) * (-0.15 * below).exp());
        }
        let strength = covered / total.max(1e-9) * top * (1.0 - (-1.6 * evidence).exp());
        (strength >= WEAKEST).then_some(OFFSET + SLOPE * strength)
    }

    /// What it is worth that two frames agree at a level: a last name alone is worth little where many
    /// programs have it, and more where the source file is the module that the path names.
    fn agreement(&self, trace: &Trace, query: usize, known: &Slot, level: usize) -> Option<f64> {
        let frame = trace.frames.get(query)?;
        let shared = levels(frame)[level]?;
        if shared.contains("::") {
            return Some(if level == 0 { 1.0 } else { 0.9 });
        }
        let generic = is_generic(shared);
        if level == 0 && known.tokens[2] == known.tokens[0] {
            // Neither tool knows more than the name, as in C.
            return Some(if generic { 0.2 } else { 0.9 });
        }
        let stem = frame.file.as_deref().map(base_name).and_then(|file| file.strip_suffix(".rs"));
        let full = self.token_text(known.tokens[0]);
        let confirmed = stem.is_some_and(|stem| {
            !matches!(stem, "mod" | "lib" | "main") && full.rsplit("::").skip(1).any(|part| part == stem)
        });
        Some(match (generic, confirmed) {
            (true, false) => 0.15,
            (true, true) => 0.5,
            (false, false) => 0.55,
            (false, true) => 0.85,
        })
    }

    /// How rare a key is beside one that a single trace holds.
    fn relative_rarity(&self, token: u32) -> f64 {
        let traces = self.layout.traces as f64 + 1.0;
        let most = (traces / 2.0).ln() / traces.ln().max(1e-9);
        if token == NO_TOKEN || most < 1e-6 { 1.0 } else { (self.rarity(token) / most).min(1.0) }
    }
}

fn key(trace: &Trace, at: usize) -> &str {
    trace.frames.get(at).map_or("", |frame| frame.key())
}

fn is_entry(name: &str) -> bool {
    name.rsplit("::").next().is_some_and(|leaf| leaf == "main")
}

/// How many of the application's frames carry a source line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    None,
    Some,
    Most,
}

fn has_lines(slots: &[Slot]) -> Lines {
    if slots.iter().all(|slot| slot.line == 0) {
        return Lines::None;
    }
    let own = slots.iter().filter(|slot| !slot.standard);
    let (with, all) = own.fold((0, 0), |(with, all), slot| (with + usize::from(slot.line != 0), all + 1));
    if with * 2 >= all { Lines::Most } else { Lines::Some }
}

/// The heaviest chain of pairs in the order of both; recursion has no first frame and needs no order.
fn in_order(pairs: &[Shared], plain: &[Slot], other: &[Slot], weights: &[f64]) -> Vec<Shared> {
    let cyclic = |pair: &Shared| plain[pair.plain].repeated && other[pair.other].repeated;
    let (mut kept, ordered): (Vec<Shared>, Vec<Shared>) = pairs.iter().partition(|pair| cyclic(pair));
    let mut best: Vec<(f64, usize)> = Vec::with_capacity(ordered.len());
    for (at, pair) in ordered.iter().enumerate() {
        let own = pair.agree * weights[pair.plain];
        let before = (0..at)
            .filter(|&earlier| ordered[earlier].other < pair.other)
            .max_by(|&a, &b| best[a].0.total_cmp(&best[b].0));
        best.push(before.map_or((own, usize::MAX), |earlier| (own + best[earlier].0, earlier)));
    }
    let mut next = (0..best.len()).max_by(|&a, &b| best[a].0.total_cmp(&best[b].0));
    while let Some(at) = next {
        kept.push(ordered[at]);
        next = Some(best[at].1).filter(|&earlier| earlier != usize::MAX);
    }
    kept
}
