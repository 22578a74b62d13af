//! All options at once; `init` runs before the body.

use std::sync::atomic::{AtomicBool, Ordering};

static READY: AtomicBool = AtomicBool::new(false);

mod setup {
    pub(crate) fn everything() {
        super::READY.store(true, super::Ordering::Relaxed);
    }
}

#[pleach::main(flavor = "multi_thread", worker_threads = 2, init = setup::everything)]
async fn main() {
    assert!(READY.load(Ordering::Relaxed));
    tokio::task::spawn(async {}).await.unwrap();
}
