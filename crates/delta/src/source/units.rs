//! Comparing two sources by their units.

use std::collections::BTreeSet;

use assay_evidence::Sha256;

use super::lex::{Before, Lexed, Part, Unit, UnitKind};
use super::{Function, Language, Place, SourceReason};

/// Names that show a closure's variables to the code around it.
const SHOW_VARIABLES: [&str; 6] = ["locals", "vars", "dir", "eval", "exec", "_getframe"];

/// What comparing two sources found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Executed units, by index in A.
    pub executed: Vec<usize>,
    /// Pairs of units that were not executed and differ.
    pub free: Vec<(usize, usize)>,
    pub refused: Vec<(SourceReason, String)>,
}

/// Which units of A ran.
pub(super) struct Executed {
    units: BTreeSet<usize>,
}

impl Executed {
    /// From coverage; the names of executed functions that are in no unit.
    pub(super) fn of(
        lexed: &Lexed,
        source: &str,
        functions: &BTreeSet<Function>,
        language: Language,
    ) -> Result<Self, String> {
        match language {
            Language::Python => Self::python(lexed, functions),
            Language::JavaScript => Ok(Self::javascript(lexed, source, functions)),
        }
    }

    fn python(lexed: &Lexed, functions: &BTreeSet<Function>) -> Result<Self, String> {
        // What runs when an object dies may run after the coverage was written.
        if lexed.texts.contains("__del__") {
            return Ok(Self { units: (0..lexed.units.len()).collect() });
        }
        let mut units = BTreeSet::new();
        for function in functions.iter().filter(|function| function.executed) {
            let Place::Line(line) = function.place else { continue };
            let found = lexed.units.iter().enumerate().filter(|(_, unit)| {
                unit.name == function.name && (unit.line == line || unit.kind == UnitKind::Module)
            });
            let before = units.len();
            let mut any = false;
            for (index, _) in found {
                units.insert(index);
                any = true;
            }
            let inline = lexed.inline.iter().any(|(at, name)| *at == line && *name == function.name);
            if !any && !inline {
                return Err(format!("{} at line {line} ({before} others found)", function.name));
            }
        }
        if !units.contains(&0) {
            return Err("the module's own code was not seen".to_owned());
        }
        Ok(Self { units })
    }

    /// Everything ran of which V8 does not say that it did not.
    fn javascript(lexed: &Lexed, source: &str, functions: &BTreeSet<Function>) -> Self {
        let at = utf16(source);
        let idle = |unit: &Unit| {
            let place = |byte: usize| at.binary_search_by_key(&byte, |(byte, _)| *byte).ok().map(|i| at[i].1);
            let (Some(start), Some(body), Some(end)) =
                (place(unit.function.start), place(unit.body.start), place(unit.function.end))
            else {
                return false;
            };
            let mut found = functions.iter().filter(|function| match function.place {
                Place::Range(from, to) => to == end && from >= start && from < body,
                Place::Line(_) => false,
            });
            let first = found.next().map(|function| !function.executed);
            first == Some(true) && found.all(|function| !function.executed)
        };
        let ran = |(index, unit): (usize, &Unit)| (index == 0 || !idle(unit)).then_some(index);
        Self { units: lexed.units.iter().enumerate().filter_map(ran).collect() }
    }

    pub(super) fn contains(&self, unit: usize) -> bool {
        self.units.contains(&unit)
    }

    pub(super) fn units(&self) -> impl Iterator<Item = usize> + '_ {
        self.units.iter().copied()
    }
}

/// Byte offsets with the number of UTF-16 code units before them.
fn utf16(source: &str) -> Vec<(usize, u32)> {
    let mut at = 0;
    let mut all: Vec<(usize, u32)> = source
        .char_indices()
        .map(|(byte, letter)| {
            let here = (byte, at);
            at += letter.len_utf16() as u32;
            here
        })
        .collect();
    all.push((source.len(), at));
    all
}

/// Compares everything of A that ran with what stands in its place in B.
pub(super) fn compare(a: &Lexed, b: &Lexed, executed: &Executed) -> Compared {
    let mut compared = Compared::default();
    let mut waiting = vec![(0, 0)];
    while let Some((in_a, in_b)) = waiting.pop() {
        compared.executed.push(in_a);
        let (unit_a, unit_b) = (&a.units[in_a], &b.units[in_b]);
        let bodies = match same_parts(unit_a, unit_b) {
            Ok(bodies) => bodies,
            Err(detail) => {
                let reason = match unit_a.kind {
                    UnitKind::Module => SourceReason::ModuleCodeDiffers,
                    _ => SourceReason::SourceDiffers,
                };
                let name = if unit_a.name.is_empty() { "a function" } else { &unit_a.name };
                compared.refused.push((reason, format!("{name}, line {}: {detail}", unit_a.line)));
                continue;
            }
        };
        let shows = unit_a.kind != UnitKind::Module
            && unit_a.parts.iter().any(|part| match part {
                Part::Token(_, text) => SHOW_VARIABLES.contains(&text.as_str()),
                Part::Body(_) => false,
            });
        for (child_a, child_b) in bodies {
            if executed.contains(child_a) {
                waiting.push((child_a, child_b));
            } else if !all_same(a, b, child_a, child_b) {
                let (seen_a, seen_b) = (Seen::of(a, child_a, shows), Seen::of(b, child_b, shows));
                if seen_a == seen_b {
                    compared.free.push((child_a, child_b));
                } else {
                    let name = a.units[child_a].name.clone();
                    compared.refused.push((SourceReason::SignatureDiffers, name));
                }
            }
        }
    }
    compared
}

/// Bodies at the same places, where everything else is the same.
fn same_parts(a: &Unit, b: &Unit) -> Result<Vec<(usize, usize)>, String> {
    let mut bodies = Vec::new();
    for (part_a, part_b) in a.parts.iter().zip(&b.parts) {
        match (part_a, part_b) {
            (Part::Body(in_a), Part::Body(in_b)) => bodies.push((*in_a, *in_b)),
            (one, other) if one == other => {}
            (one, other) => return Err(format!("`{}` became `{}`", show(one), show(other))),
        }
    }
    if a.parts.len() != b.parts.len() {
        return Err(format!("{} tokens became {}", a.parts.len(), b.parts.len()));
    }
    Ok(bodies)
}

fn show(part: &Part) -> String {
    const MAX_SHOWN: usize = 40;
    match part {
        Part::Token(before, text) => {
            let line = if *before == Before::Nothing { "" } else { "⏎ " };
            format!("{line}{}", text.chars().take(MAX_SHOWN).collect::<String>())
        }
        Part::Body(_) => "a body".to_owned(),
    }
}

/// Whether two units and everything in them are the same.
fn all_same(a: &Lexed, b: &Lexed, in_a: usize, in_b: usize) -> bool {
    let mut waiting = vec![(in_a, in_b)];
    while let Some((in_a, in_b)) = waiting.pop() {
        match same_parts(&a.units[in_a], &b.units[in_b]) {
            Ok(bodies) => waiting.extend(bodies),
            Err(_) => return false,
        }
    }
    true
}

/// What can be seen of a function that is only created.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Its documentation.
    documentation: Option<String>,
    /// Whether it is a generator.
    yields: bool,
    /// Whether it needs the class that it stands in.
    asks_for_class: bool,
    /// Every name in it, where the code around it can see which of its variables are captured.
    names: BTreeSet<String>,
}

impl Seen {
    fn of(lexed: &Lexed, unit: usize, shows: bool) -> Self {
        let own = &lexed.units[unit];
        let leading = own.parts.iter().map_while(|part| match part {
            Part::Token(_, text) if text.ends_with(['"', '\'']) => Some(text.as_str()),
            _ => None,
        });
        let texts: Vec<&str> = leading.collect();
        let all: BTreeSet<String> = tokens(lexed, unit).map(|(_, text)| text.clone()).collect();
        Self {
            documentation: (!texts.is_empty()).then(|| texts.join(" ")),
            yields: own.parts.iter().any(|part| matches!(part, Part::Token(_, text) if text == "yield")),
            asks_for_class: all.contains("super") || all.contains("__class__"),
            names: if shows { all } else { BTreeSet::new() },
        }
    }
}

/// Every token of a unit and of what is nested in it.
pub(super) fn tokens(lexed: &Lexed, unit: usize) -> impl Iterator<Item = (Before, &String)> {
    let mut all = Vec::new();
    let mut waiting = vec![unit];
    while let Some(unit) = waiting.pop() {
        for part in &lexed.units[unit].parts {
            match part {
                Part::Token(before, text) => all.push((*before, text)),
                Part::Body(nested) => waiting.push(*nested),
            }
        }
    }
    all.into_iter()
}

/// The digest of a unit's own tokens.
pub(super) fn digest(unit: &Unit) -> Sha256 {
    let mut stream = Sha256::stream();
    for part in &unit.parts {
        match part {
            Part::Token(before, text) => {
                stream.update(format!("{before:?} {}:", text.len()).as_bytes());
                stream.update(text.as_bytes());
            }
            Part::Body(_) => stream.update(b"body:"),
        }
    }
    stream.finish()
}
