//! What hostile code tries: one system call each, as near to the kernel as can be, and the error that it gets.

#![expect(unsafe_code, reason = "the C library would refuse some of these by itself")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self, UnixListener};
use std::path::PathBuf;
use std::ptr::null;

use serde::{Deserialize, Serialize};

/// What is attacked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// A directory of the parent's, with a file `secret` and a socket `socket` in it.
    pub(crate) dir: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) udp: SocketAddr,
    pub(crate) abstract_socket: String,
    pub(crate) parent: i32,
}

/// What there is of them in the parent.
pub(crate) struct Victim {
    pub(crate) targets: Targets,
    _dir: tempfile::TempDir,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _sockets: [UnixListener; 2],
}

impl Victim {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Nothing but the sandbox keeps another user out.
        let open = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(dir.path(), open(0o777)).unwrap();
        fs::write(dir.path().join("secret"), "the parent's").unwrap();
        let by_path = UnixListener::bind(dir.path().join("socket")).unwrap();
        for (name, mode) in [("secret", 0o666), ("socket", 0o777)] {
            fs::set_permissions(dir.path().join(name), open(mode)).unwrap();
        }
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let abstract_socket = dir.path().display().to_string();
        let name = net::SocketAddr::from_abstract_name(&abstract_socket).unwrap();
        let targets = Targets {
            dir: dir.path().into(),
            tcp: tcp.local_addr().unwrap(),
            udp: udp.local_addr().unwrap(),
            abstract_socket,
            parent: std::process::id().cast_signed(),
        };
        Self { targets, _dir: dir, _tcp: tcp, _udp: udp, _sockets: [by_path, UnixListener::bind_addr(&name).unwrap()] }
    }
}

/// Tries everything; returns for each what came of it: `open`, `none` or the name of an error.
pub(crate) fn all(at: &Targets) -> Vec<(String, String)> {
    let tried = FILES.iter().chain(CONNECTIONS).chain(PROCESSES).chain(KERNEL);
    tried.map(|(what, attempt)| (what.to_string(), shown(attempt(at)))).collect()
}

/// As [`all`], with those only that any process may do, and go on.
pub(crate) fn harmless(at: &Targets) -> Vec<(String, String)> {
    let tried = [
        &FILES[..1],
        // Without `/etc/shadow`, which few may read.
        &FILES[2..6],
        &FILES[20..],
        &CONNECTIONS[..3],
        &CONNECTIONS[4..7],
        &PROCESSES[..1],
        &PROCESSES[3..4],
        &PROCESSES[5..8],
    ];
    tried.concat().into_iter().map(|(what, attempt)| (what.to_string(), shown(attempt(at)))).collect()
}

type Attempt = (&'static str, fn(&Targets) -> io::Result<()>);

const FILES: &[Attempt] = &[
    ("read `/etc/passwd`", |_| fs::read("/etc/passwd").map(drop)),
    ("read `/etc/shadow`", |_| fs::read("/etc/shadow").map(drop)),
    ("read a file of its parent", |at| fs::read(at.dir.join("secret")).map(drop)),
    ("write to a file of its parent", |at| fs::OpenOptions::new().write(true).open(at.dir.join("secret")).map(drop)),
    ("make a file", |at| fs::write(at.dir.join("new"), "")),
    ("make a directory", |at| fs::create_dir(at.dir.join("below"))),
    ("remove a file of its parent", |at| fs::remove_file(at.dir.join("secret"))),
    ("rename a file of its parent", |at| fs::rename(at.dir.join("secret"), at.dir.join("other"))),
    ("cut a file of its parent short", |at| call(libc::SYS_truncate, &[path(at.dir.join("secret")).addr(), 0])),
    ("link to a file of its parent", |at| fs::hard_link(at.dir.join("secret"), at.dir.join("link"))),
    ("make a symbolic link", |at| std::os::unix::fs::symlink("/", at.dir.join("link"))),
    ("make a device", |at| call(libc::SYS_mknodat, &[at_cwd(), path(at.dir.join("new")).addr(), 0o20600, 0x101])),
    ("list `/`", |_| fs::read_dir("/").map(drop)),
    ("change the mode of a file", |at| {
        fs::set_permissions(at.dir.join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
    }),
    ("change the owner of a file", |at| std::os::unix::fs::chown(at.dir.join("secret"), Some(1), Some(1))),
    ("change the times of a file", |at| {
        call(libc::SYS_utimensat, &[at_cwd(), path(at.dir.join("secret")).addr(), 0, 0])
    }),
    ("set an extended attribute", |at| {
        let name = path("user.x".into());
        call(libc::SYS_setxattr, &[path(at.dir.join("secret")).addr(), name.addr(), name.addr(), 1, 0])
    }),
    ("read what its parent's process has (`/proc/PID/environ`)", |at| {
        fs::read(format!("/proc/{}/environ", at.parent)).map(drop)
    }),
    ("read the sockets of the host (`/proc/net/unix`)", |_| fs::read("/proc/net/unix").map(drop)),
    ("write to `/proc/self/mem`", |_| fs::OpenOptions::new().write(true).open("/proc/self/mem").map(drop)),
    ("watch a directory (`inotify`)", |_| call(libc::SYS_inotify_init1, &[0])),
    ("learn that a file exists, its size and times (`stat`)", |at| fs::metadata(at.dir.join("secret")).map(drop)),
];

const CONNECTIONS: &[Attempt] = &[
    ("connect over TCP", |at| std::net::TcpStream::connect(at.tcp).map(drop)),
    ("listen over TCP", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("send over UDP by a socket of its own", |at| UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", at.udp).map(drop)),
    ("send over UDP by its transport's socket", |at| {
        let SocketAddr::V4(to) = at.udp else { return Err(io::ErrorKind::Unsupported.into()) };
        let to = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: to.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
            sin_zero: [0; 8],
        };
        let sent = datagram_sockets().map(|socket| {
            let arguments = [socket, c"x".as_ptr().addr(), 1, 0, (&raw const to).addr(), size_of_val(&to)];
            call(libc::SYS_sendto, &arguments)
        });
        sent.last().unwrap_or_else(|| Err(io::Error::from_raw_os_error(NONE)))
    }),
    ("connect to a Unix socket by its path", |at| net::UnixStream::connect(at.dir.join("socket")).map(drop)),
    ("connect to an abstract Unix socket", |at| {
        net::UnixStream::connect_addr(&net::SocketAddr::from_abstract_name(&at.abstract_socket)?).map(drop)
    }),
    ("make a Unix socket for datagrams", |_| net::UnixDatagram::pair().map(drop)),
    ("make a raw socket", |_| call(libc::SYS_socket, &[libc::AF_INET as usize, libc::SOCK_RAW as usize, 1])),
    ("make a socket of the kernel's (`AF_NETLINK`, `AF_ALG`, `AF_VSOCK`)", |_| {
        let families = [libc::AF_NETLINK, libc::AF_ALG, libc::AF_VSOCK].map(|family| family as usize);
        families
            .iter()
            .map(|family| call(libc::SYS_socket, &[*family, libc::SOCK_SEQPACKET as usize, 0]))
            .next_back()
            .unwrap()
    }),
    ("connect without `connect` (`MSG_FASTOPEN`)", |_| {
        let (one, _other) = net::UnixStream::pair()?;
        let socket = one.as_raw_fd() as usize;
        call(libc::SYS_sendto, &[socket, c"x".as_ptr().addr(), 1, libc::MSG_FASTOPEN as usize, 0, 0])
    }),
];

const PROCESSES: &[Attempt] = &[
    ("start `/bin/sh`", |_| std::process::Command::new("/bin/sh").arg("-c").arg("true").status().map(drop)),
    ("become `/bin/sh` (`execve`)", |_| {
        let file = path("/bin/sh".into());
        call(libc::SYS_execve, &[file.addr(), [file, null()].as_ptr().addr(), [null::<u8>()].as_ptr().addr()])
    }),
    ("become a program in memory (`execveat`)", |_| {
        // AT_EMPTY_PATH
        call(
            libc::SYS_execveat,
            &[0, c"".as_ptr().addr(), [null::<u8>()].as_ptr().addr(), [null::<u8>()].as_ptr().addr(), 0x1000],
        )
    }),
    ("fork", |_| {
        // SAFETY: the child calls nothing but `_exit`.
        match unsafe { libc::fork() } {
            0 => unsafe { libc::_exit(0) },
            forked => {
                if forked < 0 {
                    Err(io::Error::last_os_error())
                } else {
                    Ok(())
                }
            }
        }
    }),
    ("fork by `clone3`", |_| call(libc::SYS_clone3, &[null::<u8>().addr(), 0])),
    ("ask its parent's process for its signal 0 (`kill`)", |at| call(libc::SYS_kill, &[at.parent as usize, 0])),
    ("kill its parent", |at| call(libc::SYS_kill, &[at.parent as usize, libc::SIGURG as usize])),
    ("hold its parent's process (`pidfd_open`)", |at| call(libc::SYS_pidfd_open, &[at.parent as usize, 0])),
    ("trace its parent (`ptrace`)", |at| {
        call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE as usize, at.parent as usize, 0, 0])
    }),
    ("read its parent's memory (`process_vm_readv`)", |at| {
        call(libc::SYS_process_vm_readv, &[at.parent as usize, 0, 0, 0, 0, 0])
    }),
    ("leave its process group (`setsid`)", |_| call(libc::SYS_setsid, &[])),
    ("outlive its parent (`PR_SET_PDEATHSIG`)", |_| call(libc::SYS_prctl, &[libc::PR_SET_PDEATHSIG as usize, 0])),
    ("raise its limits", |_| {
        let most = [u64::MAX; 2];
        call(libc::SYS_prlimit64, &[0, libc::RLIMIT_NOFILE as usize, most.as_ptr().addr(), 0])
    }),
    ("raise its priority", |_| call(libc::SYS_setpriority, &[0, 0, -20_isize as usize])),
    ("choose its processors", |_| call(libc::SYS_sched_setaffinity, &[0, 8, [1_u64].as_ptr().addr()])),
    ("become another user", |_| call(libc::SYS_setuid, &[0])),
    ("start a thread", |_| std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::ErrorKind::Other.into())),
];

const KERNEL: &[Attempt] = &[
    ("`io_uring_setup`", |_| call(libc::SYS_io_uring_setup, &[1, 0])),
    ("`bpf`", |_| call(libc::SYS_bpf, &[0, 0, 0])),
    ("`perf_event_open`", |_| call(libc::SYS_perf_event_open, &[0, 0, 0, 0, 0])),
    ("`userfaultfd`", |_| call(libc::SYS_userfaultfd, &[0])),
    ("`keyctl`", |_| call(libc::SYS_keyctl, &[0, 0, 0])),
    ("`mount`", |_| call(libc::SYS_mount, &[0, 0, 0, 0, 0])),
    ("`unshare`", |_| call(libc::SYS_unshare, &[libc::CLONE_NEWUSER as usize])),
    ("`shmget`", |_| call(libc::SYS_shmget, &[0, 4096, 0o1600])),
    ("`mq_open`", |_| call(libc::SYS_mq_open, &[c"x".as_ptr().addr(), 0o100, 0o600, 0])),
    ("another filter (`seccomp`)", |_| call(libc::SYS_seccomp, &[1, 0, 0])),
    ("type into its terminal (`TIOCSTI`)", |_| {
        call(libc::SYS_ioctl, &[0, libc::TIOCSTI as usize, c"x".as_ptr().addr()])
    }),
    // `getpid` there. On other architectures no call has such a number.
    ("a call by another numbering (x32)", |_| call(0x4000_0000 | libc::SYS_getpid, &[])),
];

/// Makes a system call, whose arguments are numbers, or addresses of what lives until it returns.
fn call(number: libc::c_long, arguments: &[usize]) -> io::Result<()> {
    let at = |index: usize| arguments.get(index).copied().unwrap_or_default();
    // SAFETY: the kernel checks addresses; those that it writes to are null, or it fails before.
    let returned = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A path for the kernel. It stays: the process ends soon.
fn path(path: PathBuf) -> *const u8 {
    let path = CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
    path.into_raw().cast_const().cast()
}

const fn at_cwd() -> usize {
    libc::AT_FDCWD as isize as usize
}

/// The sockets for datagrams that this process has.
fn datagram_sockets() -> impl Iterator<Item = usize> {
    let is_one = |descriptor: &i32| {
        // SAFETY: it is only asked for its type; if it is none, that is an error.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(*descriptor) };
        rustix::net::sockopt::socket_type(descriptor).is_ok_and(|kind| kind == rustix::net::SocketType::DGRAM)
    };
    (0..1024).filter(is_one).map(|descriptor| descriptor as usize)
}

/// Stands for a socket that is not there.
const NONE: i32 = libc::ENOTSOCK;

fn shown(tried: io::Result<()>) -> String {
    match tried.map_err(|error| error.raw_os_error()) {
        Ok(()) => "open".into(),
        Err(Some(libc::EACCES)) => "EACCES".into(),
        Err(Some(libc::EPERM)) => "EPERM".into(),
        Err(Some(libc::ENOSYS)) => "ENOSYS".into(),
        Err(Some(NONE)) => "none".into(),
        Err(other) => format!("{other:?}"),
    }
}
