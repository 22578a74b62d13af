#[pleach::rpc]
fn not_async(a: u8) -> Result<u8> {
    Ok(a)
}

#[pleach::rpc]
async unsafe fn not_safe() -> Result<()> {
    Ok(())
}

struct Counter;

impl Counter {
    #[pleach::rpc]
    async fn method(&self) -> Result<()> {
        Ok(())
    }
}

#[pleach::rpc]
async fn generic<T: Send>(value: T) -> Result<T> {
    Ok(value)
}

#[pleach::rpc]
async fn lifetime<'a>(text: &'a str) -> Result<()> {
    Ok(())
}

#[pleach::rpc(name = "other")]
async fn options() -> Result<()> {
    Ok(())
}

#[pleach::rpc]
struct NotAFunction;

fn main() {}
