//! What is logged, and what a peer can have logged.

use pleach_wire::EndReason;

use super::*;

/// Collects the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_failure_that_finds_the_connection_gone_is_logged() {
    let registry = crate::transports::registry(false);
    let (kind, settings) = (registry.find(&Key::new("msgpack", "mem")).unwrap(), Settings::default());
    let listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
    let transport = kind.dial(listener.local_address(), &settings).await.unwrap();
    let (here, peer, cancel_ack) = (ActorId::new("here"), ActorId::new("peer"), Duration::ZERO);
    let channel = Channel::new(
        transport,
        Terms {
            role: Role::Dialer,
            here,
            peer,
            cancel_ack,
            max_tasks: 1,
            max_arguments: usize::MAX,
            max_answers: usize::MAX,
            max_backlog: usize::MAX,
            silence: Duration::from_secs(10),
            stream_window: Window::INITIAL,
            end_request: EndRequest::default(),
            lasts: false,
            began: Instant::now(),
            detector: None,
        },
    );
    channel.transport().abort();

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    channel.answer_failure(Cid(2), Raised::new(BoxError::from("the disk is full")));
    channel.answer_dropped(Cid(4));
    pleach_wire::log::backlog().delivered().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("ERROR") && text.contains("the disk is full") && text.contains("`peer`"), "{text}");
    assert_eq!(text.lines().count(), 1, "a cancellation is not a failure: {text}");
}

#[tokio::test]
async fn what_a_peer_can_have_logged_is_limited_and_counted() {
    let (caller, mut callee) = connected().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let _logging = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    for _ in 0..5000 {
        callee.channel.send(Lane::CONTROL, &Outgoing::Yield { cid: Cid(77), value: &() }, 1).unwrap();
        callee.channel.send(Lane::CONTROL, &Outgoing::CancelAck { cid: Cid(78), found: true }, 1).unwrap();
    }
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
    callee.channel.answer(callee.asked.recv().await.unwrap().cid, &());
    pending.outcome().await.unwrap();
    assert_eq!(caller.channel.0.ignored.load(Ordering::Relaxed), 10_000);
    caller.channel.request_close(EndReason::Unused);
    caller.channel.ended().await;
    pleach_wire::log::backlog().delivered().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let records: Vec<_> = text.lines().filter(|line| line.contains("ignored a message")).collect();
    // Some more, if this takes seconds; each says how many there were.
    assert!((3..100).contains(&records.len()), "{} records", records.len());
    assert!(text.contains("further records of this kind") && text.contains("kind=Ignored"), "{text}");
    let count = |line: &str| line.split("count=").nth(1)?.split_whitespace().next()?.parse::<u64>().ok();
    let told = text.lines().filter(|line| line.contains("ignored a message") || line.contains("kind=Ignored"));
    assert_eq!(told.filter_map(count).sum::<u64>(), 10_000, "none is left out of the counts");
}
