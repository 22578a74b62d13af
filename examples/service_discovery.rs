//! A service that is found by its name, and who keeps the names.
//!
//! ```text
//! cargo run --example service_discovery
//! ```

use pleach::discovery::registrar;
use pleach::prelude::*;

#[pleach::rpc]
async fn greet(name: String) -> Result<String> {
    Ok(format!("hello, {name}"))
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.start_actor("some_actor_name").enable(module_path!()).await?;
        // By default the root of a tree keeps the names: that is this process.
        let registry = pleach::get_registry().await?;
        println!("the registrar is {}", registry.id());
        for actor in registry.run(registrar::list()).await? {
            println!("it knows {}", actor.who);
        }
        // Any actor of the tree could look it up like this.
        let found = pleach::find_actor("some_actor_name").required().await?;
        println!("found {}, which says: {}", found.id(), found.run(greet("finder".into())).await?);
        found.cancel_actor().await
    })
    .await
}
