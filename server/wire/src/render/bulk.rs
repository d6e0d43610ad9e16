//! Bulk cancellations and their results.

use belay_domain::bulk::{BulkFilter, BulkOutcome, BulkSelection, Job, JobOrder, OrderResult};
use belay_domain::commands::Selection;
use belay_domain::ids::ChildKind;
use belay_proto::v1 as pb;

use super::cancellation::actor;
use crate::Wire as _;
use crate::enums::numbers;
use crate::rejections::{RequestIds, proto_rejections};
use crate::values::{count, time};

/// A bulk cancellation as it stands.
pub fn bulk_cancellation(job: &Job) -> pb::BulkCancellation {
    let counts = &job.counts;
    let (named_orders, filter) = match &job.selection {
        BulkSelection::Named(orders) => (count(*orders), None),
        BulkSelection::Filter(filter) => (0, Some(self::filter(filter))),
    };
    let units = match &job.command.selection {
        Selection::Matching(_) => pb::BulkUnits::Matching,
        Selection::All | Selection::Lines(_) | Selection::Shipment(_) => pb::BulkUnits::All,
    };
    let refunds = counts.refunds.iter().map(|(currency, sum)| pb::Money {
        currency_code: currency.clone(),
        minor_units: *sum,
    });
    pb::BulkCancellation {
        bulk_cancellation_id: job.id.to_string(),
        store_id: job.store.to_string(),
        state: job.state.number(),
        dry_run: job.is_dry_run,
        requester: Some(actor(&job.caller.actor)),
        named_orders,
        filter,
        units: units.into(),
        reason: job.command.reason.clone().unwrap_or_default(),
        orders_per_second: job.orders_per_second.into(),
        total_orders: count(counts.total),
        waiting_orders: count(counts.waiting()),
        completed_orders: count(counts.completed),
        pending_orders: count(counts.pending),
        rejected_orders: count(counts.rejected),
        failed_orders: count(counts.failed),
        expected_refunds: refunds.collect(),
        failure_reason: job
            .failure
            .map(|reason| reason.name())
            .unwrap_or_default()
            .to_owned(),
        create_time: Some(time(job.create_time)),
        end_time: job.end_time.map(time),
    }
}

fn filter(filter: &BulkFilter) -> pb::BulkFilter {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    pb::BulkFilter {
        sku: text(filter.sku.as_ref().map(AsRef::as_ref)),
        warehouse_id: text(filter.warehouse.as_ref().map(AsRef::as_ref)),
        seller_id: text(filter.seller.as_ref().map(AsRef::as_ref)),
        destination_country: text(filter.country.as_deref()),
        destination_city: text(filter.city.as_deref()),
        states: numbers(&filter.states),
        create_time_from: filter.create_time_from.map(time),
        create_time_before: filter.create_time_before.map(time),
    }
}

/// The outcome of one order.
pub fn bulk_result(job: &Job, found: &JobOrder) -> pb::BulkResult {
    let order = &found.order;
    let outcome = found
        .result
        .as_ref()
        .map_or(BulkOutcome::Waiting, OrderResult::outcome);
    let request_id = (!job.is_dry_run).then(|| job.key().request_id(order));
    let mut shown = pb::BulkResult {
        order_id: order.to_string(),
        outcome: outcome.number(),
        request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
        ..pb::BulkResult::default()
    };
    match &found.result {
        None => {}
        Some(OrderResult::Accepted {
            cancellation,
            refund,
            ..
        }) => {
            if !job.is_dry_run {
                shown.cancellation_id = ChildKind::Cancellation.id(order, *cancellation);
            }
            shown.expected_refund = refund.as_ref().map(|(currency, amount)| pb::Money {
                currency_code: currency.clone(),
                minor_units: *amount,
            });
        }
        Some(OrderResult::Rejected(rejection)) => {
            let named = RequestIds {
                order: order.clone(),
                child: None,
                request_id,
            };
            let rejections = proto_rejections(rejection, &named).into_iter();
            shown.rejections = rejections.map(Into::into).collect();
        }
        Some(OrderResult::Failed(reason)) => shown.failure_reason = reason.name().to_owned(),
    }
    shown
}
