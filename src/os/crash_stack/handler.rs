//! Writes where a thread is that a signal kills, and lets the signal go on to kill the process: its status, its core
//! dump and the handlers from before stay what they were.
//!
//! # Invariants
//! 1. A handler neither allocates nor waits for a lock, and waits for its reader no longer than [`READER`].
//! 2. The stack is walked on the thread's own stack. The alternate one that the standard library gives its threads is
//!    too small for that; so the first handler of a bad access only has it come again, without an alternate stack.
//! 3. A stack that has overflowed is left to the standard library, which names the thread.

use std::ffi::{c_int, c_void};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::frames::{self, MAX_FRAMES};
use crate::os::maps::{self, Mapping};
use crate::os::program::OURSELVES;
use crate::os::signals::action_of;

/// Has each signal that tells of a crash handled from now on, unless it is ignored.
pub(crate) fn install() {
    frames::here(); // its first walk may initialise the unwinder
    // A sandbox may forbid that later.
    let _ = MAPS.set(File::open(maps::OWN).ok());
    let program = std::fs::read_link(OURSELVES).unwrap_or_default();
    let _ = OWN_PROGRAM.set(program.as_os_str().as_bytes().iter().copied().map(visible).collect());
    for (signal, before) in SIGNALS.iter().zip(&BEFORE) {
        if let Some(found) = action_of(*signal).filter(|found| found.sa_sigaction != libc::SIG_IGN)
            && before.set(found).is_ok()
        {
            match signal {
                // Of these, the standard library has handlers.
                &libc::SIGSEGV | &libc::SIGBUS => handle(*signal, come_again, libc::SA_ONSTACK),
                _ => handle(*signal, tell, 0),
            }
        }
    }
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn handle(signal: c_int, by: Handler, flags: c_int) {
    // SAFETY: all zeros is a valid `sigaction`, which is filled in; the handler is of the type that is expected.
    unsafe {
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = by as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | flags;
        libc::sigaction(signal, &raw const ours, std::ptr::null_mut());
    }
}

/// The first handler of a bad access: it may run on an alternate stack.
#[expect(unsafe_code, reason = "the standard library knows no signals")]
extern "C" fn come_again(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, and they are valid as long as the handler runs.
    let (info, near) = unsafe { (&*info, near_stack(&*info, &*context.cast())) };
    match info.si_code > 0 && !near {
        true => handle(signal, tell, 0),
        // Invariant 3. Of those that were sent, the standard library ignores the first one.
        false => give_back(signal),
    }
    send_again(signal, info);
}

/// The handler that tells.
#[expect(unsafe_code, reason = "the standard library knows no signals")]
extern "C" fn tell(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: as above.
    let info = unsafe { &*info };
    if !is_on_alternate_stack() {
        match SCRATCH.try_lock() {
            Ok(mut scratch) if !HAS_TOLD.load(Ordering::Relaxed) => {
                scratch.compose(signal, info);
                write(scratch.text.so_far());
                HAS_TOLD.store(true, Ordering::Release);
            }
            _ => wait_for_another(),
        }
    }
    give_back(signal);
    send_again(signal, info);
}

/// Puts back the handler from before.
#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn give_back(signal: c_int) {
    let before = SIGNALS.iter().position(|ours| *ours == signal).and_then(|at| BEFORE[at].get());
    // SAFETY: it is what the system has returned.
    before.map(|before| unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) });
}

/// Has a signal come again that another process or `abort` has sent. An instruction that fails does so by itself.
#[expect(unsafe_code, reason = "the calls of rustix are not documented to be async-signal-safe")]
fn send_again(signal: c_int, info: &libc::siginfo_t) {
    if info.si_code <= 0 {
        // SAFETY: it takes three numbers; the thread is this one.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
    }
}

/// Whether the access that failed was near the end of the thread's stack.
#[expect(unsafe_code, reason = "which fields are valid depends on the signal")]
fn near_stack(info: &libc::siginfo_t, context: &libc::ucontext_t) -> bool {
    // SAFETY: the signals that this is called for have an address.
    let address = unsafe { info.si_addr() } as usize;
    #[cfg(target_arch = "x86_64")]
    let top = context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    let top = context.uc_mcontext.sp as usize;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let (_unused, top) = (context, address); // not known: none is told from an overflow
    address.abs_diff(top) < NEAR
}

#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn is_on_alternate_stack() -> bool {
    // SAFETY: all zeros is a valid `stack_t`, and the call only fills it in.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut stack) == 0 && stack.ss_flags & libc::SS_ONSTACK != 0
    }
}

/// Writes to standard error, if it takes all at once: a pipe that does not has a reader that is busy.
#[expect(unsafe_code, reason = "the calls of rustix are not documented to be async-signal-safe")]
fn write(text: &[u8]) {
    let mut output = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one descriptor is passed, and as many bytes as there are.
    unsafe {
        if libc::poll(&raw mut output, 1, READER) == 1 {
            libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
        }
    }
}

/// Lets the thread tell that has crashed first: the process ends with the next one.
#[expect(unsafe_code, reason = "the calls of rustix are not documented to be async-signal-safe")]
fn wait_for_another() {
    for _ in 0..READER {
        if HAS_TOLD.load(Ordering::Acquire) {
            break;
        }
        // SAFETY: no descriptor is passed, so it only waits, for a millisecond.
        unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
    }
}

/// All memory that the handler needs.
struct Scratch {
    text: Text<MAX_LINE>,
    frames: [usize; MAX_FRAMES],
    places: [Place; MAX_FRAMES],
    files: Text<MAX_LINE>,
    line: Text<MAX_LINE>,
}

/// Where a frame is: how far into a file, and where its name is among the files.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    file: (usize, usize),
}

impl Scratch {
    const fn new() -> Self {
        let nowhere = Place { offset: 0, file: (0, 0) };
        Self {
            text: Text::new(),
            frames: [0; MAX_FRAMES],
            places: [nowhere; MAX_FRAMES],
            files: Text::new(),
            line: Text::new(),
        }
    }

    /// Makes the line about a crash; frames that find no room are left out.
    #[expect(unsafe_code, reason = "which fields are valid depends on the signal")]
    fn compose(&mut self, signal: c_int, info: &libc::siginfo_t) {
        let count = frames::walk(&mut self.frames);
        self.look_up(count);
        // SAFETY: these signals have an address, unless they were sent: then it is not looked at.
        let (address, thread) = unsafe { (info.si_addr() as usize, libc::gettid()) };
        let _ = write!(self.text, "{START}{signal}");
        if info.si_code > 0 {
            let _ = write!(self.text, " at {address:#x}");
        }
        let _ = write!(self.text, ", thread {thread}{PROGRAM}");
        self.text.add(OWN_PROGRAM.get().map_or(b"", Vec::as_slice));
        let _ = self.text.write_str(STACK);
        let mut last = None;
        for place in &self.places[..count] {
            let room = self.text.length;
            let file = if last == Some(place.file) { &b""[..] } else { &self.files.bytes[place.file.0..place.file.1] };
            self.text.add(b" ");
            self.text.add(file);
            if write!(self.text, "+{:#x}", place.offset).is_err() {
                self.text.length = room;
                break;
            }
            last = Some(place.file);
        }
        self.text.end_line();
    }

    /// Looks for the files that the frames are in.
    fn look_up(&mut self, count: usize) {
        self.files.add(UNKNOWN);
        for (place, frame) in self.places.iter_mut().zip(&self.frames[..count]) {
            *place = Place { offset: *frame, file: (0, UNKNOWN.len()) };
        }
        let Some(mut maps) = MAPS.get().and_then(Option::as_ref) else { return };
        let mut chunk = [0; 512];
        let _ = maps.rewind();
        while let Ok(read @ 1..) = maps.read(&mut chunk) {
            for byte in &chunk[..read] {
                if *byte != b'\n' {
                    self.line.add(&[*byte]);
                    continue;
                }
                self.note(count);
                self.line.length = 0;
            }
        }
    }

    /// Notes the frames that are in the mapping of this line.
    fn note(&mut self, count: usize) {
        let Some(mapping) = Mapping::parse(self.line.so_far()).filter(|mapping| !mapping.name.is_empty()) else {
            return;
        };
        let mut named = None;
        for (place, frame) in self.places[..count].iter_mut().zip(&self.frames) {
            if !mapping.addresses.contains(frame) {
                continue;
            }
            let named = named.get_or_insert_with(|| {
                let begin = self.files.length;
                mapping.name.iter().for_each(|byte| self.files.add(&[visible(*byte)]));
                (begin, self.files.length)
            });
            *place = Place { offset: frame - mapping.addresses.start + mapping.offset, file: *named };
        }
    }
}

/// A byte of a file's name, in which blanks are replaced: words end with them.
fn visible(byte: u8) -> u8 {
    if byte.is_ascii_whitespace() { b'?' } else { byte }
}

/// Text that has room for so many bytes, and takes no more.
struct Text<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Text<ROOM> {
    const fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    fn so_far(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Adds as much as finds room.
    fn add(&mut self, more: &[u8]) {
        let more = &more[..more.len().min(ROOM - self.length)];
        self.bytes[self.length..self.length + more.len()].copy_from_slice(more);
        self.length += more.len();
    }

    /// Ends a line, if need be in place of its last byte.
    fn end_line(&mut self) {
        self.length = self.length.min(ROOM - 1);
        self.add(b"\n");
    }
}

impl<const ROOM: usize> fmt::Write for Text<ROOM> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.add(more.as_bytes());
        if self.length < ROOM { Ok(()) } else { Err(fmt::Error) }
    }
}

/// How a line begins.
pub(super) const START: &str = "pleach: killed by signal ";
/// What stands before the name of the program.
pub(super) const PROGRAM: &str = "; program ";
/// What stands before the places.
pub(super) const STACK: &str = "; stack:";

/// The file of code that is in none: it was made while the program ran.
const UNKNOWN: &[u8] = b"[unknown]";

/// The signals of crashes.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

/// Their handlers before.
static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

static SCRATCH: Mutex<Scratch> = Mutex::new(Scratch::new());
static HAS_TOLD: AtomicBool = AtomicBool::new(false);
static MAPS: OnceLock<Option<File>> = OnceLock::new();
static OWN_PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();

/// The longest line, in bytes: as much as a pipe takes as a whole once it is said to have room, see `pipe(7)`.
const MAX_LINE: usize = 4096;

/// How near to the end of its stack an access is a stack's overflow, in bytes.
const NEAR: usize = 256 << 10;

/// How long the reader of standard error may be busy, and another thread may take to tell, in milliseconds.
const READER: c_int = 200;
