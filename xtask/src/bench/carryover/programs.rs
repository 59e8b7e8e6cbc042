//! The programs: what they are built from, how they run, and what they observe.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell;

/// Which compiler builds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    C,
    Cxx,
    /// C++ by Clang and LLD.
    ClangCxx,
    /// C by Clang and LLD.
    ClangC,
    Rust,
}

/// One program; its sources lie in `xtask/carryover`.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub name: &'static str,
    pub language: Language,
    /// In link order, below its folder.
    pub files: &'static [&'static str],
    pub headers: &'static [&'static str],
    /// The program that loads it, where it is a library.
    pub loader: Option<&'static str>,
    pub folder: &'static str,
    pub flags: &'static [&'static str],
    pub link: &'static [&'static str],
    pub args: &'static [&'static str],
    pub stdin: Option<&'static str>,
    /// Functions that may stand for each other.
    pub swaps: &'static [&'static [&'static str]],
    /// Whether it looks at order, layout or its own image, and so is one of the observers.
    pub observes: bool,
}

const PLAIN: Program = Program {
    name: "",
    language: Language::C,
    files: &[],
    headers: &[],
    loader: None,
    folder: "",
    flags: &["-O2"],
    link: &[],
    args: &[],
    stdin: None,
    swaps: &[],
    observes: false,
};

const OBSERVER: Program = Program { folder: "observers", observes: true, ..PLAIN };

const JSON: Program = Program {
    name: "json",
    folder: "json",
    files: &["main.c", "read.c", "write.c", "query.c"],
    headers: &["json.h"],
    args: &["name", "nested", "none"],
    stdin: Some("stdin.txt"),
    swaps: &[&["read_text", "read_hex"], &["json_total", "json_write"], &["skip_space", "fail"]],
    ..PLAIN
};
const PACK: Program = Program {
    name: "pack",
    folder: "pack",
    files: &["main.c", "repeats.c", "huffman.c", "checksum.c"],
    headers: &["pack.h"],
    stdin: Some("stdin.txt"),
    swaps: &[&["find_repeats", "huffman"], &["undo_repeats", "undo_huffman"]],
    ..PLAIN
};
const MACHINE: Program = Program {
    name: "machine",
    folder: "machine",
    files: &["main.c", "assemble.c", "run.c", "native.c"],
    headers: &["machine.h"],
    stdin: Some("stdin.txt"),
    swaps: &[&["square", "negate", "collatz", "digits", "unrelated_cube"]],
    ..PLAIN
};
const LEDGER: Program = Program {
    name: "ledger",
    folder: "ledger",
    language: Language::Cxx,
    files: &["main.cpp", "parse.cpp", "functions.cpp"],
    headers: &["ledger.hpp"],
    flags: &["-O1", "-std=c++17"],
    stdin: Some("stdin.txt"),
    swaps: &[&["most", "least", "mean", "root", "unrelated_spread"], &["sum", "product", "single"]],
    ..PLAIN
};
const WORDS: Program = Program {
    name: "words",
    folder: "words",
    language: Language::Rust,
    files: &["main.rs"],
    flags: &["-Copt-level=1", "--edition=2024"],
    stdin: Some("stdin.txt"),
    swaps: &[&["Whole", "Vowels"], &["Empty", "Digit"]],
    ..PLAIN
};
const SETTINGS: Program = Program {
    name: "settings",
    folder: "settings",
    language: Language::Rust,
    files: &["main.rs"],
    flags: &["-Copt-level=2", "--edition=2024"],
    args: &["depth = 7", "width = 99", "broken", "none =", "more = @nowhere"],
    ..PLAIN
};
const MATCHER: Program = Program {
    name: "matcher",
    folder: "matcher",
    files: &["compile.c", "run.c"],
    headers: &["matcher.h", "nodes.h"],
    loader: Some("main.c"),
    flags: &["-O2", "-fPIC"],
    link: &["-shared", "-Wl,-soname,libmatcher.so"],
    swaps: &[&["isupper", "isdigit"], &["tolower", "toupper"]],
    ..PLAIN
};

/// All of them; the observers after the others.
pub const ALL: &[Program] = &[
    JSON,
    PACK,
    MACHINE,
    LEDGER,
    WORDS,
    SETTINGS,
    MATCHER,
    Program { name: "json-clang", language: Language::ClangC, ..JSON },
    Program { name: "machine-clang", language: Language::ClangC, flags: &["-O1"], ..MACHINE },
    Program { name: "constructors", files: &["constructors.c"], ..OBSERVER },
    Program {
        name: "registry",
        files: &["registry.c", "registry_more.c"],
        headers: &["registry.h"],
        swaps: &[&["twice", "plus"], &["half", "odd"]],
        ..OBSERVER
    },
    Program {
        name: "ordered",
        language: Language::Cxx,
        files: &["ordered.cpp"],
        flags: &["-O1", "-std=c++17"],
        swaps: &[&["apple", "pear", "plum"], &["sour", "sweet"], &["cherry", "lemon"]],
        ..OBSERVER
    },
    Program {
        name: "folded",
        language: Language::ClangCxx,
        files: &["folded.cpp"],
        flags: &["-O1", "-ffunction-sections"],
        link: &["-Wl,--icf=all"],
        swaps: &[&["north", "south", "east"]],
        ..OBSERVER
    },
    Program { name: "headers", files: &["headers.c"], ..OBSERVER },
    Program { name: "frames", files: &["frames.c"], ..OBSERVER },
    Program { name: "itself", files: &["itself.c"], ..OBSERVER },
    Program { name: "build_id", files: &["build_id.c"], ..OBSERVER },
    Program {
        name: "looked_up",
        files: &["looked_up.c"],
        link: &["-rdynamic"],
        swaps: &[&["handle_add", "handle_cut", "handle_mix"]],
        ..OBSERVER
    },
    Program { name: "weak", files: &["weak.c", "strong.c"], ..OBSERVER },
    Program {
        name: "indirect",
        files: &["indirect.c"],
        swaps: &[&["plain", "fancy"], &["work", "rest"]],
        ..OBSERVER
    },
    Program { name: "sorted", files: &["sorted.c"], swaps: &[&["up", "down", "turn"]], ..OBSERVER },
    Program { name: "threaded", files: &["threaded.c"], ..OBSERVER },
    Program {
        name: "collected",
        language: Language::Rust,
        files: &["collected.rs"],
        flags: &["-Copt-level=1", "--edition=2024", "-Aimproper_ctypes"],
        swaps: &[&["thrice", "shifted"], &["start_one", "start_two"]],
        ..OBSERVER
    },
];

impl Program {
    fn path(&self, file: &str) -> PathBuf {
        shell::root().join("xtask").join("carryover").join(self.folder).join(file)
    }

    pub fn text(&self, file: &str) -> Result<String> {
        let path = self.path(file);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// What it is given on standard input.
    pub fn input(&self) -> Result<Vec<u8>> {
        self.stdin.map_or_else(|| Ok(Vec::new()), |file| Ok(self.text(file)?.into_bytes()))
    }
}
