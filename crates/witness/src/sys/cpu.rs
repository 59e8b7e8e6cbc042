//! What the CPU and the kernel say about the CPU.
#![allow(unsafe_code, reason = "xgetbv is an intrinsic that needs a feature")]

/// `AT_HWCAP` and `AT_HWCAP2`.
pub(crate) fn auxiliary() -> [(u32, u64); 2] {
    const HWCAP: u64 = 16;
    const HWCAP2: u64 = 26;
    // SAFETY: getauxval reads the process's own auxiliary vector.
    [HWCAP, HWCAP2].map(|kind| (kind as u32, unsafe { libc::getauxval(kind) }))
}

/// XCR0: the register state that the operating system enabled. Call it only where OSXSAVE is set.
pub(crate) fn enabled_state() -> u64 {
    #[target_feature(enable = "xsave")]
    fn read() -> u64 {
        // SAFETY: the feature is enabled for this function.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }
    // SAFETY: the caller has seen OSXSAVE, which says that the instruction works.
    unsafe { read() }
}
