use pleach::context;

#[context]
async fn nothing() -> Result<()> {
    Ok(())
}

#[context]
async fn an_argument(limit: u64) -> Result<u64> {
    Ok(limit)
}

#[context]
async fn not_first(limit: u64, ctx: &mut Context<String, u64, u64>) -> Result<u64> {
    Ok(limit)
}

#[context]
async fn owned(ctx: Context<String, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn shared(ctx: &pleach::Context<String, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn longer(ctx: &'static mut Context<String, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn no_types(ctx: &mut Context) -> Result<()> {
    Ok(())
}

#[context]
async fn two_types(ctx: &mut pleach::Context<u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn a_lifetime(ctx: &mut Context<'_, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn an_alias(ctx: &mut Dialog) -> Result<()> {
    Ok(())
}

#[context]
async fn pattern(Context { .. }: &mut Context<String, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn ignored(_: &mut Context<String, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn reference(ctx: &mut Context<&'static str, u64, u64>) -> Result<()> {
    Ok(())
}

#[context]
async fn unnamed_type(ctx: &mut Context<String, _, u64>) -> Result<()> {
    Ok(())
}

fn main() {}
