//! The end of a block around a dialog, of a context or a stream: which error comes out.
//!
//! Leaving the block always waits for the remote task: for its end if the body has returned, for the acknowledgement of
//! its cancellation if the body failed or was cancelled.
//!
//! | the remote task | body returned | body failed, or was cancelled from around |
//! |---|---|---|
//! | returned | the body's value | the body's error |
//! | failed before | its error | its error |
//! | was cancelled, not by this block | [`Error::ContextCancelled`](crate::Error::ContextCancelled) | the same, if it came before |
//! | was cancelled by this block | the body's value | the body's error |
//! | its connection was lost, and this block has cancelled it | the body's value | the body's error |

use super::export::Export;
use crate::channel::cancelling::Reason;
use crate::channel::dialog::DialogHandle;
use crate::channel::explain::Explain;
use crate::error::{Result, ScopeError};
use crate::scope::cancellation;

/// Leaves the block: the function's failure overrides the body's, and the body's overrides a late answer.
pub(super) async fn settle<X, E: ScopeError>(
    dialog: &DialogHandle,
    export: &Export,
    peer: &impl Explain,
    ended: Result<Result<X, E>>,
) -> Result<X, E> {
    if let Some(failed) = dialog.failure() {
        return Err(export.told(dialog.error_of(failed), peer).await.into());
    }
    match ended {
        Ok(Ok(value)) => {
            cancel_remote(dialog, Reason::Left).await?;
            Ok(value)
        }
        failed_here => {
            let reason = failed_here.as_ref().err().map_or(Reason::Failed, Reason::of);
            end_remote(dialog, reason).await;
            failed_here.unwrap_or_else(|_| Err(cancellation().into()))
        }
    }
}

/// Cancels the remote task because there is an error here already, which a late answer must not hide.
pub(super) async fn end_remote(dialog: &DialogHandle, reason: Reason) {
    let _ = cancel_remote(dialog, reason).await; // that it is late is in the record of the cancellation
}

/// Cancels the remote task, if it still runs, for a caller that needs no answer.
async fn cancel_remote(dialog: &DialogHandle, reason: Reason) -> Result<()> {
    if dialog.look(|state| state.end().is_some()) {
        return Ok(());
    }
    dialog.cancel(reason).await
}
