//! Mach-O against LLVM's tools.

use assay_binary::Architecture;

use crate::modules::object_file;

#[test]
fn mach_o_objects() {
    let arguments = |target: &'static str| ["-O1", "-c", "-fcommon", target];
    object_file("clang", "llvm-nm-14", &arguments("--target=x86_64-apple-macos12"), Architecture::X86_64);
    object_file("clang", "llvm-nm-14", &arguments("--target=arm64-apple-macos12"), Architecture::Aarch64);
}
