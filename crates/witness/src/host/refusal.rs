//! Why a host is refused, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kernel, Profile, REDUCED_NO_NAMESPACES, Tried};

/// Stable codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// Not Linux on x86-64.
    WrongPlatform,
    /// A kernel without a call that the runner needs.
    KernelTooOld,
    /// No `/proc` to look at processes through.
    NoProc,
    /// seccomp filters are not there.
    NoSeccomp,
    /// Yama lets nobody trace.
    YamaPtraceScope,
    /// Something else (a container's filter) refuses ptrace.
    PtraceRefused,
    /// Ubuntu's AppArmor rule against unprivileged user namespaces.
    ApparmorUserns,
    /// `user.max_user_namespaces` is 0.
    UsernsLimit,
    /// A container's filter refuses namespaces.
    NamespacesRefused,
}

/// A host that cannot run witnesses safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[error("{what}")]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What is missing.
    pub what: String,
    /// The exact thing to do.
    pub remedy: String,
}

impl Refusal {
    fn new(code: RefusalCode, what: &str, remedy: &str) -> Self {
        Self { code, what: what.to_owned(), remedy: remedy.to_owned() }
    }
}

/// The oldest kernel with every call that the runner needs.
const OLDEST_KERNEL: (u32, u32) = (5, 13);

/// What a host allows, and why not everything.
pub(super) struct Judged {
    pub profile: Profile,
    pub landlock: u32,
    pub lacking: Option<Refusal>,
}

pub(super) fn judge(kernel: &dyn Kernel) -> Result<Judged, Refusal> {
    judge_platform(kernel)?;
    judge_ptrace(kernel)?;
    let landlock = kernel.landlock_version();
    match kernel.try_namespaces() {
        Tried::Works => Ok(Judged { profile: Profile::Full, landlock, lacking: None }),
        Tried::Refused { step, errno } => {
            let lacking = why_no_namespaces(kernel, step, errno);
            if landlock == 0 {
                return Err(lacking);
            }
            let profile = Profile::Reduced { name: REDUCED_NO_NAMESPACES.to_owned() };
            Ok(Judged { profile, landlock, lacking: Some(lacking) })
        }
    }
}

fn judge_platform(kernel: &dyn Kernel) -> Result<(), Refusal> {
    if kernel.machine() != "x86_64" {
        let what = format!("witnesses run on x86-64 Linux; this machine is {}", kernel.machine());
        return Err(Refusal::new(RefusalCode::WrongPlatform, &what, "run on an x86-64 Linux machine"));
    }
    if !kernel.has_proc() {
        let remedy = "mount it: mount -t proc proc /proc";
        return Err(Refusal::new(RefusalCode::NoProc, "/proc is not mounted", remedy));
    }
    if kernel.release() < OLDEST_KERNEL {
        let (major, minor) = kernel.release();
        let what = format!("Linux {major}.{minor} is older than {}.{}", OLDEST_KERNEL.0, OLDEST_KERNEL.1);
        let remedy = "run on Linux 5.13 or later (Debian 12, Ubuntu 22.04, RHEL 9)";
        return Err(Refusal::new(RefusalCode::KernelTooOld, &what, remedy));
    }
    if !kernel.has_seccomp() {
        let what = "the kernel has no seccomp filters";
        let remedy = "run on a kernel with CONFIG_SECCOMP_FILTER=y";
        return Err(Refusal::new(RefusalCode::NoSeccomp, what, remedy));
    }
    Ok(())
}

fn judge_ptrace(kernel: &dyn Kernel) -> Result<(), Refusal> {
    let Tried::Refused { errno, .. } = kernel.try_ptrace() else { return Ok(()) };
    match kernel.setting("kernel/yama/ptrace_scope") {
        Some(scope @ 2..) => {
            let what = format!("Yama forbids ptrace (kernel.yama.ptrace_scope = {scope})");
            let remedy = if scope >= 3 {
                "set kernel.yama.ptrace_scope = 1 in /etc/sysctl.d and restart: 3 cannot be lowered at run time"
            } else {
                "as root: sysctl -w kernel.yama.ptrace_scope=1"
            };
            Err(Refusal::new(RefusalCode::YamaPtraceScope, &what, remedy))
        }
        _ => {
            let what = format!("ptrace is refused (errno {errno}), as a container's seccomp profile does");
            let remedy = "docker run --security-opt seccomp=unconfined, or a profile that allows ptrace, \
                personality, process_vm_readv, process_vm_writev and pidfd_getfd";
            Err(Refusal::new(RefusalCode::PtraceRefused, &what, remedy))
        }
    }
}

fn why_no_namespaces(kernel: &dyn Kernel, step: &str, errno: i32) -> Refusal {
    if kernel.setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let what = "AppArmor restricts unprivileged user namespaces";
        let remedy = "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or add an AppArmor \
            profile with `userns,` for this program";
        return Refusal::new(RefusalCode::ApparmorUserns, what, remedy);
    }
    if kernel.setting("user/max_user_namespaces") == Some(0) {
        let what = "user namespaces are switched off (user.max_user_namespaces = 0)";
        let remedy = "as root: sysctl -w user.max_user_namespaces=15000";
        return Refusal::new(RefusalCode::UsernsLimit, what, remedy);
    }
    if kernel.setting("kernel/unprivileged_userns_clone") == Some(0) {
        let what = "unprivileged user namespaces are switched off";
        let remedy = "as root: sysctl -w kernel.unprivileged_userns_clone=1";
        return Refusal::new(RefusalCode::UsernsLimit, what, remedy);
    }
    let what = format!("namespaces are refused at {step} (errno {errno})");
    let remedy = "in a container: --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
        --security-opt systempaths=unconfined";
    Refusal::new(RefusalCode::NamespacesRefused, &what, remedy)
}
