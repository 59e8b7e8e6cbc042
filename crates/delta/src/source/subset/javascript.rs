//! Statements and expressions of the part of JavaScript that is recognised. What it accepts is accepted in
//! strict mode and means the same in either.

use std::collections::BTreeSet;

use super::javascript_tokens::{Tokens, is_name};
use super::{MAX_CHAIN, MAX_DEPTH, Recognised};

/// How far an arrow is looked for.
const MAX_AHEAD: usize = 10_000;

/// What a function's body is, as far as its surroundings can tell without a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Body {
    /// Where its closing brace stands.
    pub end: usize,
    /// Its leading statements that begin with a string: directives.
    pub directives: String,
    /// Names that it refers to.
    pub references: BTreeSet<String>,
    /// Names that it declares, at any depth.
    pub declared: BTreeSet<String>,
    /// Regular expressions in it.
    pub expressions: BTreeSet<String>,
    /// Whether its code, or that of an arrow in it, uses `arguments`.
    pub arguments: bool,
    /// Whether its code, or that of an arrow in it, uses `this`.
    pub this: bool,
}

/// The function that a body is of.
#[derive(Clone, Debug, Default)]
pub(in crate::source) struct Head {
    pub asynchronous: bool,
    pub generator: bool,
    /// Names that may be parameters.
    pub parameters: BTreeSet<String>,
}

/// Recognises a function's body from behind its opening brace to its closing one.
pub(in crate::source) fn body(source: &str, from: usize, head: &Head) -> Recognised<Body> {
    let tokens = Tokens { source, at: from, after_line: false };
    let function =
        Function { asynchronous: head.asynchronous, generator: head.generator, ..Function::default() };
    let mut reader = Reader { tokens, body: Body::default(), blocks: Vec::new(), function, depth: 0 };
    reader.tokens.skip()?;
    let top = Block { parameters: head.parameters.clone(), top: true, ..Block::default() };
    reader.blocks.push(top);
    let start = reader.tokens.at;
    while source[reader.tokens.at..].starts_with(['\'', '"']) {
        reader.statement()?;
        reader.body.directives = source[start..reader.tokens.at].trim_end().to_owned();
    }
    reader.statements()?;
    reader.body.end = reader.tokens.at;
    if source[from..reader.body.end].contains("<!--") || source[from..reader.body.end].contains("-->") {
        return reader.tokens.refuse("a comment of another kind");
    }
    Ok(reader.body)
}

/// What an expression is, as far as others ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Name,
    Member,
    Other,
}

/// Names of one block.
#[derive(Default)]
struct Block {
    lexical: BTreeSet<String>,
    /// Names that may be parameters.
    parameters: BTreeSet<String>,
    /// Declared with `var` here or deeper.
    variables: BTreeSet<String>,
    top: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Function {
    asynchronous: bool,
    generator: bool,
    looped: bool,
    /// Directly among the cases of a `switch`.
    switched: bool,
    /// Somewhere in a `switch`.
    breaks: bool,
    /// A plain function inside: its `arguments` are its own.
    plain: bool,
    no_in: bool,
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    body: Body,
    blocks: Vec<Block>,
    function: Function,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Recognised<T>) -> Recognised<T> {
        if self.depth >= MAX_DEPTH {
            return self.tokens.refuse("nested too deeply");
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Declares a name in this block.
    fn declare(&mut self, name: &str, lexical: bool) -> Recognised<()> {
        self.body.declared.insert(name.to_owned());
        for block in self.blocks.iter_mut().rev() {
            let other = block.variables.contains(name) || block.parameters.contains(name);
            if block.lexical.contains(name) || lexical && other {
                return self.tokens.refuse("a name is declared twice");
            }
            if lexical {
                block.lexical.insert(name.to_owned());
                break;
            }
            block.variables.insert(name.to_owned());
            if block.top {
                break;
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Recognised<&'a str> {
        let word = self.tokens.word();
        if !is_name(word) {
            return self.tokens.refuse("no plain name");
        }
        self.tokens.step(word.len())?;
        Ok(word)
    }

    /// Statements up to a closing brace, which is left.
    fn statements(&mut self) -> Recognised<()> {
        while self.tokens.operator() != "}" {
            match self.tokens.word() {
                "case" | "default" if self.function.switched => return Ok(()),
                "function" => self.function_declaration()?,
                word @ ("let" | "const") => self.lexical(word == "const")?,
                _ => self.statement()?,
            }
        }
        Ok(())
    }

    fn block(&mut self, names: Vec<String>) -> Recognised<()> {
        self.tokens.expect("{")?;
        self.blocks.push(Block::default());
        for name in names {
            self.declare(&name, true)?;
        }
        let switched = std::mem::replace(&mut self.function.switched, false);
        let outer = std::mem::replace(&mut self.function.no_in, false);
        self.statements()?;
        (self.function.switched, self.function.no_in) = (switched, outer);
        self.blocks.pop();
        self.tokens.expect("}")
    }

    fn statement(&mut self) -> Recognised<()> {
        self.deeper(Self::one_statement)
    }

    fn one_statement(&mut self) -> Recognised<()> {
        match self.tokens.operator() {
            "{" => return self.block(Vec::new()),
            ";" => return self.tokens.expect(";"),
            _ => {}
        }
        let word = self.tokens.word();
        match word {
            "var" => {
                self.tokens.expect("var")?;
                self.declarations(false, false)?;
                self.semicolon()
            }
            "if" => self.branches(),
            "for" => self.for_loop(),
            "while" => {
                self.tokens.expect("while")?;
                self.condition()?;
                self.looped()
            }
            "do" => {
                self.tokens.expect("do")?;
                self.looped()?;
                self.tokens.expect("while")?;
                self.condition()?;
                self.semicolon()
            }
            "return" | "throw" => {
                self.tokens.step(word.len())?;
                let nothing = self.tokens.after_line || matches!(self.tokens.operator(), ";" | "}");
                if nothing && word == "throw" {
                    return self.tokens.refuse("it throws nothing");
                }
                if nothing && !matches!(self.tokens.operator(), ";") {
                    return Ok(());
                }
                if !nothing {
                    self.expression()?;
                }
                self.semicolon()
            }
            "break" | "continue" => {
                if !(self.function.looped || word == "break" && self.function.breaks) {
                    return self.tokens.refuse("it leaves no loop");
                }
                self.tokens.step(word.len())?;
                self.semicolon()
            }
            "try" => self.tries(),
            "switch" => self.switch(),
            "let" | "const" | "function" | "class" | "async" | "import" | "export" => {
                self.tokens.refuse("a declaration where none may be")
            }
            _ => {
                self.expression()?;
                self.semicolon()
            }
        }
    }

    /// The end of a statement. Where there is no semicolon the next line begins with what cannot go on.
    fn semicolon(&mut self) -> Recognised<()> {
        if self.tokens.take(";")? {
            return Ok(());
        }
        let next = self.tokens.source[self.tokens.at..].bytes().next().unwrap_or_default();
        let starts = next.is_ascii_alphanumeric() || matches!(next, b'_' | b'$' | b'\'' | b'"' | b'{');
        if next == b'}'
            || self.tokens.after_line && starts && !matches!(self.tokens.word(), "in" | "instanceof")
        {
            Ok(())
        } else {
            self.tokens.refuse("a statement that is not checked")
        }
    }

    fn condition(&mut self) -> Recognised<()> {
        self.tokens.expect("(")?;
        self.expression()?;
        self.tokens.expect(")")
    }

    fn looped(&mut self) -> Recognised<()> {
        let outer = std::mem::replace(&mut self.function.looped, true);
        let read = self.statement();
        self.function.looped = outer;
        read
    }

    fn branches(&mut self) -> Recognised<()> {
        let mut chain = 0;
        loop {
            self.tokens.expect("if")?;
            self.condition()?;
            self.statement()?;
            if !self.tokens.take("else")? {
                return Ok(());
            }
            if self.tokens.word() != "if" {
                return self.statement();
            }
            chain += 1;
            if chain > MAX_CHAIN {
                return self.tokens.refuse("a long chain");
            }
        }
    }

    fn tries(&mut self) -> Recognised<()> {
        self.tokens.expect("try")?;
        self.block(Vec::new())?;
        let handled = self.tokens.take("catch")?;
        if handled {
            let mut names = Vec::new();
            if self.tokens.take("(")? {
                names.push(self.name()?.to_owned());
                self.tokens.expect(")")?;
            }
            self.block(names)?;
        }
        if self.tokens.take("finally")? {
            self.block(Vec::new())
        } else if handled {
            Ok(())
        } else {
            self.tokens.refuse("a try without a handler")
        }
    }

    fn switch(&mut self) -> Recognised<()> {
        self.tokens.expect("switch")?;
        self.condition()?;
        self.tokens.expect("{")?;
        self.blocks.push(Block::default());
        let outer = self.function;
        (self.function.switched, self.function.breaks) = (true, true);
        let mut default = false;
        while !self.tokens.take("}")? {
            if self.tokens.take("default")? {
                if std::mem::replace(&mut default, true) {
                    return self.tokens.refuse("two defaults");
                }
            } else {
                self.tokens.expect("case")?;
                self.expression()?;
            }
            self.tokens.expect(":")?;
            self.statements()?;
        }
        self.function = outer;
        self.blocks.pop();
        Ok(())
    }

    fn for_loop(&mut self) -> Recognised<()> {
        self.tokens.expect("for")?;
        self.tokens.expect("(")?;
        self.blocks.push(Block::default());
        self.function.no_in = true;
        let word = self.tokens.word();
        let over = match word {
            "var" | "let" | "const" => {
                self.tokens.step(word.len())?;
                self.declarations(word != "var", word == "const")?
                    && matches!(self.tokens.word(), "of" | "in")
            }
            _ if self.tokens.operator() == ";" => false,
            _ => self.expression()? != Shape::Other && matches!(self.tokens.word(), "of" | "in"),
        };
        self.function.no_in = false;
        if over {
            let all = self.tokens.word() == "of";
            self.tokens.step(2)?;
            if all {
                self.assignment()?
            } else {
                self.expression()?
            };
        } else {
            self.tokens.expect(";")?;
            if self.tokens.operator() != ";" {
                self.expression()?;
            }
            self.tokens.expect(";")?;
            if self.tokens.operator() != ")" {
                self.expression()?;
            }
        }
        self.tokens.expect(")")?;
        self.looped()?;
        self.blocks.pop();
        Ok(())
    }

    fn lexical(&mut self, constant: bool) -> Recognised<()> {
        self.tokens.step(if constant { "const" } else { "let" }.len())?;
        self.declarations(true, constant)?;
        self.semicolon()
    }

    /// Declarations with commas between; whether it is one without a value, before `of` or `in`.
    fn declarations(&mut self, lexical: bool, constant: bool) -> Recognised<bool> {
        let mut number = 0;
        loop {
            let mut names = Vec::new();
            let is_name = self.binding(&mut names)?;
            for name in &names {
                self.declare(name, lexical)?;
            }
            number += 1;
            if self.tokens.take("=")? {
                self.assignment()?;
            } else if self.function.no_in && number == 1 && matches!(self.tokens.word(), "of" | "in") {
                return Ok(true);
            } else if constant || !is_name {
                return self.tokens.refuse("a constant without a value");
            }
            if !self.tokens.take(",")? {
                return Ok(false);
            }
        }
    }

    /// A name, or a pattern of names; whether it is a name.
    fn binding(&mut self, names: &mut Vec<String>) -> Recognised<bool> {
        match self.tokens.operator() {
            "{" => self.deeper(|this| this.object_pattern(names)).map(|()| false),
            "[" => self.deeper(|this| this.array_pattern(names)).map(|()| false),
            _ => {
                names.push(self.name()?.to_owned());
                Ok(true)
            }
        }
    }

    fn element(&mut self, names: &mut Vec<String>) -> Recognised<()> {
        self.binding(names)?;
        self.default_value()
    }

    fn default_value(&mut self) -> Recognised<()> {
        if self.tokens.take("=")? {
            let outer = std::mem::replace(&mut self.function.no_in, false);
            self.assignment()?;
            self.function.no_in = outer;
        }
        Ok(())
    }

    fn object_pattern(&mut self, names: &mut Vec<String>) -> Recognised<()> {
        self.tokens.expect("{")?;
        while !self.tokens.take("}")? {
            let word = self.tokens.property()?;
            if self.tokens.take(":")? {
                self.element(names)?;
            } else if is_name(word) {
                names.push(word.to_owned());
                self.default_value()?;
            } else {
                return self.tokens.refuse("no plain name");
            }
            if !self.tokens.take(",")? {
                return self.tokens.expect("}");
            }
        }
        Ok(())
    }

    fn array_pattern(&mut self, names: &mut Vec<String>) -> Recognised<()> {
        self.tokens.expect("[")?;
        while !self.tokens.take("]")? {
            if self.tokens.take(",")? {
                continue;
            }
            self.element(names)?;
            if !self.tokens.take(",")? {
                return self.tokens.expect("]");
            }
        }
        Ok(())
    }

    fn function_declaration(&mut self) -> Recognised<()> {
        self.tokens.expect("function")?;
        let name = self.name()?;
        self.declare(name, true)?;
        self.parameters_and_body()
    }

    fn parameters_and_body(&mut self) -> Recognised<()> {
        let outer = self.enter(Function { plain: true, ..Function::default() });
        let names = self.parameters()?;
        self.function_body(names)?;
        self.function = outer;
        Ok(())
    }

    fn enter(&mut self, function: Function) -> Function {
        std::mem::replace(&mut self.function, function)
    }

    fn parameters(&mut self) -> Recognised<Vec<String>> {
        self.tokens.expect("(")?;
        let mut names = Vec::new();
        while !self.tokens.take(")")? {
            if self.tokens.take("...")? {
                self.binding(&mut names)?;
                self.tokens.expect(")")?;
                break;
            }
            self.element(&mut names)?;
            if !self.tokens.take(",")? {
                self.tokens.expect(")")?;
                break;
            }
        }
        Ok(names)
    }

    /// The block of a nested function, which has no directives.
    fn function_body(&mut self, names: Vec<String>) -> Recognised<()> {
        let mut parameters = BTreeSet::new();
        for name in names {
            self.body.declared.insert(name.clone());
            if !parameters.insert(name) {
                return self.tokens.refuse("a parameter is named twice");
            }
        }
        self.tokens.expect("{")?;
        if self.tokens.source[self.tokens.at..].starts_with(['\'', '"']) {
            return self.tokens.refuse("a nested directive");
        }
        self.blocks.push(Block { parameters, top: true, ..Block::default() });
        self.deeper(Self::statements)?;
        self.blocks.pop();
        self.tokens.expect("}")
    }

    /// Expressions with commas between.
    fn expression(&mut self) -> Recognised<Shape> {
        let mut shape = self.assignment()?;
        while self.tokens.take(",")? {
            self.assignment()?;
            shape = Shape::Other;
        }
        Ok(shape)
    }

    fn assignment(&mut self) -> Recognised<Shape> {
        self.deeper(Self::one_assignment)
    }

    fn one_assignment(&mut self) -> Recognised<Shape> {
        const ASSIGN: [&str; 12] =
            ["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", ">>>="];
        if self.tokens.word() == "yield" && self.function.generator {
            self.tokens.expect("yield")?;
            let nothing =
                self.tokens.after_line || matches!(self.tokens.operator(), ";" | "}" | ")" | "]" | "," | ":");
            if !nothing {
                self.tokens.take("*")?;
                self.assignment()?;
            }
            return Ok(Shape::Other);
        }
        if self.arrow_ahead()? {
            return self.arrow();
        }
        let shape = self.binary()?;
        if self.tokens.take("?")? {
            let outer = std::mem::replace(&mut self.function.no_in, false);
            self.assignment()?;
            self.function.no_in = outer;
            self.tokens.expect(":")?;
            self.assignment()?;
            return Ok(Shape::Other);
        }
        let operator = self.tokens.operator();
        if !ASSIGN.contains(&operator) {
            return Ok(shape);
        }
        if shape == Shape::Other {
            return self.tokens.refuse("it assigns to what is no variable");
        }
        self.tokens.step(operator.len())?;
        self.assignment()?;
        Ok(Shape::Other)
    }

    /// Whether an arrow function may begin here. What is read then is checked whatever is answered.
    fn arrow_ahead(&self) -> Recognised<bool> {
        let mut ahead = self.tokens.clone();
        if is_name(ahead.word()) {
            ahead.step(ahead.word().len())?;
            return Ok(ahead.operator() == "=>");
        }
        if ahead.operator() != "(" {
            return Ok(false);
        }
        let bytes = ahead.source.as_bytes();
        let (mut at, mut level, mut quote) = (ahead.at, 0_usize, None);
        while let Some(byte) = bytes.get(at).filter(|_| at < ahead.at + MAX_AHEAD) {
            match (quote, byte) {
                (Some(_), b'\\') => at += 1,
                (Some(open), close) if open == close => quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"' | b'`') => quote = Some(byte),
                (None, b'(') => level += 1,
                (None, b')') => {
                    level -= 1;
                    if level == 0 {
                        let rest = ahead.source[at + 1..].trim_start_matches(' ');
                        return Ok(rest.starts_with("=>"));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Ok(false)
    }

    fn arrow(&mut self) -> Recognised<Shape> {
        let function =
            Function { plain: self.function.plain, no_in: self.function.no_in, ..Function::default() };
        let outer = self.enter(function);
        let names =
            if self.tokens.operator() == "(" { self.parameters()? } else { vec![self.name()?.to_owned()] };
        if self.tokens.after_line {
            return self.tokens.refuse("a line ends before an arrow");
        }
        self.tokens.expect("=>")?;
        if self.tokens.operator() == "{" {
            self.function.no_in = false;
            self.function_body(names)?;
        } else {
            let mut parameters = BTreeSet::new();
            self.body.declared.extend(names.iter().cloned());
            if !names.into_iter().all(|name| parameters.insert(name)) {
                return self.tokens.refuse("a parameter is named twice");
            }
            self.blocks.push(Block { parameters, top: true, ..Block::default() });
            self.assignment()?;
            self.blocks.pop();
        }
        self.function = outer;
        Ok(Shape::Other)
    }

    fn binary(&mut self) -> Recognised<Shape> {
        const BINARY: [&str; 21] = [
            "||", "&&", "|", "^", "&", "==", "!=", "===", "!==", "<", ">", "<=", ">=", "<<", ">>", ">>>",
            "+", "-", "*", "/", "%",
        ];
        let mut shape = self.unary()?;
        let (mut chain, mut logical, mut coalesced) = (0, false, false);
        loop {
            let word = self.tokens.word();
            let operator = self.tokens.operator();
            let by_word = word == "instanceof" || word == "in" && !self.function.no_in;
            if !by_word && !BINARY.contains(&operator) && operator != "??" {
                return Ok(shape);
            }
            logical |= matches!(operator, "||" | "&&");
            coalesced |= operator == "??";
            chain += 1;
            if logical && coalesced || chain > MAX_CHAIN {
                return self.tokens.refuse("operators whose order is not checked");
            }
            self.tokens.step(if by_word { word.len() } else { operator.len() })?;
            self.unary()?;
            shape = Shape::Other;
        }
    }

    fn unary(&mut self) -> Recognised<Shape> {
        let (word, operator) = (self.tokens.word(), self.tokens.operator());
        let awaits = word == "await" && self.function.asynchronous;
        if matches!(operator, "++" | "--") {
            self.tokens.step(2)?;
            let shape = self.deeper(Self::unary)?;
            return if shape == Shape::Other {
                self.tokens.refuse("it counts no variable")
            } else {
                Ok(Shape::Other)
            };
        }
        if matches!(word, "delete" | "void" | "typeof") || awaits || matches!(operator, "+" | "-" | "~" | "!")
        {
            self.tokens.step(word.len().max(operator.len()))?;
            let shape = self.deeper(Self::unary)?;
            if word == "delete" && shape != Shape::Member {
                return self.tokens.refuse("it deletes no property");
            }
            return Ok(Shape::Other);
        }
        let shape = self.member()?;
        if matches!(self.tokens.operator(), "++" | "--") && !self.tokens.after_line {
            if shape == Shape::Other {
                return self.tokens.refuse("it counts no variable");
            }
            self.tokens.step(2)?;
            return Ok(Shape::Other);
        }
        Ok(shape)
    }

    fn member(&mut self) -> Recognised<Shape> {
        let is_new = self.tokens.word() == "new";
        let mut shape = if is_new {
            self.tokens.expect("new")?;
            self.deeper(Self::constructed)?
        } else {
            self.primary()?
        };
        let (mut chain, mut optional) = (0, false);
        loop {
            shape = match self.tokens.operator() {
                "." => {
                    self.tokens.expect(".")?;
                    self.tokens.property()?;
                    Shape::Member
                }
                "?." => {
                    self.tokens.expect("?.")?;
                    optional = true;
                    if !matches!(self.tokens.operator(), "(" | "[") {
                        self.tokens.property()?;
                    }
                    Shape::Other
                }
                "[" => {
                    self.subscript()?;
                    Shape::Member
                }
                "(" => {
                    self.arguments()?;
                    Shape::Other
                }
                _ if self.tokens.source[self.tokens.at..].starts_with('`') => {
                    return self.tokens.refuse("a tagged template");
                }
                _ => return Ok(if optional { Shape::Other } else { shape }),
            };
            chain += 1;
            if chain > MAX_CHAIN {
                return self.tokens.refuse("a long chain");
            }
        }
    }

    /// What `new` makes: a name or a member, with its arguments.
    fn constructed(&mut self) -> Recognised<Shape> {
        if matches!(self.tokens.operator(), "." | "?.") || self.tokens.word() == "new" {
            return self.tokens.refuse("new with what is not checked");
        }
        self.primary()?;
        let mut chain = 0;
        loop {
            match self.tokens.operator() {
                "." => {
                    self.tokens.expect(".")?;
                    self.tokens.property()?;
                }
                "[" => self.subscript()?,
                "(" => return self.arguments().map(|()| Shape::Other),
                "?." => return self.tokens.refuse("new with what is not checked"),
                _ => return Ok(Shape::Other),
            }
            chain += 1;
            if chain > MAX_CHAIN {
                return self.tokens.refuse("a long chain");
            }
        }
    }

    fn subscript(&mut self) -> Recognised<()> {
        self.tokens.expect("[")?;
        let outer = std::mem::replace(&mut self.function.no_in, false);
        self.expression()?;
        self.function.no_in = outer;
        self.tokens.expect("]")
    }

    fn arguments(&mut self) -> Recognised<()> {
        self.tokens.expect("(")?;
        self.elements(")")
    }

    /// Values with commas between, up to a bracket.
    fn elements(&mut self, close: &'static str) -> Recognised<()> {
        let outer = std::mem::replace(&mut self.function.no_in, false);
        while !self.tokens.take(close)? {
            self.tokens.take("...")?;
            self.assignment()?;
            if !self.tokens.take(",")? {
                self.tokens.expect(close)?;
                break;
            }
        }
        self.function.no_in = outer;
        Ok(())
    }

    fn primary(&mut self) -> Recognised<Shape> {
        let word = self.tokens.word();
        if !word.is_empty() {
            return self.of_word(word);
        }
        let first = self.tokens.source[self.tokens.at..].bytes().next().unwrap_or_default();
        match first {
            b'(' => {
                self.tokens.expect("(")?;
                let outer = std::mem::replace(&mut self.function.no_in, false);
                let shape = self.expression()?;
                self.function.no_in = outer;
                self.tokens.expect(")")?;
                return Ok(shape);
            }
            b'[' => {
                self.tokens.expect("[")?;
                self.elements("]")?;
            }
            b'{' => self.object()?,
            b'/' => {
                let text = self.tokens.regular_expression()?.to_owned();
                self.body.expressions.insert(text);
            }
            b'`' => self.template()?,
            b'\'' | b'"' => self.tokens.string()?,
            b'0'..=b'9' => self.tokens.number()?,
            _ => return self.tokens.refuse("no expression"),
        }
        Ok(Shape::Other)
    }

    fn of_word(&mut self, word: &'a str) -> Recognised<Shape> {
        match word {
            "null" | "true" | "false" => self.tokens.step(word.len()).map(|()| Shape::Other),
            "this" => {
                self.body.this |= !self.function.plain;
                self.tokens.step(word.len()).map(|()| Shape::Other)
            }
            "arguments" => {
                self.body.arguments |= !self.function.plain;
                self.tokens.step(word.len()).map(|()| Shape::Other)
            }
            "function" => {
                self.tokens.expect("function")?;
                if self.tokens.operator() != "(" {
                    let name = self.name()?.to_owned();
                    self.body.declared.insert(name);
                }
                self.parameters_and_body().map(|()| Shape::Other)
            }
            _ => {
                let name = self.name()?.to_owned();
                self.body.references.insert(name);
                Ok(Shape::Name)
            }
        }
    }

    fn template(&mut self) -> Recognised<()> {
        self.tokens.at += 1;
        while !self.tokens.template_piece()? {
            let outer = std::mem::replace(&mut self.function.no_in, false);
            self.expression()?;
            self.function.no_in = outer;
            if self.tokens.operator() != "}" {
                return self.tokens.refuse("an open template");
            }
            self.tokens.at += 1;
        }
        Ok(())
    }

    fn object(&mut self) -> Recognised<()> {
        self.tokens.expect("{")?;
        let outer = std::mem::replace(&mut self.function.no_in, false);
        while !self.tokens.take("}")? {
            self.member_of_object()?;
            if !self.tokens.take(",")? {
                self.tokens.expect("}")?;
                break;
            }
        }
        self.function.no_in = outer;
        Ok(())
    }

    fn member_of_object(&mut self) -> Recognised<()> {
        let first = self.tokens.source[self.tokens.at..].bytes().next().unwrap_or_default();
        match first {
            b'.' => {
                self.tokens.expect("...")?;
                return self.assignment().map(|_| ());
            }
            b'\'' | b'"' => {
                if self.tokens.source[self.tokens.at + 1..].starts_with("__proto__") {
                    return self.tokens.refuse("__proto__");
                }
                self.tokens.string()?;
            }
            b'0'..=b'9' => self.tokens.number()?,
            b'[' => self.subscript()?,
            _ => {
                let word = self.tokens.property()?;
                if self.tokens.operator() == "(" {
                    return self.parameters_and_body();
                }
                if is_name(word) && matches!(self.tokens.operator(), "," | "}") {
                    self.body.references.insert(word.to_owned());
                    return Ok(());
                }
            }
        }
        if self.tokens.operator() == "(" {
            return self.parameters_and_body();
        }
        self.tokens.expect(":")?;
        self.assignment().map(|_| ())
    }
}
