//! Orders, cancellations, shipments and refunds: what is read of them, and lists.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use belay_domain::actor::Role;
use belay_domain::cancellation::{Cancellation, CancellationState, Gate, GateState};
use belay_domain::commands::{self, Command, LeaseRefunds, Work};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::order::{Order, OrderState};
use belay_domain::query::{Counted, DecisionPlace, IDS_SEARCHED_MAX, OrdersSummary, SearchedBy};
use belay_domain::rejection::Rejection;
use belay_domain::scope::View;
use belay_domain::terms::GateKind;
use belay_proto::v1 as pb;
use belay_wire::auth::check_settings;
use belay_wire::batch::Answered;
use belay_wire::events::Selector;
use belay_wire::freshness::WritePosition;
use belay_wire::parse::cancellations::Actions;
use belay_wire::parse::decisions::HistoryPlace;
use belay_wire::parse::refunds::Claim;
use belay_wire::parse::{CommandRequest, Envelope, ListRequest};
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use belay_wire::{parse, render, values};
use jiff::Timestamp;
use prost::Message;

use crate::call::{Answer, Call, rejected};
use crate::filters::{Listed, Search, is_behind, matches, sorted_by};
use crate::world::{LogRow, new_id};

pub(crate) fn get_order(
    call: &mut Call<'_>,
    request: pb::GetOrderRequest,
) -> Answer<pb::GetOrderResponse> {
    let (store, id) = parse::orders::get_order(request, &call.reader())?;
    let read = call.order(&store, &id)?;
    Ok(pb::GetOrderResponse {
        order: Some(render::order(
            &call.viewer(&read.order),
            &read.order,
            &read.config,
            read.now,
        )),
    })
}

pub(crate) fn find_orders(
    call: &mut Call<'_>,
    request: pb::FindOrdersRequest,
) -> Answer<pb::FindOrdersResponse> {
    let ListRequest {
        store,
        filter: search,
        page,
    } = parse::orders::find_orders(request, &call.reader())?;
    let mut last_id = None;
    if let SearchedBy::IdPrefix(_) = &search.by {
        let orders = call.world.orders.values();
        let alike = orders.filter(|order| order.store == store && search.matches(order));
        let mut ids: Vec<&OrderId> = alike.map(|order| &order.id).collect();
        if ids.len() > IDS_SEARCHED_MAX.into() {
            ids.sort_unstable();
            last_id = Some(ids[usize::from(IDS_SEARCHED_MAX) - 1].clone());
        }
    }
    let ids_left_out = last_id.is_some();
    let filter = Search { search, last_id };
    let list = ListRequest {
        store,
        filter,
        page,
    };
    let now = call.now;
    let (orders, next_page_token) = call.list(&list, |viewer, order, _, config| {
        Some(render::order(viewer, order, config, now))
    })?;
    Ok(pb::FindOrdersResponse {
        orders,
        next_page_token,
        ids_left_out,
    })
}

pub(crate) fn list_order_history(
    call: &mut Call<'_>,
    request: pb::ListOrderHistoryRequest,
) -> Answer<pb::ListOrderHistoryResponse> {
    let list = parse::orders::list_order_history(request, &call.reader())?;
    let (id, page) = (&list.filter.order, &list.page);
    let place = if list.filter.with_rejected {
        parse::decisions::after_in_history(page)?
    } else {
        HistoryPlace {
            position: page.after()?,
            rejected: None,
        }
    };
    let after = place.position;
    call.order(&list.store, id)?;
    let key = OrderKey::of(&list.store, id);
    let selector = Selector::of_caller(&pb::EventFilter::default(), &call.caller);
    let position = |event: &pb::Event| event.position.unsigned_abs();
    let rows = call.world.log.iter().flatten();
    let events = rows.filter(|row| row.order == key).flat_map(LogRow::events);
    let behind = events.filter(|event| after.is_none_or(|after| position(event) > after));
    // Who sees an order sees what came of it, and who sees parcels what came of those.
    let seen = behind.filter(|event| selector.shows_whole() || selector.selects(event));
    let seen = seen.map(|event| selector.shown(event).into_owned());
    let found: Vec<pb::Event> = seen.take(page.limit().into()).collect();
    let (events, next_page_token) = if list.filter.with_rejected {
        let rejected = rejected_requests(call, id, key, place.rejected.as_ref());
        parse::decisions::cut_history(page, place, found, rejected)
    } else {
        page.cut(&found, |event| Some(event.clone()), position)
    };
    Ok(pb::ListOrderHistoryResponse {
        events,
        next_page_token,
    })
}

/// Requests that were rejected, behind a place among them, from the oldest on.
fn rejected_requests(
    call: &Call<'_>,
    id: &OrderId,
    key: OrderKey,
    after: Option<&DecisionPlace>,
) -> Vec<(DecisionPlace, pb::Event)> {
    let sorted_by =
        |place: &DecisionPlace| (place.time, place.key.request_id, place.key.caller.clone());
    let after = after.map(sorted_by);
    let of_order = call
        .world
        .decisions
        .iter()
        .filter(|decision| decision.key.order_key == key && !decision.accepted);
    let told = of_order.map(|decision| {
        let place = DecisionPlace {
            time: decision.decision_time,
            key: decision.key.clone(),
        };
        let stored = render::decision::DecisionRecord {
            order: id,
            lines: &[],
            key: &decision.key,
            decision_time: decision.decision_time,
            accepted: false,
            record: &decision.record,
        };
        let event = render::decision::rejected_request(&decision.store, &stored);
        (place, event)
    });
    let behind =
        told.filter(|(place, _)| after.as_ref().is_none_or(|after| sorted_by(place) > *after));
    let mut behind: Vec<(DecisionPlace, pb::Event)> = behind.collect();
    behind.sort_by_key(|(place, _)| sorted_by(place));
    behind
}

pub(crate) fn list_reasons(
    call: &mut Call<'_>,
    request: pb::ListReasonsRequest,
) -> Answer<pb::ListReasonsResponse> {
    let asked = parse::cancellations::list_reasons(request, &call.reader())?;
    let read = call.order(&asked.store, &asked.order)?;
    let (order, config) = (&read.order, &read.config);
    let context = Context {
        now: read.now,
        caller: &call.caller.actor,
        scope: &call.caller.scope,
        request_id: new_id(),
        store: config,
    };
    let listed = commands::list_reasons(order, &asked.request, &context)
        .map_err(|rejection| rejected(rejection, &asked.order))?;
    let (viewer, languages) = (call.viewer(order), &asked.languages);
    Ok(render::preview::reasons(
        &viewer, order, &listed, languages, read.now,
    ))
}

pub(crate) fn preview_cancellation(
    call: &mut Call<'_>,
    request: pb::PreviewCancellationRequest,
) -> Answer<pb::PreviewCancellationResponse> {
    let asked = parse::cancellations::preview_cancellation(request, &call.reader())?;
    let read = call.order(&asked.store, &asked.order)?;
    let (order, config) = (&read.order, &read.config);
    let now = asked.at_time.map_or(read.now, |at| at.max(read.now));
    let context = Context {
        now,
        caller: &call.caller.actor,
        scope: &call.caller.scope,
        request_id: new_id(),
        store: config,
    };
    let preview = commands::preview(order, &asked.request, &context)
        .map_err(|rejection| rejected(rejection, &asked.order))?;
    let (asked, key) = ((order, &asked.request), &call.world.identity_key);
    let viewer = call.viewer(order);
    let mut shown = render::preview::preview(&viewer, asked, &preview, config, now, key);
    let is_told = call.caller.actor.role == Role::Seller && call.sees(&order.seller);
    if preview.counted && is_told {
        call.world.project()?;
        let of = (&order.store, &order.seller);
        let measured = call.world.sellers.measure(config, of, now);
        shown.quality = measured.map(|measured| {
            render::quality::preview(&measured.quality, measured.rate, order, &shown)
        });
    }
    Ok(shown)
}

pub(crate) fn get_cancellation(
    call: &mut Call<'_>,
    request: pb::GetCancellationRequest,
) -> Answer<pb::GetCancellationResponse> {
    let of = parse::cancellations::get_cancellation(request, &call.reader())?;
    let read = call.order(&of.store, &of.order)?;
    let found = read.order.cancellation(of.number);
    let found = found.filter(|found| call.caller.sees_cancellation(&read.order, found));
    let Some(found) = found else {
        let absent = Rejection::CancellationNotFound {
            cancellation: of.number,
        };
        return Err(rejected(absent, &of.order));
    };
    Ok(pb::GetCancellationResponse {
        cancellation: Some(render::cancellation(
            &call.viewer(&read.order),
            &read.order,
            &read.config,
            found,
        )),
        order_etag: values::etag(read.order.version),
    })
}

pub(crate) fn get_shipment(
    call: &mut Call<'_>,
    request: pb::GetShipmentRequest,
) -> Answer<pb::GetShipmentResponse> {
    let of = parse::fulfillment::get_shipment(request, &call.reader())?;
    let read = call.order(&of.store, &of.order)?;
    let found = read.order.shipment(of.number);
    let found = found.filter(|shipment| call.caller.scope.sees_shipment(shipment));
    let Some(found) = found else {
        let absent = Rejection::ShipmentNotFound {
            shipment: of.number,
        };
        return Err(rejected(absent, &of.order));
    };
    Ok(pb::GetShipmentResponse {
        shipment: Some(render::shipment(
            &call.viewer(&read.order),
            &read.order,
            &read.config,
            found,
        )),
    })
}

pub(crate) fn get_refund(
    call: &mut Call<'_>,
    request: pb::GetRefundRequest,
) -> Answer<pb::GetRefundResponse> {
    let of = parse::refunds::get_refund(request, &call.reader())?;
    let order = call.order(&of.store, &of.order)?.order;
    let Some(refund) = order.refund(of.number) else {
        let absent = Rejection::RefundNotFound { refund: of.number };
        return Err(rejected(absent, &of.order));
    };
    Ok(pb::GetRefundResponse {
        refund: Some(render::refund(&order, refund)),
    })
}

pub(crate) fn claim_refunds(
    call: &mut Call<'_>,
    request: pb::ClaimRefundsRequest,
) -> Answer<pb::ClaimRefundsResponse> {
    let claim = parse::refunds::claim_refunds(request, &call.reader())?;
    call.config(&claim.store)?;
    let mut refunds = Vec::new();
    let mut failure = None;
    for (order, numbers) in call.claimable(&claim) {
        let lease = LeaseRefunds {
            refunds: numbers,
            worker: claim.worker.clone(),
            lease: claim.lease,
        };
        let leased = call.command(CommandRequest {
            store: claim.store.clone(),
            envelope: Envelope {
                order,
                request_id: None,
                expected_version: None,
                child: None,
            },
            work: Work::Decide(Command::LeaseRefunds(lease)),
        });
        let leased = leased.and_then(|answer| {
            let answer = pb::ClaimRefundsResponse::decode(answer.as_slice());
            answer
                .map_err(|error| CallError::Internal(format!("an answer cannot be read: {error}")))
        });
        match leased {
            Ok(answer) => refunds.extend(answer.refunds),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // It is about many orders, and not about the last.
    call.written = None;
    // What was leased must reach its worker, whatever became of the rest.
    if let Some(failure) = failure.filter(|_| refunds.is_empty()) {
        return Err(failure);
    }
    refunds.sort_by_key(|refund| refund.due_by.map(|due_by| (due_by.seconds, due_by.nanos)));
    Ok(pb::ClaimRefundsResponse { refunds })
}

impl Call<'_> {
    /// Has a command decided. The answer is the encoded message of the RPC.
    pub(crate) fn command(&mut self, command: CommandRequest) -> Answer<Vec<u8>> {
        let config = self.config(&command.store)?;
        check_settings(&config, self.caller.actor.role, &command.work)?;
        let order = OrderKey::of(&command.store, &command.envelope.order);
        let Answered { message, version } = self.world.decide(&self.caller, command)?;
        self.written = Some(WritePosition { order, version });
        Ok(message)
    }

    /// The store's orders that the caller sees.
    fn orders(&self, store: &StoreId) -> impl Iterator<Item = &Order> {
        let scope = &self.caller.scope;
        let of_store = self
            .world
            .orders
            .values()
            .filter(move |order| order.store == *store);
        of_store.filter(|order| scope.sees_order(order))
    }

    /// What may be claimed now, by order: of all, the most urgent.
    fn claimable(&self, claim: &Claim) -> Vec<(OrderId, Vec<u32>)> {
        let now = self.now;
        let mut found: Vec<(Timestamp, OrderKey, u32, &OrderId)> = Vec::new();
        for order in self.orders(&claim.store) {
            let claimable = order
                .refunds
                .iter()
                .filter(|refund| refund.is_claimable(now));
            found.extend(
                claimable.map(|refund| (refund.due_by, order.key(), refund.number, &order.id)),
            );
        }
        found.sort_unstable();
        found.truncate(claim.count_max.into());
        let mut by_order: BTreeMap<OrderKey, (OrderId, Vec<u32>)> = BTreeMap::new();
        for (_, key, number, id) in found {
            let entry = by_order
                .entry(key)
                .or_insert_with(|| (id.clone(), Vec::new()));
            entry.1.push(number);
        }
        by_order.into_values().collect()
    }

    /// A page of what orders hold, with the token for what follows.
    fn list<F: Listed, Entry: Message>(
        &self,
        list: &ListRequest<F>,
        render: impl Fn(&Viewer<'_>, &Order, u32, &StoreConfig) -> Option<Entry>,
    ) -> Answer<(Vec<Entry>, String)> {
        let config: Arc<StoreConfig> = self.config(&list.store)?;
        let after = list.page.after_place()?;
        let mut positions = Vec::new();
        let mut found: HashMap<OrderKey, Order> = HashMap::new();
        for order in self.orders(&list.store) {
            let before = positions.len();
            let matching = list.filter.positions(order).into_iter();
            positions.extend(
                matching.filter(|position| after.is_none_or(|after| is_behind(position, &after))),
            );
            if positions.len() > before {
                found.insert(order.key(), order.clone());
            }
        }
        positions.sort_by_key(|position| std::cmp::Reverse(sorted_by(position)));
        positions.truncate(list.page.limit().into());
        let render = |order: &Order, number| render(&self.viewer(order), order, number, &config);
        Ok(list.page.cut_positions(&positions, &found, render))
    }
}

pub(crate) fn list_orders(
    call: &mut Call<'_>,
    request: pb::ListOrdersRequest,
) -> Answer<pb::ListOrdersResponse> {
    let list = parse::orders::list_orders(request, &call.reader())?;
    let now = call.now;
    let (orders, next_page_token) = call.list(&list, |viewer, order, _, config| {
        Some(render::order(viewer, order, config, now))
    })?;
    Ok(pb::ListOrdersResponse {
        orders,
        next_page_token,
    })
}

pub(crate) fn list_shipments(
    call: &mut Call<'_>,
    request: pb::ListShipmentsRequest,
) -> Answer<pb::ListShipmentsResponse> {
    let list = parse::fulfillment::list_shipments(request, &call.reader())?;
    let (shipments, next_page_token) = call.list(&list, |viewer, order, number, config| {
        let found = order.shipment(number)?;
        Some(render::shipment(viewer, order, config, found))
    })?;
    Ok(pb::ListShipmentsResponse {
        shipments,
        next_page_token,
    })
}

pub(crate) fn list_cancellations(
    call: &mut Call<'_>,
    request: pb::ListCancellationsRequest,
) -> Answer<pb::ListCancellationsResponse> {
    let list = parse::cancellations::list_cancellations(request, &call.reader())?;
    let (cancellations, next_page_token) = call.list(&list, |viewer, order, number, config| {
        let found = order.cancellation(number)?;
        Some(render::cancellation(viewer, order, config, found))
    })?;
    Ok(pb::ListCancellationsResponse {
        cancellations,
        next_page_token,
    })
}

pub(crate) fn list_refunds(
    call: &mut Call<'_>,
    request: pb::ListRefundsRequest,
) -> Answer<pb::ListRefundsResponse> {
    let list = parse::refunds::list_refunds(request, &call.reader())?;
    let (refunds, next_page_token) = call.list(&list, |_, order, number, _| {
        Some(render::refund(order, order.refund(number)?))
    })?;
    Ok(pb::ListRefundsResponse {
        refunds,
        next_page_token,
    })
}

pub(crate) fn list_incidents(
    call: &mut Call<'_>,
    request: pb::ListIncidentsRequest,
) -> Answer<pb::ListIncidentsResponse> {
    let list = parse::cancellations::list_incidents(request, &call.reader())?;
    let (incidents, next_page_token) = call.list(&list, |viewer, order, number, _| {
        Some(render::incident(viewer, order, order.incident(number)?))
    })?;
    Ok(pb::ListIncidentsResponse {
        incidents,
        next_page_token,
    })
}

fn counted(found: usize) -> Counted {
    Counted::of(u32::try_from(found).unwrap_or(u32::MAX))
}

pub(crate) fn summarize_orders(
    call: &mut Call<'_>,
    request: pb::SummarizeOrdersRequest,
) -> Answer<pb::SummarizeOrdersResponse> {
    let summary: OrdersSummary = parse::orders::summarize_orders(request, &call.reader())?;
    call.config(&summary.store)?;
    let is_counted = |order: &&Order| {
        matches(summary.buyer.as_ref(), &order.buyer.id)
            && matches(summary.seller.as_ref(), &order.seller)
    };
    let orders: Vec<&Order> = call.orders(&summary.store).filter(is_counted).collect();
    let count = |state: &OrderState| {
        let in_state = orders.iter().filter(|order| order.state == *state);
        (*state, counted(in_state.count()))
    };
    let counts: Vec<(OrderState, Counted)> = OrderState::ALL.iter().map(count).collect();
    Ok(render::orders_summary(&counts))
}

pub(crate) fn summarize_actions(
    call: &mut Call<'_>,
    request: pb::SummarizeActionsRequest,
) -> Answer<pb::SummarizeActionsResponse> {
    let actions: Actions = parse::cancellations::summarize_actions(request, &call.reader())?;
    let summary = &actions.summary;
    call.config(&summary.store)?;
    let since = actions.since(call.now);
    let (mut awaiting, mut auto_approved) = (BTreeSet::new(), 0);
    let mut nearest_deadline: Option<Timestamp> = None;
    for order in call.orders(&summary.store) {
        if !matches(summary.seller.as_ref(), &order.seller) {
            continue;
        }
        for cancellation in &order.cancellations {
            for gate in awaiting_gates(&actions, order, cancellation) {
                awaiting.insert((order.key(), cancellation.number));
                let by = gate.respond_by;
                nearest_deadline = nearest_deadline.into_iter().chain(by).min();
            }
            if is_auto_approved(cancellation, since) {
                auto_approved += 1;
            }
        }
    }
    let auto_approved = if actions.counts_auto_approved() {
        counted(auto_approved)
    } else {
        Counted::default()
    };
    let requested = counted(awaiting.len());
    Ok(render::actions_summary(
        auto_approved,
        requested,
        nearest_deadline,
    ))
}

/// The open gates of a cancellation that wait for the party, for its parcels.
fn awaiting_gates<'a>(
    actions: &'a Actions,
    order: &'a Order,
    cancellation: &'a Cancellation,
) -> impl Iterator<Item = &'a Gate> {
    let summary = &actions.summary;
    let of_parcel = cancellation.parts.iter().filter(move |part| {
        order.shipment(part.shipment).is_some_and(|shipment| {
            (summary.view == View::Whole || summary.scope.sees_shipment(shipment))
                && matches(summary.warehouse.as_ref(), &shipment.warehouse)
                && matches(summary.carrier.as_ref(), &shipment.carrier)
        })
    });
    of_parcel
        .flat_map(|part| &part.gates)
        .filter(|gate| gate.state == GateState::Open && gate.spec.kind.party() == actions.party)
}

/// What a buyer asked for since then and got without the seller's consent.
fn is_auto_approved(cancellation: &Cancellation, since: Timestamp) -> bool {
    let mut gates = cancellation.parts.iter().flat_map(|part| &part.gates);
    let is_consent =
        |gate: &Gate| gate.spec.kind == GateKind::SellerConsent && gate.state == GateState::Passed;
    cancellation.state() == CancellationState::Completed
        && cancellation.create_time >= since
        && cancellation.requester.role == Role::Buyer
        && !gates.any(is_consent)
}
