//! Releases and their decisions.

use askama::Template;
use assay_control::{Decided, Release};
use assay_gate::{EvidenceItem, Verdict};
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::page;
use super::view::{Badge, Digest, Moment, Shell, bytes, segment};
use crate::api::Asked;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Releases on one page: each asks for its newest decision.
const PAGE: u32 = 25;

#[derive(Deserialize)]
pub(super) struct Cursor {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    shell: Shell,
    releases: Vec<ReleaseRow>,
    first: bool,
    next: Option<String>,
}

struct ReleaseRow {
    name: String,
    link: String,
    artifacts: usize,
    created: Moment,
    decision: Option<DecisionRow>,
}

/// A decision in a list.
struct DecisionRow {
    id: String,
    badge: Badge,
    at: Moment,
    counts: Counts,
    reasons: usize,
    statement: Digest,
}

/// Verdicts by word.
struct Counts {
    reproduced: usize,
    not_reproduced: usize,
    inconclusive: usize,
}

impl Counts {
    fn of(items: &[EvidenceItem]) -> Self {
        let count = |verdict| items.iter().filter(|item| item.verdict == verdict).count();
        Self {
            reproduced: count(Verdict::Reproduced),
            not_reproduced: count(Verdict::NotReproduced),
            inconclusive: count(Verdict::Inconclusive),
        }
    }
}

impl DecisionRow {
    fn of(decided: &Decided) -> Self {
        let decision = &decided.document.decision;
        Self {
            id: decided.id.clone(),
            badge: Badge::ruling(decision.decision),
            at: Moment::of(decision.evaluated_at_utc),
            counts: Counts::of(&decided.document.evidence.items),
            reasons: decision.reason_codes.len(),
            statement: Digest::of(&decided.statement),
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(cursor): Asked<Cursor>,
) -> Result<Response, Problem> {
    let after = cursor.after.unwrap_or_default();
    let mut found = app.control.releases(&principal, &after, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let next = found.last().filter(|_| more).map(|release| segment(&release.release));
    let mut releases = Vec::new();
    for Release { release, artifacts, created_at } in found {
        let decided = app.control.newest_decision(&principal, &release).await?;
        releases.push(ReleaseRow {
            link: segment(&release),
            artifacts: artifacts.len(),
            created: Moment::of(created_at),
            decision: decided.as_ref().map(DecisionRow::of),
            name: release,
        });
    }
    let shell = Shell::new("Releases", "releases", &principal);
    page(&ReleasesPage { shell, releases, first: after.is_empty(), next })
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    shell: Shell,
    name: String,
    link: String,
    created: Moment,
    newest: Option<Badge>,
    artifacts: Vec<ArtifactRow>,
    decisions: Vec<DecisionRow>,
}

struct ArtifactRow {
    role: String,
    name: String,
    size: String,
    digest: Digest,
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let release = app.control.release(&principal, &name).await?;
    let decisions = app.control.decisions(&principal, &name).await?;
    let artifact = |artifact: &assay_control::ArtifactRef| ArtifactRow {
        role: artifact.role.clone(),
        name: artifact.name.clone(),
        size: bytes(artifact.size),
        digest: Digest::of(&artifact.digest),
    };
    page(&ReleasePage {
        shell: Shell::new(release.release.as_str(), "releases", &principal),
        link: segment(&release.release),
        created: Moment::of(release.created_at),
        newest: decisions.first().map(|decided| Badge::ruling(decided.document.decision.decision)),
        artifacts: release.artifacts.iter().map(artifact).collect(),
        decisions: decisions.iter().map(DecisionRow::of).collect(),
        name: release.release,
    })
}
