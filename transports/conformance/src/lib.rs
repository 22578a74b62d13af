//! The suite that every transport passes: one small function per promise of the seam; and that of codecs, in [`codec`].
//!
//! It is a dev-dependency of a crate that has a transport or a codec, in this repository or anywhere else:
//! `cargo add --dev pleach-conformance`.
//!
//! A transport's `tests/conformance.rs` is one [`conformance!`] line per codec. Each line runs every
//! check on the transport as it is, and again with links that split, delay and stall what they carry
//! (see [`faulty`]). A [`Subject`] says what is tested; a protocol from outside this repository makes
//! one the same way.
//!
//! | file | promises about |
//! |---|---|
//! | [`exchange`] | messages arriving, whole and in order |
//! | [`overtaking`] | urgent and small messages overtaking large ones |
//! | [`endings`] | closing, dropping, half-closed and cut connections |
//! | [`limits`] | frame limits, memory, back-pressure, bad input |
//! | [`cancel`] | futures dropped at every point |
//! | [`connections`] | values of a user's own types, without actors |
//! | [`dialing`] | addresses, listeners, refusals, probes |
//! | [`cuts`] | connections that break at any byte |
//! | [`slow`] | slow lines (see [`line`](mod@line)) |
//!
//! [`patience`](mod@patience) has how long a check waits.
//!
//! # What must stay true
//! 1. A check waits for events, never for time; [`run`] bounds it.
//! 2. The dialer says something first, because over some protocols the listener sees nothing before that.
//! 3. A check leaves no socket, file or task behind.
//!
//! # Panics
//! Checks are test code: they panic where a promise is broken.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "checks are test code, and fail by panicking")]

pub mod cancel;
pub mod codec;
pub mod connections;
pub mod cuts;
pub mod dialing;
pub mod endings;
pub mod exchange;
pub mod faulty;
pub mod limits;
pub mod line;
pub mod overtaking;
pub mod patience;
mod say;
pub mod slow;
mod subject;

pub use faulty::{Faulty, Plan};
#[doc(hidden)]
pub use pleach_wire::Codec as __Codec;
pub use subject::{Pair, Raw, Role, Subject};

use self::patience::patience;

/// Runs one check on a runtime of its own, as long as tests have patience.
///
/// # Panics
/// When the check fails or hangs.
pub fn run(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(3 * patience(), check).await.expect("the check hangs") });
}

/// Expands to one test per check, in a module of the given name, for the [`Subject`] that `$subject` makes.
///
/// ```ignore
/// pleach_conformance::conformance!(msgpack, Subject::framed(Msgpack, Tcp::default()));
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident, $subject:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the subject's expression uses what it needs")]
            use super::*;

            fn subject() -> $crate::Subject {
                $subject
            }

            mod plain {
                $crate::checks!(super::subject());
                $crate::checks_of!(super::subject(), dialing: [a_thousand_probes_cost_nothing]);
                $crate::checks_of!(super::subject(), overtaking: [a_control_message_overtakes_large_ones]);
                $crate::checks_of!(super::subject(), slow: [
                    control_waits_for_little_of_a_flood,
                    last_words_get_through_a_slow_line,
                ]);
                $crate::checks_of!(super::subject(), cuts: [
                    a_cut_connection_delivers_whole_messages_in_order_and_ends,
                    a_cut_inside_a_large_message_is_a_fault,
                    a_reset_between_frames_is_a_graceful_end,
                    a_reset_inside_a_frame_is_a_fault,
                ]);
            }

            mod split {
                $crate::checks!(super::subject().under($crate::Plan::Split));
            }

            mod delay {
                $crate::checks!(super::subject().under($crate::Plan::Delay));
            }

            mod stall {
                $crate::checks!(super::subject().under($crate::Plan::Stall));
            }
        }
    };
}

/// Expands to the tests that hold over any link, also over one that is slow in odd ways.
#[doc(hidden)]
#[macro_export]
macro_rules! checks {
    ($subject:expr) => {
        $crate::checks_of!($subject, exchange: [
            messages_arrive_in_order_both_ways,
            every_kind_of_message_arrives,
            a_huge_message_arrives_whole,
            one_byte_at_a_time_is_enough,
            messages_of_many_senders_arrive_whole,
            what_crosses_is_counted,
        ]);
        $crate::checks_of!($subject, overtaking: [
            a_large_message_holds_up_no_small_ones,
            close_sends_large_messages_and_the_good_bye_last,
        ]);
        $crate::checks_of!($subject, endings: [
            close_sends_what_was_queued,
            close_then_drop_delivers,
            a_closed_direction_leaves_the_other_open,
            an_end_inside_a_frame_is_truncated,
            a_dropped_connection_wakes_the_peer,
            a_vanished_peer_wakes_the_receiver,
            abort_wakes_everyone_here_and_there,
            closing_twice_is_fine,
            a_cancelled_close_still_closes,
            what_has_ended_refuses_messages,
        ]);
        $crate::checks_of!($subject, limits: [
            a_message_over_the_limit_is_refused_by_its_sender,
            a_frame_over_the_limit_is_refused_by_its_receiver,
            an_announced_size_takes_no_memory,
            a_garbage_first_frame_is_decode_and_ends_the_connection,
            an_unencodable_message_sends_nothing,
            a_value_that_panics_sends_nothing,
            a_slow_reader_blocks_the_writer,
        ]);
        $crate::checks_of!($subject, cancel: [
            a_receive_dropped_at_every_poll_loses_nothing,
            a_send_dropped_half_way_never_interleaves,
            a_dropped_dial_leaves_nothing_open,
            an_accept_dropped_at_every_poll_loses_no_connection,
        ]);
        $crate::checks_of!($subject, connections: [
            values_arrive_in_order_and_then_the_end,
            halves_flood_each_other,
            a_closed_and_dropped_connection_delivers,
            a_stranger_is_held_to_the_limit,
        ]);
        $crate::checks_of!($subject, dialing: [
            a_refused_dial_is_an_error_in_time,
            listening_twice_is_refused,
            localhost_is_bound_at_all_its_addresses,
            an_address_is_free_after_close,
            an_address_is_free_soon_after_drop,
            connections_outlive_their_listener,
            many_dialers_at_once_all_get_through,
            addresses_round_trip_through_text,
            chosen_addresses_are_fresh,
            an_address_of_another_protocol_is_an_error,
        ]);
    };
}

/// Expands to one test for each named check of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! checks_of {
    ($subject:expr, $module:ident: [$($check:ident),* $(,)?]) => {
        $(
            #[test]
            fn $check() {
                $crate::run(async { $crate::$module::$check(&$subject).await });
            }
        )*
    };
}
