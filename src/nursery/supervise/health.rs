//! The health check of a child while it runs.
//!
//! It finds children that live and do not work. That one has died is seen without it, and is not reported here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::{Error, Result};
use crate::portal::Portal;
use crate::scope::{CancelScope, Ended, run_to_end};

/// How a child is checked, and how often.
pub(super) struct HealthCheck {
    /// From one check to the next.
    pub(super) every: Duration,
    /// How long one may take.
    pub(super) timeout: Duration,
    pub(super) check: Box<dyn Fn(Portal) -> BoxFuture<'static, Result<()>> + Send + Sync>,
}

impl HealthCheck {
    /// Checks a child again and again; returns why it is not healthy.
    ///
    /// # Cancel safety
    /// A check that is under way is dropped.
    pub(super) async fn until_unhealthy(self: Arc<Self>, child: Arc<str>, portal: Portal) -> Error {
        loop {
            tokio::time::sleep(self.every).await;
            let Err(error) = self.check_once(&child, &portal).await else { continue };
            if portal.is_gone() {
                return std::future::pending().await; // its end says more
            }
            return error;
        }
    }

    async fn check_once(&self, child: &str, portal: &Portal) -> Result<()> {
        let scope = CancelScope::new();
        // The callback itself is the user's code, too.
        let check = run_to_end(&scope, async { (self.check)(portal.clone()).await });
        match tokio::time::timeout(self.timeout, check).await {
            Ok(Ended::Returned(checked)) => checked,
            Ok(Ended::Cancelled(_)) => Ok(()), // the supervisor stops its children
            Ok(Ended::Panicked(panic)) => Err(panic),
            Err(_late) => Err(Error::Timeout { what: format!("the health check of `{child}`"), after: self.timeout }),
        }
    }
}
