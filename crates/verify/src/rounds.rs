//! The questions of one verification, answered in rounds.
//!
//! What is known is looked up for all questions at once. A round then tries to carry over whatever is
//! open, all runs of one pair of builds together, since reading the two files is most of what a proof
//! takes; and replays one build of every witness that is still open, which the next round carries from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_gate::{Mode, Verdict};
use assay_store::LIST_WIDTH;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::carry::{Attempt, Carried, MAX_REASONS, MAX_SOURCES, never_carried};
use crate::leased::Asking;
use crate::pipeline::{Asked, IncidentVerdict};
use crate::sql::{self, VerdictRow};
use crate::stating::ToState;
use crate::{Verifier, VerifyError, VerifyResult};

/// Why nothing could be carried where there is nothing to carry from.
const NO_EARLIER_RUN: &str = "no_earlier_run";
/// Why a run does not carry whose verdict was asked again, and changed, while this verification ran.
const SOURCE_WITHDRAWN: &str = "source_withdrawn";

/// One verification under way.
pub(crate) struct Rounds<'v> {
    pub verifier: &'v Verifier,
    pub tenant: &'v TenantId,
    pub jobs: usize,
    pub now: Timestamp,
    pub progress: &'v (dyn Fn(&IncidentVerdict) + Send + Sync),
}

/// What became of a question so far.
struct State {
    key: Sha256,
    /// The runs that were tried, by their verdicts' keys: one build may have run in several environments.
    tried: BTreeSet<Sha256>,
    not_carried: BTreeSet<String>,
    answer: Option<IncidentVerdict>,
}

/// The replayed verdicts of each witness, newest first; what the verification replays itself comes first.
type Sources = HashMap<Sha256, Vec<VerdictRow>>;

impl Rounds<'_> {
    /// The verdicts, in the order of the questions.
    pub async fn answer(&self, asked: &[Asked<'_>]) -> VerifyResult<Vec<IncidentVerdict>> {
        let mut states = Vec::with_capacity(asked.len());
        for asked in asked {
            let key = self.verifier.cache_key(asked)?;
            states.push(State { key, tried: BTreeSet::new(), not_carried: BTreeSet::new(), answer: None });
        }
        self.look_up(asked, &mut states).await?;
        let mut sources = self.sources(asked, &states).await?;
        while states.iter().any(|state| state.answer.is_none()) {
            while self.carry_round(asked, &mut states, &sources).await? {}
            self.replay_round(asked, &mut states, &mut sources).await?;
        }
        Ok(states.into_iter().filter_map(|state| state.answer).collect())
    }

    /// Answers what is known. What was inconclusive is asked again: a guard band or a loaded machine may
    /// have been the reason.
    async fn look_up(&self, asked: &[Asked<'_>], states: &mut [State]) -> VerifyResult<()> {
        for (asked, states) in asked.chunks(LIST_WIDTH).zip(states.chunks_mut(LIST_WIDTH)) {
            let started = Instant::now();
            let keys: Vec<Sha256> = states.iter().map(|state| state.key).collect();
            let known = sql::verdicts(self.verifier.store().database(), self.tenant, &keys).await?;
            let known: HashMap<Sha256, VerdictRow> =
                known.into_iter().map(|row| (row.cache_key, row)).collect();
            let share = milliseconds(started) / states.len() as f64;
            for (asked, state) in asked.iter().zip(states) {
                let row = known.get(&state.key).filter(|row| row.verdict != Verdict::Inconclusive);
                if let Some(row) = row {
                    self.give(asked, state, row, Mode::Cached, share);
                }
            }
        }
        Ok(())
    }

    fn give(&self, asked: &Asked<'_>, state: &mut State, row: &VerdictRow, mode: Mode, milliseconds: f64) {
        let not_carried = if mode == Mode::Replayed { state.reasons() } else { Vec::new() };
        let verdict = asked.verdict(row, mode, not_carried, milliseconds);
        (self.progress)(&verdict);
        state.answer = Some(verdict);
    }

    /// What the witnesses of open questions showed before.
    async fn sources(&self, asked: &[Asked<'_>], states: &[State]) -> VerifyResult<Sources> {
        let open = asked.iter().zip(states).filter(|(_, state)| state.answer.is_none());
        let witnesses: BTreeSet<Sha256> = open.map(|(asked, _)| asked.witness.id).collect();
        let database = self.verifier.store().database();
        let each = witnesses.into_iter().map(|witness| async move {
            Ok::<_, VerifyError>((witness, sql::replayed(database, self.tenant, &witness).await?))
        });
        futures_util::stream::iter(each).buffer_unordered(self.jobs).try_collect().await
    }

    /// Tries the next earlier run of every open question; false where there was none to try. The files of
    /// a pair are large: `jobs` pairs at one time, each stated before the next.
    async fn carry_round(
        &self,
        asked: &[Asked<'_>],
        states: &mut [State],
        sources: &Sources,
    ) -> VerifyResult<bool> {
        let mut pairs: BTreeMap<(Sha256, Sha256), Vec<Attempt>> = BTreeMap::new();
        for (number, (asked, state)) in asked.iter().zip(&mut *states).enumerate() {
            if let Some(source) = next_source(asked, state, sources) {
                state.tried.insert(source.cache_key);
                let pair = (source.artifact, asked.target.digest);
                pairs.entry(pair).or_default().push(Attempt { number, source: source.clone() });
            }
        }
        let tried = !pairs.is_empty();
        let each = pairs.into_iter().map(|(pair, attempts)| async move {
            let (started, count) = (Instant::now(), attempts.len() as f64);
            let outcomes = self.verifier.carry_pair(self.tenant, pair, attempts, asked).await?;
            Ok::<_, VerifyError>((outcomes, milliseconds(started) / count))
        });
        let mut done = futures_util::stream::iter(each).buffer_unordered(self.jobs);
        while let Some(outcomes) = done.next().await {
            let (outcomes, share) = outcomes?;
            let mut carried = Vec::new();
            for (number, outcome) in outcomes {
                match outcome {
                    Err(reasons) => states[number].not_carried.extend(reasons),
                    Ok(found) => carried.push((number, found)),
                }
            }
            self.state(asked, states, carried, share).await?;
        }
        Ok(tried)
    }

    /// States the carried verdicts of one pair; finding each out took `share` milliseconds.
    async fn state(
        &self,
        asked: &[Asked<'_>],
        states: &mut [State],
        carried: Vec<(usize, Carried)>,
        share: f64,
    ) -> VerifyResult<()> {
        let started = Instant::now();
        let (numbers, carried): (Vec<usize>, Vec<Carried>) = carried.into_iter().unzip();
        let to_state: Vec<ToState<'_>> = numbers
            .iter()
            .zip(carried)
            .map(|(&number, carried)| ToState {
                asked: &asked[number],
                key: states[number].key,
                carried,
                milliseconds: share,
            })
            .collect();
        let rows = self.verifier.state_carried(self.tenant, &to_state, self.now).await?;
        let stating = milliseconds(started) / rows.len().max(1) as f64;
        for (number, row) in numbers.into_iter().zip(&rows) {
            match row {
                Some(row) => {
                    self.give(&asked[number], &mut states[number], row, row.mode, share + stating);
                }
                None => drop(states[number].not_carried.insert(SOURCE_WITHDRAWN.to_owned())),
            }
        }
        Ok(())
    }

    /// Replays, of every witness that is open, the first open build; all of them where nothing is carried.
    async fn replay_round(
        &self,
        asked: &[Asked<'_>],
        states: &mut [State],
        sources: &mut Sources,
    ) -> VerifyResult<()> {
        let mut begun = BTreeSet::new();
        let mut waiting = Vec::new();
        for (number, (asked, state)) in asked.iter().zip(&mut *states).enumerate() {
            let never = never_carried(asked);
            if state.answer.is_some() || never.is_none() && !begun.insert(asked.witness.id) {
                continue;
            }
            let untried = state.tried.is_empty().then_some(NO_EARLIER_RUN);
            state.not_carried.extend(never.or(untried).map(str::to_owned));
            waiting.push((number, state.key, state.reasons()));
        }
        let each = waiting.into_iter().map(|(number, key, reasons)| async move {
            let started = Instant::now();
            let asking = Asking { not_carried: &reasons, instead_of: None };
            let replayed =
                self.verifier.replay_as_job(self.tenant, &asked[number], key, &asking, self.now).await;
            Ok::<_, VerifyError>((number, replayed?, milliseconds(started)))
        });
        let mut done = futures_util::stream::iter(each).buffer_unordered(self.jobs);
        while let Some(replayed) = done.next().await {
            let (number, row, took) = replayed?;
            self.give(&asked[number], &mut states[number], &row, row.mode, took);
            // Another verification may have answered first, by carrying.
            if row.mode == Mode::Replayed {
                sources.entry(row.witness).or_default().insert(0, row);
            }
        }
        Ok(())
    }
}

impl State {
    fn reasons(&self) -> Vec<String> {
        self.not_carried.iter().take(MAX_REASONS).cloned().collect()
    }
}

/// The best earlier run that was not tried yet: the baseline's before others, of these the newest.
fn next_source<'s>(asked: &Asked<'_>, state: &State, sources: &'s Sources) -> Option<&'s VerdictRow> {
    if state.answer.is_some() || state.tried.len() >= MAX_SOURCES || never_carried(asked).is_some() {
        return None;
    }
    let usable = |source: &&VerdictRow| {
        source.artifact != asked.target.digest
            && source.verdict != Verdict::Inconclusive
            && !state.tried.contains(&source.cache_key)
    };
    let of_baseline =
        |source: &&VerdictRow| asked.baseline.iter().any(|target| target.digest == source.artifact);
    let sources = sources.get(&asked.witness.id)?;
    let mut all = sources.iter().filter(usable);
    sources.iter().filter(usable).find(of_baseline).or_else(|| all.next())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
