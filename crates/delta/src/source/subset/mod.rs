//! Small parts of two languages, recognised strictly.
//!
//! The body of a function that did not run may change only from one text of such a part into another. What
//! is recognised compiles, without a warning and whatever stands around it, and what its function shows
//! to its surroundings without being called is told. Anything else is not recognised: nothing is guessed. The
//! recognisers share no code with the parser that places functions, read every byte a bounded number of times
//! and descend a bounded number of levels.

pub(super) mod javascript;
mod javascript_tokens;
pub(super) mod python;
mod python_expressions;
mod python_tokens;

/// Deepest nesting of brackets, blocks and operators: compilers descend as deep.
pub(super) const MAX_DEPTH: usize = 40;
/// Longest chain of operators, calls or branches, each of which a compiler descends into.
pub(super) const MAX_CHAIN: usize = 50;

/// Why a text is not recognised, and near which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unrecognised {
    pub at: usize,
    pub what: &'static str,
}

/// A recogniser's result.
pub(super) type Recognised<T> = Result<T, Unrecognised>;
