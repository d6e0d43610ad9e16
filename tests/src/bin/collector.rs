//! A collector of traces, for tests: takes them as any collector does, by OTLP over gRPC, and
//! prints each span as one line of JSON.

#![allow(clippy::print_stdout, reason = "what it receives is what it prints")]

use std::fmt::Write as _;
use std::io::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

struct Printer;

#[tonic::async_trait]
impl TraceService for Printer {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut out = std::io::stdout().lock();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes);
            let attributes = of_attributes(attributes.unwrap_or_default());
            for scope in resource.scope_spans {
                let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
                for span in scope.spans {
                    let line = of_span(span, &name, &attributes);
                    writeln!(out, "{line}").map_err(|error| Status::internal(error.to_string()))?;
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn of_span(span: Span, scope: &str, resource: &Value) -> Value {
    let links = span
        .links
        .iter()
        .map(|link| json!({"trace_id": hex(&link.trace_id), "span_id": hex(&link.span_id)}));
    let links: Vec<Value> = links.collect();
    let kind = span.kind().as_str_name();
    let status = span.status.unwrap_or_default();
    json!({
        "resource": resource,
        "scope": scope,
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "parent_span_id": hex(&span.parent_span_id),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": kind,
        "attributes": of_attributes(span.attributes),
        "links": links,
        "status": {"code": status.code, "message": status.message},
        "dropped": span.dropped_attributes_count + span.dropped_links_count,
    })
}

fn of_attributes(attributes: Vec<KeyValue>) -> Value {
    let values = attributes
        .into_iter()
        .map(|attribute| (attribute.key, attribute.value.map_or(Value::Null, of_value)));
    Value::Object(values.collect::<Map<String, Value>>())
}

fn of_value(value: AnyValue) -> Value {
    match value.value {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(truth)) => json!(truth),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        other => json!(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Printer))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}
