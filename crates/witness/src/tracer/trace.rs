//! The event trace: one line for each call, digested as it goes.

use assay_evidence::{Sha256, Sha256Stream};

/// Longest part of a line kept for reading; the digest covers all of it.
const MAX_LINE: usize = 400;

/// Lines and their digest.
pub(crate) struct Trace {
    digest: Sha256Stream,
    kept: Vec<String>,
    keep: usize,
    lines: u64,
}

impl Trace {
    pub(crate) fn new(keep: usize) -> Self {
        Self { digest: Sha256::stream(), kept: Vec::new(), keep, lines: 0 }
    }

    pub(crate) fn add(&mut self, line: &str) {
        self.lines += 1;
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        if self.kept.len() < self.keep {
            self.kept.push(line.chars().take(MAX_LINE).collect());
        }
    }

    /// How many lines there were.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines kept so far.
    pub(crate) fn kept(&self) -> &[String] {
        &self.kept
    }

    pub(crate) fn finish(self) -> (Sha256, Vec<String>) {
        (self.digest.finish(), self.kept)
    }
}
