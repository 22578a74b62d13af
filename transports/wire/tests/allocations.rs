//! Sending a small value allocates nothing. It has a process of its own, because that counts for all its threads.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "../../../benches/common/allocations.rs"]
mod allocations;

use std::sync::Arc;

use pleach_wire::framed::Framed;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Connection, Link, Msgpack};
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Serialize)]
struct Reading {
    station: u64,
    sky: &'static str,
}

#[tokio::test]
async fn sending_a_small_value_allocates_nothing() {
    let address = Address::Mem("allocations".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    let (reader, writer) = (Box::new(tokio::io::empty()), Box::new(tokio::io::sink()));
    let connection: Connection<Reading> =
        Connection::new(Arc::new(Framed::new(Msgpack, Link { reader, writer, lanes: None, ends })));
    let send = async |count| {
        let before = allocations::allocations();
        for station in 0..count {
            connection.send(&Reading { station, sky: "clear" }).await.unwrap();
            connection.feed(&Reading { station, sky: "rain" }).await.unwrap();
        }
        allocations::allocations() - before
    };
    send(1000).await; // the buffers grow to their size
    // A few may be the test harness's.
    let taken = send(10_000).await;
    assert!(taken < 100, "{taken} allocations for 20,000 values");
}
