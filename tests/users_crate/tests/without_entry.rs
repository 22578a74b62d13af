//! A test program without a test of `#[actors::test]`: its children can't become actors, and it is told so.

use actors::prelude::*;

#[tokio::test]
async fn a_start_says_what_to_do() {
    let started: Result<()> = actors::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await;
    let said = started.unwrap_err().to_string();
    assert!(said.contains("mark the test `#[pleach::test]`") && said.contains("feature `testing`"), "{said}");
}
