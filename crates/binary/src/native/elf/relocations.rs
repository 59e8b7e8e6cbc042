//! What the relocation types of the three lifted architectures mean (their psABI supplements).

use crate::Architecture;
use crate::native::link::{Field, Meaning};

pub(super) fn meaning(architecture: &Architecture, kind: u32) -> Meaning {
    match architecture {
        Architecture::X86_64 => x86_64(kind),
        Architecture::X86 => x86(kind),
        Architecture::Aarch64 => aarch64(kind),
        _ => Meaning::None,
    }
}

fn x86_64(kind: u32) -> Meaning {
    match kind {
        0 => Meaning::None,
        1 | 6 | 7 => Meaning::Absolute(8),
        2 | 4 => Meaning::Relative(4),
        5 => Meaning::Copy,
        8 | 38 => Meaning::Base(8),
        9 | 41 | 42 | 43 => Meaning::GotRelative(4),
        10 | 11 => Meaning::Absolute(4),
        12 => Meaning::Absolute(2),
        13 => Meaning::Relative(2),
        14 => Meaning::Absolute(1),
        15 => Meaning::Relative(1),
        24 => Meaning::Relative(8),
        37 => Meaning::Resolved(8),
        16 => Meaning::Other(8, "thread-local module of"),
        17 => Meaning::Other(8, "thread-local offset of"),
        18 => Meaning::Other(8, "thread-pointer offset of"),
        36 => Meaning::Other(16, "thread-local descriptor of"),
        19 | 20 => Meaning::Other(4, "thread-local module slot of"),
        21 => Meaning::Other(4, "thread-local offset of"),
        22 | 44 => Meaning::Other(4, "thread-pointer offset slot of"),
        23 => Meaning::Other(4, "thread-pointer offset of"),
        34 | 35 | 45 => Meaning::Other(4, "thread-local descriptor of"),
        25 => Meaning::Other(8, "offset from the global offset table of"),
        26 => Meaning::Other(4, "global offset table"),
        29 => Meaning::Other(8, "global offset table"),
        32 => Meaning::Other(4, "size of"),
        33 => Meaning::Other(8, "size of"),
        _ => Meaning::Other(4, "unknown relation to"),
    }
}

fn x86(kind: u32) -> Meaning {
    match kind {
        0 => Meaning::None,
        1 | 6 | 7 => Meaning::Absolute(4),
        2 | 4 => Meaning::Relative(4),
        3 | 43 => Meaning::Other(4, "global offset table slot of"),
        5 => Meaning::Copy,
        8 => Meaning::Base(4),
        9 => Meaning::Other(4, "offset from the global offset table of"),
        10 => Meaning::Other(4, "global offset table"),
        20 => Meaning::Absolute(2),
        21 => Meaning::Relative(2),
        22 => Meaning::Absolute(1),
        23 => Meaning::Relative(1),
        42 => Meaning::Resolved(4),
        14 | 17 | 37 => Meaning::Other(4, "thread-pointer offset of"),
        15 | 16 => Meaning::Other(4, "thread-pointer offset slot of"),
        18 | 19 => Meaning::Other(4, "thread-local module slot of"),
        32 | 36 => Meaning::Other(4, "thread-local offset of"),
        34 => Meaning::Other(4, "thread-pointer offset of"),
        35 => Meaning::Other(4, "thread-local module of"),
        38 => Meaning::Other(4, "size of"),
        39..=41 => Meaning::Other(4, "thread-local descriptor of"),
        _ => Meaning::Other(4, "unknown relation to"),
    }
}

fn aarch64(kind: u32) -> Meaning {
    match kind {
        0 | 256 | 569 => Meaning::None,
        257 | 1025 | 1026 => Meaning::Absolute(8),
        258 => Meaning::Absolute(4),
        259 => Meaning::Absolute(2),
        260 => Meaning::Relative(8),
        261 | 314 => Meaning::Relative(4),
        262 => Meaning::Relative(2),
        263 | 264 => Meaning::Instruction(Field::Move(0)),
        265 | 266 => Meaning::Instruction(Field::Move(16)),
        267 | 268 => Meaning::Instruction(Field::Move(32)),
        269 => Meaning::Instruction(Field::Move(48)),
        273 | 280 => Meaning::Instruction(Field::Branch19),
        274 => Meaning::Instruction(Field::Near21),
        275 | 276 => Meaning::Instruction(Field::Page21),
        277 | 278 => Meaning::Instruction(Field::Low12(0)),
        279 => Meaning::Instruction(Field::Branch14),
        282 | 283 => Meaning::Instruction(Field::Branch26),
        284 => Meaning::Instruction(Field::Low12(1)),
        285 => Meaning::Instruction(Field::Low12(2)),
        286 => Meaning::Instruction(Field::Low12(3)),
        299 => Meaning::Instruction(Field::Low12(4)),
        309 | 311 | 312 | 313 => Meaning::GotInstruction,
        1024 => Meaning::Copy,
        1027 => Meaning::Base(8),
        1028 => Meaning::Other(8, "thread-local module of"),
        1029 => Meaning::Other(8, "thread-local offset of"),
        1030 => Meaning::Other(8, "thread-pointer offset of"),
        1031 => Meaning::Other(16, "thread-local descriptor of"),
        1032 => Meaning::Resolved(8),
        512..=538 => Meaning::Other(4, "thread-local module or offset of"),
        539..=559 => Meaning::Other(4, "thread-pointer offset of"),
        560..=573 => Meaning::Other(4, "thread-local descriptor of"),
        _ => Meaning::Other(4, "unknown relation to"),
    }
}
