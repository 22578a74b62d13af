//! Two builds of this program in one tree: the actor's type has its fields in another order, or others.
//!
//! The variable `IT_BUILD` says which build a process is. That is seen by the type's own code alone: declarations,
//! shapes and refusals are those of processes that know nothing of each other.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libtest_mimic::Trial;
use pleach::prelude::*;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{assert_says, in_nursery, over, test};

const VARIABLE: &str = "IT_BUILD";

static BUILD: LazyLock<String> = LazyLock::new(|| std::env::var(VARIABLE).unwrap_or_else(|_| "Caller".into()));

/// The value, in whichever build.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Order {
    buy: u32,
    sell: u32,
    lot: u32,
}

/// The structure `Order` of each build: its fields, and which of the value each of them holds.
macro_rules! builds {
    ($($build:ident { $($(#[$attribute:meta])? $field:ident: $value:ident),* })*) => {
        $(
            #[derive(Serialize, Deserialize)]
            #[serde(rename = "Order")]
            struct $build {
                $($(#[$attribute])? $field: u32,)*
            }
        )*

        impl Serialize for Order {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match BUILD.as_str() {
                    $(stringify!($build) => $build { $($field: self.$value),* }.serialize(serializer),)*
                    other => Err(S::Error::custom(format!("there is no build {other}"))),
                }
            }
        }

        impl<'de> Deserialize<'de> for Order {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match BUILD.as_str() {
                    $(stringify!($build) => {
                        let read = $build::deserialize(deserializer)?;
                        let mut order = Self::default();
                        $(order.$value = read.$field;)*
                        Ok(order)
                    })*
                    other => Err(D::Error::custom(format!("there is no build {other}"))),
                }
            }
        }
    };
}

builds! {
    Caller { buy: buy, sell: sell }
    Reordered { sell: sell, buy: buy }
    Longer { buy: buy, sell: sell, lot: lot }
    Defaulted { buy: buy, #[serde(default)] lot: lot, sell: sell }
    Renamed { buy: buy, sold: sell }
}

/// What is in a flattened structure can't be traced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Hidden {
    #[serde(flatten)]
    order: Order,
}

#[pleach::rpc]
async fn book(order: Order) -> Result<Order> {
    Ok(order)
}

#[pleach::rpc]
async fn book_hidden(hidden: Hidden) -> Result<Hidden> {
    Ok(hidden)
}

#[pleach::context]
async fn books(ctx: &mut Context<Order, (), ()>, order: Order) -> Result<Order> {
    ctx.started(order).await?;
    Ok(order)
}

const ORDER: Order = Order { buy: 1, sell: 2, lot: 0 };

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for codec in ["msgpack", "json"] {
        tests.push(test(format!("builds::another_order_of_fields_is_no_difference_over_{codec}"), move || {
            with_build("Reordered", codec, reordered)
        }));
        tests.push(test(format!("builds::a_field_more_is_refused_by_name_over_{codec}"), move || {
            with_build("Longer", codec, longer)
        }));
        tests.push(test(format!("builds::a_field_more_with_a_default_is_optional_over_{codec}"), move || {
            with_build("Defaulted", codec, defaulted)
        }));
        tests.push(test(format!("builds::another_name_is_refused_by_name_over_{codec}"), move || {
            with_build("Renamed", codec, renamed)
        }));
    }
    tests
}

async fn with_build<F: Future<Output = Result<()>>>(build: &str, codec: &str, body: impl FnOnce(Portal) -> F) {
    in_nursery(Config { codec: codec.into(), ..over("uds") }, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).env(VARIABLE, build).await?;
        body(portal.clone()).await?;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn by_name(portal: &Portal) -> Result<Order> {
    portal.run_from_ns("it::builds::book", &BTreeMap::from([("order", ORDER)])).await
}

async fn reordered(portal: Portal) -> Result<()> {
    assert_eq!(portal.run(book(ORDER)).await?, ORDER);
    assert_eq!(portal.run(book_hidden(Hidden { order: ORDER })).await?.order, ORDER);
    let opened = portal.open_context(books(ORDER), async |ctx, first| pleach::Ok((first, ctx.result().await?)));
    assert_eq!(opened.await?, (ORDER, ORDER));
    assert_eq!(by_name(&portal).await?, ORDER);
    Ok(())
}

async fn longer(portal: Portal) -> Result<()> {
    let refused = portal.run(book(ORDER)).await;
    assert_says(&refused, &["declare it differently", "order: Order.lot: missing here, `u32` there"]);
    assert_says(&refused, &["its result: Order.lot: missing here, `u32` there"]);
    let refused = portal.open_context(books(ORDER), async |_, first| pleach::Ok(first)).await;
    assert_says(&refused, &["its first value: Order.lot: missing here, `u32` there"]);
    assert_says(&portal.run(book_hidden(Hidden { order: ORDER })).await, &["missing field `lot`"]);
    assert_says(&by_name(&portal).await, &["order: missing field `lot`"]);
    Ok(())
}

async fn defaulted(portal: Portal) -> Result<()> {
    let refused = portal.run(book(ORDER)).await;
    assert_says(&refused, &["declare it differently", "order: Order.lot: missing here, `u32` there"]);
    // What is compared by name alone, or can't be traced, goes by what is there.
    assert_eq!(by_name(&portal).await?, ORDER);
    assert_eq!(portal.run(book_hidden(Hidden { order: ORDER })).await?.order, ORDER);
    Ok(())
}

async fn renamed(portal: Portal) -> Result<()> {
    let refused = portal.run(book(ORDER)).await;
    assert_says(&refused, &["order: Order.sell: `u32` here, missing there"]);
    assert_says(&refused, &["order: Order.sold: missing here, `u32` there"]);
    assert_says(&portal.run(book_hidden(Hidden { order: ORDER })).await, &["missing field `sold`"]);
    assert_says(&by_name(&portal).await, &["order: missing field `sold`"]);
    Ok(())
}
