//! Calls whose time ends before their request has left. The clock stands still.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use belay_client::{Belay, Kind, Units};
use tonic::ConnectError;
use tonic::body::Body;
use tower::{BoxError, service_fn};

use crate::in_process::quick;

/// A client of an address to which so many connections are refused, and no other is made.
fn nowhere(refusals: usize) -> Belay {
    let calls = Arc::<AtomicUsize>::default();
    let service = service_fn(move |_request: http::Request<Body>| {
        let is_refused = calls.fetch_add(1, Ordering::Relaxed) < refusals;
        async move {
            if is_refused {
                let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
                return Err(BoxError::from(ConnectError(refused.into())));
            }
            std::future::pending::<Result<http::Response<Body>, BoxError>>().await
        }
    });
    quick().build_in_process(service).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_has_reached_nobody_has_no_effect_and_says_what_it_met() {
    for refusals in 0..5 {
        let store = nowhere(refusals).store("demo");
        let call = store.request_cancellation("A-1", Units::all());
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        let message = error.message();
        assert!(message.contains("world.invalid"), "{message}");
        let refused = message.matches("refused").count();
        assert_eq!(refused, refusals.min(1), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_has_reached_nobody_has_no_effect() {
    let error = nowhere(0)
        .store("demo")
        .claim_refunds("w-1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}
