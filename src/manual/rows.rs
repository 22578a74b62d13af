//! Each row of the specified behaviour, and the test that holds it.
//!
//! The rows are those of the system that this one follows: flow control and errors (S01–S21), cancellation
//! (S22–S29), results and reaping (S30–S38), records and transports (S39–S48), streams, contexts and broadcasts
//! (S49–S86), debugging (S65–S71, S104, S112–S119), the surface and the runtime core (S87–S125). A row may have more
//! tests than the one named here: look for its number in a comment. `tests/manual.rs` demands that each number is in
//! one of the two lists.
//!
//! | row | behaviour | file | test |
//! |---|---|---|---|
//! | S01 | a full buffer of an opened stream makes its sender wait | `tests/it/streams/buffers.rs` | `an_overrun_says_whether_a_stream_is_open` |
//! | S02 | an overrun names both sides, and a stream that was never opened | `tests/it/streams/buffers.rs` | `an_overrun_says_whether_a_stream_is_open` |
//! | S03 | what is kept of a task goes when it ends | `src/channel/tests.rs` | `a_context_has_a_lane_and_gives_it_back` |
//! | S04 | a message without a dialog has no effect | `src/channel/tests.rs` | `strange_messages_are_counted_and_do_no_harm` |
//! | S05 | before a stream is opened, its buffer is all there is | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S06 | a failure that comes after the block is only noted | `tests/it/cancels/mod.rs` | `a_function_that_cancels_itself_fails_the_block` |
//! | S07 | without back-pressure a full buffer is the sender's error | `tests/it/streams/buffers.rs` | `overrun_at` |
//! | S08 | 64 messages fit | `tests/it/streams/buffers.rs` | `exactly_the_buffer_fits` |
//! | S09 | whether a sender waits is chosen by the receiver | `tests/it/streams/buffers.rs` | `an_overrun_says_whether_a_stream_is_open` |
//! | S10 | a failure at one side interrupts the other, wherever that waits | `tests/it/cancels/mod.rs` | `an_actor_that_was_cancelled_fails_each_context_to_it` |
//! | S11 | the size of a buffer can be chosen, larger and smaller | `tests/it/streams/buffers.rs` | `exactly_the_buffer_fits` |
//! | S12 | errors are not lost to a full buffer | `tests/it/cancels/mod.rs` | `an_actor_that_was_cancelled_fails_each_context_to_it` |
//! | S13 | an error from below keeps its source when it is passed on | `tests/it/errors.rs` | `a_context_passes_on_an_overrun_with_its_source` |
//! | S14 | a cancellation is an error only for those that did not request it | `tests/it/cancels/mod.rs` | `a_context_that_asked_absorbs_it` |
//! | S15 | one way to start a remote task; its refusal is the error of the start | `tests/it/contexts.rs` | `a_context_is_no_call_and_a_call_no_context` |
//! | S16 | a function is called in the way it was declared | `tests/it/contexts.rs` | `a_context_is_no_call_and_a_call_no_context` |
//! | S17 | a context is the dialog of two tasks | `tests/it/contexts.rs` | `a_dialog` |
//! | S18 | messages that arrive before the task is ready are kept | `tests/it/contexts.rs` | `a_dialog` |
//! | S19 | a sender learns that its messages are not received | `tests/it/streams/buffers.rs` | `an_overrun_says_whether_a_stream_is_open` |
//! | S20 | no stream before the first value | `tests/it/contexts.rs` | `misuse_is_an_error_that_says_so` |
//! | S21 | one first value | `tests/it/contexts.rs` | `misuse_is_an_error_that_says_so` |
//! | S22 | an actor that is cancelled winds up its own streams | `tests/it/runtime.rs` | `a_cancelled_actor_still_has_the_last_word` |
//! | S23 | the last messages of a cancelled actor are received | `tests/it/runtime.rs` | `a_cancelled_actor_still_has_the_last_word` |
//! | S24 | a cancel request is acknowledged | `tests/it/lookup.rs` | `a_grandchild_cancels_the_root` |
//! | S25 | what fails beside the tasks of a child goes up to its parent | `tests/it/failures.rs` | `what_fails_beside_the_tasks_of_a_child_fails_its_nursery` |
//! | S26 | a nursery tells when it has ended | `tests/it/runtime.rs` | `a_cancelled_actor_still_has_the_last_word` |
//! | S27 | a connection is read to its end | `tests/it/runtime.rs` | `a_cancelled_actor_still_has_the_last_word` |
//! | S28 | a peer remembers that its end was asked for | `tests/it/runtime.rs` | `cancels_at_once_are_all_acknowledged` |
//! | S29 | a start that is cancelled leaves nothing | `tests/it/starts.rs` | `a_start_is_cancelled_before_exec` |
//! | S30 | a final result is kept | `tests/it/structure.rs` | `results_are_kept` |
//! | S31 | nothing is a result too | `tests/it/structure.rs` | `results_are_kept` |
//! | S32 | several blocks are entered at once and left together | `tests/it/gather.rs` | `contexts_of_several_actors` |
//! | S33 | helpers for tasks of one actor | `tests/it/gather.rs` | `contexts_of_several_actors` |
//! | S34 | first the function's result, then the end of its actor | `tests/it/reaping.rs` | `functions_are_ended_first_and_daemons_when_cancelled` |
//! | S35 | an actor that does not exit is killed | `tests/it/reaping.rs` | `a_hard_kill_does_not_ask` |
//! | S36 | a debugged actor is left alone | `tests/it/debuggers.rs` | `debugged` |
//! | S37 | a cancel request passes however busy the tasks are | `tests/it/runtime.rs` | `cancels_at_once_are_all_acknowledged` |
//! | S38 | cancelling does not cancel cancellations | `tests/it/runtime.rs` | `cancels_at_once_are_all_acknowledged` |
//! | S39 | each layer of the log can be asked for alone | `src/telemetry/mod.rs` | `a_layer_can_be_asked_for_alone` |
//! | S40 | a record says where it was made | `src/telemetry/mod.rs` | `a_record_says_where_it_was_made` |
//! | S41 | messages are sent and received, over any link | `transports/conformance/src/exchange.rs` | `messages_arrive_in_order_both_ways` |
//! | S42 | transports are found by codec and protocol | `transports/wire/tests/registry.rs` | `an_unknown_key_lists_what_there_is` |
//! | S43 | an accepted connection becomes a channel, whatever carries it | `src/channel/handshake/tests.rs` | `members_of_one_tree_find_each_other` |
//! | S44 | a connection that has ended stays ended | `transports/conformance/src/endings.rs` | `what_has_ended_refuses_messages` |
//! | S45 | an actor is the same one wherever its id comes from | `src/actor.rs` | `an_id_that_was_sent_is_the_same_key` |
//! | S46 | a graceful end is distinguished from a fault | `transports/conformance/src/cuts.rs` | `a_reset_between_frames_is_a_graceful_end` |
//! | S47 | a frame is its length, little-endian, and one message | `transports/wire/tests/interleaving.rs` | `what_is_written_is_as_documented` |
//! | S48 | another codec replaces the built-in one | `transports/wire/tests/registry.rs` | `a_codec_from_outside_carries_values` |
//! | S49 | a stream lives as long as its block, not as its consumer | `tests/it/streams/consumers.rs` | `consumers_that_are_cancelled_lose_nothing` |
//! | S50 | a cancelled context opens no stream | `tests/it/cancels/mod.rs` | `a_context_that_asked_absorbs_it` |
//! | S51 | a cancel request that is not acknowledged in time is reported | `tests/it/cancels/processes.rs` | `a_peer_that_does_not_acknowledge_is_too_slow` |
//! | S52 | the window of a broadcast is chosen | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S53 | consumers are independent | `src/broadcast/tests.rs` | `each_consumer_gets_each_item_that_comes_after_it` |
//! | S54 | a closed consumer reports that it is closed | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S55 | the stream is used on when others have subscribed | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S56 | any stream can have several consumers | `src/broadcast/tests.rs` | `each_consumer_gets_each_item_that_comes_after_it` |
//! | S57 | a stream has subscriptions | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S58 | consumers share one state | `src/broadcast/tests.rs` | `each_consumer_gets_each_item_that_comes_after_it` |
//! | S59 | a consumer can change tasks | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S60 | a consumer can be handed to any task | `src/broadcast/tests.rs` | `a_consumer_may_move_to_another_task` |
//! | S61 | a slow consumer learns how many it lost | `tests/it/streams/consumers.rs` | `subscribers_get_what_the_stream_gets` |
//! | S62 | closing a consumer leaves the others alone | `src/broadcast/tests.rs` | `a_closed_consumer_says_so_and_leaves_the_others_alone` |
//! | S65 | an interrupt at the prompt ends nothing | `examples/debugging/tests/prompt/endings.rs` | `an_interrupt_at_the_prompt_ends_nothing` |
//! | S66 | a consumer that is cancelled loses nothing | `tests/it/streams/consumers.rs` | `consumers_that_are_cancelled_lose_nothing` |
//! | S67 | the end of a root waits for its children at the prompt | `examples/debugging/tests/prompt/queue.rs` | `a_cancelled_tree_waits_for_the_prompt` |
//! | S68 | a cancellation waits while an actor stands still | `examples/debugging/tests/prompt/queue.rs` | `a_cancelled_tree_waits_for_the_prompt` |
//! | S69 | a cancellation does not interrupt the way to the prompt | `examples/debugging/tests/prompt/queue.rs` | `nothing_above_a_leaf_that_stands_still_loses_patience` |
//! | S70 | an actor with a debugger attached is not killed with its nursery | `tests/it/debuggers.rs` | `debugged` |
//! | S71 | the root grants the terminal to one actor after the other | `examples/debugging/tests/prompt/queue.rs` | `two_that_crash_at_once_take_turns` |
//! | S72 | the end of a stream is final | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S73 | closing a stream does not affect the result | `tests/it/streams/consumers.rs` | `a_closed_stream_leaves_the_result` |
//! | S74 | a task is cancelled when its block fails, or on request | `tests/it/cancels/mod.rs` | `a_context_that_asked_absorbs_it` |
//! | S75 | a result can be asked for again and again | `tests/it/cancels/mod.rs` | `a_context_that_asked_absorbs_it` |
//! | S76 | a block waits for the result | `tests/it/cancels/mod.rs` | `the_bodys_own_error_comes_out` |
//! | S77 | a context knows whether it was cancelled | `tests/it/cancels/mod.rs` | `a_context_that_asked_absorbs_it` |
//! | S78 | the end of a stream is the same for each consumer | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S79 | the end of a stream is a value, not an error | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S81 | messages both ways; none after the end | `tests/it/streams/consumers.rs` | `a_stream_is_a_stream_and_a_sink` |
//! | S82 | a context is opened, and sends a first value | `tests/it/contexts.rs` | `a_dialog` |
//! | S83 | a return without a first value is an error | `tests/it/contexts.rs` | `misuse_is_an_error_that_says_so` |
//! | S84 | closing a stream cancels nothing | `tests/it/streams/consumers.rs` | `a_closed_stream_leaves_the_result` |
//! | S85 | both directions are alike | `tests/it/streams/consumers.rs` | `a_stream_is_a_stream_and_a_sink` |
//! | S86 | a one-way stream is not stopped, but cancelled | `src/proto/tests/one_way.rs` | `a_one_way_stream_goes_one_way` |
//! | S87 | a root that looks for a registrar leaves no trace there | `tests/it/election.rs` | `a_probe_leaves_no_trace` |
//! | S88 | a connection that ends before its handshake has no effect | `tests/it/election.rs` | `a_probe_leaves_no_trace` |
//! | S89 | a child that has not connected is killed when its start is cancelled | `tests/it/starts.rs` | `a_start_is_cancelled_before_it_connects_back` |
//! | S90 | leaving a one-way stream cancels its function | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S91 | three kinds of functions | `tests/it/streams/mod.rs` | `a_one_way_stream_ends_with_its_function` |
//! | S92 | each kind has its own call | `tests/it/streams/kinds.rs` | `a_function_of_another_kind_is_refused` |
//! | S93 | streams in one place, cancellation in another | `tests/layering.rs` | `modules_use_only_what_is_below_them` |
//! | S94 | exposed functions are async | `macros/tests/ui.rs` | `macros_accept_what_they_promise_and_explain_the_rest` |
//! | S95 | an actor can end itself, from anywhere | `tests/it/runtime.rs` | `an_actor_ends_itself` |
//! | S96 | callbacks at the end of an actor | `tests/it/runtime.rs` | `callbacks_run_last_in_first_out_when_the_actor_has_ended` |
//! | S97 | one source for each publisher | `src/trionics/pubsub/tests.rs` | `one_source_feeds_all_and_a_broken_sink_ends_only_its_subscriber` |
//! | S98 | a root is booted by hand or by the first nursery; it joins a registrar, or is it | `tests/it/election.rs` | `next_one_joins` |
//! | S99 | a daemon serves until it is cancelled; other programs find it | `tests/it/joining.rs` | `a_daemon_is_found_and_called` |
//! | S100 | a function by its path, the runtime's own included | `tests/it/calls.rs` | `a_refused_call_says_how_to_fix_it_and_the_actor_goes_on` |
//! | S101 | functions are named by their paths | `tests/it/calls.rs` | `values_cross` |
//! | S102 | each process has its own statics | `tests/it/runtime.rs` | `each_actor_has_its_own_statics` |
//! | S103 | a stream can be continued by another task | `tests/it/streams/consumers.rs` | `consumers_that_are_cancelled_lose_nothing` |
//! | S104 | an interrupt of an actor at the prompt ends nothing | `examples/debugging/tests/prompt/endings.rs` | `an_interrupt_of_an_actor_at_the_prompt_ends_nothing` |
//! | S105 | listeners end before the tasks around them | `tests/it/runtime.rs` | `an_actor_ends_in_ordered_steps` |
//! | S106 | an actor knows that it was cancelled, and when that has completed | `tests/it/runtime.rs` | `an_actor_ends_itself` |
//! | S107 | the last task counts, also when it fails | `tests/it/runtime.rs` | `tasks_that_fail_while_they_are_cancelled_hold_up_no_end` |
//! | S108 | waiting for a result distinguishes a failure from a cancellation | `tests/it/runtime.rs` | `tasks_that_fail_while_they_are_cancelled_hold_up_no_end` |
//! | S109 | every actor can reach the root | `tests/it/lookup.rs` | `parent_and_root_are_reached_from_each_level` |
//! | S110 | a lost connection ends the tasks that its peer had started | `tests/it/runtime.rs` | `a_callers_death_cancels_its_tasks` |
//! | S111 | a hard kill does not ask, and is noted first | `tests/it/reaping.rs` | `a_hard_kill_does_not_ask` |
//! | S113 | an actor that is cancelled at the prompt ends when it goes on | `examples/debugging/tests/prompt/queue.rs` | `nothing_above_a_leaf_that_stands_still_loses_patience` |
//! | S115 | callbacks run at the end of an actor, after all of its tasks | `tests/it/clauses_order.rs` | `a_child_is_complete_after_its_callbacks` |
//! | S116 | threads that pause take turns | `examples/debugging/tests/prompt/programs.rs` | `threads_pause_one_after_the_other` |
//! | S117 | any process of the tree can stand still, one at a time | `examples/debugging/tests/prompt/queue.rs` | `several_children_stop_in_the_order_in_which_they_came` |
//! | S119 | a child asks the root before it stands still | `examples/debugging/tests/prompt/programs.rs` | `a_pause_goes_on_with_its_value` |
//! | S120 | the nursery of a child is found by its id | `tests/it/reaping.rs` | `a_nursery_tells_others_that_it_was_left` |
//! | S121 | the end of the root cancels the nurseries below it | `tests/it/lookup.rs` | `a_grandchild_cancels_the_root` |
//! | S122 | a child runs with the settings of its parent | `tests/it/trees.rs` | `actors_have_the_threads_that_they_are_told` |
//! | S123 | the end of an actor in six steps | `tests/it/runtime.rs` | `an_actor_ends_in_ordered_steps` |
//! | S124 | the connection to the parent closes nearly last | `tests/it/runtime.rs` | `an_actor_ends_in_ordered_steps` |
//! | S125 | an actor that is cancelled tells its parent | `tests/it/runtime.rs` | `an_actor_ends_in_ordered_steps` |
//!
//! # Absent
//!
//! - S63: the numbering leaves it out.
//! - S64: the numbering leaves it out.
//! - S80: the numbering leaves it out.
//! - S112: replaced by S113.
//! - S114: dropped: an actor that is interrupted ends in order.
//! - S118: never specified; standard input is not passed on to other hosts.
