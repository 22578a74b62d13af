//! ipc-channel, the channels of Servo: Unix sockets only, blocking, one process at each end, with postcard as its codec.
//! Blobs go over its channel of bytes, which no codec touches.
//!
//! It has no connections to dial: a process is handed a name and connects once.

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready as at_once};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};

use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, Library, Peer, Protocol, Work, ready};

pub(crate) const LIBRARY: Library = Library {
    name: "ipc-channel",
    item_bytes: || postcard::to_stdvec(&Item::new(0)).expect("an item can be written").len(),
    protocols: &[Protocol::Uds],
    works: &[Work::Call, Work::Flight, Work::Items, Work::Blobs, Work::Echo],
    serve: |_, _| {
        serve();
        at_once(()).boxed_local()
    },
    connect: |_, name| at_once(Box::new(Client::new(name)) as Box<dyn Peer>).boxed_local(),
};

#[derive(Serialize, Deserialize)]
enum Request {
    Reflect(Item),
    Take(Item),
    /// As many blobs follow as a step has.
    Blobs,
}

#[derive(Serialize, Deserialize)]
struct Ends {
    requests: IpcReceiver<Request>,
    replies: IpcSender<Item>,
    blobs: IpcBytesReceiver,
}

/// Says under which name it can be connected to, once.
fn serve() {
    let (server, name) = IpcOneShotServer::<Ends>::new().expect("a socket");
    ready(name);
    let (_, ends) = server.accept().expect("the parent connects");
    let mut taken = 0;
    // An error is the parent's end of the measurement.
    while let Ok(request) = ends.requests.recv() {
        match request {
            Request::Reflect(item) => ends.replies.send(item).expect("the parent is there"),
            Request::Take(item) => {
                taken += 1;
                if taken == ITEMS {
                    taken = 0;
                    ends.replies.send(item).expect("the parent is there");
                }
            }
            Request::Blobs => {
                for _ in 0..BLOBS {
                    assert_eq!(ends.blobs.recv().expect("blobs arrive").len(), BLOB, "a blob arrives as a whole");
                }
                ends.replies.send(Item::new(0)).expect("the parent is there");
            }
        }
    }
}

struct Client {
    requests: IpcSender<Request>,
    replies: IpcReceiver<Item>,
    blobs: IpcBytesSender,
    blob: Vec<u8>,
}

impl Client {
    fn new(name: String) -> Self {
        let (requests, requests_there) = ipc::channel().expect("a socket");
        let (replies_there, replies) = ipc::channel().expect("a socket");
        let (blobs, blobs_there) = ipc::bytes_channel().expect("a socket");
        let server = IpcSender::connect(name).expect("the server waits");
        let ends = Ends { requests: requests_there, replies: replies_there, blobs: blobs_there };
        server.send(ends).expect("the server waits");
        Self { requests, replies, blobs, blob: vec![7; BLOB] }
    }

    fn work(&self, work: Work) {
        match work {
            Work::Flight => {
                (0..CALLERS).for_each(|_| self.send(Request::Reflect(Item::new(1))));
                // Each answer makes room for the next call: always as many in flight.
                for _ in CALLERS..CALLERS * CALLS_EACH {
                    self.take_answer();
                    self.send(Request::Reflect(Item::new(1)));
                }
                (0..CALLERS).for_each(|_| self.take_answer());
            }
            Work::Items => {
                (0..ITEMS as u64).for_each(|number| self.send(Request::Take(Item::new(number))));
                self.take_answer();
            }
            Work::Blobs => {
                self.send(Request::Blobs);
                (0..BLOBS).for_each(|_| self.blobs.send(&self.blob).expect("the server is there"));
                self.take_answer();
            }
            Work::Call | Work::Echo | Work::Connection => {
                self.send(Request::Reflect(Item::new(1)));
                self.take_answer();
            }
        }
    }

    fn send(&self, request: Request) {
        self.requests.send(request).expect("the server is there");
    }

    fn take_answer(&self) {
        self.replies.recv().expect("the server answers");
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work);
        at_once(()).boxed_local()
    }
}
