//! The methods of the server by their paths. A test keeps them the same as the RPCs of the protos.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use belay_domain::scope::Caller;
use belay_proto::rpc::{Rpc, StreamRpc};
use belay_proto::testing::v1 as testing;
use belay_wire::freshness::{Freshness, READ_ANYWHERE, READ_FROM, STALENESS, WRITE_POSITION};
use belay_wire::parse::{self, CommandRequest, Parsed, Reader};
use belay_wire::status::{CallError, MESSAGE_BYTES_MAX};
use belay_wire::values::time;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use futures_util::{FutureExt as _, TryStreamExt as _};
use prost::Message;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tower::service_fn;

use crate::call::{Answer, Call};
use crate::codec::AnswerCodec;
use crate::faults::Fault;
use crate::server::{Shared, status};
use crate::{bulk, decisions, events, orders, quality, reference, simulation, stock};

/// A call on its way to its method.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
    pub(crate) freshness: Freshness,
    pub(crate) request: http::Request<Body>,
    pub(crate) fault: Option<Fault>,
}

type Answered = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;
type Method = Box<dyn Fn(Incoming) -> Answered + Send + Sync>;

/// The maker of the messages of a stream that has begun.
type GoOn<S, M> = fn(Arc<Shared>, S, Option<Fault>) -> Messages<M>;

/// What a call may be at most: more is refused by size, and not cut off.
const DECODED_BYTES_MAX: usize = 64 * MESSAGE_BYTES_MAX;

#[derive(Default)]
pub(crate) struct Methods(HashMap<&'static str, Method>);

impl std::fmt::Debug for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn checked<M: Message>(request: Request<M>) -> Result<M, Status> {
    let message = request.into_inner();
    if message.encoded_len() > MESSAGE_BYTES_MAX {
        return Err(status(CallError::MESSAGE_TOO_LARGE));
    }
    Ok(message)
}

/// With what a server says beside its answers of positions and of where they were read: here all is
/// read where it is written.
fn respond<R: Rpc>(
    message: Vec<u8>,
    written: Option<String>,
    freshness: &Freshness,
) -> Response<Vec<u8>> {
    let mut response = Response::new(message);
    let headers = response.metadata_mut();
    if let Some(Ok(position)) = written.map(MetadataValue::try_from) {
        headers.insert(WRITE_POSITION, position);
    }
    if freshness.max_staleness.is_some() && READ_ANYWHERE.contains(&R::PATH) {
        headers.insert(READ_FROM, MetadataValue::from_static("primary"));
        headers.insert(STALENESS, MetadataValue::from_static("0ms"));
    }
    response
}

impl Methods {
    pub(crate) fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }

    /// A method that answers with one message.
    fn unary<R: Rpc + Default>(&mut self, method: fn(&mut Call<'_>, R) -> Answer<R::Response>) {
        self.add(move |call, request: R| Ok(method(call, request)?.encode_to_vec()));
    }

    /// A method that is a command and no more.
    fn command<R: Rpc + Default>(&mut self, parse: fn(R, &Reader<'_>) -> Parsed<CommandRequest>) {
        self.add(move |call, request: R| {
            let command = parse(request, &call.reader())?;
            call.command(command)
        });
    }

    fn add<R: Rpc + Default>(
        &mut self,
        method: impl Fn(&mut Call<'_>, R) -> Answer<Vec<u8>> + Clone + Send + Sync + 'static,
    ) {
        let run = move |incoming: Incoming| -> Answered {
            let Incoming {
                shared,
                caller,
                freshness,
                request,
                fault,
            } = incoming;
            let method = method.clone();
            let service = service_fn(move |request: Request<R>| {
                let is_stale = fault == Some(Fault::StaleRead);
                let answer = checked(request).and_then(|message| {
                    shared.call(caller.clone(), is_stale, |call| method(call, message))
                });
                let answer = answer.map(|(message, written)| {
                    let written = written.map(|written| shared.positions.seal(written));
                    respond::<R>(message, written, &freshness)
                });
                std::future::ready(answer)
            });
            Box::pin(async move {
                let codec = AnswerCodec::<R>::default();
                let mut grpc = Grpc::new(codec).max_decoding_message_size(DECODED_BYTES_MAX);
                grpc.unary(service, request).await
            })
        };
        self.0.insert(R::PATH, Box::new(run));
    }

    /// A method whose answer is a stream. `begin` runs at once, `go_on` makes the messages.
    fn stream<R: StreamRpc + Default, S: 'static>(
        &mut self,
        begin: fn(&mut Call<'_>, R, watch::Receiver<()>) -> Answer<S>,
        go_on: GoOn<S, R::Response>,
    ) {
        let run = move |incoming: Incoming| -> Answered {
            let Incoming {
                shared,
                caller,
                freshness: _,
                request,
                fault,
            } = incoming;
            let service = service_fn(move |request: Request<R>| {
                let begun = checked(request).and_then(|message| {
                    let moved = shared.moved.subscribe();
                    shared.call(caller.clone(), false, |call| begin(call, message, moved))
                });
                let messages = begun.map(|(begun, _)| {
                    let messages = broken(go_on(shared.clone(), begun, fault), fault);
                    Response::new(messages.map_ok(|message| message.encode_to_vec()))
                });
                std::future::ready(messages)
            });
            Box::pin(async move {
                let codec = AnswerCodec::<R>::default();
                let mut grpc = Grpc::new(codec).max_decoding_message_size(DECODED_BYTES_MAX);
                grpc.server_streaming(service, request).await
            })
        };
        self.0.insert(R::PATH, Box::new(run));
    }

    /// All of them.
    #[expect(clippy::too_many_lines, reason = "a table: a row for each method")]
    pub(crate) fn all() -> Self {
        use parse::{cancellations, fulfillment, refunds};

        let mut all = Self::default();
        all.command(parse::orders::create_order);
        all.unary(orders::get_order);
        all.unary(orders::list_orders);
        all.unary(orders::find_orders);
        all.unary(orders::summarize_orders);
        all.command(parse::orders::record_payment);
        all.unary(orders::list_order_history);
        all.command(parse::orders::update_order_metadata);
        all.command(parse::orders::add_note);

        all.unary(orders::preview_cancellation);
        all.unary(orders::list_reasons);
        all.command(cancellations::request_cancellation);
        all.unary(orders::get_cancellation);
        all.unary(orders::list_cancellations);
        all.command(cancellations::approve_cancellation);
        all.command(cancellations::reject_cancellation);
        all.command(cancellations::withdraw_cancellation);
        all.unary(orders::list_incidents);
        all.command(cancellations::resolve_incident);
        all.unary(orders::summarize_actions);
        all.command(cancellations::update_cancellation_metadata);

        all.unary(orders::get_shipment);
        all.unary(orders::list_shipments);
        all.command(fulfillment::start_preparation);
        all.command(fulfillment::mark_ready);
        all.command(fulfillment::dispatch_shipment);
        all.command(fulfillment::record_tracking);
        all.command(fulfillment::hold_shipment);
        all.command(fulfillment::release_hold);
        all.command(fulfillment::split_shipment);
        all.command(fulfillment::answer_stop);
        all.command(fulfillment::answer_intercept);
        all.command(fulfillment::receive_parcel);

        all.unary(orders::get_refund);
        all.unary(orders::list_refunds);
        all.unary(orders::claim_refunds);
        all.command(refunds::record_refund_result);

        all.unary(reference::create_store);
        all.unary(reference::get_store);
        all.unary(reference::list_stores);
        all.unary(reference::update_store);
        all.unary(reference::put_carrier);
        all.unary(reference::list_carriers);
        all.unary(reference::put_warehouse);
        all.unary(reference::list_warehouses);

        all.unary(reference::list_presets);
        all.unary(reference::create_policy);
        all.unary(reference::get_policy);
        all.unary(reference::list_policies);
        all.unary(decisions::list_decisions);
        all.unary(reference::activate_policy);
        all.stream(
            |call, request, _| simulation::simulate_policy(call, request),
            |_, messages, _| stream::iter(messages.into_iter().map(Ok)).boxed(),
        );

        all.stream(events::watch_events, |shared, watch, fault| {
            let repeats = if fault == Some(Fault::DuplicateEvents) {
                2
            } else {
                1
            };
            let messages = stream::unfold((shared, watch), async |(shared, mut watch)| {
                let message = watch.next(&shared).await?;
                Some((message, (shared, watch)))
            });
            let messages = messages.flat_map(move |message| {
                let repeats = if message.events.is_empty() {
                    1
                } else {
                    repeats
                };
                stream::iter(std::iter::repeat_n(Ok(message), repeats))
            });
            messages.boxed()
        });
        all.unary(events::list_events);
        all.unary(events::commit_position);
        all.unary(events::delete_consumer);
        all.unary(events::get_consumer);
        all.unary(events::list_consumers);

        all.unary(stock::set_stock);
        all.unary(stock::archive_sku);
        all.unary(stock::get_stock);
        all.unary(stock::list_stock);
        all.unary(stock::list_stock_entries);
        all.unary(stock::list_stock_holders);

        all.unary(quality::get_seller_quality);
        all.unary(quality::list_counted_cancellations);
        all.unary(quality::list_threshold_crossings);

        all.unary(bulk::start_bulk_cancellation);
        all.unary(bulk::get_bulk_cancellation);
        all.unary(bulk::list_bulk_cancellations);
        all.stream(bulk::watch_bulk_cancellation, |shared, watch, _| {
            let messages = stream::unfold((shared, watch), async |(shared, mut watch)| {
                let message = watch.next(&shared).await?;
                Some((Ok(message), (shared, watch)))
            });
            messages.boxed()
        });
        all.unary(bulk::list_bulk_results);
        all.unary(bulk::stop_bulk_cancellation);

        all.unary(get_time);
        all.unary(advance_time);
        all
    }
}

type Messages<M> = BoxStream<'static, Result<M, Status>>;

/// The same stream, which perhaps breaks.
fn broken<M: Send + 'static>(messages: Messages<M>, fault: Option<Fault>) -> Messages<M> {
    let Some(Fault::BrokenStream { after }) = fault else {
        return messages;
    };
    let broken = stream::unfold((messages, 0), move |(mut messages, sent)| async move {
        if sent > after {
            return None;
        }
        if sent == after {
            // What has ended by then has nothing to break.
            let has_ended = matches!(messages.next().now_or_never(), Some(None));
            let end = Err(Status::unavailable("the connection broke"));
            return (!has_ended).then_some((end, (messages, sent + 1)));
        }
        let message = messages.next().await?;
        Some((message, (messages, sent + 1)))
    });
    broken.boxed()
}

fn get_time(call: &mut Call<'_>, _: testing::GetTimeRequest) -> Answer<testing::GetTimeResponse> {
    let time = Some(time(call.now));
    Ok(testing::GetTimeResponse { time })
}

fn advance_time(
    call: &mut Call<'_>,
    request: testing::AdvanceTimeRequest,
) -> Answer<testing::AdvanceTimeResponse> {
    let by = parse::clock::advance_time(request, &call.reader())?;
    call.world.advance(by.unsigned_abs())?;
    let time = Some(time(call.world.now()));
    Ok(testing::AdvanceTimeResponse { time })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belay_proto::v1 as pb;

    use super::*;

    #[test]
    fn every_rpc_has_a_method() {
        let all = Methods::all();
        let methods: BTreeSet<&str> = all.0.keys().copied().collect();
        let rpcs = pb::RPCS.iter().chain(testing::RPCS);
        let rpcs: BTreeSet<&str> = rpcs.map(|rpc| rpc.path).collect();
        assert_eq!(methods, rpcs);
    }
}
