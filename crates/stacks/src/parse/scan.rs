//! Small readers of the pieces that lines are made of.

/// `0x...` at the start: its text in lower case and what follows.
pub(super) fn address(text: &str) -> Option<(String, &str)> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let end =
        digits.bytes().position(|byte| !byte.is_ascii_hexdigit() && byte != b'`').unwrap_or(digits.len());
    if end == 0 || end > 32 {
        return None;
    }
    Some((hex(&digits[..end]), &digits[end..]))
}

/// `0x` and lower hex without leading zeros.
pub(super) fn hex(digits: &str) -> String {
    let digits = digits.replace('`', "").to_ascii_lowercase();
    let digits = digits.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}

/// A decimal number at the start and what follows.
pub(super) fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// `file:line`, `file:line:column`, or `file(line)`: the file and the line.
pub(super) fn location(text: &str) -> (&str, Option<u32>) {
    let text = text.trim().trim_end_matches(['.', ',', ':']);
    if let Some((file, line)) = text.strip_suffix(')').and_then(|inside| inside.rsplit_once('('))
        && let Some((line, "")) = number(line)
    {
        return (file, Some(line));
    }
    let Some((rest, last)) = text.rsplit_once(':') else { return (text, None) };
    let Some((last, "")) = number(last) else { return (text, None) };
    match rest.rsplit_once(':').map(|(file, line)| (file, number(line))) {
        Some((file, Some((line, "")))) if !file.is_empty() => (file, Some(line)),
        _ => (rest, Some(last)),
    }
}

/// Whether a word looks like a source location or a path.
pub(super) fn is_place(word: &str) -> bool {
    let (file, line) = location(word);
    if file.is_empty() {
        return false;
    }
    word.starts_with('/')
        || line.is_some()
        || word == "??:?"
        || word.contains('/') && !word.contains("::")
        || word.starts_with("??:")
        || word.as_bytes().get(1..3) == Some(b":\\")
}

/// The text after the first `mark`.
pub(super) fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.find(mark).map(|at| &text[at + mark.len()..])
}

/// The place of the first `mark` outside parentheses and angle brackets (those of operators do not count).
pub(super) fn find_outside(text: &str, mark: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut parens = 0_i32;
    let mut angles = 0_i32;
    for at in 0..bytes.len() {
        if parens == 0 && angles <= 0 && bytes[at] == mark.as_bytes()[0] && text[at..].starts_with(mark) {
            return Some(at);
        }
        match bytes[at] {
            b'(' => parens += 1,
            b')' => parens -= 1,
            b'<' if !is_operator(text, at) => angles += 1,
            b'>' if !is_operator(text, at) && (at == 0 || bytes[at - 1] != b'-') => angles -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the bracket at `at` belongs to `operator<`, `operator<<=`, `operator->` and the like.
fn is_operator(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[at.saturating_sub(10)..at];
    let symbols = before.iter().rev().take(2).take_while(|byte| b"<>=-".contains(byte)).count();
    before[..before.len() - symbols].ends_with(b"operator")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        assert_eq!(location("/a/b.c:12:3"), ("/a/b.c", Some(12)));
        assert_eq!(location("b.c:12"), ("b.c", Some(12)));
        assert_eq!(location("C:\\a\\b.c:12"), ("C:\\a\\b.c", Some(12)));
        assert_eq!(location("C:\\a\\b.c(12)"), ("C:\\a\\b.c", Some(12)));
        assert_eq!(location("plain"), ("plain", None));
    }

    #[test]
    fn marks_outside_of_groups() {
        assert_eq!(find_outside("a<b (c)>(d (e)) (f)", " ("), Some(15));
        assert_eq!(find_outside("operator<< (x)", " ("), Some(10));
    }
}
