//! The gate's three values, its refusals, and that it repeats itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

use assay_evidence::{Sha256, Timestamp};
use assay_gate::{Artifact, Evidence, EvidenceItem, Mode, Policy, PolicyError, Ruling, Verdict, evaluate};
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

const DEFAULT: &str = include_str!("../../../../policies/default.toml");
const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn item(incident: &str, verdict: Verdict) -> EvidenceItem {
    let digest = Sha256::of(incident.as_bytes());
    EvidenceItem {
        incident: incident.to_owned(),
        artifact: Some(Artifact { role: "tool".into(), digest }),
        verdict,
        mode: Some(Mode::Replayed),
        reason: "fixed_observation".into(),
        statement: Some(digest),
        included: true,
        observed_at: Some(NOW.plus_seconds(-60)),
    }
}

fn decide(policy: &str, items: Vec<EvidenceItem>) -> assay_gate::Decision {
    let evidence = Evidence::new("app-1.1".into(), Vec::new(), items, "log 1".into());
    evaluate(&Policy::parse(policy).unwrap(), Policy::digest_of(policy), &evidence, NOW)
}

#[test]
fn allows_only_when_everything_passes() {
    let decision = decide(DEFAULT, vec![item("A", Verdict::NotReproduced)]);
    assert_eq!(decision.decision, Ruling::Allow);
    assert_eq!(decision.reason_codes, ["all_requirements_met"]);
}

#[test]
fn denies_what_is_reproduced_and_names_it() {
    let items = vec![
        item("B", Verdict::Reproduced),
        item("A", Verdict::Reproduced),
        item("C", Verdict::NotReproduced),
    ];
    let decision = decide(DEFAULT, items);
    assert_eq!(decision.decision, Ruling::Deny);
    assert_eq!(decision.reason_codes, ["incident_reproduced:A", "incident_reproduced:B"]);
}

#[test]
fn unknown_never_promotes() {
    let mut unmatched = item("A", Verdict::Inconclusive);
    unmatched.artifact = None;
    unmatched.statement = None;
    unmatched.reason = "no_artifact_for_role".into();
    let decision = decide(DEFAULT, vec![unmatched, item("B", Verdict::NotReproduced)]);
    assert_eq!(decision.decision, Ruling::Pending);
    assert_eq!(decision.reason_codes, ["incident_unknown:A:no_artifact_for_role"]);
}

#[test]
fn an_empty_policy_denies_and_no_evidence_is_pending() {
    assert_eq!(decide("name = 'empty'", vec![item("A", Verdict::NotReproduced)]).decision, Ruling::Deny);
    assert_eq!(decide(DEFAULT, Vec::new()).decision, Ruling::Pending);
}

#[test]
fn evidence_outside_the_head_or_too_old_is_unknown() {
    let mut outside = item("A", Verdict::NotReproduced);
    outside.included = false;
    assert_eq!(decide(DEFAULT, vec![outside]).decision, Ruling::Pending);
    let aged = "name = 'x'\n[[requirement]]\nid = 'fresh'\nrule = { type = 'maximum_age', hours = 1 }";
    for (seconds, ruling) in [(-3600, Ruling::Allow), (-3601, Ruling::Pending), (1, Ruling::Pending)] {
        let mut aging = item("A", Verdict::NotReproduced);
        aging.observed_at = Some(NOW.plus_seconds(seconds));
        assert_eq!(decide(aged, vec![aging]).decision, ruling, "{seconds}");
    }
}

#[test]
fn a_named_incident_without_evidence_is_unknown_and_a_mode_can_be_asked_for() {
    let named = "name = 'x'\n[[requirement]]\nid = 'n'\nrule = { type = 'incidents_not_reproduced', incidents = ['Z'] }";
    assert_eq!(decide(named, vec![item("A", Verdict::NotReproduced)]).decision, Ruling::Pending);
    let replayed = "name = 'x'\n[[requirement]]\nid = 'n'\nrule = { type = 'incidents_not_reproduced', modes = ['replayed'] }";
    let mut carried = item("A", Verdict::NotReproduced);
    carried.mode = Some(Mode::CarriedOver);
    assert_eq!(decide(replayed, vec![carried]).decision, Ruling::Pending);
}

#[test]
fn unknown_words_are_refused() {
    for text in [
        "name = 'x'\nextra = 1",
        "name = 'x'\n[[requirement]]\nid = 'a'\nrule = { type = 'allow_everything' }",
        "name = 'x'\n[[requirement]]\nid = 'a'\nrule = { type = 'maximum_age', hours = 1, days = 2 }",
        "name = 1",
    ] {
        assert!(matches!(Policy::parse(text), Err(PolicyError::Malformed { .. })), "{text}");
    }
    let twice = "name = 'x'\n[[requirement]]\nid = 'a'\nrule = { type = 'statements_included' }\n".to_owned();
    let twice = format!("{twice}[[requirement]]\nid = 'a'\nrule = {{ type = 'statements_included' }}\n");
    assert!(matches!(Policy::parse(&twice), Err(PolicyError::Duplicate { .. })));
}

proptest! {
    #[test]
    fn the_order_of_evidence_changes_nothing(
        verdicts in proptest::collection::vec(
            prop_oneof![Just(Verdict::Reproduced), Just(Verdict::NotReproduced), Just(Verdict::Inconclusive)].boxed(), 0..8),
        turn in 0usize..8,
    ) {
        let items: Vec<_> = verdicts.iter().enumerate().map(|(n, v)| item(&format!("I{n}"), *v)).collect();
        let mut turned = items.clone();
        if !turned.is_empty() {
            turned.rotate_left(turn % items.len());
        }
        let decision = decide(DEFAULT, items);
        assert_eq!(decision, decide(DEFAULT, turned));
        let expected = if verdicts.contains(&Verdict::Reproduced) {
            Ruling::Deny
        } else if verdicts.is_empty() || verdicts.contains(&Verdict::Inconclusive) {
            Ruling::Pending
        } else {
            Ruling::Allow
        };
        assert_eq!(decision.decision, expected);
    }
}
