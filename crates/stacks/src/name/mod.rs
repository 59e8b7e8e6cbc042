//! From a function's name, as any tool spells it, to identities that all tools agree on.
//!
//! Three keys come out, most specific first: the whole path (`yaml_rust::parser::Parser::load_node`),
//! its first and last component (`yaml_rust::..::load_node`, because debuggers print `{impl#0}` where
//! symbols say `Parser`), and the last component alone (`load_node`, because debuggers print inlined
//! C++ members unqualified).

mod brackets;
mod demangle;
mod lists;
mod managed;
mod native;
pub(crate) mod noise;

pub(crate) use demangle::demangled;

use crate::report::{MAX_NAME_BYTES, StackFrame, cut};

/// The language family whose rules a name follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// C, C++, Rust, Swift, kernels.
    Native,
    /// Kernels: native names, and their own runtime.
    Kernel,
    Java,
    Python,
    JavaScript,
    Go,
}

/// Sets the keys of a frame from its other fields.
pub(crate) fn assign_keys(frame: &mut StackFrame, language: Language) {
    frame.keys = keys_of(frame, language);
}

/// The keys of a frame: its function's, else where it lies.
pub(crate) fn keys_of(frame: &StackFrame, language: Language) -> Vec<String> {
    let path = frame.function.as_deref().map(|name| path_of(name, frame.file.as_deref(), language));
    match path {
        Some(path) if !path.is_empty() => chain(&path, language),
        _ => place(frame),
    }
}

fn path_of(name: &str, file: Option<&str>, language: Language) -> String {
    let name = cut(name.trim(), MAX_NAME_BYTES);
    match language {
        Language::Native => match native::path(name) {
            bare if !bare.is_empty() && !bare.contains("::") => qualified(bare, file),
            path => path,
        },
        Language::Kernel => native::path(name),
        Language::Java => managed::java(name),
        Language::Python => managed::in_file(name, file),
        Language::JavaScript => managed::javascript(name, file),
        Language::Go => managed::go(name),
    }
}

/// The whole path, `first::..::last`, and the last component.
fn chain(path: &str, language: Language) -> Vec<String> {
    let separator = if matches!(language, Language::Native | Language::Kernel) { "::" } else { "." };
    let mut keys = vec![path.to_owned()];
    let parts: Vec<&str> = path.split(separator).collect();
    let closure = parts.last() == Some(&native::CLOSURE) && parts.len() > 1;
    let tail = if closure { parts.len() - 2 } else { parts.len() - 1 };
    let leaf = parts[tail..].join(separator);
    if parts.len() > 1 && tail > 0 && !leaf.is_empty() {
        keys.push(format!("{}{separator}..{separator}{leaf}", parts[0]));
        keys.push(leaf);
    }
    keys
}

/// Where a frame without a usable name lies: its source location, or its module and offset.
fn place(frame: &StackFrame) -> Vec<String> {
    if let (Some(file), Some(line)) = (&frame.file, frame.line) {
        let file = base_name(file);
        return vec![format!("at {file}:{line}"), format!("in {file}")];
    }
    match (&frame.module, &frame.address) {
        (Some(module), Some(address)) if !module.is_empty() => {
            vec![format!("{}+{address}", base_name(module))]
        }
        _ => Vec::new(),
    }
}

/// Keys of a bare source location, as a panic message names it: the location, the module path that
/// the file stands for (`yaml_rust::parser`), and the file.
pub(crate) fn location_keys(file: &str, line: Option<u32>) -> Vec<String> {
    let mut keys = Vec::new();
    if let Some(line) = line {
        keys.push(format!("at {}:{line}", base_name(file)));
    }
    if let Some(module) = rust_module(file) {
        keys.push(module);
    }
    keys.push(format!("in {}", base_name(file)));
    keys
}

/// A bare function name of a debugger that knows lines but no paths, under the crate and module that
/// its source file stands for: `smallvec::insert_many`, `core::ptr::copy`.
fn qualified(name: String, file: Option<&str>) -> String {
    let module = file.and_then(|file| library_module(file).or_else(|| package_module(file)));
    match module {
        Some(module) => format!("{module}::{name}"),
        None => name,
    }
}

/// The module of the language's own library: `core::ptr` of `/rustc/<hash>/library/core/src/ptr/mod.rs`.
fn library_module(file: &str) -> Option<String> {
    let file = file.replace('\\', "/");
    let inside = file.strip_suffix(".rs")?;
    let inside = match inside.strip_prefix("library/") {
        Some(inside) => inside,
        None if inside.contains("/rustc/") || inside.contains("rustlib/src/") => {
            inside.split_once("/library/")?.1
        }
        None => return None,
    };
    let (package, path) = inside.split_once("/src/")?;
    (!package.contains('/')).then(|| module_path(package, path))
}

/// The module of a package in a registry or vendored: its folder carries a version, or is in `vendor`.
fn package_module(file: &str) -> Option<String> {
    let file = file.replace('\\', "/");
    let inside = file.strip_suffix(".rs")?;
    let at = inside.rfind("/src/")?;
    let mut folders = inside[..at].rsplit('/');
    let folder = folders.next()?;
    let package = strip_version(folder);
    let foreign = package.len() < folder.len() || folders.next() == Some("vendor");
    (foreign && !package.is_empty()).then(|| module_path(package, &inside[at + 5..]))
}

/// The path within its package of a source file in a registry: `src/oid.rs`.
pub(crate) fn in_package(file: &str) -> Option<&str> {
    let at = file.strip_suffix(".rs")?.rfind("/src/")?;
    package_module(file).map(|_| &file[at + 1..])
}

fn module_path(package: &str, path: &str) -> String {
    let mut out = package.replace('-', "_");
    for part in path.split('/').filter(|part| !matches!(*part, "lib" | "main" | "mod" | "")) {
        out.push_str("::");
        out.push_str(part);
    }
    out
}

/// The crate and module that a Rust source path of the package registry stands for.
fn rust_module(file: &str) -> Option<String> {
    let file = file.replace('\\', "/");
    let inside = file.strip_suffix(".rs")?;
    let at = inside.rfind("/src/")?;
    let folder = inside[..at].rsplit('/').next()?;
    let package = strip_version(folder);
    (!package.is_empty()).then(|| module_path(package, &inside[at + 5..]))
}

/// `yaml-rust-0.4.0` without its version.
fn strip_version(folder: &str) -> &str {
    let bytes = folder.as_bytes();
    for at in 1..bytes.len().saturating_sub(1) {
        if bytes[at] == b'-' && bytes[at + 1].is_ascii_digit() && folder[at..].contains('.') {
            return &folder[..at];
        }
    }
    folder
}

/// Whether a function's last name is shared by so many programs that it alone says nothing.
pub(crate) fn is_generic(leaf: &str) -> bool {
    leaf.len() < 3 || leaf.contains(native::CLOSURE) || lists::GENERIC_NAMES.contains(&leaf)
}

/// The last component of a path of either kind.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_path_names_its_module() {
        let path =
            "/home/u/.cargo/registry/src/index.crates.io-6f17d22bba15001f/yaml-rust-0.4.0/src/parser.rs";
        assert_eq!(rust_module(path).as_deref(), Some("yaml_rust::parser"));
        assert_eq!(strip_version("regex-1.5.4"), "regex");
        assert_eq!(strip_version("é-1.0"), "é");
    }

    #[test]
    fn a_bare_name_gets_the_crate_of_its_file() {
        for (file, expected) in [
            ("/home/u/.cargo/registry/src/index.crates.io-1/smallvec-1.6.0/src/lib.rs", "smallvec::f"),
            ("/b/registry/x-1/transpose-0.2.2/src/out_of_place.rs", "transpose::out_of_place::f"),
            ("/app/vendor/yaml-rust/src/parser.rs", "yaml_rust::parser::f"),
            ("/rustc/59807616/library/core/src/ptr/mod.rs", "core::ptr::f"),
            ("library/std/src/rt.rs", "std::rt::f"),
            ("../program/src/main.rs", "f"),
            ("src/parser.rs", "f"),
            ("/src/é.c", "f"),
        ] {
            assert_eq!(qualified("f".to_owned(), Some(file)), expected, "{file}");
        }
        assert_eq!(qualified("f".to_owned(), None), "f");
    }

    #[test]
    fn keys_go_from_specific_to_coarse() {
        let keys = chain("yaml_rust::parser::Parser::load_node", Language::Native);
        assert_eq!(keys[1], "yaml_rust::..::load_node");
        assert_eq!(keys[2], "load_node");
        assert_eq!(chain("main", Language::Native), ["main"]);
    }
}
