//! Named pipes: an open waits for the other end without ever waiting in the kernel.

use std::os::fd::OwnedFd;

use super::Machine;
use super::task::{Call, Exit, Flow, State, Wait};
use crate::sys::task;

/// Two opens that let each other go on, held open from outside until both are done.
pub(crate) struct Meeting {
    _held: OwnedFd,
    pub awaited: Vec<usize>,
}

impl Machine<'_> {
    /// An open that could wait for the other end of a named pipe waits here instead.
    pub(crate) fn open_or_wait(&mut self, call: Call, path: &[u8], flags: i32) -> Flow {
        let access = flags & libc::O_ACCMODE;
        if !self.has_named_pipes || flags & (libc::O_NONBLOCK | libc::O_PATH) != 0 || access == libc::O_RDWR {
            return Flow::PassThen(Exit::Open);
        }
        let base = if call.nr == libc::SYS_openat { call.args[0] as i32 } else { libc::AT_FDCWD };
        let Some(place) = place_inside(call, path, base) else { return Flow::PassThen(Exit::Open) };
        let root = format!("/proc/{}/root", call.tid);
        let Ok(found) = task::open_inside(&root, &place, libc::O_PATH) else {
            return Flow::PassThen(Exit::Open);
        };
        let pipe = match task::stat(&found) {
            Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFIFO => (stat.st_dev, stat.st_ino),
            _ => return Flow::PassThen(Exit::Open),
        };
        let writes = access == libc::O_WRONLY;
        if self.end_is_open(pipe, !writes) {
            return Flow::PassThen(Exit::NamedPipe);
        }
        let partner = self.tasks.iter().position(|task| {
            matches!(task.state, State::Waiting(Wait::NamedPipe { pipe: theirs, writes: way })
                if theirs == pipe && way != writes)
        });
        let Some(partner) = partner else { return Flow::Block(Wait::NamedPipe { pipe, writes }) };
        let Ok(held) = task::open_inside(&root, &place, libc::O_RDWR | libc::O_NONBLOCK) else {
            return Flow::PassThen(Exit::Open);
        };
        self.meetings.push(Meeting { _held: held, awaited: vec![partner, call.task] });
        self.tasks[partner].state = State::Ready;
        self.tasks[partner].exit = Some(Exit::NamedPipe);
        Flow::PassThen(Exit::NamedPipe)
    }

    /// Whether some process has this end of a pipe open.
    pub(crate) fn end_is_open(&self, pipe: (u64, u64), writing: bool) -> bool {
        self.living().into_iter().any(|tgid| {
            let entries = std::fs::read_dir(format!("/proc/{tgid}/fd")).into_iter().flatten().flatten();
            entries.into_iter().any(|entry| {
                let same = std::fs::metadata(entry.path()).is_ok_and(|meta| {
                    use std::os::unix::fs::MetadataExt;
                    (meta.dev(), meta.ino()) == pipe
                });
                same && is_open_for(tgid, &entry.file_name().to_string_lossy(), writing)
            })
        })
    }
}

/// The path as it is from the process's own root.
fn place_inside(call: Call, path: &[u8], base: i32) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let link = match base {
        libc::AT_FDCWD => format!("/proc/{}/cwd", call.tid),
        base => format!("/proc/{}/fd/{base}", call.tgid),
    };
    Some(format!("{}/{path}", std::fs::read_link(link).ok()?.display()))
}

fn is_open_for(tgid: i32, fd: &str, writing: bool) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{tgid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0);
    let access = flags & libc::O_ACCMODE;
    access == libc::O_RDWR || writing == (access == libc::O_WRONLY)
}
