//! Taking in, checking and replaying witnesses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use assay_access::{Permission, Principal};
use assay_binary::{CodeMap, Image};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, json, predicate};
use assay_gate::Verdict;
use assay_notary::{Notary, Prepared};
use assay_store::StoreError;
use assay_witness::{Capsule, CoveragePlan, Layout, MapSource, ReplayRequest, RunReport};
use serde::{Deserialize, Serialize};

use crate::demangle::demangle;
use crate::judge::{Budget, judge, mismatch};
use crate::observation::{Observation, decisive_fault};
use crate::path::{executed_names, reached, recorded_path};
use crate::predicates::MicroWitness;
use crate::run::{StoredRun, environment_digest};
use crate::sql::WitnessRow;
use crate::{IncidentDefinition, Verifier, VerifyError, VerifyResult, sql};

/// Of `n` replays this many, and at least three, load everything elsewhere.
const ELSEWHERE_SHARE: u32 = 3;
/// The function of Rust's standard library that every panic passes, after its message was printed.
const PANIC_HOOK_END: &str = "rust_panic";
/// The most replays of one check.
pub const MAX_REPLAYS: u32 = 1000;

/// A witness to take in: the capsule whose files are in the store already.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewWitness {
    /// The incident, defined already.
    pub incident: String,
    /// The capsule.
    pub capsule: Capsule,
    /// The role of the artifact under test.
    pub role: String,
}

/// A witness in a list.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WitnessInfo {
    /// Its id: the capsule's OCI manifest digest.
    pub witness: Sha256,
    /// The incident.
    pub incident: String,
    /// The role under test.
    pub role: String,
    /// The recorded artifact.
    pub artifact: Sha256,
    /// Digest of the observation at the fixed layout.
    pub observation: Sha256,
    /// Whether replays agreed.
    pub admitted: bool,
    /// Whether it depends on where things lie.
    pub layout_sensitive: bool,
    /// Replays that were compared.
    pub replays: i64,
    /// The functions that a run must reach.
    pub recorded_path: Vec<String>,
    /// Its statement.
    pub statement: Sha256,
    /// When it was taken in.
    pub created_at: Timestamp,
}

impl WitnessInfo {
    pub(crate) fn of(row: &WitnessRow) -> Self {
        Self {
            witness: row.id,
            incident: row.incident.clone(),
            role: row.role.clone(),
            artifact: row.artifact,
            observation: row.observation,
            admitted: row.admitted,
            layout_sensitive: row.layout_sensitive,
            replays: row.replays,
            recorded_path: row.recorded_path.clone(),
            statement: row.statement,
            created_at: row.created_at,
        }
    }
}

/// What checking a witness found.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct CheckOutcome {
    /// The witness.
    pub witness: Sha256,
    /// Replays made.
    pub replays: u32,
    /// Of these, with everything loaded elsewhere.
    pub replays_elsewhere: u32,
    /// Observations seen at the fixed layout.
    pub distinct_observations: usize,
    /// Event traces seen at the fixed layout.
    pub distinct_traces: usize,
    /// Whether observation, trace or executed functions changed with the layout.
    pub layout_sensitive: bool,
    /// What changed with the layout: `observation`, `trace`, `functions`.
    pub layout_differences: Vec<&'static str>,
    /// Whether it may be used.
    pub admitted: bool,
    /// The first event that differed at the fixed layout.
    pub diverged_at: Option<u64>,
    /// The median time of one replay.
    pub milliseconds: f64,
}

/// What one replay showed.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ReplayOutcome {
    /// The witness.
    pub witness: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// Always `replayed`.
    pub mode: assay_gate::Mode,
    /// Why.
    pub reason: String,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// What the run showed.
    pub observation: Observation,
    /// How long it took.
    pub milliseconds: f64,
    /// Virtual events.
    pub events: u64,
    /// Executed functions of the subject, by name.
    pub functions_executed: Vec<String>,
    /// The beginning of the standard output.
    pub stdout: String,
    /// The beginning of the standard error.
    pub stderr: String,
}

/// A capsule with everything that a replay of it needs at hand.
pub(crate) struct Ready {
    pub row: WitnessRow,
    pub definition: IncidentDefinition,
    pub capsule: Capsule,
    pub files: MapSource,
}

/// One run with its time.
pub(crate) struct Timed {
    pub report: RunReport,
    pub milliseconds: f64,
    pub executed_names: BTreeSet<String>,
}

impl Verifier {
    /// Takes in a witness: replays it, checks that it shows its incident, captures the stack, and
    /// states all of it.
    pub async fn add_witness(
        &self,
        principal: &Principal,
        new: NewWitness,
        now: Timestamp,
    ) -> VerifyResult<WitnessInfo> {
        principal.require(Permission::AddEvidence)?;
        let tenant = principal.tenant();
        let (definition, _) = self.definition(tenant, &new.incident).await?;
        let row = self.draft(tenant, &definition, &new).await?;
        if let Some(known) = sql::witness(self.store().database(), tenant, &row.id).await? {
            if known.incident == row.incident {
                return Ok(WitnessInfo::of(&known));
            }
            let (id, incident) = (known.id, known.incident);
            return Err(VerifyError::WitnessExists { id, incident });
        }
        let files = self.files(tenant, &new.capsule).await?;
        let ready = Ready { row, definition, capsule: new.capsule, files };
        let run = self.run(&ready, None, Layout::Fixed).await?;
        let package = ready.definition.package_path();
        let expected = &ready.definition.expect.vulnerable;
        if let Some(detail) = mismatch(expected, &run.report, package.as_deref(), Budget::Over) {
            return Err(VerifyError::NotShown { incident: ready.definition.id, detail });
        }
        let mut row = ready.row.clone();
        row.observation = Observation::of(&run.report).digest();
        row.trace = run.report.trace_digest;
        row.recorded_path = recorded_path(&ready.definition, &run.report, &run.executed_names);
        row.replays = 1;
        row.created_at = now;
        let witness = self.state_witness(tenant, &ready, &mut row, &run.report, now).await?;
        let stack = self.state_stack(tenant, &row, &run.report, now).await?;
        let (row_ref, statements) =
            (&row, &[Some(witness), stack.as_ref().map(|stack| stack.prepared.clone())]);
        let stack = &stack;
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                sql::insert_witness(&tx, tenant, row_ref).await?;
                for prepared in statements.iter().flatten() {
                    Notary::accept(&tx, tenant, prepared).await?;
                }
                if let Some(stack) = stack {
                    stack.insert(&tx, tenant, now).await?;
                }
                Ok(())
            })
            .await;
        written?;
        self.notary().publish(tenant, now).await?;
        Ok(WitnessInfo::of(&row))
    }

    async fn draft(
        &self,
        tenant: &TenantId,
        definition: &IncidentDefinition,
        new: &NewWitness,
    ) -> VerifyResult<WitnessRow> {
        new.capsule.validate().map_err(assay_witness::WitnessError::from)?;
        let known =
            || new.capsule.subjects.iter().map(|slot| slot.role.as_str()).collect::<Vec<_>>().join(", ");
        let slot = new.capsule.subjects.iter().find(|slot| slot.role == new.role);
        let slot = slot.ok_or_else(|| VerifyError::UnknownRole { role: new.role.clone(), known: known() })?;
        let artifact = new.capsule.file(&slot.path).and_then(|file| match file.kind {
            assay_witness::FileKind::Regular { digest, .. } => Some(digest),
            _ => None,
        });
        let artifact =
            artifact.ok_or_else(|| VerifyError::UnknownRole { role: new.role.clone(), known: known() })?;
        let bytes = json::canonical(&new.capsule)?;
        self.store().blobs().put_content(tenant, bytes.clone()).await?;
        self.store().blobs().put_content(tenant, assay_witness::manifest(&new.capsule)).await?;
        let none = Sha256::of(b"");
        Ok(WitnessRow {
            id: assay_witness::witness_id(&new.capsule),
            incident: definition.id.clone(),
            role: new.role.clone(),
            subject_path: slot.path.clone(),
            artifact,
            capsule: Sha256::of(&bytes),
            recorded_path: Vec::new(),
            observation: none,
            trace: none,
            admitted: false,
            layout_sensitive: false,
            replays: 0,
            statement: none,
            created_at: Timestamp::default(),
        })
    }

    async fn state_witness(
        &self,
        tenant: &TenantId,
        ready: &Ready,
        row: &mut WitnessRow,
        report: &RunReport,
        now: Timestamp,
    ) -> VerifyResult<Prepared> {
        let body = MicroWitness {
            incident: row.incident.clone(),
            witness: row.id,
            role: row.role.clone(),
            artifact: row.artifact,
            observation: Observation::of(report),
            observation_digest: row.observation,
            trace_digest: row.trace,
            layout_sensitive: row.layout_sensitive,
            replays: u32::try_from(row.replays).unwrap_or(u32::MAX),
            recorded_path: row.recorded_path.clone(),
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            environment: environment_digest(report),
        };
        let subjects = vec![
            Subject::new(row.role.clone(), row.artifact),
            Subject::new(format!("witness of {}", ready.definition.id), row.id),
        ];
        let statement = Statement::new(predicate::MICRO_WITNESS, subjects, &body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        row.statement = *prepared.digest();
        Ok(prepared)
    }

    /// Replays a witness `n` times, at least three of them elsewhere, and admits it if all agree.
    pub async fn check(
        &self,
        principal: &Principal,
        id: &Sha256,
        n: u32,
        now: Timestamp,
    ) -> VerifyResult<CheckOutcome> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let ready = self.ready(tenant, id).await?;
        let n = n.clamp(1, MAX_REPLAYS);
        let elsewhere = (n / ELSEWHERE_SHARE).max(3).min(n.saturating_sub(1));
        let mut fixed = Vec::new();
        let mut moved = Vec::new();
        for turn in 0..n {
            let layout =
                if turn < n - elsewhere { Layout::Fixed } else { Layout::Elsewhere(u64::from(turn) + 1) };
            let run = self.run(&ready, None, layout).await?;
            let target = if turn < n - elsewhere { &mut fixed } else { &mut moved };
            target.push(run);
        }
        let outcome = compare(*id, n, &fixed, &moved, &ready.row);
        let mut row = ready.row.clone();
        row.admitted = outcome.admitted;
        row.layout_sensitive = outcome.layout_sensitive;
        row.replays = i64::from(n);
        let prepared = self.state_witness(tenant, &ready, &mut row, &fixed[0].report, now).await?;
        let (row, prepared) = (&row, &prepared);
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                sql::insert_witness(&tx, tenant, row).await?;
                Notary::accept(&tx, tenant, prepared).await
            })
            .await;
        written?;
        self.notary().publish(tenant, now).await?;
        Ok(outcome)
    }

    /// Replays a witness, on another build if one is given; nothing is kept.
    pub async fn replay(
        &self,
        principal: &Principal,
        id: &Sha256,
        substitutions: &BTreeMap<String, Sha256>,
    ) -> VerifyResult<ReplayOutcome> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let ready = self.ready(tenant, id).await?;
        if let Some(role) = substitutions.keys().find(|role| **role != ready.row.role) {
            return Err(VerifyError::UnknownRole { role: role.clone(), known: ready.row.role });
        }
        let artifact = substitutions.get(&ready.row.role).copied();
        let ready = match &artifact {
            Some(digest) => self.with_artifact(tenant, ready, digest).await?,
            None => ready,
        };
        let run = self.run(&ready, artifact, Layout::Fixed).await?;
        let path = reached(&ready.row.recorded_path, &run.executed_names);
        let judgement = judge(&ready.definition, &run.report, path);
        Ok(ReplayOutcome {
            witness: *id,
            verdict: judgement.verdict,
            mode: assay_gate::Mode::Replayed,
            reason: judgement.reason,
            reached: judgement.reached,
            observation: Observation::of(&run.report),
            milliseconds: run.milliseconds,
            events: run.report.events,
            functions_executed: run.executed_names.into_iter().collect(),
            stdout: String::from_utf8_lossy(&run.report.stdout.head).into_owned(),
            stderr: String::from_utf8_lossy(&run.report.stderr.head).into_owned(),
        })
    }

    /// A witness by id.
    pub async fn witness(&self, principal: &Principal, id: &Sha256) -> VerifyResult<(WitnessInfo, Capsule)> {
        principal.require(Permission::ReadEvidence)?;
        let ready = self.ready(principal.tenant(), id).await?;
        Ok((WitnessInfo::of(&ready.row), ready.capsule))
    }

    pub(crate) async fn ready(&self, tenant: &TenantId, id: &Sha256) -> VerifyResult<Ready> {
        let row = sql::witness(self.store().database(), tenant, id).await?;
        let row = row.ok_or_else(|| VerifyError::UnknownWitness { id: id.to_string() })?;
        let (definition, _) = self.definition(tenant, &row.incident).await?;
        let capsule: Capsule =
            json::from_strict(&self.store().blobs().get_content(tenant, &row.capsule).await?)?;
        let files = self.files(tenant, &capsule).await?;
        Ok(Ready { row, definition, capsule, files })
    }

    async fn files(&self, tenant: &TenantId, capsule: &Capsule) -> VerifyResult<MapSource> {
        let mut files = BTreeMap::new();
        for blob in capsule.blobs() {
            files.insert(blob.digest, self.store().blobs().local_file(tenant, &blob.digest).await?);
        }
        Ok(MapSource(files))
    }

    /// Runs the capsule once on a thread of its own, with every function of the subject watched.
    pub(crate) async fn run(
        &self,
        ready: &Ready,
        artifact: Option<Sha256>,
        layout: Layout,
    ) -> VerifyResult<Timed> {
        let host = self.host()?.clone();
        let tenant_file = match artifact {
            Some(digest) => Some(self.subject_file(ready, &digest).await?),
            None => None,
        };
        let recorded = ready.files.0.get(&ready.row.artifact).cloned();
        let subject = tenant_file.clone().or(recorded);
        let mut capsule = ready.capsule.clone();
        if let Some(budget) = ready.definition.expect.vulnerable.cpu_budget_milliseconds {
            capsule.limits.cpu_micros = budget * 1000 * crate::expectation::GUARD_FACTOR;
        }
        let (role, path, files) =
            (ready.row.role.clone(), ready.row.subject_path.clone(), ready.files.clone());
        let work = move || -> VerifyResult<Timed> {
            let started = Instant::now();
            let bytes = subject.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
            let image = Image::parse(&bytes).ok();
            let coverage = image.as_ref().map(|image| plan(&path, image)).into_iter().collect();
            let substitutions: BTreeMap<String, PathBuf> =
                tenant_file.map(|file| (role, file)).into_iter().collect();
            let request = ReplayRequest { substitutions, layout, coverage, keep_trace: None };
            let report = assay_witness::replay(&capsule, &files, &request, &host)?;
            let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
            let executed: Vec<_> = report
                .functions_executed
                .iter()
                .filter(|function| function.module.path == path)
                .map(|function| function.offset)
                .collect();
            let executed_names = executed_names(image.as_ref(), &executed);
            Ok(Timed { report, milliseconds, executed_names })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| VerifyError::Stopped)?
    }

    async fn subject_file(&self, ready: &Ready, digest: &Sha256) -> VerifyResult<PathBuf> {
        if let Some(path) = ready.files.0.get(digest) {
            return Ok(path.clone());
        }
        // The artifact belongs to the tenant of the witness: `ready` was read for that tenant.
        Err(VerifyError::Store(StoreError::Missing { path: digest.to_string() }))
    }

    pub(crate) async fn with_artifact(
        &self,
        tenant: &TenantId,
        mut ready: Ready,
        digest: &Sha256,
    ) -> VerifyResult<Ready> {
        let path = self.store().blobs().local_file(tenant, digest).await?;
        ready.files.0.insert(*digest, path);
        Ok(ready)
    }

    /// The stored run of a replay.
    pub(crate) fn stored(&self, ready: &Ready, artifact: Sha256, run: &Timed) -> StoredRun {
        StoredRun::of(ready.row.id, artifact, &ready.row.subject_path, &run.report, run.milliseconds)
    }
}

/// What is watched in a subject: every entry of every unit, and every executable byte in none.
fn plan(path: &str, image: &Image<'_>) -> CoveragePlan {
    let map = CodeMap::build(image);
    let entries =
        map.units().iter().flat_map(|unit| unit.entries.iter().map(|entry| entry.address)).collect();
    let traps = map.gaps().iter().map(|gap| gap.start.0..gap.end.0).collect();

    let panics = image.symbols().iter().filter(|symbol| is_panic(&symbol.name));
    let watch = panics.map(|symbol| symbol.address).collect();
    CoveragePlan { path: path.to_owned(), entries, traps, watch }
}

/// Whether a symbol is `rust_panic`, alone or as `__rustc::rust_panic`.
fn is_panic(symbol: &str) -> bool {
    symbol.contains(PANIC_HOOK_END) && demangle(symbol).rsplit("::").next() == Some(PANIC_HOOK_END)
}

fn compare(id: Sha256, n: u32, fixed: &[Timed], moved: &[Timed], row: &WitnessRow) -> CheckOutcome {
    let observations: BTreeSet<Sha256> =
        fixed.iter().map(|run| Observation::of(&run.report).digest()).chain([row.observation]).collect();
    let traces: BTreeSet<Sha256> =
        fixed.iter().map(|run| run.report.trace_digest).chain([row.trace]).collect();
    let first = &fixed[0];
    let mut layout_differences = Vec::new();
    if moved.iter().any(|run| Observation::of(&run.report).digest() != row.observation) {
        layout_differences.push("observation");
    }
    if moved.iter().any(|run| run.report.trace_digest != row.trace) {
        layout_differences.push("trace");
    }
    if moved.iter().any(|run| run.report.functions_executed != first.report.functions_executed) {
        layout_differences.push("functions");
    }
    let mut times: Vec<f64> = fixed.iter().chain(moved).map(|run| run.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let supported =
        fixed.iter().all(|run| !matches!(run.report.ending, assay_witness::Ending::Unsupported { .. }));
    CheckOutcome {
        witness: id,
        replays: n,
        replays_elsewhere: moved.len() as u32,
        distinct_observations: observations.len(),
        distinct_traces: traces.len(),
        layout_sensitive: !layout_differences.is_empty(),
        layout_differences,
        admitted: observations.len() == 1 && traces.len() == 1 && supported,
        diverged_at: None,
        milliseconds: times[times.len() / 2],
    }
}

/// Whether a run ended by a fault whose stack was captured.
pub(crate) fn captured(report: &RunReport) -> Option<&assay_witness::Fault> {
    decisive_fault(report).filter(|fault| !fault.frames.is_empty())
}
