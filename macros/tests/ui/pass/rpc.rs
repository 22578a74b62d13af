//! Every shape of function that can be exposed, in a crate without unsafe code and without warnings.

#![forbid(unsafe_code)]
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use pleach::{Call, Result};

/// Functions keep their visibility.
mod inner {
    /// Adds two numbers.
    #[pleach::rpc]
    pub(crate) async fn add(a: i64, mut b: i64) -> pleach::Result<i64> {
        b += a;
        Ok(b)
    }
}

/// Calls itself, so inside the body the name means what it means outside.
#[pleach::rpc]
async fn factorial(n: u64) -> Result<u64> {
    if n == 0 {
        return Ok(1);
    }
    Ok(n * factorial(n - 1).await?)
}

#[pleach::rpc]
async fn takes_and_returns_nothing() -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn any_error(text: String) -> Result<u8, std::num::ParseIntError> {
    text.parse()
}

#[pleach::rpc]
async fn anyhow_error(text: Cow<'static, str>) -> anyhow::Result<u8> {
    Ok(text.parse()?)
}

type Short = std::result::Result<u64, std::io::Error>;

#[pleach::rpc]
async fn alias_of_a_result(counts: HashMap<String, u64>) -> Short {
    Ok(counts.values().sum())
}

#[pleach::rpc]
async fn blobs(data: Bytes, r#type: Vec<u8>) -> Result<Bytes> {
    Ok(if r#type.is_empty() { data } else { r#type.into() })
}

struct Arguments;

fn body() -> Arguments {
    Arguments
}

/// Names that an expansion might have taken.
#[pleach::rpc]
async fn call(invoke: u8, request: u8) -> Result<u8> {
    let Arguments = body();
    Ok(invoke + request)
}

/// Lints and warnings about the function reach those who wrote it or call it.
#[must_use]
#[deprecated = "for the test"]
#[pleach::rpc]
async fn old(a: u8) -> Result<u8> {
    Ok(a)
}

fn main() {
    let _: Call<i64> = inner::add(1, 2);
    let _: Call<u64> = factorial(5);
    let _: Call<()> = takes_and_returns_nothing();
    let _: Call<u8> = any_error(String::from("7"));
    let _: Call<u8> = anyhow_error(Cow::Borrowed("7"));
    let _: Call<u64> = alias_of_a_result(HashMap::new());
    let _: Call<Bytes> = blobs(Bytes::new(), Vec::new());
    let _: Call<u8> = call(1, 2);
    #[expect(deprecated)]
    let _: Call<u8> = old(1);
}
