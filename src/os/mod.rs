//! The ground: what this process, its children and their descendants are to the operating system.
//!
//! Nothing here knows of actors that run, of connections, or of a tree beyond its mark.
//!
//! | file | station |
//! |---|---|
//! | [`about`] | what the kernel tells about a process |
//! | [`process`] | starting a process, its group, its end |
//! | [`program`] | the executable file of this program |
//! | [`setup`] | what a new process sets up before it is an actor |
//! | [`sandbox`] | what a process may still do once it is an actor |
//! | [`cgroup`] | a control group for one actor and its processes |
//! | `harness` | the standard output of an actor that a test harness enters |
//! | [`ties`] | the kernel's death signal, for a child whose parent has died |
//! | [`privileges`] | giving up privileges, but not these ties |
//! | [`mark`] | what all processes carry that descend from an actor |
//! | [`abstract_sockets`] | sockets without a file, as the kernel lists them |
//! | [`life_sign`] | what others see of a tree whose root is alive |
//! | [`marked`] | finding and ending such processes |
//! | [`orphans`] | those that have lost their parent end up at the root |
//! | [`thread_stacks`] | where each thread of this process is |
//! | [`maps`] | what is mapped into the memory of a process |
//! | [`elf`] | what an executable file tells of itself |
//! | [`tracer`] | whether a debugger is attached to a process |
//! | [`relay`] | an output of a child, line by line |
//! | [`signals`] | the signals that end this process |
//! | [`terminal`] | the terminal, for a debugger of this process |
//! | [`exit_callbacks`] | what the process does last |
//! | [`files`] | how many files may be open |
//! | [`socket_dir`] | where a tree keeps its Unix sockets |
//! | `crash_stack` | where a process was when a signal killed it |
//! | [`core_dump`] | where the kernel puts the core dump of a process |
//! | [`dead_sockets`] | those without a listener, where a user has named the place |

pub(crate) mod about;
pub(crate) mod abstract_sockets;
pub(crate) mod cgroup;
pub(crate) mod core_dump;
#[cfg(feature = "crashes")]
pub(crate) mod crash_stack;
pub(crate) mod dead_sockets;
pub(crate) mod elf;
pub(crate) mod exit_callbacks;
pub(crate) mod files;
#[cfg(feature = "testing")]
pub(crate) mod harness;
pub(crate) mod life_sign;
pub(crate) mod maps;
pub(crate) mod mark;
pub(crate) mod marked;
pub(crate) mod orphans;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod relay;
pub(crate) mod sandbox;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod socket_dir;
pub(crate) mod terminal;
pub(crate) mod thread_stacks;
pub(crate) mod ties;
pub(crate) mod tracer;
