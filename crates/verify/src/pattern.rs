//! Regular expressions in expectations: linear time, bounded size, and never vacuous.

use assay_witness::Output;
use regex::bytes::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// The most bytes that a pattern may take once it is compiled, and the most of its cache.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// How deep groups may be nested.
const MAX_NESTING: u32 = 64;
/// What lies outside of what was kept may decide whether a match this close to the cut is one: `$`, `\z` and
/// `\b` look at what follows. Bytes.
const LOOKED_AT: usize = 1;

/// Why a pattern is refused.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Too long.
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// Not a regular expression, or one that grows too large.
    #[error("it is not a regular expression of Rust's `regex`, or too large a one")]
    Syntax(#[source] Box<regex::Error>),
    /// It is found in everything.
    #[error("it is found in every output, so it says nothing")]
    Vacuous,
}

/// Whether a pattern may stand in an expectation.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(pattern: &str) -> Result<(), PatternError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let compiled = compile(pattern).map_err(|error| PatternError::Syntax(Box::new(error)))?;
    if compiled.is_match(b"") && compiled.is_match(b"\x00\x01\xff\xfe") {
        return Err(PatternError::Vacuous);
    }
    Ok(())
}

/// Whether the pattern is found in what is kept of an output. A pattern that was never checked is not.
pub(crate) fn found(pattern: &str, output: &Output) -> bool {
    let Ok(compiled) = compile(pattern) else { return false };
    let is_whole = output.bytes == output.head.len() as u64;
    let end = compiled.shortest_match(&output.head);
    end.is_some_and(|end| is_whole || end + LOOKED_AT <= output.head.len())
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
}

#[cfg(test)]
mod tests {
    use assay_evidence::Sha256;

    use super::*;

    fn output(bytes: &[u8], more: u64) -> Output {
        Output { digest: Sha256::of(bytes), bytes: bytes.len() as u64 + more, head: bytes.to_vec() }
    }

    #[test]
    fn a_match_and_its_near_miss() {
        let text = output(b"read of size 8 at 0x7f\xff\nnext line\n", 0);
        assert!(found(r"size [0-9]+ at 0x[0-9a-f]+", &text));
        assert!(!found(r"size [0-9]{2} at", &text));
        assert!(found(r"(?m)^next line$", &text));
        assert!(!found(r"^next line$", &text));
        assert!(found(r"(?i)READ.OF", &text));
        assert!(found(r"0x7f\xff", &text));
    }

    #[test]
    fn the_end_of_what_is_kept_is_not_the_end_of_what_was_printed() {
        assert!(found(r"done\z", &output(b"done", 0)));
        assert!(!found(r"done\z", &output(b"done", 1)));
        assert!(!found(r"done\b", &output(b"done", 1)));
        assert!(found(r"(?s)do.*", &output(b"done", 1)));
    }

    #[test]
    fn what_is_refused() {
        let long = |length| check(&"a".repeat(length));
        assert!(long(MAX_PATTERN_BYTES).is_ok());
        assert!(matches!(long(MAX_PATTERN_BYTES + 1), Err(PatternError::TooLong)));
        for pattern in ["a(b", "[z-a]", "(?=a)", r"(a)\1", "((a{1000}){1000}){1000}", &"(".repeat(100)] {
            assert!(matches!(check(pattern), Err(PatternError::Syntax(_))), "{pattern}");
        }
        for pattern in ["", "a*", ".*", "(x|)", "^"] {
            assert!(matches!(check(pattern), Err(PatternError::Vacuous)), "{pattern}");
        }
        assert!(check(r"\A\z").is_ok(), "that nothing was printed is worth expecting");
    }

    #[test]
    fn what_stalls_other_engines_does_not_stall_this_one() {
        let text = output(&[b'a'; 64 << 10], 0);
        let started = std::time::Instant::now();
        assert!(!found("(a+)+(a|aa)+b", &text));
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
