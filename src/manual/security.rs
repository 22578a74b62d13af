//! Security of a tree: against strangers on the network, other users of the host, and its members.
//!
//! A *stranger* is a peer that has not proved that it knows the tree's key; a *member* is one that has. The root makes
//! the key at random, or reads it from a file, and each actor passes it to its children. So a tree's members are its
//! own processes, and those of other programs with the same file. Bounds are settings of [`Config`](crate::Config),
//! with these names.
//!
//! # A stranger on the network
//! - **SEC-1** No function runs for a stranger and no value of the program is read: before the proof only the
//!   handshake's own messages are accepted, and anything else ends the connection.
//! - **SEC-2** Both sides prove that they know the key, without showing it: each answers the other's fresh challenge
//!   with an HMAC over the whole exchange. A recorded proof is useless on another connection, a side's own message
//!   can't be reflected to it, and tampering in transit is detected. Over QUIC and `tls+tcp` the proofs are bound to
//!   that one encrypted connection, so a man in the middle with a certificate but without the key can't relay between
//!   two members.
//! - **SEC-3** A peer that connects and leaves, or only probes the port, leaves nothing behind.
//! - **SEC-4** A handshake has one deadline, `handshake`, for everything sent and received in it, and frames of 64 KiB
//!   at most. Silence at any stage, trickling bytes, and unread answers don't extend it.
//! - **SEC-5** Strangers can't keep members out: each listener has at most `max_pending_handshakes` pending handshakes;
//!   when full, a new connection evicts the oldest of those from the source with the most. An expected child is never
//!   evicted. A member whose connection was dropped in the handshake dials again, for as long as `dial` allows.
//! - **SEC-6** More than `max_connection_rate` connections per second from one address, or of one user, are closed
//!   before a byte of them is read; over QUIC and `tls+tcp`, after TLS. Expected children don't count.
//! - **SEC-7** In a flood of strangers members' calls go on, memory is bounded, and the log gets one line per second of
//!   each kind, with a count. Each listener has at most 256 pending TLS handshakes, for 10 s each at most; when all are
//!   silent, a new connection evicts one older than half a second, chosen as in SEC-5. With 128 of them pending, QUIC
//!   makes a dialer validate its address first.
//! - **SEC-8** An announced size reserves little memory: memory grows with the bytes that arrive. Payloads are nested
//!   128 levels deep at most, of arrays, maps and enum variants, and deeper ones are an error, not an overflow.
//! - **SEC-9** Over QUIC and `tls+tcp` a stranger does not get as far as the handshake: both sides present a
//!   certificate of an authority that the other trusts, in TLS 1.3, with forward secrecy: recorded traffic can't be
//!   read with the tree's key or a certificate's key that leaks later.
//! - **SEC-10** TCP, which is not encrypted, listens on loopback addresses only, unless `allow_non_loopback` says
//!   otherwise. Then the handshake still keeps strangers out, but an attacker on the path can read and change the rest.
//!
//! # Another user of the host
//! - **SEC-11** Only processes of the same user and of root reach a Unix socket. Three checks ensure that, each by
//!   itself: the directory's mode 0700, the socket's mode 0600, and the peer's credentials from the kernel. A dialer
//!   refuses a listener of another user, too.
//! - **SEC-12** A directory for sockets that belongs to another user, is open to others, or is a symbolic link is
//!   refused.
//! - **SEC-13** The key never appears in an argument, an environment variable or a log: a child reads it from its
//!   standard input, which is a pipe, and which it replaces before anything else runs. On another host that pipe is the
//!   standard input of `ssh` or `srun`, whose encryption and whose access rules are then the key's.
//!
//! # A member
//! - **SEC-14** A member may call the functions of the modules that were enabled for an actor, and no others.
//! - **SEC-15** What one member can use of another is bounded: messages by `max_frame`, tasks by `max_tasks`, their
//!   arguments by `max_arguments`, answers that it does not read by `max_answers` and `max_backlog`, stream messages by
//!   their buffer, connections by `max_connections`. Of messages that have not arrived whole, a connection holds one of
//!   `max_frame` and 32 MiB of others; over QUIC, whose streams overtake each other, one of `max_frame` more.
//! - **SEC-16** A senseless message is harmless: it is counted and ignored, or ends that one connection.
//!
//! # Several hosts and programs
//! - **SEC-17** Any process that can read a `key_file` is a member of every tree that uses it. So it belongs to the
//!   user that runs the program, with mode 0600, or is refused; it is created like that if missing. Trees with
//!   different keys do not mix.
//! - **SEC-18** Without `certificates`, the authority's private key is derived from the tree's key: exactly those who
//!   know the key are the authority.
//! - **SEC-19** `certificates` replaces that authority. A certificate is then valid for the hosts that it names only.
//!   It is not sufficient: the handshake requires the tree's key as before.
//! - **SEC-20** A child on another host ends before its parent declares it dead: its lease runs from when it sent the
//!   message that the parent answered. An actor that was declared dead for its silence can rejoin only as a newer
//!   incarnation.
//! - **SEC-21** Only members register, find and remove names, and each member may remove any entry.
//! - **SEC-22** A client that can write to the `etcd` of a `registry` can hide actors and enter addresses, and no more:
//!   a peer at such an address must still prove that it knows the key. The key is not stored in `etcd`. Over
//!   `tls+etcd://` both sides are authenticated; over `etcd://` nothing is encrypted.
//! - **SEC-23** A root's functions can't be called unless it exposes them.
//! - **SEC-24** What a process hosts is told to processes of its own user and of root, as the kernel knows them, and to
//!   no others. Those that ask and then say nothing, however many, delay no task of an actor, nor its end.
//! - **SEC-25** To tell where its tasks and threads are, a process interrupts its own threads, by a signal that its program
//!   does not handle; a handler of the program is never replaced. It tells addresses and the paths of its files, and
//!   nothing of what is in its memory.
//! - **SEC-26** Only its own user and root can ask an actor to end by the socket of its process.
//! - **SEC-27** `pleach web` listens on the loopback address only, and answers requests that have the secret of its
//!   address, in a cookie that no script can read, for a name of this host, from its own page. Its page needs nothing from
//!   elsewhere, shows names as text, and can't be shown within another page. It only looks.
//! - **SEC-28** Only processes of a program's own user, and of root, get the debugger's terminal, are shown its actors,
//!   or hold up what its actors wait for. A hold ends with the connection of the process that has it; there are at most
//!   1024 holds, and 256 actors wait for the terminal, in one process.
//! - **SEC-29** A trace tells the messages of an actor to its own user and to root: when, with which peer, of which
//!   function, how large; never what is in one, nor the text of an error. At most 16 run in a process, each keeps 8192
//!   messages at most, and no actor waits for one.
//! - **SEC-30** What asks for the actors on other hosts, or from there, goes over the login that has started them, and
//!   nothing listens on a network for it. From there the actors above are reached, and from here those below the keeper;
//!   on each host the kernel says who asks. A login carries at most 512 connections at once, with 64 KiB of each that
//!   were not taken.
//!
//! # An actor in a sandbox
//! - **SEC-31** With the feature `sandbox`, an actor whose start has [`Start::sandbox`](crate::Start::sandbox) opens no
//!   file, makes no connection, signals and starts no process beyond what that allows, from before its first function on.
//!   Where the kernel, or the program on another host, can't do that, the start fails. The page `manual::sandbox` has what
//!   stays open: it is a member of the tree like any other.
//!
//! # Tests
//! | clause | file | test |
//! |---|---|---|
//! | SEC-1 | `src/channel/handshake/tests.rs` | `what_is_no_handshake_ends_it` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_recorded_handshake_fits_no_other_connection` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_proof_cannot_be_reflected` |
//! | SEC-2 | `src/proto/tests/handshakes.rs` | `a_proof_is_good_for_its_encrypted_connection_only` |
//! | SEC-2 | `src/channel/handshake/tests.rs` | `a_certificate_is_not_enough_to_stand_between_two_members` |
//! | SEC-3 | `tests/it/strangers/mod.rs` | `a_thousand_probes_cost_nothing` |
//! | SEC-4 | `src/channel/handshake/tests.rs` | `no_stage_outlasts_the_deadline` |
//! | SEC-4 | `src/channel/handshake/tests.rs` | `a_byte_at_a_time_does_not_put_the_deadline_off` |
//! | SEC-4 | `src/channel/handshake/tests.rs` | `frames_of_strangers_are_small_and_those_of_members_as_configured` |
//! | SEC-4 | `tests/it/strangers/mod.rs` | `garbage_and_silence_are_closed_within_the_deadline` |
//! | SEC-5 | `src/runtime/admission/mod.rs` | `the_oldest_of_the_source_with_the_most_is_evicted` |
//! | SEC-5 | `tests/it/strangers/mod.rs` | `a_full_house_of_silent_ones_keeps_no_child_out` |
//! | SEC-5 | `src/runtime/dial.rs` | `a_listener_that_drops_the_connection_is_dialled_again` |
//! | SEC-6 | `tests/it/strangers/mod.rs` | `who_comes_too_often_is_closed_unread` |
//! | SEC-6 | `tests/it/strangers/mod.rs` | `children_are_no_strangers_however_low_the_rate` |
//! | SEC-7 | `tests/it/strangers/flood.rs` | `a_flood_holds_up_no_member` |
//! | SEC-7 | `transports/wire/src/pending.rs` | `who_is_silent_makes_room_after_its_time` |
//! | SEC-7 | `transports/tcp/tests/tls.rs` | `a_handshake_that_stalls_delays_no_other` |
//! | SEC-8 | `transports/wire/src/framed/assembly.rs` | `what_is_announced_is_not_allocated` |
//! | SEC-8 | `transports/wire/src/codec/mod.rs` | `nesting_beyond_the_limit_is_an_error_and_takes_no_stack` |
//! | SEC-8 | `transports/wire/src/codec/mod.rs` | `variants_count_as_levels_too` |
//! | SEC-9 | `transports/tls/tests/refusals.rs` | `each_refusal_is_an_error_on_both_sides_that_says_what_to_do` |
//! | SEC-9 | `transports/quic/tests/quic.rs` | `a_dialer_without_a_certificate_is_refused` |
//! | SEC-9 | `transports/tcp/tests/tls.rs` | `a_dialer_without_a_certificate_is_refused_and_hears_it` |
//! | SEC-10 | `transports/tcp/tests/sockets.rs` | `an_address_that_others_reach_is_refused_unless_allowed` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_directory_alone_keeps_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_mode_of_the_socket_alone_keeps_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `the_credentials_alone_keep_other_users_out` |
//! | SEC-11 | `transports/uds/tests/strangers.rs` | `a_listener_of_another_user_is_not_spoken_to` |
//! | SEC-12 | `transports/uds/tests/place.rs` | `a_directory_open_to_others_is_refused_with_advice` |
//! | SEC-13 | `src/proto/tests/handshakes.rs` | `the_key_is_never_printed` |
//! | SEC-13 | `tests/it/strangers/mod.rs` | `the_key_is_in_no_argument_and_no_variable` |
//! | SEC-14 | `tests/it/calls.rs` | `a_refused_call_says_how_to_fix_it_and_the_actor_goes_on` |
//! | SEC-15 | `tests/it/limits.rs` | `a_peer_that_does_not_read_is_given_up` |
//! | SEC-15 | `tests/it/limits.rs` | `arguments_beyond_the_limit_are_refused_until_others_are_done` |
//! | SEC-15 | `tests/it/limits.rs` | `calls_of_a_peer_that_does_not_read_wait_to_begin` |
//! | SEC-15 | `tests/it/limits.rs` | `who_is_one_too_many_is_told_why` |
//! | SEC-15 | `transports/wire/tests/interleaving.rs` | `one_message_of_many_megabytes_is_under_way_at_a_time` |
//! | SEC-15 | `transports/wire/tests/lanes.rs` | `a_peer_that_completes_no_message_on_any_lane_is_refused` |
//! | SEC-15 | `src/runtime/server.rs` | `members_that_come_at_once_get_no_more_than_max_connections` |
//! | SEC-16 | `src/channel/tests.rs` | `strange_messages_are_counted_and_do_no_harm` |
//! | SEC-17 | `src/key_file.rs` | `a_file_that_is_no_good_says_why_and_what_to_do` |
//! | SEC-17 | `src/key_file.rs` | `a_file_of_another_user_is_refused` |
//! | SEC-17 | `src/key_file.rs` | `programs_that_start_at_once_agree_on_one_key` |
//! | SEC-17 | `tests/it/election.rs` | `another_trees_registrar_is_not_joined` |
//! | SEC-18 | `transports/tls/src/authority.rs` | `a_key_makes_one_authority_and_another_key_another_one` |
//! | SEC-18 | `transports/tls/tests/refusals.rs` | `two_that_have_the_same_key_trust_each_other_only` |
//! | SEC-19 | `transports/tls/tests/refusals.rs` | `a_certificate_is_good_for_its_host_and_one_for_the_tree_on_any` |
//! | SEC-19 | `tests/it/certificates.rs` | `of_the_user` |
//! | SEC-19 | `tests/it/certificates.rs` | `for_another_host` |
//! | SEC-19 | `tests/it/strangers/mod.rs` | `a_certificate_without_the_key_is_not_enough` |
//! | SEC-20 | `src/proto/tests/liveness.rs` | `a_childs_lease_has_expired_when_its_parent_declares_it_dead` |
//! | SEC-20 | `src/proto/tests/fencing.rs` | `only_a_newer_incarnation_gets_in_again` |
//! | SEC-21 | `tests/it/election.rs` | `another_trees_registrar_is_not_joined` |
//! | SEC-21 | `tests/it/registry_suite.rs` | `removed` |
//! | SEC-22 | `tests/etcd/trees.rs` | `a_stranger` |
//! | SEC-22 | `tests/etcd/protected.rs` | `by_certificate` |
//! | SEC-23 | `tests/it/lookup.rs` | `a_root_exposes_nothing_unless_told` |
//! | SEC-24 | `tests/it/inspect.rs` | `another_user_sees_nothing` |
//! | SEC-24 | `src/spawn/watchdog.rs` | `those_that_ask_and_say_nothing_hide_no_end` |
//! | SEC-25 | `src/os/thread_stacks.rs` | `threads_are_interrupted_by_a_signal_that_is_free_and_handlers_stay_as_they_were` |
//! | SEC-26 | `tests/it/inspect.rs` | `another_user_ends_and_traces_nothing` |
//! | SEC-27 | `tests/cli/web.rs` | `only_the_browser_with_the_secret_is_answered` |
//! | SEC-28 | `src/inspect/listener.rs` | `a_branch_is_held_as_long_as_its_connection_lasts` |
//! | SEC-29 | `tests/it/inspect.rs` | `another_user_ends_and_traces_nothing` |
//! | SEC-29 | `tests/cli/trace.rs` | `each_message_is_told_on_both_sides` |
//! | SEC-29 | `src/channel/tap.rs` | `what_finds_no_room_is_counted_in_its_place` |
//! | SEC-30 | `src/spawn/remote/mux.rs` | `what_the_other_side_makes_of_a_tunnel_is_bounded` |
//! | SEC-30 | `src/spawn/remote/gate.rs` | `only_what_is_below_a_keeper_is_reached_from_above` |
//! | SEC-30 | `examples/debugging/tests/prompt/hosts.rs` | `actors_pause_one_below_the_other_over_three_hosts` |
//! | SEC-31 | `tests/sandbox/table.rs` | `is_true` |
//! | SEC-31 | `tests/sandbox/refusals.rs` | `kernel` |
//! | SEC-31 | `src/os/sandbox/mod.rs` | `a_build_without_the_feature_refuses_a_sandbox` |
//!
//! # Not protected
//! - Members from each other, those in a sandbox included. A member may call, cancel and end its tree's actors, connect under the name of any other,
//!   be the tree's registrar, and remove any name; children obey their parent, and a child is a member like its parent.
//!   A process with the key is trusted with the whole tree, on all its hosts. Bounds contain a member that
//!   malfunctions; they do not stop a malicious one.
//! - Traffic over TCP and Unix sockets, beyond what the system does: the key authenticates and does not encrypt. An
//!   attacker on the path of a TCP connection can read and change messages after the handshake.
//! - Calls on a loopback address that other users of the host flood: they share one address, and its rate. On a host
//!   with other users, use Unix sockets.
//! - The processor time of TLS handshakes that strangers begin: they are bounded in number, not in rate. On a network
//!   with strangers, put a filter in front of the port.
//! - A host that is flooded before its system hands over a connection, such as with forged packets.
//! - A process of the same user, or root's, on any host of the tree: it can read a member's memory, and the key in it.
//! - The hosts where children start: the login of `ssh` and the job of `srun` run their commands as their own user. A
//!   user who can change the program's file there decides what runs.
//! - A leaked key. It can't be changed in a running tree: end the tree, replace the file on each host, and start the
//!   tree again. The same goes for certificates of the tree's own authority.
