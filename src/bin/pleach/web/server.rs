//! The page, its files, and the states as they come.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::State;
use super::guard::{Guard, guarded};

/// Answers requests that `guard` lets pass, with the states that `told` has.
pub(super) fn router(guard: Guard, told: watch::Receiver<State>) -> Router {
    let readers = Arc::new(Semaphore::new(MAX_READERS));
    let mut router = Router::new().route("/events", get(move || events(readers.clone(), told.clone())));
    for (path, kind, text) in FILES {
        router = router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }));
    }
    router.layer(middleware::from_fn_with_state(guard, guarded))
}

/// Sends each state; a browser that is slow misses those between.
async fn events(readers: Arc<Semaphore>, told: watch::Receiver<State>) -> Response {
    let Ok(place) = readers.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let states = stream::unfold((told, place, true), async |(mut told, place, is_first): Reader| {
        if !is_first {
            told.changed().await.ok()?;
        }
        let state = told.borrow_and_update().clone();
        Some((Ok::<_, Infallible>(Event::default().data(&*state)), (told, place, false)))
    });
    Sse::new(states).into_response()
}

type Reader = (watch::Receiver<State>, OwnedSemaphorePermit, bool);

const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
];

/// How many pages may follow at once.
const MAX_READERS: usize = 32;
