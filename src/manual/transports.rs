//! Transports without actors, and codecs and protocols of your own.
//!
//! A transport is a codec over a protocol, such as `msgpack` over `quic`. [`transports::all`](crate::transports::all) has
//! those of a program. What lies between codec and protocol is written once: frames, queues, back-pressure, large messages
//! that hold nothing up, endings.
//!
//! # The stack without actors
//! A [`Connection`] carries values of your own types. Nothing of actors is in it: it has no calls, and no answer that
//! belongs to a question. If you find yourself writing those, use actors.
//!
//! ```
//! use pleach::transports;
//! use pleach::wire::{Connection, Key, Settings, TransportError};
//! use serde::{Deserialize, Serialize};
//!
//! /// Several kinds of messages are the variants of an enum.
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum Order {
//!     Pears(u32),
//!     Picture(pleach::Blob), // bytes that are not copied on their way
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), TransportError> {
//! let (registry, settings) = (transports::all(), Settings::default());
//! // An address of your own is `"tcp://127.0.0.1:1616".parse()?`; its beginning names the protocol.
//! let address = registry.find(&Key::new("msgpack", "uds"))?.protocol().any_address(&settings);
//! let mut listener = registry.listen("msgpack", &address, &settings).await?;
//! let client: Connection<Order, u32> = registry.connect("msgpack", &address, &settings).await?;
//! client.send(&Order::Pears(7)).await?;
//! client.close().await?;
//!
//! let mut server: Connection<u32, Order> = listener.accept().await?;
//! assert_eq!(server.recv().await?, Some(Order::Pears(7)));
//! assert_eq!(server.recv().await?, None); // the client has closed its direction
//! # Ok(())
//! # }
//! ```
//! `examples/client_and_server.rs` is a whole program. The crates [`pleach-wire`](crate::wire), `pleach-tcp`, `pleach-uds`,
//! `pleach-quic` and `pleach-mem` have it all without this one.
//!
//! - **Waiting.** [`send`] waits for room and until the network has the value, so a peer that does not
//!   read makes its sender wait, and little is held meanwhile. [`feed`] leaves the writing to the next
//!   `send` or `flush`, for many small values at once.
//! - **Order.** Values arrive in the order in which they were sent, each whole or not at all, whatever future was dropped.
//! - **Two tasks.** [`split`] gives halves; senders can be cloned. Two peers that both send much before
//!   they receive would wait for each other otherwise. A receiver is a `futures` stream.
//! - **The dialer speaks first.** Over QUIC a listener does not see a connection before that.
//! - **The end.** [`close`] writes what waits and ends one direction; the peer's `recv` returns `None`.
//!   It waits for a peer that does not read, so put a deadline around it. Dropping a connection aborts it.
//! - **Errors.** A value of another type than expected is an error that names the place in it, and is skipped. All other
//!   errors of `recv` end the connection. If an actor is at the other end, that is one of them, and an actor ignores what
//!   it gets, or ends the connection before its handshake.
//!
//! ## Who is at the other end
//! The proof that both ends belong to one tree is the actors'. A bare connection has what the protocol checks by itself:
//!
//! | protocol | who gets a connection |
//! |---|---|
//! | `mem` | code of this process |
//! | `uds` | processes of the same user, and root's |
//! | `tcp` | all who reach the port; nothing is encrypted, so `transports::all` has it on loopback only |
//! | `tls+tcp`, `quic` | those with a certificate of one of our authorities, and both sides show one |
//!
//! Certificates are in [`Settings::tls`](crate::wire::Settings::tls); `transports::tls::identity` reads and makes them. A
//! stranger's value may be as large as any other, 64 MiB, unless
//! [`ConnectionListener::set_max_frame`](crate::wire::ConnectionListener::set_max_frame) says less:
//! what is announced takes no memory, what arrives does. Raise it with
//! [`Connection::set_max_frame`] once you know who it is. There is no limit to the number of connections but yours.
//!
//! # Your own codec
//! A [`CustomFormat`](crate::wire::codec::CustomFormat) says how values are written, and
//! [`register_codec`](crate::transports::register_codec) adds it over each protocol: `PLEACH_CODEC=mine`, or
//! `codec = "mine"`. `examples/own_codec.rs` does so with `postcard`. Test it with the suite that `msgpack` and `json` pass,
//! of the crate `pleach-conformance`:
//!
//! ```
//! # use pleach::wire::Msgpack as MyCodec;
//! pleach_conformance::codec_conformance!(my_codec, MyCodec);
//! ```
//! It tries each kind of message with all shapes of values, what becomes of values that few formats can carry, truncated
//! and hostile input. With `exact` behind the codec, whatever `serde_json` brings back has to come back; without it, an
//! error is allowed for what a format can't carry, and another value never.
//!
//! # Your own protocol
//! A type that implements [`Protocol`](crate::wire::Protocol) dials and listens, and hands over byte links. It is
//! registered in each process, first thing:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pleach::transports;
//! use pleach::wire::{Msgpack, TransportType};
//! # use pleach::wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
//! #
//! # #[derive(Debug)]
//! # struct Pigeon;
//! #
//! # #[async_trait::async_trait]
//! # impl Protocol for Pigeon {
//! #     fn name(&self) -> &'static str {
//! #         "pigeon"
//! #     }
//! #     fn reach(&self) -> Reach {
//! #         Reach::Network
//! #     }
//! #     fn any_address(&self, _: &Settings) -> Address {
//! #         Address::Other { protocol: "pigeon".into(), rest: "loft".into() }
//! #     }
//! #     async fn dial(&self, _: &Address, _: &Settings) -> Result<Link, TransportError> {
//! #         std::future::pending().await
//! #     }
//! #     async fn listen(&self, _: &Address, _: &Settings) -> Result<Box<dyn Listener>, TransportError> {
//! #         std::future::pending().await
//! #     }
//! # }
//!
//! fn setup() {
//!     transports::register(TransportType::framed(Msgpack, Arc::new(Pigeon))).expect("no other has its name");
//! }
//!
//! #[pleach::main(init = setup)]
//! async fn main() {
//!     assert!(transports::known().iter().any(|key| key.protocol == "pigeon"));
//! }
//! ```
//! Actors use it with `PLEACH_TRANSPORT=pigeon`, or `transport = "pigeon"`. `examples/own_transport.rs` is a whole one, and
//! its test is the suite that each protocol here passes: `conformance!(pigeon, Subject::framed(Msgpack, Pigeon))`.
//!
//! [`Connection`]: crate::wire::Connection
//! [`Connection::set_max_frame`]: crate::wire::Connection::set_max_frame
//! [`close`]: crate::wire::Connection::close
//! [`feed`]: crate::wire::Connection::feed
//! [`send`]: crate::wire::Connection::send
//! [`split`]: crate::wire::Connection::split
