//! Spans: who begins them, which are kept, and where they go.
//!
//! Every call has a span and so a trace id, also where nothing is exported: the id is in the log
//! and in the details of INTERNAL. Spans that are not kept cost no more than their ids.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, TraceContextExt as _, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    Config, Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample,
    Span, SpanData, SpanExporter,
};

use super::Telemetry;

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

/// Begins spans. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Traces {
    tracer: SdkTracer,
}

impl Traces {
    /// Spans are ids and nothing else.
    pub fn local() -> Self {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOff)
            .build();
        Self {
            tracer: provider.tracer(SCOPE),
        }
    }

    /// Keeps every span and gives it to `exporter` when it ends. For tests.
    pub fn to(exporter: impl SpanExporter + 'static) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_sampler(FollowLinks::configured())
            .with_simple_exporter(exporter)
            .build();
        Self {
            tracer: provider.tracer(SCOPE),
        }
    }

    pub(crate) fn begin(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: &Context,
        attributes: Vec<KeyValue>,
    ) -> Span {
        let builder = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_attributes(attributes);
        self.tracer.build_with_context(builder, parent)
    }

    /// A span within the one of the context; nothing where that is not kept.
    pub(crate) fn begin_within(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: &Context,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Option<Span> {
        let is_kept = parent.span().is_recording();
        is_kept.then(|| self.begin(name, kind, parent, attributes()))
    }

    /// The context of work that is done for many calls at once. Its span has a trace of its own and
    /// is linked to theirs, as theirs are to it. It is kept where one of theirs is.
    pub(crate) fn begin_batch<'c>(
        &self,
        name: &'static str,
        calls: impl Iterator<Item = &'c Context> + Clone,
        attributes: Vec<KeyValue>,
    ) -> Context {
        let links = calls
            .clone()
            .map(|call| call.span().span_context().clone())
            .filter(|call| call.is_valid())
            .map(|call| Link::new(call, Vec::new(), 0))
            .collect();
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_attributes(attributes)
            .with_links(links);
        let batch =
            Context::new().with_span(self.tracer.build_with_context(builder, &Context::new()));
        let span = batch.span();
        if span.is_recording() {
            for call in calls {
                call.span()
                    .add_link(span.span_context().clone(), Vec::new());
            }
        }
        batch
    }
}

impl Telemetry {
    /// The trace of the call that is being worked for, if there is one.
    pub(crate) fn current_trace_id() -> Option<TraceId> {
        let trace_id = Context::map_current(|context| context.span().span_context().trace_id());
        (trace_id != TraceId::INVALID).then_some(trace_id)
    }
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
    let carrier = Carrier {
        parent,
        state: Some(states.join(","))
            .filter(|state| !state.is_empty() && state.len() <= TRACESTATE_BYTES_MAX),
    };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

struct Carrier<'a> {
    parent: &'a str,
    state: Option<String>,
}

impl Extractor for Carrier<'_> {
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

/// What is linked is kept where one of those it is linked to is; all else by the standard
/// variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
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

/// Sends spans to a collector, in batches and from a thread of its own.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

/// Endpoint, service name, sampler, limits and resource come from the standard `OTEL_*` variables.
pub(super) fn exporting() -> anyhow::Result<(Traces, Exporter)> {
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
        .with_batch_exporter(Told::new(exporter))
        .with_resource(resource)
        .build();
    let traces = Traces {
        tracer: provider.tracer(SCOPE),
    };
    Ok((traces, Exporter { provider }))
}

impl Exporter {
    /// Sends what is left, as long as the collector takes it.
    pub(super) fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_SPANS_MAX) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Says once that the collector takes nothing, and once that it takes traces again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    fails: AtomicBool,
}

impl<E> Told<E> {
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

impl<E: SpanExporter> SpanExporter for Told<E> {
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

    #[test]
    fn a_span_that_is_not_kept_has_an_id_all_the_same() {
        let traces = Traces::local();
        let root = traces.begin("a", SpanKind::Server, &Context::new(), Vec::new());
        let context = Context::new().with_span(root);
        let span = context.span().span_context().clone();
        assert!(span.is_valid() && !span.is_sampled());
        let none = traces.begin_within("b", SpanKind::Client, &context, || {
            unreachable!("nobody keeps it")
        });
        assert!(none.is_none());
        // Of a caller that is followed, the caller's.
        let context = parent(&[("traceparent", PARENT)]);
        let within = traces.begin("a", SpanKind::Server, &context, Vec::new());
        let within = Context::new().with_span(within);
        assert_eq!(
            within.span().span_context().trace_id(),
            context.span().span_context().trace_id()
        );
    }

    #[test]
    fn a_batch_is_kept_where_one_of_its_calls_is() {
        let (kept, dropped) = (Sampler::AlwaysOn, Sampler::AlwaysOff);
        let call = |sampler: Sampler| {
            let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
            let tracer = provider.tracer(SCOPE);
            Context::new().with_span(tracer.start_with_context("call", &Context::new()))
        };
        let (kept, dropped) = (call(kept), call(dropped));
        let provider = SdkTracerProvider::builder()
            .with_sampler(FollowLinks::configured())
            .build();
        let traces = Traces {
            tracer: provider.tracer(SCOPE),
        };
        let is_kept = |calls: &[&Context]| {
            let batch = traces.begin_batch("batch", calls.iter().copied(), Vec::new());
            batch.span().is_recording()
        };
        assert!(is_kept(&[&dropped, &kept]));
        assert!(!is_kept(&[&dropped]));
        assert!(is_kept(&[]), "by the standard variables alone");
    }
}
