use pleach::stream;

#[stream]
async fn nothing() -> Result<()> {
    Ok(())
}

#[stream]
async fn not_first(limit: u64, out: &mut StreamSender<u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn owned(out: StreamSender<u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn shared(out: &pleach::StreamSender<u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn no_type(out: &mut StreamSender) -> Result<()> {
    Ok(())
}

#[stream]
async fn two_types(out: &mut StreamSender<u64, u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn reference(out: &mut StreamSender<&'static str>) -> Result<()> {
    Ok(())
}

#[stream]
async fn unnamed_type(out: &mut StreamSender<_>) -> Result<()> {
    Ok(())
}

#[stream]
async fn ignored(_: &mut StreamSender<u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn a_result(out: &mut StreamSender<u64>) -> Result<u64> {
    Ok(1)
}

#[stream]
async fn no_result(out: &mut StreamSender<u64>) {}

#[stream]
fn not_async(out: &mut StreamSender<u64>) -> Result<()> {
    Ok(())
}

#[stream]
async fn async_generator() -> impl Stream<Item = Result<u64>> {
    empty()
}

#[stream]
fn no_item() -> impl Stream {
    empty()
}

#[stream]
fn no_stream() -> impl Iterator<Item = Result<u64>> {
    None.into_iter()
}

#[stream]
fn never_fails() -> impl Stream<Item = u64> {
    empty()
}

#[stream]
fn lent(text: &str) -> impl Stream<Item = Result<u64>> {
    empty()
}

#[stream]
fn lends() -> impl Stream<Item = Result<&'static str>> {
    empty()
}

#[stream]
fn generic<T: Send>() -> impl Stream<Item = Result<T>> {
    empty()
}

#[stream(buffer = 3)]
async fn options(out: &mut StreamSender<u64>) -> Result<()> {
    Ok(())
}

fn main() {}
