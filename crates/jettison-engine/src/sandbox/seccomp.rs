//! The system call filter: in substance Docker's default profile (moby, `profiles/seccomp/default.json`) for a
//! container without added capabilities.
//!
//! Docker's is a list of what is allowed. Ours is the complement: what Docker forbids among the system calls that were
//! known when this was written fails with `EPERM`, and what came later fails with `ENOSYS`, as on a kernel that does
//! not have it, which C libraries cope with. `clone3` fails with `ENOSYS` too, since its flags are behind a pointer
//! that a filter cannot follow; `clone` is used in its stead and must not make namespaces. Programs of another
//! architecture (32-bit) are killed.

use std::collections::BTreeMap;
use std::io;

use libc::{c_long, sock_filter};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// `file_setattr`, of Linux 6.17. Numbers from 424 on are the same on all architectures.
const LAST_KNOWN: u32 = 469;
/// Of a system call of the x32 ABI, which is not offered.
const X32: u32 = 0x4000_0000;

/// Forbidden on every architecture. Most need a capability that the sandbox does not have; they are kernel code that a
/// program could still reach.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_get_mempolicy,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_set_mempolicy,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // set_mempolicy_home_node and open_tree_attr, which libc does not name everywhere.
    450,
    467,
];

#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[c_long] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
    // create_module, get_kernel_syms and query_module, long gone.
    174,
    177,
    178,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[c_long] = &[];

/// `CLONE_NEW*` flags that `clone` must not have.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// Becoming somebody. Giving files away is [`ownership`](super::ownership)'s.
const IDS: &[c_long] = &[
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
];

/// Families of sockets that reach beyond the sandbox: kernel crypto and the hypervisor.
const SOCKETS: [i32; 2] = [libc::AF_ALG, libc::AF_VSOCK];
/// What `personality` may be: Linux, with `UNAME26`, without address randomisation, or a question.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Installs the filter for this thread and what it will execute. The caller has set `no_new_privs` or has
/// `CAP_SYS_ADMIN`.
pub(super) fn install() -> io::Result<()> {
    for program in programs().map_err(io::Error::other)? {
        install_program(&program)?;
    }
    Ok(())
}

/// `AUDIT_ARCH_*` of this program (linux/audit.h): the ELF machine, 64 bits, little-endian.
pub(super) const fn native_architecture() -> u32 {
    let machine = if cfg!(target_arch = "aarch64") {
        libc::EM_AARCH64
    } else if cfg!(target_arch = "riscv64") {
        libc::EM_RISCV
    } else {
        libc::EM_X86_64
    };
    0xc000_0000 | machine as u32
}

/// Lets system calls by which a program becomes somebody else succeed without effect, for this thread and what it will
/// execute: for a sandbox in which one id exists. Nothing is gained by it: the program has what it had.
pub(super) fn pretend_ids() -> io::Result<()> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let rules = IDS.iter().map(|&number| (number, Vec::new())).collect();
    // An error of 0 is success (seccomp(2), SECCOMP_RET_ERRNO).
    install_program(&filter(rules, 0, arch).map_err(io::Error::other)?)
}

fn programs() -> Result<[Vec<sock_filter>; 3], seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut forbidden: BTreeMap<_, Vec<_>> =
        FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|&number| (number, Vec::new())).collect();
    let flags = NAMESPACES.iter().map(|&flag| rule([(SeccompCmpOp::MaskedEq(flag as u64), flag as u64)]));
    forbidden.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    let families = SOCKETS.iter().map(|&family| rule([(SeccompCmpOp::Eq, family as u64)]));
    forbidden.insert(libc::SYS_socket, families.collect::<Result<_, _>>()?);
    forbidden.insert(libc::SYS_personality, vec![rule(PERSONALITIES.map(|allowed| (SeccompCmpOp::Ne, allowed)))?]);
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([filter(forbidden, libc::EPERM, arch)?, filter(unknown, libc::ENOSYS, arch)?, beyond(LAST_KNOWN)])
}

/// A program that lets the system calls in `rules` fail with `errno`, and all others through.
fn filter(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    errno: i32,
    arch: TargetArch,
) -> Result<Vec<sock_filter>, seccompiler::Error> {
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?;
    let program: BpfProgram = filter.try_into()?;
    let convert = |i: &seccompiler::sock_filter| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Ok(program.iter().map(convert).collect())
}

/// A rule over the lower half of the first argument.
fn rule<const N: usize>(conditions: [(SeccompCmpOp, u64); N]) -> Result<SeccompRule, seccompiler::Error> {
    let condition = |(operator, value)| SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value);
    Ok(SeccompRule::new(conditions.into_iter().map(condition).collect::<Result<_, _>>()?)?)
}

/// A program under which numbers above `last` do not exist, those of x32 among them.
fn beyond(last: u32) -> Vec<sock_filter> {
    debug_assert!(last < X32);
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number is the first word of `struct seccomp_data`.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, last),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn install_program(program: &[sock_filter]) -> io::Result<()> {
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `len` instructions behind `filter`, which live until this returns, and changes nothing.
    let installed = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const header) };
    if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_are_short_enough() {
        for program in programs().unwrap() {
            assert!(!program.is_empty() && program.len() < 1000);
        }
    }
}
