use pleach::{Context, Me, Result, StreamSender, actor};

struct Counter;

#[actor]
impl Counter {
    pub async fn new() -> Result<Self> {
        Ok(Self)
    }

    pub async fn nothing(&self) {}

    pub async fn borrows(&self, name: &str) -> Result<()> {
        Ok(())
    }

    pub async fn generic<T>(&self, value: T) -> Result<()> {
        Ok(())
    }

    pub async fn takes(self) -> Result<()> {
        Ok(())
    }

    pub async fn shared(self: std::sync::Arc<Self>) -> Result<()> {
        Ok(())
    }

    pub async fn serialize(&self) -> Result<()> {
        Ok(())
    }

    pub async fn clone(&self) -> Result<Self> {
        Ok(Self)
    }

    pub async fn dialog(&mut self, ctx: &mut Context<(), u64, u64>) -> Result<()> {
        Ok(())
    }

    pub async fn told(&self, out: &mut StreamSender<u64>) -> Result<()> {
        Ok(())
    }

    pub async fn owned(me: Me<Self>, ctx: Context<(), u64, u64>) -> Result<()> {
        Ok(())
    }

    pub fn numbers(&mut self) -> impl Stream<Item = Result<u64>> {
        futures_util::stream::empty()
    }

    async fn stopping(self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
