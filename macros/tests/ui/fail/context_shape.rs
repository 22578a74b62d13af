use pleach::context;

#[context]
fn not_async(ctx: &mut Context<u8, u8, u8>) -> Result<()> {
    Ok(())
}

#[context]
async fn generic<T: Send>(ctx: &mut Context<T, u8, u8>) -> Result<()> {
    Ok(())
}

#[context]
async fn bounded(ctx: &mut Context<u8, u8, u8>) -> Result<()>
where
    u8: Send,
{
    Ok(())
}

struct Counter;

impl Counter {
    #[context]
    async fn method(&self, ctx: &mut Context<u8, u8, u8>) -> Result<()> {
        Ok(())
    }
}

#[context(name = "other")]
async fn options(ctx: &mut Context<u8, u8, u8>) -> Result<()> {
    Ok(())
}

#[context]
async fn no_result(ctx: &mut Context<u8, u8, u8>) {}

#[context]
async fn pattern(ctx: &mut Context<u8, u8, u8>, (a, b): (u8, u8)) -> Result<u8> {
    Ok(a + b)
}

#[context]
async fn three_mistakes(limit: u64, text: &str) -> (u8, u8) {
    (1, 2)
}

fn main() {}
