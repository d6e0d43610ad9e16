//! Answers of services that none of ours gives, or only at bad times.

use std::convert::Infallible;

use belay_proto::v1 as pb;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::rpc::ConnectionBounds;

const GET_STORE: &str = "/belay.v1.StoreService/GetStore";
const PUT_CARRIER: &str = "/belay.v1.StoreService/PutCarrier";
const WATCH: &str = "/belay.v1.EventService/WatchEvents";

/// What comes of a call to a service that answers with these frames.
async fn answer(
    path: &'static str,
    bounds: &ConnectionBounds,
    frames: Vec<Frame<bytes::Bytes>>,
) -> Response<Body> {
    let connect = Connect::new(
        &[belay_proto::FILE_DESCRIPTOR_SET],
        Vec::new(),
        false,
        |_| true,
    )
    .unwrap();
    let frames = std::sync::Mutex::new(Some(frames));
    let frames = Arc::new(frames);
    let service = connect.before(service_fn(move |_: Request<Body>| {
        let frames = frames.lock().unwrap().take().expect("one call");
        let frames = frames.into_iter().map(Ok::<_, tonic::Status>);
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut answer = Response::new(body);
        answer
            .headers_mut()
            .insert("belay-of", HeaderValue::from_static("head"));
        std::future::ready(Ok::<_, Infallible>(answer))
    }));
    let streams = path == WATCH;
    let content = if streams {
        "application/connect+json"
    } else {
        "application/json"
    };
    let request = Request::post(path).header("content-type", content);
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(bounds.clone());
    service.oneshot(request).await.unwrap()
}

fn bounds(answer_bytes: usize) -> ConnectionBounds {
    let settings = BoundSettings {
        answer_bytes,
        ..BoundSettings::default()
    };
    PortBounds::new(settings).connection()
}

fn message(message: &impl prost::Message) -> Frame<bytes::Bytes> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    Frame::data([&[0], length.as_slice(), &bytes].concat().into())
}

fn end(status: &'static str) -> Frame<bytes::Bytes> {
    let trailers = [("grpc-status", status), ("belay-of", "tail")];
    let trailers = trailers.map(|(name, value)| {
        let name = http::HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    Frame::trailers(trailers.into_iter().collect())
}

fn store() -> pb::GetStoreResponse {
    let store = pb::Store {
        store_id: "demo".to_owned(),
        ..Default::default()
    };
    pb::GetStoreResponse { store: Some(store) }
}

async fn told(answer: Response<Body>) -> (StatusCode, Value) {
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn metadata_of_an_answer_is_told_before_it_and_after_it() {
    let good = answer(
        GET_STORE,
        &bounds(1 << 20),
        vec![message(&store()), end("0")],
    )
    .await;
    assert_eq!(good.headers()["belay-of"], "head");
    assert_eq!(good.headers()["trailer-belay-of"], "tail");
    assert!(!good.headers().contains_key("trailer-grpc-status"));
    let (status, body) = told(good).await;
    assert_eq!(
        (status, &body["store"]["storeId"]),
        (StatusCode::OK, &json!("demo"))
    );

    let stream = answer(WATCH, &bounds(1 << 20), vec![end("0")]).await;
    assert_eq!(stream.headers()["belay-of"], "head");
    let body = stream.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        (body[0], &body[5..]),
        (2, &br#"{"metadata":{"belay-of":["tail"]}}"#[..])
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_defect_and_never_a_success() {
    for frames in [
        vec![],
        vec![end("0")],
        vec![Frame::data(b"\0\0\0\0\x02\xff\xff"[..].into()), end("0")],
    ] {
        let broken = answer(GET_STORE, &bounds(1 << 20), frames).await;
        let (status, body) = told(broken).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal"))
        );
    }
    for frames in [
        vec![],
        vec![Frame::data(b"\0\0\0\0\x02\xff\xff"[..].into()), end("0")],
    ] {
        let broken = answer(WATCH, &bounds(1 << 20), frames).await;
        let body = broken.into_body().collect().await.unwrap().to_bytes();
        let end: Value = serde_json::from_slice(&body[5..]).unwrap();
        assert_eq!((body[0], &end["error"]["code"]), (2, &json!("internal")));
    }
}

#[tokio::test]
async fn json_that_finds_no_room_is_refused_where_nothing_was_done_for_it() {
    // A connection has a quarter: less than the JSON, and more than the message.
    let bounds = bounds(4 * 64);
    let read = async || answer(GET_STORE, &bounds, vec![message(&store()), end("0")]).await;
    let mut first = read().await;
    assert_eq!(
        first.status(),
        StatusCode::OK,
        "the only one may, however large it is"
    );
    let waits = first.frame().await.unwrap().unwrap();
    let (status, body) = told(read().await).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("resource_exhausted"))
    );
    let written = pb::PutCarrierResponse::default();
    let write = answer(PUT_CARRIER, &bounds, vec![message(&written), end("0")]).await;
    assert_eq!(write.status(), StatusCode::OK, "what was done is told");
    drop((first, waits, write));
    assert_eq!(read().await.status(), StatusCode::OK);
}
