//! Each error comes back from another process as it was.

use super::*;
use crate::codec::{Format, Payload};

/// The example that stands behind `last`: the match makes sure that there is one of each variant.
fn next(last: Option<&TransportError>) -> Option<TransportError> {
    use TransportError as T;
    let (codec, why, limit) = ("msgpack", "why".to_owned(), 7);
    let address: Address = "tcp://127.0.0.1:9".parse().unwrap();
    let Some(last) = last else { return Some(TransportClosed::by_us(EndReason::ActorEnded).into()) };
    Some(match last {
        T::Closed(TransportClosed { in_order: false, by: Ended::Us, reason }) => {
            let by_peer = TransportClosed::by_peer(reason.clone()).after_goodbye();
            next_reason(reason).map_or(by_peer, TransportClosed::by_us).into()
        }
        T::Closed(_) => T::Truncated { received: 3, expected: 9 },
        T::Truncated { .. } => T::Reset(Arc::new(io::Error::from_raw_os_error(104))),
        T::Reset(source) if source.raw_os_error().is_some() => {
            T::Reset(Arc::new(io::Error::new(io::ErrorKind::TimedOut, "too late")))
        }
        T::Reset(_) => T::Decode { codec, why },
        T::Decode { .. } => T::Value { codec, why },
        T::Value { .. } => T::Encode { codec, why },
        T::Encode { codec: "msgpack", why } => T::Encode { codec: "one of the program's own", why: why.clone() },
        T::Encode { .. } => T::FrameTooLarge { size: 9, limit, direction: Direction::FromPeer },
        T::FrameTooLarge { direction: Direction::FromPeer, .. } => {
            T::FrameTooLarge { size: 9, limit, direction: Direction::ToPeer }
        }
        T::FrameTooLarge { .. } => T::Handshake(why),
        T::Handshake(_) => {
            let [address, wanted, found] = ["tcp://127.0.0.1:9", "actor `a`", "actor `b`"].map(str::to_owned);
            T::WrongPeer(Box::new(WrongPeer { address, wanted, found }))
        }
        T::WrongPeer(_) => T::Undelivered { bytes: 9, limit: DrainLimit::Broken },
        T::Undelivered { limit: DrainLimit::Broken, .. } => {
            T::Undelivered { bytes: 9, limit: DrainLimit::Stalled(Duration::from_nanos(1)) }
        }
        T::Undelivered { limit: DrainLimit::Stalled(_), .. } => {
            T::Undelivered { bytes: 9, limit: DrainLimit::Total(Duration::MAX) }
        }
        T::Undelivered { .. } => T::Backlog { waiting: 9, limit },
        T::Backlog { .. } => T::Idle(Duration::from_millis(3)),
        T::Idle(_) => T::Silent { silent: Duration::MAX, limit: SilenceLimit::Phi(8) },
        T::Silent { limit: SilenceLimit::Phi(_), .. } => {
            T::Silent { silent: Duration::ZERO, limit: SilenceLimit::Lease(Duration::MAX) }
        }
        T::Silent { limit: SilenceLimit::Lease(_), .. } => {
            T::Silent { silent: Duration::ZERO, limit: SilenceLimit::OwnLease(Duration::from_nanos(1)) }
        }
        T::Silent { limit: SilenceLimit::OwnLease(_), .. } => {
            T::Silent { silent: Duration::ZERO, limit: SilenceLimit::Network(Duration::MAX) }
        }
        T::Silent { .. } => T::dial(&address, io::Error::from_raw_os_error(111)),
        T::Dial { .. } => T::listen(&address, io::Error::new(io::ErrorKind::AddrInUse, "in use")),
        T::Listen { .. } => T::Unknown { codec: "x".into(), protocol: "y".into(), available: "z".into() },
        T::Unknown { .. } => T::Tls(why),
        T::Tls(_) => T::NotAValue { kind: "hello".into() },
        T::NotAValue { .. } => return None,
    })
}

/// As [`next`], of the reasons of graceful ends.
fn next_reason(last: &EndReason) -> Option<EndReason> {
    use EndReason as R;
    Some(match last {
        R::ActorEnded => R::ProcessEnded,
        R::ProcessEnded => R::Unused,
        R::Unused => R::EndOfFile,
        R::EndOfFile => R::Vanished("connection reset".into()),
        R::Vanished(_) => R::EmptyLane,
        R::EmptyLane => R::Closing,
        R::Closing => R::Sent,
        R::Sent => R::NotAnswered(DrainLimit::Broken),
        R::NotAnswered(_) => R::ShuttingDown,
        R::ShuttingDown => R::Aborted,
        R::Aborted => R::Dropped,
        R::Dropped => R::Other("words".into()),
        R::Other(_) => return None,
    })
}

#[test]
fn every_error_comes_back_as_it_was() {
    let mut last = None;
    while let Some(error) = next(last.as_ref()) {
        for format in [Format::Msgpack, Format::Json] {
            let read: TransportError = Payload::of(format, &error).unwrap().decode().unwrap();
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
            assert_eq!(read.to_string(), error.to_string());
        }
        last = Some(error);
    }
    names_of_codecs_are_kept_within_bounds();
}

/// Behind the others, because names are kept for the whole process.
fn names_of_codecs_are_kept_within_bounds() {
    let sent = |name: &'static str| {
        let error = TransportError::Decode { codec: name, why: String::new() };
        let read: TransportError = Payload::of(Format::Json, &error).unwrap().decode().unwrap();
        let TransportError::Decode { codec, .. } = read else { panic!("{read:?}") };
        codec
    };
    let many: Vec<&'static str> = (0..100).map(|n| &*format!("codec{n}").leak()).collect();
    let kept = many.iter().filter(|name| sent(name) == **name).count();
    assert!((20..=32).contains(&kept), "{kept}");
    assert_eq!(sent("x".repeat(65).leak()), "another codec's");
    assert_eq!(sent("json"), "json");
}

#[test]
fn a_goodbye_says_whether_the_actor_has_ended() {
    for reason in [EndReason::ActorEnded, EndReason::Unused] {
        assert_eq!(EndReason::of_goodbye(reason.goodbye()), reason);
    }
    assert_eq!(EndReason::of_goodbye("tired"), EndReason::Other("tired".into()));
    for (reason, exited) in [(EndReason::ActorEnded, true), (EndReason::ProcessEnded, true), (EndReason::Unused, false)]
    {
        assert_eq!(TransportClosed::by_peer(reason.clone()).peer_has_exited(), exited, "{reason}");
        assert!(!TransportClosed::by_us(reason).peer_has_exited());
    }
}
