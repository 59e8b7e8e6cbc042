//! Expressions of the part of Python that is recognised.

use std::collections::BTreeSet;

use super::python::Scope;
use super::python_tokens::{Kind, Token};
use super::{MAX_CHAIN, MAX_DEPTH, Recognised, Unrecognised};

/// What an expression is, as far as others ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Name,
    /// An attribute or a subscript.
    Place,
    /// A tuple or list of names and places.
    Targets,
    /// A call.
    Call,
    /// What calling, subscripting or comparing by identity may warn about.
    Literal,
    Other,
}

impl Shape {
    pub(super) fn is_target(self) -> bool {
        matches!(self, Self::Name | Self::Place | Self::Targets)
    }
}

const ARITHMETIC: [&str; 12] = ["+", "-", "*", "/", "//", "%", "@", "&", "|", "^", "<<", ">>"];
const COMPARISONS: [&str; 6] = ["<", ">", "<=", ">=", "==", "!="];

/// The tokens of one logical line, read from left to right.
pub(super) struct Expressions<'t, 'a> {
    pub tokens: &'t [Token<'a>],
    pub at: usize,
    pub depth: usize,
    pub scope: Scope,
    /// Whether `super` is used as a name.
    pub asks_for_class: bool,
    /// Whether a value is yielded.
    pub yields: bool,
}

impl<'a> Expressions<'_, 'a> {
    pub(super) fn peek(&self) -> Token<'a> {
        let end = Token { kind: Kind::End, text: "", at: 0 };
        self.tokens.get(self.at).copied().unwrap_or(end)
    }

    pub(super) fn refuse<T>(&self, what: &'static str) -> Recognised<T> {
        Err(Unrecognised { at: self.peek().at, what })
    }

    /// Takes the next token if it is this operator or keyword.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let token = self.peek();
        let found = matches!(token.kind, Kind::Operator | Kind::Keyword) && token.text == text;
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, text: &'static str) -> Recognised<()> {
        if self.take(text) { Ok(()) } else { self.refuse(text) }
    }

    pub(super) fn name(&mut self) -> Recognised<&'a str> {
        let token = self.peek();
        if token.kind != Kind::Name || matches!(token.text, "__class__" | "super") {
            return self.refuse("no plain name");
        }
        self.at += 1;
        Ok(token.text)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Recognised<T>) -> Recognised<T> {
        if self.depth >= MAX_DEPTH {
            return self.refuse("nested too deeply");
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Whether an expression may not begin here.
    fn ends(&self) -> bool {
        let token = self.peek();
        match token.kind {
            Kind::End => true,
            Kind::Operator => {
                matches!(token.text, ")" | "]" | "}" | ":" | "," | "=" | ";") || token.text.ends_with('=')
            }
            Kind::Keyword => matches!(token.text, "for" | "in" | "if" | "else" | "as" | "from"),
            _ => false,
        }
    }

    /// Expressions with commas between: a tuple where there is a comma.
    pub(super) fn list(&mut self) -> Recognised<Shape> {
        let first = self.value()?;
        if !self.take(",") {
            return Ok(first);
        }
        let mut targets = first.is_target();
        while !self.ends() {
            targets &= self.value()?.is_target();
            if !self.take(",") {
                break;
            }
        }
        Ok(if targets { Shape::Targets } else { Shape::Literal })
    }

    /// One expression.
    pub(super) fn value(&mut self) -> Recognised<Shape> {
        self.deeper(|this| {
            if this.take("lambda") {
                return this.lambda();
            }
            let shape = this.either()?;
            if !this.take("if") {
                return Ok(shape);
            }
            this.either()?;
            this.expect("else")?;
            this.value()?;
            Ok(Shape::Literal)
        })
    }

    fn lambda(&mut self) -> Recognised<Shape> {
        let mut names = BTreeSet::new();
        while !self.take(":") {
            if !names.insert(self.name()?) {
                return self.refuse("a parameter is named twice");
            }
            if !self.take(",") {
                self.expect(":")?;
                break;
            }
        }
        let outer = std::mem::replace(&mut self.scope, Scope::nested());
        let read = self.value();
        self.scope = outer;
        read.map(|_| Shape::Literal)
    }

    /// `or`, `and` and `not`.
    fn either(&mut self) -> Recognised<Shape> {
        let mut shape = self.negated()?;
        let mut chain = 0;
        while self.take("and") || self.take("or") {
            self.negated()?;
            shape = Shape::Literal;
            chain += 1;
            if chain > MAX_CHAIN {
                return self.refuse("a long chain");
            }
        }
        Ok(shape)
    }

    fn negated(&mut self) -> Recognised<Shape> {
        let mut negations = 0;
        while self.take("not") {
            negations += 1;
            if negations > MAX_DEPTH {
                return self.refuse("nested too deeply");
            }
        }
        let shape = self.comparison()?;
        // Of a constant it is one: `(not 1)(2)`.
        Ok(if negations > 0 { Shape::Literal } else { shape })
    }

    fn comparison(&mut self) -> Recognised<Shape> {
        let mut left = self.sum()?;
        let mut compared = false;
        loop {
            let token = self.peek();
            let next = self.tokens.get(self.at + 1).map_or("", |token| token.text);
            let identity = token.kind == Kind::Keyword && token.text == "is";
            let plain = token.kind == Kind::Operator && COMPARISONS.contains(&token.text);
            let member = token.kind == Kind::Keyword && token.text == "in" && !self.scope.no_in;
            let no_member = token.kind == Kind::Keyword && token.text == "not" && next == "in";
            if !(identity || plain || member || no_member) {
                return Ok(if compared { Shape::Other } else { left });
            }
            self.at += 1 + usize::from(no_member || identity && next == "not");
            let from = self.at;
            let right = self.sum()?;
            let constant = self.at == from + 1 && matches!(self.tokens[from].text, "None" | "True" | "False");
            if identity && (left == Shape::Literal || right == Shape::Literal && !constant) {
                return self.refuse("identity with what may be a literal");
            }
            (left, compared) = (if constant { Shape::Other } else { right }, true);
        }
    }

    fn sum(&mut self) -> Recognised<Shape> {
        let mut shape = self.factor()?;
        let mut chain = 0;
        while self.peek().kind == Kind::Operator && ARITHMETIC.contains(&self.peek().text) {
            self.at += 1;
            self.factor()?;
            shape = Shape::Literal;
            chain += 1;
            if chain > MAX_CHAIN {
                return self.refuse("a long chain");
            }
        }
        Ok(shape)
    }

    fn factor(&mut self) -> Recognised<Shape> {
        if self.take("+") || self.take("-") || self.take("~") {
            return self.deeper(|this| this.factor()).map(|_| Shape::Literal);
        }
        if self.take("await") {
            if !self.scope.asynchronous {
                return self.refuse("it awaits outside an asynchronous function");
            }
            self.primary()?;
            return Ok(Shape::Other);
        }
        let shape = self.primary()?;
        if self.take("**") {
            self.deeper(|this| this.factor())?;
            return Ok(Shape::Literal);
        }
        Ok(shape)
    }

    fn primary(&mut self) -> Recognised<Shape> {
        let mut shape = self.atom()?;
        let mut chain = 0;
        loop {
            let callable = shape != Shape::Literal && shape != Shape::Targets;
            shape = if self.take(".") {
                self.attribute()?
            } else if callable && self.take("(") {
                self.deeper(|this| this.arguments())?;
                Shape::Call
            } else if callable && self.take("[") {
                self.deeper(|this| this.subscripts())?;
                Shape::Place
            } else if matches!(self.peek().text, "(" | "[") && self.peek().kind == Kind::Operator {
                return self.refuse("a literal that is called or subscripted");
            } else {
                return Ok(shape);
            };
            chain += 1;
            if chain > MAX_CHAIN {
                return self.refuse("a long chain");
            }
        }
    }

    fn attribute(&mut self) -> Recognised<Shape> {
        if self.peek().kind != Kind::Name {
            return self.refuse("no attribute");
        }
        self.at += 1;
        Ok(Shape::Place)
    }

    fn atom(&mut self) -> Recognised<Shape> {
        let token = self.peek();
        match (token.kind, token.text) {
            (Kind::Name, "__class__") => self.refuse("__class__"),
            (Kind::Name, text) => {
                self.asks_for_class |= text == "super";
                self.at += 1;
                Ok(if text == "super" { Shape::Other } else { Shape::Name })
            }
            (Kind::Number, _) | (Kind::Keyword, "None" | "True" | "False") => {
                self.at += 1;
                Ok(Shape::Literal)
            }
            (Kind::Text | Kind::Bytes, _) => {
                while self.peek().kind == token.kind {
                    self.at += 1;
                }
                match self.peek().kind {
                    Kind::Text | Kind::Bytes => self.refuse("texts of two kinds side by side"),
                    _ => Ok(Shape::Literal),
                }
            }
            (Kind::Operator, "(") => self.bracketed(")"),
            (Kind::Operator, "[") => self.bracketed("]"),
            (Kind::Operator, "{") => self.braces(),
            _ => self.refuse("no expression"),
        }
    }

    fn bracketed(&mut self, close: &'static str) -> Recognised<Shape> {
        self.at += 1;
        if self.take(close) {
            return Ok(Shape::Literal);
        }
        self.deeper(|this| {
            let outer = std::mem::replace(&mut this.scope.no_in, false);
            let from = this.at;
            let shape = this.list()?;
            let one = this.tokens[this.at - 1].text != "," && !(shape == Shape::Targets);
            if (this.peek().text == "for") && this.peek().kind == Kind::Keyword {
                if this.tokens[this.at - 1].text == "," || this.comma_between(from) {
                    return this.refuse("a comprehension of a tuple");
                }
                this.comprehension(from)?;
                this.expect(close)?;
                this.scope.no_in = outer;
                return Ok(Shape::Literal);
            }
            this.expect(close)?;
            this.scope.no_in = outer;
            Ok(match shape {
                Shape::Targets => Shape::Targets,
                Shape::Name | Shape::Place if close == "]" => Shape::Targets,
                // A name in parentheses may be assigned to, and may stand for anything else that it names.
                shape if close == ")" && one => shape,
                _ => Shape::Literal,
            })
        })
    }

    /// Whether a comma of this very level stands between here and a former token.
    fn comma_between(&self, from: usize) -> bool {
        let mut level = 0_usize;
        self.tokens[from..self.at].iter().any(|token| {
            match token.text {
                "(" | "[" | "{" if token.kind == Kind::Operator => level += 1,
                ")" | "]" | "}" if token.kind == Kind::Operator => level = level.saturating_sub(1),
                _ => {}
            }
            level == 0 && token.kind == Kind::Operator && token.text == ","
        })
    }

    /// The clauses of a comprehension whose element began at a token.
    fn comprehension(&mut self, from: usize) -> Recognised<()> {
        if self.tokens[from..self.at].iter().any(|token| token.text == "await") {
            return self.refuse("an asynchronous comprehension");
        }
        let outer = std::mem::replace(&mut self.scope, Scope::nested());
        let read = self.clauses();
        self.scope = outer;
        read
    }

    fn clauses(&mut self) -> Recognised<()> {
        let mut chain = 0;
        while self.take("for") {
            self.for_targets()?;
            self.expect("in")?;
            self.either()?;
            while self.take("if") {
                self.either()?;
                chain += 1;
            }
            chain += 1;
            if chain > MAX_DEPTH / 4 {
                return self.refuse("nested too deeply");
            }
        }
        Ok(())
    }

    pub(super) fn for_targets(&mut self) -> Recognised<()> {
        self.scope.no_in = true;
        let shape = self.list();
        self.scope.no_in = false;
        if shape?.is_target() { Ok(()) } else { self.refuse("it loops over what is no variable") }
    }

    /// A dictionary or a set.
    fn braces(&mut self) -> Recognised<Shape> {
        self.at += 1;
        self.deeper(|this| {
            let outer = std::mem::replace(&mut this.scope.no_in, false);
            let mut pairs = None;
            while !this.take("}") {
                let from = this.at;
                this.value()?;
                let is_pair = this.take(":");
                if is_pair {
                    this.value()?;
                }
                if *pairs.get_or_insert(is_pair) != is_pair {
                    return this.refuse("a dictionary or a set");
                }
                if this.peek().text == "for" && this.peek().kind == Kind::Keyword {
                    if this.tokens[from - 1].text == "," {
                        return this.refuse("a comprehension beside other elements");
                    }
                    this.comprehension(from)?;
                    this.expect("}")?;
                    break;
                }
                if !this.take(",") {
                    this.expect("}")?;
                    break;
                }
            }
            this.scope.no_in = outer;
            Ok(Shape::Literal)
        })
    }

    /// Arguments of a call, after its bracket.
    pub(super) fn arguments(&mut self) -> Recognised<()> {
        let outer = std::mem::replace(&mut self.scope.no_in, false);
        let mut names = BTreeSet::new();
        let mut named = false;
        let mut number = 0;
        while !self.take(")") {
            let next = self.tokens.get(self.at + 1).map_or("", |token| token.text);
            if self.take("**") {
                named = true;
                self.value()?;
            } else if self.peek().kind == Kind::Name && next == "=" {
                let name = self.name()?;
                if !names.insert(name) {
                    return self.refuse("an argument is named twice");
                }
                self.at += 1;
                named = true;
                self.value()?;
            } else if named {
                return self.refuse("a positional argument after a named one");
            } else {
                self.take("*");
                let from = self.at;
                self.value()?;
                if self.peek().text == "for" && self.peek().kind == Kind::Keyword {
                    if number > 0 || self.tokens[from - 1].text == "*" {
                        return self.refuse("a generator beside other arguments");
                    }
                    self.comprehension(from)?;
                    self.expect(")")?;
                    break;
                }
            }
            number += 1;
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        self.scope.no_in = outer;
        Ok(())
    }

    /// Subscripts and slices, after their bracket.
    fn subscripts(&mut self) -> Recognised<()> {
        let outer = std::mem::replace(&mut self.scope.no_in, false);
        loop {
            let mut colons = 0;
            let mut any = false;
            loop {
                if self.take(":") {
                    colons += 1;
                } else if !self.ends() && (!any || colons > 0) {
                    self.value()?;
                    any = true;
                    if !matches!(self.peek().text, ":" | "," | "]") {
                        return self.refuse("no subscript");
                    }
                    if self.peek().text != ":" {
                        break;
                    }
                } else {
                    break;
                }
            }
            if colons > 2 || !any && colons == 0 {
                return self.refuse("no subscript");
            }
            if !self.take(",") || self.peek().text == "]" {
                break;
            }
        }
        self.expect("]")?;
        self.scope.no_in = outer;
        Ok(())
    }
}
