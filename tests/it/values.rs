//! Values end to end: as arguments, results, first values, messages and errors, over each built-in codec and one that
//! does not describe itself.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libtest_mimic::Trial;
use pleach::__private::{Export, Invoked, Request, call};
use pleach::prelude::*;
use pleach::wire::codec::{CustomCodec, CustomFormat};
use pleach::wire::{Blob, TransportError, TransportType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::{assert_says, in_root, over, test, test_fn};
use crate::toy::Toy;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bounds {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Query {
    Id { id: u64 },
    Page { page: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Event {
    Seen { by: IpAddr, counts: BTreeMap<u32, u8> },
    Named { name: String, blob: Blob },
}

/// What can't be sent without names and buffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("it has everything")]
struct Everything {
    bounds: Vec<Bounds>,
    query: Query,
    #[serde(flatten)]
    event: Event,
    nested: Option<Option<u8>>,
}

/// What any format carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("it is plain")]
struct Plain {
    blob: Blob,
    names: BTreeMap<u8, (String, IpAddr)>,
    nested: Option<Option<u8>>,
    kind: Result<u8, String>,
}

pleach::register_error!(Everything, Plain);

macro_rules! echoes {
    ($($module:ident $type:ident)*) => {$(
        mod $module {
            use super::*;

            #[pleach::rpc]
            pub(super) async fn back(value: $type) -> Result<$type> {
                Ok(value)
            }

            #[pleach::rpc]
            pub(super) async fn fail(value: $type) -> Result<(), $type> {
                Err(value)
            }

            #[pleach::context]
            pub(super) async fn dialog(ctx: &mut Context<$type, $type, $type>, value: $type) -> Result<$type> {
                ctx.started(value).await?;
                let mut stream = ctx.open_stream().await?;
                let mut last = None;
                while let Some(value) = stream.recv().await? {
                    stream.send($type::clone(&value)).await?;
                    last = Some(value);
                }
                last.ok_or_else(|| Error::Usage("nothing came".into()))
            }

            #[pleach::stream]
            pub(super) async fn items(out: &mut StreamSender<$type>, value: $type) -> Result<()> {
                out.send(value).await
            }

            /// Sends a value in every way.
            pub(super) async fn everywhere(portal: &Portal, value: $type) -> Result<()> {
                assert_eq!(portal.run(back(value.clone())).await?, value);
                let failed = portal.run(fail(value.clone())).await.unwrap_err();
                assert_eq!(failed.downcast_ref::<$type>(), Some(&value), "{failed:?}");
                let open = portal.open_context(dialog(value.clone()), async |ctx, first| {
                    assert_eq!(first, value);
                    let mut stream = ctx.open_stream().await?;
                    stream.send(value.clone()).await?;
                    assert_eq!(stream.recv().await?, Some(value.clone()));
                    stream.close().await?;
                    ctx.result().await
                });
                assert_eq!(open.await?, value);
                let take = portal.open_stream_from(items(value.clone()), async |mut items| {
                    assert_eq!(items.recv().await?, Some(value.clone()));
                    Ok(())
                });
                take.await
            }
        }
    )*};
}

echoes! {
    everything Everything
    plain Plain
}

fn all() -> Vec<Everything> {
    let bounds = vec![Bounds { min: None, max: Some(9) }, Bounds { min: Some(1), max: None }];
    let seen = Event::Seen { by: [10, 0, 0, 1].into(), counts: [(5, 1), (70_000, 2)].into() };
    let named = |size| Event::Named { name: "7".into(), blob: vec![7; size].into() };
    [(Query::Page { page: 7 }, seen), (Query::Id { id: 7 }, named(9)), (Query::Page { page: 0 }, named(9000))]
        .map(|(query, event)| Everything { bounds: bounds.clone(), query, event, nested: Some(Some(1)) })
        .into()
}

fn plain_values() -> Vec<Plain> {
    let names: BTreeMap<_, _> = [(5, ("x".to_owned(), IpAddr::from([10, 0, 0, 1])))].into();
    [0, 10, 1 << 20]
        .map(|size| Plain { blob: vec![7; size].into(), names: names.clone(), nested: None, kind: Ok(1) })
        .into()
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test_fn(a_format_that_does_not_describe_itself_carries_all),
        test_fn(types_of_other_shapes_are_refused_by_name),
    ];
    for codec in ["msgpack", "json"] {
        tests.push(test(format!("values::all_of_serde_crosses_{codec}"), move || all_of_serde_crosses(codec)));
        tests.push(test(format!("values::what_would_not_come_back_is_refused_over_{codec}"), move || {
            what_would_not_come_back_is_refused(codec)
        }));
    }
    tests
}

async fn with_peer(config: Config, modules: [&str; 2], body: impl AsyncFnOnce(&Portal) -> Result<()>) {
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(modules[0]).enable(modules[1]).await?;
            body(&portal).await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

const ECHOES: [&str; 2] = ["it::values::everything", "it::values::plain"];

async fn all_of_serde_crosses(codec: &'static str) {
    with_peer(Config { codec: codec.into(), ..over("mem") }, ECHOES, async |portal| {
        for value in all() {
            everything::everywhere(portal, value).await?;
        }
        for value in plain_values() {
            plain::everywhere(portal, value).await?;
        }
        Ok(())
    })
    .await;
}

async fn what_would_not_come_back_is_refused(codec: &'static str) {
    with_peer(Config { codec: codec.into(), ..over("mem") }, ECHOES, async |portal| {
        let lost = Plain { nested: Some(None), ..plain_values().remove(0) };
        let refused = portal.run(plain::back(lost.clone())).await;
        assert!(matches!(refused, Err(Error::Transport(TransportError::Encode { .. }))), "{refused:?}");
        assert_says(&refused, &[codec, "value.nested: ", "would come back as `None`"]);
        // An error that can't be sent as what it is still comes as a text.
        let failed = portal.run(plain::fail(plain_values().remove(0))).await.unwrap_err();
        assert!(failed.is::<Plain>());
        Ok(())
    })
    .await;
}

/// `postcard`: no names, no types, nothing that tells what is there.
struct Postcard;

impl CustomFormat for Postcard {
    fn name(&self) -> &'static str {
        "postcard"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String> {
        let bytes = postcard::to_stdvec(value).map_err(|error| error.to_string())?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        let mut reader = postcard::Deserializer::from_bytes(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut reader)).map_err(|error| error.to_string())
    }
}

pub(crate) fn register() {
    pleach::transports::register(TransportType::framed(CustomCodec::new(&Postcard), Arc::new(Toy))).unwrap();
}

#[pleach::rpc]
async fn reversed(bytes: Bytes) -> Result<Bytes> {
    Ok(bytes.iter().rev().copied().collect())
}

async fn a_format_that_does_not_describe_itself_carries_all() {
    let config = Config { codec: "postcard".into(), ..over("toy") };
    with_peer(config, ["it::values::plain", "it::values"], async |portal| {
        for value in plain_values() {
            // It has a word for this, too.
            let nested = Plain { nested: Some(None), ..value.clone() };
            assert_eq!(portal.run(plain::back(nested.clone())).await?, nested);
            plain::everywhere(portal, value).await?;
        }
        assert_eq!(portal.run(reversed(Bytes::from_static(b"abc"))).await?, "cba");
        let hidden = portal.run(everything::back(all().remove(0))).await;
        assert_says(&hidden, &["can't be sent as postcard"]);
        Ok(())
    })
    .await;
}

mod there {
    use super::*;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) buy: u32,
        pub(super) sell: u32,
    }

    #[pleach::rpc]
    pub(super) async fn book(order: Order) -> Result<String> {
        Ok(format!("{} {}", order.buy, order.sell))
    }
}

/// The caller's build: types of the same name.
mod here {
    use super::*;

    pub(super) mod swapped {
        use super::*;

        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct Order {
            pub(crate) sell: u32,
            pub(crate) buy: u32,
        }
    }

    pub(super) mod renamed {
        use super::*;

        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct Order {
            pub(crate) buy: u64,
            pub(crate) sold: u32,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Arguments<O> {
    order: O,
}

macro_rules! built_elsewhere {
    ($($name:ident $order:ty)*) => {$(
        static $name: Export = Export::new("it::values::there::book", "book", "order: Order", "Result<String>", never)
            .tracing(|shapes| {
                shapes.arguments::<Arguments<$order>>();
                shapes.of::<String>("its result:");
            });
    )*};
}

built_elsewhere! {
    SWAPPED here::swapped::Order
    RENAMED here::renamed::Order
}

fn never(_: Request) -> Invoked {
    unreachable!("this declaration is not in the table of exposed functions")
}

fn booking<O: Serialize + DeserializeOwned + Send + 'static>(export: &'static Export, order: O) -> Call<String> {
    call(export, Arguments { order }, |_| ready(Ok::<_, Error>(String::new())))
}

async fn types_of_other_shapes_are_refused_by_name() {
    with_peer(over("mem"), ["it::values::there", "it::values"], async |portal| {
        assert_eq!(portal.run(there::book(there::Order { buy: 1, sell: 2 })).await?, "1 2");
        let swapped = booking(&SWAPPED, here::swapped::Order { buy: 1, sell: 2 });
        assert_eq!(portal.run(swapped).await?, "1 2", "the order of fields does not matter");
        let renamed = portal.run(booking(&RENAMED, here::renamed::Order { buy: 1, sold: 2 })).await;
        assert_says(&renamed, &["declare it differently", "Order.buy: `u64` here, `u32` there"]);
        assert_says(&renamed, &["Order.sell: missing here, `u32` there", "Order.sold: `u32` here, missing there"]);
        // A caller that knows no declaration is told by the field.
        let unnamed = BTreeMap::from([("order", BTreeMap::from([("buy", 1)]))]);
        let refused = portal.run_from_ns::<String>("it::values::there::book", &unnamed).await;
        assert_says(&refused, &["order: missing field `sell`"]);
        Ok(())
    })
    .await;
}
