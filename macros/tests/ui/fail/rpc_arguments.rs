#[pleach::rpc]
async fn reference(text: &str) -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn hidden_reference(texts: Vec<Option<&'static str>>) -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn hidden_lifetime(text: std::borrow::Cow<'_, str>) -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn unnamed_type(number: impl Into<u64>) -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn pattern((a, b): (u8, u8)) -> Result<u8> {
    Ok(a + b)
}

#[pleach::rpc]
async fn ignored(_: u8) -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn two_mistakes(text: &str, (a, b): (u8, u8)) {}

fn main() {}
