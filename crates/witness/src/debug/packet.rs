//! Packets of gdb's remote protocol (GDB manual, appendix E.1): `$data#checksum`.

use std::io::{self, Read, Write};

/// The largest packet taken or given.
pub(super) const MAX_PACKET: usize = 64 * 1024;
/// What interrupts a running program.
const INTERRUPT: u8 = 0x03;

/// What came from the debugger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Packet(Vec<u8>),
    Interrupt,
}

/// Frames packets over a connection.
pub(super) struct Channel<C> {
    connection: C,
    acknowledge: bool,
    buffer: Vec<u8>,
}

impl<C: Read + Write> Channel<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection, acknowledge: true, buffer: Vec::new() }
    }

    /// From now on neither side confirms packets.
    pub(super) fn stop_acknowledging(&mut self) {
        self.acknowledge = false;
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.buffer.is_empty() {
            let mut chunk = [0; 4096];
            let got = self.connection.read(&mut chunk)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend(chunk[..got].iter().rev());
        }
        self.buffer.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next packet with a right checksum; wrong ones are asked for again.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        loop {
            match self.byte()? {
                INTERRUPT => return Ok(Received::Interrupt),
                b'$' => {}
                _ => continue,
            }
            let (mut data, mut found) = (Vec::new(), 0u8);
            loop {
                // The sum is over the bytes as they came: which ones are escaped is the sender's choice.
                let mut byte = self.byte()?;
                if byte == b'#' {
                    break;
                }
                found = found.wrapping_add(byte);
                if byte == b'}' {
                    let escaped = self.byte()?;
                    found = found.wrapping_add(escaped);
                    byte = escaped ^ 0x20;
                }
                data.push(byte);
                if data.len() > MAX_PACKET {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            let digits = [self.byte()?, self.byte()?];
            let said = std::str::from_utf8(&digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
            let right = said == Some(found);
            if self.acknowledge {
                self.connection.write_all(if right { b"+" } else { b"-" })?;
            }
            if right || !self.acknowledge {
                return Ok(Received::Packet(data));
            }
        }
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let escaped = escape(data);
        let mut packet = Vec::with_capacity(escaped.len() + 4);
        packet.push(b'$');
        packet.extend_from_slice(&escaped);
        packet.extend_from_slice(format!("#{:02x}", sum(&escaped)).as_bytes());
        self.connection.write_all(&packet)?;
        self.connection.flush()
    }
}

fn sum(data: &[u8]) -> u8 {
    data.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn escape(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        if matches!(byte, b'$' | b'#' | b'}' | b'*') {
            out.extend([b'}', byte ^ 0x20]);
        } else {
            out.push(*byte);
        }
    }
    out
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wire(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Wire {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The manual's own example of a packet, and one with a wrong checksum before it.
    #[test]
    fn packets() {
        let wire = Wire(io::Cursor::new(b"+$OK#00$OK#9a\x03".to_vec()), Vec::new());
        let mut channel = Channel::new(wire);
        assert_eq!(channel.receive().unwrap(), Received::Packet(b"OK".to_vec()));
        assert_eq!(channel.receive().unwrap(), Received::Interrupt);
        assert!(channel.receive().is_err());
        channel.send(b"a}b").unwrap();
        assert_eq!(channel.connection.1, [b"-+$a}]b#".as_slice(), b"9d"].concat());
    }

    /// gdb escapes `}`, `#` and `$` alone; a `*` comes as it is.
    #[test]
    fn what_the_other_side_did_not_escape() {
        for (wire, data) in [("$a*b#ed", "a*b"), ("$a}]b#9d", "a}b")] {
            let mut channel = Channel::new(Wire(io::Cursor::new(wire.as_bytes().to_vec()), Vec::new()));
            assert_eq!(channel.receive().unwrap(), Received::Packet(data.as_bytes().to_vec()));
            assert_eq!(channel.connection.1, b"+");
        }
    }

    #[test]
    fn digits() {
        assert_eq!(unhex("00ff").unwrap(), [0, 255]);
        assert_eq!((unhex("0"), unhex("zz"), unhex("é0")), (None, None, None));
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
