use pleach::{Result, actor};

struct Counter;
struct Generic<T>(Option<T>);
trait Counts {}

#[actor(name = "counter")]
impl Counter {}

#[actor]
impl Counter {
    pub async fn get(&self) -> Result<u64> {
        Ok(7)
    }
}

#[actor]
impl Counts for Counter {}

#[actor]
impl<T> Generic<T> {
    pub async fn new() -> Result<Self> {
        Ok(Self(None))
    }
}

#[actor]
impl self::Counter {
    pub async fn new() -> Result<Self> {
        Ok(Self)
    }
}

#[actor]
impl Counter {
    pub async fn new(&self) -> Result<Self> {
        Ok(Self)
    }
}

#[actor]
impl Counter {
    pub fn new(name: &str) -> Self {
        Self
    }

    fn stopping(&self) {}
}

#[actor]
impl Counter {
    #[cfg(unix)]
    pub async fn new() -> Result<Self> {
        Ok(Self)
    }

    #[cfg(not(unix))]
    pub async fn new() -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
