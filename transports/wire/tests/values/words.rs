//! What the errors say: the type, the place inside of the value, and why.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use pleach_wire::{Codec, Format, Json, Msgpack, Payload, TransportError};
use serde::{Deserialize, Serialize};

use crate::FORMATS;

#[derive(Serialize, Deserialize, Debug)]
struct Order {
    lines: Vec<Line>,
    by: BTreeMap<u8, Line>,
    side: Side,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
struct Line {
    price: Option<Option<u32>>,
}

#[derive(Serialize, Deserialize, Debug)]
enum Side {
    Buy { at: Line },
    Both(Line, Line),
    None,
}

fn order() -> Order {
    let good = Line { price: None };
    Order { lines: vec![good.clone(); 5], by: [(7, good)].into(), side: Side::None }
}

#[test]
fn a_value_that_would_not_come_back_is_named_with_its_place() {
    let bad = || Line { price: Some(None) };
    let mut orders = [order(), order(), order(), order()];
    orders[0].lines[3] = bad();
    orders[1].by.insert(7, bad());
    orders[2].side = Side::Buy { at: bad() };
    orders[3].side = Side::Both(Line { price: None }, bad());
    let places =
        ["Order.lines[3].price: ", "Order.by.7.price: ", "Order.side.Buy.at.price: ", "Order.side.Both[1].price: "];
    for format in FORMATS {
        for (order, place) in orders.iter().zip(places) {
            let refused = format.encode(order, &mut BytesMut::new()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("a value can't be sent as {format:?}: {place}")), "{refused}");
            assert!(refused.contains("would come back as `None`"), "{refused}");
        }
    }
}

#[test]
fn a_value_that_does_not_fit_is_no_fault_of_the_connection() {
    for format in FORMATS {
        let payload = Payload::of(format, &("x", [("price", true)])).unwrap();
        let unread = payload.decode::<Order>().unwrap_err();
        assert!(matches!(unread, TransportError::Value { .. }), "{unread:?}");
        let text = unread.to_string();
        assert!(text.starts_with(&format!("can't read this value as {format:?}: Order")), "{text}");
        assert!(!text.contains("another codec"), "{text}");
    }
    for codec in [&Msgpack as &dyn Codec, &Json] {
        let broken = codec.decode(Bytes::from_static(b"\x01\x02")).unwrap_err();
        assert!(matches!(broken, TransportError::Decode { .. }), "{broken:?}");
        assert!(broken.to_string().contains("does the peer speak another codec?"), "{broken}");
    }
}

#[test]
fn numbers_that_json_lacks_are_named() {
    let refused = Format::Json.encode(&BTreeMap::from([("a", vec![0.5, f64::NAN])]), &mut BytesMut::new());
    assert!(refused.unwrap_err().to_string().contains(".a[1]: NaN is not a JSON number"));
}
