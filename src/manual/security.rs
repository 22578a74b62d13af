//! Who can do what to a tree: strangers on the network, other users of the host, and its members.
//!
//! A *stranger* is whoever has not proved that it knows the tree's key; a *member* is whoever has. The root makes
//! the key at random and each actor hands it to its children, so a tree's members are its own processes. Bounds are
//! settings of [`Config`](crate::Config), with these names.
//!
//! # A stranger on the network
//! - **SEC-1** For a stranger no function runs and no value of the program is read: before the proof nothing but the
//!   handshake's own messages is taken, and anything else ends the connection.
//! - **SEC-2** Both sides prove that they know the key, without showing it: each answers the other's fresh challenge
//!   with an HMAC over all that was said. What was recorded fits no other connection, what a side has said can't be
//!   sent back to it, and who changes a message on the way is found out.
//!   Over QUIC and `tls+tcp` the proofs hold for that one encrypted connection, so whoever has a certificate but not
//!   the key can't stand between two members and hand on what they say.
//! - **SEC-3** Whoever connects and leaves, or only asks whether somebody is there, leaves nothing behind.
//! - **SEC-4** A handshake has one deadline, `handshake`, for all that is sent and received in it, and frames of 64 KiB
//!   at most. Silence at any stage, bytes that dribble in, and answers that are not read gain nothing.
//! - **SEC-5** Strangers keep no member out: at most `max_pending_handshakes` are talked to at each listener, and then
//!   a newcomer gets the place of the one who has been there longest, of those of the source with the most places. A
//!   child that is waited for keeps its place.
//! - **SEC-6** More than `max_connection_rate` connections per second from one address, or of one user, are closed
//!   before a byte of them is read; over QUIC, after its own handshake, of which 256 are under way at most. Children
//!   that are waited for come on top of it.
//! - **SEC-7** In a flood of strangers members' calls go on, memory is bounded, and the log gets a line per second of
//!   each kind, with a count.
//! - **SEC-8** A size that is only announced takes little memory: it grows with what arrives. Payloads are nested 128
//!   levels deep at most, and deeper ones are an error, not an overflow.
//! - **SEC-9** Over QUIC and `tls+tcp` a stranger does not get as far as the handshake: both sides show a certificate of the tree's
//!   authority, in TLS 1.3. What was recorded can't be read later by whoever gets the key then.
//! - **SEC-10** TCP, which is not encrypted, listens on loopback addresses only, unless `allow_non_loopback` says
//!   otherwise.
//!
//! # Another user of the host
//! - **SEC-11** A Unix socket is reached by processes of the same user and root's only. Three things see to that, each
//!   of them alone: the directory's mode 0700, the socket's mode 0600, and the kernel's word for who the peer is. A
//!   listener of another user is not spoken to either.
//! - **SEC-12** A directory for sockets that belongs to somebody else, is open to others, or is a symbolic link is
//!   refused.
//! - **SEC-13** The key is in no argument, no environment variable and no log: a child reads it from a pipe that it
//!   inherits.
//!
//! # A member
//! - **SEC-14** A member may call the functions of the modules that were enabled for an actor, and no others.
//! - **SEC-15** What one member takes of another is bounded: messages by `max_frame`, tasks by `max_tasks`, answers
//!   that it does not read by `max_backlog`, stream messages by their buffer, connections by `max_connections`.
//! - **SEC-16** A message that makes no sense harms nobody: it is counted and ignored, or ends that one connection.
//!
//! # Which test holds it
//! | clause | file | test |
//! |---|---|---|
//! | SEC-1 | `src/channel/handshake.rs` | `what_is_no_handshake_ends_it` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_recorded_handshake_fits_no_other_connection` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_proof_cannot_be_reflected` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_proof_is_good_for_its_encrypted_connection_only` |
//! | SEC-2 | `src/channel/handshake.rs` | `a_certificate_is_not_enough_to_stand_between_two_members` |
//! | SEC-3 | `tests/it/strangers/mod.rs` | `probes` |
//! | SEC-4 | `src/channel/handshake.rs` | `no_stage_outlasts_the_deadline` |
//! | SEC-4 | `src/channel/handshake.rs` | `a_byte_at_a_time_does_not_put_the_deadline_off` |
//! | SEC-4 | `src/channel/handshake.rs` | `frames_of_strangers_are_small_and_those_of_members_as_configured` |
//! | SEC-4 | `tests/it/strangers/mod.rs` | `garbage` |
//! | SEC-5 | `src/runtime/door/mod.rs` | `the_source_with_the_most_places_makes_room` |
//! | SEC-5 | `tests/it/strangers/mod.rs` | `full_house` |
//! | SEC-6 | `tests/it/strangers/mod.rs` | `too_often` |
//! | SEC-6 | `tests/it/strangers/mod.rs` | `children_on_top` |
//! | SEC-7 | `tests/it/strangers/flood.rs` | `goes_on` |
//! | SEC-8 | `transports/wire/src/framed/assembly.rs` | `what_is_announced_is_not_allocated` |
//! | SEC-8 | `transports/wire/src/codec/mod.rs` | `nesting_beyond_the_limit_is_an_error_and_takes_no_stack` |
//! | SEC-9 | `transports/quic/tests/quic.rs` | `another_authority_is_refused_by_either_side` |
//! | SEC-9 | `transports/quic/tests/quic.rs` | `a_dialer_without_a_certificate_is_refused` |
//! | SEC-10 | `transports/tcp/tests/sockets.rs` | `an_address_that_others_reach_is_refused_unless_allowed` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_directory_alone_keeps_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_mode_of_the_socket_alone_keeps_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_credentials_alone_keep_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `a_listener_of_another_user_is_not_spoken_to` |
//! | SEC-12 | `transports/uds/tests/place.rs` | `a_directory_open_to_others_is_refused_with_advice` |
//! | SEC-13 | `src/proto/tests/handshakes.rs` | `the_key_is_never_printed` |
//! | SEC-14 | `tests/it/calls.rs` | `refusals` |
//! | SEC-15 | `tests/it/limits.rs` | `not_reading` |
//! | SEC-15 | `tests/it/limits.rs` | `one_too_many` |
//! | SEC-16 | `src/channel/tests.rs` | `strange_messages_are_counted_and_harm_nobody` |
//!
//! # What is not protected
//! - Members from each other. A member may call, cancel and end its tree's actors, and a parent is obeyed by its
//!   children: whoever has the key is trusted with the whole tree. Bounds keep a member that has gone mad from taking
//!   the others with it; they do not stop one that means harm. It can, for one, send a value so deeply nested
//!   in enum variants that reading it as a recursive type of the program takes more stack than there is.
//! - What is said over TCP and Unix sockets, beyond what the system does: the key proves who is there and encrypts
//!   nothing. Whoever can read or change packets on the way of a TCP connection reads and changes messages after the
//!   handshake.
//! - Calls on a loopback address that other users of the host flood: they share one address, and its rate. On a host
//!   with other users, Unix sockets are what to use.
//! - A host that is flooded before its system hands over a connection, such as with forged packets.
//! - A process of the same user, or root's: it can read a member's memory, and the key in it.
//! - A key that has become known. There is no way to change it in a running tree: start a new one.
