//! Every call that the runner models; whatever is not here ends the run.

use super::Machine;
use super::task::{Call, Flow};
use super::{
    dirs, files, futex, identity, memory, poll, process, signals, sockets, stat, sysv, time, timers,
};
use crate::error::WitnessError;

/// How one call is modelled.
pub(crate) type Handler = fn(&mut Machine<'_>, Call) -> Result<Flow, WitnessError>;

/// One modelled call.
pub(crate) struct Row {
    pub nr: i64,
    pub name: &'static str,
    /// How the trace writes each argument: `i` number, `u` unsigned, `x` flags, `p` address (masked),
    /// `s` path, `b` bytes whose count is the next argument, `_` left out.
    pub args: &'static str,
    pub handler: Handler,
}

macro_rules! rows {
    ($($nr:expr, $name:literal, $args:literal, $handler:expr;)*) => {
        &[$(Row { nr: $nr, name: $name, args: $args, handler: $handler },)*]
    };
}

/// Numbers that the C library's headers may lack.
pub(crate) mod nr {
    pub(crate) const RSEQ: i64 = 334;
    pub(crate) const PIDFD_SEND_SIGNAL: i64 = 424;
    pub(crate) const IO_URING_SETUP: i64 = 425;
    pub(crate) const IO_URING_REGISTER: i64 = 427;
    pub(crate) const PIDFD_OPEN: i64 = 434;
    pub(crate) const CLONE3: i64 = 435;
    pub(crate) const CLOSE_RANGE: i64 = 436;
    pub(crate) const OPENAT2: i64 = 437;
    pub(crate) const FACCESSAT2: i64 = 439;
    pub(crate) const PROCESS_MADVISE: i64 = 440;
    pub(crate) const EPOLL_PWAIT2: i64 = 441;
    pub(crate) const FUTEX_WAITV: i64 = 449;
    pub(crate) const FCHMODAT2: i64 = 452;
    pub(crate) const MAP_SHADOW_STACK: i64 = 453;
    pub(crate) const FUTEX_REQUEUE: i64 = 456;
    pub(crate) const LISTMOUNT: i64 = 458;
    pub(crate) const MSEAL: i64 = 462;
}

fn note(_: &mut Machine<'_>, _: Call) -> Result<Flow, WitnessError> {
    Ok(Flow::PassThen(super::task::Exit::Note))
}

fn pass(_: &mut Machine<'_>, _: Call) -> Result<Flow, WitnessError> {
    Ok(Flow::Pass)
}

fn zero(_: &mut Machine<'_>, _: Call) -> Result<Flow, WitnessError> {
    Ok(Flow::Done(0))
}

fn absent(_: &mut Machine<'_>, _: Call) -> Result<Flow, WitnessError> {
    Ok(Flow::Done(-i64::from(libc::ENOSYS)))
}

fn denied(_: &mut Machine<'_>, _: Call) -> Result<Flow, WitnessError> {
    Ok(Flow::Done(-i64::from(libc::EPERM)))
}

/// Files and descriptors.
const FILES: &[Row] = rows! {
    libc::SYS_read, "read", "ipu", files::read;
    libc::SYS_pread64, "pread64", "ipui", files::read;
    libc::SYS_readv, "readv", "ipu", files::read_vector;
    libc::SYS_preadv, "preadv", "ipui", files::read_vector;
    libc::SYS_preadv2, "preadv2", "ipui", files::read_vector;
    libc::SYS_write, "write", "ibu", files::write;
    libc::SYS_pwrite64, "pwrite64", "ibui", files::write_whole;
    libc::SYS_writev, "writev", "ipu", files::write_whole;
    libc::SYS_pwritev, "pwritev", "ipui", files::write_whole;
    libc::SYS_pwritev2, "pwritev2", "ipui", files::write_whole;
    libc::SYS_open, "open", "sxx", files::open;
    libc::SYS_openat, "openat", "isxx", files::openat;
    libc::SYS_creat, "creat", "sx", files::open;
    nr::OPENAT2, "openat2", "isp", absent;
    libc::SYS_close, "close", "i", files::close;
    nr::CLOSE_RANGE, "close_range", "iix", files::close_range;
    libc::SYS_dup, "dup", "i", note;
    libc::SYS_dup2, "dup2", "ii", files::dup_to;
    libc::SYS_dup3, "dup3", "iix", files::dup_to;
    libc::SYS_fcntl, "fcntl", "ii_", files::fcntl;
    libc::SYS_ioctl, "ioctl", "ix_", files::ioctl;
    libc::SYS_lseek, "lseek", "iii", files::seek;
    libc::SYS_pipe, "pipe", "p", note;
    libc::SYS_pipe2, "pipe2", "px", note;
    libc::SYS_access, "access", "sx", files::access;
    libc::SYS_faccessat, "faccessat", "isx", files::access_at;
    nr::FACCESSAT2, "faccessat2", "isxx", files::access_at;
    libc::SYS_readlink, "readlink", "spu", files::readlink;
    libc::SYS_readlinkat, "readlinkat", "ispu", files::readlinkat;
    libc::SYS_stat, "stat", "sp", stat::stat;
    libc::SYS_lstat, "lstat", "sp", stat::stat;
    libc::SYS_fstat, "fstat", "ip", stat::fstat;
    libc::SYS_newfstatat, "newfstatat", "ispx", stat::stat_at;
    libc::SYS_statx, "statx", "isxxp", stat::statx;
    libc::SYS_statfs, "statfs", "sp", stat::statfs;
    libc::SYS_fstatfs, "fstatfs", "ip", stat::statfs;
    libc::SYS_getdents64, "getdents64", "ipu", dirs::list;
    libc::SYS_getdents, "getdents", "ipu", absent;
    libc::SYS_getcwd, "getcwd", "pu", note;
    libc::SYS_chdir, "chdir", "s", files::path_only;
    libc::SYS_fchdir, "fchdir", "i", note;
    libc::SYS_mkdir, "mkdir", "sx", note;
    libc::SYS_mkdirat, "mkdirat", "isx", note;
    libc::SYS_rmdir, "rmdir", "s", note;
    libc::SYS_unlink, "unlink", "s", note;
    libc::SYS_unlinkat, "unlinkat", "isx", note;
    libc::SYS_rename, "rename", "ss", note;
    libc::SYS_renameat, "renameat", "isis", note;
    libc::SYS_renameat2, "renameat2", "isisx", note;
    libc::SYS_link, "link", "ss", note;
    libc::SYS_linkat, "linkat", "isisx", note;
    libc::SYS_symlink, "symlink", "ss", note;
    libc::SYS_symlinkat, "symlinkat", "sis", note;
    libc::SYS_mknod, "mknod", "sx_", files::mknod;
    libc::SYS_mknodat, "mknodat", "isx_", files::mknod;
    libc::SYS_chmod, "chmod", "sx", note;
    libc::SYS_fchmod, "fchmod", "ix", note;
    libc::SYS_fchmodat, "fchmodat", "isx", note;
    nr::FCHMODAT2, "fchmodat2", "isxx", absent;
    libc::SYS_chown, "chown", "sii", note;
    libc::SYS_lchown, "lchown", "sii", note;
    libc::SYS_fchown, "fchown", "iii", note;
    libc::SYS_fchownat, "fchownat", "isiix", note;
    libc::SYS_utimensat, "utimensat", "ispx", note;
    libc::SYS_utime, "utime", "sp", note;
    libc::SYS_utimes, "utimes", "sp", note;
    libc::SYS_truncate, "truncate", "si", note;
    libc::SYS_ftruncate, "ftruncate", "ii", note;
    libc::SYS_fallocate, "fallocate", "ixii", files::write_whole;
    libc::SYS_fsync, "fsync", "i", note;
    libc::SYS_fdatasync, "fdatasync", "i", note;
    libc::SYS_sync, "sync", "", zero;
    libc::SYS_syncfs, "syncfs", "i", zero;
    libc::SYS_fadvise64, "fadvise64", "iiix", note;
    libc::SYS_readahead, "readahead", "iiu", note;
    libc::SYS_flock, "flock", "ix", files::flock;
    libc::SYS_sendfile, "sendfile", "iipu", files::write_whole;
    libc::SYS_copy_file_range, "copy_file_range", "ipipux", files::write_whole;
    libc::SYS_memfd_create, "memfd_create", "sx", note;
    libc::SYS_eventfd, "eventfd", "u", note;
    libc::SYS_eventfd2, "eventfd2", "ux", note;
    libc::SYS_getxattr, "getxattr", "sspu", files::no_attributes;
    libc::SYS_lgetxattr, "lgetxattr", "sspu", files::no_attributes;
    libc::SYS_fgetxattr, "fgetxattr", "ispu", files::no_attributes;
    libc::SYS_listxattr, "listxattr", "spu", files::no_attributes;
    libc::SYS_llistxattr, "llistxattr", "spu", files::no_attributes;
    libc::SYS_flistxattr, "flistxattr", "ipu", files::no_attributes;
    libc::SYS_setxattr, "setxattr", "sspux", files::no_attributes;
    libc::SYS_inotify_init1, "inotify_init1", "x", absent;
    libc::SYS_inotify_init, "inotify_init", "", absent;
    libc::SYS_inotify_add_watch, "inotify_add_watch", "isx", note;
    libc::SYS_inotify_rm_watch, "inotify_rm_watch", "ii", note;
};

/// Memory and code.
const MEMORY: &[Row] = rows! {
    libc::SYS_mmap, "mmap", "puxxii", memory::mmap;
    libc::SYS_mprotect, "mprotect", "pux", memory::mprotect;
    libc::SYS_pkey_mprotect, "pkey_mprotect", "puxi", absent;
    libc::SYS_pkey_alloc, "pkey_alloc", "xx", absent;
    libc::SYS_brk, "brk", "p", memory::brk;
    libc::SYS_mremap, "mremap", "puuxp", memory::remap;
    libc::SYS_madvise, "madvise", "pux", memory::madvise;
    libc::SYS_msync, "msync", "pux", note;
    libc::SYS_mlock, "mlock", "pu", zero;
    libc::SYS_mlock2, "mlock2", "pux", zero;
    libc::SYS_munlock, "munlock", "pu", zero;
    libc::SYS_mlockall, "mlockall", "x", zero;
    libc::SYS_munlockall, "munlockall", "", zero;
    libc::SYS_mincore, "mincore", "pup", absent;
    libc::SYS_membarrier, "membarrier", "xx", absent;
    libc::SYS_mbind, "mbind", "", absent;
    libc::SYS_set_mempolicy, "set_mempolicy", "", absent;
    libc::SYS_get_mempolicy, "get_mempolicy", "", absent;
    nr::PROCESS_MADVISE, "process_madvise", "", absent;
    nr::MAP_SHADOW_STACK, "map_shadow_stack", "", absent;
    nr::MSEAL, "mseal", "", absent;
};

/// Time, identity and scheduling.
const IDENTITY: &[Row] = rows! {
    libc::SYS_clock_gettime, "clock_gettime", "ip", time::clock_gettime;
    libc::SYS_clock_getres, "clock_getres", "ip", time::clock_getres;
    libc::SYS_gettimeofday, "gettimeofday", "pp", time::gettimeofday;
    libc::SYS_time, "time", "p", time::time;
    libc::SYS_times, "times", "p", time::times;
    libc::SYS_getrusage, "getrusage", "ip", time::getrusage;
    libc::SYS_nanosleep, "nanosleep", "pp", time::nanosleep;
    libc::SYS_clock_nanosleep, "clock_nanosleep", "ixpp", time::clock_nanosleep;
    libc::SYS_alarm, "alarm", "u", time::alarm;
    libc::SYS_setitimer, "setitimer", "ipp", time::setitimer;
    libc::SYS_getitimer, "getitimer", "ip", time::getitimer;
    libc::SYS_timer_create, "timer_create", "ipp", timers::create;
    libc::SYS_timer_settime, "timer_settime", "ixpp", timers::timer_settime;
    libc::SYS_timer_gettime, "timer_gettime", "ip", timers::timer_gettime;
    libc::SYS_timer_getoverrun, "timer_getoverrun", "i", timers::timer_getoverrun;
    libc::SYS_timer_delete, "timer_delete", "i", timers::timer_delete;
    libc::SYS_timerfd_create, "timerfd_create", "ix", timers::timerfd_create;
    libc::SYS_timerfd_settime, "timerfd_settime", "ixpp", timers::timerfd_settime;
    libc::SYS_timerfd_gettime, "timerfd_gettime", "ip", timers::timerfd_gettime;
    libc::SYS_getrandom, "getrandom", "pux", identity::getrandom;
    libc::SYS_uname, "uname", "p", identity::uname;
    libc::SYS_sysinfo, "sysinfo", "p", identity::sysinfo;
    libc::SYS_getcpu, "getcpu", "pp", identity::getcpu;
    libc::SYS_getgroups, "getgroups", "ip", zero;
    libc::SYS_getresuid, "getresuid", "ppp", note;
    libc::SYS_getresgid, "getresgid", "ppp", note;
    libc::SYS_setuid, "setuid", "i", note;
    libc::SYS_setgid, "setgid", "i", note;
    libc::SYS_setreuid, "setreuid", "ii", note;
    libc::SYS_setregid, "setregid", "ii", note;
    libc::SYS_setresuid, "setresuid", "iii", note;
    libc::SYS_setresgid, "setresgid", "iii", note;
    libc::SYS_setfsuid, "setfsuid", "i", note;
    libc::SYS_setfsgid, "setfsgid", "i", note;
    libc::SYS_setgroups, "setgroups", "ip", denied;
    libc::SYS_getpgid, "getpgid", "i", note;
    libc::SYS_setpgid, "setpgid", "ii", note;
    libc::SYS_getsid, "getsid", "i", note;
    libc::SYS_setsid, "setsid", "", note;
    libc::SYS_capget, "capget", "pp", note;
    libc::SYS_capset, "capset", "pp", note;
    libc::SYS_getrlimit, "getrlimit", "ip", note;
    libc::SYS_setrlimit, "setrlimit", "ip", identity::setrlimit;
    libc::SYS_prlimit64, "prlimit64", "iipp", identity::prlimit;
    libc::SYS_getpriority, "getpriority", "ii", identity::getpriority;
    libc::SYS_setpriority, "setpriority", "iii", zero;
    libc::SYS_ioprio_get, "ioprio_get", "ii", zero;
    libc::SYS_ioprio_set, "ioprio_set", "iii", zero;
    libc::SYS_sched_yield, "sched_yield", "", identity::sched_yield;
    libc::SYS_sched_getaffinity, "sched_getaffinity", "iup", identity::sched_getaffinity;
    libc::SYS_sched_setaffinity, "sched_setaffinity", "iup", zero;
    libc::SYS_sched_getscheduler, "sched_getscheduler", "i", zero;
    libc::SYS_sched_setscheduler, "sched_setscheduler", "iip", zero;
    libc::SYS_sched_getparam, "sched_getparam", "ip", identity::sched_getparam;
    libc::SYS_sched_setparam, "sched_setparam", "ip", zero;
    libc::SYS_sched_get_priority_max, "sched_get_priority_max", "i", note;
    libc::SYS_sched_get_priority_min, "sched_get_priority_min", "i", note;
    libc::SYS_prctl, "prctl", "i____", identity::prctl;
    libc::SYS_arch_prctl, "arch_prctl", "x_", identity::arch_prctl;
    libc::SYS_personality, "personality", "x", identity::personality;
    nr::RSEQ, "rseq", "", absent;
};

/// Threads, processes, signals and waiting.
const PROCESSES: &[Row] = rows! {
    libc::SYS_futex, "futex", "_xi___", futex::futex;
    nr::FUTEX_WAITV, "futex_waitv", "", absent;
    nr::FUTEX_REQUEUE - 2, "futex_wake", "", absent;
    nr::FUTEX_REQUEUE - 1, "futex_wait", "", absent;
    nr::FUTEX_REQUEUE, "futex_requeue", "", absent;
    libc::SYS_get_robust_list, "get_robust_list", "", absent;
    libc::SYS_set_tid_address, "set_tid_address", "p", process::set_tid_address;
    libc::SYS_clone, "clone", "x____", process::clone;
    libc::SYS_fork, "fork", "", process::clone;
    libc::SYS_vfork, "vfork", "", process::clone;
    nr::CLONE3, "clone3", "", absent;
    libc::SYS_execve, "execve", "spp", process::execve;
    libc::SYS_execveat, "execveat", "isppx", process::execveat;
    libc::SYS_exit, "exit", "i", process::exit;
    libc::SYS_exit_group, "exit_group", "i", process::exit_group;
    libc::SYS_wait4, "wait4", "ipxp", process::wait4;
    libc::SYS_waitid, "waitid", "iipxp", process::waitid;
    libc::SYS_kill, "kill", "ii", signals::kill;
    libc::SYS_tkill, "tkill", "ii", signals::kill;
    libc::SYS_tgkill, "tgkill", "iii", signals::tgkill;
    libc::SYS_rt_sigqueueinfo, "rt_sigqueueinfo", "iip", signals::kill;
    libc::SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", "iiip", signals::tgkill;
    libc::SYS_rt_sigaction, "rt_sigaction", "ip_u", signals::sigaction;
    libc::SYS_rt_sigsuspend, "rt_sigsuspend", "pu", signals::sigsuspend;
    libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", "pppu", signals::sigtimedwait;
    libc::SYS_pause, "pause", "", signals::pause;
    libc::SYS_signalfd4, "signalfd4", "ipux", note;
    libc::SYS_sched_rr_get_interval, "sched_rr_get_interval", "ip", absent;
    libc::SYS_sched_getattr, "sched_getattr", "ipux", absent;
    libc::SYS_sched_setattr, "sched_setattr", "ipx", absent;
    libc::SYS_seccomp, "seccomp", "", absent;
    libc::SYS_modify_ldt, "modify_ldt", "", absent;
    libc::SYS_restart_syscall, "restart_syscall", "", absent;
    libc::SYS_io_setup, "io_setup", "", absent;
    libc::SYS_splice, "splice", "ipipux", files::write_whole;
    libc::SYS_tee, "tee", "iiux", files::write_whole;
    libc::SYS_vmsplice, "vmsplice", "ipux", absent;
    nr::PIDFD_OPEN, "pidfd_open", "ix", absent;
    nr::PIDFD_SEND_SIGNAL, "pidfd_send_signal", "", absent;
    libc::SYS_poll, "poll", "pui", poll::poll;
    libc::SYS_ppoll, "ppoll", "pup", poll::ppoll;
    libc::SYS_select, "select", "ipppp", poll::select;
    libc::SYS_pselect6, "pselect6", "ippppp", poll::select;
    libc::SYS_epoll_create, "epoll_create", "i", note;
    libc::SYS_epoll_create1, "epoll_create1", "x", note;
    libc::SYS_epoll_ctl, "epoll_ctl", "iiip", note;
    libc::SYS_epoll_wait, "epoll_wait", "ipii", poll::epoll_wait;
    libc::SYS_epoll_pwait, "epoll_pwait", "ipii", poll::epoll_wait;
    nr::EPOLL_PWAIT2, "epoll_pwait2", "", absent;
    nr::IO_URING_SETUP, "io_uring_setup", "", absent;
    nr::IO_URING_SETUP + 1, "io_uring_enter", "", absent;
    nr::IO_URING_REGISTER, "io_uring_register", "", absent;
};

/// Sockets.
const SOCKETS: &[Row] = rows! {
    libc::SYS_socket, "socket", "iii", sockets::socket;
    libc::SYS_socketpair, "socketpair", "iiip", sockets::socketpair;
    libc::SYS_connect, "connect", "ipu", sockets::connect;
    libc::SYS_bind, "bind", "ipu", sockets::bind;
    libc::SYS_listen, "listen", "ii", sockets::listen;
    libc::SYS_accept, "accept", "ipp", sockets::accept;
    libc::SYS_accept4, "accept4", "ippx", sockets::accept;
    libc::SYS_getsockname, "getsockname", "ipp", sockets::address;
    libc::SYS_getpeername, "getpeername", "ipp", sockets::address;
    libc::SYS_setsockopt, "setsockopt", "iiipu", sockets::set_option;
    libc::SYS_getsockopt, "getsockopt", "iiipp", sockets::get_option;
    libc::SYS_shutdown, "shutdown", "ii", note;
    libc::SYS_sendto, "sendto", "ibuxpu", sockets::send_to;
    libc::SYS_sendmsg, "sendmsg", "ipx", sockets::send;
    libc::SYS_sendmmsg, "sendmmsg", "ipux", sockets::send;
    libc::SYS_recvfrom, "recvfrom", "ipuxpp", sockets::receive_bytes;
    libc::SYS_recvmsg, "recvmsg", "ipx", sockets::receive_message;
    libc::SYS_recvmmsg, "recvmmsg", "", absent;
};

/// What no unprivileged program may do anyway.
const DENIED: &[Row] = rows! {
    libc::SYS_ptrace, "ptrace", "i", denied;
    libc::SYS_mount, "mount", "", denied;
    libc::SYS_umount2, "umount2", "", denied;
    libc::SYS_pivot_root, "pivot_root", "", denied;
    libc::SYS_chroot, "chroot", "s", denied;
    libc::SYS_unshare, "unshare", "x", denied;
    libc::SYS_setns, "setns", "ix", denied;
    libc::SYS_bpf, "bpf", "i", denied;
    libc::SYS_perf_event_open, "perf_event_open", "", denied;
    libc::SYS_userfaultfd, "userfaultfd", "x", denied;
    libc::SYS_keyctl, "keyctl", "i", denied;
    libc::SYS_add_key, "add_key", "", denied;
    libc::SYS_request_key, "request_key", "", denied;
    libc::SYS_process_vm_readv, "process_vm_readv", "", denied;
    libc::SYS_process_vm_writev, "process_vm_writev", "", denied;
    libc::SYS_kcmp, "kcmp", "", denied;
    libc::SYS_pidfd_getfd, "pidfd_getfd", "", denied;
    libc::SYS_open_by_handle_at, "open_by_handle_at", "", denied;
    libc::SYS_name_to_handle_at, "name_to_handle_at", "", denied;
    libc::SYS_fanotify_init, "fanotify_init", "", denied;
    libc::SYS_init_module, "init_module", "", denied;
    libc::SYS_finit_module, "finit_module", "", denied;
    libc::SYS_delete_module, "delete_module", "", denied;
    libc::SYS_kexec_load, "kexec_load", "", denied;
    libc::SYS_reboot, "reboot", "", denied;
    libc::SYS_swapon, "swapon", "", denied;
    libc::SYS_swapoff, "swapoff", "", denied;
    libc::SYS_iopl, "iopl", "i", denied;
    libc::SYS_ioperm, "ioperm", "", denied;
    libc::SYS_sethostname, "sethostname", "", denied;
    libc::SYS_setdomainname, "setdomainname", "", denied;
    libc::SYS_settimeofday, "settimeofday", "", denied;
    libc::SYS_clock_settime, "clock_settime", "", denied;
    libc::SYS_syslog, "syslog", "i", denied;
    libc::SYS_acct, "acct", "", denied;
    libc::SYS_quotactl, "quotactl", "", denied;
    libc::SYS_vhangup, "vhangup", "", denied;
    libc::SYS_fsopen, "fsopen", "", denied;
    libc::SYS_fsmount, "fsmount", "", denied;
    libc::SYS_open_tree, "open_tree", "", denied;
    libc::SYS_move_mount, "move_mount", "", denied;
    libc::SYS_mount_setattr, "mount_setattr", "", denied;
    nr::LISTMOUNT, "listmount", "", denied;
};

/// Ids, once they are traced in the profile without a process-id namespace, and what needs no look.
const QUIET: &[Row] = rows! {
    libc::SYS_getpid, "getpid", "", pass;
    libc::SYS_gettid, "gettid", "", pass;
    libc::SYS_getppid, "getppid", "", pass;
    libc::SYS_getpgrp, "getpgrp", "", pass;
    libc::SYS_rt_sigprocmask, "rt_sigprocmask", "", pass;
    libc::SYS_munmap, "munmap", "", pass;
};

/// Semaphores, messages and shared memory of System V.
const SYSTEM_V: &[Row] = rows! {
    libc::SYS_shmget, "shmget", "xux", sysv::shmget;
    libc::SYS_shmat, "shmat", "ipx", sysv::shmat;
    libc::SYS_shmdt, "shmdt", "p", sysv::shmdt;
    libc::SYS_shmctl, "shmctl", "iip", sysv::shmctl;
    libc::SYS_semget, "semget", "xix", sysv::semget;
    libc::SYS_semop, "semop", "ipu", sysv::semop;
    libc::SYS_semtimedop, "semtimedop", "ipup", sysv::semop;
    libc::SYS_semctl, "semctl", "iii_", sysv::semctl;
    libc::SYS_msgget, "msgget", "xx", sysv::msgget;
    libc::SYS_msgsnd, "msgsnd", "ipux", sysv::msgsnd;
    libc::SYS_msgrcv, "msgrcv", "ipuix", sysv::msgrcv;
    libc::SYS_msgctl, "msgctl", "iip", sysv::msgctl;
};

const GROUPS: [&[Row]; 8] = [SYSTEM_V, FILES, MEMORY, IDENTITY, PROCESSES, SOCKETS, DENIED, QUIET];
const SIZE: usize = 512;

/// Rows by number.
pub(crate) struct Table([Option<&'static Row>; SIZE]);

impl Table {
    pub(crate) fn new() -> Self {
        let mut rows = [None; SIZE];
        for row in GROUPS.iter().flat_map(|group| group.iter()) {
            if let Some(slot) = rows.get_mut(row.nr as usize) {
                *slot = Some(row);
            }
        }
        Self(rows)
    }

    pub(crate) fn get(&self, nr: i64) -> Option<&'static Row> {
        self.0.get(usize::try_from(nr).ok()?).copied().flatten()
    }
}
