//! Each kind of function is opened in its own way only.

use pleach::__private::{Export, Invoked, Request, context_call, stream_call};
use pleach::error::Refusal;
use pleach::prelude::*;
use pleach::wire::msg::FunctionKind;
use pleach::{ContextCall, StreamCall};

use super::with_peer;

/// Descriptions of functions as a program of another version may have them.
const fn mistaken_stream(path: &'static str, name: &'static str) -> Export {
    Export::stream(path, name, "", "u64", never)
}

fn never<D>(_: Request<D>) -> Invoked {
    panic!("it is called in the peer, by its own description")
}

static ADD_AS_STREAM: Export = mistaken_stream("it::streams::add", "add");
static DOUBLER_AS_STREAM: Export = mistaken_stream("it::streams::doubler", "doubler");
static COUNTS_AS_CONTEXT: Export = Export::context("it::streams::counts", "counts", "", "()", "(), (), ()", never);

pub(super) async fn a_function_of_another_kind_is_refused(config: Config) {
    // S16, S91, S92: each kind of function is opened in its own way only.
    with_peer(config, async |portal| {
        let called: Result<u64> = portal.run_from_ns("it::streams::counts", &(3,)).await;
        assert_refused(called, FunctionKind::Stream);
        let call: StreamCall<u64> = stream_call(&ADD_AS_STREAM, (1, 2));
        assert_refused(portal.open_stream_from(call, async |mut stream| stream.recv().await).await, FunctionKind::Rpc);
        let call: StreamCall<u64> = stream_call(&DOUBLER_AS_STREAM, ());
        assert_refused(
            portal.open_stream_from(call, async |mut stream| stream.recv().await).await,
            FunctionKind::Context,
        );
        let call: ContextCall<(), (), (), ()> = context_call(&COUNTS_AS_CONTEXT, (3,));
        assert_refused(portal.open_context(call, async |_, ()| Ok(())).await, FunctionKind::Stream);
        Ok(())
    })
    .await;
}

fn assert_refused<T: std::fmt::Debug>(opened: Result<T>, kind: FunctionKind) {
    match opened {
        Err(Error::Refused { why: Refusal::WrongKind { is }, .. }) => assert_eq!(is, kind),
        other => panic!("{other:?}"),
    }
}
