//! The seccomp filter: nothing passes unseen except a few calls that can neither block nor observe.
//!
//! Without a tracer the kernel answers a traced call with ENOSYS, so the filter denies by default.

use libc::sock_filter;

const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARG2_LOW: u32 = 32;
/// The code of the SIGSYS that the filter raises for a call through another instruction set's table.
pub(crate) const FOREIGN_ABI: i32 = 1;
/// Calls that change or read only the caller's own memory map or identity.
const QUIET: [i64; 11] = [
    libc::SYS_rt_sigreturn,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_munmap,
    libc::SYS_umask,
    libc::SYS_rt_sigpending,
];

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const fn jump_if_equal(k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: yes, jf: no, k }
}

const fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

const fn give(action: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

/// Quiet only where a process-id namespace gives the same numbers each time.
const IDS: [i64; 4] = [libc::SYS_getpid, libc::SYS_gettid, libc::SYS_getppid, libc::SYS_getpgrp];

/// The program for `PR_SET_SECCOMP`.
pub(crate) fn program(has_namespaces: bool) -> Vec<sock_filter> {
    let trace = libc::SECCOMP_RET_TRACE;
    let mut code = vec![
        load(OFFSET_ARCH),
        jump_if_equal(AUDIT_ARCH_X86_64, 1, 0),
        give(libc::SECCOMP_RET_TRAP),
        load(OFFSET_NR),
    ];
    for nr in QUIET.iter().chain(if has_namespaces { &IDS[..] } else { &[] }) {
        code.push(jump_if_equal(*nr as u32, 0, 1));
        code.push(give(libc::SECCOMP_RET_ALLOW));
    }
    // mprotect is quiet unless it makes something executable.
    code.push(jump_if_equal(libc::SYS_mprotect as u32, 1, 0));
    code.push(give(trace));
    code.push(load(OFFSET_ARG2_LOW));
    code.push(sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16,
        jt: 1,
        jf: 0,
        k: libc::PROT_EXEC as u32,
    });
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code.push(give(trace));
    code
}
