//! A thread outside the run that ends it when it uses too much of what makes no event.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::sys::task::{PidFd, cpu_micros, refuse_counter, signal_thread};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(10);
/// How long a run may neither compute nor make an event before it is taken to be stuck in the kernel.
const STALL: Duration = Duration::from_secs(20);
/// All processes together may have this many times the memory limit resident.
const RESIDENT_FACTOR: u64 = 2;
/// A run that computed for so long without an event before it reached its CPU limit was computing alone, in
/// microseconds; less where the limit is small.
const ALONE: u64 = 300_000;
const ALONE_SHARE: u64 = 4;
const PAGE: u64 = 4096;

/// Why it ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Cpu,
    /// The same, and the thread that ran had made no event for long.
    CpuWithoutEvents,
    Memory,
    Stalled,
}

/// What tracer and watchdog share.
#[derive(Default)]
pub(crate) struct Watched {
    pub events: AtomicU64,
    /// The thread that runs, its process, and whether somebody waits for its turn.
    running: Mutex<Option<(i32, i32)>>,
    asked: AtomicBool,
    ended_cpu: AtomicU64,
    fired: AtomicU8,
    /// A debugger looks: real time passes, and that is no stall.
    paused: AtomicBool,
    live: Mutex<Vec<(i32, Arc<PidFd>)>>,
    done: Mutex<bool>,
    wake: Condvar,
}

impl Watched {
    pub(crate) fn add(&self, pid: i32, handle: Arc<PidFd>) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).push((pid, handle));
    }

    pub(crate) fn remove(&self, pid: i32, cpu: u64) {
        self.ended_cpu.fetch_add(cpu, Ordering::Relaxed);
        self.live.lock().unwrap_or_else(PoisonError::into_inner).retain(|(live, _)| *live != pid);
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Says which thread runs while somebody waits for its turn.
    pub(crate) fn note_running(&self, running: Option<(i32, i32)>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Whether a stop signal is the watchdog's own; asked once.
    pub(crate) fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }

    fn ask(&self) {
        if let Some((tgid, tid)) = *self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            self.asked.store(true, Ordering::Release);
            // A thread that is gone needs no stop.
            let _ = signal_thread(tgid, tid, libc::SIGSTOP);
        }
    }

    fn somebody_waits(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn fired(&self) -> Option<Verdict> {
        match self.fired.load(Ordering::Acquire) {
            1 => Some(Verdict::Cpu),
            2 => Some(Verdict::Memory),
            3 => Some(Verdict::Stalled),
            4 => Some(Verdict::CpuWithoutEvents),
            _ => None,
        }
    }

    pub(crate) fn cpu(&self) -> u64 {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let running: u64 = live.iter().filter_map(|(pid, _)| cpu_micros(*pid)).sum();
        running + self.ended_cpu.load(Ordering::Relaxed)
    }

    fn resident(&self) -> u64 {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = |pid: i32| -> Option<u64> {
            let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            text.split(' ').nth(1)?.parse().ok()
        };
        live.iter().filter_map(|(pid, _)| pages(*pid)).sum::<u64>() * PAGE
    }

    fn fire(&self, verdict: Verdict) {
        let code = match verdict {
            Verdict::Cpu => 1,
            Verdict::Memory => 2,
            Verdict::Stalled => 3,
            Verdict::CpuWithoutEvents => 4,
        };
        self.fired.store(code, Ordering::Release);
        for (_, handle) in self.live.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = handle.kill();
        }
    }
}

/// The watchdog's thread; dropping it stops and joins it.
pub(crate) struct Watchdog {
    shared: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(
        shared: Arc<Watched>,
        limits: Limits,
        patience: Option<u64>,
    ) -> std::io::Result<Self> {
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("witness-watchdog".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || watch(&watched, &limits, patience))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Watched, limits: &Limits, patience: Option<u64>) {
    // The thread that started this one may be without; this one measures time.
    refuse_counter(false);
    let (mut event, mut cpu_at_event, mut cpu_when_asked) = (0, 0, 0);
    let mut progress = (0, 0);
    let mut since = Instant::now();
    let mut done = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
    while !*done {
        done = shared.wake.wait_timeout(done, PERIOD).unwrap_or_else(PoisonError::into_inner).0;
        if *done || shared.fired().is_some() {
            continue;
        }
        let now = (shared.events.load(Ordering::Relaxed), shared.cpu());
        let eventful = now.0 != event;
        if eventful {
            (event, cpu_at_event) = now;
        }
        if eventful || !shared.somebody_waits() {
            cpu_when_asked = now.1;
        } else if patience.is_some_and(|patience| now.1.saturating_sub(cpu_when_asked) > patience) {
            cpu_when_asked = now.1;
            shared.ask();
        }
        if now.1 > limits.cpu_micros {
            let alone = now.1.saturating_sub(cpu_at_event) > ALONE.min(limits.cpu_micros / ALONE_SHARE);
            shared.fire(if alone { Verdict::CpuWithoutEvents } else { Verdict::Cpu });
        } else if shared.resident() > limits.memory_bytes.saturating_mul(RESIDENT_FACTOR) {
            shared.fire(Verdict::Memory);
        } else if now != progress || shared.paused.load(Ordering::Relaxed) {
            progress = now;
            since = Instant::now();
        } else if since.elapsed() > STALL {
            shared.fire(Verdict::Stalled);
        }
    }
}
