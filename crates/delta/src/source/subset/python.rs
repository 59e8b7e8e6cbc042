//! Statements of the part of Python that is recognised.

use std::collections::BTreeSet;

use super::python_expressions::{Expressions, Shape};
use super::python_tokens::{Kind, Line, line};
use super::{MAX_CHAIN, Recognised, Unrecognised};

/// Deepest nesting of blocks: CPython's limit is 20, of which a `try` takes up to three.
const MAX_BLOCKS: usize = 6;

/// Where a statement or an expression stands.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::source) struct Scope {
    /// In a coroutine's own code.
    pub asynchronous: bool,
    /// In a loop.
    pub looped: bool,
    /// Before the `in` of a `for`.
    pub(super) no_in: bool,
}

impl Scope {
    /// In a function within a function.
    pub(super) fn nested() -> Self {
        Self::default()
    }
}

/// What a function's body is, as far as its surroundings can tell without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Body {
    /// Where the line behind its last statement begins.
    pub end: usize,
    /// The column of its statements.
    pub indentation: usize,
    /// The text of its first statement, where that begins with a string: its documentation.
    pub documentation: Option<String>,
    /// Whether it is a generator.
    pub yields: bool,
    /// Whether it needs the class that it stands in.
    pub asks_for_class: bool,
}

/// Recognises a function's body that begins with the line at `from`; it is indented deeper than `above`.
pub(in crate::source) fn body(
    source: &str,
    from: usize,
    above: usize,
    asynchronous: bool,
) -> Recognised<Body> {
    let first = line(source, from, above + 1)?.ok_or(Unrecognised { at: from, what: "no body" })?;
    let indentation = first.indentation;
    // Brackets around it change nothing.
    let bare = first.tokens.iter().find(|token| token.text != "(");
    let documented = bare.is_some_and(|token| matches!(token.kind, Kind::Text | Kind::Bytes));
    let documentation = documented.then(|| first.text.to_owned());
    let mut reader = Reader {
        source,
        next: Some(first),
        end: from,
        least: indentation,
        yields: false,
        asks_for_class: false,
        blocks: 0,
    };
    reader.block(above, Scope { asynchronous, ..Scope::default() })?;
    if asynchronous && reader.yields {
        return Err(Unrecognised { at: from, what: "an asynchronous generator" });
    }
    let (yields, asks_for_class) = (reader.yields, reader.asks_for_class);
    Ok(Body { end: reader.end, indentation, documentation, yields, asks_for_class })
}

struct Reader<'a> {
    source: &'a str,
    next: Option<Line<'a>>,
    /// Where the last line that was taken ended.
    end: usize,
    /// The body's own column.
    least: usize,
    yields: bool,
    asks_for_class: bool,
    blocks: usize,
}

impl<'a> Reader<'a> {
    fn refuse<T>(&self, what: &'static str) -> Recognised<T> {
        Err(Unrecognised { at: self.end, what })
    }

    fn take(&mut self) -> Recognised<Option<Line<'a>>> {
        let Some(taken) = self.next.take() else { return Ok(None) };
        self.end = taken.end;
        self.next = line(self.source, taken.end, self.least)?;
        Ok(Some(taken))
    }

    /// Whether the next line begins with this keyword in this column.
    fn continues(&self, indentation: usize, words: &[&str]) -> bool {
        self.next.as_ref().is_some_and(|line| {
            let first = line.tokens.first();
            line.indentation == indentation
                && first.is_some_and(|token| token.kind == Kind::Keyword && words.contains(&token.text))
        })
    }

    /// Statements of one column, deeper than `above`.
    fn block(&mut self, above: usize, scope: Scope) -> Recognised<()> {
        let Some(column) = self.next.as_ref().map(|line| line.indentation).filter(|column| *column > above)
        else {
            return self.refuse("no indented block");
        };
        if self.blocks >= MAX_BLOCKS {
            return self.refuse("nested too deeply");
        }
        self.blocks += 1;
        while let Some(next) = &self.next {
            if next.indentation < column {
                break;
            }
            if next.indentation > column {
                return self.refuse("an indentation that nothing opens");
            }
            let Some(line) = self.take()? else { break };
            self.statement(&line, scope)?;
        }
        self.blocks -= 1;
        Ok(())
    }

    fn statement(&mut self, line: &Line<'a>, scope: Scope) -> Recognised<()> {
        let mut words = Expressions {
            tokens: &line.tokens,
            at: 0,
            depth: 0,
            scope,
            asks_for_class: false,
            yields: false,
        };
        let read = self.of_line(&mut words, line.indentation, scope);
        self.asks_for_class |= words.asks_for_class;
        self.yields |= words.yields;
        read
    }

    fn of_line(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        let asynchronous = words.take("async");
        let first = words.peek();
        if asynchronous && !(scope.asynchronous && matches!(first.text, "for" | "with")) {
            return self.refuse("an asynchronous statement");
        }
        if first.kind != Kind::Keyword {
            return simple(words, scope);
        }
        match first.text {
            "if" => self.branches(words, column, scope),
            "while" | "for" => self.repeats(words, column, scope),
            "with" => self.with(words, column, scope),
            "try" => self.tries(words, column, scope),
            "def" => self.function(words, column),
            _ => simple(words, scope),
        }
    }

    /// A colon with a simple statement or a block behind it.
    fn suite(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        words.expect(":")?;
        if words.peek().kind == Kind::End { self.block(column, scope) } else { simple(words, scope) }
    }

    /// The next line, which begins with a keyword, and its suite.
    fn clause(
        &mut self,
        column: usize,
        scope: Scope,
        head: impl FnOnce(&mut Expressions<'_, 'a>) -> Recognised<()>,
    ) -> Recognised<()> {
        let Some(line) = self.take()? else { return self.refuse("no clause") };
        let mut words = Expressions {
            tokens: &line.tokens,
            at: 1,
            depth: 0,
            scope,
            asks_for_class: false,
            yields: false,
        };
        let read = head(&mut words).and_then(|()| self.suite(&mut words, column, scope));
        self.asks_for_class |= words.asks_for_class;
        self.yields |= words.yields;
        read
    }

    fn branches(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        words.at += 1;
        words.value()?;
        self.suite(words, column, scope)?;
        let mut chain = 0;
        while self.continues(column, &["elif"]) {
            self.clause(column, scope, |words| words.value().map(|_| ()))?;
            chain += 1;
            if chain > MAX_CHAIN {
                return self.refuse("a long chain");
            }
        }
        self.otherwise(column, scope)
    }

    fn otherwise(&mut self, column: usize, scope: Scope) -> Recognised<()> {
        if self.continues(column, &["else"]) {
            self.clause(column, scope, |_| Ok(()))?;
        }
        Ok(())
    }

    fn repeats(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        if words.take("for") {
            words.for_targets()?;
            words.expect("in")?;
            words.list()?;
        } else {
            words.expect("while")?;
            words.value()?;
        }
        self.suite(words, column, Scope { looped: true, ..scope })?;
        self.otherwise(column, scope)
    }

    fn with(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        words.at += 1;
        let mut chain = 0;
        loop {
            words.value()?;
            if words.take("as") && !words.value()?.is_target() {
                return words.refuse("it binds what is no variable");
            }
            chain += 1;
            if chain > MAX_BLOCKS / 2 {
                return words.refuse("a long chain");
            }
            if !words.take(",") {
                return self.suite(words, column, scope);
            }
        }
    }

    fn tries(&mut self, words: &mut Expressions<'_, 'a>, column: usize, scope: Scope) -> Recognised<()> {
        words.at += 1;
        self.suite(words, column, scope)?;
        let (mut handlers, mut bare) = (0, false);
        while self.continues(column, &["except"]) {
            if bare || handlers > MAX_CHAIN {
                return self.refuse("an except behind a bare one, or too many");
            }
            handlers += 1;
            self.clause(column, scope, |words| {
                bare = words.peek().text == ":";
                if !bare {
                    words.value()?;
                    if words.take("as") {
                        words.name()?;
                    }
                }
                Ok(())
            })?;
        }
        if handlers > 0 {
            self.otherwise(column, scope)?;
        }
        if self.continues(column, &["finally"]) {
            self.clause(column, scope, |_| Ok(()))
        } else if handlers == 0 {
            self.refuse("a try without a handler")
        } else {
            Ok(())
        }
    }

    /// A plain function within the function.
    fn function(&mut self, words: &mut Expressions<'_, 'a>, column: usize) -> Recognised<()> {
        words.at += 1;
        words.name()?;
        words.expect("(")?;
        let (mut names, mut defaults) = (BTreeSet::new(), false);
        while !words.take(")") {
            if !names.insert(words.name()?) {
                return words.refuse("a parameter is named twice");
            }
            if words.take("=") {
                defaults = true;
                words.value()?;
            } else if defaults {
                return words.refuse("a parameter without default after one with");
            }
            if !words.take(",") {
                words.expect(")")?;
                break;
            }
        }
        let outer = std::mem::replace(&mut self.yields, false);
        let read = self.nested_suite(words, column);
        self.yields = outer;
        read
    }

    /// What a nested function's own line yields is its own.
    fn nested_suite(&mut self, words: &mut Expressions<'_, 'a>, column: usize) -> Recognised<()> {
        words.expect(":")?;
        if words.peek().kind == Kind::End {
            self.block(column, Scope::nested())
        } else {
            self.refuse("one line")
        }
    }
}

/// A statement without a block; nothing may stand behind it.
fn simple(words: &mut Expressions<'_, '_>, scope: Scope) -> Recognised<()> {
    words.scope = scope;
    let token = words.peek();
    match (token.kind, token.text) {
        (Kind::Keyword, "pass") => words.at += 1,
        (Kind::Keyword, "break" | "continue") if scope.looped => words.at += 1,
        (Kind::Keyword, "return") => {
            words.at += 1;
            optional(words)?;
        }
        (Kind::Keyword, "raise") => {
            words.at += 1;
            if words.peek().kind != Kind::End {
                words.value()?;
                if words.take("from") {
                    words.value()?;
                }
            }
        }
        (Kind::Keyword, "assert") => asserts(words)?,
        (Kind::Keyword, "del") => {
            words.at += 1;
            if !words.list()?.is_target() {
                return words.refuse("it deletes what is no variable");
            }
        }
        (Kind::Keyword, "import" | "from") => imports(words)?,
        _ => assigns(words)?,
    }
    if words.peek().kind == Kind::End { Ok(()) } else { words.refuse("a statement that is not checked") }
}

fn optional(words: &mut Expressions<'_, '_>) -> Recognised<()> {
    if words.peek().kind == Kind::End { Ok(()) } else { words.list().map(|_| ()) }
}

/// A tuple that is asserted is always true, of which the compiler warns.
fn asserts(words: &mut Expressions<'_, '_>) -> Recognised<()> {
    words.at += 1;
    let (from, negated) = (words.at, words.peek().text == "not");
    let shape = words.value()?;
    // What is put together of constants, the compiler puts together: `2 * (1,)`.
    if shape == Shape::Targets || shape == Shape::Literal && !negated && words.at > from + 1 {
        return words.refuse("it may assert a tuple");
    }
    if words.take(",") {
        words.value()?;
    }
    Ok(())
}

fn imports(words: &mut Expressions<'_, '_>) -> Recognised<()> {
    let from = words.take("from");
    if from {
        let mut dots = 0;
        while words.take(".") {
            dots += 1;
        }
        if words.peek().text == "__future__" {
            return words.refuse("__future__");
        }
        if !(dots > 0 && words.peek().text == "import") {
            dotted(words)?;
        }
    }
    words.expect("import")?;
    let bracket = from && words.take("(");
    loop {
        if from {
            words.name()?;
        } else {
            dotted(words)?;
        }
        if words.take("as") {
            words.name()?;
        }
        if !words.take(",") {
            break;
        }
        if bracket && words.peek().text == ")" {
            break;
        }
    }
    if bracket { words.expect(")") } else { Ok(()) }
}

fn dotted(words: &mut Expressions<'_, '_>) -> Recognised<()> {
    words.name()?;
    while words.take(".") {
        words.name()?;
    }
    Ok(())
}

/// An expression, or values for variables.
fn assigns(words: &mut Expressions<'_, '_>) -> Recognised<()> {
    const TOGETHER: [&str; 12] = ["+=", "-=", "*=", "/=", "//=", "%=", "@=", "&=", "|=", "^=", ">>=", "<<="];
    if yielded(words)? {
        return Ok(());
    }
    let mut shape = words.list()?;
    let next = words.peek();
    if next.kind == Kind::Operator && (TOGETHER.contains(&next.text) || next.text == "**=") {
        words.at += 1;
        if !matches!(shape, Shape::Name | Shape::Place) {
            return words.refuse("it assigns to what is no variable");
        }
        return if yielded(words)? { Ok(()) } else { words.list().map(|_| ()) };
    }
    while words.take("=") {
        if !shape.is_target() {
            return words.refuse("it assigns to what is no variable");
        }
        if yielded(words)? {
            return Ok(());
        }
        shape = words.list()?;
    }
    Ok(())
}

/// `yield` and what it yields.
fn yielded(words: &mut Expressions<'_, '_>) -> Recognised<bool> {
    if !words.take("yield") {
        return Ok(false);
    }
    words.yields = true;
    if words.take("from") {
        words.value()?;
    } else {
        optional(words)?;
    }
    Ok(true)
}
