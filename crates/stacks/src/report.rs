//! What a crash text said: threads of frames, and what could not be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest text that is read, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 << 20;
/// The longest line that is looked at; the rest of it is ignored.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// The most frames kept of one thread.
pub const MAX_FRAMES: usize = 4096;
/// The most frames kept of one report, all threads together.
pub const MAX_REPORT_FRAMES: usize = 65_536;
/// The most threads kept of one report.
pub const MAX_THREADS: usize = 1024;
/// The longest name of a function, file or module that is kept.
pub const MAX_NAME_BYTES: usize = 4096;
/// The most warnings kept of one report.
pub const MAX_WARNINGS: usize = 32;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// More than [`MAX_TEXT_BYTES`].
    #[error("the text has {bytes} bytes; at most {MAX_TEXT_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No frame of any known form.
    #[error("no call stack of a known format was found")]
    UnknownFormat,
    /// JSON that cannot be read as a report.
    #[error("the JSON is not a crash report: {detail}")]
    Json {
        /// What the reader met.
        detail: String,
    },
}

/// The tool whose form a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A Rust panic message, with or without its backtrace.
    Rust,
    /// GDB `bt`.
    Gdb,
    /// AddressSanitizer and its siblings.
    Sanitizer,
    /// Valgrind.
    Valgrind,
    /// A Java (or Kotlin, Scala) exception.
    Java,
    /// A Python traceback.
    Python,
    /// A JavaScript error, or V8's own native stack.
    Node,
    /// A Go panic or fatal error.
    Go,
    /// A casr JSON report.
    Casr,
    /// A kernel oops, panic or sanitizer report.
    Kernel,
    /// minidump-stackwalk or rust-minidump output.
    Minidump,
    /// An Apple crash report.
    Apple,
    /// Assay's own JSON, or frames that its runner captured.
    Assay,
}

/// How much a frame can be relied upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The instruction pointer of the crash itself.
    Context,
    /// Reached by unwinding.
    #[default]
    Unwound,
    /// Found by scanning the stack; it may be a leftover of an earlier call.
    Scanned,
    /// No frame at all: a source location that a message named.
    Location,
}

/// One frame, as the text spelled it, and the identities it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackFrame {
    /// The function, demangled.
    #[serde(default)]
    pub function: Option<String>,
    /// The module (library or program) that holds it.
    #[serde(default)]
    pub module: Option<String>,
    /// The source file.
    #[serde(default)]
    pub file: Option<String>,
    /// The line in it.
    #[serde(default)]
    pub line: Option<u32>,
    /// The address, `0x` and lower hex: an offset where `module` has one, else the raw address.
    #[serde(default)]
    pub address: Option<String>,
    /// Whether the call was inlined, where the text says so.
    #[serde(default)]
    pub inlined: bool,
    /// How the frame was found.
    #[serde(default)]
    pub trust: Trust,
    /// Normalised identities, most specific first.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// One thread's stack, innermost frame first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// Its name or heading, where the text has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether this is the stack of the incident.
    pub crashed: bool,
    /// The frames.
    pub frames: Vec<StackFrame>,
}

/// What a crash text said, and what was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The form that was recognised.
    pub format: Format,
    /// Why the program stopped, in the text's own words (a signal, an exception), where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The stacks; at most one is `crashed`.
    pub threads: Vec<Thread>,
    /// What could not be read, or was cut.
    pub warnings: Vec<String>,
}

impl Report {
    /// The stack of the incident.
    pub fn crashed(&self) -> Option<&Thread> {
        self.threads.iter().find(|thread| thread.crashed).or_else(|| self.threads.first())
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// `text` cut at a character boundary to at most `limit` bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
