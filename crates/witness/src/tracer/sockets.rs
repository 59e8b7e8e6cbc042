//! Sockets: local ones only; there is no network.

use super::Machine;
use super::task::{Call, Exit, Flow, Kind, Wait};
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

pub(super) fn socket(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[0] as i32 {
        libc::AF_UNIX => Flow::PassThen(Exit::Note),
        libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK | libc::AF_PACKET => {
            Flow::Done(-i64::from(libc::EACCES))
        }
        _ => Flow::Done(-i64::from(libc::EAFNOSUPPORT)),
    })
}

pub(super) fn socketpair(machine: &mut Machine<'_>, call: Call) -> Handled {
    socket(machine, call)
}

/// A host's sockets may be seen while recording; they may not be used.
pub(super) fn connect(machine: &mut Machine<'_>, call: Call) -> Handled {
    let mut address = vec![0; (call.args[2] as usize).min(110)];
    let readable = memory::read(call.tid, call.args[1], &mut address).is_ok();
    let local = address.get(2..).is_some_and(|path| path.first() == Some(&0) || path.starts_with(b"/tmp/"));
    if machine.setup.recording && !(readable && local) {
        return Ok(Flow::Done(-i64::from(libc::ECONNREFUSED)));
    }
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn receive(machine: &mut Machine<'_>, call: Call) -> Handled {
    receive_then(machine, call, Exit::Note)
}

pub(super) fn receive_bytes(machine: &mut Machine<'_>, call: Call) -> Handled {
    receive_then(machine, call, Exit::Fill { address: call.args[1] })
}

fn receive_then(machine: &mut Machine<'_>, call: Call, then: Exit) -> Handled {
    let fd = call.args[0] as i32;
    let flags = if call.nr == libc::SYS_recvfrom { call.args[3] } else { call.args[2] } as i32;
    let may_wait =
        call.nr == libc::SYS_accept || call.nr == libc::SYS_accept4 || flags & libc::MSG_DONTWAIT == 0;
    if may_wait
        && machine.kind(call.tgid, fd) == Kind::Stream
        && machine.would_block(call.tgid, fd, libc::POLLIN)
    {
        return Ok(Flow::Block(Wait::Descriptor { fd, events: libc::POLLIN, deadline: None, then }));
    }
    Ok(Flow::PassThen(then))
}

pub(super) fn send(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    if machine.would_block(call.tgid, fd, libc::POLLOUT) {
        let wait = Wait::Descriptor { fd, events: libc::POLLOUT, deadline: None, then: Exit::Note };
        return Ok(Flow::Block(wait));
    }
    Ok(Flow::PassThen(Exit::Note))
}
