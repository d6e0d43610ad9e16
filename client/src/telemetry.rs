//! What calls tell of themselves, for whoever listens: a span of `tracing` for each call, with an event for
//! each attempt; and with the feature `otel` the call's trace in its headers, and a histogram.
//!
//! Spans and events name methods, codes and reasons. They hold nothing of requests but their ids, and
//! no header.

use tonic::metadata::MetadataMap;
use tracing::{Span, field};

use crate::error::Error;
use crate::ids::RequestId;

/// One call, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct CallSpan {
    span: Span,
    #[cfg(feature = "otel")]
    measured: otel::Measured,
}

impl CallSpan {
    /// `path` is that of the RPC.
    pub(crate) fn begin(path: &'static str, address: &str, request_id: Option<RequestId>) -> Self {
        let method = path.trim_start_matches('/');
        let span = tracing::info_span!(
            target: "belay_client",
            "call",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            server.address = address,
            rpc.response.status_code = field::Empty,
            error.type = field::Empty,
            belay.request.id = request_id.map(field::display),
        );
        Self {
            span,
            #[cfg(feature = "otel")]
            measured: otel::Measured::begin(method, address),
        }
    }

    /// Says in the headers which trace the call belongs to.
    #[cfg_attr(
        not(feature = "otel"),
        expect(clippy::unused_self, reason = "only with `otel`")
    )]
    pub(crate) fn write(&self, headers: &mut MetadataMap) {
        #[cfg(feature = "otel")]
        otel::write(&self.span, headers);
        #[cfg(not(feature = "otel"))]
        let _ = headers;
    }

    /// An attempt has ended; the first is 1.
    pub(crate) fn attempt_ended(&self, attempt: u32, outcome: Result<(), &Error>) {
        let (code, reason) = told(outcome);
        tracing::debug!(
            target: "belay_client",
            parent: &self.span,
            attempt,
            rpc.response.status_code = code,
            error.type = reason,
            "an attempt ended"
        );
    }

    /// The call has ended.
    pub(crate) fn end(self, outcome: Result<(), &Error>) {
        let (code, reason) = told(outcome);
        self.span.record("rpc.response.status_code", code);
        if let Some(reason) = reason {
            self.span.record("error.type", reason);
            self.span.record("otel.status_code", "ERROR");
        }
        #[cfg(feature = "otel")]
        self.measured.end(code, reason);
    }
}

/// The gRPC code of an outcome and, of a failure, Belay's reason or else the code again.
fn told(outcome: Result<(), &Error>) -> (&'static str, Option<&str>) {
    match outcome {
        Ok(()) => ("OK", None),
        Err(error) => {
            let code = error.code_name();
            (
                code,
                Some(error.reason().map_or(code, |reason| reason.as_str())),
            )
        }
    }
}

#[cfg(feature = "otel")]
mod otel {
    use std::sync::LazyLock;
    use std::time::Instant;

    use opentelemetry::metrics::Histogram;
    use opentelemetry::propagation::Injector;
    use opentelemetry::{KeyValue, global};
    use tonic::metadata::{AsciiMetadataKey, MetadataMap};
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    /// OpenTelemetry's own instrument and buckets for the duration of client calls.
    static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
        global::meter("belay-client")
            .f64_histogram("rpc.client.call.duration")
            .with_unit("s")
            .with_description("How long calls took, their repeats included")
            .with_boundaries(vec![
                0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
            ])
            .build()
    });

    #[derive(Debug)]
    pub(super) struct Measured {
        method: &'static str,
        address: String,
        begun: Instant,
    }

    impl Measured {
        pub(super) fn begin(method: &'static str, address: &str) -> Self {
            Self {
                method,
                address: address.to_owned(),
                begun: Instant::now(),
            }
        }

        pub(super) fn end(self, code: &'static str, reason: Option<&str>) {
            let mut attributes = vec![
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", self.method),
                KeyValue::new("server.address", self.address),
                KeyValue::new("rpc.response.status_code", code),
            ];
            attributes.extend(reason.map(|reason| KeyValue::new("error.type", reason.to_owned())));
            DURATION.record(self.begun.elapsed().as_secs_f64(), &attributes);
        }
    }

    pub(super) fn write(span: &Span, headers: &mut MetadataMap) {
        let context = span.context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Headers(headers));
        });
    }

    struct Headers<'a>(&'a mut MetadataMap);

    impl Injector for Headers<'_> {
        /// What is no header is left out: a trace must not fail a call.
        fn set(&mut self, key: &str, value: String) {
            if let Ok(key) = key.parse::<AsciiMetadataKey>()
                && let Ok(value) = value.parse()
            {
                self.0.insert(key, value);
            }
        }
    }
}
