//! This program on another host: found where it is here, or where it was named, or in the cache; or copied there.
//!
//! The remote host must run the very same program, or the two would disagree about functions and types. So files are
//! compared by their SHA-256 at each login. The cache is `~/.cache/pleach` there, or in `XDG_CACHE_HOME`; a file in it
//! is named after its hash, and only ever replaced as a whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use pleach_wire::log::display;
use ring::digest::{Context, SHA256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OnceCell;

use super::command::RemoteCommand;
use super::login::Login;
use crate::os::program::OURSELVES;
use crate::random;

/// This program, as it is here.
#[derive(Debug)]
struct Program {
    hash: String,
    /// Its name in a cache.
    cached_as: String,
    /// Where it is; nowhere, if the file was removed or replaced.
    path: Option<String>,
}

impl Program {
    /// This one. The file is read once.
    async fn this() -> Result<&'static Self, String> {
        static THIS: OnceCell<Program> = OnceCell::const_new();
        let read = || async {
            let read = tokio::task::spawn_blocking(Self::read).await.map_err(io::Error::other);
            read.flatten().map_err(|error| format!("this program's own file can't be read: {error}"))
        };
        THIS.get_or_try_init(read).await
    }

    fn read() -> io::Result<Self> {
        let mut digest = Context::new(&SHA256);
        let (mut file, mut chunk) = (File::open(OURSELVES)?, vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                read => digest.update(&chunk[..read]),
            }
        }
        let hash = hash_of(digest);
        let path = std::env::current_exe()?;
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = name.chars().filter(is_plain).take(64).collect();
        let cached_as = format!("{name}-{hash}");
        Ok(Self { hash, cached_as, path: path.to_str().filter(|_| path.exists()).map(Into::into) })
    }
}

/// Sees to it that this program is at the other end of a login; returns where.
///
/// # Errors
/// Says why it can't be there.
///
/// # Cancel safety
/// If dropped, half a copy may stay until the host notices, under a name that is never used.
pub(super) async fn provide(login: &Login, named: Option<&Path>) -> Result<String, String> {
    let this = Program::this().await?;
    let candidate = match named {
        Some(path) => {
            path.to_str().filter(|_| path.is_absolute()).ok_or("`program` is not an absolute path in UTF-8")?
        }
        None => this.path.as_deref().unwrap_or_default(),
    };
    let found = run(login, FIND, [&this.hash, &this.cached_as, candidate], None).await?;
    let found = answer(&found)?;
    let (machine, found) = found.split_once('\n').unwrap_or((&found, ""));
    let ours = machine_here();
    if machine != ours {
        return Err(format!("its machine is of another kind ({machine}) than this program is for ({ours})"));
    }
    if let Some(path) = found.strip_prefix("found ") {
        return Ok(path.into());
    }
    let unique = random::unique().simple().to_string();
    let upload = Upload::begin(login.destination(), named).await.map_err(|error| error.to_string())?;
    let copied = run(login, COPY, [&this.hash, &this.cached_as, &unique], Some(upload)).await?;
    match answer(&copied)?.as_str() {
        "damaged" => Err("this program arrived there damaged; is the disk full?".into()),
        "noexec" => Err("programs can't be run from the cache directory there: is it mounted `noexec`? \
                         Put the program elsewhere and name it (`program`), or set XDG_CACHE_HOME there"
            .into()),
        said => said.strip_prefix("found ").map(Into::into).ok_or_else(|| format!("its shell printed `{said}`")),
    }
}

/// Runs a script there, with `input` if it is to have one.
async fn run(login: &Login, script: &str, arguments: [&str; 3], input: Option<Upload<'_>>) -> Result<Output, String> {
    let [hash, name, third] = arguments;
    let mut shell = RemoteCommand::start(login, "exec sh -c", &[script, "pleach", hash, name, third]).await?;
    if let (Some(mut upload), Some(mut to)) = (input, shell.child.stdin.take()) {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = upload.file.read(&mut chunk).await.map_err(|error| error.to_string())?;
            // A shell that has failed reads no more; it says why.
            if read == 0 || login.bounded(to.write_all(&chunk[..read])).await?.is_err() {
                break;
            }
            upload.note(read);
        }
    }
    shell.output(login).await
}

/// This program on its way to a host; how far it has come is told.
struct Upload<'a> {
    host: &'a str,
    file: tokio::fs::File,
    progress: Progress,
}

impl<'a> Upload<'a> {
    /// Begins to copy; `named` is where another program is there, if that was asked for.
    async fn begin(host: &'a str, named: Option<&Path>) -> io::Result<Self> {
        let file = tokio::fs::File::open(OURSELVES).await?;
        let bytes = file.metadata().await?.len();
        let replaces = named.map(|path| display(path.display()));
        info!(target: "pleach::runtime", host, bytes, replaces, "copying this program");
        Ok(Self { host, file, progress: Progress::begin(bytes, Instant::now()) })
    }

    fn note(&mut self, bytes: usize) {
        if let Some(percent) = self.progress.note(bytes, Instant::now()) {
            info!(target: "pleach::runtime", host = self.host, percent, "copying this program");
        }
    }
}

/// How far a copy has come, and when that was told last.
struct Progress {
    all: u64,
    done: u64,
    told: Instant,
}

impl Progress {
    /// How often it is told.
    const PERIOD: Duration = Duration::from_secs(2);

    fn begin(all: u64, now: Instant) -> Self {
        Self { all, done: 0, told: now }
    }

    /// Notes that so many bytes more are there; returns how many percent that makes, if it is time to tell.
    fn note(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.done += bytes as u64;
        let is_due = self.done >= self.all || now.saturating_duration_since(self.told) >= Self::PERIOD;
        is_due.then(|| {
            self.told = now;
            (self.done * 100).checked_div(self.all).unwrap_or(100)
        })
    }
}

/// As `sha256sum` prints it.
fn hash_of(digest: Context) -> String {
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The output of a script, if it succeeded.
fn answer(output: &Output) -> Result<String, String> {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => Err(format!("its shell failed ({}): {}", output.status, said(&output.stderr))),
    }
}

/// The output of `uname -s -m` here.
fn machine_here() -> String {
    let system = rustix::system::uname();
    format!("{} {}", system.sysname().to_string_lossy(), system.machine().to_string_lossy())
}

/// How much is copied at once, in bytes: each piece is to arrive before the host counts as silent.
const CHUNK: usize = 64 << 10;

// Both scripts get the hash, the name in the cache, and a third word. They stand on one line and negate nothing,
// because a C shell may have to pass them on.

/// What both begin with: the cache, and whether a file has the hash.
macro_rules! with_cache {
    ($script:literal) => {
        concat!(
            "cache=\"${XDG_CACHE_HOME:-$HOME/.cache}/pleach\"; hash=\"$1\"; \
            is_it() { [ \"$( (sha256sum || shasum -a 256) <\"$1\" 2>/dev/null | cut -c 1-64)\" = \"$hash\" ]; }; ",
            $script
        )
    };
}

/// Looks at the file that the third word names, and into the cache.
const FIND: &str = with_cache!(
    "uname -s -m; \
    for at in \"$3\" \"$cache/$2\"; do \
        if [ -x \"$at\" ] && is_it \"$at\"; then echo \"found $at\"; exit 0; fi; \
    done; echo missing"
);

/// Copies its input into the cache, at first under a name with the third word in it. A whole copy that another login has made
/// meanwhile stays: actors may run it already.
const COPY: &str = with_cache!(
    "umask 077; at=\"$cache/$2\"; new=\"$cache/.$2.$3\"; \
    mkdir -p \"$cache\" || exit 1; trap 'rm -f \"$new\"' EXIT; \
    cat >\"$new\" && chmod 700 \"$new\" || exit 1; \
    is_it \"$new\" || { echo damaged; exit 0; }; \
    [ -x \"$new\" ] || { echo noexec; exit 0; }; \
    ln \"$new\" \"$at\" 2>/dev/null || { [ -x \"$at\" ] && is_it \"$at\"; } || mv -f \"$new\" \"$at\" || exit 1; \
    echo \"found $at\""
);

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_copy_tells_how_far_it_is_now_and_then_and_at_its_end() {
        let begun = Instant::now();
        let mut progress = Progress::begin(1000, begun);
        let after = |millis| begun + Duration::from_millis(millis);
        let told = [(100, 0), (100, 1999), (100, 2000), (100, 2100), (600, 2200)];
        assert_eq!(
            told.map(|(bytes, millis)| progress.note(bytes, after(millis))),
            [None, None, Some(30), None, Some(100)]
        );
    }

    /// Copies `bytes` as the host's shell does; returns the file in the cache.
    fn copy(cache: &Path, bytes: &[u8]) -> File {
        let mut digest = Context::new(&SHA256);
        digest.update(bytes);
        let hash = hash_of(digest);
        let mut shell = Command::new("sh");
        shell.args(["-c", COPY, "sh", &hash, "program", "unique"]).env("XDG_CACHE_HOME", cache);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(bytes).unwrap();
        let said = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
        let file = cache.join("pleach/program");
        assert_eq!(said, format!("found {}\n", file.display()));
        assert_eq!(fs::read(&file).unwrap(), bytes);
        File::open(file).unwrap()
    }

    #[test]
    fn a_whole_copy_stays_and_another_file_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let links = |file: &File| file.metadata().unwrap().nlink();
        let first = copy(cache.path(), b"a program");
        copy(cache.path(), b"a program");
        assert_eq!(links(&first), 1, "an actor may run it");
        let other = copy(cache.path(), b"another program");
        assert_eq!((links(&first), links(&other)), (0, 1));
        fs::set_permissions(cache.path().join("pleach/program"), Permissions::from_mode(0o600)).unwrap();
        copy(cache.path(), b"another program");
        assert_eq!(links(&other), 0, "it could not be run");
        assert_eq!(fs::read_dir(cache.path().join("pleach")).unwrap().count(), 1);
    }
}
