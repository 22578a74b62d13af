//! What the macros tell of a function, and the table of all functions, which is made at link time.
//!
//! `#[pleach::rpc]` and its siblings add an [`Export`] each; nothing has to be registered by hand.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pleach_wire::msg::FunctionKind;
use pleach_wire::{ByteStr, CallOptions, Payload};
use tokio::time::Instant;

use super::answer::Answer;
use super::method::cell::StateCell;
use super::request::{DialogRequest, Invoked, Request};
use crate::channel::call_terms;
use crate::channel::dialog::DialogHandle;
use crate::channel::explain::{self, Explain};
use crate::error::{Error, Result};
use crate::shape::Shapes;
use crate::telemetry::meters::{CallMeters, Callee};

/// One exposed function, as `#[pleach::rpc]` describes it.
#[derive(Debug)]
pub struct Export {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) returns: &'static str,
    /// The types of its dialog; only a context has some.
    dialog: &'static str,
    /// Tells its declaration from others: of its path and the text of its types.
    declared: u64,
    /// Fills in the shapes of its types, if they are known.
    shapes: Option<fn(&mut Shapes)>,
    schema: OnceLock<u64>,
    invoke: Invoke,
    meters: CallMeters,
    /// Whether an answer of it was ever large.
    answers_large: AtomicBool,
}

/// How a function is invoked: a call without a dialog, the other kinds with one.
#[derive(Clone, Copy, Debug)]
enum Invoke {
    Call(fn(Request<'_>) -> Invoked),
    Dialog(FunctionKind, fn(DialogRequest<'_>) -> Invoked),
}

impl Invoke {
    const fn kind(self) -> FunctionKind {
        match self {
            Self::Call(_) => FunctionKind::Rpc,
            Self::Dialog(kind, _) => kind,
        }
    }
}

/// A function and the dialog of a request for it.
pub(crate) enum Callable {
    Call(fn(Request<'_>) -> Invoked),
    Dialog(fn(DialogRequest<'_>) -> Invoked, DialogHandle),
}

impl Callable {
    /// Makes the task of a request for it.
    pub(crate) fn invoke(self, export: &'static Export, args: Payload, answer: Answer, state: &StateCell) -> Invoked {
        match self {
            Self::Call(invoke) => invoke(Request { export, args, dialog: (), answer, state }),
            Self::Dialog(invoke, dialog) => invoke(Request { export, args, dialog, answer, state }),
        }
    }
}

impl Export {
    /// Describes a function; `#[pleach::rpc]` calls this. `path` is its module, `::` and its name.
    pub const fn new(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        returns: &'static str,
        invoke: fn(Request<'_>) -> Invoked,
    ) -> Self {
        Self::new_of([path, name, arguments, returns, ""], Invoke::Call(invoke))
    }

    /// Describes a context function; `#[pleach::context]` calls this. `dialog` is `Started, Recv, Send`.
    pub const fn context(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        returns: &'static str,
        dialog: &'static str,
        invoke: fn(DialogRequest<'_>) -> Invoked,
    ) -> Self {
        Self::new_of([path, name, arguments, returns, dialog], Invoke::Dialog(FunctionKind::Context, invoke))
    }

    /// Describes a stream function; `#[pleach::stream]` calls this. `items` is the type of its messages.
    pub const fn stream(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        items: &'static str,
        invoke: fn(DialogRequest<'_>) -> Invoked,
    ) -> Self {
        Self::new_of([path, name, arguments, items, ""], Invoke::Dialog(FunctionKind::Stream, invoke))
    }

    const fn new_of([path, name, arguments, returns, dialog]: [&'static str; 5], invoke: Invoke) -> Self {
        let declared = fingerprint(&[path, arguments, returns, dialog]);
        let schema = OnceLock::new();
        let meters = CallMeters::new(path, invoke.kind());
        let answers_large = AtomicBool::new(false);
        Self { path, name, arguments, returns, dialog, declared, shapes: None, schema, invoke, meters, answers_large }
    }

    /// Returns whether its answers are to be counted on to be large: one of them was.
    pub(super) fn answers_large(&self) -> bool {
        self.answers_large.load(Ordering::Relaxed)
    }

    /// Notes that an answer of it takes so many bytes.
    pub(super) fn note_answer(&self, bytes: usize) {
        if bytes > LARGE_ANSWER {
            self.answers_large.store(true, Ordering::Relaxed);
        }
    }

    /// Adds the shapes of its types; `#[pleach::rpc]` and its like call this.
    pub const fn tracing(mut self, shapes: fn(&mut Shapes)) -> Self {
        self.shapes = Some(shapes);
        self
    }

    /// Distinguishes this function from others of its path: by the text of its declaration, and by the shapes of its
    /// types, as far as they can be traced. Traced once, when it is first called.
    pub(crate) fn schema(&self) -> u64 {
        *self.schema.get_or_init(|| match &self.shape()[..] {
            [] => self.declared,
            lines => never_0(lines.iter().fold(self.declared, |hash, line| hashed(hash, line))),
        })
    }

    fn shape(&self) -> Vec<String> {
        let mut shapes = Shapes::default();
        self.shapes.iter().for_each(|fill| fill(&mut shapes));
        shapes.sorted()
    }

    /// Returns the module that has to be enabled.
    pub(crate) fn module(&self) -> &'static str {
        &self.path[..self.path.len() - self.name.len() - "::".len()]
    }

    pub(crate) fn kind(&self) -> FunctionKind {
        self.invoke.kind()
    }

    /// The meters of its calls.
    pub(crate) fn meters(&'static self) -> &'static CallMeters {
        &self.meters
    }

    /// Returns it with the dialog that a peer has opened for it; `None` if its kind is another.
    pub(crate) fn bind(&self, dialog: Option<DialogHandle>) -> Option<Callable> {
        match (self.invoke, dialog) {
            (Invoke::Call(invoke), None) => Some(Callable::Call(invoke)),
            (Invoke::Dialog(kind, invoke), Some(dialog)) if dialog.kind() == kind => {
                Some(Callable::Dialog(invoke, dialog))
            }
            _ => None,
        }
    }

    /// What a peer is asked for.
    pub(crate) fn target(&'static self) -> Callee {
        Callee { path: ByteStr::from_static(self.path), meters: &self.meters }
    }

    /// The terms of a call of it, which the peer cancels by itself at the deadline.
    pub(crate) fn terms(&self, deadline: Option<Instant>) -> CallOptions {
        call_terms(self.schema(), deadline)
    }

    /// Turns the failure of its dialog with `peer` into the error of the code that waits for it.
    pub(crate) async fn told(&self, error: Error, peer: &impl Explain) -> Error {
        explain::told(error, peer, || self.shown()).await
    }

    /// Returns its declaration, for messages.
    pub(crate) fn signature(&self) -> String {
        let Self { name, arguments, returns, dialog, .. } = self;
        match self.kind() {
            FunctionKind::Rpc => format!("{name}({arguments}) -> {returns}"),
            FunctionKind::Context if arguments.is_empty() => format!("{name}(Context<{dialog}>) -> {returns}"),
            FunctionKind::Context => format!("{name}(Context<{dialog}>, {arguments}) -> {returns}"),
            FunctionKind::Stream => format!("{name}({arguments}) -> stream of {returns}"),
        }
    }

    /// Returns its declaration and the shapes behind it, a line for each leaf; for a comparison with another program's.
    pub(crate) fn shown(&self) -> String {
        let mut shown = vec![self.signature()];
        shown.extend(self.shape().into_iter().take(MAX_SHOWN));
        shown.join("\n")
    }
}

/// How many leaves of its types are sent to a peer that has others.
const MAX_SHOWN: usize = 500;

/// The 64-bit FNV-1a hash of some texts, each with an end of its own. Never 0, which says nothing.
const fn fingerprint(texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut text = 0;
    while text < texts.len() {
        hash = hashed(hash, texts[text]);
        text += 1;
    }
    never_0(hash)
}

/// Adds a text to a hash.
const fn hashed(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at <= bytes.len() {
        let byte = if at < bytes.len() { bytes[at] } else { 0xff };
        hash = (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    hash
}

const fn never_0(hash: u64) -> u64 {
    if hash == 0 { 1 } else { hash }
}

/// All exposed functions of this program.
#[linkme::distributed_slice]
pub static EXPORTS: [Export];

/// The table of all exposed functions by path, made once.
///
/// # Errors
/// Two functions of one path: the program can't tell which one a peer means.
pub(crate) fn table() -> Result<&'static BTreeMap<&'static str, &'static Export>> {
    static TABLE: OnceLock<std::result::Result<BTreeMap<&'static str, &'static Export>, String>> = OnceLock::new();
    let made = TABLE.get_or_init(|| {
        let mut table = BTreeMap::new();
        for export in EXPORTS {
            if table.insert(export.path, export).is_some() {
                return Err(format!("two functions are exposed as `{}`; rename one of them", export.path));
            }
        }
        Ok(table)
    });
    made.as_ref().map_err(|why| Error::Usage(why.clone()))
}

/// What a peer is asked for by a path, which may be that of a function of another program.
pub(crate) fn target_of(path: &str) -> Callee {
    match table().ok().and_then(|table| table.get(path)) {
        Some(export) => export.target(),
        None => ByteStr::from(path.to_owned()).into(),
    }
}

/// Returns the fingerprint of each exposed function's declaration, in order: equal for equal programs, and for equal
/// functions of different ones. The shapes of their types are compared when one is called.
pub(crate) fn fingerprints() -> &'static [u64] {
    static FINGERPRINTS: OnceLock<Vec<u64>> = OnceLock::new();
    FINGERPRINTS.get_or_init(|| {
        let mut all: Vec<u64> = EXPORTS.iter().map(|export| export.declared).collect();
        all.sort_unstable();
        all
    })
}

/// An answer of more bytes counts as large: it may go in chunks, behind other large ones.
const LARGE_ANSWER: usize = 32 << 10;
