//! The kernel's answers behind a trait, so that tests can simulate every refusal.

use crate::sys;

/// What came of trying something for real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Works,
    /// It does not.
    Refused {
        /// Where it stopped.
        step: &'static str,
        /// With which error.
        errno: i32,
    },
}

/// What a host says about itself.
pub trait Kernel {
    /// The machine as `uname -m` spells it.
    fn machine(&self) -> String;
    /// Major and minor version.
    fn release(&self) -> (u32, u32);
    /// Whether `/proc` is mounted.
    fn has_proc(&self) -> bool;
    /// Whether seccomp filters are there.
    fn has_seccomp(&self) -> bool;
    /// The Landlock interface's version; 0 without Landlock.
    fn landlock_version(&self) -> u32;
    /// A number under `/proc/sys`, if it is there.
    fn setting(&self, name: &str) -> Option<i64>;
    /// Starts a process and takes it over.
    fn try_ptrace(&self) -> Tried;
    /// Builds the whole sandbox once around nothing.
    fn try_namespaces(&self) -> Tried;
}

/// This machine.
pub(super) struct Real;

impl Kernel for Real {
    fn machine(&self) -> String {
        std::env::consts::ARCH.to_owned()
    }

    fn release(&self) -> (u32, u32) {
        let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn has_proc(&self) -> bool {
        std::path::Path::new("/proc/self/status").exists()
    }

    fn has_seccomp(&self) -> bool {
        std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("\nSeccomp:"))
    }

    fn landlock_version(&self) -> u32 {
        sys::landlock::abi()
    }

    fn setting(&self, name: &str) -> Option<i64> {
        std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
    }

    fn try_ptrace(&self) -> Tried {
        crate::replay::try_sandbox(sys::child::Tree::Bare)
    }

    fn try_namespaces(&self) -> Tried {
        crate::replay::try_sandbox(sys::child::Tree::Closed)
    }
}
