//! Landlock: which files this process may open, which ports of TCP it may use, which processes it may signal.
//!
//! The rules are tied to files, not to names. What is open already stays open.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};

use super::Sandbox;
use crate::os::maps::{self, Mapping};

/// Restricts the calling thread. What is returned must be kept: the kernel makes files of `/proc` new when they were not
/// in use, and would not know them then.
///
/// # Errors
/// Says what the kernel does not offer, or which path can't be allowed.
pub(super) fn restrict(sandbox: &Sandbox, dials: &[u16]) -> Result<Vec<PathFd>, String> {
    require_kernel()?;
    let refused = |error: RulesetError| format!("Landlock: {error}");
    let mut rules = ruleset(sandbox.network).map_err(refused)?;
    for path in own_code().map_err(|error| format!("/proc/self/maps: {error}"))? {
        // A file that was replaced since can't be read by that name, and need not be: it is loaded.
        if let Ok(file) = PathFd::new(&path) {
            rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile)).map_err(refused)?;
        }
    }
    let mut held = Vec::new();
    for (path, access) in DEVICES.iter().chain(ABOUT_ITSELF) {
        let file = PathFd::new(path).map_err(|error| format!("{path}: {error}"))?;
        rules = rules.add_rule(PathBeneath::new(&file, *access)).map_err(refused)?;
        held.push(file);
    }
    for (paths, access) in [(&sandbox.read, READ), (&sandbox.write, WRITE), (&sandbox.execute, EXECUTE)] {
        for path in paths {
            rules = allow(rules, path, access)?;
        }
    }
    if !sandbox.network {
        for port in dials {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(refused)?;
        }
    }
    let restricted = rules.restrict_self().map_err(refused)?;
    match restricted.ruleset {
        RulesetStatus::FullyEnforced => Ok(held),
        less => Err(format!("Landlock: the kernel enforces it in part only: {less:?}")),
    }
}

/// # Errors
/// Says what is missing. A kernel with less is not used with less: that would be a sandbox by name only.
fn require_kernel() -> Result<(), String> {
    match abi() {
        Ok(version) if version >= NEEDED as i64 => Ok(()),
        Ok(version) => Err(format!(
            "the kernel of this host has version {version} of Landlock, and {} is needed (Linux 6.12): older ones can't \
             keep it from signalling other processes and from connecting to their abstract sockets",
            NEEDED as i32
        )),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Err("Landlock is disabled on this host: boot its kernel with `landlock` in the list `lsm=…`".into())
        }
        Err(error) => Err(format!(
            "the kernel of this host has no Landlock ({error}): Linux 6.12 is needed, built with CONFIG_SECURITY_LANDLOCK"
        )),
    }
}

/// Asks the kernel for its version of Landlock.
#[allow(unsafe_code)]
fn abi() -> io::Result<i64> {
    // SAFETY: with this flag the call reads nothing and makes nothing; it takes a null pointer and the size 0.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, ASK_VERSION)
    };
    if version < 0 { Err(io::Error::last_os_error()) } else { Ok(version) }
}

/// One that allows nothing of all that it is about.
fn ruleset(network: bool) -> Result<RulesetCreated, RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let rules = rules.handle_access(AccessFs::from_all(NEEDED))?.scope(Scope::from_all(NEEDED))?;
    if network { rules.create() } else { rules.handle_access(AccessNet::from_all(NEEDED))?.create() }
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    let refused = |error: String| format!("{}: {error}", path.display());
    let is_dir = fs::metadata(path).map_err(|error| refused(error.to_string()))?.is_dir();
    let access = if is_dir { access } else { access & AccessFs::from_file(NEEDED) };
    let file = PathFd::new(path).map_err(|error| refused(error.to_string()))?;
    rules.add_rule(PathBeneath::new(file, access)).map_err(|error| refused(error.to_string()))
}

/// The files of this program and its shared libraries, which are loaded: backtraces read them.
fn own_code() -> io::Result<BTreeSet<PathBuf>> {
    let maps = fs::read(maps::OWN)?;
    let mappings = maps.split(|byte| *byte == b'\n').filter_map(Mapping::parse);
    Ok(mappings.filter(|mapping| mapping.is_code).filter_map(|code| code.path().map(Path::to_owned)).collect())
}

/// The first version that has all that a sandbox rests on: files, ports of TCP, devices, signals, abstract sockets.
const NEEDED: ABI = ABI::V6;

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_VERSION: u32 = 1;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});

const EXECUTE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});

const DEVICES: &[(&str, BitFlags<AccessFs>)] = &[
    ("/dev/null", make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate})),
    ("/dev/urandom", make_bitflags!(AccessFs::{ReadFile})),
];

/// What a process reads of itself: for backtraces, for its size, for its threads. Not the whole directory, in which are
/// the sockets of the host.
const ABOUT_ITSELF: &[(&str, BitFlags<AccessFs>)] = &[
    ("/proc/self/maps", make_bitflags!(AccessFs::{ReadFile})),
    ("/proc/self/stat", make_bitflags!(AccessFs::{ReadFile})),
    ("/proc/self/statm", make_bitflags!(AccessFs::{ReadFile})),
    ("/proc/self/status", make_bitflags!(AccessFs::{ReadFile})),
];
