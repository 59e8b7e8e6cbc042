//! Making a witness smaller: replays decide what can go.

use std::time::{Duration, Instant};

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_witness::RunReport;
use assay_witness::minimize::{Candidate, Size, Tried, minimize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predicates::Origin;
use crate::privacy::{shown, still_shows};
use crate::running::{How, Ready};
use crate::{NewWitness, Verifier, VerifyError, VerifyResult};

/// Replays of the result that must agree before it is kept.
const CONFIRMATIONS: usize = 3;
/// Replays that admit it: three at the fixed layout and three elsewhere.
const CHECKS: u32 = 6;
/// The most replays of one minimization.
pub const MAX_BUDGET: u32 = 100_000;
/// The most seconds of one minimization.
pub const MAX_SECONDS: u64 = 3600;

/// How far minimizing goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct MinimizeRequest {
    /// At most this many replays, 1 to 100,000.
    pub budget: u32,
    /// At most this many seconds, 1 to 3,600.
    pub seconds: u64,
    /// Whether arguments may be dropped too.
    #[serde(default)]
    pub arguments: bool,
}

/// What minimizing gave.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct MinimizeOutcome {
    /// The smaller witness; the parent itself where nothing could go.
    pub witness: Sha256,
    /// What it was made from.
    pub parent: Sha256,
    /// The incident.
    pub incident: String,
    /// Its statement, which names the parent.
    pub statement: Sha256,
    /// Whether its replays agreed.
    pub admitted: bool,
    /// Replays made.
    pub replays: u32,
    /// Whether the search ended by itself rather than at its budget.
    pub complete: bool,
    /// The parent's size.
    pub before: Size,
    /// The witness's size.
    pub after: Size,
    /// How long it took.
    pub milliseconds: f64,
}

impl Verifier {
    /// Drops files, variables, arguments and input of a witness while replays still show its incident;
    /// takes in what is left as a witness of the same incident.
    pub async fn minimize(
        &self,
        principal: &Principal,
        id: &Sha256,
        request: MinimizeRequest,
        now: Timestamp,
    ) -> VerifyResult<MinimizeOutcome> {
        principal.require(Permission::AddEvidence)?;
        principal.require(Permission::Verify)?;
        let started = Instant::now();
        let parent = self.ready(principal.tenant(), id).await?;
        let first = self.run(&parent, None, How::default()).await?.report;
        let package = &parent.definition;
        still_shows(package, &first, &first).map_err(|detail| self.not_shown(&parent, detail))?;
        let before = Size::of(&parent.capsule);
        let (verifier, handle) = (self.clone(), tokio::runtime::Handle::current());
        let search = move || Search::new(verifier, handle, parent, first, request, started).run();
        let found = tokio::task::spawn_blocking(search).await.map_err(|_| VerifyError::Stopped)??;
        let after = Size::of(&found.best.capsule);
        let mut outcome = MinimizeOutcome {
            witness: *id,
            parent: *id,
            incident: found.parent.row.incident.clone(),
            statement: found.parent.row.statement,
            admitted: found.parent.row.admitted,
            replays: found.replays,
            complete: found.complete,
            before,
            after,
            milliseconds: 0.0,
        };
        if assay_witness::witness_id(&found.best.capsule) != *id {
            self.keep_smaller(principal, found, &mut outcome, now).await?;
        }
        outcome.milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        Ok(outcome)
    }

    async fn keep_smaller(
        &self,
        principal: &Principal,
        found: Found,
        outcome: &mut MinimizeOutcome,
        now: Timestamp,
    ) -> VerifyResult<()> {
        if let Some(blob) = found.best.capsule.stdin {
            debug_assert_eq!(blob.digest, Sha256::of(&found.best.stdin));
            self.store().blobs().put_content(principal.tenant(), found.best.stdin).await?;
        }
        let redaction = found.parent.origin.and_then(|origin| origin.redaction);
        let new = NewWitness {
            incident: found.parent.row.incident,
            capsule: found.best.capsule,
            role: found.parent.row.role,
            origin: Some(Origin { minimized_from: Some(outcome.parent), redaction, imported_from: None }),
        };
        let witness = self.add_witness(principal, new, now).await?.witness;
        outcome.admitted = self.check(principal, &witness, CHECKS, now).await?.admitted;
        let (info, _) = self.witness(principal, &witness).await?;
        (outcome.witness, outcome.statement) = (witness, info.statement);
        Ok(())
    }

    fn not_shown(&self, ready: &Ready, detail: String) -> VerifyError {
        VerifyError::NotShown { incident: ready.definition.id.clone(), detail }
    }
}

/// What the search found.
struct Found {
    parent: Ready,
    best: Candidate,
    replays: u32,
    complete: bool,
}

/// The search, on a thread of its own.
struct Search {
    verifier: Verifier,
    handle: tokio::runtime::Handle,
    parent: Ready,
    first: RunReport,
    request: MinimizeRequest,
    deadline: Instant,
    replays: u32,
    complete: bool,
    folder: Option<tempfile::TempDir>,
}

impl Search {
    fn new(
        verifier: Verifier,
        handle: tokio::runtime::Handle,
        parent: Ready,
        first: RunReport,
        request: MinimizeRequest,
        started: Instant,
    ) -> Self {
        let seconds = Duration::from_secs(request.seconds.clamp(1, MAX_SECONDS));
        let deadline = started + seconds;
        Self { verifier, handle, parent, first, request, deadline, replays: 1, complete: true, folder: None }
    }

    fn run(mut self) -> VerifyResult<Found> {
        let folder = tempfile::tempdir().map_err(|source| assay_witness::WitnessError::File {
            path: "a temporary folder".to_owned(),
            source,
        })?;
        self.folder = Some(folder);
        let stdin = match self.parent.capsule.stdin {
            Some(blob) => self.read(&blob.digest)?,
            None => Vec::new(),
        };
        let whole = Candidate { capsule: self.parent.capsule.clone(), stdin };
        let arguments = self.request.arguments;
        let mut best = minimize(whole.clone(), arguments, &mut |candidate| self.tried(candidate))?;
        if !self.confirmed(&best)? {
            best = whole;
        }
        let Self { parent, replays, complete, .. } = self;
        Ok(Found { parent, best, replays, complete })
    }

    fn read(&self, digest: &Sha256) -> VerifyResult<Vec<u8>> {
        let failed = |source| assay_witness::WitnessError::Bytes { digest: *digest, source };
        let path =
            self.parent.files.0.get(digest).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        Ok(std::fs::read(path).map_err(failed)?)
    }

    fn tried(&mut self, candidate: &Candidate) -> VerifyResult<Tried> {
        let budget = self.request.budget.clamp(1, MAX_BUDGET);
        if self.replays >= budget || Instant::now() >= self.deadline {
            self.complete = false;
            return Ok(Tried::Stop);
        }
        if candidate.capsule.validate().is_err() {
            return Ok(Tried::Lost);
        }
        let report = self.replay(candidate)?;
        let holds = still_shows(&self.parent.definition, &self.first, &report).is_ok();
        Ok(if holds { Tried::Holds } else { Tried::Lost })
    }

    /// Replays of the result agree, and still show the incident.
    fn confirmed(&mut self, best: &Candidate) -> VerifyResult<bool> {
        let mut digests = std::collections::BTreeSet::new();
        for _ in 0..CONFIRMATIONS {
            let report = self.replay(best)?;
            if still_shows(&self.parent.definition, &self.first, &report).is_err() {
                return Ok(false);
            }
            digests.insert((shown(&report), report.trace_digest));
        }
        Ok(digests.len() == 1)
    }

    fn replay(&mut self, candidate: &Candidate) -> VerifyResult<RunReport> {
        self.replays += 1;
        let mut ready = self.parent.clone();
        ready.capsule = candidate.capsule.clone();
        if let (Some(blob), Some(folder)) = (candidate.capsule.stdin, &self.folder)
            && !ready.files.0.contains_key(&blob.digest)
        {
            let path = folder.path().join("stdin");
            std::fs::write(&path, &candidate.stdin).map_err(|source| assay_witness::WitnessError::File {
                path: path.display().to_string(),
                source,
            })?;
            ready.files.0.insert(blob.digest, path);
        }
        let run = self.handle.block_on(self.verifier.run(&ready, None, How::default()));
        Ok(run?.report)
    }
}
