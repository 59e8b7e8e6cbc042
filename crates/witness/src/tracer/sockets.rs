//! Sockets: local ones, and the loopback interface of a network namespace with nothing else in it.
//!
//! The kernel carries the bytes. What it would choose at random (ports, abstract names) or by its clock
//! (coalescing of small writes, growing buffers) is fixed beforehand; what it measures is not told.

use super::Machine;
use super::task::{Call, Exit, Flow, Kind, Wait};
use super::{digest_text, files};
use crate::error::WitnessError;
use crate::sys::{memory, socket};

type Handled = Result<Flow, WitnessError>;

/// The first port given to a socket that asks for any.
pub(super) const FIRST_PORT: u16 = 40_000;
/// How many ports are tried where the program has taken some itself.
const PORT_TRIES: u16 = 1000;
/// Both buffers of every loopback socket, in bytes.
const BUFFER: i32 = 106_496;
const MAX_ADDRESS: usize = 128;
const MAX_VECTORS: u64 = 1024;
/// Options that would tell a time, a CPU or a number of the kernel's own.
const UNTOLD: [i32; 11] = [
    libc::SO_TIMESTAMP,
    libc::SO_TIMESTAMPNS,
    libc::SO_TIMESTAMPING,
    63, // SO_TIMESTAMP_NEW
    64, // SO_TIMESTAMPNS_NEW
    65, // SO_TIMESTAMPING_NEW
    libc::SO_INCOMING_CPU,
    56, // SO_INCOMING_NAPI_ID
    57, // SO_COOKIE
    55, // SO_MEMINFO
    77, // SO_PEERPIDFD
];

fn error(errno: i32) -> Flow {
    Flow::Done(-i64::from(errno))
}

pub(super) fn socket(_: &mut Machine<'_>, call: Call) -> Handled {
    let kind = call.args[1] as i32 & 0xff;
    Ok(match call.args[0] as i32 {
        libc::AF_UNIX => Flow::PassThen(Exit::Note),
        libc::AF_INET | libc::AF_INET6 if kind == libc::SOCK_STREAM || kind == libc::SOCK_DGRAM => {
            Flow::PassThen(Exit::Socket)
        }
        libc::AF_NETLINK if call.args[2] as i32 == libc::NETLINK_ROUTE => Flow::PassThen(Exit::Note),
        libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK | libc::AF_PACKET => error(libc::EACCES),
        _ => error(libc::EAFNOSUPPORT),
    })
}

pub(super) fn socketpair(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[0] as i32 {
        libc::AF_UNIX => Flow::PassThen(Exit::Note),
        _ => error(libc::EOPNOTSUPP),
    })
}

fn read_address(call: Call, at: usize) -> Vec<u8> {
    let mut address = vec![0; (call.args[at + 1] as usize).min(MAX_ADDRESS)];
    match memory::read(call.tid, call.args[at], &mut address) {
        Ok(()) => address,
        Err(_) => Vec::new(),
    }
}

fn family(address: &[u8]) -> i32 {
    match address {
        [low, high, ..] => i32::from(u16::from_le_bytes([*low, *high])),
        _ => libc::AF_UNSPEC,
    }
}

/// An address without a port, or a name without a text, is completed with the next one in order.
pub(super) fn bind(machine: &mut Machine<'_>, call: Call) -> Handled {
    let address = read_address(call, 1);
    let fd = call.args[0] as i32;
    match (family(&address), address.get(2..4)) {
        (libc::AF_UNIX, _) if address.len() == 2 => Ok(machine.name_socket(call.tgid, fd)),
        (libc::AF_INET | libc::AF_INET6, Some([0, 0])) => Ok(machine.give_port(call.tgid, fd, address)),
        _ => Ok(Flow::PassThen(Exit::Note)),
    }
}

pub(super) fn listen(machine: &mut Machine<'_>, call: Call) -> Handled {
    machine.give_any_port(call.tgid, call.args[0] as i32);
    Ok(Flow::PassThen(Exit::Note))
}

/// A host's sockets may be seen while recording; they may not be used.
pub(super) fn connect(machine: &mut Machine<'_>, call: Call) -> Handled {
    let address = read_address(call, 1);
    match family(&address) {
        libc::AF_INET | libc::AF_INET6 => machine.give_any_port(call.tgid, call.args[0] as i32),
        libc::AF_UNSPEC if !address.is_empty() => {}
        _ => {
            let path = address.get(2..).unwrap_or_default();
            let local = path.first() == Some(&0) || path.starts_with(b"/tmp/");
            if machine.setup.recording && path.first() == Some(&b'/') && !local {
                return Ok(error(libc::ECONNREFUSED));
            }
        }
    }
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn address(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(Flow::PassThen(Exit::PeerAddress { address: call.args[1], size: call.args[2] }))
}

pub(super) fn set_option(_: &mut Machine<'_>, call: Call) -> Handled {
    let (level, name) = (call.args[1] as i32, call.args[2] as i32);
    Ok(match level {
        libc::SOL_SOCKET if UNTOLD.contains(&name) => error(libc::ENOPROTOOPT),
        // Buffers have the same size everywhere.
        libc::SOL_SOCKET if matches!(name, libc::SO_SNDBUF | libc::SO_RCVBUF) => Flow::Done(0),
        // Small writes are never held back: how long would be the kernel's own time.
        libc::IPPROTO_TCP if matches!(name, libc::TCP_NODELAY | libc::TCP_CORK) => Flow::Done(0),
        _ => Flow::PassThen(Exit::Note),
    })
}

pub(super) fn get_option(_: &mut Machine<'_>, call: Call) -> Handled {
    let (level, name) = (call.args[1] as i32, call.args[2] as i32);
    Ok(match level {
        libc::SOL_SOCKET if UNTOLD.contains(&name) => error(libc::ENOPROTOOPT),
        libc::IPPROTO_TCP if name == libc::TCP_INFO => error(libc::ENOPROTOOPT),
        _ => Flow::PassThen(Exit::Note),
    })
}

pub(super) fn accept(machine: &mut Machine<'_>, call: Call) -> Handled {
    let then = Exit::PeerAddress { address: call.args[1], size: call.args[2] };
    receive_then(machine, call, 0, then)
}

pub(super) fn receive_message(machine: &mut Machine<'_>, call: Call) -> Handled {
    receive_then(machine, call, call.args[2] as i32, Exit::Message { header: call.args[1] })
}

pub(super) fn receive_bytes(machine: &mut Machine<'_>, call: Call) -> Handled {
    receive_then(machine, call, call.args[3] as i32, Exit::Fill { address: call.args[1] })
}

fn receive_then(machine: &mut Machine<'_>, call: Call, flags: i32, then: Exit) -> Handled {
    let fd = call.args[0] as i32;
    if flags & (libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE) != 0 || machine.kind(call.tgid, fd) != Kind::Stream {
        return Ok(Flow::PassThen(then));
    }
    if flags & libc::MSG_WAITALL != 0 && machine.is_blocking(call.tgid, fd) {
        return Ok(Machine::unsupported("wait_for_all", "a receive that waits for all of its bytes"));
    }
    if machine.would_block(call.tgid, fd, libc::POLLIN) {
        let deadline = machine.socket_deadline(call, libc::SO_RCVTIMEO);
        return Ok(Flow::Block(Wait::Descriptor { fd, events: libc::POLLIN, deadline, then }));
    }
    Ok(Flow::PassThen(then))
}

/// Streams take a long message in pieces; anything else takes it whole.
pub(super) fn send_to(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    if machine.tasks[call.task].long_write.is_none() && call.args[4] != 0 {
        let to = read_address(call, 4);
        if matches!(family(&to), libc::AF_INET | libc::AF_INET6) {
            machine.give_any_port(call.tgid, fd);
        }
    }
    let is_stream = machine.socket_option(call.tgid, fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM);
    if is_stream && call.args[3] as i32 & libc::MSG_DONTWAIT == 0 {
        return files::write(machine, call);
    }
    send(machine, call)
}

pub(super) fn send(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    let flags = match call.nr {
        libc::SYS_sendmsg => call.args[2],
        _ => call.args[3],
    } as i32;
    if flags & libc::MSG_DONTWAIT == 0 && machine.would_block(call.tgid, fd, libc::POLLOUT) {
        let deadline = machine.socket_deadline(call, libc::SO_SNDTIMEO);
        let wait = Wait::Descriptor { fd, events: libc::POLLOUT, deadline, then: Exit::Note };
        return Ok(Flow::Block(wait));
    }
    Ok(Flow::PassThen(Exit::Note))
}

/// What the trace says about an address that the kernel filled in.
pub(super) fn address_text(tid: i32, address: u64, size: u64, result: i64) -> String {
    if result < 0 || address == 0 || size == 0 {
        return String::new();
    }
    let length = memory::read_u32(tid, size).unwrap_or(0) as usize;
    let mut bytes = vec![0; length.min(MAX_ADDRESS)];
    let got = memory::read_some(tid, address, &mut bytes).unwrap_or(0);
    format!(" {}", digest_text(&bytes[..got]))
}

/// Zeroes what the kernel measures in its answers about interfaces and addresses (rtnetlink(7)).
fn scrub(answer: &mut [u8]) {
    const HEADER: usize = 16;
    const NEW_LINK: u16 = 16;
    const NEW_ADDRESS: u16 = 20;
    const ADDRESS_CACHE: u16 = 6;
    // Counters, addresses of devices, families and timers of an interface.
    const LINK_STATES: [u16; 3] = [7, 23, 26];
    let half = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let mut at = 0;
    while at + HEADER <= answer.len() {
        let length = word(answer, at) as usize;
        let end = at + length;
        if length < HEADER || end > answer.len() {
            return;
        }
        let kind = half(answer, at + 4);
        let mut attribute = at + HEADER + if kind == NEW_LINK { 16 } else { 8 };
        while matches!(kind, NEW_LINK | NEW_ADDRESS) && attribute + 4 <= end {
            let size = usize::from(half(answer, attribute));
            if size < 4 || attribute + size > end {
                break;
            }
            let name = half(answer, attribute + 2) & 0x3fff;
            if kind == NEW_ADDRESS && name == ADDRESS_CACHE || kind == NEW_LINK && LINK_STATES.contains(&name)
            {
                answer[attribute + 4..attribute + size].fill(0);
            }
            attribute += size.next_multiple_of(4);
        }
        at += length.next_multiple_of(4);
    }
}

/// What the trace says about a message that was received.
pub(super) fn message_text(tid: i32, header: u64, result: i64, from_kernel: bool) -> String {
    let Ok(mut left) = usize::try_from(result) else { return String::new() };
    let word = |at: u64| memory::read_u64(tid, header.wrapping_add(at)).unwrap_or(0);
    let (vectors, count) = (word(16), word(24).min(MAX_VECTORS));
    let mut all = Vec::new();
    for index in 0..count {
        let at = vectors.wrapping_add(index * 16);
        let (Ok(base), Ok(length)) = (memory::read_u64(tid, at), memory::read_u64(tid, at.wrapping_add(8)))
        else {
            break;
        };
        let mut bytes = vec![0; left.min(length as usize)];
        let got = memory::read_some(tid, base, &mut bytes).unwrap_or(0);
        bytes.truncate(got);
        if from_kernel {
            scrub(&mut bytes);
            let _ = memory::write(tid, base, &bytes);
        }
        all.extend_from_slice(&bytes);
        left = left.saturating_sub(length as usize);
    }
    format!(" {}", digest_text(&all))
}

impl Machine<'_> {
    pub(crate) fn is_netlink(&mut self, tgid: i32, fd: i32) -> bool {
        self.socket_option(tgid, fd, libc::SO_DOMAIN) == Some(libc::AF_NETLINK)
    }

    fn socket_option(&mut self, tgid: i32, fd: i32, name: i32) -> Option<i32> {
        let copy = self.copy(tgid, fd).ok()?;
        socket::option(&copy, libc::SOL_SOCKET, name).ok()
    }

    fn socket_deadline(&mut self, call: Call, name: i32) -> Option<u64> {
        let restarted = self.tasks[call.task].restarted_deadline.take();
        let copy = self.copy(call.tgid, call.args[0] as i32).ok()?;
        restarted.or_else(|| Some(self.now.saturating_add(socket::timeout(&copy, name)?)))
    }

    /// Takes away what depends on the kernel's clock and memory.
    pub(crate) fn prepare_socket(&mut self, tgid: i32, fd: i64) {
        let Ok(fd) = i32::try_from(fd) else { return };
        let Ok(copy) = self.copy(tgid, fd) else { return };
        self.has_network = true;
        // What a kernel does not know of these it does not do either.
        let _ = socket::set_option(&copy, libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER);
        let _ = socket::set_option(&copy, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER);
        let _ = socket::set_option(&copy, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }

    fn name_socket(&mut self, tgid: i32, fd: i32) -> Flow {
        let Ok(copy) = self.copy(tgid, fd) else { return error(libc::EBADF) };
        loop {
            let mut address = (libc::AF_UNIX as u16).to_le_bytes().to_vec();
            address.extend_from_slice(format!("\0{:05x}", self.next_name).as_bytes());
            self.next_name += 1;
            match socket::bind(&copy, &address) {
                Ok(()) => return Flow::Done(0),
                Err(failed) if failed.raw_os_error() == Some(libc::EADDRINUSE) => {}
                Err(failed) => return error(failed.raw_os_error().unwrap_or(libc::EINVAL)),
            }
        }
    }

    /// Binds to an address whose port is open with the next port.
    fn give_port(&mut self, tgid: i32, fd: i32, mut address: Vec<u8>) -> Flow {
        let Ok(copy) = self.copy(tgid, fd) else { return error(libc::EBADF) };
        for _ in 0..PORT_TRIES {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            address[2..4].copy_from_slice(&port.to_be_bytes());
            match socket::bind(&copy, &address) {
                Ok(()) => return Flow::Done(0),
                Err(failed) if failed.raw_os_error() == Some(libc::EADDRINUSE) => {}
                Err(failed) => return error(failed.raw_os_error().unwrap_or(libc::EINVAL)),
            }
        }
        error(libc::EADDRINUSE)
    }

    /// What the kernel would do by itself where a socket has no port yet.
    fn give_any_port(&mut self, tgid: i32, fd: i32) {
        let Ok(copy) = self.copy(tgid, fd) else { return };
        let Ok(address) = socket::local_address(&copy) else { return };
        if matches!(family(&address), libc::AF_INET | libc::AF_INET6) && address.get(2..4) == Some(&[0, 0]) {
            let _ = self.give_port(tgid, fd, address);
        }
    }
}
