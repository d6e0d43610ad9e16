//! What calls tell of themselves. In a process of its own, for OpenTelemetry's providers are the
//! process's.

use std::sync::{Arc, Mutex};

use belay_client::{Belay, RetryPolicy, Units};
use opentelemetry::trace::{SpanKind, Status as SpanStatus, TracerProvider as _};
use opentelemetry::{KeyValue, Value, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, service_fn};
use tracing_subscriber::layer::SubscriberExt as _;

/// A server in this process that fails with these, one after the other, and the headers that it
/// saw.
type Seen = Arc<Mutex<Vec<http::HeaderMap>>>;

fn failing(statuses: Vec<Status>, seen: &Seen) -> Belay {
    let (statuses, seen) = (Arc::new(Mutex::new(statuses)), seen.clone());
    let service = service_fn(move |request: http::Request<Body>| {
        seen.lock().unwrap().push(request.headers().clone());
        let status = statuses.lock().unwrap().remove(0);
        std::future::ready(Ok::<_, BoxError>(status.into_http::<Body>()))
    });
    let builder = Belay::builder("http://belay.example:50051").token("hunter2hunter2");
    let retry = RetryPolicy::default().with_attempts_max(2);
    builder.retry(retry).build_in_process(service).unwrap()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| &attribute.value)
}

fn is(span: &SpanData, key: &str, expected: &str) {
    let found = attribute(&span.attributes, key).map(|value| value.as_str().into_owned());
    assert_eq!(found.as_deref(), Some(expected), "{key}");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_an_event_for_each_attempt_and_a_duration() {
    let (spans, metrics) = (
        InMemorySpanExporter::default(),
        InMemoryMetricExporter::default(),
    );
    let tracers = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(metrics.clone())
        .build();
    global::set_meter_provider(meters.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _subscriber = tracing::subscriber::set_default(subscriber);

    let seen = Seen::default();
    let statuses = vec![
        Status::unavailable("later"),
        Status::not_found("no such order"),
    ];
    let store = failing(statuses, &seen).store("demo");
    let error = store
        .request_cancellation("A-1", Units::all())
        .note("Ann asked by telephone")
        .await
        .unwrap_err();

    let spans = spans.get_finished_spans().unwrap();
    let [span] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        span.name,
        "belay.v1.CancellationService/RequestCancellation"
    );
    assert_eq!(span.span_kind, SpanKind::Client);
    is(span, "rpc.system.name", "grpc");
    is(
        span,
        "rpc.method",
        "belay.v1.CancellationService/RequestCancellation",
    );
    is(span, "server.address", "belay.example");
    is(span, "server.port", "50051");
    is(span, "rpc.response.status_code", "NOT_FOUND");
    is(span, "error.type", "NOT_FOUND");
    let request_id = error.request_id().unwrap().to_string();
    is(span, "belay.request.id", &request_id);
    assert!(
        matches!(span.status, SpanStatus::Error { .. }),
        "{:?}",
        span.status
    );
    let attempts: Vec<_> = span
        .events
        .iter()
        .map(|event| {
            attribute(&event.attributes, "rpc.response.status_code")
                .unwrap()
                .as_str()
        })
        .collect();
    assert_eq!(attempts, ["UNAVAILABLE", "NOT_FOUND"]);
    // Neither what was asked nor who asked.
    let told = format!("{span:?}");
    for private in ["hunter2", "Ann", "A-1"] {
        assert!(!told.contains(private), "{private} in {told}");
    }

    // Each attempt says that it belongs to this span.
    let (trace, parent) = (span.span_context.trace_id(), span.span_context.span_id());
    let expected = format!("00-{trace}-{parent}-01");
    let seen = seen.lock().unwrap();
    let sent: Vec<_> = seen.iter().map(|headers| &headers["traceparent"]).collect();
    assert_eq!(sent, [&expected, &expected]);

    meters.force_flush().unwrap();
    let exported = metrics.get_finished_metrics().unwrap();
    let all = exported
        .iter()
        .flat_map(|resource| resource.scope_metrics());
    let mut found = all.flat_map(|scope| scope.metrics());
    let metric = found
        .find(|metric| metric.name() == "rpc.client.call.duration")
        .unwrap();
    assert_eq!(metric.unit(), "s");
    let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
        panic!("{metric:?}")
    };
    let points: Vec<_> = histogram.data_points().collect();
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].count(), 1);
    let attributes: Vec<KeyValue> = points[0].attributes().cloned().collect();
    let code = attribute(&attributes, "rpc.response.status_code").unwrap();
    assert_eq!(code.as_str(), "NOT_FOUND");
}
