//! `gdb` and `lldb` on this terminal, attached to the process that stands still, with the user's frame selected.
//!
//! The debugger is a job in the foreground, as a shell would run it: in a process group of its own. When it is stopped,
//! so is this program; when that is continued, so is the debugger.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process_group, set_parent_process_death_signal, waitid,
};

use crate::debug::frames::LIBRARY_FILES;
use crate::inspect::stops::Stop;
use crate::os::terminal::{self, Held};
use crate::os::tracer;

/// Runs a debugger until the user leaves it.
///
/// # Errors
/// Says in a sentence why it can't be run.
pub(super) fn run(debugger: &str, terminal: &Held, stop: &Stop) -> Result<(), String> {
    if !stop.is_near() {
        let Stop { pid, .. } = stop;
        let host = stop.host();
        return Err(format!(
            "process {pid} runs on another host, and so must {debugger}: type `ssh {host} -t {debugger} -p {pid}` in another terminal"
        ));
    }
    tracer::check(stop.pid)?;
    let files = (|| Ok::<_, io::Error>([terminal.file()?, terminal.file()?, terminal.file()?, terminal.file()?]))();
    let [stdin, stdout, stderr, own] = files.map_err(|error| format!("{debugger} gets no terminal: {error}"))?;
    let mut command = Command::new(debugger);
    if debugger == "lldb" {
        command.envs(python_of_lldb().map(|path| ("PYTHONPATH", path)));
    }
    command.args(arguments(debugger, stop)).process_group(0).stdin(stdin).stdout(stdout).stderr(stderr);
    let child = in_foreground(command, own).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{debugger} is not installed here (on Debian: `apt-get install {debugger}`)")
        }
        _ => format!("{debugger} can't be started: {error}"),
    })?;
    let group = Pid::from_child(&child);
    let _ = terminal::give(terminal.as_fd(), group); // it does so, too, and may have been faster
    wait(terminal, group);
    Ok(())
}

/// Has a command take the terminal before it runs, and end with this thread.
#[allow(unsafe_code)]
fn in_foreground(mut command: Command, terminal: File) -> Command {
    let prepare = move || {
        terminal::give(terminal.as_fd(), getpid())?;
        // It puts the terminal's settings back on that signal, and lets go of the process.
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)
    };
    // SAFETY: between `fork` and `exec` this makes system calls only; it does not allocate, lock or panic.
    unsafe { command.pre_exec(prepare) };
    command
}

/// Waits until the debugger has ended.
fn wait(terminal: &Held, group: Pid) {
    loop {
        match waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::STOPPED) {
            Ok(Some(status)) if status.stopped() => {
                terminal.take_back();
                // As the terminal would: `fg` in the shell continues this program here.
                let _ = kill_process_group(rustix::process::getpgrp(), Signal::TSTP);
                let _ = terminal::give(terminal.as_fd(), group);
                let _ = kill_process_group(group, Signal::CONT); // it may be gone
            }
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

fn arguments(debugger: &str, stop: &Stop) -> Vec<OsString> {
    let pid = stop.pid.to_string();
    let (file, line) = stop.place.as_ref().map_or(("?", 0), |place| (place.file.as_str(), place.line));
    // The script is text within text: a name that would end either stays out.
    let file = if file.contains(['\'', '"', '\\']) { "?" } else { file };
    let select = |script: &str| {
        let filled = [("THREAD", stop.thread.to_string()), ("FILE", file.into()), ("LINE", line.to_string())];
        let libraries = LIBRARY_FILES.map(|part| format!("'{part}'")).join(", ");
        let script = script.replace("LIBRARIES", &format!("[{libraries}, '/sysdeps/', 'csu/']"));
        filled.iter().fold(script, |script, (name, value)| script.replace(name, value)).replace('\n', "\\n")
    };
    match debugger {
        "gdb" => {
            let first = ["-q", "-nx", "-p", &pid].map(OsString::from);
            let early = GDB_EARLY.iter().flat_map(|setting| ["-iex", setting]).map(OsString::from);
            let printers = pretty_printers().into_iter().flat_map(|file| [OsString::from("-ex"), file]);
            let select = format!("python exec(\"{}\")", select(GDB_SELECT));
            let late = ["-ex", "set print max-depth 2", "-ex", &select, "-ex", "frame"].map(OsString::from);
            first.into_iter().chain(early).chain(printers).chain(late).collect()
        }
        _ => {
            let select = format!("script exec(\"{}\")", select(LLDB_SELECT));
            ["--no-lldbinit", "-O", "settings set auto-confirm true", "-p", &pid, "-o", &select, "-o", "frame info"]
                .map(OsString::from)
                .to_vec()
        }
    }
}

/// The directory of LLDB's Python modules, where the package names another one that is not there (Debian's does).
fn python_of_lldb() -> Option<PathBuf> {
    let asked = Command::new("lldb").arg("-P").output().ok()?;
    if Path::new(String::from_utf8(asked.stdout).ok()?.trim()).join(LLDB_MODULE).is_file() {
        return None;
    }
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let versions = entries("/usr/lib".into()).filter(|path| path.to_string_lossy().starts_with("/usr/lib/llvm-"));
    let pythons = versions.flat_map(|version| entries(version.join("lib")));
    pythons.map(|python| python.join("dist-packages")).find(|modules| modules.join(LLDB_MODULE).is_file())
}

/// The command that loads the pretty-printers of the Rust toolchain, where there is one.
fn pretty_printers() -> Option<OsString> {
    let asked = Command::new("rustc").arg("--print=sysroot").output().ok()?;
    let sysroot = String::from_utf8(asked.stdout).ok()?;
    let file = Path::new(sysroot.trim()).join("lib/rustlib/etc/gdb_load_rust_pretty_printers.py");
    file.is_file().then(|| format!("source {}", file.display()).into())
}

/// LLDB needs it for scripts.
const LLDB_MODULE: &str = "lldb/embedded_interpreter.py";

const GDB_EARLY: &[&str] = &[
    "set pagination off",
    "set confirm off",
    "set print thread-events off",
    "set debuginfod enabled off",
    "set auto-load python-scripts off",
];

/// Selects the thread that stands still, and on it the frame of the place, or else the first one of the user's files.
const GDB_SELECT: &str = "\
import gdb
for thread in gdb.selected_inferior().threads():
    if thread.ptid[1] == THREAD: thread.switch()
def place(frame):
    sal = frame.find_sal()
    return (sal.symtab.fullname() if sal.symtab else '', sal.line)
def frames():
    frame = gdb.newest_frame()
    while frame is not None:
        yield frame
        frame = frame.older()
at = next((f for f in frames() if place(f)[0].endswith('FILE') and place(f)[1] == LINE), None)
at = at or next((f for f in frames() if place(f)[0] and not any(part in place(f)[0] for part in LIBRARIES)), None)
if at: at.select()
";

const LLDB_SELECT: &str = "\
import lldb
process = lldb.debugger.GetSelectedTarget().GetProcess()
thread = process.GetThreadByID(THREAD)
process.SetSelectedThread(thread)
def place(frame):
    entry = frame.GetLineEntry()
    return (entry.GetFileSpec().fullpath or '', entry.GetLine())
at = next((f for f in thread if place(f)[0].endswith('FILE') and place(f)[1] == LINE), None)
at = at or next((f for f in thread if place(f)[0] and not any(part in place(f)[0] for part in LIBRARIES)), None)
if at: thread.SetSelectedFrame(at.GetFrameID())
";
