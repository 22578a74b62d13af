//! seccomp: which system calls this process may make.
//!
//! A list of what is allowed, not of what is refused: a call that a later kernel adds is refused until it was looked at,
//! as is one by another numbering of the same architecture (x32). Everything else fails with `EPERM`; calls of another
//! architecture end the process.
//!
//! The list has what the standard library, memory allocators, tokio and the transports use. It has what Landlock restricts
//! (opening files), and lacks what Landlock does not know of and others would notice: modes, owners and times of files,
//! extended attributes, inotify, shared memory of System V, message queues, scheduling, limits, process groups.

use std::collections::BTreeMap;

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::Sandbox;

/// Restricts the calling thread to what it needs until it is connected to its parent; returns the filter for all threads
/// after that.
///
/// # Errors
/// Says what the kernel refuses, or what can't be allowed.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH;
    if let Some((other, number)) = sandbox.syscalls.iter().find(|(of, _)| of != arch) {
        return Err(format!(
            "the system call {number} was allowed by its number on {other}, and this process is on {arch}"
        ));
    }
    let refused = |what: &'static str| move |error: seccompiler::Error| format!("seccomp: {what}: {error}");
    let broken = |error: BackendError| format!("seccomp: {error}");
    let by_pointer = [(libc::SYS_clone3, Vec::new())].into();
    let by_pointer = filter(by_pointer, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32));
    seccompiler::apply_filter(&by_pointer.map_err(broken)?).map_err(refused("clone3"))?;
    let at_last = allowing(rules(sandbox).map_err(broken)?).map_err(broken)?;
    let mut at_first = rules(sandbox).map_err(broken)?;
    at_first.extend(TO_CONNECT.iter().map(|call| (*call, Vec::new())));
    seccompiler::apply_filter(&allowing(at_first).map_err(broken)?).map_err(refused("the first filter"))?;
    Ok(at_last)
}

/// For each system call the conditions of which one must hold; none for a call that is always allowed.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn allowing(rules: Rules) -> Result<BpfProgram, BackendError> {
    filter(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

fn filter(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, listed, TargetArch::try_from(std::env::consts::ARCH)?)?.try_into()
}

fn rules(sandbox: &Sandbox) -> Result<Rules, BackendError> {
    let mut rules: Rules = ALWAYS.iter().chain(OF_ARCHITECTURE).map(|call| (*call, Vec::new())).collect();
    let option = |option: libc::c_int| (0, Dword, Eq, option as u64);
    let prctl = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_PDEATHSIG, libc::PR_GET_DUMPABLE, PR_SET_VMA];
    let prctl = prctl.into_iter().chain([libc::PR_SET_NO_NEW_PRIVS]).map(|number| when(&[option(number)]));
    // It can't give up its death by its parent's.
    let dies = when(&[option(libc::PR_SET_PDEATHSIG), (1, Qword, Eq, libc::SIGKILL as u64)]);
    rules.insert(libc::SYS_prctl, prctl.chain([dies]).collect::<Result<_, _>>()?);
    // None that types into the terminal, for one.
    let ioctl = [libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ];
    #[allow(clippy::unnecessary_cast, reason = "the type differs with the C library")]
    let ioctl = ioctl.map(|request| when(&[(1, Dword, Eq, request as u64)]));
    rules.insert(libc::SYS_ioctl, ioctl.into_iter().collect::<Result<_, _>>()?);
    // Of itself, and only read.
    rules.insert(libc::SYS_prlimit64, vec![when(&[(0, Dword, Eq, 0), (2, Qword, Eq, 0)])?]);
    // One for datagrams could send to any other Unix socket.
    let stream = [(0, Dword, Eq, libc::AF_UNIX as u64), (1, Dword, MaskedEq(SOCKET_TYPE), libc::SOCK_STREAM as u64)];
    rules.insert(libc::SYS_socketpair, vec![when(&stream)?]);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        // It connects, without `connect`.
        rules.insert(call, vec![when(&[(flags, Dword, MaskedEq(libc::MSG_FASTOPEN as u64), 0)])?]);
    }
    let (thread, spaces) = (libc::CLONE_THREAD as u64, NAMESPACES);
    let clone = match sandbox.execute.is_empty() {
        true => when(&[(0, Dword, MaskedEq(thread | spaces), thread)])?,
        false => when(&[(0, Dword, MaskedEq(spaces), 0)])?,
    };
    rules.insert(libc::SYS_clone, vec![clone]);
    if !sandbox.execute.is_empty() {
        rules.extend(TO_EXECUTE.iter().map(|call| (*call, Vec::new())));
    }
    if sandbox.network {
        let families = [libc::AF_INET, libc::AF_INET6].map(|family| when(&[(0, Dword, Eq, family as u64)]));
        rules.insert(libc::SYS_socket, families.into_iter().collect::<Result<_, _>>()?);
        rules.extend(TO_SERVE.iter().map(|call| (*call, Vec::new())));
    }
    rules.extend(sandbox.syscalls.iter().map(|(_, number)| (*number, Vec::new())));
    Ok(rules)
}

/// A rule that holds when all of these do: the argument, how much of it, how it is compared, and with what.
fn when(all: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, length, compare, value): &(u8, SeccompCmpArgLen, SeccompCmpOp, u64)| {
        SeccompCondition::new(*argument, length.clone(), compare.clone(), *value)
    };
    SeccompRule::new(all.iter().map(condition).collect::<Result<_, _>>()?)
}

/// What the second filter refuses: it is put over the first, and connections are made in between.
const TO_CONNECT: &[i64] = &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_seccomp];

/// With [`Sandbox::network`]; `socket` has a condition.
const TO_SERVE: &[i64] = &[libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];

/// With [`Sandbox::execute`]; `clone` has another condition then.
#[cfg(target_arch = "x86_64")]
const TO_EXECUTE: &[i64] =
    &[libc::SYS_execve, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_fork, libc::SYS_vfork, libc::SYS_getpgrp];
#[cfg(not(target_arch = "x86_64"))]
const TO_EXECUTE: &[i64] = &[libc::SYS_execve, libc::SYS_wait4, libc::SYS_waitid];

/// What `clone` must not make: `CLONE_NEWTIME` and all others.
const NAMESPACES: u64 = 0x80
    | (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET) as u64;

/// The bits of a socket's type that are not flags.
const SOCKET_TYPE: u64 = 0xf;

/// Names memory, which allocators and the C library do. Not in all versions of `libc`.
const PR_SET_VMA: libc::c_int = 0x5356_4d41;

#[rustfmt::skip]
const ALWAYS: &[i64] = &[
    // Files that are open.
    libc::SYS_close, libc::SYS_close_range, libc::SYS_copy_file_range, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_fadvise64, libc::SYS_fallocate, libc::SYS_fcntl, libc::SYS_fdatasync, libc::SYS_flock, libc::SYS_fstat,
    libc::SYS_fstatfs, libc::SYS_fsync, libc::SYS_ftruncate, libc::SYS_getdents64, libc::SYS_lseek, libc::SYS_pipe2,
    libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2,
    libc::SYS_read, libc::SYS_readahead, libc::SYS_readv, libc::SYS_sendfile, libc::SYS_splice,
    libc::SYS_sync_file_range, libc::SYS_tee, libc::SYS_vmsplice, libc::SYS_write, libc::SYS_writev,
    // Files by path: Landlock decides; what is known of them without opening them, it does not.
    libc::SYS_chdir, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fchdir, libc::SYS_getcwd, libc::SYS_linkat,
    libc::SYS_mkdirat, libc::SYS_newfstatat, libc::SYS_openat, libc::SYS_openat2, libc::SYS_readlinkat,
    libc::SYS_renameat2, libc::SYS_statfs, libc::SYS_statx, libc::SYS_truncate, libc::SYS_umask, libc::SYS_unlinkat,
    // Memory.
    libc::SYS_brk, libc::SYS_madvise, libc::SYS_membarrier, libc::SYS_memfd_create, libc::SYS_mincore, libc::SYS_mlock,
    libc::SYS_mlock2, libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_msync,
    libc::SYS_munlock, libc::SYS_munmap, libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect,
    // Threads; `clone` has a condition, and `clone3` another filter: it hides its flags from this one.
    libc::SYS_clone3, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_futex_waitv,
    libc::SYS_get_robust_list, libc::SYS_getcpu, libc::SYS_gettid, libc::SYS_rseq, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler, libc::SYS_sched_yield, libc::SYS_set_robust_list, libc::SYS_set_tid_address,
    // What it is.
    libc::SYS_capget, libc::SYS_getegid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getgroups, libc::SYS_getpgid,
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_getpriority, libc::SYS_getresgid, libc::SYS_getresuid,
    libc::SYS_getrusage, libc::SYS_getsid, libc::SYS_getuid, libc::SYS_sysinfo, libc::SYS_times, libc::SYS_uname,
    // Signals; Landlock keeps those to other processes in.
    libc::SYS_kill, libc::SYS_restart_syscall, libc::SYS_rt_sigaction, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend, libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack, libc::SYS_signalfd4, libc::SYS_tgkill, libc::SYS_tkill,
    // Time.
    libc::SYS_clock_getres, libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_getitimer,
    libc::SYS_gettimeofday, libc::SYS_nanosleep, libc::SYS_setitimer, libc::SYS_timer_create, libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun, libc::SYS_timer_gettime, libc::SYS_timer_settime, libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime, libc::SYS_timerfd_settime,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2,
    libc::SYS_ppoll, libc::SYS_pselect6,
    // Sockets that are there; `sendto` and its like have conditions.
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_getpeername, libc::SYS_getsockname, libc::SYS_getsockopt,
    libc::SYS_recvfrom, libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_setsockopt, libc::SYS_shutdown,
    // Random numbers.
    libc::SYS_getrandom,
];

/// Those that older interfaces of one architecture have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OF_ARCHITECTURE: &[i64] = &[
    libc::SYS_access, libc::SYS_alarm, libc::SYS_arch_prctl, libc::SYS_dup2, libc::SYS_epoll_create,
    libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_getdents, libc::SYS_getrlimit, libc::SYS_link, libc::SYS_lstat,
    libc::SYS_mkdir, libc::SYS_open, libc::SYS_pause, libc::SYS_pipe, libc::SYS_poll, libc::SYS_readlink,
    libc::SYS_rename, libc::SYS_renameat, libc::SYS_rmdir, libc::SYS_select, libc::SYS_signalfd, libc::SYS_stat,
    libc::SYS_time, libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const OF_ARCHITECTURE: &[i64] = &[libc::SYS_getrlimit, libc::SYS_renameat];
#[cfg(target_arch = "riscv64")]
const OF_ARCHITECTURE: &[i64] = &[libc::SYS_getrlimit];
