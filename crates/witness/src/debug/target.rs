//! The registers as gdb's standard features name them (GDB manual, appendix G.5.7).

use super::REGISTERS;
use super::packet::hex;

/// How many of the registers of [`super::Inferior::registers`] the core feature begins with: all with 64
/// bits, up to rip.
const WIDE: usize = 17;
/// eflags and the segment registers.
const NARROW: usize = 7;
/// FXSAVE: control word, status word, tag word, opcode, instruction and data pointers.
const FLOAT_STACK: std::ops::Range<usize> = 32..160;
const VECTORS: std::ops::Range<usize> = 160..416;
const MXCSR: std::ops::Range<usize> = 24..28;

/// The description that `qXfer:features:read:target.xml` gives.
pub(super) fn description() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>\
         <architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>\
         <feature name=\"org.gnu.gdb.i386.core\">",
    );
    let register = |text: &mut String, name: &str, bits: u32, kind: &str| {
        text.push_str(&format!("<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\"/>"));
    };
    for name in [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15",
    ] {
        let kind = if matches!(name, "rbp" | "rsp") { "data_ptr" } else { "int64" };
        register(&mut text, name, 64, kind);
    }
    register(&mut text, "rip", 64, "code_ptr");
    for name in ["eflags", "cs", "ss", "ds", "es", "fs", "gs"] {
        register(&mut text, name, 32, "int32");
    }
    for number in 0..8 {
        register(&mut text, &format!("st{number}"), 80, "i387_ext");
    }
    for name in ["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"] {
        register(&mut text, name, 32, "int");
    }
    text.push_str("</feature><feature name=\"org.gnu.gdb.i386.sse\">");
    for number in 0..16 {
        register(&mut text, &format!("xmm{number}"), 128, "uint128");
    }
    register(&mut text, "mxcsr", 32, "int32");
    text.push_str("</feature><feature name=\"org.gnu.gdb.i386.linux\">");
    register(&mut text, "orig_rax", 64, "int");
    text.push_str("</feature><feature name=\"org.gnu.gdb.i386.segments\">");
    register(&mut text, "fs_base", 64, "int");
    register(&mut text, "gs_base", 64, "int");
    text.push_str("</feature></target>");
    text
}

/// The reply to `g`.
pub(super) fn registers(core: &[u64; REGISTERS], float: Option<[u8; 512]>) -> String {
    let mut text: String = core[..WIDE].iter().map(|value| hex(&value.to_le_bytes())).collect();
    for value in &core[WIDE..WIDE + NARROW] {
        text.push_str(&hex(&(*value as u32).to_le_bytes()));
    }
    match float {
        Some(state) => text.push_str(&float_registers(&state)),
        // Not available: eight of 10 bytes, eight of 4, sixteen of 16, one of 4.
        None => text.push_str(&"xx".repeat(80 + 32 + 256 + 4)),
    }
    for value in &core[WIDE + NARROW..] {
        text.push_str(&hex(&value.to_le_bytes()));
    }
    text
}

fn float_registers(state: &[u8; 512]) -> String {
    let mut text: String = state[FLOAT_STACK].chunks(16).map(|register| hex(&register[..10])).collect();
    let word = |at: usize, bytes: usize| -> u32 {
        state[at..at + bytes].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    };
    // Tags are kept as one bit a register; gdb wants two, of which 3 means empty.
    let tags = (0..8).fold(0u32, |tags, at| tags | if word(4, 1) >> at & 1 == 0 { 3 << (2 * at) } else { 0 });
    // fctrl, fstat, ftag, fiseg, fioff, foseg, fooff, fop
    for value in [word(0, 2), word(2, 2), tags, word(12, 2), word(8, 4), word(20, 2), word(16, 4), word(6, 2)]
    {
        text.push_str(&hex(&value.to_le_bytes()));
    }
    text.push_str(&hex(&state[VECTORS]));
    text.push_str(&hex(&state[MXCSR]));
    text
}
