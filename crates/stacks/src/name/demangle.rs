//! Mangled symbols to readable names, with bounded work and output.

use std::borrow::Cow;
use std::fmt::Write;

use cpp_demangle::{DemangleOptions, Symbol};

use crate::report::MAX_NAME_BYTES;

/// How deep a C++ mangling may nest before it is left as it is.
const RECURSION_LIMIT: u32 = 96;

/// The readable form of a symbol: Rust v0 and legacy, Itanium C++; anything else comes back unchanged.
pub(crate) fn demangled(symbol: &str) -> Cow<'_, str> {
    if symbol.len() > MAX_NAME_BYTES {
        return Cow::Borrowed(symbol);
    }
    let plain = symbol.split("@@").next().unwrap_or(symbol);
    let start = plain.trim_start_matches('_');
    if !(plain.starts_with('_') && (start.starts_with('Z') || start.starts_with('R'))) {
        return Cow::Borrowed(symbol);
    }
    rust(plain).or_else(|| cpp(plain)).map_or(Cow::Borrowed(symbol), Cow::Owned)
}

fn rust(symbol: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(symbol).ok()?;
    let mut out = Bounded(String::new());
    write!(out, "{demangled:#}").ok()?;
    Some(out.0)
}

fn cpp(symbol: &str) -> Option<String> {
    // Mach-O adds one underscore of its own.
    let symbol = if symbol.starts_with("__Z") { &symbol[1..] } else { symbol };
    let parsed = Symbol::new(symbol.as_bytes()).ok()?;
    let options = DemangleOptions::default().no_params().no_return_type().recursion_limit(RECURSION_LIMIT);
    let mut out = Bounded(String::new());
    parsed.structured_demangle(&mut out, &options).ok()?;
    Some(out.0)
}

/// A string that refuses to grow past [`MAX_NAME_BYTES`]: substitutions can make a short mangling
/// exponentially long.
struct Bounded(String);

impl Bounded {
    fn push(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > MAX_NAME_BYTES {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme() {
        assert_eq!(
            demangled("_ZN9yaml_rust6parser9load_node17h0123456789abcdefE"),
            "yaml_rust::parser::load_node"
        );
        assert_eq!(demangled("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
        assert_eq!(demangled("_ZN3foo3barEi"), "foo::bar");
        assert_eq!(demangled("memcpy@@GLIBC_2.14"), "memcpy@@GLIBC_2.14");
        assert_eq!(demangled("_Zgarbage"), "_Zgarbage");
    }
}
