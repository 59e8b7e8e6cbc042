//! The token stream of a source, divided into units.
//!
//! Neither grammar sees more than this stream. CPython's sees tokens, the ends of logical lines and the
//! depth of their indentation; ECMAScript's sees tokens and whether a line ends between two of them.
//! Comments, blank lines and the width of an indentation are no part of it. The parser decides where
//! tokens, comments, strings and function bodies begin and end; it is not asked what they mean.

use tree_sitter::{Node, Parser, TreeCursor};

use super::Language;

/// Most bytes of one source.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;
/// Most levels of a syntax tree.
const MAX_DEPTH: usize = 2000;

/// Why a source has no token stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlexed {
    /// It is no UTF-8, or declares another encoding.
    #[error("it is not UTF-8, or declares another encoding")]
    Encoding,
    /// It is larger than [`MAX_SOURCE_BYTES`].
    #[error("it is too large or too deeply nested")]
    TooLarge,
    /// The parser finds an error in it.
    #[error("it is not understood near byte {0}")]
    Syntax(usize),
    /// It is indented in a way whose depth is not clear.
    #[error("its indentation is not understood")]
    Indentation,
}

/// One token, or the body of a function that stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its text, and what precedes it: see [`Before`].
    Token(Before, String),
    /// The body of the unit of this index.
    Body(usize),
}

/// What a grammar sees before a token besides the token before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// A line ends (JavaScript).
    Line,
    /// A logical line ends, and the next one is indented this deep (Python).
    Logical(u32),
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    Module,
    Function,
    Lambda,
}

/// The module's own code, or the body of one function. Its parts hold no part of a nested body.
#[derive(Clone, Debug)]
pub struct Unit {
    pub kind: UnitKind,
    pub name: String,
    /// The first line, the first being 1, with its decorators.
    pub line: u32,
    /// In bytes: the function, and its body.
    pub function: std::ops::Range<usize>,
    pub body: std::ops::Range<usize>,
    pub parts: Vec<Part>,
}

/// A source as its runtime reads it.
#[derive(Clone, Debug)]
pub struct Lexed {
    /// The module first; nested units after the one they stand in.
    pub units: Vec<Unit>,
    /// Lines and names of code that runs with the unit it stands in: class bodies, comprehensions.
    pub inline: Vec<(u32, String)>,
    /// Every token's text once, sorted.
    pub texts: std::collections::BTreeSet<String>,
}

/// The tree of a source without errors.
pub(super) fn parse(source: &str, language: Language) -> Result<tree_sitter::Tree, Unlexed> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Unlexed::TooLarge);
    }
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
    };
    let mut parser = Parser::new();
    let fits = parser.set_language(&grammar);
    let tree = fits.ok().and_then(|()| parser.parse(source, None)).ok_or(Unlexed::Syntax(0))?;
    if tree.root_node().has_error() {
        return Err(Unlexed::Syntax(first_error(tree.root_node())));
    }
    Ok(tree)
}

fn first_error(root: Node<'_>) -> usize {
    let mut node = root;
    'down: loop {
        if node.is_error() || node.is_missing() {
            return node.start_byte();
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            if child.has_error() {
                node = child;
                continue 'down;
            }
        }
        return node.start_byte();
    }
}

/// The text of a source, where it is UTF-8 and says nothing else.
pub(super) fn text(bytes: &[u8], language: Language) -> Result<&str, Unlexed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unlexed::Encoding)?;
    if text.starts_with('\u{feff}') || text.contains('\0') {
        return Err(Unlexed::Encoding);
    }
    // Python ends lines there, and this reader does not.
    if language == Language::Python && text.replace("\r\n", "\n").contains(['\r', '\u{c}']) {
        return Err(Unlexed::Encoding);
    }
    let declared = |line: &str| {
        let comment = line.trim_start().strip_prefix('#')?;
        let after = comment.split_once("coding")?.1.strip_prefix([':', '='])?.trim_start();
        let name: String =
            after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
        Some(name.to_ascii_lowercase().replace('_', "-"))
    };
    let other = |name: String| !matches!(name.as_str(), "utf-8" | "utf8");
    if language == Language::Python && text.lines().take(2).filter_map(declared).any(other) {
        return Err(Unlexed::Encoding);
    }
    Ok(text)
}

/// Reads a source.
///
/// # Errors
/// What keeps it from being read without doubt.
pub fn lex(bytes: &[u8], language: Language) -> Result<Lexed, Unlexed> {
    let source = text(bytes, language)?;
    let tree = parse(source, language)?;
    let module = Unit {
        kind: UnitKind::Module,
        name: "<module>".to_owned(),
        line: 1,
        function: 0..source.len(),
        body: 0..source.len(),
        parts: Vec::new(),
    };
    let mut lexer = Lexer {
        source,
        language,
        lexed: Lexed { units: vec![module], inline: Vec::new(), texts: std::collections::BTreeSet::new() },
        end: 0,
        brackets: 0,
        indents: vec![0],
        last: String::new(),
    };
    lexer.walk(&mut tree.walk(), 0, 0)?;
    lexer.rest(source.len(), 0);
    Ok(lexer.lexed)
}

struct Lexer<'a> {
    source: &'a str,
    language: Language,
    lexed: Lexed,
    /// Where the last token ended.
    end: usize,
    brackets: usize,
    /// Columns of the enclosing indentations.
    indents: Vec<usize>,
    last: String,
}

impl Lexer<'_> {
    fn walk(&mut self, cursor: &mut TreeCursor<'_>, unit: usize, depth: usize) -> Result<(), Unlexed> {
        if depth > MAX_DEPTH {
            return Err(Unlexed::TooLarge);
        }
        let node = cursor.node();
        let atomic = matches!(node.kind(), "string" | "template_string" | "regex" | "escape_sequence");
        if node.kind().starts_with("jsx_") || node.kind() == "html_comment" {
            return Err(Unlexed::Syntax(node.start_byte()));
        }
        if matches!(node.kind(), "comment" | "line_continuation") {
            return Ok(());
        }
        self.note_inline(node);
        if atomic || node.child_count() == 0 {
            return self.token(node.start_byte()..node.end_byte(), unit);
        }
        let function = self.function(node);
        if !cursor.goto_first_child() {
            return Ok(());
        }
        loop {
            let child = cursor.node();
            let inside = match function {
                Some(body) if child.id() == body.id() => Some(self.enter(node, body, unit)),
                _ => None,
            };
            self.walk(cursor, inside.unwrap_or(unit), depth + 1)?;
            if !cursor.goto_next_sibling() {
                break;
            }
        }
        cursor.goto_parent();
        Ok(())
    }

    /// The body of a function.
    fn function<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        let is_function = match self.language {
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

    fn enter(&mut self, node: Node<'_>, body: Node<'_>, unit: usize) -> usize {
        let index = self.lexed.units.len();
        let name = node.child_by_field_name("name").map(|name| self.source[name.byte_range()].to_owned());
        let lambda = matches!(node.kind(), "lambda" | "arrow_function");
        self.lexed.units.push(Unit {
            kind: if lambda { UnitKind::Lambda } else { UnitKind::Function },
            name: name.unwrap_or_else(|| if lambda { "<lambda>".to_owned() } else { String::new() }),
            line: decorated(node).start_position().row as u32 + 1,
            function: node.byte_range(),
            body: body.byte_range(),
            parts: Vec::new(),
        });
        self.lexed.units[unit].parts.push(Part::Body(index));
        index
    }

    /// Code that has a place of its own in the runtime's coverage and none here.
    fn note_inline(&mut self, node: Node<'_>) {
        let line = decorated(node).start_position().row as u32 + 1;
        let name = match node.kind() {
            "class_definition" => {
                node.child_by_field_name("name").map_or("", |name| &self.source[name.byte_range()])
            }
            "list_comprehension" => "<listcomp>",
            "set_comprehension" => "<setcomp>",
            "dictionary_comprehension" => "<dictcomp>",
            "generator_expression" => "<genexpr>",
            "string" => return self.note_inline_in(node),
            _ => return,
        };
        self.lexed.inline.push((line, name.to_owned()));
    }

    /// Code inside a formatted string, which is one token here.
    fn note_inline_in(&mut self, node: Node<'_>) {
        let mut waiting: Vec<Node<'_>> = vec![node];
        while let Some(node) = waiting.pop() {
            let mut cursor = node.walk();
            for child in node.children(&mut cursor) {
                let line = child.start_position().row as u32 + 1;
                match child.kind() {
                    "lambda" => self.lexed.inline.push((line, "<lambda>".to_owned())),
                    "string" => {}
                    _ => self.note_inline(child),
                }
                waiting.push(child);
            }
        }
    }

    fn token(&mut self, range: std::ops::Range<usize>, unit: usize) -> Result<(), Unlexed> {
        if range.is_empty() {
            return Ok(());
        }
        self.rest(range.start, unit);
        let text = &self.source[range.clone()];
        let before = match self.language {
            Language::Python => self.before_python(range.start)?,
            Language::JavaScript => self.before_javascript(range.start, text),
        };
        match text {
            "(" | "[" | "{" => self.brackets += 1,
            ")" | "]" | "}" => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        let text = plain_quotes(text);
        self.lexed.texts.insert(text.clone());
        self.last.clone_from(&text);
        self.lexed.units[unit].parts.push(Part::Token(before, text));
        self.end = range.end;
        Ok(())
    }

    /// What lies between two tokens and is neither blank nor a comment is a token too.
    fn rest(&mut self, to: usize, unit: usize) {
        let gap = without_comments(&self.source[self.end..to], self.language);
        let gap: String =
            gap.chars().filter(|c| !c.is_whitespace() && *c != '\\' && *c != '\u{feff}').collect();
        if !gap.is_empty() {
            self.lexed.units[unit].parts.push(Part::Token(Before::Nothing, gap));
        }
    }

    fn before_python(&mut self, start: usize) -> Result<Before, Unlexed> {
        let gap = &self.source[self.end..start];
        let first = self.end == 0 && self.last.is_empty();
        if self.brackets > 0 || !first && !ends_a_line(gap) {
            return Ok(Before::Nothing);
        }
        let line_start = self.source[..start].rfind('\n').map_or(0, |at| at + 1);
        let indentation = &self.source[line_start..start];
        let tabs = indentation.bytes().all(|byte| byte == b'\t');
        let spaces = indentation.bytes().all(|byte| byte == b' ');
        if !tabs && !spaces {
            return Err(Unlexed::Indentation);
        }
        // Tabs and spaces are never compared: a source that has both is refused where it matters.
        let column = indentation.len() * if tabs { 8 } else { 1 };
        while self.indents.last().is_some_and(|last| *last > column) {
            self.indents.pop();
        }
        if self.indents.last().is_some_and(|last| *last < column) {
            if self.last != ":" {
                return Err(Unlexed::Indentation);
            }
            self.indents.push(column);
        }
        Ok(Before::Logical(self.indents.len() as u32))
    }

    fn before_javascript(&self, start: usize, next: &str) -> Before {
        const ENDS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];
        let gap = &self.source[self.end..start];
        let after = matches!(self.last.as_str(), "(" | "[" | "{" | "," | ";");
        let ahead = matches!(next, ")" | "]" | "}" | "," | ";");
        let counts = !(after || ahead) || next.starts_with("--") || next.starts_with("++");
        if counts && gap.contains(ENDS) { Before::Line } else { Before::Nothing }
    }
}

/// A definition with its decorators, from which Python counts its first line.
fn decorated(node: Node<'_>) -> Node<'_> {
    node.parent().filter(|parent| parent.kind() == "decorated_definition").unwrap_or(node)
}

/// Whether a logical line ends between two tokens: a line ends there that no backslash continues.
fn ends_a_line(gap: &str) -> bool {
    let gap = without_comments(gap, Language::Python);
    gap.match_indices('\n').any(|(at, _)| !gap[..at].trim_end_matches('\r').ends_with('\\'))
}

/// A gap between tokens without what the parser called comments.
fn without_comments(gap: &str, language: Language) -> String {
    let mut out = String::new();
    let mut rest = gap;
    let line = if language == Language::Python { "#" } else { "//" };
    while !rest.is_empty() {
        if rest.starts_with(line) {
            rest = rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).map_or("", |at| &rest[at..]);
        } else if language == Language::JavaScript && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |at| &rest[at + 2..]);
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}

/// A string without prefix, escapes and quotes inside, in one kind of quotes.
fn plain_quotes(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) if !text.starts_with("''") && !inner.contains(['\'', '"', '\\', '\n', '\r']) => {
            format!("\"{inner}\"")
        }
        _ => text.to_owned(),
    }
}
