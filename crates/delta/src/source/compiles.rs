//! Whether a body that was not executed and differs still compiles, without a word from the compiler.
//!
//! A module is compiled as a whole: an error in one body ends the import, and a warning is printed. What the
//! parser's grammar does not decide is looked for here; a text that stands in A's source too compiled there.

use std::collections::BTreeSet;

use tree_sitter::Node;

use super::lex::{Lexed, parse};
use super::{Language, SourceReason};

/// Deepest nesting of brackets and blocks of a body.
const MAX_NESTING: usize = 60;

/// Checks every body of `free` (indexes in B) of the source.
pub(super) fn refusal(
    a: &Lexed,
    b: &Lexed,
    source: &str,
    language: Language,
    free: &[usize],
) -> Option<(SourceReason, String)> {
    if free.is_empty() {
        return None;
    }
    let tree = parse(source, language).ok()?;
    for index in free {
        let range = b.units[*index].body.clone();
        let mut node = tree.root_node().descendant_for_byte_range(range.start, range.end)?;
        // The smallest node of that range is found, and the body is the largest.
        while let Some(parent) = node.parent().filter(|parent| parent.byte_range() == node.byte_range()) {
            node = parent;
        }
        let check = Check { source, language, known: &a.texts };
        if let Some(what) = check.node(node, Scope::of(node, language), 0) {
            let detail = format!("{}: {what}", b.units[*index].name);
            return Some((SourceReason::MayNotCompile, detail));
        }
    }
    None
}

/// Where a statement stands.
#[derive(Clone, Copy)]
struct Scope {
    asynchronous: bool,
    generator: bool,
    looped: bool,
}

impl Scope {
    /// The scope of the function whose body `node` is.
    fn of(node: Node<'_>, language: Language) -> Self {
        let function = node.parent().unwrap_or(node);
        Self::function(function, language)
    }

    fn function(function: Node<'_>, language: Language) -> Self {
        let has = |word: &str| {
            let mut cursor = function.walk();
            function.children(&mut cursor).any(|child| child.kind() == word)
        };
        let asynchronous = has("async");
        let generator = language == Language::Python || function.kind().starts_with("generator") || has("*");
        Self { asynchronous, generator, looped: false }
    }
}

struct Check<'a> {
    source: &'a str,
    language: Language,
    known: &'a BTreeSet<String>,
}

impl Check<'_> {
    fn text(&self, node: Node<'_>) -> &str {
        &self.source[node.byte_range()]
    }

    /// The first thing that may not compile.
    fn node(&self, node: Node<'_>, scope: Scope, depth: usize) -> Option<String> {
        if depth > MAX_NESTING {
            return Some("it is nested too deeply".to_owned());
        }
        let found = match self.language {
            Language::Python => self.python(node, scope),
            Language::JavaScript => self.javascript(node, scope),
        };
        if let Some(what) = found {
            return Some(what.to_owned());
        }
        let scope = self.inside(node, scope);
        let mut cursor = node.walk();
        node.children(&mut cursor).find_map(|child| self.node(child, scope, depth + 1))
    }

    fn inside(&self, node: Node<'_>, scope: Scope) -> Scope {
        match node.kind() {
            "for_statement" | "while_statement" | "for_in_statement" | "do_statement"
            | "switch_statement" => Scope { looped: true, ..scope },
            "function_definition"
            | "lambda"
            | "function_declaration"
            | "function_expression"
            | "generator_function"
            | "generator_function_declaration"
            | "arrow_function"
            | "method_definition" => Scope::function(node, self.language),
            "class_definition" => Scope { looped: false, ..scope },
            _ => scope,
        }
    }

    fn python(&self, node: Node<'_>, scope: Scope) -> Option<&'static str> {
        let known = || self.known.contains(self.text(node));
        match node.kind() {
            "print_statement"
            | "exec_statement"
            | "match_statement"
            | "type_alias_statement"
            | "wildcard_import"
            | "future_import_statement"
            | "named_expression"
            | "global_statement"
            | "nonlocal_statement"
            | "list_splat_pattern"
            | "except_group_clause"
            | "ellipsis_subscript" => Some("a statement whose rules are not checked"),
            "break_statement" | "continue_statement" if !scope.looped => Some("it leaves no loop"),
            "await" if !scope.asynchronous => Some("it awaits outside an asynchronous function"),
            "yield" if scope.asynchronous => Some("an asynchronous generator"),
            "identifier" if is_python_keyword(self.text(node)) => Some("a keyword in a name's place"),
            "string" if !known() && self.text(node).contains('\\') => Some("a string with escapes"),
            "string" if !known() && has_kind(node, "interpolation") => Some("a formatted string"),
            "integer" | "float" if !known() && !self.text(node).bytes().all(|b| b.is_ascii_digit()) => {
                Some("a number that is not plain")
            }
            "integer" if !known() && self.text(node).starts_with('0') && node.byte_range().len() > 1 => {
                Some("a number that begins with zero")
            }
            "comparison_operator" => self.compares_identity(node),
            "call" | "subscript" => called_literal(node),
            "argument_list" => self.arguments(node),
            "parameters" | "lambda_parameters" => self.parameters(node),
            "assignment" | "augmented_assignment" => target(node),
            "delete_statement" if has_kind(node, "call") => Some("it deletes a call"),
            "assert_statement" if has_kind(node, "tuple") => Some("it asserts a tuple"),
            "except_clause" if bare_in_the_middle(node) => Some("a bare except is not the last"),
            "for_in_clause" if has_kind(node, "async") => Some("an asynchronous comprehension"),
            _ => None,
        }
    }

    fn compares_identity(&self, node: Node<'_>) -> Option<&'static str> {
        let mut cursor = node.walk();
        let kinds: Vec<&str> = node.children(&mut cursor).map(|child| child.kind()).collect();
        let is = kinds.iter().any(|kind| kind.starts_with("is"));
        let literal =
            |kind: &&str| matches!(*kind, "integer" | "float" | "string" | "tuple" | "concatenated_string");
        (is && kinds.iter().any(literal)).then_some("identity with a literal")
    }

    fn arguments(&self, node: Node<'_>) -> Option<&'static str> {
        let mut names = BTreeSet::new();
        let mut named = false;
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "keyword_argument" => {
                    named = true;
                    let name = child.child_by_field_name("name").map(|name| self.text(name))?;
                    if !names.insert(name) {
                        return Some("an argument is named twice");
                    }
                }
                "dictionary_splat" => named = true,
                "comment" | "list_splat" => {}
                "generator_expression" => {}
                _ if named => return Some("a positional argument after a named one"),
                _ => {}
            }
        }
        None
    }

    fn parameters(&self, node: Node<'_>) -> Option<&'static str> {
        let mut names = BTreeSet::new();
        let mut defaults = false;
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "identifier" | "typed_parameter" if defaults && child.kind() == "identifier" => {
                    return Some("a parameter without default after one with");
                }
                "default_parameter" | "typed_default_parameter" => defaults = true,
                "keyword_separator" | "list_splat_pattern" | "positional_separator" => {
                    return Some("parameters whose rules are not checked");
                }
                _ => {}
            }
            let name = child.child_by_field_name("name").unwrap_or(child);
            if !names.insert(self.text(name).to_owned()) {
                return Some("a parameter is named twice");
            }
        }
        None
    }

    fn javascript(&self, node: Node<'_>, scope: Scope) -> Option<&'static str> {
        let known = || self.known.contains(self.text(node));
        match node.kind() {
            "with_statement"
            | "labeled_statement"
            | "statement_identifier"
            | "meta_property"
            | "class_declaration"
            | "class"
            | "import_statement"
            | "export_statement"
            | "decorator"
            | "private_property_identifier"
            | "object_assignment_pattern"
            | "assignment_pattern"
            | "undefined_pattern"
            | "rest_pattern"
            | "array_pattern"
            | "object_pattern" => Some("a construct whose rules are not checked"),
            "super" => Some("super"),
            "regex" if !known() => Some("a regular expression"),
            "string" | "template_string" if !known() && self.text(node).contains('\\') => {
                Some("a string with escapes")
            }
            "number" if !known() && !self.text(node).bytes().all(|b| b.is_ascii_digit()) => {
                Some("a number that is not plain")
            }
            "number" if !known() && self.text(node).starts_with('0') && self.text(node).len() > 1 => {
                Some("a number that begins with zero")
            }
            "break_statement" | "continue_statement" if !scope.looped => Some("it leaves no loop"),
            "await_expression" if !scope.asynchronous => Some("it awaits outside an asynchronous function"),
            "yield_expression" if !scope.generator => Some("it yields outside a generator"),
            "identifier" | "shorthand_property_identifier" if is_javascript_keyword(self.text(node)) => {
                Some("a keyword in a name's place")
            }
            "unary_expression" if self.text(node).starts_with("delete") => Some("it deletes"),
            "assignment_expression" | "augmented_assignment_expression" | "update_expression"
                if has_kind(node, "optional_chain") =>
            {
                Some("an assignment to an optional chain")
            }
            "assignment_expression" | "augmented_assignment_expression" => target(node),
            "update_expression" => {
                let place = node.child_by_field_name("argument")?;
                let fits =
                    matches!(place.kind(), "identifier" | "member_expression" | "subscript_expression");
                (!fits).then_some("it counts what is no variable")
            }
            "binary_expression" if self.text(node).contains("??") || self.text(node).contains("**") => {
                Some("operators whose order is not checked")
            }
            "statement_block" | "formal_parameters" => self.declared_twice(node),
            "lexical_declaration" if self.constant_without_value(node) => Some("a constant without a value"),
            _ => None,
        }
    }

    fn constant_without_value(&self, node: Node<'_>) -> bool {
        let mut cursor = node.walk();
        self.text(node).starts_with("const")
            && node.named_children(&mut cursor).any(|child| {
                child.kind() == "variable_declarator" && child.child_by_field_name("value").is_none()
            })
    }

    /// Names that one block, or one list of parameters, declares twice where one of them is lexical.
    fn declared_twice(&self, block: Node<'_>) -> Option<&'static str> {
        let mut lexical = BTreeSet::new();
        let mut others = BTreeSet::new();
        if let Some(parameters) = block.parent().and_then(|parent| parent.child_by_field_name("parameters"))
            && block.kind() == "statement_block"
        {
            others.extend(self.names(parameters, "identifier"));
        }
        let mut cursor = block.walk();
        for child in block.named_children(&mut cursor) {
            match child.kind() {
                "lexical_declaration" | "function_declaration" | "generator_function_declaration" => {
                    let mut inner = child.walk();
                    let declared: Vec<String> = match child.child_by_field_name("name") {
                        Some(name) => vec![self.text(name).to_owned()],
                        None => child
                            .named_children(&mut inner)
                            .filter_map(|one| one.child_by_field_name("name"))
                            .map(|name| self.text(name).to_owned())
                            .collect(),
                    };
                    for name in declared {
                        if !lexical.insert(name) {
                            return Some("a name is declared twice");
                        }
                    }
                }
                "identifier" if block.kind() == "formal_parameters" => {
                    if !lexical.insert(self.text(child).to_owned()) {
                        return Some("a parameter is named twice");
                    }
                }
                _ => others.extend(self.variables(child)),
            }
        }
        (!lexical.is_disjoint(&others)).then_some("a name is declared twice")
    }

    fn names(&self, node: Node<'_>, kind: &str) -> Vec<String> {
        let mut cursor = node.walk();
        let own = node.named_children(&mut cursor).filter(|child| child.kind() == kind);
        own.map(|child| self.text(child).to_owned()).collect()
    }

    /// Names that `var` declares in a statement, at any depth.
    fn variables(&self, node: Node<'_>) -> Vec<String> {
        let mut all = Vec::new();
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            let mut cursor = node.walk();
            for child in node.named_children(&mut cursor) {
                if node.kind() == "variable_declaration"
                    && let Some(name) = child.child_by_field_name("name")
                {
                    all.push(self.text(name).to_owned());
                }
                waiting.push(child);
            }
        }
        all
    }
}

fn has_kind(node: Node<'_>, kind: &str) -> bool {
    let mut cursor = node.walk();
    let mut children = node.children(&mut cursor);
    children.any(|child| child.kind() == kind || child.kind() != "block" && has_kind(child, kind))
}

fn called_literal(node: Node<'_>) -> Option<&'static str> {
    let place = node.child_by_field_name("function").or_else(|| node.child_by_field_name("value"))?;
    let literal = matches!(
        place.kind(),
        "string"
            | "integer"
            | "float"
            | "list"
            | "tuple"
            | "dictionary"
            | "set"
            | "true"
            | "false"
            | "none"
            | "concatenated_string"
            | "list_comprehension"
            | "generator_expression"
            | "parenthesized_expression"
    );
    literal.then_some("a literal that is called or subscripted")
}

fn target(node: Node<'_>) -> Option<&'static str> {
    let left = node.child_by_field_name("left")?;
    let fits = matches!(
        left.kind(),
        "identifier"
            | "attribute"
            | "subscript"
            | "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "member_expression"
            | "subscript_expression"
    );
    (!fits).then_some("it assigns to what is no variable")
}

fn bare_in_the_middle(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    let bare = node.named_children(&mut cursor).filter(|child| child.kind() != "comment").count() == 1;
    bare && node.next_named_sibling().is_some_and(|next| next.kind() == "except_clause")
}

fn is_python_keyword(word: &str) -> bool {
    const WORDS: [&str; 33] = [
        "and",
        "as",
        "assert",
        "async",
        "await",
        "break",
        "class",
        "continue",
        "def",
        "del",
        "elif",
        "else",
        "except",
        "finally",
        "for",
        "from",
        "global",
        "if",
        "import",
        "in",
        "is",
        "lambda",
        "nonlocal",
        "not",
        "or",
        "pass",
        "raise",
        "return",
        "try",
        "while",
        "with",
        "yield",
        "__debug__",
    ];
    WORDS.contains(&word)
}

fn is_javascript_keyword(word: &str) -> bool {
    const WORDS: [&str; 18] = [
        "await",
        "yield",
        "let",
        "static",
        "implements",
        "interface",
        "package",
        "private",
        "protected",
        "public",
        "enum",
        "eval",
        "arguments",
        "async",
        "of",
        "get",
        "set",
        "import",
    ];
    WORDS.contains(&word)
}
