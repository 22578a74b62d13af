//! Two sessions, and the lanes between them: what a session returns is queued, and comes in any order of the lanes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BytesMut;
use pleach_wire::codec::{Codec, FrameBuf, Measured};
use pleach_wire::transport::Lane;
use pleach_wire::{CallOptions, Cid, Encode, Msg, Msgpack, Outgoing, Payload, Window};

use super::{secs, target};
use crate::proto::dialog::{Canceller, End, Misuse, NoPermit, Take};
use crate::proto::inbox::{Intake, Lag};
use crate::proto::session::{Event, Finished, Handles, Opened, Role, Session};
use crate::proto::transmit::{Answer, Credit, Transmit};

/// Waiters and tasks are numbers, and an error is the number of its canceller.
pub(super) struct Numbers;

impl Handles for Numbers {
    type Reply = u32;
    type Ack = u32;
    type Task = u32;
    type Wake = ();
    type Note = ();

    fn canceller(&self, error: &Payload) -> Option<Canceller> {
        match error.decode() {
            Ok(BY_CALLER) => Some(Canceller::Us),
            Ok(BY_CALLEE) => Some(Canceller::Peer),
            _ => None,
        }
    }
}

/// The errors of a function that was cancelled by its caller, or by its own actor.
pub(super) const BY_CALLER: u32 = 1;
pub(super) const BY_CALLEE: u32 = 2;

/// One side of a connection.
pub(super) struct Half {
    pub(super) session: Session<Numbers>,
    /// What it has sent, and the peer has not got.
    sent: BTreeMap<u64, VecDeque<Msg>>,
    /// The lane and the kind of all that it has sent.
    pub(super) log: Vec<(u64, &'static str)>,
    /// The lanes that are in use, besides the control lane, and those that were closed.
    used: BTreeSet<u64>,
    pub(super) closed: Vec<u64>,
    /// Whether it may use more of them.
    pub(super) has_lanes_to_spare: bool,
}

impl Half {
    fn new(role: Role, limit: usize) -> Self {
        Self {
            session: Session::new(Numbers, role, limit),
            sent: BTreeMap::new(),
            log: Vec::new(),
            used: BTreeSet::new(),
            closed: Vec::new(),
            has_lanes_to_spare: true,
        }
    }

    /// Queues a message where the session wants it, or where it goes instead.
    pub(super) fn send(&mut self, transmit: Transmit<'_>) -> Lane {
        let mut lane = transmit.lane;
        if lane != Lane::CONTROL && !self.has_lanes_to_spare && !self.used.contains(&lane.0) {
            lane = transmit.fallback().expect("a lane is settled once it was used");
        }
        if lane != Lane::CONTROL {
            self.used.insert(lane.0);
        }
        self.log.push((lane.0, transmit.msg.kind()));
        self.sent.entry(lane.0).or_default().push_back(crossed(&transmit.msg));
        transmit.settles().map_or(lane, |cid| self.session.settle_lane(cid, lane))
    }

    fn send_all<'a>(&mut self, transmits: impl IntoIterator<Item = Option<Transmit<'a>>>) {
        for transmit in transmits.into_iter().flatten() {
            self.send(transmit);
        }
    }

    /// Takes a message, and sends what the session returns for it.
    pub(super) fn handle(&mut self, msg: Msg) -> Event<Numbers> {
        match self.session.handle_msg(msg) {
            Event::Changed { wake, credit } => {
                self.send_all([credit.map(Credit::transmit)]);
                Event::Changed { wake, credit: None }
            }
            Event::Discarded { credit, .. } => {
                self.send(credit.transmit());
                Event::Unchanged
            }
            Event::Reply(reply) => {
                self.send(reply);
                Event::Unchanged
            }
            Event::Ended { dialog, acks, lane } => {
                self.closed.extend(lane.map(|lane| lane.0));
                Event::Ended { dialog, acks, lane: None }
            }
            event => event,
        }
    }

    /// Cancels a call of this side. Returns whether it still ran.
    pub(super) fn cancel(&mut self, cid: Cid, ack: u32, overdue_at: u64) -> bool {
        let asked = self.session.cancel(cid, Some((ack, secs(overdue_at))));
        let runs = asked.is_ok();
        self.send_all([asked.ok().flatten()]);
        runs
    }

    /// Ends a task with its answer.
    pub(super) fn finish(&mut self, cid: Cid, answer: Answer<'_>) {
        let Finished { answer, after, dialog, .. } = self.session.finish(cid, answer);
        let lane = self.send(answer);
        self.send_all([after.acknowledge(Some(lane))]);
        if dialog.is_some() {
            self.release(cid);
        }
    }

    /// Lets go of a dialog.
    pub(super) fn release(&mut self, cid: Cid) {
        self.closed.extend(self.session.release(cid).map(|lane| lane.0));
    }

    pub(super) fn start(&mut self, cid: Cid, value: u32) -> Result<(), Misuse> {
        let started = self.session.start(cid, &value)?;
        self.send(started);
        Ok(())
    }

    pub(super) fn open_stream(&mut self, cid: Cid, buffer: u32, lag: Lag) -> Result<(), Misuse> {
        let opened = self.session.open_stream(cid, messages(buffer, lag))?;
        self.send_all(opened);
        Ok(())
    }

    pub(super) fn send_item(&mut self, cid: Cid, value: u32) -> Result<(), NoPermit> {
        self.send_value(cid, &value)
    }

    pub(super) fn send_value(&mut self, cid: Cid, value: &dyn Encode) -> Result<(), NoPermit> {
        let (permit, value) = (self.session.take_permit(cid)?, Measured::new(value));
        self.send(permit.item(&value));
        assert!(!self.session.note_sent(cid, Window::cost(value.len())));
        Ok(())
    }

    /// Sends numbers from `from` on as long as it may, at most `limit`; returns how many, and why it stopped.
    pub(super) fn send_items(&mut self, cid: Cid, from: u32, limit: u32) -> (u32, Result<(), NoPermit>) {
        for sent in 0..limit {
            if let Err(why) = self.send_item(cid, from + sent) {
                return (sent, Err(why));
            }
        }
        (limit, Ok(()))
    }

    pub(super) fn take(&mut self, cid: Cid) -> Take {
        let mut behind = VecDeque::new();
        let take = self.take_items(cid, &mut behind);
        assert!(behind.is_empty(), "a buffer that is counted in messages hands them out singly");
        take
    }

    fn take_items(&mut self, cid: Cid, behind: &mut VecDeque<Payload>) -> Take {
        let (take, credit) = self.session.take_items(cid, behind);
        self.send_all([credit.map(Credit::transmit)]);
        take
    }

    /// The messages that can be taken; lost ones show as `Err`.
    pub(super) fn take_all(&mut self, cid: Cid) -> Vec<Result<u32, u64>> {
        let (mut taken, mut behind) = (Vec::new(), VecDeque::new());
        loop {
            taken.push(match self.take_items(cid, &mut behind) {
                Take::Item(item) => Ok(item.decode().unwrap()),
                Take::Lost(lost) => Err(lost),
                Take::Wait | Take::Stopped | Take::Failed(_) => return taken,
            });
            taken.extend(behind.drain(..).map(|item| Ok(item.decode().unwrap())));
        }
    }

    pub(super) fn stop_stream(&mut self, cid: Cid) {
        let (credit, stop) = (self.session.stop_receiving(cid), self.session.finish_stream(cid));
        let stopped = [credit.map(Credit::transmit), stop];
        self.send_all(stopped);
    }

    pub(super) fn finish_stream(&mut self, cid: Cid) {
        let finished = self.session.finish_stream(cid);
        self.send_all([finished]);
    }

    /// Waits for nothing but the end: what is here and what comes is forgotten.
    pub(super) fn discard(&mut self, cid: Cid) {
        let credit = self.session.discard_items(cid);
        self.send_all([credit.map(Credit::transmit)]);
    }

    pub(super) fn leave(&mut self, cid: Cid) {
        let left = self.session.leave(cid);
        self.send_all([left]);
    }

    pub(super) fn abandon(&mut self, cid: Cid) {
        let abandoned = self.session.abandon(cid);
        self.send_all([abandoned]);
    }

    pub(super) fn end(&mut self, cid: Cid) -> Option<End> {
        self.session.dialog(cid).end().cloned()
    }
}

/// A buffer for so many messages.
fn messages(buffer: u32, lag: Lag) -> Intake {
    Intake { window: Window::of_messages(buffer), lag }
}

/// Two sessions and the messages in transit between them.
pub(super) struct Pair {
    pub(super) dialer: Half,
    pub(super) listener: Half,
}

impl Pair {
    pub(super) fn new(limit: usize) -> Self {
        Self { dialer: Half::new(Role::Dialer, limit), listener: Half::new(Role::Listener, limit) }
    }

    /// The dialer calls; the request is on its way.
    pub(super) fn call(&mut self, waiter: u32) -> Cid {
        let (cid, request) = self.dialer.session.call(waiter, target(), &(), CallOptions::default()).unwrap();
        self.dialer.send(request);
        cid
    }

    /// The dialer opens a context; the listener has begun to run it.
    pub(super) fn open(&mut self) -> Cid {
        let opened = self.dialer.session.open_context(target(), &(), CallOptions::default());
        self.begin(opened)
    }

    /// The dialer opens a one-way stream; the listener has begun to run it.
    pub(super) fn open_one_way(&mut self, buffer: u32, lag: Lag) -> Cid {
        self.open_one_way_with(messages(buffer, lag))
    }

    pub(super) fn open_one_way_with(&mut self, intake: Intake) -> Cid {
        let opened = self.dialer.session.open_one_way(target(), &(), CallOptions::default(), intake);
        self.begin(opened)
    }

    fn begin(&mut self, opened: Option<Opened<'_, Numbers>>) -> Cid {
        let Opened { cid, request, .. } = opened.unwrap();
        self.dialer.send(request);
        assert!(matches!(self.at_listener(), Event::Invoke { dialog: Some(_), .. }));
        cid
    }

    /// A context whose function has said its first value, with both streams open.
    pub(super) fn streaming(buffer: u32, lag: Lag) -> (Self, Cid) {
        let mut pair = Self::new(10);
        let cid = pair.open();
        pair.listener.start(cid, 0).unwrap();
        pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
        pair.listener.open_stream(cid, buffer, lag).unwrap();
        pair.deliver();
        (pair, cid)
    }

    /// The oldest message to the listener, those of the control lane first.
    pub(super) fn at_listener(&mut self) -> Event<Numbers> {
        let lane = *lanes(&self.dialer).first().expect("a message is on its way");
        self.listener.handle(next(&mut self.dialer, lane))
    }

    pub(super) fn at_dialer(&mut self) -> Event<Numbers> {
        let lane = *lanes(&self.listener).first().expect("a message is on its way");
        self.dialer.handle(next(&mut self.listener, lane))
    }

    /// Delivers everything; each message fits its dialog.
    pub(super) fn deliver(&mut self) {
        self.deliver_in(&mut Order::default(), |_, event| assert!(fits(&event), "{}", name(&event)));
    }

    /// As [`deliver`](Self::deliver), in this order of the lanes; `look` sees each event, and whether it is the
    /// dialer's.
    pub(super) fn deliver_in(&mut self, order: &mut Order, mut look: impl FnMut(bool, Event<Numbers>)) {
        loop {
            let (to_listener, to_dialer) = (lanes(&self.dialer), lanes(&self.listener));
            let choices = to_listener.len() + to_dialer.len();
            if choices == 0 {
                return;
            }
            let choice = order.choose(choices);
            match choice.checked_sub(to_listener.len()) {
                None => look(false, self.listener.handle(next(&mut self.dialer, to_listener[choice]))),
                Some(choice) => look(true, self.dialer.handle(next(&mut self.listener, to_dialer[choice]))),
            }
        }
    }

    pub(super) fn assert_empty(&self) {
        assert_eq!((self.dialer.session.open_calls(), self.listener.session.running_tasks()), (0, 0));
        assert!(lanes(&self.dialer).is_empty() && lanes(&self.listener).is_empty());
    }
}

/// The order in which the lanes deliver, out of all.
#[derive(Default)]
pub(super) struct Order {
    /// What was chosen at each step, and out of how many.
    chosen: Vec<(usize, usize)>,
    step: usize,
}

impl Order {
    fn choose(&mut self, of: usize) -> usize {
        if self.step == self.chosen.len() {
            self.chosen.push((0, of));
        }
        let (choice, before) = self.chosen[self.step];
        assert_eq!(before, of, "a run depends on its order alone");
        self.step += 1;
        choice
    }

    /// Goes on to the next one; `false` after the last.
    fn advance(&mut self) -> bool {
        self.step = 0;
        while let Some((choice, of)) = self.chosen.pop() {
            if choice + 1 < of {
                self.chosen.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// Runs `run` in each order in which the lanes may deliver. Returns how many there are.
pub(super) fn in_each_order(mut run: impl FnMut(&mut Order)) -> usize {
    let (mut order, mut orders) = (Order::default(), 0);
    loop {
        run(&mut order);
        orders += 1;
        if !order.advance() {
            return orders;
        }
    }
}

/// Whether the session could use the message.
pub(super) fn fits(event: &Event<Numbers>) -> bool {
    !matches!(event, Event::Misplaced { .. } | Event::Late { .. } | Event::Ignored { .. })
}

fn name(event: &Event<Numbers>) -> String {
    match event {
        Event::Misplaced { kind, why, .. } => format!("`{kind}`: {why}"),
        Event::Late { kind, .. } => format!("`{kind}` came late"),
        Event::Ignored { kind, .. } => format!("`{kind}` fits no dialog"),
        _ => String::new(),
    }
}

fn lanes(half: &Half) -> Vec<u64> {
    half.sent.iter().filter(|(_, queue)| !queue.is_empty()).map(|(lane, _)| *lane).collect()
}

fn next(half: &mut Half, lane: u64) -> Msg {
    half.sent.get_mut(&lane).and_then(VecDeque::pop_front).expect("a message is on its way")
}

/// A message as it arrives.
fn crossed(msg: &Outgoing<'_>) -> Msg {
    let (mut body, mut parts) = (BytesMut::new(), Vec::new());
    Msgpack.encode(msg, &mut FrameBuf { out: &mut body, parts: &mut parts }).unwrap();
    Msgpack.decode(body.freeze()).unwrap()
}

/// An answer.
pub(super) fn value(value: &dyn Encode) -> Answer<'_> {
    Answer::Value(value)
}
