//! One of four actors fails: the other three are cancelled, and the error arrives here.
//!
//! ```text
//! cargo run --example remote_error_propagation
//! ```

use pleach::prelude::*;

#[pleach::rpc]
async fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

#[pleach::main]
async fn main() -> Result<()> {
    let outcome = pleach::open_nursery(async |n| {
        for number in 1..=3 {
            n.start_actor(format!("idle-{number}")).await?;
        }
        n.run_in_actor(parse("forty-two".into())).name("parser").await?;
        // The daemons are not cancelled: without the failure, this would wait for ever.
        pleach::Ok(())
    })
    .await;
    match outcome {
        Err(Error::Remote(error)) => {
            println!("{} failed: {}", error.src, error.message);
            println!("the error was a {}; the nursery cancelled the others and passed it on", error.type_name);
            Ok(())
        }
        other => other,
    }
}
