//! Summing up what became of the mutants.
#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::{Row, bound::unsound_bound};
use super::builds::Harmless;
use super::judge::{Outcome, Prepared};

/// Budgets.
const LEAST_MUTANTS: usize = 3000;
const LEAST_DIFFERENT: usize = 1000;
const LEAST_TOUCHED: f64 = 0.5;
const LEAST_HARMLESS: f64 = 0.95;
const LEAST_LINK_ORDER: f64 = 0.8;

/// Counts of one kind of mutant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    judged: usize,
    touched: usize,
    different: usize,
    /// Of the different ones those in which the proof was asked.
    decided: usize,
    carried: usize,
    falsely: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome, asked: bool) {
        let carried = outcome.refused.is_none();
        self.judged += 1;
        self.touched += usize::from(outcome.touched);
        self.different += usize::from(!outcome.same);
        self.decided += usize::from(!outcome.same && asked);
        self.carried += usize::from(carried);
        self.falsely += usize::from(carried && !outcome.same);
    }
}

/// Of harmless rebuilds that replay shows the same, how many carried.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    carried: usize,
    all: usize,
}

impl Share {
    fn value(self) -> Option<f64> {
        (self.all > 0).then(|| self.carried as f64 / self.all as f64)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    all: Count,
    kinds: BTreeMap<&'static str, Count>,
    programs: BTreeMap<&'static str, Count>,
    refusals: BTreeMap<String, usize>,
    harmless: BTreeMap<Harmless, Share>,
    /// Why harmless rebuilds did not carry.
    harmless_refusals: BTreeMap<String, usize>,
    pub false_ones: Vec<String>,
}

impl Tally {
    pub fn mutants(&self) -> usize {
        self.all.judged
    }

    /// An error where a run without false carry-overs would say nothing.
    pub fn shows_something(&self) -> Result<()> {
        let Count { judged, decided, carried, .. } = self.all;
        ensure!(
            decided > 0 && carried > 0,
            "{judged} mutants, of which the proof was asked of {decided} different ones and {carried} carried: \
             nothing is shown"
        );
        Ok(())
    }

    pub fn add(
        &mut self,
        prepared: &Prepared,
        kind: &'static str,
        detail: &str,
        harmless: Option<Harmless>,
        outcome: &Outcome,
    ) {
        let name = prepared.program.name;
        let asked = prepared.never.is_none();
        for count in
            [&mut self.all, self.kinds.entry(kind).or_default(), self.programs.entry(name).or_default()]
        {
            count.add(outcome, asked);
        }
        for reason in outcome.refused.iter().flatten() {
            *self.refusals.entry(reason.clone()).or_default() += 1;
        }
        // What an observer may notice is not harmless to it.
        if let Some(harmless) = harmless.filter(|_| outcome.same && !prepared.program.observes) {
            let share = self.harmless.entry(harmless).or_default();
            share.all += 1;
            share.carried += usize::from(outcome.refused.is_none());
            for reason in outcome.refused.iter().flatten() {
                *self.harmless_refusals.entry(format!("{harmless:?}: {reason}")).or_default() += 1;
            }
        }
        if outcome.refused.is_none() && !outcome.same {
            self.false_ones.push(format!("{name}: {kind}: {detail}"));
        }
    }

    fn share(&self, which: &[Harmless]) -> Share {
        which.iter().filter_map(|harmless| self.harmless.get(harmless)).fold(
            Share::default(),
            |sum, share| Share { carried: sum.carried + share.carried, all: sum.all + share.all },
        )
    }

    /// Rows with budgets, and everything else that was counted.
    pub fn document(&self, asked: usize, seed: u64, prepared: &[Prepared]) -> Value {
        let all = self.all;
        // A short run is not held to what the whole one must reach.
        let whole = asked >= LEAST_MUTANTS;
        let least = |what: &str, ours: Option<f64>, least: f64, unit: &str| {
            Row::new(what, ours, unit).judged(Some(least), ours.filter(|_| whole).map(|ours| ours >= least))
        };
        let touched = all.touched as f64 / all.judged.max(1) as f64;
        let link_order = self.share(&[Harmless::LinkOrder]);
        let others =
            self.share(&[Harmless::Paths, Harmless::BuildId, Harmless::Alignment, Harmless::Unrelated]);
        // Where nothing was carried, nothing can have been carried falsely.
        let falsely = (all.carried > 0).then_some(all.falsely as f64);
        let decided = format!("share of {} in which the proof was asked", all.decided);
        let rows = vec![
            Row::new("false carry-overs", falsely, "runs").at_most(0.0),
            least("mutants", Some(all.judged as f64), LEAST_MUTANTS as f64, "binaries, no two the same"),
            least("that touch what the run executes or reads", Some(touched), LEAST_TOUCHED, "share"),
            least("that replay shows different", Some(all.different as f64), LEAST_DIFFERENT as f64, "runs"),
            Row::new("95 % bound on unsound carry-overs", unsound_bound(all.decided, all.falsely), decided),
            Row::new("true carry-overs", (all.carried - all.falsely) as f64, "runs"),
            least(
                "harmless rebuilds that carried",
                others.value(),
                LEAST_HARMLESS,
                "share: paths, build id, alignment, unrelated",
            ),
            least(
                "link orders that carried",
                link_order.value(),
                LEAST_LINK_ORDER,
                "share, order not observed",
            ),
        ];
        let count = |count: &Count| {
            json!({ "judged": count.judged, "touched": count.touched, "different": count.different,
                    "carried": count.carried, "false": count.falsely })
        };
        let kinds: BTreeMap<_, _> = self.kinds.iter().map(|(kind, of)| (kind, count(of))).collect();
        let programs: BTreeMap<_, _> = self.programs.iter().map(|(name, of)| (name, count(of))).collect();
        let harmless: BTreeMap<_, _> = self
            .harmless
            .iter()
            .map(|(kind, share)| (format!("{kind:?}"), json!({ "carried": share.carried, "all": share.all })))
            .collect();
        let never: BTreeMap<_, _> =
            prepared.iter().filter_map(|p| Some((p.program.name, p.never?))).collect();
        json!({
            "bench": "carryover", "seed": seed, "rows": rows, "kinds": kinds, "programs": programs,
            "harmless": harmless, "never_carried": never, "refusals": self.refusals,
            "harmless_refusals": self.harmless_refusals, "false": self.false_ones,
        })
    }

    /// The tables for people.
    pub fn print(&self, prepared: &[Prepared]) {
        self.print_counts("kind", &self.kinds);
        self.print_counts("program", &self.programs);
        println!("\nnever carried, as in the pipeline (their mutants are judged all the same):");
        let mut never: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for prepared in prepared {
            if let Some(reason) = prepared.never {
                never.entry(reason).or_default().insert(prepared.program.name);
            }
        }
        for (reason, names) in never {
            println!("  {reason}: {}", names.into_iter().collect::<Vec<_>>().join(", "));
        }
        println!("\nharmless rebuilds (replay shows the same; programs that observe nothing):");
        for (kind, share) in &self.harmless {
            println!("  {:<12} {:>5} of {:>5} carried", format!("{kind:?}"), share.carried, share.all);
        }
        for (title, reasons) in
            [("refusals", &self.refusals), ("refusals of harmless", &self.harmless_refusals)]
        {
            println!("\n{title}, by reason (one mutant may have several):");
            let mut sorted: Vec<_> = reasons.iter().collect();
            sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (reason, count) in sorted {
                println!("  {count:>6} {reason}");
            }
        }
        for one in &self.false_ones {
            println!("FALSE: {one}");
        }
    }

    fn print_counts(&self, title: &str, counts: &BTreeMap<&'static str, Count>) {
        println!(
            "\n{title:<36} {:>7} {:>8} {:>10} {:>8} {:>6}",
            "judged", "touched", "different", "carried", "false"
        );
        for (name, count) in counts.iter().chain([(&"all", &self.all)]) {
            let Count { judged, touched, different, carried, falsely, .. } = count;
            println!("{name:<36} {judged:>7} {touched:>8} {different:>10} {carried:>8} {falsely:>6}");
        }
    }
}
