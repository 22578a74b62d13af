//! The body's type is the function's, so `?` and a bare `Ok(())` need no help.

#![forbid(unsafe_code)]

#[pleach::main]
async fn main() -> pleach::Result<()> {
    let number: u8 = "7".parse().map_err(|_| pleach::Error::Usage("not a number".into()))?;
    assert_eq!(number, 7);
    tokio::task::yield_now().await;
    Ok(())
}
