//! Programs that stand still: each opens the debugger's prompt in its own way.
//!
//! ```text
//! cargo run -p debugging -- panic
//! ```
//! At the prompt, `help` lists the commands. The profile of this package has `debug = 2`, so that `gdb` knows the
//! variables.

mod context;
mod hosts;
mod root;
mod tree;
mod worker;

use pleach::prelude::*;

#[pleach::main]
async fn main() -> anyhow::Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "attach" {
        let root = std::env::args().nth(2).unwrap_or_default();
        return Ok(tokio::task::spawn_blocking(move || pleach::debug::attach(&root)).await??);
    }
    // One that is marked has debug mode in one actor only.
    let config = Config { debug_mode: wanted != "per_actor", ..Config::load()? };
    let hosts = config.hosts.to_vec();
    pleach::open_root(config, async |root| {
        match wanted.as_str() {
            "panic" => worker::panics_three_calls_deep().await?,
            "child_error" => worker::fails().await?,
            "child_pause" => worker::pauses().await?,
            "attached" => worker::pauses_until_it_is_shown().await?,
            "sync_pause" => worker::pauses_in_threads().await?,
            "post_mortem" => worker::asks_for_a_post_mortem().await?,
            "shielded_pause" => worker::pauses_in_a_shield().await?,
            "guarded" => worker::pauses_with_a_secret().await?,
            "caught" => worker::catches_its_panic().await?,
            "per_actor" => worker::has_debug_mode_alone().await?,
            "root_error" => root::fails().await?,
            "root_pause" => root::pauses().await?,
            "root_pause_forever" => root::pauses_for_ever().await?,
            "fast_root_error" => root::fails_after_a_start().await?,
            "root_cancels_itself" => root::cancels_itself_and_fails(&root).await?,
            "root_timeout" => root::loses_patience_with_a_child().await?,
            "root_cancelled" => root::is_cancelled_while_a_child_pauses(&root).await?,
            "root_leaves" => root::leaves_while_a_thread_pauses(),
            "several" => tree::several_children_stop().await?,
            "two" => tree::two_crash_at_once().await?,
            "root_fails_too" => tree::root_fails_beside_its_children().await?,
            "nested" => tree::error_climbs().await?,
            "deep" => tree::leaf_pauses_deep_down().await?,
            "noisy" => tree::pauses_beside_noise().await?,
            "many" => tree::many_crash_at_once().await?,
            "root_leased" => tree::root_pauses_above_a_lease().await?,
            "leased" => tree::leaf_with_a_lease_pauses().await?,
            "daemons" => tree::daemons_stop().await?,
            "hosts" => hosts::pause_one_below_the_other(hosts).await?,
            "hosts_crash" => hosts::crash_at_once(hosts).await?,
            "not_enabled" => context::is_not_enabled().await?,
            "context" => context::pauses().await?,
            unknown => println!("`{unknown}` is none of the programs: see `match` in src/main.rs"),
        }
        anyhow::Ok(())
    })
    .await
}
