//! From a run to a verdict: pure, and never a guess.

use assay_gate::Verdict;
use assay_witness::{Ending, LimitKind, Output, RunReport};

use crate::expectation::{GUARD_FACTOR, Side, signal_name};
use crate::incident::IncidentDefinition;
use crate::observation::{decisive_fault, fault_names, most_repeated};
use crate::pattern;
use crate::stacks::fault_fingerprint;

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, as a stable code.
    pub reason: String,
    /// Whether the recorded path was reached, where there is one.
    pub reached: Option<bool>,
}

impl Judgement {
    fn new(verdict: Verdict, reason: impl Into<String>, reached: Option<bool>) -> Self {
        Self { verdict, reason: reason.into(), reached }
    }
}

/// Judges a run of a witness of `definition`.
pub fn judge(definition: &IncidentDefinition, report: &RunReport, reached: Option<bool>) -> Judgement {
    if let Ending::Unsupported { code, .. } = &report.ending {
        return Judgement::new(Verdict::Inconclusive, code.clone(), reached);
    }
    let vulnerable = &definition.expect.vulnerable;
    let package = definition.package_path();
    if !vulnerable.is_empty() && mismatch(vulnerable, report, package.as_deref(), Budget::Over).is_none() {
        return Judgement::new(Verdict::Reproduced, "expected_observation", reached);
    }
    if report.switches_missed > 0 {
        // What it takes to show was not done, so that nothing was shown proves nothing.
        return Judgement::new(Verdict::Inconclusive, "schedule_not_followed", reached);
    }
    match &definition.expect.fixed {
        Some(fixed) if !fixed.is_empty() => {
            if mismatch(fixed, report, package.as_deref(), Budget::Within).is_none() {
                return Judgement::new(Verdict::NotReproduced, "fixed_observation", reached);
            }
        }
        _ => {
            // Without a declared fixed side only a good end after the recorded path is evidence.
            if matches!(report.ending, Ending::Exited { code: 0 }) && reached == Some(true) {
                return Judgement::new(Verdict::NotReproduced, "path_reached", reached);
            }
        }
    }
    Judgement::new(Verdict::Inconclusive, unexplained(definition, report, reached), reached)
}

/// Why a run that shows neither side says nothing.
fn unexplained(definition: &IncidentDefinition, report: &RunReport, reached: Option<bool>) -> String {
    if definition.kind == crate::Kind::Budget && in_guard_band(definition, report) {
        return "cpu_guard_band".to_owned();
    }
    match &report.ending {
        Ending::LimitExceeded { .. } => "limit_exceeded".to_owned(),
        Ending::Signalled { .. } => "failed_differently".to_owned(),
        Ending::Deadlocked => "deadlocked".to_owned(),
        _ if reached == Some(false) => "not_reached".to_owned(),
        Ending::Exited { code: 0 } if reached.is_none() => "not_reached".to_owned(),
        _ => "unexpected_observation".to_owned(),
    }
}

fn in_guard_band(definition: &IncidentDefinition, report: &RunReport) -> bool {
    definition.expect.vulnerable.cpu_budget_milliseconds.is_some_and(|budget| {
        let over = matches!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime });
        !over && report.cpu_micros > budget * 1000 / GUARD_FACTOR
    })
}

/// Whether a run shows what the vulnerable side of an incident is expected to.
pub fn shows_vulnerable(definition: &IncidentDefinition, report: &RunReport) -> bool {
    let package = definition.package_path();
    mismatch(&definition.expect.vulnerable, report, package.as_deref(), Budget::Over).is_none()
}

/// Which side of a budget is meant.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    Over,
    Within,
}

/// The first key of `side` that the run does not satisfy.
pub(crate) fn mismatch(
    side: &Side,
    report: &RunReport,
    package: Option<&str>,
    budget: Budget,
) -> Option<String> {
    let fails = |holds: bool, what: &str| (!holds).then(|| what.to_owned());
    let exit = side.exit.and_then(|code| fails(report.ending == Ending::Exited { code }, "exit"));
    let signal = side.signal.as_ref().and_then(|name| {
        let ended = matches!(&report.ending, Ending::Signalled { signal } if signal_name(*signal) == *name);
        fails(ended, "signal")
    });
    let exact = side.stdout_exact.as_ref().and_then(|text| {
        fails(report.stdout.digest == assay_evidence::Sha256::of(text.as_bytes()), "stdout_exact")
    });
    let stdout = contains(&side.stdout_contains, &report.stdout.head, "stdout_contains");
    let stderr = contains(&side.stderr_contains, &report.stderr.head, "stderr_contains");
    let printed = [
        patterned(&side.stdout_pattern, &report.stdout, "stdout_pattern"),
        patterned(&side.stderr_pattern, &report.stderr, "stderr_pattern"),
    ];
    let stack = side
        .stack_fingerprint
        .and_then(|wanted| fails(fault_fingerprint(report) == Some(wanted), "stack_fingerprint"));
    let names = decisive_fault(report).map(fault_names).unwrap_or_default();
    let faulting = side.faulting_function.as_ref().and_then(|wanted| {
        let innermost = names.iter().find(|name| package.is_none_or(|package| name.contains(package)));
        fails(innermost.is_some_and(|name| name.contains(wanted.as_str())), "faulting_function")
    });
    let repeated = side.repeated_function.as_ref().and_then(|wanted| {
        let most = most_repeated(&names).is_some_and(|(name, n)| n > 1 && name.contains(wanted.as_str()));
        fails(most, "repeated_function")
    });
    let time = side.cpu_budget_milliseconds.and_then(|milliseconds| {
        let holds = match budget {
            Budget::Over => matches!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime }),
            Budget::Within => report.cpu_micros <= milliseconds * 1000 / GUARD_FACTOR,
        };
        fails(holds, "cpu_budget_milliseconds")
    });
    let others = [exit, signal, exact, stdout, stderr, faulting, repeated, stack, time];
    others.into_iter().chain(printed).flatten().next()
}

fn contains(wanted: &Option<String>, head: &[u8], what: &str) -> Option<String> {
    let wanted = wanted.as_ref()?;
    let found = wanted.is_empty() || head.windows(wanted.len()).any(|window| window == wanted.as_bytes());
    (!found).then(|| what.to_owned())
}

fn patterned(wanted: &Option<String>, output: &Output, what: &str) -> Option<String> {
    let wanted = wanted.as_ref()?;
    (!pattern::found(wanted, output)).then(|| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(fixed: &str) -> IncidentDefinition {
        let text = format!(
            r#"{{"id":"RACE-1","role":"tool","expect":{{"vulnerable":{{"signal":"SIGSEGV"}}{fixed}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn report(ending: Ending, switches_missed: u32) -> RunReport {
        let digest = format!("sha256:{}", "0".repeat(64));
        let output = serde_json::json!({ "digest": digest, "bytes": 0, "head": [] });
        let report = serde_json::json!({
            "ending": ending, "stdout": output, "stderr": output, "faults": [], "events": 1,
            "traceDigest": digest, "functionsExecuted": [], "unknownCode": [], "generatedCode": false,
            "modules": [], "filesOpened": [], "switchesMissed": switches_missed, "trace": [],
            "cpuMicros": 1, "wallMicros": 1,
            "environmentClass": { "cpuVendor": "", "cpuSignature": 0, "cpuFeatures": digest,
                "runnerVersion": "", "profile": assay_witness::Profile::Full },
        });
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn a_searched_schedule_that_was_not_followed_is_never_a_pass() {
        let plain = definition("");
        let declared = definition(r#","fixed":{"exit":0}"#);
        let exits = Ending::Exited { code: 0 };
        for definition in [&plain, &declared] {
            let followed = judge(definition, &report(exits.clone(), 0), Some(true));
            assert_eq!(followed.verdict, Verdict::NotReproduced);
            let missed = judge(definition, &report(exits.clone(), 1), Some(true));
            assert_eq!(missed.verdict, Verdict::Inconclusive);
            assert_eq!(missed.reason, "schedule_not_followed");
            // What shows all the same is shown.
            let shown = judge(definition, &report(Ending::Signalled { signal: 11 }, 1), Some(true));
            assert_eq!(shown.verdict, Verdict::Reproduced);
        }
    }
}
