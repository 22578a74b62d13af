//! What a sequence, a map or a structure writes.

use bytes::BytesMut;
use serde::ser::{self, Serialize};

use super::{Kind, Refused, Writer, Written};

/// Several values in a row.
pub(in crate::codec::msgpack) struct Several<'a> {
    writer: Writer<'a>,
    /// Where the head belongs, if the length was not known.
    missing: Option<(Kind, usize)>,
    written: usize,
}

impl<'a> Several<'a> {
    #[inline]
    pub(super) fn new(mut writer: Writer<'a>, kind: Kind, len: Option<usize>) -> Result<Self, Refused> {
        let missing = match len {
            Some(len) => writer.again().head(kind, len).map(|()| None)?,
            None => Some((kind, writer.0.len())),
        };
        Ok(Self { writer, missing, written: 0 })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.written += 1;
        value.serialize(self.writer.again())
    }

    #[inline]
    fn finish(self) -> Written {
        match self.missing {
            Some((kind, start)) => put_head(self.writer.0, kind, start, self.written),
            None => Ok(()),
        }
    }
}

/// Writes a head before what begins at `start`.
#[cold]
fn put_head(out: &mut BytesMut, kind: Kind, start: usize, len: usize) -> Written {
    let end = out.len();
    Writer(out).head(kind, len)?;
    let size = out.len() - end;
    out[start..].rotate_right(size);
    Ok(())
}

macro_rules! elements {
    ($($compound:ident $method:ident)*) => {$(
        impl ser::$compound for Several<'_> {
            type Ok = ();
            type Error = Refused;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl ser::$compound for Several<'_> {
            type Ok = ();
            type Error = Refused;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
                self.writer.again().text(key)?;
                value.serialize(self.writer.again())
            }

            #[inline]
            fn end(self) -> Written {
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct SerializeStructVariant);

impl ser::SerializeMap for Several<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.element(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(self.writer.again())
    }

    #[inline]
    fn end(self) -> Written {
        self.finish()
    }
}
