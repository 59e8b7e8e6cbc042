//! Functions of a source that did not run, and the lines of theirs that may change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::{Node, Parser, Tree};

use super::subset::javascript::Head;
use super::{Function, Language, Place};

/// Most bytes of one source.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// Room for the parser: only what it uses of it is ever memory.
const PARSER_STACK_BYTES: usize = 1 << 30;

/// Why a source is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// It is no UTF-8, or declares another encoding, or ends lines in another way.
    #[error("it is not UTF-8 with plain ends of lines")]
    Encoding,
    /// It is larger than [`MAX_SOURCE_BYTES`].
    #[error("it is too large")]
    TooLarge,
    /// The parser finds an error in it.
    #[error("it is not understood")]
    Syntax,
}

/// The body of a function that did not run.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    pub name: String,
    /// The whole lines of its interior.
    pub lines: Range<usize>,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Python {
        /// The column of `def`.
        column: usize,
        asynchronous: bool,
    },
    JavaScript {
        head: Head,
        arrow: bool,
        /// Its parameters, where they are plain names.
        parameters: BTreeSet<String>,
        /// From behind the opening brace to the first whole line.
        opening: usize,
    },
}

/// The text of a source, where it is read without doubt.
pub(super) fn text(bytes: &[u8], language: Language) -> Result<&str, Unread> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unread::Encoding)?;
    if text.len() > MAX_SOURCE_BYTES {
        return Err(Unread::TooLarge);
    }
    // Python ends lines at these, or reads past them.
    let odd = language == Language::Python && text.contains(['\r', '\u{c}']);
    let declares = |line: &str| encoding(line).is_some_and(|name| !is_utf_8(name));
    let declared = language == Language::Python && text.split('\n').take(2).any(declares);
    if odd || declared || text.starts_with('\u{feff}') || text.contains('\0') {
        return Err(Unread::Encoding);
    }
    Ok(text)
}

/// The encoding that a line declares: `^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)` (PEP 263).
fn encoding(line: &str) -> Option<&str> {
    let comment = line.trim_start_matches([' ', '\t', '\u{c}']).strip_prefix('#')?;
    comment.match_indices("coding").find_map(|(at, word)| {
        let after = comment[at + word.len()..].strip_prefix([':', '='])?;
        let name = after.trim_start_matches([' ', '\t']);
        let part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let length = name.find(|letter| !part(letter)).unwrap_or(name.len());
        (length > 0).then(|| &name[..length])
    })
}

fn is_utf_8(name: &str) -> bool {
    ["utf-8", "utf8", "utf_8"].contains(&name.to_ascii_lowercase().as_str())
}

/// The tree of a source without errors.
fn parse(source: &str, language: Language) -> Result<Tree, Unread> {
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
    };
    // The parser lets go of what it tried by recursion, as deep as the source is long.
    let parsed = std::thread::scope(|scope| {
        let parse = || {
            let mut parser = Parser::new();
            parser.set_language(&grammar).ok()?;
            parser.parse(source, None)
        };
        let thread =
            std::thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn_scoped(scope, parse).ok()?;
        thread.join().ok().flatten()
    });
    let tree = parsed.ok_or(Unread::Syntax)?;
    if tree.root_node().has_error() { Err(Unread::Syntax) } else { Ok(tree) }
}

/// A source with its functions.
#[derive(Debug)]
pub(super) struct Functions {
    /// Outermost bodies that did not run and may change, in order.
    pub idle: Vec<Idle>,
    /// Every function's body, in order of their beginnings.
    pub bodies: Vec<Range<usize>>,
    /// Every name of a variable, in order (JavaScript).
    pub names: Vec<Range<usize>>,
}

/// What a variable's name is to the parser.
const NAMES: [&str; 3] =
    ["identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"];

/// Finds the functions of a source of which coverage says that they did not run.
pub(super) fn functions(
    source: &str,
    language: Language,
    covered: &BTreeSet<Function>,
) -> Result<Functions, Unread> {
    let tree = parse(source, language)?;
    let coverage = Coverage::of(source, covered);
    let mut found = Functions { idle: Vec::new(), bodies: Vec::new(), names: Vec::new() };
    let mut cursor = tree.walk();
    let mut enclosing: Vec<usize> = Vec::new();
    let mut decorated = (0, 0);
    loop {
        let node = cursor.node();
        while enclosing.last().is_some_and(|end| *end <= node.start_byte()) {
            enclosing.pop();
        }
        if node.kind() == "decorated_definition" {
            decorated = (node.end_byte(), node.start_position().row);
        }
        if let Some(body) = body_of(node, language) {
            let nested = language == Language::Python && !enclosing.is_empty();
            let inside = found.idle.last().is_some_and(|idle: &Idle| idle.lines.end > node.start_byte());
            if !nested && !inside {
                // What is decorated ends where its definition does.
                let (end, row) = decorated;
                let first = if end == node.end_byte() { row } else { node.start_position().row };
                found.idle.extend(idle(source, (node, body), first, language, &coverage));
            }
            found.bodies.push(body.byte_range());
            enclosing.push(node.end_byte());
        }
        if language == Language::JavaScript && NAMES.contains(&node.kind()) {
            found.names.push(node.byte_range());
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Ok(found);
            }
        }
    }
}

fn body_of<'t>(node: Node<'t>, language: Language) -> Option<Node<'t>> {
    let is_function = match language {
        Language::Python => matches!(node.kind(), "function_definition" | "lambda"),
        Language::JavaScript => matches!(
            node.kind(),
            "function_declaration"
                | "function_expression"
                | "function"
                | "generator_function"
                | "generator_function_declaration"
                | "arrow_function"
                | "method_definition"
        ),
    };
    is_function.then(|| node.child_by_field_name("body")).flatten()
}

fn idle(
    source: &str,
    (node, body): (Node<'_>, Node<'_>),
    first: usize,
    language: Language,
    coverage: &Coverage,
) -> Option<Idle> {
    let name = node.child_by_field_name("name").map_or("a function", |name| &source[name.byte_range()]);
    let (lines, kind) = match language {
        Language::Python => python(source, node, body, first, coverage)?,
        Language::JavaScript => javascript(source, node, body, coverage)?,
    };
    Some(Idle { name: name.to_owned(), lines, kind })
}

fn has_child(node: Node<'_>, kind: &str) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == kind)
}

/// The first two lines may declare the encoding.
const FIRST_FREE_ROW: usize = 2;

/// `first` is the row of the function's first decorator, or its own.
fn python(
    source: &str,
    node: Node<'_>,
    body: Node<'_>,
    first: usize,
    coverage: &Coverage,
) -> Option<(Range<usize>, Kind)> {
    let (first, last) = (first as u32 + 1, node.end_position().row as u32 + 1);
    if node.kind() != "function_definition" || coverage.python_ran(first, last) {
        return None;
    }
    let mut cursor = node.walk();
    let colon = node.children(&mut cursor).filter(|child| child.kind() == ":").last()?;
    let (_, start) = rest_of_line(source, colon.end_byte(), "#")?;
    let (_, end) = rest_of_line(source, body.end_byte(), "#")?;
    let column = node.start_position().column;
    let before = &source[node.start_byte() - column..node.start_byte()];
    let fits = body.start_byte() >= start && before.bytes().all(|byte| byte == b' ');
    let free = colon.end_position().row + 1 >= FIRST_FREE_ROW;
    let kind = Kind::Python { column, asynchronous: has_child(node, "async") };
    (fits && free && start <= end).then_some((start..end, kind))
}

/// The rest of a line, which is blank or a comment, and where the next one begins.
fn rest_of_line<'a>(source: &'a str, from: usize, comment: &str) -> Option<(&'a str, usize)> {
    let length = source[from..].find('\n')?;
    let rest = &source[from..from + length];
    let text = rest.trim_start_matches([' ', '\t']);
    (text.is_empty() || text.starts_with(comment)).then_some((rest, from + length + 1))
}

fn javascript(
    source: &str,
    node: Node<'_>,
    body: Node<'_>,
    coverage: &Coverage,
) -> Option<(Range<usize>, Kind)> {
    if body.kind() != "statement_block" || !coverage.javascript_idle(node.byte_range(), body.start_byte()) {
        return None;
    }
    let (open, close) = (body.start_byte() + 1, body.end_byte() - 1);
    let (rest, start) = rest_of_line(source, open, "//")?;
    let end = source[..close].rfind('\n')? + 1;
    let blank = source[end..close].bytes().all(|byte| matches!(byte, b' ' | b'\t'));
    if rest.contains("URL") || !blank || start > end {
        return None;
    }
    let header = &source[node.start_byte()..body.start_byte()];
    let head = Head {
        asynchronous: has_child(node, "async"),
        generator: node.kind().starts_with("generator") || has_child(node, "*"),
        parameters: words(header).map(str::to_owned).collect(),
    };
    let (arrow, parameters) = (node.kind() == "arrow_function", plain_parameters(source, node));
    Some((start..end, Kind::JavaScript { head, arrow, parameters, opening: start - open }))
}

/// A function's parameters, where each is a name and nothing more.
fn plain_parameters(source: &str, node: Node<'_>) -> BTreeSet<String> {
    let Some(list) = node.child_by_field_name("parameters") else { return BTreeSet::new() };
    let mut cursor = list.walk();
    let all: Vec<Node<'_>> = list.named_children(&mut cursor).collect();
    if all.iter().any(|one| one.kind() != "identifier") {
        return BTreeSet::new();
    }
    all.iter().map(|one| source[one.byte_range()].to_owned()).collect()
}

/// Words of a text, whatever they mean there.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    text.split(move |letter: char| !part(letter)).filter(|word| !word.is_empty())
}

/// What ran, for quick questions.
struct Coverage {
    /// First lines of what ran, sorted (Python).
    lines: Vec<u32>,
    /// Functions by their ends: beginnings, and whether they ran (JavaScript).
    ranges: BTreeMap<u32, Vec<(u32, bool)>>,
    /// Beginnings of what ran, sorted (JavaScript).
    ran: Vec<u32>,
    /// UTF-16 code units before each byte, where they are not as many.
    units: Vec<u32>,
}

impl Coverage {
    fn of(source: &str, covered: &BTreeSet<Function>) -> Self {
        let mut coverage =
            Self { lines: Vec::new(), ranges: BTreeMap::new(), ran: Vec::new(), units: code_units(source) };
        for function in covered {
            match function.place {
                Place::Line(line) if function.executed && function.name != "<module>" => {
                    coverage.lines.push(line)
                }
                Place::Line(_) => {}
                Place::Range(from, to) => {
                    coverage.ranges.entry(to).or_default().push((from, function.executed));
                    if function.executed {
                        coverage.ran.push(from);
                    }
                }
            }
        }
        coverage.lines.sort_unstable();
        coverage.ran.sort_unstable();
        coverage
    }

    /// Whether anything between two lines ran.
    fn python_ran(&self, first: u32, last: u32) -> bool {
        let at = self.lines.partition_point(|line| *line < first);
        self.lines.get(at).is_some_and(|line| *line <= last)
    }

    /// Whether V8 says of a function that it did not run, and nothing in it did.
    fn javascript_idle(&self, function: Range<usize>, body: usize) -> bool {
        let unit = |byte: usize| self.units.get(byte).copied().unwrap_or(byte as u32);
        let (start, body, end) = (unit(function.start), unit(body), unit(function.end));
        let at = self.ran.partition_point(|from| *from < start);
        if self.ran.get(at).is_some_and(|from| *from < end) {
            return false;
        }
        let own =
            self.ranges.get(&end).into_iter().flatten().filter(|(from, _)| *from >= start && *from < body);
        let own: Vec<bool> = own.map(|(_, ran)| *ran).collect();
        !own.is_empty() && !own.contains(&true)
    }
}

fn code_units(source: &str) -> Vec<u32> {
    if source.is_ascii() {
        return Vec::new();
    }
    let mut units = Vec::with_capacity(source.len() + 1);
    let mut at = 0;
    for letter in source.chars() {
        units.extend(std::iter::repeat_n(at, letter.len_utf8()));
        at += letter.len_utf16() as u32;
    }
    units.push(at);
    units
}
