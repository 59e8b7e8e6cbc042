//! Threads and processes of a run as the tracer sees them.

use std::collections::{BTreeMap, HashMap};

use crate::sys::ptrace::Registers;
use crate::sys::task::PidFd;

/// A traced call at its entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The thread's place in [`super::Machine::tasks`].
    pub task: usize,
    pub tid: i32,
    pub tgid: i32,
    pub nr: i64,
    pub args: [u64; 6],
}

/// What is to become of a call.
#[derive(Debug)]
pub(crate) enum Flow {
    /// The kernel does it; nobody looks at the result.
    Pass,
    /// The kernel does it; the result can only be this one.
    PassAs(i64),
    /// The kernel does it; the result is looked at.
    PassThen(Exit),
    /// The tracer has done it, with this result.
    Done(i64),
    /// The same, and what the trace says besides.
    DoneSaying(i64, String),
    /// Done, and another thread may run.
    Yield(i64),
    /// It would block.
    Block(Wait),
    /// The run ends here.
    End(crate::Ending),
}

/// What to do at the end of a call that the kernel does.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    /// Note the result.
    Note,
    /// Note the result as an address.
    Address,
    /// Note the bytes that were filled in.
    Fill { address: u64 },
    /// Note the file.
    Open,
    /// A descriptor now means something else, or nothing.
    Forget { first: u32, last: u32 },
    /// Normalise a `struct stat`.
    Stat { address: u64 },
    /// Normalise a `struct statx`.
    Statx { address: u64 },
    /// Fill a nameless file that stands for a special one.
    Special(Vec<u8>),
    /// The same, and remember that it gives random bytes.
    RandomDevice,
    /// A chunk of a long blocking write.
    Write,
    /// Bytes may have gone to an output.
    Output,
    /// A child may have been reaped.
    Reaped,
    /// A signal may have been sent.
    Sent { pid: i32, signal: i32 },
    /// Put changed argument registers back.
    Restore { rdx: u64, r10: u64 },
    /// A descriptor's duplicate in place of an opened file.
    Duplicated { original: Box<Registers> },
    /// An event descriptor that stands for a timer.
    TimerFile { original: Box<Registers> },
    /// Something went into a terminal, or its state was changed.
    Typed,
    /// The open of a named pipe.
    NamedPipe,
    /// A new socket.
    Socket,
    /// Note the address that was filled in, and how long it is.
    PeerAddress { address: u64, size: u64 },
    /// Note the bytes that a message was made of.
    Message { header: u64 },
    /// A lock that may not wait.
    Lock,
    /// A call on shared memory of System V.
    SharedMemory { segment: Option<i32> },
    /// A mapping: the descriptor mapped executable, if one is.
    Mapped { file: Option<i32>, generated: bool },
}

/// What a blocked thread waits for.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    /// A futex at a key.
    Futex { key: FutexKey, mask: u32, deadline: Option<u64> },
    /// Time alone.
    Sleep { deadline: u64, remain: u64 },
    /// A descriptor, for `poll`'s events.
    Descriptor { fd: i32, events: i16, deadline: Option<u64>, then: Exit },
    /// The descriptors of the call's own arguments.
    Set { deadline: Option<u64> },
    /// A file lock.
    Lock { fd: i32, operation: i32 },
    /// A record lock, asked for again once something was done after this much was done.
    Record { since: u64 },
    /// The other end of a named pipe: device and inode, and whether this one is to write.
    NamedPipe { pipe: (u64, u64), writes: bool },
    /// Operations on a set of semaphores, and after how many events it began to wait.
    Semaphores { set: i32, operations: Vec<super::sysv::Operation>, deadline: Option<u64>, since: u64 },
    /// Room in a message queue.
    Sending { queue: i32, message: super::sysv::Message, since: u64 },
    /// A message of a queue.
    Receiving { queue: i32, since: u64 },
    /// A child's end; `pid` as `wait4` takes it.
    Child { pid: i32, options: i32 },
    /// A signal that is not in the mask (or, for `sigtimedwait`, one in the set).
    Signal { mask: u64, only: Option<u64>, deadline: Option<u64> },
}

impl State {
    /// The virtual time at which it ends by itself.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self {
            Self::Waiting(wait) => wait.deadline(),
            Self::Held { until } => Some(*until),
            _ => None,
        }
    }
}

impl Wait {
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self {
            Self::Sleep { deadline, .. } => Some(*deadline),
            Self::Futex { deadline, .. }
            | Self::Semaphores { deadline, .. }
            | Self::Descriptor { deadline, .. }
            | Self::Set { deadline }
            | Self::Signal { deadline, .. } => *deadline,
            Self::Lock { .. }
            | Self::Record { .. }
            | Self::Child { .. }
            | Self::NamedPipe { .. }
            | Self::Sending { .. }
            | Self::Receiving { .. } => None,
        }
    }
}

/// What a futex is: a word of an address space, or of a file that several share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FutexKey {
    /// Of one process alone.
    Private { tgid: i32, address: u64 },
    /// Of a shared mapping: device, inode, offset.
    Shared { device: u64, inode: u64, offset: u64 },
}

/// Whether a thread can run.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Stopped and able to go on.
    Ready,
    /// Able to go on, but its turn was taken until this virtual time.
    Held { until: u64 },
    /// Stopped at the entry of a call that would block.
    Waiting(Wait),
    /// Stopped until its vfork child lets go of its memory.
    VforkParent { child: i32 },
    /// A first thread that has ended before the others.
    EndedLeader,
    /// Ended and waited for.
    Gone,
}

/// A long blocking write under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongWrite {
    pub original: Registers,
    pub done: u64,
}

/// One thread.
pub(crate) struct Task {
    pub tid: i32,
    pub tgid: i32,
    pub index: u32,
    pub state: State,
    /// At the entry of the call under way.
    pub registers: Registers,
    /// To deliver when it goes on.
    pub signal: i32,
    /// The call under way, when its end is looked at.
    pub exit: Option<Exit>,
    /// What the trace will say about it.
    pub line: String,
    /// While recording, the absolute paths of its arguments.
    pub paths: Vec<String>,
    pub clear_tid: u64,
    pub child_clear_tid: u64,
    /// Robust futexes that it held when it ended; the kernel marks them, the tracer wakes.
    pub held: Vec<FutexKey>,
    pub clock_streak: u32,
    pub long_write: Option<LongWrite>,
    /// The call under way ends the whole process.
    pub ending_process: bool,
    /// A first thread at its `exit` while others go on.
    pub ends_before_others: bool,
    /// The deadline of the interrupted wait that the call under way resumes.
    pub restarted_deadline: Option<u64>,
    /// What it was woken from, and after how many events: another thread may take first what it waited for.
    pub woken_from: Option<(Wait, u64)>,
    /// How often its turn was taken since its last call, and the virtual nanoseconds that others had then.
    pub turns_in_vain: u32,
    pub time_in_vain: u64,
}

/// What the tracer knows about a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Never blocks.
    Plain,
    /// One of the run's outputs.
    Output,
    /// May block: pipe, socket, eventfd.
    Stream,
    /// Tells signals: ready when one of its set is pending for the reader.
    Signals,
    /// One end of a pseudo-terminal: what goes in one end comes out of the other a little later.
    Terminal,
    /// Stands for `/dev/urandom`.
    Random,
}

/// A directory being listed.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub entries: Vec<Vec<u8>>,
    pub next: usize,
    pub end: i64,
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    /// Ended, its parent has not looked yet.
    Ended,
    /// Forgotten by the kernel too.
    Reaped,
}

/// One process.
pub(crate) struct Process {
    pub parent: i32,
    /// Its id inside.
    pub inner: i32,
    pub handle: std::sync::Arc<PidFd>,
    pub life: Life,
    pub kinds: HashMap<i32, Kind>,
    pub listings: HashMap<i32, Listing>,
    /// Signals whose handlers restart calls, by bit.
    pub restarting: u64,
    /// Breakpoints still planted: address and the byte that was there.
    pub planted: BTreeMap<u64, u8>,
    /// A debugger's breakpoints, and the bytes that they stand for.
    pub breakpoints: BTreeMap<u64, u8>,
    /// The mappings that they lie in.
    pub covered: Vec<super::coverage::Covered>,
    pub executable: String,
    /// Its memory as a file, once it was asked for.
    pub text: Option<std::sync::Arc<crate::sys::memory::Text>>,
    /// Its own clock, where it has one.
    pub clock: Option<super::clock::Clock>,
    /// Stopped by a signal, and not continued since.
    pub is_stopped: bool,
    /// What its parent has not asked about yet.
    pub news: Option<super::jobs::News>,
    /// It wants no SIGCHLD about stops.
    pub is_quiet_about_stops: bool,
    /// The virtual times of the real-time timer: next and every.
    pub alarm: Option<(u64, u64)>,
}

impl Task {
    pub(crate) fn new(tid: i32, tgid: i32, index: u32) -> Self {
        Self {
            tid,
            tgid,
            index,
            state: State::Ready,
            registers: crate::sys::ptrace::no_registers(),
            signal: 0,
            exit: None,
            line: String::new(),
            paths: Vec::new(),
            clear_tid: 0,
            child_clear_tid: 0,
            held: Vec::new(),
            clock_streak: 0,
            long_write: None,
            ending_process: false,
            ends_before_others: false,
            restarted_deadline: None,
            woken_from: None,
            turns_in_vain: 0,
            time_in_vain: 0,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }
}
