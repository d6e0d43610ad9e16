#!/usr/bin/env bash
# W3C Trace Context lets `tracestate` come as several header lines, which a receiver joins as one list; a proxy that
# adds its own entry may well add a line. OpenTelemetry for Rust reads it by `Extractor::get`, and the extractor that
# its own crate opentelemetry-http has for header maps gives the first line alone: the entries of every further line
# are gone, from the span and from all that is called onwards. OpenTelemetry for Python and for JavaScript join the
# lines. Those are hit whose tracing vendor finds its place in a trace by its entry behind a second line. An extractor
# of one's own that joins the lines before it answers `get` is the way out.
#
# Seen with opentelemetry, opentelemetry_sdk and opentelemetry-http 0.33.1 (Rust), opentelemetry-api 1.45.2 (Python),
# @opentelemetry/core 3.1.1 (JavaScript). Needs cargo, python3, node.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

mkdir -p rust/src
cat >rust/Cargo.toml <<'TOML'
[package]
name = "lines"
version = "0.0.0"
edition = "2024"
[dependencies]
http = "1"
opentelemetry = "=0.33.1"
opentelemetry_sdk = "=0.33.1"
opentelemetry-http = { version = "=0.33.1", default-features = false }
[workspace]
TOML
cat >rust/src/main.rs <<'RS'
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;

fn main() {
    let mut headers = http::HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.append("traceparent", parent.parse().unwrap());
    headers.append("tracestate", "first=1".parse().unwrap());
    headers.append("tracestate", "second=2".parse().unwrap());
    let extractor = opentelemetry_http::HeaderExtractor(&headers);
    let propagator = opentelemetry_sdk::propagation::TraceContextPropagator::new();
    let context = propagator.extract(&extractor);
    println!("{}", context.span().span_context().trace_state().header());
}
RS
CARGO_TARGET_DIR="$tmp/target" cargo run --quiet --manifest-path rust/Cargo.toml >rust.txt

python3 -m venv venv
venv/bin/pip install -q opentelemetry-api==1.45.2
cat >lines.py <<'PY'
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
headers = {"traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
           "tracestate": ["first=1", "second=2"]}
context = TraceContextTextMapPropagator().extract(headers)
print(get_current_span(context).get_span_context().trace_state.to_header())
PY
venv/bin/python lines.py >python.txt

npm install --silent --no-fund --no-audit --prefix . @opentelemetry/core@3.1.1 @opentelemetry/api@1.10.0
cat >lines.mjs <<'JS'
import { ROOT_CONTEXT, defaultTextMapGetter, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: ['first=1', 'second=2'] }
const context = new W3CTraceContextPropagator().extract(ROOT_CONTEXT, headers, defaultTextMapGetter)
console.log(trace.getSpanContext(context).traceState.serialize())
JS
node lines.mjs >node.txt

echo "expected: first=1,second=2"
for seen in rust python node; do echo "$seen: $(cat $seen.txt)"; done
[ "$(cat rust.txt)" = "first=1" ]
[ "$(cat python.txt)" = "first=1,second=2" ]
[ "$(cat node.txt)" = "first=1,second=2" ]
