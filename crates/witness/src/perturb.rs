//! What is made different around a replay, of which nothing may show inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Most threads that compute beside a replay.
const MAX_LOAD: u32 = 4;
/// Most memory touched beside a replay.
const MAX_MEMORY: usize = 256 << 20;
const PAGE: usize = 4096;
/// The variable by which glibc is told to fill what it hands out and takes back (`mallopt(3)`, M_PERTURB).
const FILL_VARIABLE: &str = "GLIBC_TUNABLES";

/// What is made different around a replay, of which nothing may show inside; but for `malloc_fill`, which
/// shows in the environment and wherever a program reads memory that it did not write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Perturbation {
    /// Decides the order in which files are made, and with it their inode numbers and their places in
    /// directories.
    pub file_order: Option<u64>,
    /// The user and group outside, where the caller is root.
    pub user: Option<u32>,
    /// The host's name in the run's own namespace.
    pub host_name: Option<String>,
    /// Which of the CPUs allowed to this process.
    pub cpu: Option<usize>,
    /// Threads that compute at the same time, at most four.
    pub load: u32,
    /// Bytes that another thread touches at the same time, at most 256 MiB.
    pub memory_bytes: usize,
    /// The byte with which glibc fills memory that it hands out (its complement) and takes back.
    pub malloc_fill: Option<u8>,
}

impl Perturbation {
    /// Another one for each turn; turn 0 is none.
    pub fn of_turn(turn: u64) -> Self {
        const USERS: u64 = 1000;
        const FIRST_USER: u32 = 60_000;
        const PRESSURE: usize = 32 << 20;
        if turn == 0 {
            return Self::default();
        }
        Self {
            file_order: Some(turn),
            user: Some(FIRST_USER + (turn % USERS) as u32),
            host_name: Some(format!("host-{turn}")),
            cpu: Some(turn as usize),
            load: (turn % 3) as u32,
            memory_bytes: if turn.is_multiple_of(4) { PRESSURE } else { 0 },
            malloc_fill: None,
        }
    }

    /// The variable to add for `malloc_fill`.
    pub(crate) fn variable(&self) -> Option<(&'static str, String)> {
        self.malloc_fill.map(fill_variable)
    }
}

/// The variable that makes glibc fill memory with a byte.
pub(crate) fn fill_variable(fill: u8) -> (&'static str, String) {
    (FILL_VARIABLE, format!("glibc.malloc.perturb={fill}"))
}

/// Load and memory pressure while this lives.
pub(crate) struct Beside {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Beside {
    pub(crate) fn start(perturbation: &Perturbation) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut beside = Self { stop, threads: Vec::new() };
        for _ in 0..perturbation.load.min(MAX_LOAD) {
            beside.spawn(compute);
        }
        let bytes = perturbation.memory_bytes.min(MAX_MEMORY);
        if bytes > 0 {
            beside.spawn(move |stop| touch(stop, bytes));
        }
        beside
    }

    /// A machine that has no thread left is under load already.
    fn spawn(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        let thread = std::thread::Builder::new().name("witness-load".to_owned()).spawn(move || work(&stop));
        self.threads.extend(thread);
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn compute(stop: &AtomicBool) {
    let mut value = 1u64;
    while !stop.load(Ordering::Relaxed) {
        value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn touch(stop: &AtomicBool, bytes: usize) {
    let mut memory = vec![0u8; bytes];
    while !stop.load(Ordering::Relaxed) {
        for byte in memory.iter_mut().step_by(PAGE) {
            *byte = byte.wrapping_add(1);
        }
        std::hint::black_box(&memory);
    }
}
