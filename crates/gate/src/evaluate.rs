//! The evaluation.

use std::collections::BTreeSet;

use assay_evidence::{Sha256, Timestamp};

use crate::decision::{Covered, Decision, Outcome, RuleOutcome, Ruling};
use crate::evidence::{Evidence, EvidenceItem, Mode, Verdict};
use crate::policy::{Policy, Rule};

/// Evaluates `policy` (whose text has `policy_digest`) over `evidence` at `now`.
pub fn evaluate(policy: &Policy, policy_digest: Sha256, evidence: &Evidence, now: Timestamp) -> Decision {
    let rules: Vec<RuleOutcome> = policy
        .requirements
        .iter()
        .map(|requirement| judge(&requirement.id, &requirement.rule, evidence, now))
        .collect();
    let decision = combine(&rules);
    let mut reasons: BTreeSet<String> =
        rules.iter().flat_map(|rule| rule.reason_codes.iter().cloned()).collect();
    if rules.is_empty() {
        reasons.insert("policy_empty".to_owned());
    }
    if decision == Ruling::Allow {
        reasons.insert("all_requirements_met".to_owned());
    }
    let digests: BTreeSet<Sha256> = evidence.items.iter().filter_map(|item| item.statement).collect();
    let covered =
        Covered { policy_digest: &policy_digest, evidence, evaluated_at_utc: now, decision, rules: &rules };
    Decision {
        decision,
        reason_codes: reasons.into_iter().collect(),
        policy_digest,
        evidence_digests: digests.into_iter().collect(),
        determinism_hash: covered.hash(),
        evaluated_at_utc: now,
        rules,
    }
}

fn combine(rules: &[RuleOutcome]) -> Ruling {
    if rules.is_empty() || rules.iter().any(|rule| rule.outcome == Outcome::Fail) {
        Ruling::Deny
    } else if rules.iter().any(|rule| rule.outcome == Outcome::Unknown) {
        Ruling::Pending
    } else {
        Ruling::Allow
    }
}

/// Collects what a rule finds: a failure outweighs an unknown, an unknown outweighs a pass.
struct Finding {
    outcome: Outcome,
    reasons: BTreeSet<String>,
    evidence: BTreeSet<Sha256>,
}

impl Finding {
    fn new() -> Self {
        Self { outcome: Outcome::Pass, reasons: BTreeSet::new(), evidence: BTreeSet::new() }
    }

    fn uses(&mut self, item: &EvidenceItem) {
        self.evidence.extend(item.statement);
    }

    fn fail(&mut self, reason: String) {
        self.outcome = Outcome::Fail;
        self.reasons.insert(reason);
    }

    fn unknown(&mut self, reason: String) {
        if self.outcome == Outcome::Pass {
            self.outcome = Outcome::Unknown;
        }
        self.reasons.insert(reason);
    }
}

fn judge(id: &str, rule: &Rule, evidence: &Evidence, now: Timestamp) -> RuleOutcome {
    let mut finding = Finding::new();
    match rule {
        Rule::IncidentsNotReproduced { incidents, modes } => {
            not_reproduced(&mut finding, evidence, incidents, modes);
        }
        Rule::MinimumIncidents { count } => minimum(&mut finding, evidence, *count),
        Rule::StatementsIncluded {} => included(&mut finding, evidence),
        Rule::MaximumAge { hours } => fresh(&mut finding, evidence, *hours, now),
    }
    RuleOutcome {
        rule: id.to_owned(),
        outcome: finding.outcome,
        reason_codes: finding.reasons.into_iter().collect(),
        evidence: finding.evidence.into_iter().collect(),
    }
}

fn not_reproduced(
    finding: &mut Finding,
    evidence: &Evidence,
    incidents: &BTreeSet<String>,
    modes: &BTreeSet<Mode>,
) {
    let in_scope = |item: &&EvidenceItem| incidents.is_empty() || incidents.contains(&item.incident);
    for item in evidence.items.iter().filter(in_scope) {
        finding.uses(item);
        let incident = &item.incident;
        let accepted = modes.is_empty() || item.mode.is_some_and(|mode| modes.contains(&mode));
        match item.verdict {
            Verdict::Reproduced => finding.fail(format!("incident_reproduced:{incident}")),
            Verdict::Inconclusive => finding.unknown(format!("incident_unknown:{incident}:{}", item.reason)),
            Verdict::NotReproduced if item.statement.is_none() => {
                finding.unknown(format!("verdict_not_stated:{incident}"));
            }
            Verdict::NotReproduced if !accepted => finding.unknown(format!("mode_not_accepted:{incident}")),
            Verdict::NotReproduced => {}
        }
    }
    for missing in incidents.iter().filter(|id| evidence.items.iter().all(|item| item.incident != **id)) {
        finding.unknown(format!("incident_unknown:{missing}:no_evidence"));
    }
}

fn minimum(finding: &mut Finding, evidence: &Evidence, count: u32) {
    let with_evidence: BTreeSet<&String> =
        evidence.items.iter().filter(|item| item.statement.is_some()).map(|item| &item.incident).collect();
    evidence.items.iter().for_each(|item| finding.uses(item));
    if with_evidence.len() < count as usize {
        finding.unknown("too_few_incidents".to_owned());
    }
}

fn included(finding: &mut Finding, evidence: &Evidence) {
    for item in evidence.items.iter().filter(|item| item.statement.is_some()) {
        finding.uses(item);
        if !item.included {
            finding.unknown(format!("evidence_not_included:{}", item.incident));
        }
    }
}

fn fresh(finding: &mut Finding, evidence: &Evidence, hours: u32, now: Timestamp) {
    let oldest = now.plus_seconds(-i64::from(hours) * 3600);
    for item in evidence.items.iter().filter(|item| item.statement.is_some()) {
        finding.uses(item);
        // A run from the future is no fresher than none: the clocks disagree.
        if item.observed_at.is_none_or(|at| at < oldest || at > now) {
            finding.unknown(format!("evidence_too_old:{}", item.incident));
        }
    }
}
