//! Requests of the RefundService.

use belay_domain::commands::{Command, RecordRefundResult, RefundResult};
use belay_domain::ids::{ExternalId, OrderId, OrderKey, SellerId, StoreId, WorkerId};
use belay_domain::money::Money;
use belay_domain::query::RefundFilter;
use belay_proto::v1 as pb;
use jiff::SignedDuration;

use super::bounds::{
    CLAIM_DEFAULT, CLAIM_MAX, FAILURE_CODE_CHARS_MAX, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN,
};
use super::envelope::{Child, CommandRequest, REFUND, Reader, child_of_store, store_id, target};
use super::lists::{ListRequest, asked_page};
use super::{
    Parsed, Violations, ascii_text, duration, id, optional_id, parse, positive_or, time,
    told_money, unspecified_or,
};

/// A claim of refunds: who claims, how many and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub store: StoreId,
    pub worker: WorkerId,
    pub count_max: u16,
    pub lease: SignedDuration,
}

pub fn get_refund(request: pb::GetRefundRequest, _: &Reader<'_>) -> Parsed<Child> {
    child_of_store(&request.store_id, REFUND, &request.refund_id)
}

pub fn list_refunds(
    mut request: pb::ListRefundsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<RefundFilter>> {
    let page = asked_page!("ListRefunds", request, reader);
    page.list(&request.store_id, |v, store| {
        let order = optional_id(v, "order_id", request.order_id, OrderId::parse);
        let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
        let state = unspecified_or(v, "state", request.state);
        let scope = &reader.caller.scope;
        let store = store?;
        Some(RefundFilter {
            order: order?.map(|order| OrderKey::of(&store, &order)),
            store,
            scope: scope.clone(),
            seller: scope.sellers.narrow(seller?),
            state: state?,
        })
    })
}

pub fn claim_refunds(request: pb::ClaimRefundsRequest, _: &Reader<'_>) -> Parsed<Claim> {
    parse(|v| claim(v, request))
}

fn claim(v: &mut Violations, request: pb::ClaimRefundsRequest) -> Option<Claim> {
    let store = store_id(v, &request.store_id);
    let worker = id(v, "worker_id", request.worker_id, WorkerId::parse);
    let count_max = positive_or(
        v,
        "max_refunds",
        request.max_refunds,
        CLAIM_MAX,
        CLAIM_DEFAULT,
    );
    let lease = match request.lease {
        None => Some(LEASE_DEFAULT),
        Some(lease) => {
            let length = duration(lease).filter(|length| (LEASE_MIN..=LEASE_MAX).contains(length));
            if length.is_none() {
                v.add("lease", "must be from 10 seconds to 15 minutes");
            }
            length
        }
    };
    Some(Claim {
        store: store?,
        worker: worker?,
        count_max: count_max?,
        lease: lease?,
    })
}

pub fn record_refund_result(
    request: pb::RecordRefundResultRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, REFUND, request.refund_id, "");
        let result = provider_result(v, request);
        let (refund, result) = (on.number?, result?);
        on.with(Command::RecordRefundResult(RecordRefundResult {
            refund,
            result,
        }))
    })
}

/// What a provider answered.
fn provider_result(
    v: &mut Violations,
    request: pb::RecordRefundResultRequest,
) -> Option<RefundResult> {
    let result = match pb::RefundResult::try_from(request.result) {
        Ok(pb::RefundResult::Unspecified) => {
            v.add("result", "must be given and not UNSPECIFIED");
            None
        }
        Ok(result) => Some(result),
        Err(_) => {
            v.add(
                "result",
                format!("{} is not a value that this server knows", request.result),
            );
            None
        }
    };
    if result.is_some_and(|result| result != pb::RefundResult::Settled) && request.amount.is_some()
    {
        v.add("amount", "must be given for SETTLED only");
    }
    let amount = match request.amount {
        Some(amount) => match told_money(v, "amount", &amount) {
            Some(Money { minor_units: 0, .. }) => {
                v.add(
                    "amount.minor_units",
                    "must be greater than zero: report FAILED where nothing was paid",
                );
                None
            }
            amount => amount.map(Some),
        },
        None => Some(None),
    };
    let code = ascii_text(
        v,
        "failure_code",
        request.failure_code,
        FAILURE_CODE_CHARS_MAX,
    );
    let is_given = code.as_ref().is_some_and(|code| !code.is_empty());
    if is_given && result.is_some_and(|result| result != pb::RefundResult::Failed) {
        v.add("failure_code", "must be given for FAILED only");
    }
    let provider_refund_id = optional_id(
        v,
        "provider_refund_id",
        request.provider_refund_id,
        ExternalId::parse,
    );
    let occurred_time = time(v, "occurred_time", request.occurred_time);
    let (amount, code, provider_refund_id, occurred_time) =
        (amount?, code?, provider_refund_id?, occurred_time?);
    match result? {
        pb::RefundResult::Unspecified => None,
        pb::RefundResult::Settled => Some(RefundResult::Settled {
            amount,
            provider_refund_id,
            occurred_time,
        }),
        pb::RefundResult::Failed => Some(RefundResult::Failed { code }),
        pb::RefundResult::Unknown => Some(RefundResult::Unknown),
    }
}
