//! An error of which only the text has come here.

use std::error::Error as StdError;
use std::fmt;

/// A text, and its cause.
#[derive(Clone, Debug)]
pub(super) struct Told {
    text: String,
    cause: Option<Box<Self>>,
}

impl Told {
    /// Makes a chain of texts, the outermost first.
    pub(super) fn chain(texts: Vec<String>) -> Option<Box<Self>> {
        texts.into_iter().rev().fold(None, |cause, text| Some(Box::new(Self { text, cause })))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
