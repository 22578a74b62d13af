use pleach::{Handle, Result, actor};

struct Counter(i64);
struct Other;

#[actor]
impl Counter {
    pub async fn new(from: i64) -> Result<Self> {
        Ok(Self(from))
    }

    pub async fn add(&mut self, n: i64) -> Result<i64> {
        self.0 += n;
        Ok(self.0)
    }

    async fn private(&self) -> Result<i64> {
        Ok(self.0)
    }
}

async fn misuse(n: pleach::Nursery, counter: Handle<Counter>) -> Result<()> {
    counter.add("one").await?;
    counter.subtract(1).await?;
    counter.value().await?;
    n.start(Counter::new("one")).await?;
    n.start(Counter(1)).await?;
    let _other: Handle<Other>;
    Ok(())
}

struct NotSend(std::rc::Rc<i64>);

#[actor]
impl NotSend {
    pub async fn new() -> Result<Self> {
        Ok(Self(std::rc::Rc::new(1)))
    }
}

fn main() {}
