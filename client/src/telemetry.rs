//! Telemetry of calls: a span of `tracing` for each call, with an event for
//! each attempt; and with the feature `otel` the call's trace in its headers, and a histogram.
//!
//! Spans and events name methods, codes and reasons. They hold nothing of requests but their ids,
//! and no header.

use tonic::metadata::MetadataMap;
use tracing::{Span, field};

use crate::error::Error;
use crate::ids::RequestId;

/// A server, as traces name it.
#[derive(Debug)]
pub(crate) struct Server {
    host: String,
    port: Option<u16>,
}

impl Server {
    /// Of an address; what is none is named as it is.
    pub(crate) fn of(address: &str) -> Self {
        let uri = address.parse::<http::Uri>().ok();
        let host = uri.as_ref().and_then(http::Uri::host);
        Self {
            host: host.unwrap_or(address).to_owned(),
            port: uri.as_ref().and_then(http::Uri::port_u16),
        }
    }
}

/// One call, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct CallSpan {
    span: Span,
    #[cfg(feature = "otel")]
    measured: otel::Measured,
}

impl CallSpan {
    /// `path` is that of the RPC.
    pub(crate) fn begin(
        path: &'static str,
        server: &Server,
        request_id: Option<RequestId>,
    ) -> Self {
        let method = path.trim_start_matches('/');
        let span = tracing::info_span!(
            target: "belay_client",
            "call",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            server.address = server.host,
            server.port = server.port,
            rpc.response.status_code = field::Empty,
            error.type = field::Empty,
            belay.request.id = request_id.map(field::display),
        );
        Self {
            span,
            #[cfg(feature = "otel")]
            measured: otel::Measured::begin(method, server),
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
        host: String,
        port: Option<u16>,
        begun: Instant,
    }

    impl Measured {
        pub(super) fn begin(method: &'static str, server: &super::Server) -> Self {
            Self {
                method,
                host: server.host.clone(),
                port: server.port,
                begun: Instant::now(),
            }
        }

        pub(super) fn end(self, code: &'static str, reason: Option<&str>) {
            let mut attributes = vec![
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", self.method),
                KeyValue::new("server.address", self.host),
                KeyValue::new("rpc.response.status_code", code),
            ];
            let port = self.port.map(i64::from);
            attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
            attributes.extend(reason.map(|reason| KeyValue::new("error.type", reason.to_owned())));
            DURATION.record(self.begun.elapsed().as_secs_f64(), &attributes);
        }
    }

    pub(super) fn write(span: &Span, headers: &mut MetadataMap) {
        // Where nobody listens to ours, the call belongs to the span around it.
        let context = if span.is_disabled() {
            Span::current().context()
        } else {
            span.context()
        };
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
