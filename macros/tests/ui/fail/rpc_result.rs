#[pleach::rpc]
async fn nothing() {}

#[pleach::rpc]
async fn unit() -> () {}

#[pleach::rpc]
async fn tuple() -> (u8, u8) {
    (1, 2)
}

#[pleach::rpc]
async fn reference() -> Result<&'static str> {
    Ok("text")
}

#[pleach::rpc]
async fn unnamed() -> Result<impl Send> {
    Ok(())
}

fn main() {}
