//! The functions that peers may call: a table made at link time, and which of its modules are open.
//!
//! `#[pleach::rpc]` adds an [`Export`] to the table; nothing has to be registered by hand. A function
//! can be called by a peer only when its module was enabled for this actor.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::OnceLock;

use bytes::Bytes;
use pleach_wire::msg::FunctionKind;
use pleach_wire::{Blob, Cid, Encode, Payload, TransportError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::Channel;
use crate::channel::dialog::DialogHandle;
use crate::error::{BoxError, Error, Raised, Refusal, Result};
use crate::fidelity;
use crate::panics::{Answered, Panic};
use crate::scope::{self, Shield};
use crate::shape::Shapes;
use crate::traces;

/// A boxed future that may change threads.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One exposed function, as `#[pleach::rpc]` describes it.
#[derive(Debug)]
pub struct Export {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) returns: &'static str,
    pub(crate) kind: FunctionKind,
    /// The types of its dialog; only a context has some.
    dialog: &'static str,
    /// Tells its declaration from others: of its path and the text of its types.
    declared: u64,
    /// Fills in the shapes of its types, if they are known.
    shapes: Option<fn(&mut Shapes)>,
    schema: OnceLock<u64>,
    pub(crate) invoke: fn(Request) -> Invoked,
}

impl Export {
    /// Describes a function; `#[pleach::rpc]` calls this. `path` is its module, `::` and its name.
    pub const fn new(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        returns: &'static str,
        invoke: fn(Request) -> Invoked,
    ) -> Self {
        Self::new_of(FunctionKind::Rpc, [path, name, arguments, returns, ""], invoke)
    }

    /// Describes a context function; `#[pleach::context]` calls this. `dialog` is `Started, Recv, Send`.
    pub const fn context(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        returns: &'static str,
        dialog: &'static str,
        invoke: fn(Request) -> Invoked,
    ) -> Self {
        Self::new_of(FunctionKind::Context, [path, name, arguments, returns, dialog], invoke)
    }

    /// Describes a stream function; `#[pleach::stream]` calls this. `items` is the type of its messages.
    pub const fn stream(
        path: &'static str,
        name: &'static str,
        arguments: &'static str,
        items: &'static str,
        invoke: fn(Request) -> Invoked,
    ) -> Self {
        Self::new_of(FunctionKind::Stream, [path, name, arguments, items, ""], invoke)
    }

    const fn new_of(
        kind: FunctionKind,
        [path, name, arguments, returns, dialog]: [&'static str; 5],
        invoke: fn(Request) -> Invoked,
    ) -> Self {
        let declared = fingerprint(&[path, arguments, returns, dialog]);
        let schema = OnceLock::new();
        Self { path, name, arguments, returns, kind, dialog, declared, shapes: None, schema, invoke }
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

    /// Returns its declaration, for messages.
    pub(crate) fn signature(&self) -> String {
        let Self { name, arguments, returns, dialog, .. } = self;
        match self.kind {
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

/// The modules whose functions peers may call here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exposed(BTreeSet<String>);

impl Exposed {
    pub(crate) fn new(modules: impl IntoIterator<Item = String>) -> Self {
        Self(modules.into_iter().collect())
    }

    pub(crate) fn enable(&mut self, module: String) {
        self.0.insert(module);
    }

    /// Looks up the function of a peer's request.
    ///
    /// # Errors
    /// Why it may not be called, or that it does not exist.
    pub(crate) fn find(&self, path: &str) -> std::result::Result<&'static Export, Refusal> {
        let table =
            table().map_err(|error| Refusal::BadArguments { expected: path.to_owned(), why: error.to_string() })?;
        match table.get(path) {
            Some(export) if self.0.contains(export.module()) => Ok(export),
            Some(export) => Err(Refusal::ModuleNotExposed { module: export.module().to_owned() }),
            None => {
                let name = path.rsplit("::").next().unwrap_or(path);
                let like = table.iter().find(|(_, export)| export.name == name).map(|(path, _)| (*path).to_owned());
                Err(Refusal::UnknownFunction { like })
            }
        }
    }
}

/// A peer's request to run a function: its arguments, still encoded, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    pub(crate) args: Payload,
    pub(crate) answer: Answer,
    /// The dialog, if the peer opened a context or a stream.
    pub(crate) dialog: Option<DialogHandle>,
}

/// The result of a request: a task to run, or arguments that do not fit.
pub type Invoked = std::result::Result<BoxFuture<()>, (TransportError, Answer)>;

/// The duty to answer one request. Dropped without an answer, it reports the task's cancellation or panic;
/// a value that panics while it is encoded counts as one.
pub struct Answer {
    channel: Channel,
    cid: Cid,
    done: bool,
}

impl Answer {
    pub(crate) fn new(channel: Channel, cid: Cid) -> Self {
        Self { channel, cid, done: false }
    }

    /// Answers with a value; the returned channel may have no room for more right now.
    fn value(mut self, value: impl Encode) -> Channel {
        self.channel.answer(self.cid, &value);
        self.done = true;
        self.channel.clone()
    }

    /// Answers with a failure once its backtrace is text; a cancelled task waits no longer for that.
    async fn failure(mut self, failure: Failure) -> Channel {
        let _shield = Shield::enter(); // the failure is older than a cancellation that comes now
        let backtrace = match failure.resolve() {
            None => None,
            Some(resolved) => tokio::select! {
                biased;
                text = resolved => text,
                () = scope::cancelled() => None,
            },
        };
        match failure {
            Failure::Raised(raised) => self.channel.answer_failure(self.cid, Raised { backtrace, ..raised }),
            Failure::Panic(panic) => self.channel.answer_panic(self.cid, panic, backtrace),
        }
        self.done = true;
        self.channel.clone()
    }

    /// Answers with nothing but that it was done.
    pub(crate) fn acknowledge(mut self) {
        self.channel.answer(self.cid, &());
        self.done = true;
    }

    /// Answers that the function will not be run.
    pub(crate) fn refuse(mut self, function: String, why: Refusal) {
        self.channel.refuse(self.cid, function, why);
        self.done = true;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.done {
            self.channel.answer_dropped(self.cid);
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({} to {})", self.cid, self.channel.peer())
    }
}

/// The return types of exposed functions.
pub trait Outcome: Send {
    /// The value on success.
    type Value;

    /// Splits it into the value, or the error and its details.
    ///
    /// # Errors
    /// The function's own error.
    fn into_outcome(self) -> std::result::Result<Self::Value, Raised>;
}

impl<T: Send, E: Into<BoxError> + Send + 'static> Outcome for std::result::Result<T, E> {
    type Value = T;

    fn into_outcome(self) -> std::result::Result<T, Raised> {
        self.map_err(Raised::new)
    }
}

/// Decodes the arguments and makes the task; `#[pleach::rpc]` calls this.
///
/// # Errors
/// The arguments do not fit.
pub fn invoke<A, R, F>(request: Request, run: impl FnOnce(A) -> F) -> Invoked
where
    A: DeserializeOwned,
    F: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: Serialize + DeserializeOwned + 'static,
{
    invoke_with(request, run, |value| value)
}

/// As [`invoke`], for a function that returns a byte string: it travels without being copied.
///
/// # Errors
/// The arguments do not fit.
pub fn invoke_blob<A, R, F>(request: Request, run: impl FnOnce(A) -> F) -> Invoked
where
    A: DeserializeOwned,
    F: Future<Output = R> + Send + 'static,
    R: Outcome<Value = Bytes>,
{
    invoke_with(request, run, Blob)
}

fn invoke_with<A, R, F, V>(request: Request, run: impl FnOnce(A) -> F, wrap: fn(R::Value) -> V) -> Invoked
where
    A: DeserializeOwned,
    F: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    let Request { args, answer, .. } = request;
    let args = match args.decode() {
        Ok(args) => args,
        Err(why) => return Err((why, answer)),
    };
    Ok(answered(run(args), answer, wrap))
}

/// Runs a task and answers with its result.
pub(crate) fn answered<R, F, V>(task: F, answer: Answer, wrap: fn(R::Value) -> V) -> BoxFuture<()>
where
    F: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    Box::pin(async move {
        let ended = Answered::new(task).await;
        let channel = match told(ended, answer, wrap) {
            Told::Value(channel) => channel,
            // In a box of its own, so that successful calls do not grow.
            Told::Failure(failure, answer) => Box::pin(answer.failure(failure)).await,
        };
        channel.room().await;
    })
}

/// How far the answer to a task has come.
enum Told {
    Value(Channel),
    Failure(Failure, Answer),
}

/// How a task failed.
enum Failure {
    Raised(Raised),
    Panic(Panic),
}

impl Failure {
    /// Returns the text of its backtrace, to be made while that is awaited; `None` if it has none.
    fn resolve(&self) -> Option<BoxFuture<Option<String>>> {
        match self {
            Self::Raised(raised) => Some(Box::pin(traces::text(raised.traced()?, |error| error.backtrace()))),
            Self::Panic(panic) => Some(Box::pin(traces::text(panic.backtrace.clone()?, |backtrace| backtrace))),
        }
    }
}

/// Answers with a value; it is gone before anything waits, so that it need not be `Send` by itself.
fn told<R: Outcome, V: Serialize + DeserializeOwned + 'static>(
    ended: std::result::Result<R, Panic>,
    answer: Answer,
    wrap: fn(R::Value) -> V,
) -> Told {
    match ended.map(Outcome::into_outcome) {
        Ok(Ok(value)) => {
            let value = wrap(value);
            fidelity::check(&value);
            Told::Value(answer.value(value))
        }
        Ok(Err(raised)) => Told::Failure(Failure::Raised(raised), answer),
        Err(panic) => Told::Failure(Failure::Panic(panic), answer),
    }
}
