//! Programs that find each other: a service, and a client that was started before it.
//!
//! The two only share an address and a key file; each could run in a terminal of its own. Here the program starts
//! itself a second time.
//!
//! ```text
//! cargo run --example service_daemon_discovery
//! ```

use pleach::prelude::*;
use std::path::Path;
use tokio::process::{Child, Command};

#[pleach::rpc]
async fn quote(symbol: String) -> anyhow::Result<f64> {
    anyhow::ensure!(symbol == "BTC", "unknown symbol `{symbol}`");
    Ok(66_000.5)
}

/// The directory in which both programs meet.
const MEETING: &str = "QUOTES_MEETING";

#[pleach::main]
async fn main() -> anyhow::Result<()> {
    if let Some(meeting) = std::env::var_os(MEETING) {
        let config = Config { root_name: "quote_svc".into(), ..meeting_at(Path::new(&meeting))? };
        return Ok(pleach::run_daemon(config, [module_path!()]).await?);
    }
    let meeting = tempfile::tempdir()?;
    pleach::open_root(meeting_at(meeting.path())?, async |_| {
        let missing = pleach::find_actor("quote_svc").await?;
        println!("before it is started: {missing:?}");
        let mut service = Command::new(std::env::current_exe()?).env(MEETING, meeting.path()).spawn()?;
        let asked = ask().await;
        end(&mut service, asked.is_ok()).await?;
        asked
    })
    .await
}

/// The configuration that both share. The first at the address is the registrar.
fn meeting_at(directory: &Path) -> anyhow::Result<Config> {
    let registry = vec![format!("uds://{}/names.sock", directory.display()).parse()?];
    Ok(Config { registry, key_file: Some(directory.join("key")), ..Config::load()? })
}

async fn ask() -> anyhow::Result<()> {
    let service = pleach::wait_for_actor("quote_svc").await?;
    println!("a quote from another program: {}", service.run(quote("BTC".into())).await?);
    // It ends in order, as if its user had interrupted it.
    Ok(service.cancel_actor().await?)
}

/// Waits for its end without blocking this actor, which is the registrar of the service.
async fn end(service: &mut Child, in_order: bool) -> anyhow::Result<()> {
    if !in_order {
        service.start_kill()?;
    }
    println!("the service ended: {}", service.wait().await?);
    Ok(())
}
