//! Who is not a member gets nothing: probes, garbage, silence, half a handshake.

use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{in_root, over, test};

#[pleach::rpc]
async fn ping() -> Result<u8> {
    Ok(1)
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("strangers::a_thousand_probes_cost_nothing", probes),
        test("strangers::garbage_and_silence_are_closed_within_the_deadline", garbage),
    ]
}

async fn probes() {
    in_root(over("tcp"), async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = listening(&actor.addresses().await);
            // The first few set up what stays: resolver, buffers.
            for _ in 0..10 {
                drop(TcpStream::connect(&address).await.unwrap());
            }
            assert_eq!(portal.run(ping()).await?, 1);
            let before = open_files();
            for _ in 0..1000 {
                drop(TcpStream::connect(&address).await.unwrap());
            }
            assert_eq!(portal.run(ping()).await?, 1);
            let settled = async {
                while open_files() > before {
                    tokio::task::yield_now().await;
                }
            };
            let settled = tokio::time::timeout(Duration::from_secs(5), settled).await;
            assert!(settled.is_ok(), "{} open files before, {} after", before, open_files());
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn garbage() {
    let config = Config { handshake: Duration::from_millis(300), ..over("tcp") };
    in_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = listening(&actor.addresses().await);
            let mut huge = 0x7fff_ffffu32.to_le_bytes().to_vec();
            huge.extend([0; 100]);
            let start = [&[0x94u8, 2, 1][..], &[0xa1, b'x', 0xc0]].concat();
            let framed = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
            for (what, bytes) in [
                ("silence", Vec::new()),
                ("an http request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
                ("a huge frame", huge),
                ("half a frame", vec![20, 0, 0, 0, 0x92]),
                ("a call before the handshake", framed(&start)),
                ("json", framed(b"[\"hello\",{}]")),
            ] {
                let mut stranger = TcpStream::connect(&address).await.unwrap();
                stranger.write_all(&bytes).await.unwrap();
                let closed = tokio::time::timeout(Duration::from_secs(2), stranger.read_to_end(&mut Vec::new())).await;
                assert!(closed.is_ok(), "{what}: the connection stays open");
                assert_eq!(portal.run(ping()).await?, 1, "after {what}");
            }
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

fn listening(addresses: &[Address]) -> String {
    match addresses {
        [Address::Tcp(at)] => at.to_string(),
        other => panic!("{other:?}"),
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
