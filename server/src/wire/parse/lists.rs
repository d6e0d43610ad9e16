//! What the lists have in common, and the filters of each.

use belay_domain::cancellation::CancellationState;
use belay_domain::ids::OrderId;
use belay_domain::incident::{IncidentKind, IncidentState};
use belay_domain::order::OrderState;
use belay_domain::refund::RefundState;
use belay_domain::shipment::Stage;

use super::bounds::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use super::{Violations, optional_id, positive_or, unspecified_or};

pub(crate) fn page_size(v: &mut Violations, page_size: i32) -> Option<u16> {
    positive_or(v, "page_size", page_size, PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT)
}

pub(crate) fn order_filter(v: &mut Violations, order_id: String) -> Option<Option<OrderId>> {
    optional_id(v, "order_id", order_id, OrderId::parse)
}

pub(crate) fn order_state_filter(v: &mut Violations, state: i32) -> Option<Option<OrderState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn cancellation_state_filter(v: &mut Violations, state: i32) -> Option<Option<CancellationState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn refund_state_filter(v: &mut Violations, state: i32) -> Option<Option<RefundState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn stage_filter(v: &mut Violations, stage: i32) -> Option<Option<Stage>> {
    unspecified_or(v, "stage", stage)
}

pub(crate) fn incident_state_filter(v: &mut Violations, state: i32) -> Option<Option<IncidentState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn incident_kind_filter(v: &mut Violations, kind: i32) -> Option<Option<IncidentKind>> {
    unspecified_or(v, "kind", kind)
}
