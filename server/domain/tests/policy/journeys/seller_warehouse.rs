//! Orders under "Cancellation by seller".

use super::*;
use belay_domain::error_reason::ErrorReason;

fn shipped(carrier: CarrierProfile) -> Journey {
    let mut journey = Journey::paid("seller-warehouse", 3, carrier);
    journey.dispatch().unwrap();
    journey
}

#[test]
fn s003_03_and_04_a_partner_confirms_or_cannot() {
    let mut confirmed = shipped(partner());
    confirmed.asks(Role::Seller, "OTHER", Path::Cancel);
    assert_eq!(
        (confirmed.stands().as_str(), confirmed.stage()),
        ("WAITING CARRIER_INTERCEPT", Stage::InTransit)
    );
    confirmed.intercept(InterceptAnswer::Confirmed);
    assert_eq!(
        (confirmed.stands().as_str(), confirmed.refunded()),
        ("CANCELLED", 3500)
    );
    let mut cannot = shipped(partner());
    cannot.asks(Role::Seller, "OTHER", Path::Cancel);
    cannot.intercept(CANNOT_INTERCEPT);
    assert_eq!(
        (cannot.stands().as_str(), cannot.refunded()),
        ("REFUSED CARRIER_REFUSED", 0)
    );
    let mut returning = shipped(partner());
    returning.asks(Role::Seller, "OTHER", Path::Cancel);
    returning.scan(TrackingFact::Returning);
    returning.receive(GoodsCondition::Unopened);
    assert_eq!(returning.stands(), "CANCELLED");
}

#[test]
fn s003_05_and_06_china_post_is_not_asked_and_what_has_arrived_stays() {
    let mut journey = shipped(CarrierProfile {
        partner_delivery: true,
        ..CarrierProfile::default()
    });
    assert_eq!(
        journey.refused(Role::Seller, "OTHER", Path::Cancel),
        "NOT_INTERCEPTABLE, CONTACT_SUPPORT"
    );
    journey.scan(TrackingFact::Delivered);
    assert_eq!(
        journey.refused(Role::Seller, "OTHER", Path::Cancel),
        "DELIVERED, CONTACT_SUPPORT"
    );
}

#[test]
fn s003_08_and_11_a_reason_is_named_and_evidence_comes_from_a_channel() {
    let mut journey = Journey::paid("seller-warehouse", 3, partner());
    assert_eq!(
        journey.refused(Role::Seller, "", Path::Cancel),
        "REASON_REQUIRED"
    );
    journey.asks(Role::Seller, "BUYER_ASKED", Path::Cancel);
    assert!(journey.order.cancellations[0].counted);
    assert_eq!(journey.stands(), "CANCELLED");
    assert_eq!(
        shipped(partner()).refused(Role::Seller, "BUYER_ASKED", Path::Cancel),
        "SHIPPED, CONTACT_SUPPORT"
    );
}

#[test]
fn s003_12_to_14_four_of_a_kind_are_flagged_and_split_by_who_delivers_alone() {
    let flag = |journey: &Journey, number| {
        journey
            .order
            .shipment(number)
            .unwrap()
            .customs_flag
            .is_some()
    };
    assert!(!flag(&Journey::paid("seller-warehouse", 3, partner()), 1));
    let split = |journey: &mut Journey| {
        let parcels = vec![
            vec![LineQuantity {
                line: 1,
                quantity: 2
            }];
            2
        ];
        journey.run(
            Role::Seller,
            Command::SplitShipment(SplitShipment {
                shipment: 1,
                fence: None,
                parcels,
            }),
        )
    };
    let mut own = Journey::paid("seller-warehouse", 4, able());
    assert!(flag(&own, 1));
    split(&mut own).unwrap();
    assert!(!flag(&own, 2) && !flag(&own, 3) && own.order.cancellations.is_empty());
    let mut partners = Journey::paid("seller-warehouse", 4, partner());
    assert_eq!(
        split(&mut partners).unwrap_err().reason(),
        ErrorReason::SplitNotAllowed
    );
    partners.asks(Role::Seller, "BUYER_ASKED", Path::Cancel);
    assert_eq!(partners.stands(), "CANCELLED");
}

#[test]
fn s003_15_the_carrier_confirms_a_loss() {
    let mut journey = shipped(able());
    journey.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
    assert_eq!(journey.stands(), "WAITING LOSS_CONFIRMATION");
    assert!(journey.order.shipment(1).unwrap().intercept.is_none());
    journey.scan(TrackingFact::Lost);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 3500)
    );
    let mut found = shipped(able());
    found.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
    found.scan(TrackingFact::Delivered);
    assert_eq!(found.stands(), "REFUSED DELIVERED");
    let mut silent = shipped(able());
    silent.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
    silent.wait(hours(10 * 24));
    assert_eq!(silent.stands(), "WAITING SUPPORT_REVIEW");
    silent.approve(Role::Support).unwrap();
    assert_eq!(silent.stands(), "CANCELLED");
    let mut known = shipped(able());
    known.scan(TrackingFact::Lost);
    known.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
    assert_eq!(known.stands(), "CANCELLED");
    let mut inside = Journey::paid("seller-warehouse", 3, able());
    assert_eq!(
        inside.refused(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel),
        "NOT_ALLOWED"
    );
}

#[test]
fn s003_18_a_partner_cancels_on_its_own_account() {
    let mut journey = shipped(partner());
    journey.asks(Role::Carrier, "DELIVERY_PROBLEM", Path::Cancel);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 3500)
    );
    let cancellation = &journey.order.cancellations[0];
    assert_eq!(
        (cancellation.requester.role, cancellation.counted),
        (Role::Carrier, false)
    );
    assert_eq!(cancellation.fault.name(), "CARRIER");
}
