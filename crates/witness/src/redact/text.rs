//! Small questions about bytes that every detector asks.

/// Whether a byte belongs to a word: a letter, a digit or `_`.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte before `at`.
pub(super) fn before(text: &[u8], at: usize) -> Option<u8> {
    text[..at].last().copied()
}

/// Whether no word runs into `at` from the left.
pub(super) fn starts(text: &[u8], at: usize) -> bool {
    !before(text, at).is_some_and(is_word)
}

/// Whether no word runs on at `at`.
pub(super) fn ends(text: &[u8], at: usize) -> bool {
    !text.get(at).copied().is_some_and(is_word)
}

/// The end of the bytes from `at` that `keep` holds for, at most `most` of them.
pub(super) fn run(text: &[u8], at: usize, most: usize, keep: impl Fn(u8) -> bool) -> usize {
    let window = &text[at.min(text.len())..text.len().min(at.saturating_add(most))];
    at + window.iter().position(|byte| !keep(*byte)).unwrap_or(window.len())
}

/// The start of the bytes before `at` that `keep` holds for, at most `most` of them.
pub(super) fn run_back(text: &[u8], at: usize, most: usize, keep: impl Fn(u8) -> bool) -> usize {
    let window = &text[at.saturating_sub(most)..at];
    at - window.iter().rev().position(|byte| !keep(*byte)).unwrap_or(window.len())
}

/// Up to `most` bytes before `at` on the same line, in lower case.
pub(super) fn context(text: &[u8], at: usize, most: usize) -> Vec<u8> {
    let window = &text[at.saturating_sub(most)..at];
    let line = window.iter().rposition(|byte| *byte == b'\n').map_or(window, |end| &window[end + 1..]);
    line.to_ascii_lowercase()
}

/// Whether `words` holds a word that stands in `context` between non-letters.
pub(super) fn mentions(context: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| {
        memchr::memmem::find_iter(context, word.as_bytes()).any(|at| {
            let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
            !letter(at.checked_sub(1).and_then(|left| context.get(left)))
                && !letter(context.get(at + word.len()))
        })
    })
}

/// Whether the byte can stand in base64, of either alphabet, or in its padding.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte)
}
