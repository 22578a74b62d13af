//! What arrives: the values of arguments, results, first values, messages and registered errors.
//!
//! # The rule
//! **What `serde_json` brings back, every built-in codec brings back.** All other values come back too, or sending them
//! fails *at the sender*, with an error that names the type and the place:
//!
//! ```text
//! a value can't be sent as msgpack: Order.lines[3].price: a `Some` around nothing, such as `Some(None)` …
//! ```
//! Nothing arrives as another value. So all attributes of serde may be used: `tag`, `content`, `untagged`, `flatten`,
//! `skip_serializing_if`, `default`, `rename`, `alias`, `with`, and so on.
//!
//! # What beyond `serde_json`
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
//! # What serde itself can't carry
//! In tagged, untagged and flattened types serde reads into a buffer of its own first, whatever the format is. There
//! - 128-bit integers can't be read: an error at the receiver. Send them as text, or outside of such a type;
//! - the first variant that fits is taken: `untagged` variants that look alike come back as the first of them. Put the
//!   most specific one first, or use `tag`.
//!
//! And what a type asks for, it gets: a field with `skip_serializing_if` and without `default` is missing at the
//! receiver; a `serialize_with` that writes what the `deserialize_with` beside it does not read is not read.
//!
//! # Two builds of a program
//! Fields and variants are known by their names, so their order makes no difference. When a function is called, both
//! sides compare its declaration and the shapes of its types, as far as they can be traced; where they differ the call
//! is refused, and the error names the fields (clause C-27 of [`cancellation`](super::cancellation)).
//! [`Portal::run_from_ns`](crate::Portal::run_from_ns) compares nothing: a field that is missing, or that does not fit,
//! is an error that names it, and one with a `default` may be missing. Arguments may come by name (a map or a structure)
//! or by position (a tuple).
//!
//! # Your own codec
//! A [`CustomFormat`](crate::wire::codec::CustomFormat) says how values are written, and
//! [`CustomCodec`](crate::wire::codec::CustomCodec) makes a codec of it. The format need not describe itself: blobs and
//! errors of other actors pass through one like `postcard` as they are. What it can carry of your types is its author's
//! to say.
