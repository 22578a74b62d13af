//! Judges the end of a child: was it requested, or is it a failure?
//!
//! A pure function of observations, which [`ChildHandle`](crate::portal) collects. Nothing here depends on when the parent
//! learns of them: a child that crashes a moment before it is asked to end has crashed, however late its exit status
//! comes. So a request, or a signal, counts only if the child was alive when it was sent.
//!
//! The first row that fits counts; `*` is anything, "signalled" means by this parent:
//!
//! | # | asked | goodbye | signalled | end | verdict |
//! |---|---|---|---|---|---|
//! | 1 | * | * | * | its runtime reported a failure | died, while it was running |
//! | 2 | * | yes | * | its process lives on | still ending |
//! | 3 | never | no | no | its process lives on | lost |
//! | 4 | * | * | * | its process lives on | still ending: the reaper sees to it |
//! | 5 | * | * | yes | SIGTERM, SIGKILL, exit code 0, unknown | in order: it was made to end |
//! | 6 | * | yes | no | exit code 0, unknown | in order |
//! | 7 | sent, heard | no | no | exit code 0, unknown | in order: it left at once, or is out of reach |
//! | 8 | sent, heard | * | no | terminated by another SIGTERM | in order: it was asked twice |
//! | 9 | heard | * | * | any other | died, while it was ending |
//! | 10 | * | yes | * | any other | died, while it was ending |
//! | 11 | * | * | * | any other | died, while it was running |
//!
//! A child that gets a signal reports that as its end, and has died of it if it had not been asked to end. If it had
//! been asked, or signalled by this parent, the report is ignored.
//!
//! A child that has said goodbye has ended its tasks in order. Its remaining work may take its time: it is waited for
//! like one that was asked, with `soft_reap`.

use crate::error::{ActorPhase, WaitStatus};

/// The observations of a child's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) asked: Asked,
    /// Whether the child has closed its connection in order.
    pub(crate) goodbye: bool,
    /// Whether this parent has sent it SIGTERM or SIGKILL.
    pub(crate) signalled: bool,
    pub(crate) end: End,
}

/// How far a request to end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The child was not asked, or was dead by then.
    Never,
    /// The request is under way, or was lost.
    Sent,
    /// The child has acknowledged it.
    Heard,
}

/// The part that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The child's runtime, which has reported why.
    Runtime,
    /// Only its connection, as far as is known.
    Connection,
    /// Its process.
    Process(WaitStatus),
}

/// The meaning of a child's end for its nursery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    InOrder,
    /// It is too early to say.
    StillEnding,
    /// Its process lives on and can't be supervised any more.
    Lost,
    Died(ActorPhase),
}

/// Judges the end of a child by the table.
pub(crate) fn judge(seen: Seen) -> Verdict {
    use WaitStatus::{Exited, Unknown};
    let Seen { asked, goodbye, signalled, end } = seen;
    let status = match end {
        End::Runtime => return Verdict::Died(ActorPhase::Running),
        End::Connection if !goodbye && asked == Asked::Never && !signalled => return Verdict::Lost,
        End::Connection => return Verdict::StillEnding,
        End::Process(status) => status,
    };
    let in_order = match (asked, status) {
        (_, status) if signalled && is_forced(status) => true,
        (_, Exited(0) | Unknown) => goodbye || asked != Asked::Never,
        (Asked::Sent | Asked::Heard, status) => status == WaitStatus::Signalled(SIGTERM),
        (Asked::Never, _) => false,
    };
    match in_order {
        true => Verdict::InOrder,
        false if goodbye || asked == Asked::Heard => Verdict::Died(ActorPhase::Ending),
        false => Verdict::Died(ActorPhase::Running),
    }
}

/// Whether a child that was sent a signal ends like this. A crash of its own, by SIGSEGV say, is another matter.
fn is_forced(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Exited(0) | WaitStatus::Unknown | WaitStatus::Signalled(SIGTERM | SIGKILL))
}

const SIGTERM: i32 = rustix::process::Signal::TERM.as_raw();
const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();

#[cfg(test)]
mod tests {
    use WaitStatus::{Exited, Signalled, Unknown};

    use super::Asked::{Heard, Never, Sent};
    use super::Verdict::{Died, InOrder, Lost, StillEnding};
    use super::*;

    const ASKED: [Asked; 3] = [Never, Sent, Heard];
    const BOTH: [bool; 2] = [false, true];
    const STATUSES: [WaitStatus; 7] =
        [Exited(0), Exited(3), Signalled(SIGTERM), Signalled(SIGKILL), Signalled(6), Signalled(11), Unknown];

    /// Judges every combination of these; all have to come to the same.
    #[track_caller]
    fn row(asked: &[Asked], goodbye: &[bool], signalled: &[bool], ends: &[End], expected: Verdict) {
        for (&asked, &goodbye) in asked.iter().flat_map(|asked| goodbye.iter().map(move |goodbye| (asked, goodbye))) {
            for (&signalled, &end) in signalled.iter().flat_map(|signal| ends.iter().map(move |end| (signal, end))) {
                let seen = Seen { asked, goodbye, signalled, end };
                assert_eq!(judge(seen), expected, "{seen:?}");
            }
        }
    }

    fn processes<const N: usize>(statuses: [WaitStatus; N]) -> [End; N] {
        statuses.map(End::Process)
    }

    #[test]
    fn row_1_a_failure_of_the_runtime_is_one_after_a_request_too() {
        row(&ASKED, &BOTH, &BOTH, &[End::Runtime], Died(ActorPhase::Running));
    }

    #[test]
    fn row_2_an_actor_that_says_goodbye_may_take_its_time() {
        row(&ASKED, &[true], &BOTH, &[End::Connection], StillEnding);
    }

    #[test]
    fn row_3_a_connection_that_breaks_unasked_is_a_loss() {
        row(&[Never], &[false], &[false], &[End::Connection], Lost);
    }

    #[test]
    fn row_4_a_connection_that_breaks_on_the_way_out_is_left_to_the_reaper() {
        row(&[Sent, Heard], &BOTH, &BOTH, &[End::Connection], StillEnding);
        row(&[Never], &[false], &[true], &[End::Connection], StillEnding);
    }

    #[test]
    fn row_5_what_was_made_to_end_has_not_failed() {
        let ends = processes([Exited(0), Signalled(SIGTERM), Signalled(SIGKILL), Unknown]);
        row(&ASKED, &BOTH, &[true], &ends, InOrder);
    }

    #[test]
    fn row_6_an_actor_that_said_goodbye_and_left_has_not_failed() {
        row(&ASKED, &[true], &[false], &processes([Exited(0), Unknown]), InOrder);
    }

    #[test]
    fn row_7_an_actor_that_was_asked_may_leave_at_once() {
        row(&[Sent, Heard], &[false], &[false], &processes([Exited(0), Unknown]), InOrder);
    }

    #[test]
    fn row_8_being_asked_twice_is_no_failure() {
        row(&[Sent, Heard], &BOTH, &[false], &processes([Signalled(SIGTERM)]), InOrder);
    }

    #[test]
    fn row_9_a_crash_in_the_clean_up_is_a_failure() {
        let crashes = processes([Exited(3), Signalled(SIGKILL), Signalled(6), Signalled(11)]);
        row(&[Heard], &BOTH, &[false], &crashes, Died(ActorPhase::Ending));
        row(&[Heard], &BOTH, &[true], &processes([Exited(3), Signalled(6), Signalled(11)]), Died(ActorPhase::Ending));
    }

    #[test]
    fn row_10_a_crash_after_the_goodbye_is_a_failure() {
        let crashes = processes([Exited(3), Signalled(SIGKILL), Signalled(6), Signalled(11)]);
        row(&[Never, Sent], &[true], &[false], &crashes, Died(ActorPhase::Ending));
        row(&[Never], &[true], &[false], &processes([Signalled(SIGTERM)]), Died(ActorPhase::Ending));
    }

    #[test]
    fn row_11_a_crash_before_the_request_is_heard_is_a_failure() {
        let crashes = processes([Exited(1), Exited(3), Signalled(SIGKILL), Signalled(6), Signalled(11)]);
        row(&[Never, Sent], &[false], &[false], &crashes, Died(ActorPhase::Running));
        row(
            &[Never],
            &[false],
            &[false],
            &processes([Exited(0), Signalled(SIGTERM), Unknown]),
            Died(ActorPhase::Running),
        );
        row(
            &[Never, Sent],
            &[false],
            &[true],
            &processes([Exited(3), Signalled(6), Signalled(11)]),
            Died(ActorPhase::Running),
        );
    }

    #[test]
    fn an_end_of_the_process_is_always_judged() {
        for status in STATUSES {
            for asked in ASKED {
                let seen = Seen { asked, goodbye: false, signalled: false, end: End::Process(status) };
                assert!(matches!(judge(seen), InOrder | Died(_)), "{seen:?}");
            }
        }
    }
}
