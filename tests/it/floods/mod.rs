//! A stream whose sender is faster than its consumer: it blocks no other user of the connection, and takes no more
//! memory than its buffers.

mod memory;
mod overtaking;

pub(crate) use memory::root as memory_root;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [overtaking::tests(), memory::tests()].into_iter().flatten().collect()
}
