//! What a test can't be, and options that are none.

#[pleach::test]
fn not_async() {}

#[pleach::test]
async fn takes_arguments(a: u8) {}

#[pleach::test]
async fn generic<T>() {}

#[pleach::test]
#[tokio::test]
async fn twice() {}

#[pleach::test(start_paused = true)]
async fn paused() {}

#[pleach::test(transport = "uds", start_paused = true)]
async fn paused_processes() {}

#[pleach::test(transport = "mem", start_paused = true, flavor = "multi_thread")]
async fn paused_threads() {}

#[pleach::test(start_paused = "yes")]
async fn paused_in_words() {}

#[pleach::test(transport = "mem", seeds = 20)]
async fn seeds_without_one_clock() {}

#[pleach::test(transport = "mem", start_paused = true, seeds = 0)]
async fn no_seeds() {}

#[pleach::test(leaks = "maybe")]
async fn leaks() {}

#[pleach::test(threads = 4)]
async fn unknown() {}

#[pleach::main(transport = "mem")]
async fn not_for_main() {}

fn main() {}
