//! Stream messages that are sent in a row, without a wait between them.

use super::*;

/// A context whose function has opened its stream with this buffer, and whose caller may send; returns both sides.
async fn streaming(caller: &Half, callee: &mut Half, window: Window) -> (OpenedDialog, DialogHandle) {
    let (opened, function) = started(caller, callee).await;
    for side in [&function, opened.handle()] {
        side.open_stream(Intake { window, lag: Lag::Wait }).unwrap();
    }
    while opened.handle().look(|dialog| dialog.may_send_items().unwrap() != window) {
        tokio::task::yield_now().await;
    }
    (opened, function)
}

/// Takes all messages, to the end of the stream.
async fn texts(dialog: &DialogHandle) -> Vec<String> {
    let (mut texts, mut behind) = (Vec::new(), VecDeque::new());
    while let Take::Item(text) = std::future::poll_fn(|cx| dialog.poll_items(cx, &mut behind)).await {
        texts.push(text.decode().unwrap());
        texts.extend(behind.drain(..).map(|text| text.decode::<String>().unwrap()));
    }
    texts
}

#[tokio::test]
async fn share_frames_and_keep_their_order() {
    let (caller, mut callee) = connected().await;
    let (opened, function) = streaming(&caller, &mut callee, Window::of_bytes(1 << 20)).await;
    let sizes = (0..30).map(|_| 20).chain([100_000, 3, 700, 3, 3]).chain((0..100).map(|_| 30));
    let sent: Vec<String> = sizes.enumerate().map(|(n, size)| format!("{n:03}{}", "x".repeat(size))).collect();
    for text in &sent {
        opened.handle().send_item(text).unwrap().unwrap();
    }
    opened.handle().finish_stream().unwrap();
    assert!(texts(&function).await == sent, "all of them, in their order");
    let queued = caller.queued();
    assert_eq!(queued.iter().filter(|(_, kind)| *kind == "yield").count(), sent.len());
    assert_eq!(queued.last().unwrap().1, "stop");
    // A large one goes alone, and so does the next one, behind those before.
    let shared = caller.transport.shared.lock().unwrap().clone();
    assert_eq!((shared[0], shared.iter().sum::<usize>()), (30, sent.len() - 4), "{shared:?}");
    assert!(shared.len() < 10, "{shared:?}");
}

#[tokio::test]
async fn go_before_the_answer_of_their_function() {
    let (caller, mut callee) = connected().await;
    let (opened, function) = streaming(&caller, &mut callee, Window::INITIAL).await;
    for _ in 0..3 {
        function.send_item(&()).unwrap().unwrap();
    }
    callee.channel.answer(function.cid(), &());
    assert_eq!(callee.queued()[2..], [(1, "yield"), (1, "yield"), (1, "yield"), (1, "return")]);
    for _ in 0..3 {
        assert!(matches!(item(opened.handle()).await, Take::Item(_)));
    }
    assert!(matches!(opened.handle().settled().await, Ok(End::Value(_))));
}

#[tokio::test]
async fn leave_with_the_next_turn_of_the_message_loop() {
    let (caller, mut callee) = connected().await;
    let (opened, function) = streaming(&caller, &mut callee, Window::INITIAL).await;
    for n in 0..3 {
        opened.handle().send_item(&n).unwrap().unwrap();
        assert!(matches!(item(&function).await, Take::Item(_)));
    }
    assert_eq!(*caller.transport.shared.lock().unwrap(), [1, 1, 1]);
}

#[tokio::test]
async fn are_no_more_than_their_receiver_takes() {
    let (caller, mut callee) = connected().await;
    let (opened, function) = streaming(&caller, &mut callee, Window::of_messages(5)).await;
    let sender = opened.handle();
    for _ in 0..3 {
        sender.send_item(&()).unwrap().unwrap();
    }
    // A sink has its permit before its message, and others go on meanwhile.
    let permit = sender.take_permit().unwrap();
    sender.send_item(&()).unwrap().unwrap();
    assert_eq!(sender.send_item(&()).unwrap_err(), NoPermit::Wait);
    sender.send_item_for(permit, &()).unwrap();
    assert_eq!(sender.send_item(&()).unwrap_err(), NoPermit::Wait);
    for _ in 0..5 {
        assert!(matches!(item(&function).await, Take::Item(_)));
    }
    assert_eq!(callee.channel.0.ignored.load(Ordering::Relaxed), 0);
    sender.until_permitted().await.unwrap();
    sender.send_item(&()).unwrap().unwrap();
}

#[tokio::test]
async fn of_a_connection_that_has_ended_keep_nothing_alive() {
    let (caller, mut callee) = connected().await;
    let (opened, _function) = streaming(&caller, &mut callee, Window::INITIAL).await;
    let unsent = &caller.channel.0.unsent;
    unsent.add(opened.handle().clone());
    unsent.close();
    unsent.add(opened.handle().clone());
    // A dialog holds its channel.
    let holders = Arc::strong_count(&caller.channel.0);
    drop(opened);
    assert_eq!(Arc::strong_count(&caller.channel.0), holders - 1);
}
