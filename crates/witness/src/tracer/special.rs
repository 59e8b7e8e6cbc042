//! Files that the runner answers for itself: random devices and the process's own `/proc`.

use super::Machine;
use super::modules;
use super::task::Call;

/// A file that is not there but is answered for.
pub(crate) enum Special {
    /// With this text.
    Text(Vec<u8>),
    /// With random bytes without end.
    Random,
    /// Another descriptor of the caller's own.
    Descriptor(i32),
}

const LIMITS: &[u8] = b"Limit                     Soft Limit           Hard Limit           Units     \n\
    Max cpu time              unlimited            unlimited            seconds   \n\
    Max open files            1024                 1024                 files     \n";
const IO: &[u8] = b"rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n\
    cancelled_write_bytes: 0\n";

/// The rest of a path below the caller's own `/proc` folder.
fn own_proc(machine: &mut Machine<'_>, call: Call, path: &str) -> Option<String> {
    let rest = path.strip_prefix("/proc/")?;
    let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let own =
        first == "self" || first == "thread-self" || first == machine.process(call.tgid).inner.to_string();
    own.then(|| {
        let mut parts = rest.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("task"), Some(_), Some(inner)) => inner.to_owned(),
            _ => rest.to_owned(),
        }
    })
}

/// What stands for the file at `path`, if the runner answers for it.
pub(crate) fn find(machine: &mut Machine<'_>, call: Call, path: &[u8]) -> Option<Special> {
    let path = std::str::from_utf8(path).ok()?;
    match path {
        "/dev/urandom" | "/dev/random" => return Some(Special::Random),
        "/proc/sys/kernel/random/uuid" => return Some(Special::Text(machine.uuid_text())),
        "/dev/stdin" => return Some(Special::Descriptor(0)),
        "/dev/stdout" => return Some(Special::Descriptor(1)),
        "/dev/stderr" => return Some(Special::Descriptor(2)),
        _ => {}
    }
    if let Some(fd) = path.strip_prefix("/dev/fd/").and_then(|fd| fd.parse().ok()) {
        return Some(Special::Descriptor(fd));
    }
    let name = own_proc(machine, call, path)?;
    Some(match name.as_str() {
        "maps" => {
            machine.has_own_maps = true;
            Special::Text(modules::maps_text(call.tid))
        }
        "cgroup" => Special::Text(b"0::/\n".to_vec()),
        "comm" => Special::Text(super::procfs::name(call.tid).into_bytes()),
        "stat" => Special::Text(machine.stat_text(call)),
        "statm" => Special::Text(machine.statm_text(call)),
        "status" => Special::Text(machine.status_text(call)),
        "limits" => Special::Text(LIMITS.to_vec()),
        "io" => Special::Text(IO.to_vec()),
        "coredump_filter" => Special::Text(b"00000033\n".to_vec()),
        "cmdline" => Special::Text(machine.setup.command_line.clone()),
        // Everything else is left out of the reduced `/proc`.
        name => match name.strip_prefix("fd/").and_then(|fd| fd.parse().ok()) {
            Some(fd) => Special::Descriptor(fd),
            None => return None,
        },
    })
}

/// The target of a link that the runner answers for: none inside where it leads nowhere.
pub(crate) fn link(machine: &mut Machine<'_>, call: Call, path: &[u8]) -> Option<Option<String>> {
    let path = std::str::from_utf8(path).ok()?;
    if path == "/proc/self" {
        return Some(Some(machine.process(call.tgid).inner.to_string()));
    }
    let name = own_proc(machine, call, path)?;
    let real = match name.as_str() {
        "exe" => return Some(Some(machine.process(call.tgid).executable.clone())),
        "cwd" => std::fs::read_link(format!("/proc/{}/cwd", call.tid)),
        "root" => return Some(Some("/".to_owned())),
        name => {
            let fd: i32 = name.strip_prefix("fd/")?.parse().ok()?;
            std::fs::read_link(format!("/proc/{}/fd/{fd}", call.tgid))
        }
    };
    let Ok(real) = real else { return Some(None) };
    // Numbers of pipes and sockets are the kernel's own.
    let text = real.to_string_lossy();
    Some(Some(match text.split_once(":[") {
        Some((kind, _)) => format!("{kind}:[1]"),
        None => text.into_owned(),
    }))
}
