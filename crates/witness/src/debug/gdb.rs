//! gdb's remote protocol (GDB manual, appendix E) over a stopped replay.

use std::io;

use super::packet::{Channel, MAX_PACKET, Received, hex, unhex};
use super::{Connection, Debugger, Inferior, Resume, StopReason, files, target};

/// What the program is about to get where no signal is the reason.
const SIGTRAP: i32 = 5;
/// Most bytes of one memory read.
const MAX_READ: usize = 16 * 1024;
/// Lines that `monitor trace` prints.
const MAX_LINES: usize = 20;
const HELP: &str = "\
monitor event       the number of the event that the run is stopped after\n\
monitor trace [N]   the last events\n\
Registers and memory cannot be written: the replay stays the recorded run.\n";

/// Makes a connection when the run stops for the first time.
pub type Accept = dyn FnMut(StopReason) -> io::Result<Box<dyn Connection>> + Send;

/// Serves one gdb.
pub struct GdbServer {
    accept: Box<Accept>,
    channel: Option<Channel<Box<dyn Connection>>>,
    files: files::Files,
    /// The thread that `g` is about.
    selected: Option<u32>,
    detached: bool,
}

/// What a packet leads to.
enum Next {
    Reply(Vec<u8>),
    /// Reply, then neither side confirms packets any more.
    NoAcknowledgement,
    Resume(Resume),
    /// Reply, then go on without a debugger.
    Detach,
}

impl GdbServer {
    /// `accept` is called once, when the run stops for the first time.
    pub fn new(accept: Box<Accept>) -> Self {
        Self { accept, channel: None, files: files::Files::default(), selected: None, detached: false }
    }

    fn serve(&mut self, inferior: &mut dyn Inferior, reason: StopReason) -> io::Result<Resume> {
        self.selected = Some(inferior.current());
        let mut channel = match self.channel.take() {
            // It waits for the end of its last packet.
            Some(mut channel) => {
                channel.send(stop_reply(inferior, reason).as_bytes())?;
                channel
            }
            None => Channel::new((self.accept)(reason)?),
        };
        loop {
            let Received::Packet(packet) = channel.receive()? else { continue };
            match self.answer(&packet, inferior, reason) {
                Next::Reply(reply) => channel.send(&reply)?,
                Next::NoAcknowledgement => {
                    channel.send(b"OK")?;
                    channel.stop_acknowledging();
                }
                Next::Detach => {
                    channel.send(b"OK")?;
                    self.detached = true;
                    return Ok(Resume::End);
                }
                Next::Resume(resume) => {
                    self.channel = Some(channel);
                    return Ok(resume);
                }
            }
        }
    }

    fn answer(&mut self, packet: &[u8], inferior: &mut dyn Inferior, reason: StopReason) -> Next {
        let text = String::from_utf8_lossy(packet);
        let reply = |text: &str| Next::Reply(text.as_bytes().to_vec());
        let ended = matches!(reason, StopReason::Exited(_) | StopReason::Killed(_));
        match text.as_ref() {
            "?" => reply(&stop_reply(inferior, reason)),
            "k" => Next::Resume(Resume::End),
            "QStartNoAckMode" => Next::NoAcknowledgement,
            "vMustReplyEmpty" => reply(""),
            "vCont?" => reply("vCont;c;C;s;S"),
            "qAttached" => reply("0"),
            "qC" => reply(&format!("QC{:x}", inferior.current())),
            "qfThreadInfo" => {
                let threads: Vec<String> =
                    inferior.threads().iter().map(|thread| format!("{thread:x}")).collect();
                reply(&format!("m{}", threads.join(",")))
            }
            "qsThreadInfo" => reply("l"),
            "g" => reply(&self.registers(inferior)),
            "D" => Next::Detach,
            _ if text.starts_with("D;") => Next::Detach,
            _ if ended && matches!(packet.first(), Some(b'c' | b's' | b'C' | b'S' | b'v')) => {
                self.after_the_end(&text, inferior, reason)
            }
            _ => self.parametrised(&text, inferior).unwrap_or_else(|| reply("")),
        }
    }

    /// A program that has ended goes nowhere; its files can still be read.
    fn after_the_end(&mut self, text: &str, inferior: &dyn Inferior, reason: StopReason) -> Next {
        match text.strip_prefix("vFile:").and_then(|request| self.file(request, inferior)) {
            Some(reply) => Next::Reply(reply),
            None => Next::Reply(stop_reply(inferior, reason).into_bytes()),
        }
    }

    fn parametrised(&mut self, text: &str, inferior: &mut dyn Inferior) -> Option<Next> {
        let reply = |text: String| Some(Next::Reply(text.into_bytes()));
        let (first, rest) = text.split_at_checked(1)?;
        match first {
            "H" => {
                let thread =
                    rest.get(1..).and_then(|id| u32::from_str_radix(id, 16).ok()).filter(|id| *id > 0);
                self.selected = thread.or(Some(inferior.current()));
                reply("OK".to_owned())
            }
            "T" => {
                let thread = u32::from_str_radix(rest, 16).ok()?;
                reply(if inferior.threads().contains(&thread) { "OK" } else { "E01" }.to_owned())
            }
            "m" => reply(memory(rest, inferior)),
            "c" | "C" => Some(Next::Resume(Resume::Continue)),
            "s" | "S" => Some(Next::Resume(Resume::Step(self.selected.unwrap_or(1)))),
            "Z" | "z" => breakpoint(rest, first == "Z", inferior).map(|text| Next::Reply(text.into())),
            // The replay stays the recorded run.
            "G" | "P" | "M" | "X" => reply("E.the replay cannot be changed".to_owned()),
            "v" => self.verbose(rest, inferior),
            "q" => self.query(rest, inferior).map(Next::Reply),
            _ => None,
        }
    }

    fn verbose(&mut self, rest: &str, inferior: &dyn Inferior) -> Option<Next> {
        if let Some(actions) = rest.strip_prefix("Cont;") {
            let step = actions.split(';').find(|action| action.starts_with(['s', 'S']));
            return Some(Next::Resume(match step {
                Some(step) => {
                    let thread = step.split_once(':').and_then(|(_, id)| u32::from_str_radix(id, 16).ok());
                    Resume::Step(thread.or(self.selected).unwrap_or(1))
                }
                None => Resume::Continue,
            }));
        }
        if rest.starts_with("Kill") {
            return Some(Next::Resume(Resume::End));
        }
        self.file(rest.strip_prefix("File:")?, inferior).map(Next::Reply)
    }

    fn file(&mut self, request: &str, inferior: &dyn Inferior) -> Option<Vec<u8>> {
        files::answer(&mut self.files, request, &|path| inferior.file(path))
    }

    fn query(&mut self, rest: &str, inferior: &dyn Inferior) -> Option<Vec<u8>> {
        if rest.starts_with("Supported") {
            let text = format!(
                "PacketSize={MAX_PACKET:x};QStartNoAckMode+;vContSupported+;swbreak+;qXfer:features:read+;\
                 qXfer:auxv:read+;qXfer:exec-file:read+"
            );
            return Some(text.into_bytes());
        }
        if let Some(command) = rest.strip_prefix("Rcmd,") {
            let command = unhex(command)?;
            return Some(hex(monitor(&String::from_utf8_lossy(&command), inferior).as_bytes()).into_bytes());
        }
        if let Some(thread) = rest.strip_prefix("ThreadExtraInfo,") {
            return Some(hex(format!("thread {thread} of the replay").as_bytes()).into_bytes());
        }
        let mut fields = rest.strip_prefix("Xfer:")?.splitn(4, ':');
        let (object, _read, annex, range) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let bytes = match (object, annex) {
            ("features", "target.xml") => target::description().into_bytes(),
            ("auxv", _) => inferior.auxiliary_vector(),
            ("exec-file", _) => inferior.executable().into_bytes(),
            _ => return None,
        };
        piece(&bytes, range)
    }

    fn registers(&self, inferior: &dyn Inferior) -> String {
        let thread = self.selected.unwrap_or_else(|| inferior.current());
        match inferior.registers(thread) {
            Some(core) => target::registers(&core, inferior.float_registers(thread)),
            None => "E01".to_owned(),
        }
    }
}

impl Debugger for GdbServer {
    fn stopped(&mut self, inferior: &mut dyn Inferior, reason: StopReason) -> Resume {
        if self.detached {
            return Resume::End;
        }
        // Without a connection there is nobody left to look.
        self.serve(inferior, reason).unwrap_or_else(|_| {
            self.detached = true;
            Resume::End
        })
    }
}

fn stop_reply(inferior: &dyn Inferior, reason: StopReason) -> String {
    let signal = match reason {
        StopReason::Exited(code) => return format!("W{:02x}", code as u8),
        StopReason::Killed(signal) => return format!("X{signal:02x}"),
        StopReason::Signal(signal) => gdb_signal(signal),
        StopReason::Event(_) | StopReason::Breakpoint | StopReason::Step => SIGTRAP,
    };
    let why = if reason == StopReason::Breakpoint { "swbreak:;" } else { "" };
    format!("T{signal:02x}thread:{:x};{why}", inferior.current())
}

/// Linux's numbers as gdb's own (its `include/gdb/signals.def`).
fn gdb_signal(signal: i32) -> i32 {
    match signal {
        libc::SIGBUS => 10,
        libc::SIGSYS => 12,
        libc::SIGUSR1 => 30,
        libc::SIGUSR2 => 31,
        libc::SIGCHLD => 20,
        other => other,
    }
}

/// `address,length`
fn memory(range: &str, inferior: &dyn Inferior) -> String {
    let parsed = range.split_once(',').and_then(|(address, length)| {
        Some((u64::from_str_radix(address, 16).ok()?, usize::from_str_radix(length, 16).ok()?))
    });
    let Some((address, length)) = parsed else { return "E01".to_owned() };
    let bytes = inferior.memory(address, length.min(MAX_READ));
    if bytes.is_empty() && length > 0 { "E0e".to_owned() } else { hex(&bytes) }
}

/// `0,address,kind`: software breakpoints only.
fn breakpoint(rest: &str, set: bool, inferior: &mut dyn Inferior) -> Option<&'static str> {
    let mut fields = rest.strip_prefix("0,")?.split(',');
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some(if inferior.breakpoint(address, set) { "OK" } else { "E0e" })
}

/// `offset,length` of an object, as `qXfer` gives it.
fn piece(bytes: &[u8], range: &str) -> Option<Vec<u8>> {
    let (from, length) = range.split_once(',')?;
    let from = usize::from_str_radix(from, 16).ok()?.min(bytes.len());
    let length = usize::from_str_radix(length, 16).ok()?.min(MAX_PACKET / 2 - 16);
    let end = from.saturating_add(length).min(bytes.len());
    let mark = if end == bytes.len() { b'l' } else { b'm' };
    Some([&[mark], &bytes[from..end]].concat())
}

fn monitor(command: &str, inferior: &dyn Inferior) -> String {
    let mut words = command.split_whitespace();
    match words.next() {
        Some("event") => format!("{}\n", inferior.trace(0).0),
        Some("trace") => {
            let count = words.next().and_then(|word| word.parse().ok()).unwrap_or(MAX_LINES);
            let (length, lines) = inferior.trace(count);
            let first = length - lines.len() as u64 + 1;
            lines.iter().zip(first..).map(|(line, at)| format!("{at} {line}\n")).collect()
        }
        _ => HELP.to_owned(),
    }
}
