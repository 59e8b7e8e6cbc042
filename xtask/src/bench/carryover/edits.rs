//! Mutants of the sources: one small edit each.

use super::programs::{Language, Program};
use super::random::Random;
use super::tokens::{Kind, Token, tokens};

/// What kind of edit.
pub const OPERATOR: &str = "source: operator";
pub const CONSTANT: &str = "source: constant";
pub const DATA: &str = "source: data only";
pub const BRANCH: &str = "source: branch";
pub const TEXT: &str = "source: string";
pub const SWAP: &str = "source: callee or object swapped";
pub const STATEMENT: &str = "source: statement removed";
pub const ORDER: &str = "source: order of elements";
pub const ARGUMENT: &str = "source: argument";
pub const UNRELATED: &str = "source: unrelated change";

/// One edit of one source.
#[derive(Clone, Debug)]
pub struct Edit {
    pub kind: &'static str,
    /// Replaces this range of the source with this text.
    pub from: usize,
    pub to: usize,
    pub text: String,
}

impl Edit {
    pub fn apply(&self, source: &str) -> String {
        format!("{}{}{}", &source[..self.from], self.text, &source[self.to..])
    }

    fn replace(kind: &'static str, token: &Token<'_>, text: impl Into<String>) -> Self {
        Self { kind, from: token.at, to: token.end(), text: text.into() }
    }
}

const OPERATORS: [(&str, &[&str]); 24] = [
    ("+", &["-", "*"]),
    ("-", &["+"]),
    ("*", &["+"]),
    ("/", &["*"]),
    ("%", &["/"]),
    ("<", &["<=", ">", ">="]),
    (">", &[">=", "<"]),
    ("<=", &["<", ">"]),
    (">=", &[">", "<"]),
    ("==", &["!="]),
    ("!=", &["=="]),
    ("&&", &["||"]),
    ("||", &["&&"]),
    ("&", &["|"]),
    ("|", &["&", "^"]),
    ("^", &["&", "|"]),
    ("<<", &[">>"]),
    (">>", &["<<"]),
    ("+=", &["-="]),
    ("-=", &["+="]),
    ("++", &["--"]),
    ("--", &["++"]),
    ("=", &["+="]),
    ("!", &["!!"]),
];

/// Every edit of a source that is known, by place.
pub fn all(program: &Program, source: &str, random: &mut Random) -> Vec<Edit> {
    let list = tokens(source);
    let mut edits = Vec::new();
    for (index, token) in list.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| list.get(before));
        match token.kind {
            Kind::Sign => edits.extend(operator(token, before, random)),
            Kind::Number => edits.extend(number(token, list.get(index + 1), random)),
            Kind::Text => edits.extend(text(token, random)),
            Kind::Letter => edits.extend(letter(token)),
            Kind::Name => {
                edits.extend(swap(program, token, random));
                edits.extend(branch(&list[index..], program.language == Language::Rust));
            }
        }
        edits.extend(statement(&list[index..], source));
        edits.extend(exchange(&list[index..], source));
    }
    edits
}

fn operator(token: &Token<'_>, before: Option<&Token<'_>>, random: &mut Random) -> Option<Edit> {
    if token.depth == 0 {
        return None;
    }
    // A sign after a name, a number or a bracket joins two; others are unary or part of a type.
    let joins = before.is_some_and(|b| b.kind != Kind::Sign || b.is(")") || b.is("]"));
    let (_, others) = OPERATORS.iter().find(|(sign, _)| token.is(sign) && (joins || *sign == "!"))?;
    random.pick(others).map(|other| Edit::replace(OPERATOR, token, *other))
}

fn number(token: &Token<'_>, after: Option<&Token<'_>>, random: &mut Random) -> Option<Edit> {
    let (digits, rest) = match token.text.strip_prefix("0x") {
        Some(hex) => (u64::from_str_radix(hex.trim_end_matches('u'), 16).ok()?, hex.ends_with('u')),
        None if token.text.contains('.') || token.text.contains('e') => {
            return Some(Edit::replace(CONSTANT, token, format!("{}1", token.text)));
        }
        None => (token.text.trim_end_matches('u').parse::<u64>().ok()?, token.text.ends_with('u')),
    };
    let other = match random.below(5) {
        0 if digits > 0 => digits - 1,
        1 => digits * 2 + 1,
        2 => digits ^ 4,
        _ => digits + 1,
    };
    let listed = after.is_some_and(|after| after.is(",") || after.is("}"));
    let kind = if token.depth <= 1 && listed { DATA } else { CONSTANT };
    Some(Edit::replace(kind, token, format!("{other}{}", if rest { "u" } else { "" })))
}

/// One letter more, one less, or another.
fn text(token: &Token<'_>, random: &mut Random) -> Option<Edit> {
    let inner = token.text.strip_prefix('"')?.strip_suffix('"')?;
    let places: Vec<usize> = inner
        .char_indices()
        .filter(|(at, c)| c.is_ascii_alphabetic() && !inner[..*at].ends_with(['\\', '%', '{', 'u', 'z', 't']))
        .filter(|(at, _)| {
            !inner[..*at].rsplit('%').next().is_some_and(|tail| tail.len() < 4 && inner.contains('%'))
        })
        .map(|(at, _)| at)
        .collect();
    let at = *random.pick(&places)?;
    let (head, tail) = inner.split_at(at);
    let changed = match random.below(3) {
        0 => format!("\"{head}X{tail}\""),
        1 => format!("\"{head}{}\"", &tail[1..]),
        _ => format!("\"{head}Q{}\"", &tail[1..]),
    };
    Some(Edit::replace(TEXT, token, changed))
}

fn letter(token: &Token<'_>) -> Option<Edit> {
    let c = token.text.chars().nth(1).filter(char::is_ascii_alphanumeric)?;
    let other = if c == 'z' || c == 'Z' || c == '9' { 'b' } else { char::from(c as u8 + 1) };
    (token.text.len() == 3).then(|| Edit::replace(CONSTANT, token, format!("'{other}'")))
}

fn swap(program: &Program, token: &Token<'_>, random: &mut Random) -> Option<Edit> {
    let group = program.swaps.iter().find(|group| group.contains(&token.text))?;
    let others: Vec<&&str> = group.iter().filter(|name| **name != token.text).collect();
    random.pick(&others).map(|other| Edit::replace(SWAP, token, **other))
}

/// `if` and `while` with their condition turned round.
fn branch(rest: &[Token<'_>], rust: bool) -> Option<Edit> {
    let (first, rest) = rest.split_first()?;
    if !first.is("if") || rest.first()?.is("let") || first.depth == 0 {
        return None;
    }
    let close = match rust {
        true => rest.iter().position(|token| token.is("{"))?,
        false => closing(rest)?,
    };
    let range = if rust { &rest[..close] } else { &rest[1..close] };
    if range.iter().any(|token| token.is("let")) {
        return None;
    }
    let (start, end) = (range.first()?.at, range.last()?.end());
    let text = |source: &str| format!("!({source})");
    // The text between is taken from the words, one space between each.
    let inner: Vec<&str> = range.iter().map(|token| token.text).collect();
    Some(Edit { kind: BRANCH, from: start, to: end, text: text(&inner.join(" ")) })
}

/// Where the bracket closes that the first word opens.
fn closing(rest: &[Token<'_>]) -> Option<usize> {
    let mut open = 0;
    for (index, token) in rest.iter().enumerate() {
        match token.text {
            "(" => open += 1,
            ")" => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            _ if open == 0 => return None,
            _ => {}
        }
    }
    None
}

/// A statement that is only an expression or an assignment: `;` or brace before, `;` after.
fn statement(rest: &[Token<'_>], source: &str) -> Option<Edit> {
    let (before, rest) = rest.split_first()?;
    let first = rest.first()?;
    let keyword =
        ["return", "let", "for", "while", "if", "case", "break", "struct", "static", "const", "else"];
    if !matches!(before.text, ";" | "{" | "}") || first.depth == 0 || keyword.contains(&first.text) {
        return None;
    }
    let end = rest.iter().take(40).position(|token| matches!(token.text, ";" | "{" | "}"))?;
    let assigns =
        rest[..end].iter().any(|token| token.is("(") || token.text.ends_with('=') || token.text.len() == 2);
    let declares = rest.get(1)?.kind == Kind::Name || rest[..end].iter().any(|token| token.is("template"));
    if !rest[end].is(";") || !assigns || declares || end > 30 || source[first.at..rest[end].at].contains('\n')
    {
        return None;
    }
    Some(Edit { kind: STATEMENT, from: first.at, to: rest[end].at, text: String::new() })
}

/// Two plain neighbours in a list: `a, b` becomes `b, a`.
fn exchange(rest: &[Token<'_>], source: &str) -> Option<Edit> {
    let [open, a, comma, b, close, ..] = rest else { return None };
    let plain = |token: &Token<'_>| token.kind != Kind::Sign;
    let list = matches!(open.text, "{" | "," | "(" | "[") && matches!(close.text, "," | "}" | ")" | "]");
    if !list || !comma.is(",") || !plain(a) || !plain(b) || a.text == b.text || a.depth == 0 {
        return None;
    }
    let kind = if open.is("(") || close.is(")") { ARGUMENT } else { ORDER };
    let text = format!("{}{}{}", b.text, &source[a.end()..b.at], a.text);
    Some(Edit { kind, from: a.at, to: b.end(), text })
}

/// Changes inside functions that no run executes, and functions that nothing calls.
pub fn unrelated(program: &Program, source: &str, random: &mut Random) -> Option<Edit> {
    let rust = program.language == Language::Rust;
    let number = random.below(1000);
    let at_end = |text: String| Edit { kind: UNRELATED, from: source.len(), to: source.len(), text };
    let own = || {
        let list = tokens(source);
        let start =
            list.iter().rposition(|token| token.text.starts_with("unrelated_") && token.depth == 0)?;
        let open = start + list[start..].iter().position(|token| token.is("{"))?;
        let depth = list[open].depth;
        let close = open + list[open..].iter().position(|token| token.is("}") && token.depth == depth)?;
        Some(list[open + 1..close].to_vec())
    };
    match (random.below(4), rust) {
        (0, true) => Some(at_end(format!(
            "#[inline(never)]\n#[used]\nstatic ADDED: fn(u64) -> u64 = added;\nfn added(x: u64) -> u64 {{ x * {number} + 3 }}\n"
        ))),
        (0, false) => Some(at_end(format!(
            "__attribute__((visibility(\"hidden\"))) int added_{number}(int x) {{ return x * {number} + 3; }}\n"
        ))),
        (1, false) => Some(at_end(format!(
            "__attribute__((visibility(\"hidden\"))) const char *added_{number}(int x) {{ return x > 3 ? \"a text of its own {number}\" : \"another\"; }}\n"
        ))),
        (choice, _) => {
            let inner = own()?;
            let kind = if choice == 2 { Kind::Number } else { Kind::Text };
            let found: Vec<&Token<'_>> = inner.iter().filter(|token| token.kind == kind).collect();
            let token = random.pick(&found)?;
            let mut edit = match kind {
                Kind::Number => Edit::replace(UNRELATED, token, (number + 40).to_string()),
                _ => Edit::replace(UNRELATED, token, format!("\"{number} {}", &token.text[1..])),
            };
            edit.kind = UNRELATED;
            Some(edit)
        }
    }
}
