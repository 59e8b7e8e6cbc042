//! Looking for a run that shows an incident which does not show each time.
//!
//! Schedules are drawn as PCT draws them (Burckhardt and others, ASPLOS 2010; see `tracer::explore`): with
//! n threads and k steps, one try finds a bug that d ordering constraints are enough for with a probability
//! of at least 1 / (n k^(d-1)). That holds where all k steps could be counted; in a longer run the turn is
//! taken within a bounded distance of an event, and nothing is promised. Every other schedule is directed
//! instead, in the manner of Sen (*Race Directed Random Testing of Concurrent Programs*, PLDI 2008): the turn
//! is taken at a step that touches what another thread touches too. Seeds, clocks, fills of the heap and
//! places of the stack are tried in turn.

use std::collections::HashMap;

use super::{How, Ran, RecordRequest, Recording, checked_command, close, run, run_with_schedule};
use crate::error::WitnessError;
use crate::host::Host;
use crate::report::{Ending, RunReport};
use crate::schedule::{Conditions, MAX_ORDER, MAX_STACK_SHIFT, MAX_SWITCHES};
use crate::tracer::explore::{Explored, Plan, Point};
use crate::tracer::random::Random;

/// Most instructions single-stepped to count the steps of a run, and in a try.
const MOST_COUNTED: u64 = 600_000;
const MOST_STEPPED: u64 = MOST_COUNTED;
/// Furthest from an event, in steps, that the turn is taken where not all steps could be counted.
const WINDOW: u64 = 20_000;
/// Most orders of threads whose steps are counted one by one; further ones are taken as the nearest of these.
const MAX_ORDERS: usize = 24;
/// The same for runs too long to be counted to their end.
const MAX_LONG_ORDERS: usize = 3;
/// Most runs for one schedule, each with one switch more because a thread span.
const MOST_SPINS: usize = 16;
/// Depths of schedules in turn; two constraints are what most bugs need (Lu and others, ASPLOS 2008).
const DEPTHS: [u32; 4] = [2, 1, 2, 3];
/// Starts of the clock at which programs have failed before: the epoch, both ends of 32 bits, leap days, the
/// ends of years and months, changes to and from daylight saving time.
const CLOCKS: [u64; 12] = [
    0,
    2_147_483_646,
    4_294_967_294,
    1_709_164_800,
    1_582_934_400,
    951_782_400,
    1_735_689_599,
    1_609_459_199,
    1_711_846_799,
    1_729_994_399,
    1_706_659_199,
    1_000_000_000,
];
const FILLS: [u8; 6] = [0xff, 0x01, 0xaa, 0x55, 0x7f, 0x80];

/// What a try changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// Nothing: the run as `record` makes it.
    Nothing,
    /// The order of the threads, and where their turn is taken.
    Schedule,
    /// The seed of everything random.
    Seed,
    /// When the clock starts.
    Clock,
    /// What fresh memory of the heap holds.
    HeapFill,
    /// Where the stack begins.
    Stack,
}

impl Knob {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Schedule => "schedule",
            Self::Seed => "seed",
            Self::Clock => "clock",
            Self::HeapFill => "heap_fill",
            Self::Stack => "stack",
        }
    }
}

/// One try that was made.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// Its number, the first being 1.
    pub number: u32,
    /// What it changed.
    pub knob: Knob,
    /// What it showed.
    pub report: &'a RunReport,
}

/// What was searched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Threads of the plain run.
    pub threads: u64,
    /// Steps counted in it: system calls and instructions that touch memory outside the thread's own stack,
    /// while another thread waited for its turn.
    pub steps: u64,
    /// Whether these are all of them; without that no probability can be said.
    pub whole: bool,
    /// Tries with schedules of depth 1, 2 and 3, drawn evenly from all steps.
    pub schedules: [u32; 3],
    /// Tries with schedules directed to memory that several threads touch; they count for no probability.
    pub directed: u32,
    /// Tries with other seeds, clocks, fills of the heap and places of the stack.
    pub seeds: u32,
    /// Tries with other starts of the clock.
    pub clocks: u32,
    /// Tries with other bytes in fresh memory.
    pub heap_fills: u32,
    /// Tries with another place of the stack.
    pub stacks: u32,
}

impl Coverage {
    /// The greatest probability with which a schedule bug of this depth (1 to 3) was missed by the tries of
    /// that depth; none where not all steps could be counted.
    pub fn missed(&self, depth: u32) -> Option<f64> {
        let tries = self.schedules.get(usize::try_from(depth.checked_sub(1)?).ok()?)?;
        let steps = (self.steps.max(1) as f64).powi(depth as i32 - 1);
        let found = 1.0 / (self.threads.max(1) as f64 * steps);
        self.whole.then(|| (1.0 - found).powi(*tries as i32))
    }

    fn count(&mut self, knob: Knob, depth: u32, is_directed: bool) {
        match knob {
            Knob::Nothing => {}
            Knob::Schedule if is_directed => self.directed += 1,
            Knob::Schedule => self.schedules[(depth as usize - 1).min(2)] += 1,
            Knob::Seed => self.seeds += 1,
            Knob::Clock => self.clocks += 1,
            Knob::HeapFill => self.heap_fills += 1,
            Knob::Stack => self.stacks += 1,
        }
    }
}

/// A run that shows the incident.
#[derive(Clone, Debug)]
pub struct Found {
    /// The run, closed over.
    pub recording: Recording,
    /// What made it show.
    pub knob: Knob,
}

/// How a search ended.
#[derive(Clone, Debug)]
pub struct Search {
    /// The first run that showed the incident.
    pub found: Option<Found>,
    /// How many were tried.
    pub tries: u32,
    /// What they covered.
    pub coverage: Coverage,
}

/// Runs the command up to `tries` times, each time with another schedule or seed, until a run `shows` what is
/// looked for; that run is closed over, its schedule and seed being part of the capsule. The same request
/// makes the same tries.
///
/// # Errors
/// As [`record`](super::record).
pub fn search(
    request: &RecordRequest,
    host: &Host,
    tries: u32,
    shows: &dyn Fn(&RunReport) -> bool,
    progress: &mut dyn FnMut(&Attempt<'_>),
) -> Result<Search, WitnessError> {
    let command = checked_command(request, host)?;
    let mut seeker = Seeker::new(request, host, &command);
    let plain = How { seed: request.seed, ..How::default() };
    let ran = run_with_schedule(request, &command, host, &plain)?;
    progress(&Attempt { number: 1, knob: Knob::Nothing, report: &ran.report });
    if shows(&ran.report) {
        return seeker.found(1, Knob::Nothing, plain, ran);
    }
    seeker.look_at(&ran)?;
    for number in 2..=tries {
        let knob = seeker.knob(number);
        let (how, report) = seeker.attempt(knob)?;
        progress(&Attempt { number, knob, report: &report });
        if !shows(&report) {
            continue;
        }
        // At full speed, as every replay will.
        let ran = run_with_schedule(request, &command, host, &how)?;
        if shows(&ran.report) {
            return seeker.found(number, knob, how, ran);
        }
    }
    Ok(Search { found: None, tries, coverage: seeker.coverage })
}

struct Seeker<'a> {
    request: &'a RecordRequest,
    host: &'a Host,
    command: &'a [String],
    random: Random,
    coverage: Coverage,
    /// The steps of the run in each order that was counted.
    explored: HashMap<Vec<u32>, Explored>,
    schedules: u32,
}

impl<'a> Seeker<'a> {
    fn new(request: &'a RecordRequest, host: &'a Host, command: &'a [String]) -> Self {
        Self {
            request,
            host,
            command,
            random: Random::new(request.seed),
            coverage: Coverage::default(),
            explored: HashMap::new(),
            schedules: 0,
        }
    }
}

impl Seeker<'_> {
    fn found(self, tries: u32, knob: Knob, how: How, ran: Ran) -> Result<Search, WitnessError> {
        let recording = close(self.request, self.command.to_vec(), how, ran)?;
        Ok(Search { found: Some(Found { recording, knob }), tries, coverage: self.coverage })
    }

    /// Counts the steps of the plain run, where it has more than one thread.
    fn look_at(&mut self, ran: &Ran) -> Result<(), WitnessError> {
        self.coverage.threads = ran.beyond.threads as u64;
        if ran.beyond.threads < 2 {
            return Ok(());
        }
        let birth: Vec<u32> = (0..ran.beyond.threads.min(MAX_ORDER) as u32).collect();
        self.coverage.whole = ran.schedule.is_empty();
        self.steps_of(&birth).map(drop)
    }

    /// The steps of a run in this order, counted once.
    fn steps_of(&mut self, order: &[u32]) -> Result<Explored, WitnessError> {
        if let Some(known) = self.explored.get(order) {
            return Ok(known.clone());
        }
        let plan = Plan { after: 0, points: Vec::new(), most: MOST_COUNTED };
        let how = self.how_in(order);
        let (report, beyond) = run(self.request, self.command, self.host, &how, Some(&plan))?;
        let ended =
            matches!(report.ending, Ending::Exited { .. } | Ending::Signalled { .. } | Ending::Deadlocked);
        let mut explored = beyond.explored;
        // Code that changes while it runs is decoded once only.
        explored.complete &= ended && beyond.stuck.is_none() && !report.generated_code;
        self.coverage.steps = self.coverage.steps.max(explored.steps);
        // One order that cannot be counted, and the bound holds for none.
        self.coverage.whole &= explored.complete && beyond.threads as u64 == self.coverage.threads;
        self.coverage.whole &= !explored.is_forced;
        self.explored.insert(order.to_vec(), explored.clone());
        Ok(explored)
    }

    fn how_in(&self, order: &[u32]) -> How {
        let conditions = Conditions { order: order.to_vec(), ..Conditions::default() };
        How { seed: self.request.seed, conditions, ..How::default() }
    }

    /// What the next try changes: schedules most of the time, where there are any.
    fn knob(&self, number: u32) -> Knob {
        const RARE: [Knob; 3] = [Knob::Clock, Knob::HeapFill, Knob::Stack];
        let rare = RARE[(number / 10) as usize % RARE.len()];
        let has_schedules = self.coverage.threads > 1;
        match number % 10 {
            9 => rare,
            1 | 4 | 7 => Knob::Seed,
            _ if has_schedules => Knob::Schedule,
            5 => RARE[(number / 10 + 1) as usize % RARE.len()],
            _ => Knob::Seed,
        }
    }

    fn attempt(&mut self, knob: Knob) -> Result<(How, RunReport), WitnessError> {
        let mut how = How { seed: self.request.seed, ..How::default() };
        if knob != Knob::Schedule {
            self.coverage.count(knob, 1, false);
        }
        match knob {
            Knob::Nothing => {}
            Knob::Schedule => return self.attempt_schedule(),
            Knob::Seed => how.seed = self.request.seed.wrapping_add(u64::from(self.coverage.seeds)),
            Knob::Clock => {
                let listed = CLOCKS.get(self.coverage.clocks as usize - 1).copied();
                let start = listed.unwrap_or_else(|| self.below(u64::from(u32::MAX)));
                how.conditions.clock_start = Some(start);
            }
            Knob::HeapFill => {
                let listed = FILLS.get(self.coverage.heap_fills as usize - 1).copied();
                how.conditions.heap_fill = Some(listed.unwrap_or_else(|| self.below(256) as u8));
            }
            Knob::Stack => {
                how.conditions.stack_shift =
                    16 * (1 + self.below(u64::from(MAX_STACK_SHIFT) / 16 - 1) as u32);
            }
        }
        let ran = run_with_schedule(self.request, self.command, self.host, &how)?;
        Ok((how, ran.report))
    }

    /// A run with threads in some order, of which one is taken its turn at each point.
    fn attempt_schedule(&mut self) -> Result<(How, RunReport), WitnessError> {
        self.schedules += 1;
        let order = self.order();
        let explored = self.steps_of(&order)?;
        let directed = self.schedules.is_multiple_of(2) && !explored.contested.is_empty();
        let depth = match directed {
            true => 2 + u32::from(self.schedules.is_multiple_of(8)),
            false => DEPTHS[self.schedules as usize / 2 % DEPTHS.len()],
        };
        self.coverage.count(Knob::Schedule, depth, directed);
        let mut how = self.how_in(&order);
        let mut plan = self.plan(&explored, depth - 1, directed);
        loop {
            let explore = (!plan.points.is_empty()).then_some(&plan);
            let (report, beyond) = run(self.request, self.command, self.host, &how, explore)?;
            let taken = beyond.explored.switches.len();
            how.schedule.extend(beyond.explored.switches);
            // A thread that lost its place at no chosen step makes the try another one than was drawn.
            self.coverage.whole &= !beyond.explored.is_forced && beyond.stuck.is_none();
            let Some(switch) = beyond.stuck else { return Ok((how, report)) };
            if how.schedule.len() + 1 >= MAX_SWITCHES.min(MOST_SPINS + depth as usize) {
                return Ok((how, report));
            }
            // A thread span: its turn is taken too, and what is left of the points is for the rest.
            plan.points.drain(..taken.min(plan.points.len()));
            how.schedule.push(switch);
        }
    }

    /// An order of the threads, any of them as likely as any other as long as each can be counted.
    fn order(&mut self) -> Vec<u32> {
        let count = (self.coverage.threads as usize).min(MAX_ORDER);
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            let other = self.below(last as u64 + 1) as usize;
            order.swap(last, other);
        }
        let is_new = !self.explored.contains_key(&order);
        let most = if self.coverage.whole { MAX_ORDERS } else { MAX_LONG_ORDERS };
        let may_count = self.explored.len() < most;
        if is_new && !may_count {
            let mut known: Vec<Vec<u32>> = self.explored.keys().cloned().collect();
            known.sort_unstable();
            let at = self.below(known.len() as u64) as usize;
            // Orders that are never tried hide what needs them.
            self.coverage.whole = false;
            return known.swap_remove(at);
        }
        order
    }

    /// Where the turn is taken: the run goes at full speed to the stretch of the first point.
    fn plan(&mut self, explored: &Explored, points: u32, directed: bool) -> Plan {
        let mut plan = Plan { after: 0, points: Vec::new(), most: MOST_STEPPED };
        let mut steps: Vec<u64> = Vec::new();
        for _ in 0..points {
            let step = if directed {
                let at = self.below(explored.contested.len() as u64) as usize;
                // Before the step, or after it.
                explored.contested[at] + self.below(2)
            } else {
                1 + self.below(explored.steps.max(1))
            };
            steps.push(step);
        }
        steps.sort_unstable();
        let Some(first) = steps.first().copied() else { return plan };
        if explored.complete || directed || self.below(2) == 0 {
            let at = explored.stretches.partition_point(|(_, before)| *before < first);
            let (after, before) = explored.stretches.get(at.wrapping_sub(1)).copied().unwrap_or_default();
            // A switch may split what follows one event: only the first stretch after it begins there.
            let begins = explored.stretches.iter().find(|(event, _)| *event == after);
            let before = begins.map_or(before, |(_, steps)| *steps);
            plan.after = after;
            plan.points = self.places_behind(steps.into_iter().map(|step| step - before));
        } else {
            let (first, last) = explored.events.unwrap_or_default();
            plan.after = first + self.below(last.saturating_sub(first) + 1);
            let mut steps: Vec<u64> = steps.iter().map(|_| self.near(WINDOW)).collect();
            steps.sort_unstable();
            plan.points = self.places_behind(steps.into_iter());
        }
        plan
    }

    /// How far the thread that runs at each of these steps falls: PCT draws the places behind all others in an
    /// order of its own, which is not that of the steps.
    fn places_behind(&mut self, steps: impl Iterator<Item = u64>) -> Vec<Point> {
        let point = |(before, step)| Point { step, ahead_of: self.below(before + 1) as u32 };
        (0u64..).zip(steps).map(point).collect()
    }

    /// A number from 1 to `most`, each order of magnitude as likely as any other.
    fn near(&mut self, most: u64) -> u64 {
        let share = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        ((most as f64).powf(share) as u64).max(1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        let bytes = self.random.bytes(8);
        u64::from_le_bytes(std::array::from_fn(|at| bytes[at])) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_missed_is_what_the_paper_says() {
        let coverage =
            Coverage { threads: 2, steps: 10, whole: true, schedules: [1, 2, 0], ..Coverage::default() };
        // One try of depth 1 with two threads: one in two.
        assert_eq!(coverage.missed(1), Some(0.5));
        // Two tries of depth 2: each one in 2 * 10.
        assert!((coverage.missed(2).unwrap() - 0.95f64.powi(2)).abs() < 1e-12);
        assert_eq!(coverage.missed(3), Some(1.0));
        assert_eq!(coverage.missed(4), None);
        assert_eq!(Coverage { whole: false, ..coverage }.missed(2), None);
    }

    /// One thread frees what the other uses between its check and its use: two constraints.
    const USE_AFTER_FREE: &str = r#"
#include <pthread.h>
#include <sys/mman.h>
static char *volatile shared;
static void *drop(void *a) { char *p = shared; shared = 0; munmap(p, 4096); return 0; }
int main() { shared = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); pthread_t t;
    pthread_create(&t, 0, drop, 0); char *p = shared; if (p) p[7]++; pthread_join(t, 0); return 0; }"#;

    /// Tries every order with every step, and compares with what is said of a random one of them.
    #[test]
    fn as_many_schedules_show_a_bug_of_depth_2_as_the_bound_says() {
        // As everywhere, without a C compiler nothing is tested.
        if std::process::Command::new("cc").arg("--version").output().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("tiny.c"), folder.path().join("tiny"));
        std::fs::write(&source, USE_AFTER_FREE).unwrap();
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-O0", "-w", "-pthread", "-o"]).args([&program, &source]);
        assert!(compiler.status().unwrap().success());
        let request = RecordRequest {
            command: vec![program.to_str().unwrap().to_owned()],
            working_directory: "/".to_owned(),
            ..RecordRequest::default()
        };
        let host = Host::probe().unwrap();
        let mut seeker = Seeker::new(&request, &host, &request.command);
        seeker.coverage.threads = 2;
        seeker.coverage.whole = true;
        let mut share = 0.0;
        for order in [[0, 1], [1, 0]] {
            let steps = seeker.steps_of(&order).unwrap().steps;
            let mut shown = 0;
            for step in 1..=steps {
                let plan = Plan { after: 0, points: vec![Point { step, ahead_of: 0 }], most: MOST_STEPPED };
                let how = seeker.how_in(&order);
                let (report, beyond) = run(&request, &request.command, &host, &how, Some(&plan)).unwrap();
                assert_eq!(beyond.explored.switches.len(), 1, "{order:?} step {step} of {steps}");
                assert!(!beyond.explored.is_forced && beyond.stuck.is_none());
                shown += u32::from(report.ending == Ending::Signalled { signal: libc::SIGSEGV });
            }
            share += f64::from(shown) / steps as f64 / 2.0;
        }
        seeker.coverage.schedules = [0, 1, 0];
        let missed = seeker.coverage.missed(2).expect("every step was counted");
        assert!(1.0 - share <= missed, "{share} of all schedules show it, {missed} may miss it");
        assert!(share < 1.0 && missed < 1.0);
    }

    #[test]
    fn places_behind_come_in_every_order() {
        let request = RecordRequest::default();
        let host = Host::probe().unwrap();
        let mut seeker = Seeker::new(&request, &host, &[]);
        let drawn: Vec<Vec<Point>> = (0..64).map(|_| seeker.places_behind([3, 9].into_iter())).collect();
        assert!(drawn.iter().all(|points| points[0] == Point { step: 3, ahead_of: 0 }));
        let ahead = drawn.iter().filter(|points| points[1].ahead_of == 1).count();
        let behind = drawn.iter().filter(|points| points[1].ahead_of == 0).count();
        assert!(ahead + behind == 64 && ahead > 10 && behind > 10, "{ahead} and {behind}");
    }
}
