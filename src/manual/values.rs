//! Values: which ones arrive unchanged, as arguments, results, first values, messages and registered errors.
//!
//! # The rule
//! **Every built-in codec brings back the values that `serde_json` brings back.** All other values come back too, or
//! sending them fails *at the sender*, with an error that names the type and the place:
//!
//! ```text
//! a value can't be sent as msgpack: Order.lines[3].price: a `Some` around nothing, such as `Some(None)` …
//! ```
//! Nothing arrives as another value, but for what serde itself does (below). So all attributes of serde may be used: `tag`, `content`, `untagged`, `flatten`,
//! `skip_serializing_if`, `default`, `rename`, `alias`, `with`, and so on.
//!
//! # Beyond `serde_json`
//! | value | `msgpack` | `json` |
//! |---|---|---|
//! | NaN and the infinities | arrive | refused |
//! | 128-bit integers | arrive | arrive |
//! | numbers and booleans as keys of maps, also in tagged and flattened types | arrive | arrive |
//! | other keys that are not text (tuples, lists, options) | arrive | refused |
//! | byte strings, [`Blob`](crate::Blob) | arrive | arrive |
//! | `Some` around nothing: `Some(None)`, `Some(())`, `Some(Unit)`, `Some(Value::Null)` | refused | refused |
//! | a `Serialize` by hand that announces another length than it writes | refused | refused |
//! | values nested more than 127 levels deep | refused | refused |
//!
//! A registered error that would be refused still comes, as its text; the actor that sends it logs why.
//!
//! # Limits of serde itself
//! What a type writes of itself and reads again is its own. No format can help here, and no sender sees it; most of it
//! is told in a debug build (below). An error at the receiver, whichever codec it is:
//! - a 128-bit integer, however small, in an internally tagged (`tag` without `content`), untagged or flattened type:
//!   serde reads these from a buffer that has no such integers. The whole value is refused, so that no other variant
//!   takes it. Send it as text, or outside of such a type. Adjacently tagged types (`tag` and `content`) carry it;
//! - a field with `skip_serializing_if` and without `default`;
//! - a name that is written twice: a flattened map, or a map in an internally tagged variant, with the name of a field
//!   or of the tag for a key; a type in another one with the same tag;
//! - what a `serialize_with` writes and the `deserialize_with` beside it does not read.
//!
//! Another value arrives, as with `serde_json`:
//! - `untagged` variants that look alike: the first one that fits is taken. Put the most specific one first, or use `tag`;
//! - fields *by position* that are left out, with `default`: in `struct Pair(Option<u8>, Option<u8>)` with
//!   `skip_serializing_if` on both, `Pair(None, Some(1))` comes as `Pair(Some(1), None)`, for it is written exactly like
//!   that one. Without `default` it is an error at the receiver. Only the last field can be left out safely, or use names;
//! - two flattened maps in one structure, each of which takes the entries of the other.
//!
//! # Two builds of a program
//! Fields and variants are known by their names, so their order makes no difference. When a function is called, both
//! sides compare its declaration and the shapes of its types, as far as they can be traced; where they differ the call
//! is refused, and the error names the fields (clause C-27 of [`cancellation`](super::cancellation)).
//! [`Portal::run_from_ns`](crate::Portal::run_from_ns) compares nothing: a field that is missing, or that does not fit,
//! is an error that names it, and one with a `default` may be missing. Numbers of 128 bits are read as narrower ones, and
//! the other way round, where they fit. Arguments may come by name (a map or a structure)
//! or by position (a tuple).
//!
//! # Your own codec
//! A [`CustomFormat`](crate::wire::codec::CustomFormat) says how values are written, and
//! [`CustomCodec`](crate::wire::codec::CustomCodec) makes a codec of it. The format need not describe itself: blobs and
//! errors of other actors pass through one like `postcard` as they are. Its author decides which of your types it can
//! carry, and tests it as [`transports`](super::transports) says.
//!
//! # In a debug build
//! Where assertions are on, a warning names once each type of which a value does not come back as it was sent: it is
//! written, read, written again and compared, where it is sent. That holds for all that a declaration names: arguments,
//! results, first values, messages in both directions, and for registered errors, for the first 31 values of each type.
//! It does not hold for the arguments of [`Portal::run_from_ns`](crate::Portal::run_from_ns), for `untagged` variants
//! that are written alike to the last byte, and for the codecs of others: what is tried is `msgpack`.
