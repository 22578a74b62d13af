//! What a request asks this side to run: a function of the program, or a method of the runtime itself.
//!
//! On the wire both are one text. It is read here, once; nothing above looks at that text again.

use std::fmt;

use pleach_wire::ByteStr;

/// What a peer asks this side to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The exposed function of this path.
    Function(ByteStr),
    /// A method of the runtime, which needs no module to be enabled.
    Runtime(Method),
}

/// A method of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Asks the actor to end itself.
    Cancel,
    /// One that this version does not have.
    Unknown(ByteStr),
}

impl Target {
    /// Reads the text of a request.
    pub(crate) fn read(text: ByteStr) -> Self {
        match text.as_bytes().starts_with(SELF.as_bytes()) {
            false => Self::Function(text),
            // A path can't begin like this.
            true if text.as_str() == CANCEL => Self::Runtime(Method::Cancel),
            true => Self::Runtime(Method::Unknown(text)),
        }
    }

    /// Returns the text for the wire.
    pub(crate) fn into_text(self) -> ByteStr {
        match self {
            Self::Function(text) | Self::Runtime(Method::Unknown(text)) => text,
            Self::Runtime(Method::Cancel) => ByteStr::from_static(CANCEL),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function(text) | Self::Runtime(Method::Unknown(text)) => text,
            Self::Runtime(Method::Cancel) => CANCEL,
        })
    }
}

/// Marks the methods of the runtime, as opposed to the paths of functions.
const SELF: &str = "self:";

const CANCEL: &str = "self:cancel";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_read_back_from_its_text() {
        let method = ByteStr::from_static("self:cancel_all");
        for (target, text) in [
            (Target::Function(ByteStr::from_static("selfish::cancel")), "selfish::cancel"),
            (Target::Function(ByteStr::from_static("a::self:cancel")), "a::self:cancel"),
            (Target::Runtime(Method::Cancel), "self:cancel"),
            (Target::Runtime(Method::Unknown(method)), "self:cancel_all"),
        ] {
            assert_eq!((target.to_string().as_str(), &Target::read(ByteStr::from_static(text))), (text, &target));
            assert_eq!(target.into_text().as_str(), text);
        }
    }
}
