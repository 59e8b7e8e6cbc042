//! Summing up what became of the mutants of interpreted programs.
#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::{Row, bound::unsound_bound};
use super::subject::{Outcome, Subject};
use super::{Options, mutate};

/// Counts of one kind of mutant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub mutants: usize,
    pub carried: usize,
    pub different: usize,
    /// Of the different ones those in which the proof was asked: the run's coverage could be had.
    pub decided: usize,
    pub falsely: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome, asked: bool) {
        let carried = outcome.refused.is_none();
        self.mutants += 1;
        self.carried += usize::from(carried);
        self.different += usize::from(!outcome.same);
        self.decided += usize::from(!outcome.same && asked);
        self.falsely += usize::from(carried && !outcome.same);
    }

    fn document(self) -> Value {
        json!({ "mutants": self.mutants, "carried": self.carried, "different": self.different,
                "false": self.falsely })
    }
}

#[derive(Default)]
pub struct Tally {
    pub all: Count,
    harmless: Count,
    reasons: BTreeMap<String, usize>,
    kinds: BTreeMap<&'static str, Count>,
    programs: BTreeMap<String, Count>,
}

impl Tally {
    pub fn add(&mut self, subject: &Subject, kind: &'static str, outcome: &Outcome) {
        let asked = subject.uncovered.is_none();
        let program = self.programs.entry(subject.name.clone()).or_default();
        for count in [&mut self.all, self.kinds.entry(kind).or_default(), program] {
            count.add(outcome, asked);
        }
        if mutate::HARMLESS.contains(&kind) && outcome.same && outcome.observes_nothing {
            self.harmless.add(outcome, asked);
        }
        for reason in outcome.refused.iter().flatten() {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        }
    }

    /// An error where a run without false carry-overs would say nothing.
    pub fn shows_something(&self) -> Result<()> {
        let Count { mutants, carried, decided, .. } = self.all;
        ensure!(
            decided > 0 && carried > 0,
            "{mutants} mutants, of which the proof was asked of {decided} different ones and {carried} carried: \
             nothing is shown"
        );
        Ok(())
    }

    /// Rows with budgets, and everything else that was counted.
    pub fn document(&self, options: &Options, subjects: &[Subject]) -> Value {
        let all = self.all;
        let figure = |count: usize| count as f64;
        // Where nothing was carried, nothing can have been carried falsely.
        let falsely = (all.carried > 0).then_some(figure(all.falsely));
        let decided = format!("share of {} in which the proof was asked", all.decided);
        let harmless = (self.harmless.mutants > 0)
            .then(|| figure(self.harmless.carried) / figure(self.harmless.mutants));
        let of = format!("share of {}", self.harmless.mutants);
        let rows = vec![
            Row::new("false carry-overs", falsely, "runs").at_most(0.0),
            Row::new("mutants", figure(all.mutants), "trees, no two the same"),
            Row::new("that replay shows different", figure(all.different), "runs"),
            Row::new("95 % bound on unsound carry-overs", unsound_bound(all.decided, all.falsely), decided),
            Row::new("true carry-overs", figure(all.carried - all.falsely), "runs"),
            Row::new("harmless edits that carried", harmless, of),
        ];
        let programs: BTreeSet<&String> = subjects.iter().map(|subject| &subject.name).collect();
        let by_kind: BTreeMap<_, _> =
            self.kinds.iter().map(|(kind, count)| (kind, count.document())).collect();
        let by_program: BTreeMap<_, _> =
            self.programs.iter().map(|(name, count)| (name, count.document())).collect();
        json!({
            "bench": "carryover-source", "seed": options.seed, "programs": programs, "rows": rows,
            "kinds": by_kind, "by_program": by_program, "reasons": self.reasons,
        })
    }

    /// The tables for people.
    pub fn print(&self) {
        println!("\n{:<34} {:>8} {:>8} {:>10}", "", "mutants", "carried", "different");
        let kinds = self.kinds.iter().map(|(name, count)| ((*name).to_owned(), count));
        let programs = self.programs.iter().map(|(name, count)| (name.clone(), count));
        for (name, Count { mutants, carried, different, .. }) in kinds.chain(programs) {
            println!("{name:<34} {mutants:>8} {carried:>8} {different:>10}");
        }
        println!("\nrefusals, by reason (one mutant may have several):");
        for (reason, count) in &self.reasons {
            println!("  {count:>6} {reason}");
        }
    }
}
