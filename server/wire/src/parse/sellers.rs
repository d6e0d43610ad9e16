//! Requests of the SellerService.

use belay_domain::ids::{SellerId, StoreId};
use belay_proto::v1 as pb;

use super::envelope::{Reader, store_id};
use super::lists::{ListRequest, asked_page};
use super::{Parsed, id, parse};

pub fn get_seller_quality(
    request: pb::GetSellerQualityRequest,
    _: &Reader<'_>,
) -> Parsed<(StoreId, SellerId)> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let seller = id(v, "seller_id", request.seller_id, SellerId::parse);
        Some((store?, seller?))
    })
}

pub fn list_counted_cancellations(
    mut request: pb::ListCountedCancellationsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<SellerId>> {
    let page = asked_page!("ListCountedCancellations", request, reader);
    page.list(&request.store_id, |v, _| {
        id(v, "seller_id", request.seller_id, SellerId::parse)
    })
}

pub fn list_threshold_crossings(
    mut request: pb::ListThresholdCrossingsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<SellerId>> {
    let page = asked_page!("ListThresholdCrossings", request, reader);
    page.list(&request.store_id, |v, _| {
        id(v, "seller_id", request.seller_id, SellerId::parse)
    })
}
