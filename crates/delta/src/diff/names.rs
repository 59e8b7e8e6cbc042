//! Names as two builds of one source share them.

use crate::program;

/// The name without the number that LLVM gives to a symbol it promoted (`.llvm.123`), and without the
/// hash that rustc's legacy mangling ends with (`17h` and 16 hex digits), which another build changes.
pub(super) fn stable_name(name: &str) -> &str {
    let name = program::stable_name(name);
    let parts = name.strip_suffix('E').and_then(|rest| rest.split_at_checked(rest.len().checked_sub(19)?));
    match parts {
        Some((stable, hash))
            if hash.starts_with("17h") && hash[3..].bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            stable
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_build_changes_is_left_out() {
        assert_eq!(stable_name("_ZN4core3fmt5write17h0123456789abcdefE"), "_ZN4core3fmt5write");
        assert_eq!(stable_name("helper.llvm.123"), "helper");
        assert_eq!(stable_name("_ZN3fooE"), "_ZN3fooE");
        assert_eq!(stable_name("main"), "main");
    }
}
