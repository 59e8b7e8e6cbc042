//! Why a replay did not show what another one did.

use std::collections::BTreeMap;

use assay_access::{Permission, Principal};
use assay_evidence::Sha256;
use assay_gate::Verdict;
use assay_witness::{Ending, RunReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::divergence::{DivergedStack, MAX_TRACE, first_difference, running_stack};
use crate::judge::judge;
use crate::observation::{Observation, ending_text};
use crate::path::reached;
use crate::running::{How, Ready, Timed};
use crate::{Verifier, VerifyError, VerifyResult};

/// The kernel's "no such file or directory", as a result of a traced call.
const ABSENT: &str = " = -2";

/// What is compared with a witness's own replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// Another witness; the same one if left out.
    #[serde(default)]
    pub other: Option<Sha256>,
    /// Other builds for that replay, by role.
    #[serde(default)]
    pub subjects: BTreeMap<String, Sha256>,
}

/// The class of reasons for which two replays differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonClass {
    /// They do not differ.
    None,
    /// The machines or the environments that the programs were given differ.
    Environment,
    /// The second one asked for a file that its capsule does not hold.
    MissingFile,
    /// A limit ended one of them.
    Budget,
    /// One of them met something that the runner does not model.
    Unmodelled,
    /// The program did something else.
    ChangedObservation,
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct DiffSide {
    /// The witness.
    pub witness: Sha256,
    /// The artifact under test.
    pub artifact: Sha256,
    /// What the run shows of its incident.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What was seen.
    pub observation: Observation,
    /// Events of the trace.
    pub events: u64,
}

/// Why two replays differ.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Difference {
    /// The witness's own replay.
    pub a: DiffSide,
    /// The one that is compared with it.
    pub b: DiffSide,
    /// The class of the reason.
    pub reason_class: ReasonClass,
    /// The reason in words.
    pub detail: String,
    /// The number of the first event that differs, the first event being 1.
    pub diverged_at: Option<u64>,
    /// The running thread's stack after that event, in both.
    pub stacks: Vec<DivergedStack>,
}

impl Verifier {
    /// Replays a witness, and beside it another witness or another build, and says why they differ.
    pub async fn difference(
        &self,
        principal: &Principal,
        id: &Sha256,
        compared: &Compared,
    ) -> VerifyResult<Difference> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let a = self.ready(tenant, id).await?;
        let mut b = self.ready(tenant, compared.other.as_ref().unwrap_or(id)).await?;
        if let Some(role) = compared.subjects.keys().find(|role| **role != b.row.role) {
            return Err(VerifyError::UnknownRole { role: role.clone(), known: b.row.role });
        }
        let artifact = compared.subjects.get(&b.row.role).copied();
        if let Some(artifact) = &artifact {
            b = self.with_artifact(tenant, b, artifact).await?;
        }
        let how = || How { keep_trace: Some(MAX_TRACE), ..How::default() };
        let run_a = self.run(&a, None, how()).await?;
        let run_b = self.run(&b, artifact, how()).await?;
        let parted = first_difference(&run_a.report.trace, &run_b.report.trace);
        let mut stacks = Vec::new();
        if let Some((event, ..)) = &parted {
            for (ready, artifact) in [(&a, None), (&b, artifact)] {
                stacks.push(self.stack_after(ready, artifact, *event).await?);
            }
        }
        let (reason_class, detail) = reason(&a, &run_a.report, &b, &run_b.report, parted.is_some());
        Ok(Difference {
            a: side(&a, a.row.artifact, &run_a),
            b: side(&b, artifact.unwrap_or(b.row.artifact), &run_b),
            reason_class,
            detail,
            diverged_at: parted.map(|(event, ..)| event),
            stacks,
        })
    }

    /// The stack of the thread that ran when the trace was this long, or at the end before it.
    async fn stack_after(
        &self,
        ready: &Ready,
        artifact: Option<Sha256>,
        event: u64,
    ) -> VerifyResult<DivergedStack> {
        let how = How { keep_trace: Some(MAX_TRACE), stop_at: Some(event), ..How::default() };
        let run = self.run(ready, artifact, how).await?;
        let at = usize::try_from(event).unwrap_or(usize::MAX).saturating_sub(1);
        let text = match run.report.trace.get(at) {
            Some(line) => line.clone(),
            None => format!("ended: {}", ending_text(&run.report.ending)),
        };
        Ok(DivergedStack {
            event: text,
            frames: run.report.stopped.as_ref().map(running_stack).unwrap_or_default(),
        })
    }
}

fn side(ready: &Ready, artifact: Sha256, run: &Timed) -> DiffSide {
    let path = reached(&ready.row.recorded_path, &run.executed_names);
    let judgement = judge(&ready.definition, &run.report, path);
    DiffSide {
        witness: ready.row.id,
        artifact,
        verdict: judgement.verdict,
        reason: judgement.reason,
        observation: Observation::of(&run.report),
        events: run.report.trace.len() as u64,
    }
}

fn reason(a: &Ready, run_a: &RunReport, b: &Ready, run_b: &RunReport, parted: bool) -> (ReasonClass, String) {
    let same = Observation::of(run_a).digest() == Observation::of(run_b).digest();
    for (name, run) in [("the first", run_a), ("the second", run_b)] {
        match &run.ending {
            Ending::Unsupported { code, detail } => {
                return (ReasonClass::Unmodelled, format!("{name} met {code}: {detail}"));
            }
            ending @ Ending::LimitExceeded { .. } if !same => {
                return (ReasonClass::Budget, format!("{name} ended with {}", ending_text(ending)));
            }
            _ => {}
        }
    }
    if same && !parted {
        return (ReasonClass::None, "both are the same run".to_owned());
    }
    if a.capsule.environment != b.capsule.environment || a.capsule.command != b.capsule.command {
        let detail = "the commands or the environment variables differ".to_owned();
        return (ReasonClass::Environment, detail);
    }
    if !same && let Some(path) = missing_file(run_a, run_b) {
        return (ReasonClass::MissingFile, format!("the second asked for {path}, which its capsule lacks"));
    }
    if same {
        return (ReasonClass::None, "both show the same, on different ways".to_owned());
    }
    let detail = match (ending_text(&run_a.ending), ending_text(&run_b.ending)) {
        (a, b) if a == b => format!("both ended with {a}, with other output or another stack"),
        (a, b) => format!("the first ended with {a}, the second with {b}"),
    };
    (ReasonClass::ChangedObservation, detail)
}

/// The last path that the second run asked for in vain and the first one never asked for in vain.
fn missing_file(a: &RunReport, b: &RunReport) -> Option<String> {
    let absent = |line: &&String| line.ends_with(ABSENT);
    let path = |line: &String| -> Option<String> { Some(line.split('"').nth(1)?.to_owned()) };
    let known: std::collections::BTreeSet<String> = a.trace.iter().filter(absent).filter_map(path).collect();
    // A program that goes on well without a file did not need it.
    if matches!(b.ending, Ending::Exited { code: 0 }) {
        return None;
    }
    let mut asked = b.trace.iter().filter(absent).filter_map(path);
    asked.rfind(|path| !known.contains(path))
}
