//! A pool of four processes finds out which of six big numbers are primes.
//!
//! ```text
//! cargo run --release --example concurrent_actors_primes
//! ```
//!
//! Results are printed as they come. A worker takes the next number as soon as it is free.

use std::time::Instant;

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
        let pool = n.start_actor("worker").enable(module_path!()).pool(4).in_flight(1).await?;
        let mut results = pool.map_unordered(NUMBERS, is_prime);
        while let Some((at, is_prime)) = results.next().await {
            println!("{} is prime: {}", NUMBERS[at], is_prime?);
        }
        pleach::Ok(())
    })
    .await?;
    println!("checked in {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}
