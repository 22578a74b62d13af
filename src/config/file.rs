//! The settings in a file of TOML.
//!
//! It is read twice: once whole, by serde, which knows the keys and their types; and once for the two names whose
//! values only the registry knows. Both know the line. A build without the feature `toml` reads no file, and refuses to
//! go on where there is one.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{Config, own_file};
use crate::error::{Error, Result};

/// Loads the settings of the file that is named, or of `pleach.toml` in `directory`, or the defaults where that is not
/// there. `check` gets the fields that name an entry of the registry, and these names.
pub(super) fn load(
    directory: &Path,
    named: Option<PathBuf>,
    check: impl Fn(&str, &str) -> Result<(), String>,
) -> Result<Config> {
    let Some((path, text)) = read(directory, named)? else { return Ok(Config::default()) };
    let config = parse(&text).map_err(|why| fault(&path, why))?;
    for Named { field, name, line } in names(&text).map_err(|why| fault(&path, why))? {
        check(field, &name).map_err(|why| fault(&path, format!("line {line}: {why}")))?;
    }
    Ok(config)
}

fn read(directory: &Path, named: Option<PathBuf>) -> Result<Option<(PathBuf, String)>> {
    let must_exist = named.is_some();
    let (path, read) = match named {
        Some(path) => (path.clone(), std::fs::read_to_string(path)),
        None => {
            let path = directory.join("pleach.toml");
            (path.clone(), own_file::read(&path))
        }
    };
    match read {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => {
            let why = if must_exist { " (PLEACH_CONFIG names it)" } else { "" };
            Err(Error::Config(format!("{}{why}: {error}", path.display())))
        }
    }
}

/// An error of a file.
pub(super) fn fault(path: &Path, why: impl Display) -> Error {
    Error::Config(format!("{}: {why}", path.display()))
}

/// A setting that names an entry of the registry, and where it stands.
struct Named {
    field: &'static str,
    name: String,
    line: usize,
}

/// Reads a text.
///
/// # Errors
/// Says what is wrong, and in which line.
#[cfg(feature = "toml")]
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

#[cfg(not(feature = "toml"))]
pub(super) fn parse<T: DeserializeOwned>(_: &str) -> Result<T, String> {
    Err(UNREAD.into())
}

#[cfg(feature = "toml")]
fn names(text: &str) -> Result<Vec<Named>, String> {
    #[derive(serde::Deserialize)]
    struct Names {
        transport: Option<toml::Spanned<String>>,
        codec: Option<toml::Spanned<String>>,
    }
    let Names { transport, codec } = parse(text)?;
    let named = [("transport", transport), ("codec", codec)].into_iter().filter_map(|(field, name)| {
        let name = name?;
        let line = text[..name.span().start].matches('\n').count() + 1;
        Some(Named { field, name: name.into_inner(), line })
    });
    Ok(named.collect())
}

#[cfg(not(feature = "toml"))]
fn names(_: &str) -> Result<Vec<Named>, String> {
    Err(UNREAD.into())
}

/// What a build says of a file that it can't read.
#[cfg(not(feature = "toml"))]
const UNREAD: &str = "this build reads no such file: it needs the feature `toml` of pleach; or remove the file, and set \
                      PLEACH_ variables";

#[cfg(test)]
#[cfg(not(feature = "toml"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_this_build_can_not_read_is_an_error_and_none_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let load = || load(directory.path(), None, |_, _| Ok(()));
        assert_eq!(load().unwrap(), Config::default());
        std::fs::write(directory.path().join("pleach.toml"), "codec = \"json\"").unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains("pleach.toml: ") && error.contains("needs the feature `toml`"), "{error}");
    }
}
