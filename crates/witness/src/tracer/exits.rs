//! What happens at the end of a call that the kernel has done.

use std::io::Write as _;

use super::task::{Exit, Kind, Life, State, Wait};
use super::{Machine, digest_text, modules};
use crate::error::WitnessError;
use crate::limits::LimitKind;
use crate::report::Ending;
use crate::sys::{memory, ptrace, task};

/// Most bytes of one read that the trace digests.
const MAX_FILL: i64 = 16 << 20;
/// Length of the instruction that makes a call.
const SYSCALL_BYTES: u64 = 2;
/// Results from here up to -1 are error numbers.
const MAX_ERRNO: i64 = 4095;

/// Whether the descriptor is the program's own list of mappings, as the runner made it.
fn reads_own_maps(tgid: i32, fd: u64) -> bool {
    let link = std::fs::read_link(format!("/proc/{tgid}/fd/{fd}"));
    link.is_ok_and(|target| {
        let target = target.to_string_lossy();
        target.starts_with("/memfd:/proc/") && target.trim_end_matches(" (deleted)").ends_with("/maps")
    })
}

impl Machine<'_> {
    /// One call at its end.
    pub(crate) fn leave(&mut self, at: usize) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let result = registers.rax as i64;
        let Some(exit) = self.tasks[at].exit.take() else { return Ok(()) };
        self.check_limits(at, &exit, result);
        if matches!(exit, Exit::Write) {
            return self.leave_write(at, result);
        }
        let said = self.leave_by(at, exit, result)?;
        let line = std::mem::take(&mut self.tasks[at].line);
        let is_error = (-MAX_ERRNO..0).contains(&result);
        if self.setup.recording && !is_error {
            self.note_touched(at);
        }
        self.trace.add(&match said {
            Said::Result => format!("{line} = {result}"),
            Said::Address if is_error => format!("{line} = {result}"),
            Said::Address => format!("{line} = *"),
            Said::More(more) => format!("{line} = {result}{more}"),
        });
        self.tell_signal_descriptors()?;
        Ok(())
    }

    fn check_limits(&mut self, at: usize, exit: &Exit, result: i64) {
        let error = |errno: i32| result == -i64::from(errno);
        let limit = match exit {
            Exit::Mapped { .. } if error(libc::ENOMEM) => LimitKind::Memory,
            Exit::Address if error(libc::ENOMEM) => LimitKind::Memory,
            Exit::Address if self.break_refused(at, result) => LimitKind::Memory,
            Exit::Output | Exit::Write | Exit::Open | Exit::Note if error(libc::ENOSPC) => LimitKind::Disk,
            Exit::Open | Exit::Note | Exit::Special(_) | Exit::RandomDevice if error(libc::EMFILE) => {
                LimitKind::OpenFiles
            }
            _ => return,
        };
        self.end(Ending::LimitExceeded { limit });
    }

    fn break_refused(&self, at: usize, result: i64) -> bool {
        let registers = &self.tasks[at].registers;
        let missing = registers.rdi.saturating_sub(result as u64);
        // A break that could never be had is refused to the program alone, like such a mapping.
        registers.orig_rax as i64 == libc::SYS_brk && (1..=self.setup.limits.memory_bytes).contains(&missing)
    }

    fn leave_by(&mut self, at: usize, exit: Exit, result: i64) -> Result<Said, WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        match exit {
            Exit::Note | Exit::Write => {}
            Exit::Address => return Ok(Said::Address),
            Exit::Fill { address } => {
                let mut bytes = vec![0; result.clamp(0, MAX_FILL) as usize];
                let got = memory::read_some(tid, address, &mut bytes).unwrap_or(0);
                bytes.truncate(got);
                if self.has_own_maps && reads_own_maps(tgid, self.tasks[at].registers.rdi) {
                    modules::mask_ranges(&mut bytes);
                }
                return Ok(Said::More(format!(" {}", digest_text(&bytes))));
            }
            Exit::Open => self.note_opened(tgid, result),
            Exit::Forget { first, last } => self.forget(tgid, first, last),
            Exit::Stat { address } if result == 0 => {
                return Ok(Said::More(self.normalise_stat(tid, address)));
            }
            Exit::Statx { address } if result == 0 => {
                return Ok(Said::More(self.normalise_statx(tid, address)));
            }
            Exit::Stat { .. } | Exit::Statx { .. } => {}
            Exit::Special(content) => self.fill_special(at, result, &content, false)?,
            Exit::RandomDevice => self.fill_special(at, result, &[], true)?,
            Exit::Output => self.check_output(),
            Exit::Reaped => return Ok(self.note_wait(at, result)),
            Exit::Sent { pid, signal } => self.after_sending(pid, signal, result)?,
            Exit::Restore { rdx, r10 } => {
                let mut registers =
                    ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
                (registers.rdx, registers.r10) = (rdx, r10);
                ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
            }
            Exit::Duplicated { original } => {
                let mut registers = *original;
                registers.rax = result as u64;
                registers.orig_rax = u64::MAX;
                ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
                self.forget(tgid, result as u32, result as u32);
            }
            Exit::TimerFile { original } => {
                let mut registers = *original;
                registers.rax = result as u64;
                registers.orig_rax = u64::MAX;
                ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
                self.forget(tgid, result as u32, result as u32);
                self.note_timer_file(tgid, result, original.rdi);
            }
            Exit::Typed => self.carry_terminals(),
            Exit::NamedPipe => {
                self.note_opened(tgid, result);
                self.meetings.retain_mut(|meeting| {
                    meeting.awaited.retain(|waiter| *waiter != at);
                    !meeting.awaited.is_empty()
                });
            }
            Exit::Socket => self.prepare_socket(tgid, result),
            Exit::PeerAddress { address, size } => {
                return Ok(Said::More(super::sockets::address_text(tid, address, size, result)));
            }
            Exit::Message { header } => {
                let fd = self.tasks[at].registers.rdi as i32;
                let from_kernel = self.is_netlink(tgid, fd);
                let said = super::sockets::message_text(tid, header, result, from_kernel);
                return Ok(Said::More(said));
            }
            Exit::Lock => self.after_lock(at, result)?,
            Exit::SharedMemory { segment } => {
                return Ok(match self.leave_shared_memory(at, segment, result) {
                    true => Said::Address,
                    false => Said::Result,
                });
            }
            Exit::Mapped { file, generated } => {
                self.generated_code |= generated;
                if let Some(fd) = file {
                    self.note_mapped(at, fd, result)?;
                }
                return Ok(Said::Address);
            }
        }
        Ok(Said::Result)
    }

    fn note_opened(&mut self, tgid: i32, fd: i64) {
        if fd < 0 {
            return;
        }
        self.forget(tgid, fd as u32, fd as u32);
        if let Ok(path) = std::fs::read_link(format!("/proc/{tgid}/fd/{fd}"))
            && let Some(path) = path.to_str()
            && modules::is_file(path)
        {
            self.opened.insert(path.to_owned());
            if self.setup.lookups {
                self.note_opening(tgid, fd, path);
            }
            if self.setup.recording {
                self.touched.insert(path.to_owned());
            }
        }
    }

    fn note_opening(&mut self, tgid: i32, fd: i64, path: &str) {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(format!("/proc/{tgid}/fd/{fd}"));
        let file = meta.map(|meta| (meta.dev(), meta.ino())).ok();
        self.openings.push((self.trace.lines(), path.to_owned(), file));
    }

    pub(super) fn forget(&mut self, tgid: i32, first: u32, last: u32) {
        let within = |fd: &i32| (first..=last).contains(&(*fd as u32));
        let process = self.process(tgid);
        process.kinds.retain(|fd, _| !within(fd));
        process.listings.retain(|fd, _| !within(fd));
    }

    fn note_mapped(&mut self, at: usize, fd: i32, result: i64) -> Result<(), WitnessError> {
        let (tid, tgid, registers) = (self.tasks[at].tid, self.tasks[at].tgid, self.tasks[at].registers);
        let path = std::fs::read_link(format!("/proc/{tgid}/fd/{fd}")).unwrap_or_default();
        let Some(path) = path.to_str().filter(|path| modules::is_file(path)) else {
            self.generated_code = true;
            return Ok(());
        };
        self.modules.insert(path.to_owned());
        if (-MAX_ERRNO..0).contains(&result) {
            return Ok(());
        }
        let start = result as u64;
        let end = start.saturating_add(registers.rsi.next_multiple_of(4096));
        self.plant(tid, tgid, path, start..end, registers.r9)
    }

    fn fill_special(&mut self, at: usize, fd: i64, content: &[u8], random: bool) -> Result<(), WitnessError> {
        let failed = || WitnessError::sandbox("answering for a special file");
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let mut registers = ptrace::registers(tid).map_err(failed())?;
        registers.rdi = self.tasks[at].registers.rdi;
        registers.rsi = self.tasks[at].registers.rsi;
        ptrace::set_registers(tid, &registers).map_err(failed())?;
        let Ok(fd) = i32::try_from(fd) else { return Ok(()) };
        if fd < 0 {
            return Ok(());
        }
        let copy = self.copy(tgid, fd).map_err(failed())?;
        let stat = task::stat(&copy).map_err(failed())?;
        self.memory_device = Some(stat.st_dev);
        if random {
            self.random_files.insert((stat.st_dev, stat.st_ino));
        } else {
            let mut file = std::fs::File::from(copy.try_clone().map_err(failed())?);
            file.write_all(content).map_err(failed())?;
            std::io::Seek::rewind(&mut file).map_err(failed())?;
        }
        let kind = if random { Kind::Random } else { Kind::Plain };
        self.process(tgid).kinds.insert(fd, kind);
        Ok(())
    }

    fn check_output(&mut self) {
        let size = |fd| task::stat(fd).map_or(0, |stat| stat.st_size as u64);
        if size(&self.outputs[0]) + size(&self.outputs[1]) > self.setup.limits.output_bytes {
            self.end(Ending::LimitExceeded { limit: LimitKind::Output });
        }
    }

    fn note_wait(&mut self, at: usize, result: i64) -> Said {
        const SI_PID: u64 = 16;
        const SI_STATUS: u64 = 24;
        let (tid, tgid, registers) = (self.tasks[at].tid, self.tasks[at].tgid, self.tasks[at].registers);
        let read = |address: u64| memory::read_u32(tid, address).unwrap_or(0);
        if registers.orig_rax as i64 == libc::SYS_wait4 {
            if result > 0 {
                self.note_reaped(tgid, result);
            }
            let status = if result > 0 && registers.rsi != 0 { read(registers.rsi) } else { 0 };
            if result > 0 && registers.r10 != 0 {
                // The kernel's account of the child's CPU time is real time.
                let _ = memory::write(tid, registers.r10, &[0; 144]);
            }
            return Said::More(format!(" status {status:#x}"));
        }
        if result != 0 || registers.rdx == 0 {
            return Said::Result;
        }
        let pid = read(registers.rdx + SI_PID);
        if registers.r10 as i32 & libc::WNOWAIT == 0 && pid > 0 {
            self.note_reaped(tgid, pid.into());
        }
        Said::More(format!(" pid {pid} status {:#x}", read(registers.rdx + SI_STATUS)))
    }

    fn after_sending(&mut self, pid: i32, signal: i32, result: i64) -> Result<(), WitnessError> {
        if result != 0 {
            return Ok(());
        }
        if signal == libc::SIGKILL {
            let target = self.processes.iter().find(|(_, p)| p.inner == pid && p.life == Life::Alive);
            let sender = self.current.map(|at| self.tasks[at].tgid);
            if let Some(tgid) = target.map(|(tgid, _)| *tgid)
                && Some(tgid) != sender
            {
                return self.drain(tgid);
            }
            return Ok(());
        }
        if signal == libc::SIGCONT
            && let Some(sender) = self.current.map(|at| self.tasks[at].tgid)
        {
            self.continue_processes(pid, sender)?;
        }
        for tgid in self.living() {
            self.interrupt(tgid)?;
        }
        Ok(())
    }

    /// Data for a descriptor that raises a signal has raised it by now: who waits is interrupted.
    fn tell_signal_descriptors(&mut self) -> Result<(), WitnessError> {
        if self.has_signal_descriptors {
            for tgid in self.living() {
                self.interrupt(tgid)?;
            }
        }
        Ok(())
    }

    /// A waiting request for a record lock was made as one that does not wait: where the lock is held, the
    /// thread waits here and asks again. The lock belongs to the process, so only it can ask.
    fn after_lock(&mut self, at: usize, result: i64) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        registers.rsi += 1;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        if result == -i64::from(libc::EAGAIN) || result == -i64::from(libc::EACCES) {
            // A request in vain lets nobody else go on.
            self.done -= 1;
            self.tasks[at].registers.rsi = registers.rsi;
            self.tasks[at].state = State::Waiting(Wait::Record { since: self.done });
        }
        Ok(())
    }

    /// Lets a thread ask for its record lock again.
    pub(super) fn ask_again(&mut self, at: usize) -> Result<(), WitnessError> {
        let task = &mut self.tasks[at];
        task.state = State::Ready;
        let mut registers = task.registers;
        registers.rax = registers.orig_rax;
        registers.rip -= SYSCALL_BYTES;
        registers.orig_rax = u64::MAX;
        ptrace::set_registers(task.tid, &registers).map_err(WitnessError::sandbox("writing registers"))
    }

    /// The end of a chunk of a long write: the next chunk, or the end of the whole.
    fn leave_write(&mut self, at: usize, result: i64) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        let Some(mut long) = self.tasks[at].long_write.take() else { return Ok(()) };
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        (registers.rsi, registers.rdx) = (long.original.rsi, long.original.rdx);
        long.done += result.max(0) as u64;
        if result > 0 && long.done < long.original.rdx {
            registers.rax = long.original.orig_rax;
            registers.rip -= 2;
            self.tasks[at].long_write = Some(long);
            return ptrace::set_registers(tid, &registers)
                .map_err(WitnessError::sandbox("writing registers"));
        }
        let total = if long.done > 0 { long.done as i64 } else { result };
        registers.rax = total as u64;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        let line = std::mem::take(&mut self.tasks[at].line);
        self.trace.add(&format!("{line} = {total}"));
        self.tell_signal_descriptors()
    }

    pub(super) fn note_touched(&mut self, at: usize) {
        let paths = std::mem::take(&mut self.tasks[at].paths);
        self.touched.extend(paths);
    }
}

/// What the trace says about a result.
enum Said {
    Result,
    Address,
    More(String),
}
