//! How verdicts came about, by class.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::inputs::Class;
use crate::shell::{list, text};

/// One class's verdicts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub carried: u64,
    pub cached: u64,
    pub replayed: u64,
    /// Of all of them, those that say nothing.
    pub inconclusive: u64,
    /// Why replayed ones were not carried over.
    pub reasons: BTreeMap<String, u64>,
    /// Milliseconds of each verdict, by mode.
    pub times: BTreeMap<String, Vec<f64>>,
    /// Milliseconds of the replay behind each verdict, once.
    pub replays: f64,
}

/// Counts by class.
#[derive(Clone, Debug, Default)]
pub struct Tally(pub BTreeMap<Class, Counts>);

impl Tally {
    pub fn add(&mut self, verified: &Value, class_of: &dyn Fn(&str) -> Class) {
        for verdict in list(verified, "verdicts") {
            let counts = self.0.entry(class_of(text(verdict, "incident"))).or_default();
            let mode = text(verdict, "mode");
            match mode {
                "carried_over" => counts.carried += 1,
                "cached" => counts.cached += 1,
                _ => counts.replayed += 1,
            }
            counts.inconclusive += u64::from(text(verdict, "verdict") == "inconclusive");
            for reason in list(verdict, "not_carried") {
                *counts.reasons.entry(reason.as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
            let took = verdict["milliseconds"].as_f64().unwrap_or_default();
            counts.times.entry(mode.to_owned()).or_default().push(took);
            counts.replays += verdict["replay_milliseconds"].as_f64().unwrap_or_default();
        }
    }

    /// All times of one mode.
    pub fn times(&self, mode: &str) -> Vec<f64> {
        self.0.values().filter_map(|counts| counts.times.get(mode)).flatten().copied().collect()
    }

    /// How many verdicts there are.
    pub fn count(&self) -> u64 {
        self.0.values().map(|counts| counts.carried + counts.cached + counts.replayed).sum()
    }

    /// How many of them say nothing.
    pub fn inconclusive(&self) -> u64 {
        self.0.values().map(|counts| counts.inconclusive).sum()
    }

    /// Adds another tally's counts.
    pub fn merge(&mut self, other: &Self) {
        for (class, counts) in &other.0 {
            let own = self.0.entry(*class).or_default();
            own.carried += counts.carried;
            own.cached += counts.cached;
            own.replayed += counts.replayed;
            own.inconclusive += counts.inconclusive;
            own.replays += counts.replays;
            for (reason, count) in &counts.reasons {
                *own.reasons.entry(reason.clone()).or_default() += count;
            }
        }
    }

    pub fn document(&self) -> Value {
        let class = |(class, counts): (&Class, &Counts)| {
            (
                class.name().to_owned(),
                json!({
                    "carried": counts.carried, "cached": counts.cached, "replayed": counts.replayed,
                    "inconclusive": counts.inconclusive, "not_carried": counts.reasons,
                    "replay_seconds": counts.replays / 1e3,
                }),
            )
        };
        Value::Object(self.0.iter().map(class).collect())
    }

    /// One line a class.
    pub fn print(&self) {
        for (class, counts) in &self.0 {
            let all = (counts.carried + counts.cached + counts.replayed).max(1) as f64;
            let share = |count: u64| format!("{count} ({:.1} %)", count as f64 / all * 100.0);
            println!(
                "  {:<13} carried {:<15} cached {:<15} replayed {:<15} inconclusive {}",
                class.name(),
                share(counts.carried),
                share(counts.cached),
                share(counts.replayed),
                counts.inconclusive
            );
            if !counts.reasons.is_empty() {
                let reasons: Vec<String> =
                    counts.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
                println!("    replayed because: {}", reasons.join(", "));
            }
        }
    }
}
