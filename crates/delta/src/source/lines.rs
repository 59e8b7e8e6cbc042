//! Comparing two sources: the same bytes everywhere but in bodies that did not run.

use std::collections::BTreeSet;

use super::SourceReason;
use super::bodies::{Functions, Idle, Kind};
use super::subset::{Unrecognised, javascript, python};

/// What comparing two sources found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Names of bodies that differ.
    pub changed: Vec<String>,
    /// Whether what ran stands on other lines.
    pub moved: bool,
}

/// Most bodies of one source that may differ: each is compared with all of the code around it.
const MAX_CHANGED: usize = 64;

type Refused = (SourceReason, String);

/// Walks both sources in step.
pub(super) fn compare(a: &str, b: &str, functions: &Functions) -> Result<Compared, Refused> {
    let mut compared = Compared::default();
    let (mut in_a, mut in_b) = (0, 0);
    for (number, idle) in functions.idle.iter().enumerate() {
        same(a, b, in_a..idle.lines.start, in_b)?;
        in_b += idle.lines.start - in_a;
        in_a = idle.lines.end;
        let old = &a[idle.lines.clone()];
        let next = functions.idle.get(number + 1).map_or(a.len(), |next| next.lines.start);
        let behind = &a[in_a..next];
        let rest = b[in_b..].strip_prefix(old);
        if rest.is_some_and(|rest| rest.starts_with(behind)) {
            in_b += old.len();
            continue;
        }
        if compared.changed.len() >= MAX_CHANGED {
            return Err((SourceReason::SourceDiffers, "too many functions differ".to_owned()));
        }
        let end = body(a, b, idle, in_b, functions)?;
        let lines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        compared.moved |= lines(old) != lines(&b[in_b..end]);
        compared.changed.push(idle.name.clone());
        in_b = end;
    }
    same(a, b, in_a..a.len(), in_b)?;
    if b.len() - in_b != a.len() - in_a {
        return Err((SourceReason::SourceDiffers, "behind the last function".to_owned()));
    }
    Ok(compared)
}

/// Refuses where a piece of A is not in B.
fn same(a: &str, b: &str, piece: std::ops::Range<usize>, in_b: usize) -> Result<(), Refused> {
    let (piece_a, rest_b) = (&a.as_bytes()[piece.clone()], &b.as_bytes()[in_b..]);
    if rest_b.starts_with(piece_a) {
        return Ok(());
    }
    let at = piece_a.iter().zip(rest_b).take_while(|(a, b)| a == b).count();
    let line = a.as_bytes()[..piece.start + at].iter().filter(|byte| **byte == b'\n').count() + 1;
    Err((SourceReason::SourceDiffers, format!("line {line} ran, or may be seen")))
}

/// Checks a body that changed; where B's ends.
fn body(a: &str, b: &str, idle: &Idle, in_b: usize, functions: &Functions) -> Result<usize, Refused> {
    let unrecognised = |text: &'static str| {
        move |why: Unrecognised| {
            (SourceReason::MayNotCompile, format!("{}: {}, byte {} of {text}", idle.name, why.what, why.at))
        }
    };
    let seen = |what: &str| Err((SourceReason::SignatureDiffers, format!("{}: {what}", idle.name)));
    match &idle.kind {
        Kind::Python { column, asynchronous } => {
            let old = python::body(a, idle.lines.start, *column, *asynchronous).map_err(unrecognised("A"))?;
            let new = python::body(b, in_b, *column, *asynchronous).map_err(unrecognised("B"))?;
            if old.end != idle.lines.end {
                return seen("its end is in doubt");
            }
            if (&old.documentation, old.yields, old.asks_for_class, old.indentation)
                != (&new.documentation, new.yields, new.asks_for_class, new.indentation)
            {
                return seen(
                    "its documentation, whether it is a generator, or whether it asks for its class",
                );
            }
            Ok(new.end)
        }
        Kind::JavaScript { head, arrow, parameters, opening } => {
            let old = javascript::body(a, idle.lines.start - opening, head).map_err(unrecognised("A"))?;
            let new = javascript::body(b, in_b - opening, head).map_err(unrecognised("B"))?;
            let line = |text: &str, end: usize| text[..end].rfind('\n').map_or(0, |at| at + 1);
            if line(a, old.end) != idle.lines.end || line(b, new.end) < in_b {
                return seen("its end is in doubt");
            }
            if old.directives != new.directives {
                return seen("its directives");
            }
            if let Some(text) = new.expressions.difference(&old.expressions).next() {
                return Err((SourceReason::MayNotCompile, format!("{}: {text}", idle.name)));
            }
            if new.arguments && *arrow {
                return Err((SourceReason::MayNotCompile, format!("{}: arguments", idle.name)));
            }
            // An arrow's are those of the function around it, which keeps them for it.
            if *arrow && (old.arguments, old.this) != (new.arguments, new.this) {
                return seen("whether it asks for `this` or `arguments`");
            }
            if captures(&around(a, idle, functions), parameters, &old, &new) {
                return seen("the variables around it that it captures");
            }
            Ok(line(b, new.end))
        }
    }
}

/// Whether the functions around a body may keep other variables for it: frames have another size then, and
/// a recursion overflows the stack elsewhere.
fn captures(
    around: &BTreeSet<&str>,
    parameters: &BTreeSet<String>,
    old: &javascript::Body,
    new: &javascript::Body,
) -> bool {
    let mut declared = old.declared.union(&new.declared);
    if declared.any(|name| around.contains(name.as_str())) {
        return true;
    }
    let captured = |body: &javascript::Body| -> BTreeSet<String> {
        let outer = |name: &&String| around.contains(name.as_str()) && !parameters.contains(*name);
        body.references.iter().filter(outer).cloned().collect()
    };
    captured(old) != captured(new)
}

/// Every variable that the code around a body names, where that is in no other function.
fn around<'a>(a: &'a str, idle: &Idle, functions: &Functions) -> BTreeSet<&'a str> {
    let encloses =
        |body: &&std::ops::Range<usize>| body.start <= idle.lines.start && body.end >= idle.lines.end;
    let own = functions.bodies.iter().rev().find(encloses);
    let mut others = functions.bodies.iter().filter(|body| !encloses(body) || Some(*body) == own).peekable();
    let mut all = BTreeSet::new();
    let mut end = 0;
    for name in &functions.names {
        while let Some(body) = others.next_if(|body| body.start <= name.start) {
            end = end.max(body.end);
        }
        if name.start >= end {
            all.insert(&a[name.clone()]);
        }
    }
    all
}
