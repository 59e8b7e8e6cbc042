//! A decision with its evidence: every row of it is one link away from its statement.

use askama::Template;
use assay_control::{Explained, ExplainedRule};
use assay_gate::EvidenceItem;
use axum::extract::{Path, State};
use axum::response::Response;

use super::page;
use super::view::{self, Badge, Digest, Moment, Shell, segment};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "decision.html")]
struct DecisionPage {
    shell: Shell,
    id: String,
    release: String,
    release_link: String,
    badge: Badge,
    at: Moment,
    reasons: Vec<String>,
    rules: Vec<RuleSection>,
    statement: Digest,
    determinism: Digest,
    policy_digest: Digest,
    policy: String,
    checkpoint: String,
    artifacts: Vec<(String, Digest)>,
}

struct RuleSection {
    name: String,
    outcome: Badge,
    reasons: Vec<String>,
    evidence: Vec<EvidenceRow>,
}

struct EvidenceRow {
    incident: String,
    incident_link: String,
    role: Option<String>,
    verdict: Badge,
    mode: String,
    reason: String,
    statement: Option<Digest>,
    included: bool,
}

impl EvidenceRow {
    fn of(item: EvidenceItem) -> Self {
        Self {
            incident_link: segment(&item.incident),
            incident: item.incident,
            role: item.artifact.map(|artifact| artifact.role),
            verdict: Badge::verdict(item.verdict),
            mode: view::mode(item.mode),
            reason: item.reason,
            statement: item.statement.as_ref().map(Digest::of),
            included: item.included,
        }
    }
}

impl RuleSection {
    fn of(rule: ExplainedRule) -> Self {
        Self {
            name: rule.rule,
            outcome: Badge::outcome(rule.outcome),
            reasons: rule.reason_codes,
            evidence: rule.evidence.into_iter().map(EvidenceRow::of).collect(),
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let decided = app.control.decision(&principal, &id).await?;
    let explained: Explained = app.control.explain(&principal, &decided.id).await?;
    let document = decided.document;
    let artifacts = document.evidence.artifacts.iter();
    page(&DecisionPage {
        shell: Shell::new(format!("Decision on {}", explained.release), "releases", &principal),
        id: decided.id,
        release_link: segment(&explained.release),
        badge: Badge::ruling(explained.decision),
        at: Moment::of(explained.evaluated_at_utc),
        reasons: explained.reason_codes,
        rules: explained.rules.into_iter().map(RuleSection::of).collect(),
        statement: Digest::of(&decided.statement),
        determinism: Digest::of(&explained.determinism_hash),
        policy_digest: Digest::of(&explained.policy_digest),
        policy: document.policy,
        checkpoint: explained.checkpoint,
        artifacts: artifacts.map(|artifact| (artifact.role.clone(), Digest::of(&artifact.digest))).collect(),
        release: explained.release,
    })
}
