//! One call as it is seen from outside: its span, its line in the log and its place in the metrics.
//! No payload is told, and of the caller no more than its role and id.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belay_domain::ids::{OrderId, StoreId};
use belay_domain::scope::Caller;
use belay_wire::status::CallOutcome;
use http::HeaderMap;
use opentelemetry::trace::{SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute;
use tokio::time::Instant;
use uuid::Uuid;

use super::Telemetry;
use super::audit::{AuditRecord, Personal};
use super::traces::{CallSpan, SPANS, parent_of};

/// Of one read that is logged, so many successful ones are not, where nothing else is said.
pub const LOG_READS_DEFAULT: u32 = 1_000;
/// The most that can be said.
pub const LOG_READS_MAX: u32 = 1_000_000;
/// What the convention calls a method that the server does not have: the names that callers make up
/// have no end.
const OTHER_METHOD: &str = "_OTHER";
/// Of the name of such a method, in its span.
const ORIGINAL_CHARACTERS_MAX: usize = 128;

/// The method that is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called {
    /// Such as `belay.v1.OrderService/GetOrder`.
    pub(crate) method: &'static str,
    pub(crate) is_read: bool,
    /// The call lasts as long as its answer.
    pub(crate) streams: bool,
    /// Of a read: the personal data that it gives out or looks for.
    pub(crate) personal: &'static [Personal],
}

/// The choice of the successful reads that have a line.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLines {
    one_of: u32,
    reads: Arc<AtomicU32>,
}

impl CallLines {
    pub(crate) fn new(one_of: u32) -> Self {
        Self {
            one_of,
            reads: Arc::default(),
        }
    }

    fn is_due(&self) -> bool {
        self.one_of > 0
            && self
                .reads
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(self.one_of)
    }
}

/// The subject that a call turned out to have, told by those who serve it. It is in the context of
/// the call's span, and not in fields of it: the line of the call tells it too.
#[derive(Debug, Default)]
struct CallSubject(Mutex<Subject>);

#[derive(Debug, Default)]
struct Subject {
    store: Option<StoreId>,
    order: Option<OrderId>,
    request_id: Option<Uuid>,
}

impl CallSubject {
    fn subject(&self) -> MutexGuard<'_, Subject> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the call that is being worked for; nothing where none is.
    fn tell(note: impl FnOnce(&mut Subject)) {
        Context::map_current(|context| {
            if let Some(named) = context.get::<CallSubject>() {
                note(&mut named.subject());
            }
        });
    }
}

/// The call that is being worked for is about this store.
pub(crate) fn about_store(store: &StoreId) {
    CallSubject::tell(|subject| subject.store = Some(store.clone()));
}

/// The call that is being worked for is about this order.
pub(crate) fn about_order(order: &OrderId) {
    CallSubject::tell(|subject| subject.order = Some(order.clone()));
}

/// The call that is being worked for is this write.
pub(crate) fn about_request(request_id: Uuid) {
    CallSubject::tell(|subject| subject.request_id = Some(request_id));
}

/// A call that has not ended. One that is dropped was cancelled.
#[derive(Debug)]
pub(crate) struct OpenCall {
    telemetry: Telemetry,
    called: Called,
    span: CallSpan,
    begun: Instant,
    caller: Option<Caller>,
    peer: Option<SocketAddr>,
    is_open: bool,
}

impl OpenCall {
    /// `called` is none where the server has no such method.
    pub(crate) fn begin(
        telemetry: &Telemetry,
        called: Option<Called>,
        path: &str,
        headers: &HeaderMap,
    ) -> Self {
        let original = called.is_none().then(|| {
            let name = path.trim_start_matches('/').chars();
            name.take(ORIGINAL_CHARACTERS_MAX).collect::<String>()
        });
        let called = called.unwrap_or(Called {
            method: OTHER_METHOD,
            is_read: false,
            streams: false,
            personal: &[],
        });
        let span = tracing::info_span!(
            target: SPANS,
            parent: None,
            "call",
            otel.name = called.method,
            otel.kind = "server",
            { attribute::RPC_SYSTEM_NAME } = "grpc",
            { attribute::RPC_METHOD } = called.method,
            { attribute::RPC_METHOD_ORIGINAL } = original,
        );
        Self {
            telemetry: telemetry.clone(),
            called,
            span: CallSpan::begin(span, parent_of(headers).with_value(CallSubject::default())),
            begun: Instant::now(),
            caller: None,
            peer: None,
            is_open: true,
        }
    }

    /// In which all is done that is done for the call.
    pub(crate) fn span(&self) -> &CallSpan {
        &self.span
    }

    pub(crate) fn streams(&self) -> bool {
        self.called.streams
    }

    pub(crate) fn is_from(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    /// The address that the connection is from, where the port tells it.
    pub(crate) fn came_from(&mut self, peer: Option<SocketAddr>) {
        self.peer = peer;
    }

    pub(crate) fn end(mut self, outcome: CallOutcome) {
        self.tell(outcome);
    }

    /// Puts on the span what its call has come to.
    fn describe(&self, span: &SpanRef<'_>, subject: &Subject, outcome: CallOutcome) {
        let text =
            |key: &'static str, value: Option<String>| value.map(|value| KeyValue::new(key, value));
        span.set_attribute(KeyValue::new(
            attribute::RPC_RESPONSE_STATUS_CODE,
            outcome.code,
        ));
        let caller = self.caller.as_ref().map(|caller| &caller.actor);
        let store = subject.store.as_ref().map(ToString::to_string);
        let order = subject.order.as_ref().map(ToString::to_string);
        let known = [
            text("belay.store_id", store),
            text("belay.order_id", order),
            text(
                "belay.request_id",
                subject.request_id.map(|id| id.to_string()),
            ),
            text("belay.role", caller.map(|caller| caller.role.to_string())),
            text("belay.actor", caller.map(|caller| caller.id.clone())),
            outcome
                .reason
                .map(|reason| KeyValue::new("belay.reason", reason)),
        ];
        span.set_attributes(known.into_iter().flatten());
        if outcome.is_server_fault {
            span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, outcome.code));
            span.set_status(Status::error(outcome.reason.unwrap_or(outcome.code)));
        }
    }

    fn tell(&mut self, outcome: CallOutcome) {
        self.is_open = false;
        let lasted = self.begun.elapsed();
        let metrics = &self.telemetry.metrics;
        metrics.call_ended(self.called.method, outcome, lasted);
        let context = self.span.context().clone();
        let subject = match context.get::<CallSubject>() {
            Some(named) => std::mem::take(&mut *named.subject()),
            None => Subject::default(),
        };
        let span = context.span();
        if span.is_recording() {
            self.describe(&span, &subject, outcome);
        }
        // Who still works for the call holds the span for longer.
        span.end();

        let Subject {
            store,
            order,
            request_id,
        } = subject;
        let is_good = outcome.code == CallOutcome::OK;
        let is_audited = !(self.called.is_read && is_good && self.called.personal.is_empty());
        if is_audited && self.telemetry.audit.is_on() {
            self.telemetry.audit.record(&AuditRecord {
                method: self.called.method,
                is_read: self.called.is_read,
                personal: self.called.personal,
                code: outcome.code,
                reason: outcome.reason,
                caller: self.caller.as_ref(),
                peer: self.peer,
                store: store.as_ref(),
                order: order.as_ref(),
                request_id,
                trace_id: span.span_context().trace_id().to_string(),
            });
        }
        let is_logged = outcome.code != CallOutcome::OK
            || !self.called.is_read
            || self.called.streams
            || self.telemetry.lines.is_due();
        if is_logged {
            let caller = self.caller.as_ref().map(|caller| &caller.actor);
            tracing::info!(
                target: "belay::calls",
                method = self.called.method,
                code = outcome.code,
                reason = outcome.reason,
                role = caller.map(|caller| display(caller.role)),
                actor = caller.map(|caller| caller.id.as_str()),
                store.id = store.map(display),
                order.id = order.map(display),
                request.id = request_id.map(display),
                ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
                trace.id = %span.span_context().trace_id(),
                "call"
            );
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.is_open {
            self.tell(CallOutcome::CANCELLED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_reads_is_due() {
        let due = |one_of: u32| {
            let lines = CallLines::new(one_of);
            (0..10).filter(|_| lines.is_due()).count()
        };
        assert_eq!([due(0), due(1), due(5), due(1_000)], [0, 10, 2, 1]);
    }
}
