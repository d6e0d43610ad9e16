//! The world without a network: its client calls it in the test's own process, through a proxy that
//! says what the test wants. The clock may stand still here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use belay_client::{Belay, BelayBuilder, RetryPolicy};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{BoxError, Service as _, service_fn};

use crate::world::World;

/// What a proxy does with one call; those that follow pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proxy {
    /// It answers with a page of this status, and the server hears of nothing.
    Page(u16),
    /// It passes one message on and then ends the answer, as if it were complete.
    EndsAfterOne,
    /// It passes a part of a message on and then ends the answer.
    EndsWithin,
    /// It passes the call on.
    Passes,
}

/// A client that loses no time between attempts.
pub(crate) fn quick() -> BelayBuilder {
    let millisecond = Duration::from_millis(1);
    let retry = RetryPolicy::default().with_delays(millisecond, millisecond);
    Belay::builder("http://world.invalid").retry(retry)
}

/// A client of the world behind a proxy.
pub(crate) fn behind(world: &World, calls: impl IntoIterator<Item = Proxy>) -> Belay {
    let calls: Arc<Mutex<VecDeque<Proxy>>> = Arc::new(Mutex::new(calls.into_iter().collect()));
    let routes = world.routes();
    let service = service_fn(move |request| {
        let proxy = calls.lock().unwrap().pop_front().unwrap_or(Proxy::Passes);
        pass(routes.clone(), proxy, request)
    });
    quick().build_in_process(service).unwrap()
}

async fn pass(
    mut routes: Routes,
    proxy: Proxy,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, BoxError> {
    if let Proxy::Page(status) = proxy {
        let page = "<html><body>The server is away.</body></html>".to_owned();
        let page = http::Response::builder()
            .status(status)
            .header("content-type", "text/html")
            .body(Body::new(page));
        return Ok(page?);
    }
    let response = routes.call(request).await?;
    Ok(match proxy {
        Proxy::EndsAfterOne => response.map(|body| Body::new(Cut::after(body, usize::MAX))),
        Proxy::EndsWithin => response.map(|body| Body::new(Cut::after(body, 3))),
        Proxy::Page(_) | Proxy::Passes => response,
    })
}

/// The first message of a body, or so many bytes of it, and an end without trailers.
struct Cut {
    body: Body,
    bytes: usize,
    has_passed: bool,
}

impl Cut {
    fn after(body: Body, bytes: usize) -> Self {
        Self {
            body,
            bytes,
            has_passed: false,
        }
    }
}

impl http_body::Body for Cut {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if self.has_passed {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_passed = true;
        let data = frame.and_then(|frame| frame.ok()?.into_data().ok());
        let bytes = self.bytes;
        Poll::Ready(data.map(|mut data| {
            data.truncate(bytes);
            Ok(Frame::data(data))
        }))
    }
}
