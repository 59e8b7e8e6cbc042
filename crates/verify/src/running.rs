//! Running a capsule once, with every function of the subject watched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use assay_binary::{CodeMap, Image};
use assay_evidence::{Sha256, TenantId, json};
use assay_store::StoreError;
use assay_witness::{Capsule, CoveragePlan, Layout, MapSource, Perturbation, ReplayRequest, RunReport};

use crate::demangle::demangle;
use crate::observation::decisive_fault;
use crate::path::executed_names;
use crate::predicates::{MicroWitness, Origin};
use crate::run::{SourceObservation, StoredRun};
use crate::sources::observed;
use crate::sql::WitnessRow;
use crate::{IncidentDefinition, Verifier, VerifyError, VerifyResult, sql};

/// The function of Rust's standard library that every panic passes, after its message was printed.
const PANIC_HOOK_END: &str = "rust_panic";

/// A capsule with everything that a replay of it needs at hand.
#[derive(Clone)]
pub(crate) struct Ready {
    pub tenant: TenantId,
    pub row: WitnessRow,
    pub definition: IncidentDefinition,
    pub capsule: Capsule,
    pub files: MapSource,
    /// What was done to the capsule after it was recorded.
    pub origin: Option<Origin>,
}

/// How a capsule is run; by default at the fixed layout, as verifying does.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    pub layout: Layout,
    pub perturbation: Perturbation,
    pub keep_trace: Option<usize>,
    pub stop_at: Option<u64>,
    /// Whether an interpreted program is replayed once more, to see what it executes.
    pub observe: bool,
}

/// One run with its time.
pub(crate) struct Timed {
    pub report: RunReport,
    pub milliseconds: f64,
    pub executed_names: BTreeSet<String>,
    /// For an interpreted program: what it executed, where that was asked for.
    pub source: Option<SourceObservation>,
}

impl Verifier {
    pub(crate) async fn ready(&self, tenant: &TenantId, id: &Sha256) -> VerifyResult<Ready> {
        let row = sql::witness(self.store().database(), tenant, id).await?;
        let row = row.ok_or_else(|| VerifyError::UnknownWitness { id: id.to_string() })?;
        let (definition, _) = self.definition(tenant, &row.incident).await?;
        let capsule: Capsule =
            json::from_strict(&self.store().blobs().get_content(tenant, &row.capsule).await?)?;
        let files = self.files(tenant, &capsule).await?;
        let origin = self.origin(tenant, &row).await?;
        Ok(Ready { tenant: tenant.clone(), row, definition, capsule, files, origin })
    }

    /// What the witness's own statement says was done to its capsule.
    async fn origin(&self, tenant: &TenantId, row: &WitnessRow) -> VerifyResult<Option<Origin>> {
        let stated = self.notary().statement(tenant, &row.statement).await?.statement.predicate;
        Ok(serde_json::from_value::<MicroWitness>(stated).ok().and_then(|stated| stated.origin))
    }

    pub(crate) async fn files(&self, tenant: &TenantId, capsule: &Capsule) -> VerifyResult<MapSource> {
        let mut files = BTreeMap::new();
        for blob in capsule.blobs() {
            files.insert(blob.digest, self.store().blobs().local_file(tenant, &blob.digest).await?);
        }
        Ok(MapSource(files))
    }

    /// Runs the capsule once on a thread of its own, with every function of the subject watched.
    pub(crate) async fn run(&self, ready: &Ready, artifact: Option<Sha256>, how: How) -> VerifyResult<Timed> {
        let host = self.host()?.clone();
        let slot = self.admit_replay(&ready.tenant).await?;
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
            // Until the run has ended, even where nobody waits for it any more.
            let _slot = slot;
            let started = Instant::now();
            let bytes = subject.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
            let image = Image::parse(&bytes).ok();
            let coverage = image.as_ref().map(|image| plan(&path, image)).into_iter().collect();
            let substitutions: BTreeMap<String, PathBuf> =
                tenant_file.map(|file| (role, file)).into_iter().collect();
            let How { layout, perturbation, keep_trace, stop_at, observe } = how;
            let request =
                ReplayRequest { substitutions, layout, coverage, keep_trace, stop_at, perturbation };
            let report = assay_witness::replay(&capsule, &files, &request, &host)?;
            let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
            let executed: Vec<_> = report
                .functions_executed
                .iter()
                .filter(|function| function.module.path == path)
                .map(|function| function.offset)
                .collect();
            let mut names = executed_names(image.as_ref(), &executed);
            let mut source = None;
            if observe && image.is_none() {
                source = observed(&capsule, &files, &request, &host, &report)?;
                names.extend(source.iter().flat_map(|source| source.names(&capsule, &path)));
            }
            Ok(Timed { report, milliseconds, executed_names: names, source })
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
        let source = run.source.clone();
        StoredRun::of(ready.row.id, artifact, &ready.row.subject_path, &run.report, run.milliseconds, source)
    }
}

/// What is watched in a subject: every entry of every unit, and every executable byte in none.
pub(crate) fn plan(path: &str, image: &Image<'_>) -> CoveragePlan {
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

/// Whether a run ended by a fault whose stack was captured.
pub(crate) fn captured(report: &RunReport) -> Option<&assay_witness::Fault> {
    decisive_fault(report).filter(|fault| !fault.frames.is_empty())
}
