//! A pool of four processes finds out which of six big numbers are primes.
//!
//! ```text
//! cargo run --release --example concurrent_actors_primes
//! ```
//!
//! Results are printed as they come. A worker takes the next number as soon as it is free.

use std::cell::RefCell;
use std::time::Instant;

use futures_util::future::try_join_all;
use pleach::prelude::*;

/// The last one is the product of two primes of about the same size: the hardest case.
const NUMBERS: [u64; 6] = [
    100_000_000_000_031,
    110_000_000_000_027,
    120_000_000_000_031,
    130_000_000_000_063,
    140_000_000_000_023,
    99_999_640_000_243,
];

/// Tries all odd divisors.
#[pleach::rpc]
async fn is_prime(number: u64) -> Result<bool> {
    if number < 2 || (number > 2 && number.is_multiple_of(2)) {
        return Ok(false);
    }
    Ok((3..=number.isqrt()).step_by(2).all(|divisor| !number.is_multiple_of(divisor)))
}

#[pleach::main]
async fn main() -> Result<()> {
    let started = Instant::now();
    pleach::open_nursery(async |n| {
        let numbers = RefCell::new(NUMBERS.into_iter());
        let next = || numbers.borrow_mut().next();
        let worker = async |number: usize| {
            let portal = n.start_actor(format!("worker-{number}")).enable(module_path!()).await?;
            while let Some(number) = next() {
                println!("{number} is prime: {}", portal.run(is_prime(number)).await?);
            }
            portal.cancel_actor().await
        };
        try_join_all((1..=4).map(worker)).await
    })
    .await?;
    println!("checked in {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}
