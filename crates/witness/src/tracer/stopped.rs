//! Stopping at a line of the trace and looking at every stack.

use super::Machine;
use super::unwind::Space;
use crate::debug::StopReason;
use crate::report::{Ending, Stopped, ThreadStack};
use crate::sys::ptrace;

impl Machine<'_> {
    /// Ends the run once the trace is as long as was asked for.
    pub(super) fn stop_where_asked(&mut self) {
        let event = self.trace.lines();
        if self.stopped.is_some() || self.setup.stop_at.is_none_or(|stop| event < stop) {
            return;
        }
        if self.setup.debugger.is_some() {
            self.setup.stop_at = None;
            return self.debugger_looks(self.current.unwrap_or(0), StopReason::Event(event));
        }
        let threads = (0..self.tasks.len()).filter_map(|at| self.thread_stack(at)).collect();
        self.stopped = Some(Stopped { event, threads });
        let detail = format!("stopped after event {event}, as asked");
        self.end(Ending::Unsupported { code: "stopped_on_request".to_owned(), detail });
    }

    /// None for threads that are gone, or that the kernel holds where they cannot be looked at.
    fn thread_stack(&mut self, at: usize) -> Option<ThreadStack> {
        if self.tasks[at].is_gone() {
            return None;
        }
        let tid = self.tasks[at].tid;
        let registers = ptrace::registers(tid).ok()?;
        let space = Space::of(tid, &mut self.unwinding, self.setup.module);
        let (frames, frames_omitted) = space.stack(tid, &registers);
        let current = self.current == Some(at);
        Some(ThreadStack { thread: self.tasks[at].index, current, frames, frames_omitted })
    }
}
