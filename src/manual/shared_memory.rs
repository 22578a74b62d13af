//! The transport `shm`: actors of one host that exchange their messages through memory which they share.
//!
//! ```toml
//! transport = "shm"      # pleach.toml, of a program with the feature `shm`
//! ```
//! or `PLEACH_TRANSPORT=shm`, or `.transport("shm")` for one actor. It is chosen like any other, and all guarantees are the
//! same. An actor on another host can't be reached by it: `Host::ssh` takes another transport, or says that it needs one.
//!
//! # When to choose it
//! - **Large messages, and many.** They are copied twice, as over a Unix socket, but without system calls, and without the
//!   kernel's buffers. Messages of 1 MiB are twice as fast as over a Unix socket where the actors share a core. Where each has
//!   its own, `shm_ring = "1MiB"` makes them two to three times as fast, and a smaller ring slower: each waits for the other.
//! - **Latency, with a core to spare.** With `shm_spin = "50us"` an actor looks for its next message before it sleeps, and a
//!   call makes no system call at all while it is answered within that time: it takes 4 us instead of 50. It pays only where
//!   both actors have a core of their own; where they share one, the actor notices that, and sleeps.
//! - **Small messages** gain little otherwise: calls take three quarters of the time, streams hardly less.
//! - **Not** for many actors that talk little: a Unix socket costs less, and is the default for that reason.
//!
//! `benches/README.md` has the measurements, and plots of rings from 64 KiB to 4 MiB.
//!
//! # What it costs
//! - A connection has two rings of `shm_ring` bytes, 256 KiB unless told otherwise, all of it in memory from the start: it
//!   can't run out later. It has five descriptors in each process instead of one, and takes longer to open.
//! - Larger rings are for large messages; beyond 1 MiB they gain nothing.
//! - Spinning takes processor time from other programs.
//!
//! # What a peer can do
//! The peers meet at a Unix socket, which admits processes of the same user and root's, and each end is proved as over every
//! transport. Each side writes its own memory alone: it is mapped for reading only at the other end, sealed against
//! shrinking, and every number in it is checked before it is used. So a hostile peer causes errors and wrong bytes, as over a
//! socket, and nothing else, with one exception: a process of this user can hold up a thread of this one, which it may do
//! with a signal, too. A process that ends, however it does, is noticed at once by its socket.
//!
//! It needs Linux 5.14 for sealed memory without a file; elsewhere to listen is an error that says so. Nothing appears in
//! `/dev/shm`: the memory is gone with the last of its two processes.
