//! The sandbox: runs one program in a root file system of its own, without a daemon and without needing root.
//!
//! # How a program gets started
//!
//! 1. [`Sandbox::spawn`] starts this executable again (`/proc/self/exe`) with [`MARKER`] as its name, and sends it the
//!    [`Spec`] over a socket. The caller may have any number of threads: nothing is forked that was not just executed.
//! 2. The new process lands in [`init_if_child`], enters the namespaces (`stage`) and forks.
//! 3. Its child is process 1 of the sandbox (`init`). It puts the root file system together (`rootfs`), makes it its
//!    root, and forks once more.
//! 4. That child gives up what the program shall not have (`payload`: capabilities, system calls, its user) and
//!    executes the program.
//! 5. Process 1 reaps, passes on signals, hands out sockets of the sandbox's network ([`Running::connect`]), and ends
//!    with the program, and everything in the sandbox with it.
//!
//! Nothing outlives the caller: when its end of the socket closes, for whatever reason, process 1 ends. All mounts are
//! in the sandbox's own namespace and go with it.
//!
//! # Users
//!
//! [`Mode::detect`] says how user ids come out. As root they are what they are. Any other user gets a user namespace:
//! with ranges of subordinate ids and `newuidmap` all ids of an image exist in it; without, the one id that the program
//! runs as is the caller. Giving files to others is then noted and becoming somebody else pretended, where the spec asks
//! for that ([`Spec::pretend_ids`], `ownership`).
//!
//! # What holds the program
//!
//! Namespaces (user when not root, mount, PID, network, IPC, UTS, cgroup), the capabilities that Docker leaves to root
//! in a container and none for anybody else, `no_new_privs`, a seccomp filter after Docker's default profile
//! (`seccomp`), masked and read-only paths in `/proc` and `/sys` as Docker has them, a fresh `/dev`. Memory and CPU are
//! not limited, but by [`Limit`]s; where memory runs out, what is in a sandbox is the first that the kernel kills
//! ([`Running::memory_ran_out`]). This needs Linux 5.12.

mod attach;
mod control;
mod error;
mod init;
mod memory;
mod mode;
mod mounts;
mod namespace;
mod overlay;
mod ownership;
mod payload;
mod relay;
mod rootfs;
mod running;
mod seccomp;
mod spec;
mod stage;

pub use control::ExitStatus;
pub use error::SandboxError;
pub use memory::OutOfMemory;
pub use mode::{IdRange, Mode};
pub use running::{Running, Sandbox};
pub use spec::{Limit, Mount, Network, Resource, Rootfs, Seccomp, Secret, Spec, Stdio, Upper, WindowSize};
pub use stage::{MARKER, init_if_child};

pub(crate) use mode::{has_subordinate_ids, is_first_namespace};
pub(crate) use namespace::{give_in_user_namespace, look_in_user_namespace};
pub(crate) use ownership::{NOTES, Noted, OWNER, parse as parse_owner, parse_notes};
pub(crate) use running::remove_in_user_namespace;
