//! ZeroMQ by libzmq, with msgpack by position: calls over DEALER and ROUTER, items over PUSH and PULL. Its sockets block;
//! each process has one context with libzmq's own thread for input and output, as its guide recommends.

use std::hint::black_box;
use std::sync::LazyLock;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready as at_once};
use zmq::{Context, DEALER, PULL, PUSH, ROUTER, SNDMORE, Socket, SocketType};

use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, Library, Peer, Protocol, Work, ready};

pub(crate) const LIBRARY: Library = Library {
    name: "zmq",
    item_bytes: || Item::new(0).to_msgpack().len(),
    protocols: &Protocol::ALL,
    works: &[Work::Call, Work::Flight, Work::Items, Work::Blobs, Work::Connection],
    serve: |protocol, path| {
        serve(protocol, &path);
        at_once(()).boxed_local()
    },
    connect: |_, addresses| at_once(Box::new(Client::new(addresses)) as Box<dyn Peer>).boxed_local(),
};

static CONTEXT: LazyLock<Context> = LazyLock::new(Context::new);

/// Serves at two addresses, one for calls and one for items. A call of a single byte asks whether all items, or all
/// blobs, have arrived.
fn serve(protocol: Protocol, path: &str) {
    let (calls, items) = (socket(ROUTER), socket(PULL));
    let places = match protocol {
        Protocol::Uds => [format!("ipc://{path}"), format!("ipc://{path}.items")],
        Protocol::Tcp => ["tcp://127.0.0.1:*".to_owned(), "tcp://127.0.0.1:*".to_owned()],
    };
    let [calls_at, items_at] = [(&calls, &places[0]), (&items, &places[1])].map(|(socket, place)| {
        socket.bind(place).expect("the address is free");
        socket.get_last_endpoint().expect("it is bound").expect("an address is text")
    });
    ready(format!("{calls_at} {items_at}"));
    loop {
        let caller = calls.recv_msg(0).expect("calls arrive");
        let request = calls.recv_msg(0).expect("a message has two parts");
        let answer = match &*request {
            HAVE_ITEMS => {
                for _ in 0..ITEMS {
                    black_box(Item::from_msgpack(&items.recv_msg(0).expect("items arrive")));
                }
                HAVE_ITEMS.to_vec()
            }
            HAVE_BLOBS => {
                for _ in 0..BLOBS {
                    assert_eq!(items.recv_msg(0).expect("blobs arrive").len(), BLOB, "a blob arrives as a whole");
                }
                HAVE_BLOBS.to_vec()
            }
            item => Item::from_msgpack(item).to_msgpack(),
        };
        calls.send(caller, SNDMORE).expect("the caller is there");
        calls.send(answer, 0).expect("the caller is there");
    }
}

struct Client {
    calls: Socket,
    items: Option<Socket>,
    items_at: String,
    blob: Vec<u8>,
}

impl Client {
    fn new(addresses: String) -> Self {
        let (calls_at, items_at) = addresses.split_once(' ').expect("the server has two addresses");
        let calls = socket(DEALER);
        calls.connect(calls_at).expect("it is an address");
        Self { calls, items: None, items_at: items_at.to_owned(), blob: vec![7; BLOB] }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Flight => {
                (0..CALLERS).for_each(|_| self.call());
                // Each answer makes room for the next call: always as many in flight.
                for _ in CALLERS..CALLERS * CALLS_EACH {
                    self.take_answer();
                    self.call();
                }
                (0..CALLERS).for_each(|_| self.take_answer());
            }
            Work::Items => {
                self.calls.send(HAVE_ITEMS, 0).expect("the server is there");
                for number in 0..ITEMS as u64 {
                    self.items().send(Item::new(number).to_msgpack(), 0).expect("the server is there");
                }
                self.calls.recv_msg(0).expect("the server answers");
            }
            Work::Blobs => {
                self.calls.send(HAVE_BLOBS, 0).expect("the server is there");
                // libzmq owns what it sends: each blob is copied into a message.
                let blob = std::mem::take(&mut self.blob);
                (0..BLOBS).for_each(|_| self.items().send(&blob[..], 0).expect("the server is there"));
                self.blob = blob;
                self.calls.recv_msg(0).expect("the server answers");
            }
            Work::Call | Work::Echo | Work::Connection => {
                self.call();
                self.take_answer();
            }
        }
    }

    fn call(&self) {
        self.calls.send(Item::new(1).to_msgpack(), 0).expect("the server is there");
    }

    fn take_answer(&self) {
        black_box(Item::from_msgpack(&self.calls.recv_msg(0).expect("the server answers")));
    }

    /// The socket for items, connected when it is first needed.
    fn items(&mut self) -> &Socket {
        self.items.get_or_insert_with(|| {
            let items = socket(PUSH);
            items.connect(&self.items_at).expect("it is an address");
            items
        })
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work);
        at_once(()).boxed_local()
    }
}

/// A socket without a bound on queued messages: the load is bounded, and none may be dropped.
fn socket(kind: SocketType) -> Socket {
    let socket = CONTEXT.socket(kind).expect("a socket");
    socket.set_linger(0).expect("an option of all sockets");
    socket.set_sndhwm(0).expect("an option of all sockets");
    socket.set_rcvhwm(0).expect("an option of all sockets");
    socket
}

const HAVE_ITEMS: &[u8] = b"i";
const HAVE_BLOBS: &[u8] = b"b";
