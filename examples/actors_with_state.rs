//! A bank whose accounts are in one actor, and whose audit is in another: state, handles, and a restart.
//!
//! ```text
//! cargo run --example actors_with_state
//! ```

use std::collections::BTreeMap;

use pleach::prelude::*;
use pleach::{ChildSpec, Handle, StopReason, Supervision};

/// The accounts, by name.
struct Bank {
    accounts: BTreeMap<String, i64>,
    audit: Handle<Audit>,
}

#[pleach::actor]
impl Bank {
    /// Runs in the new process, and again in the next one after a restart.
    async fn new(audit: Handle<Audit>) -> Result<Self> {
        Ok(Self { accounts: BTreeMap::new(), audit })
    }

    /// One at a time: it changes the accounts.
    pub(crate) async fn deposit(&mut self, owner: String, amount: i64) -> Result<i64> {
        let account = self.accounts.entry(owner.clone()).or_default();
        *account += amount;
        self.audit.note(format!("{owner} has {account}")).await?;
        Ok(*account)
    }

    /// Beside each other: they only look.
    pub(crate) async fn balance(&self, owner: String) -> Result<i64> {
        Ok(self.accounts.get(&owner).copied().unwrap_or_default())
    }

    pub(crate) async fn rob(&mut self) -> Result<()> {
        panic!("this is a robbery")
    }
}

/// What has happened.
struct Audit(Vec<String>);

#[pleach::actor]
impl Audit {
    async fn new() -> Result<Self> {
        Ok(Self(Vec::new()))
    }

    pub(crate) async fn note(&mut self, what: String) -> Result<()> {
        self.0.push(what);
        Ok(())
    }

    async fn stopping(self, _why: StopReason) {
        println!("audit: {} notes, the last one: {}", self.0.len(), self.0.last().map_or("none", String::as_str));
    }
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let audit = n.start(Audit::new()).await?;
        let spec = ChildSpec::actor(n.start(Bank::new(audit.clone())).name("bank"));
        let supervisor = n.supervise(Supervision::one_for_one().child(spec)).await?;
        let bank: Handle<Bank> = supervisor.handle("bank")?;

        let deposits = (1..=100).map(|amount| bank.deposit("ada".into(), amount));
        let balances = futures_util::future::try_join_all(deposits).await?;
        println!("ada's hundredth deposit: {:?}", balances.last());

        let Err(error) = bank.rob().await else { return Ok(()) };
        println!("the robbery: {error}");
        println!("the bank was restarted, and is empty: {}", bank.balance("ada".into()).await?);

        supervisor.shutdown().await;
        Handle::stop(&audit).await
    })
    .await
}
