//! Spans: which are kept, and where they go.
//!
//! They are spans of `tracing`, and tracing-opentelemetry makes OpenTelemetry's of them. What
//! `tracing` has no word for is said in OpenTelemetry's own: a parent that came in headers, links,
//! and whether a span is kept.
//!
//! Every call has a trace id, also where nothing is exported: the id is in the log and in the
//! details of INTERNAL. A span is made only where it may be exported, for it is entered and left
//! each time the call is polled.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::HeaderMap;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    Config, IdGenerator as _, RandomIdGenerator, SamplingDecision, SamplingResult,
    SdkTracerProvider, ShouldSample, SpanData, SpanExporter,
};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

/// Where traces go, of all signals and of traces alone.
const COLLECTOR_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// How long the end of the process waits for a collector that takes the last spans.
const LAST_SPANS_MAX: Duration = Duration::from_secs(2);
/// Bytes of a `tracestate` that are taken over; a longer one is left out. The standard asks for so
/// many.
const TRACESTATE_BYTES_MAX: usize = 512;
/// Length of a `traceparent` of version 00.
const TRACEPARENT_BYTES: usize = 55;
/// The name of the instrumentation scope.
pub const SCOPE: &str = "belay";
/// The target of spans, which are there only where they are exported.
pub(crate) const SPANS: &str = "belay::spans";

/// The span of a call, where traces are exported, and its ids and what is known of it, always.
#[derive(Debug, Clone)]
pub(crate) struct CallSpan {
    span: Span,
    context: Context,
}

impl CallSpan {
    /// `parent` is the caller's span, with what the call carries.
    pub(crate) fn begin(span: Span, parent: Context) -> Self {
        let context = match span.set_parent(parent.clone()) {
            Ok(()) => span.context(),
            // Nothing is exported.
            Err(_) => with_trace_id(&parent),
        };
        Self { span, context }
    }

    /// Of the call that is being worked for.
    pub(crate) fn current() -> Self {
        Self {
            span: Span::current(),
            context: Context::current(),
        }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(|| {
            let _attached = self.context.clone().attach();
            work()
        })
    }

    pub(crate) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        work.with_context(self.context.clone())
            .instrument(self.span.clone())
    }

    fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }
}

/// In the caller's trace, or in one that begins here.
fn with_trace_id(parent: &Context) -> Context {
    let caller = parent.span().span_context().trace_id();
    let trace_id = match caller {
        TraceId::INVALID => RandomIdGenerator::default().new_trace_id(),
        caller => caller,
    };
    let (flags, state) = (TraceFlags::NOT_SAMPLED, TraceState::NONE);
    let id = SpanContext::new(trace_id, SpanId::INVALID, flags, false, state);
    parent.with_remote_span_context(id)
}

/// A span within the one that is being worked in; none where that is not kept.
pub(crate) fn within(span: impl FnOnce() -> Span) -> Span {
    let is_kept = Context::map_current(|context| context.span().is_recording());
    if is_kept { span() } else { Span::none() }
}

/// Links a span of work that is done for many calls at once with theirs, both ways. It has a trace
/// of its own, and is kept where one of theirs is.
pub(crate) fn link<'s>(batch: &Span, calls: impl Iterator<Item = &'s CallSpan> + Clone) {
    if batch.is_disabled() {
        return;
    }
    for call in calls.clone() {
        batch.add_link(call.span_context());
    }
    // With this it begins: the sampler has seen its links.
    let batch = batch.context();
    let batch = batch.span();
    if batch.is_recording() {
        for call in calls {
            call.span.add_link(batch.span_context().clone());
        }
    }
}

/// A count as an attribute, of which numbers have a sign.
pub(crate) fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// The trace that is being worked in, if there is one.
pub(crate) fn current_trace_id() -> Option<TraceId> {
    let trace_id = Context::map_current(|context| context.span().span_context().trace_id());
    (trace_id != TraceId::INVALID).then_some(trace_id)
}

/// The span that a caller says it is in.
pub(crate) fn parent_of(headers: &HeaderMap) -> Context {
    const TRACEPARENT: &str = "traceparent";
    const TRACESTATE: &str = "tracestate";
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return Context::new();
    };
    // The library reads shorter ids as numbers, and takes what is behind the end of version 00.
    let Some(parent) = parent
        .to_str()
        .ok()
        .filter(|parent| parent.len() == TRACEPARENT_BYTES || !parent.starts_with("00"))
    else {
        return Context::new();
    };
    let states = headers.get_all(TRACESTATE).iter();
    let states: Vec<&str> = states.filter_map(|state| state.to_str().ok()).collect();
    let carrier = HeaderExtractor {
        parent,
        state: Some(states.join(","))
            .filter(|state| !state.is_empty() && state.len() <= TRACESTATE_BYTES_MAX),
    };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

struct HeaderExtractor<'a> {
    parent: &'a str,
    state: Option<String>,
}

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// A sampler: what is linked is kept where one of those it is linked to is; all else by the
/// standard variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
#[derive(Debug, Clone)]
struct FollowLinks {
    configured: Box<dyn ShouldSample>,
}

impl FollowLinks {
    fn configured() -> Self {
        Self {
            configured: Config::default().sampler,
        }
    }
}

impl ShouldSample for FollowLinks {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.is_empty() {
            return self
                .configured
                .should_sample(parent, trace_id, name, kind, attributes, links);
        }
        SamplingResult {
            decision: if links.iter().any(|link| link.span_context.is_sampled()) {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

/// Whether this process is to export traces.
pub(super) fn is_collector_named() -> bool {
    let is_set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let is_off =
        std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    !is_off && COLLECTOR_VARIABLES.into_iter().any(is_set)
}

/// The provider that makes OpenTelemetry's spans of those of `tracing`, where they are exported.
#[derive(Debug)]
pub(super) struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// There are no spans.
    pub(super) fn local() -> Self {
        Self { provider: None }
    }

    /// Sends spans to a collector, in batches and from a thread of its own. Endpoint, service name,
    /// sampler, limits and resource come from the standard `OTEL_*` variables.
    pub(super) fn exporting() -> anyhow::Result<Self> {
        let exporter = OtlpExporter::builder()
            .with_tonic()
            .build()
            .context("the exporter of traces")?;
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder().build(),
            None => Resource::builder().with_service_name("belay").build(),
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(FollowLinks::configured())
            .with_batch_exporter(ReportingExporter::new(exporter))
            .with_resource(resource)
            .build();
        Ok(Self {
            provider: Some(provider),
        })
    }

    /// Takes spans of ours and nothing else. Lines of the log stay there, where the trace id is
    /// beside them: the database's words about an error are not for a collector.
    pub(super) fn layer(&self) -> Option<impl Layer<Registry> + Send + Sync + use<>> {
        self.provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(SCOPE))
                // Nothing is told of a span but what it says itself.
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_level(false)
                .with_tracked_inactivity(false)
                .with_filter(Targets::new().with_target(SPANS, LevelFilter::INFO))
        })
    }

    /// Sends what is left, as long as the collector takes it.
    pub(super) fn stop(&self) {
        let stopped = self
            .provider
            .as_ref()
            .map(|provider| provider.shutdown_with_timeout(LAST_SPANS_MAX));
        if let Some(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// An exporter that says once that the collector takes nothing, and once that it takes traces
/// again.
#[derive(Debug)]
struct ReportingExporter<E> {
    exporter: E,
    fails: AtomicBool,
}

impl<E> ReportingExporter<E> {
    fn new(exporter: E) -> Self {
        Self {
            exporter,
            fails: AtomicBool::new(false),
        }
    }

    fn tell(&self, outcome: &Result<(), OTelSdkError>) {
        let fails = outcome.is_err();
        if self.fails.swap(fails, Ordering::Relaxed) == fails {
            return;
        }
        match outcome {
            Ok(()) => tracing::info!("the collector takes traces again"),
            Err(error) => tracing::warn!(
                %error,
                "the collector takes no traces; they are dropped until it does"
            ),
        }
    }
}

impl<E: SpanExporter> SpanExporter for ReportingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        self.tell(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use opentelemetry_sdk::trace::Sampler;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent(headers: &[(&'static str, &str)]) -> Context {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        parent_of(&map)
    }

    #[test]
    fn a_caller_is_followed_into_its_trace() {
        let context = parent(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]);
        let span = context.span().span_context().clone();
        assert!(span.is_remote() && span.is_sampled());
        assert_eq!(
            span.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(span.trace_state().header(), "a=1,b=2");
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        for wrong in [
            "",
            "00",
            "00-1-2-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let context = parent(&[("traceparent", wrong)]);
            assert!(!context.span().span_context().is_valid(), "{wrong:?}");
        }
        let twice = parent(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert!(!twice.span().span_context().is_valid());
        let long = format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX));
        let context = parent(&[("traceparent", PARENT), ("tracestate", &long)]);
        assert_eq!(context.span().span_context().trace_state().header(), "");
    }

    fn with_layer<T>(provider: SdkTracerProvider, work: impl FnOnce() -> T) -> T {
        let traces = Traces {
            provider: Some(provider),
        };
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, work)
    }

    fn provider(sampler: impl ShouldSample + 'static) -> SdkTracerProvider {
        SdkTracerProvider::builder().with_sampler(sampler).build()
    }

    fn call(parent: Context) -> CallSpan {
        let span = tracing::info_span!(target: SPANS, parent: None, "call");
        CallSpan::begin(span, parent)
    }

    #[test]
    fn a_call_that_is_not_kept_has_an_id_all_the_same() {
        let ids = || {
            let root = call(Context::new());
            let id = root.span_context().trace_id();
            assert!(id != TraceId::INVALID && !root.span_context().is_sampled());
            assert_ne!(call(Context::new()).span_context().trace_id(), id);
            root.in_scope(|| {
                assert_eq!(current_trace_id(), Some(id));
                assert_eq!(CallSpan::current().span_context().trace_id(), id);
                assert!(within(|| unreachable!("nobody keeps it")).is_none());
            });
            assert_eq!(current_trace_id(), None);
            let polled = root.run(async { current_trace_id() });
            assert_eq!(polled.now_or_never(), Some(Some(id)));
            // Of a caller that is followed, the caller's.
            let caller = parent(&[("traceparent", PARENT)]);
            call(caller.clone()).in_scope(|| {
                let caller = caller.span().span_context().trace_id();
                assert_eq!(current_trace_id(), Some(caller));
            });
        };
        with_layer(provider(Sampler::AlwaysOff), ids);
        let nothing_exported = tracing_subscriber::registry().with(Traces::local().layer());
        tracing::subscriber::with_default(nothing_exported, ids);
    }

    #[test]
    fn a_batch_is_kept_where_one_of_its_calls_is() {
        with_layer(provider(FollowLinks::configured()), || {
            let dropped = call(parent(&[("traceparent", &PARENT.replace("-01", "-00"))]));
            let kept = call(parent(&[("traceparent", PARENT)]));
            let is_kept = |calls: &[&CallSpan]| {
                let batch = tracing::info_span!(target: SPANS, parent: None, "batch");
                link(&batch, calls.iter().copied());
                batch.context().span().is_recording()
            };
            assert!(is_kept(&[&dropped, &kept]));
            assert!(!is_kept(&[&dropped]));
            assert!(is_kept(&[]), "by the standard variables alone");
        });
    }
}
