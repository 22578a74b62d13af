//! Three levels: the root starts a supervisor, and that starts two leaves which compute squares.
//!
//! ```text
//! cargo run --example nested_actor_tree
//! ```
//!
//! Nurseries nest across processes as they do in code, so the tree is taken down inside-out.

use futures_util::future::try_join_all;
use pleach::prelude::*;

#[pleach::rpc]
async fn square(number: u64) -> Result<(String, u64)> {
    let name = pleach::current_actor().map_or_else(String::new, |actor| actor.id().name().to_owned());
    Ok((name, number * number))
}

/// Has its own actors compute the squares, in turns.
#[pleach::rpc]
async fn squares(numbers: Vec<u64>) -> Result<Vec<u64>> {
    let squares = pleach::open_nursery(async |n| {
        let mut leaves = Vec::new();
        for name in ["leaf-1", "leaf-2"] {
            leaves.push(n.start_actor(name).enable(module_path!()).await?);
        }
        let calls = numbers.iter().zip(leaves.iter().cycle()).map(|(number, leaf)| leaf.run(square(*number)));
        let answers = try_join_all(calls).await?;
        for ((leaf, square), number) in answers.iter().zip(&numbers) {
            println!("{leaf}: {number} squared is {square}");
        }
        for leaf in leaves {
            leaf.cancel_actor().await?;
        }
        pleach::Ok(answers.into_iter().map(|(_leaf, square)| square).collect())
    })
    .await?;
    println!("supervisor: my leaves have ended");
    Ok(squares)
}

#[pleach::main]
async fn main() -> Result<()> {
    let squares = pleach::open_nursery(async |n| {
        let supervisor = n.run_in_actor(squares(vec![1, 2, 3, 4])).name("supervisor").await?;
        supervisor.result().await
    })
    .await?;
    println!("root: my supervisor has ended; its result is {squares:?}");
    Ok(())
}
