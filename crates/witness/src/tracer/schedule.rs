//! Who runs next: the same thread until it waits, yields or has had its share.

use super::task::{Exit, Life, State, Wait};
use super::{Machine, modules};
use crate::error::WitnessError;
use crate::report::Ending;
use crate::sys::{ptrace, task};

/// A hundred years of nanoseconds: what waits longer waits for ever.
const HORIZON: u64 = 100 * 365 * 86_400 * 1_000_000_000;
/// Events in a row after which another thread that can run gets its turn.
pub(super) const SHARE: u32 = 500;
/// How often and how long the kernel is given time to deliver.
const SETTLE_LOOKS: u32 = 2;
const SETTLE_PAUSE: std::time::Duration = std::time::Duration::from_micros(100);

impl Machine<'_> {
    /// The thread to run; none when the run is over.
    pub(crate) fn pick(&mut self) -> Result<Option<usize>, WitnessError> {
        loop {
            if self.next_alarm().is_some_and(|next| next <= self.now) {
                self.fire_alarms()?;
            }
            if self.next_timer_due().is_some_and(|next| next <= self.now) {
                self.fire_timers()?;
            }
            if self.has_order() {
                if let Some(at) = self.pick_by_order()? {
                    return Ok(Some(at));
                }
            } else if let Some(at) = self.current
                && matches!(self.tasks[at].state, State::Ready)
                && !self.is_stopped(at)
                && !self.yielded
                && self.run_length < SHARE
                && !self.something_due()
            {
                return Ok(Some(at));
            }
            self.yielded = false;
            self.run_length = 0;
            for at in 0..self.tasks.len() {
                self.wake_if_ready(at)?;
            }
            let count = self.tasks.len();
            let from = self.current.map_or(0, |at| at + 1);
            let ready = |at: &usize| matches!(self.tasks[*at].state, State::Ready) && !self.is_stopped(*at);
            if let Some(at) = (0..count).map(|step| (from + step) % count).find(ready) {
                if self.waits_again(at) {
                    continue;
                }
                self.current = Some(at);
                return Ok(Some(at));
            }
            if self.settle() {
                continue;
            }
            match self.next_deadline() {
                Some(next) => self.jump_to(next),
                None => {
                    self.end(self.deadlock());
                    return Ok(None);
                }
            }
        }
    }

    /// Nobody can run, and nobody waits for time. Of processes that wait for each other's record locks the
    /// kernel refuses one its lock, which is not modelled.
    fn deadlock(&self) -> Ending {
        let waits = |task: &super::task::Task| matches!(task.state, State::Waiting(Wait::Record { .. }));
        if self.tasks.iter().any(waits) {
            let detail = "processes wait for each other's record locks".to_owned();
            return Ending::Unsupported { code: "record_lock_wait".to_owned(), detail };
        }
        Ending::Deadlocked
    }

    /// The thread highest in the chosen order of those that can run.
    fn pick_by_order(&mut self) -> Result<Option<usize>, WitnessError> {
        let had_its_share = std::mem::take(&mut self.yielded) || self.run_length >= SHARE;
        for at in 0..self.tasks.len() {
            self.wake_if_ready(at)?;
        }
        if had_its_share {
            self.run_length = 0;
            self.lower_for_others();
        }
        let ready = |at: &usize| matches!(self.tasks[*at].state, State::Ready) && !self.is_stopped(*at);
        let best = (0..self.tasks.len()).filter(ready).max_by_key(|at| self.rank(self.tasks[*at].index));
        if let Some(at) = best {
            if self.waits_again(at) {
                return self.pick_by_order();
            }
            if self.current != Some(at) {
                self.run_length = 0;
            }
            self.current = Some(at);
        }
        Ok(best)
    }

    /// Whoever waits for another by asking again and again must not keep that one from running.
    fn lower_for_others(&mut self) {
        let ready = |at: usize| matches!(self.tasks[at].state, State::Ready) && !self.is_stopped(at);
        let Some(at) = self.current.filter(|at| ready(*at)) else { return };
        if (0..self.tasks.len()).any(|other| other != at && ready(other)) {
            self.lower(at, 0);
            self.exploring.note_forced();
        }
    }

    /// Whether a thread that was woken finds nothing any more, since another took it first: two processes that
    /// wait for one listening socket are both woken by one connection.
    fn waits_again(&mut self, at: usize) -> bool {
        let Some((wait, events)) = self.tasks[at].woken_from.take() else { return false };
        if events == self.events || self.tasks[at].exit.is_none() {
            return false;
        }
        let tgid = self.tasks[at].tgid;
        let is_ready = match &wait {
            Wait::Set { .. } => self.set_ready(at) != Some(false),
            Wait::Descriptor { fd, events, .. } => !self.would_block(tgid, *fd, *events),
            Wait::Child { pid, .. } => self.child_to_wait_for(tgid, *pid) != Some(false),
            _ => true,
        };
        if is_ready {
            return false;
        }
        self.tasks[at].exit = None;
        self.tasks[at].state = State::Waiting(wait);
        true
    }

    /// Before time jumps: what the kernel delivers on its own account may still be under way, so it is
    /// given a moment, once; whether somebody can go on after it.
    fn settle(&mut self) -> bool {
        if !self.has_network {
            return false;
        }
        for _ in 0..SETTLE_LOOKS {
            std::thread::sleep(SETTLE_PAUSE);
            let waits = |task: &super::task::Task| {
                matches!(task.state, State::Waiting(Wait::Descriptor { .. } | Wait::Set { .. }))
            };
            let waiting: Vec<usize> = (0..self.tasks.len()).filter(|at| waits(&self.tasks[*at])).collect();
            if waiting.into_iter().any(|at| self.is_readable(at)) {
                return true;
            }
        }
        false
    }

    fn is_readable(&mut self, at: usize) -> bool {
        match self.tasks[at].state {
            State::Waiting(Wait::Descriptor { fd, events, .. }) => {
                let tgid = self.tasks[at].tgid;
                !self.would_block(tgid, fd, events)
            }
            _ => self.set_ready(at) != Some(false),
        }
    }

    fn something_due(&self) -> bool {
        self.tasks.iter().any(|task| task.state.deadline().is_some_and(|deadline| deadline <= self.now))
    }

    /// Whether a thread that computes on and on keeps another from something: one that can run, or one that
    /// waits for time. Whoever waits for time lacks none any more once so much of it was given in vain as
    /// this run may compute at all: with real time the limit would be reached by then as well.
    pub(crate) fn somebody_lacks_a_turn(&self, at: usize) -> bool {
        let limit = self.setup.limits.cpu_micros.saturating_mul(1000);
        let can_run = |(other, task): (usize, &super::task::Task)| {
            other != at && matches!(task.state, State::Ready | State::Held { .. })
        };
        self.tasks.iter().enumerate().any(can_run)
            || self.tasks[at].time_in_vain < limit && self.next_deadline().is_some()
    }

    /// Whether preemption or the passing of time would let anything else happen than this thread's own work.
    pub(crate) fn anybody_waits_beside(&self, at: usize) -> bool {
        let ready =
            |(other, task): (usize, &super::task::Task)| other != at && matches!(task.state, State::Ready);
        self.next_deadline().is_some() || self.tasks.iter().enumerate().any(ready)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let waits = self.tasks.iter().filter_map(|task| task.state.deadline());
        waits
            .chain(self.next_alarm())
            .chain(self.next_timer_while_idle())
            .filter(|deadline| *deadline < HORIZON)
            .min()
    }

    fn wake_if_ready(&mut self, at: usize) -> Result<(), WitnessError> {
        if let State::Held { until } = self.tasks[at].state
            && until <= self.now
        {
            self.tasks[at].state = State::Ready;
        }
        let State::Waiting(wait) = self.tasks[at].state.clone() else { return Ok(()) };
        let due = wait.deadline().is_some_and(|deadline| deadline <= self.now);
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        match wait {
            Wait::Futex { .. } if due => self.complete(at, -i64::from(libc::ETIMEDOUT)),
            Wait::Semaphores { .. } if due => self.complete(at, -i64::from(libc::EAGAIN)),
            Wait::Sleep { .. } if due => self.complete(at, 0),
            Wait::Descriptor { fd, events, then, .. } => {
                if !self.would_block(tgid, fd, events) {
                    self.go_on(at, then);
                } else if due {
                    self.complete(at, -i64::from(libc::EAGAIN));
                }
            }
            Wait::Set { .. } => {
                let is_epoll = matches!(
                    self.tasks[at].registers.orig_rax as i64,
                    libc::SYS_epoll_wait | libc::SYS_epoll_pwait
                );
                let told = is_epoll && self.any_signal_file_ready(tgid);
                if !told && self.set_ready(at) != Some(false) {
                    self.go_on(at, Exit::Note);
                } else if due || told {
                    let old = self.tasks[at].registers;
                    self.zero_timeout(at);
                    let registers = self.tasks[at].registers;
                    ptrace::set_registers(tid, &registers)
                        .map_err(WitnessError::sandbox("writing registers"))?;
                    self.go_on(at, Exit::Restore { rdx: old.rdx, r10: old.r10 });
                }
            }
            Wait::Lock { fd, operation } => {
                let copy = self.copy(tgid, fd);
                if !copy.is_ok_and(|copy| task::flock_is_held(&copy, operation)) {
                    self.go_on(at, Exit::Note);
                }
            }
            Wait::Record { since } => {
                if self.done > since {
                    self.ask_again(at)?;
                }
            }
            Wait::NamedPipe { pipe, writes } => {
                if self.end_is_open(pipe, !writes) {
                    self.go_on(at, Exit::NamedPipe);
                }
            }
            Wait::Child { pid, options } => {
                if let Some(result) = self.answer_with_news(at, pid, options) {
                    self.complete(at, result);
                } else if self.child_to_wait_for(tgid, pid) != Some(false) {
                    self.go_on(at, Exit::Reaped);
                }
            }
            Wait::Signal { .. } => {
                if self.signal_pending(tid, &wait) {
                    self.go_on(at, Exit::Note);
                } else if due {
                    self.complete(at, -i64::from(libc::EAGAIN));
                }
            }
            Wait::Futex { .. }
            | Wait::Sleep { .. }
            | Wait::Semaphores { .. }
            | Wait::Sending { .. }
            | Wait::Receiving { .. } => {}
        }
        Ok(())
    }

    /// Lets the kernel do the call that a thread waited before.
    fn go_on(&mut self, at: usize, exit: Exit) {
        if let State::Waiting(wait) = std::mem::replace(&mut self.tasks[at].state, State::Ready) {
            // A call that was made to come back at once needs no second look.
            let looks = !matches!(exit, Exit::Restore { .. });
            self.tasks[at].woken_from = looks.then_some((wait, self.events));
        }
        self.tasks[at].exit = Some(exit);
    }

    /// What the program made executable itself lies in no file.
    pub(crate) fn note_made_executable(&mut self, tid: i32, address: u64, length: u64) {
        let end = address.saturating_add(length);
        let all = modules::mappings(tid);
        let mut touched = all.iter().filter(|m| m.start < end && address < m.end);
        if touched.any(|m| !modules::is_file(&m.path)) {
            self.generated_code = true;
        }
    }

    /// Processes that have not ended.
    pub(crate) fn living(&self) -> Vec<i32> {
        self.processes.iter().filter(|(_, p)| p.life == Life::Alive).map(|(tgid, _)| *tgid).collect()
    }
}
