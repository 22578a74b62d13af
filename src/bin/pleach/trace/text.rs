//! Messages as lines of text, and the words of the command's arguments.

use std::time::Duration;

use pleach::inspect::{MessageDirection, MessageKind, TracedMessage};

use crate::ps::table::shown;

/// The names of the kinds of messages: as in JSON.
pub(super) const KINDS: [(&str, MessageKind); 18] = [
    ("call", MessageKind::Call),
    ("context", MessageKind::Context),
    ("stream", MessageKind::Stream),
    ("started", MessageKind::Started),
    ("open", MessageKind::Open),
    ("item", MessageKind::Item),
    ("credit", MessageKind::Credit),
    ("stop", MessageKind::Stop),
    ("answer", MessageKind::Answer),
    ("failure", MessageKind::Failure),
    ("cancelled", MessageKind::Cancelled),
    ("refused", MessageKind::Refused),
    ("cancel", MessageKind::Cancel),
    ("cancel_ack", MessageKind::CancelAck),
    ("heartbeat", MessageKind::Heartbeat),
    ("heartbeat_ack", MessageKind::HeartbeatAck),
    ("goodbye", MessageKind::Goodbye),
    ("other", MessageKind::Other),
];

/// A message as a line, without its end.
pub(super) fn line(message: &TracedMessage) -> String {
    let TracedMessage { at_us, direction, peer, cid, kind, function, bytes, .. } = message;
    let arrow = if *direction == MessageDirection::Sent { "->" } else { "<-" };
    let kind = KINDS.iter().find(|(_, of)| of == kind).map_or("other", |(name, _)| name);
    let peer = format!("{} ({})", shown(peer.name()), peer.pid());
    let cid = cid.map_or_else(|| "-".into(), |cid| format!("#{cid}"));
    let function = function.as_deref().map_or_else(|| "-".into(), shown);
    let bytes = bytes.map_or_else(|| "?".into(), |bytes| bytes.to_string());
    format!("{} {arrow} {peer:<20} {cid:<6} {kind:<13} {function}  {bytes} B", time_of_day(*at_us))
}

/// A number of messages.
pub(super) fn counted(count: u64) -> String {
    if count == 1 { "1 message".into() } else { format!("{count} messages") }
}

/// The same, as a subject.
pub(super) fn counted_were(count: u64) -> String {
    format!("{} {}", counted(count), if count == 1 { "was" } else { "were" })
}

/// The time of the day in UTC.
fn time_of_day(at_us: u64) -> String {
    let (seconds, micros) = (at_us / 1_000_000 % 86_400, at_us % 1_000_000);
    format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Returns whether a path is meant by its end: whole names only.
pub(super) fn is_end_of_path(end: &str, path: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with(BETWEEN_NAMES))
}

/// Reads a time such as `10s`, `500ms`, `2m` or `1h`; a number alone is seconds.
///
/// # Errors
/// In words, when it is none.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(NO_TIME.into()),
    };
    let number: f64 = number.parse().map_err(|_| NO_TIME)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| NO_TIME.into())
}

/// What is between the names of a path.
const BETWEEN_NAMES: &str = "::";

const NO_TIME: &str = "it is not a time such as 10s, 500ms, 2m, 1h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_that_they_have_in_json() {
        for (name, kind) in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
    }

    #[test]
    fn times_have_units() {
        let times = ["10s", "500ms", "2m", "1h", "3", "0.5s"].map(|text| time(text).unwrap().as_millis());
        assert_eq!(times, [10_000, 500, 120_000, 3_600_000, 3000, 500]);
        for wrong in ["", "s", "-1s", "1d", "ten", "1e40h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(time_of_day(86_400_000_000 + 3_661_000_042), "01:01:01.000042");
    }

    #[test]
    fn functions_are_meant_by_whole_names() {
        for (end, is_meant) in
            [("resize", true), ("images::resize", true), ("size", false), ("a::images::resize", true)]
        {
            assert_eq!(is_end_of_path(end, "a::images::resize"), is_meant, "{end}");
        }
    }
}
