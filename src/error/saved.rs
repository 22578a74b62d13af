//! Errors for machines: every error as a flat record of stable names, and read back from it.
//!
//! ```text
//! {"kind":"timeout","what":"the answer","after":{"secs":1,"nanos":0},"message":"the answer took longer than 1s"}
//! {"kind":"remote","type_name":"app::TooBig","message":"7 is too big","chain":[],"src":{…},"relay_path":[…],…}
//! {"kind":"group","errors":[{…},{…}],"left_out":0,"message":"2 errors: …"}
//! ```
//! serde derives the record from [`Error`] itself. Here are its field names for variants that hold one bare value, and
//! the text for readers that don't know a kind. Findings of the runtime also cross connections in this form, as the
//! payload of a [`RemoteError`](super::RemoteError). A local error is read back as its text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Error;

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithMessage<'a> {
            #[serde(flatten, serialize_with = "Error::serialize")]
            record: &'a Error,
            /// A remote error has a message of its own, without the actor in front.
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<String>,
        }
        let message = (!matches!(self, Self::Remote(_))).then(|| self.to_string());
        WithMessage { record: self, message }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// Makes a module for `#[serde(with = …)]` that writes a bare value as a structure with one field of its name.
macro_rules! named {
    ($($name:ident)+) => {$(
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(in super::super) fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
                #[derive(Serialize)]
                struct Named<'a, T> {
                    $name: &'a T,
                }
                Named { $name: value }.serialize(to)
            }

            pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
            where
                T: Deserialize<'de>,
                D: Deserializer<'de>,
            {
                #[derive(Deserialize)]
                struct Named<T> {
                    $name: T,
                }
                Named::deserialize(from).map(|named| named.$name)
            }
        }
    )+};
}

named! { cause fault panic what why }

/// A local error: its text and those of its causes.
pub(super) mod texts {
    use std::error::Error as StdError;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::error::remote::Text;
    use crate::error::{BoxError, causes};

    type Local = Arc<dyn StdError + Send + Sync>;

    #[derive(Serialize, Deserialize)]
    struct Texts {
        texts: Vec<String>,
    }

    pub(in super::super) fn serialize<S: Serializer>(error: &Local, to: S) -> Result<S::Ok, S::Error> {
        Texts { texts: causes(&**error).map(ToString::to_string).collect() }.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Local, D::Error> {
        let Texts { texts } = Texts::deserialize(from)?;
        Ok(match Text::chain(texts) {
            Some(first) => Arc::new(*first),
            None => Arc::from(BoxError::from("an error without a text")),
        })
    }
}
