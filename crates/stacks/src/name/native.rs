//! C, C++, Rust and kernel names: everything that differs between compilers and tools is dropped.

use super::brackets::{closing, operator, split_top, starts_operator, strip_reference};
use super::demangled;

/// What every lambda and closure is called.
pub(super) const CLOSURE: &str = "{closure}";
/// How deep type names may nest before the rest is dropped.
const MAX_DEPTH: u32 = 64;

/// The path of a function: no template or generic arguments, return type, parameters, numbering of
/// closures, hashes, compiler suffixes, inline or anonymous namespaces.
pub(super) fn path(name: &str) -> String {
    if name.is_empty() || name.starts_with("??") || is_hex(name) || name.starts_with('<') && is_marker(name) {
        return String::new();
    }
    if name.starts_with("-[") || name.starts_with("+[") {
        return name.to_owned();
    }
    let name = strip_suffixes(name);
    let readable = demangled(name);
    let readable = strip_suffixes(strip_thunk(&readable));
    let path = strip_rust_hash(readable);
    let path = if path.contains('$') { legacy_escapes(path) } else { path.to_owned() };
    let parts = components(&path, 0);
    finish(parts)
}

fn is_hex(name: &str) -> bool {
    name.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_marker(name: &str) -> bool {
    matches!(
        name,
        "<unknown>" | "<null>" | "<unavailable>" | "<redacted>" | "<unknown module>" | "<anonymous>"
    )
}

fn strip_thunk(name: &str) -> &str {
    [
        "non-virtual thunk to ",
        "virtual thunk to ",
        "covariant return thunk to ",
        "static ",
        "reference temporary for ",
    ]
    .iter()
    .fold(name, |name, prefix| name.strip_prefix(prefix).unwrap_or(name))
}

/// Cuts what linkers and compilers append: versions, clones, hot/cold splits, offsets.
fn strip_suffixes(name: &str) -> &str {
    let mut name = name.trim();
    for mark in
        [" [clone", " (.llvm", " (.cold", " (.isra", " (.part", " (.constprop", "@@", "@plt", "@GLIBC"]
    {
        if let Some(at) = name.find(mark).filter(|&at| at > 0) {
            name = &name[..at];
        }
    }
    for mark in [
        ".cold",
        ".part.",
        ".isra.",
        ".constprop.",
        ".llvm.",
        ".lto_priv.",
        ".warm",
        ".localalias",
        ".resolver",
        ".cfi",
        ".__uniq.",
        ".ctor.",
    ] {
        if let Some(at) = name.find(mark).filter(|&at| at > 0 && name.as_bytes()[at - 1] != b'.') {
            name = &name[..at];
        }
    }
    if let Some(at) = name.rfind("+0x").filter(|&at| at > 0 && !name[..at].ends_with("operator")) {
        name = &name[..at];
    }
    name.trim_end()
}

/// `path::h0123456789abcdef` without the hash.
fn strip_rust_hash(name: &str) -> &str {
    let Some(at) = name.rfind("::h") else { return name };
    let hash = &name[at + 3..];
    if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) { &name[..at] } else { name }
}

/// Undoes the `$LT$`, `..` escapes of legacy Rust names that a tool demangled only half-way.
fn legacy_escapes(name: &str) -> String {
    const ESCAPES: [(&str, &str); 12] = [
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$LP$", "("),
        ("$RP$", ")"),
        ("$C$", ","),
        ("$SP$", "@"),
        ("$u20$", " "),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$u27$", "'"),
    ];
    if !ESCAPES.iter().any(|(escape, _)| name.contains(escape)) {
        return name.to_owned();
    }
    let mut out = name.replace("_$", "$").replace("..", "::");
    for (escape, plain) in ESCAPES {
        out = out.replace(escape, plain);
    }
    out
}

/// The components of a path, in order, already normalised one by one.
fn components(path: &str, depth: u32) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let bytes = path.as_bytes();
    let mut at = 0;
    let mut parameters_ended = false;
    while at < bytes.len() {
        let rest = &path[at..];
        match bytes[at] {
            b':' if rest.starts_with("::") => {
                parts.push(std::mem::take(&mut part));
                at += 2;
            }
            b'o' if starts_operator(rest, &part) => {
                let (name, length) = operator(rest);
                part = name;
                at += length;
            }
            b'<' => {
                let end = at + closing(rest, b'<', b'>');
                let inside = &path[at + 1..end];
                let inside = inside.strip_suffix('>').unwrap_or(inside);
                let turbofish = !parts.is_empty()
                    && !inside.starts_with("impl ")
                    && !inside.starts_with("lambda")
                    && !inside.contains(" as ");
                if part.trim().is_empty() && !turbofish {
                    part.clear();
                    angle_component(inside, depth, &mut parts, &mut part);
                }
                at = end;
            }
            b'(' => {
                let end = at + closing(rest, b'(', b')');
                if rest.starts_with("(anonymous") || part.trim().is_empty() {
                    part = "(anonymous namespace)".to_owned();
                } else {
                    parameters_ended = true;
                }
                at = end;
            }
            b'{' => {
                let end = at + closing(rest, b'{', b'}');
                part.push_str(&braced(&path[at..end]));
                at = end;
            }
            b'[' => {
                // An ABI tag or a crate's disambiguator.
                at += closing(rest, b'[', b']');
            }
            b'`' => {
                let end = rest[1..].find('\'').map_or(bytes.len(), |quote| at + quote + 2);
                part.push_str("(anonymous namespace)");
                at = end;
            }
            b'\'' if rest.starts_with("'lambda") => {
                let end = rest[1..].find('\'').map_or(bytes.len(), |quote| at + quote + 2);
                part = CLOSURE.to_owned();
                at = end;
            }
            b' ' => {
                // What follows parameters is a qualifier; what stands before a space is a return type.
                let word = rest[1..].split([' ', ':', '[']).next().unwrap_or_default();
                let qualifier = matches!(word, "const" | "volatile" | "&" | "&&" | "noexcept" | "restrict");
                if qualifier && at > 0 && parameters_ended {
                    at += 1 + word.len();
                } else {
                    let operators_arguments = part.starts_with("operator") && rest[1..].starts_with('<');
                    if !rest[1..].starts_with('[') && !operators_arguments {
                        parts.clear();
                        part.clear();
                    }
                    at += 1;
                }
            }
            _ => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                part.push_str(&rest[..length]);
                at += length;
            }
        }
    }
    parts.push(part);
    parts
}

/// `<T as Trait>`, `<T>`, `<impl Trait for T>` and `<lambda(...)>` at the start of a component.
fn angle_component(inside: &str, depth: u32, parts: &mut Vec<String>, part: &mut String) {
    if inside.starts_with("lambda") {
        CLOSURE.clone_into(part);
        return;
    }
    if depth >= MAX_DEPTH {
        return;
    }
    let subject = if let Some(implemented) = inside.strip_prefix("impl ") {
        parts.clear();
        split_top(implemented, " for ").map_or(implemented, |(_, subject)| subject)
    } else if let Some((subject, interface)) = split_top(inside, " as ") {
        // A blanket implementation's own parameter says nothing; its trait does.
        if subject.len() == 1 { interface } else { subject }
    } else {
        inside
    };
    let subject = strip_reference(subject);
    let mut inner = components(subject, depth + 1);
    *part = inner.pop().unwrap_or_default();
    parts.append(&mut inner);
}

fn braced(group: &str) -> String {
    let inside = group.trim_matches(['{', '}']);
    if inside.starts_with("closure") || inside.starts_with("lambda") || inside.starts_with("async") {
        CLOSURE.to_owned()
    } else if inside.starts_with("impl") {
        "{impl}".to_owned()
    } else if inside.starts_with("anonymous") {
        "(anonymous namespace)".to_owned()
    } else if inside.starts_with("shim") || inside.starts_with("vtable") || inside.starts_with("unnamed") {
        String::new()
    } else {
        format!("{{{}}}", inside.split('#').next().unwrap_or(inside))
    }
}

/// Drops the components that only some tools print and joins the rest.
fn finish(parts: Vec<String>) -> String {
    let mut kept: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        let part = part.trim();
        let noise = matches!(
            part,
            "" | "(anonymous namespace)"
                | "_GLOBAL__N_1"
                | "__cxx11"
                | "__1"
                | "__2"
                | "__ndk1"
                | "__Cr"
                | "__cxx1998"
        );
        if noise {
            continue;
        }
        if part == CLOSURE || is_clang_lambda(part) {
            if kept.last().is_none_or(|last| last != CLOSURE) {
                kept.push(CLOSURE.to_owned());
            }
            continue;
        }
        if part == "operator()" && kept.last().is_some_and(|last| last == CLOSURE) {
            continue;
        }
        kept.push(function_alias(part));
    }
    kept.join("::")
}

fn is_clang_lambda(part: &str) -> bool {
    part.strip_prefix("$_")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// One spelling for the aliases of one function: libc's internal names, interceptors, system calls.
fn function_alias(part: &str) -> String {
    for prefix in ["__GI_", "___interceptor_", "__interceptor_", "__wrap_", "__real_"] {
        if let Some(plain) = part.strip_prefix(prefix).filter(|plain| !plain.is_empty()) {
            return plain.trim_start_matches('_').to_owned();
        }
    }
    for prefix in [
        "__x64_sys_",
        "__ia32_sys_",
        "__arm64_sys_",
        "__se_sys_",
        "__do_sys_",
        "__se_compat_sys_",
        "__do_compat_sys_",
        "__ia32_compat_sys_",
        "__riscv_sys_",
        "__s390x_sys_",
        "compat_sys_",
        "SyS_",
        "SYSC_",
        "compat_SyS_",
        "C_SYSC_",
    ] {
        if let Some(plain) = part.strip_prefix(prefix).filter(|plain| !plain.is_empty()) {
            return format!("sys_{plain}");
        }
    }
    string_routine(part).unwrap_or(part).to_owned()
}

/// libc's vectorised variants: `__memmove_avx_unaligned_erms` is `memmove`.
fn string_routine(part: &str) -> Option<&str> {
    let plain = part.trim_start_matches('_');
    let end = ["_avx", "_sse", "_ssse3", "_evex", "_erms", "_unaligned", "_generic"]
        .iter()
        .filter_map(|mark| plain.find(mark))
        .min()?;
    let name = &plain[..end];
    (name.starts_with("mem") || name.starts_with("str") || name.starts_with("wcs")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn tools_converge() {
        for (spelled, expected) in [
            (
                "xlnt::detail::compound_document::follow_chain(int, std::vector<int, std::allocator<int> > const&)",
                "xlnt::detail::compound_document::follow_chain",
            ),
            ("(anonymous namespace)::decrypt_xlsx(std::vector<unsigned char> const&)", "decrypt_xlsx"),
            ("internalAppend<js::ion::MDefinition*>", "internalAppend"),
            (
                "std::__cxx11::basic_string<char, std::char_traits<char> >::operator=(std::string&&)",
                "std::basic_string::operator=",
            ),
            ("void foo::bar<int>(int) const", "foo::bar"),
            ("std::vector<int> ns::make(int)", "ns::make"),
            ("a::b(int)::{lambda(int)#1}::operator()(int) const", "a::b::{closure}"),
            ("a::b(int)::$_0::operator()(int) const", "a::b::{closure}"),
            ("a::b(int)::<lambda(int)>::operator()(int) const", "a::b::{closure}"),
            ("a::b(int) const::{lambda(int)#1}::operator()(int) const", "a::b::{closure}"),
            ("std::operator<< <char>(std::ostream&)", "std::operator<<"),
            ("foo[abi:cxx11](int)", "foo"),
            ("__memmove_avx_unaligned_erms", "memmove"),
            ("<alloc::vec::Vec<T> as core::ops::Index<I>>::index", "alloc::vec::Vec::index"),
            ("operator new(unsigned long)", "operator new"),
            ("Foo::operator<<(int)", "Foo::operator<<"),
            ("Foo::operator bool() const", "Foo::operator type"),
            (
                "std::_Function_handler<void (), main::{lambda()#1}>::_M_invoke(std::_Any_data const&)",
                "std::_Function_handler::_M_invoke",
            ),
            ("`anonymous namespace'::CrashFunction", "CrashFunction"),
            ("nft_flush.isra.0", "nft_flush"),
            ("__x64_sys_openat", "sys_openat"),
            ("SyS_openat", "sys_openat"),
            ("yaml_rust::parser::Parser<T>::load_node", "yaml_rust::parser::Parser::load_node"),
            ("<yaml_rust::parser::Parser<_>>::load_node::<X>", "yaml_rust::parser::Parser::load_node"),
            (
                "<style::gecko::wrapper::GeckoElement<'le> as style::dom::TElement>::set_dirty",
                "style::gecko::wrapper::GeckoElement::set_dirty",
            ),
            (
                "core::ops::function::impls::<impl core::ops::function::FnOnce<A> for &F>::call_once",
                "F::call_once",
            ),
            (
                "std::sys::unix::abort_internal::h3e3f989126541ea9 (.llvm.14040283905672493915)",
                "std::sys::unix::abort_internal",
            ),
            (
                "_$LT$std..sys..Backtrace$u20$as$u20$core..fmt..Display$GT$::fmt::h50f7b755f1835a1b",
                "std::sys::Backtrace::fmt",
            ),
            (
                "libfuzzer_sys::initialize::_$u7b$$u7b$closure$u7d$$u7d$::h31ff8ab17e93ba40",
                "libfuzzer_sys::initialize::{closure}",
            ),
            ("a::b::{closure#3}", "a::b::{closure}"),
            (
                "_ZN9yaml_rust6parser6Parser9load_node17h0123456789abcdefE",
                "yaml_rust::parser::Parser::load_node",
            ),
            ("__GI_raise", "raise"),
            ("non-virtual thunk to a::Run()", "a::Run"),
            ("??", ""),
            ("0x7fff1234", ""),
        ] {
            assert_eq!(path(spelled), expected, "{spelled}");
        }
    }

    #[test]
    fn unbalanced_names_end() {
        for name in [
            "a<b",
            "a(b",
            "<",
            "<<<<",
            ">",
            "operator",
            "a::operator",
            "`",
            "'lambda",
            "{",
            "}",
            "a::",
            "::",
            " ",
            "$_",
        ] {
            let _ = path(name);
        }
    }
}
