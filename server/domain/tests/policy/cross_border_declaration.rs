//! The cases of "Declaration on Canceling Orders".

use belay_domain::actor::Role::{Buyer, Carrier, Seller, Support};
use belay_domain::calendar::{Calendar, Weekday};
use belay_domain::period::Period;
use belay_domain::policy::{Policy, RefundDue};
use belay_domain::shipment::Stage::{
    Delivered, InTransit, Lost, Planned, Preparing, Ready, Returned, Returning, Unreleased,
};
use belay_domain::terms::{GateKind, GoodsCondition, OnDispatch, OnTimeout, Path};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support::{With, asked_by, because, check_told, gate, hours, preset};

fn declaration() -> Policy {
    preset("cross-border-declaration")
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[test]
fn s001_01_and_02_an_order_is_payable_for_24_hours_and_no_longer() {
    let policy = declaration();
    assert_eq!(policy.unpaid.expire_after, hours(24));
    assert_eq!(policy.unpaid.in_flight_grace, SignedDuration::ZERO);
    let unpaid = |actor| asked_by(actor, Unreleased, Path::Cancel).with(|q| q.paid = false);
    let closes = "unpaid-closes-itself: no, UNPAID_CLOSES_ITSELF, PAY, WAIT";
    check_told(
        &policy,
        vec![
            (unpaid(Buyer), closes),
            (unpaid(Support), closes),
            (unpaid(Seller), closes),
        ],
    );
}

#[test]
fn s001_04_and_05_the_refund_button_is_there_for_twelve_hours() {
    let policy = declaration();
    let paid_for = |age| asked_by(Buyer, Planned, Path::Cancel).with(|q| q.since_paid = Some(age));
    let button = "refund-button: SUPPORT_REVIEW, FULL";
    let no_button = "no-refund-button: no, REFUND_NOT_OFFERED, CONTACT_SUPPORT";
    let rows = vec![
        (paid_for(SignedDuration::ZERO), button),
        (paid_for(hours(12) - SECOND), button),
        (paid_for(hours(12)), no_button),
        (
            paid_for(hours(13)).with(|q| q.stage = Unreleased),
            no_button,
        ),
        (asked_by(Support, Planned, Path::Cancel), "unshipped: FULL"),
        (asked_by(Seller, Planned, Path::Cancel), "unshipped: FULL"),
    ];
    check_told(&policy, rows);
    assert_eq!(policy.turns_in(&paid_for(hours(11))), Some(hours(1)));
    let review = gate(&policy, &paid_for(hours(1)), GateKind::SupportReview);
    // "There is no guarantee that the refund application will be approved."
    assert_eq!(
        (review.respond_within, review.on_timeout),
        (Some(Period::WorkingDays(2)), OnTimeout::Refuse)
    );
    assert_eq!(review.on_dispatch, OnDispatch::Bar);
}

#[test]
fn s001_06_preparation_begins_within_twelve_hours() {
    assert_eq!(declaration().preparation_within, Some(hours(12)));
}

#[test]
fn s001_07_and_09_what_is_being_prepared_is_stopped_by_the_warehouse_or_not_at_all() {
    let policy = declaration();
    let stop = "preparing: WAREHOUSE_STOP, FULL";
    let mut rows = Vec::new();
    for stage in [Preparing, Ready] {
        rows.extend(
            [Buyer, Support, Seller].map(|actor| (asked_by(actor, stage, Path::Cancel), stop)),
        );
    }
    // An application of the first hours that support has not answered by then goes on as a stop.
    rows.push((
        asked_by(Buyer, Preparing, Path::Cancel).with(|q| q.since_paid = Some(hours(11))),
        stop,
    ));
    check_told(&policy, rows);
    let stop = gate(
        &policy,
        &asked_by(Buyer, Preparing, Path::Cancel),
        GateKind::WarehouseStop,
    );
    assert_eq!(
        (stop.on_timeout, stop.on_dispatch),
        (OnTimeout::Refuse, OnDispatch::Bar)
    );
}

#[test]
fn s001_08_a_stop_is_answered_within_a_working_day_of_the_warehouse() {
    let stop = gate(
        &declaration(),
        &asked_by(Buyer, Ready, Path::Cancel),
        GateKind::WarehouseStop,
    );
    assert_eq!(stop.respond_within, Some(Period::WorkingDays(1)));
    let calendar = |zone: &str, weekend: [Weekday; 2]| {
        Calendar::new(TimeZone::get(zone).unwrap(), weekend.into(), [].into()).unwrap()
    };
    let friday: Timestamp = "2026-11-06T10:00:00Z".parse().unwrap();
    let shenzhen = calendar("Asia/Shanghai", [Weekday::Saturday, Weekday::Sunday]);
    let riyadh = calendar("Asia/Riyadh", [Weekday::Friday, Weekday::Saturday]);
    for (calendar, until) in [
        (shenzhen, "2026-11-09T16:00:00Z"),
        (riyadh, "2026-11-08T21:00:00Z"),
    ] {
        let respond_by = Period::WorkingDays(1).deadline(friday, calendar.time_zone(), &calendar);
        assert_eq!(respond_by, until.parse().unwrap());
    }
}

#[test]
fn s001_10_and_11_what_has_left_is_not_cancelled_and_comes_back_on_four_ways() {
    let policy = declaration();
    let cancel = |stage| asked_by(Buyer, stage, Path::Cancel);
    let able = |q: &mut belay_domain::policy::Question| q.carrier.in_transit_cancel = true;
    let labelled = |q: &mut belay_domain::policy::Question| q.carrier.return_label = true;
    let intercept = "stopped-by-the-carrier: CARRIER_INTERCEPT, PARCEL_RECEIPT, BY_SCHEDULE";
    let refuse = "refused-by-the-buyer: PARCEL_RECEIPT, BY_SCHEDULE";
    let unopened = "returned-unopened: PARCEL_RECEIPT, BY_SCHEDULE BUYER/BUYER";
    let opened = "returned-opened: SUPPORT_REVIEW, PARCEL_RECEIPT, BY_SCHEDULE BUYER/BUYER";
    let too_late =
        "too-late-to-refuse: no, DELIVERED, RETURN_UNOPENED, RETURN_OPENED, CONTACT_SUPPORT";
    check_told(
        &policy,
        vec![
            (
                cancel(InTransit),
                "shipped: no, SHIPPED, REFUSE_DELIVERY, CONTACT_SUPPORT",
            ),
            (
                cancel(InTransit).with(able),
                "shipped-interceptable: no, SHIPPED, INTERCEPT, REFUSE_DELIVERY, CONTACT_SUPPORT",
            ),
            (
                cancel(Delivered),
                "received: no, DELIVERED, RETURN_UNOPENED, RETURN_OPENED, CONTACT_SUPPORT",
            ),
            // ①
            (
                asked_by(Buyer, InTransit, Path::Intercept).with(able),
                intercept,
            ),
            (asked_by(Buyer, Returning, Path::Intercept), intercept),
            (asked_by(Buyer, Returned, Path::Intercept), intercept),
            (
                asked_by(Buyer, InTransit, Path::Intercept),
                "not-interceptable: no, NOT_INTERCEPTABLE, REFUSE_DELIVERY, CONTACT_SUPPORT",
            ),
            // ① and ②
            (asked_by(Buyer, InTransit, Path::RefuseDelivery), refuse),
            (asked_by(Support, Returning, Path::RefuseDelivery), refuse),
            (asked_by(Buyer, Returned, Path::RefuseDelivery), refuse),
            (asked_by(Buyer, Delivered, Path::RefuseDelivery), too_late),
            (asked_by(Buyer, Delivered, Path::Intercept), too_late),
            // ③
            (
                asked_by(Buyer, Delivered, Path::ReturnUnopened).with(labelled),
                unopened,
            ),
            (asked_by(Buyer, Returning, Path::ReturnUnopened), unopened),
            (
                asked_by(Buyer, InTransit, Path::ReturnUnopened),
                "ask-support: no, NOT_ALLOWED, CONTACT_SUPPORT",
            ),
            // ④
            (asked_by(Buyer, Delivered, Path::ReturnOpened), opened),
            (asked_by(Buyer, Returned, Path::ReturnOpened), opened),
            // Nobody asked.
            (
                asked_by(Carrier, Returning, Path::RefuseDelivery),
                "came-home: PARCEL_RECEIPT, BY_SCHEDULE",
            ),
            (
                asked_by(Support, Lost, Path::Cancel),
                "lost: FULL SELLER/SELLER",
            ),
        ],
    );
}

#[test]
fn s001_12_a_region_without_labels_is_told_so_and_support_may_agree_on_another_way() {
    let policy = declaration();
    let rows = vec![
        (
            asked_by(Buyer, Delivered, Path::ReturnUnopened),
            "no-label-in-the-region: no, LABEL_UNAVAILABLE_IN_REGION, CONTACT_SUPPORT",
        ),
        (
            asked_by(Support, Delivered, Path::ReturnUnopened),
            "returned-unopened: PARCEL_RECEIPT, BY_SCHEDULE BUYER/BUYER",
        ),
    ];
    check_told(&policy, rows);
    assert!(policy.returns.without_label.contains("no prepaid label"));
}

#[test]
fn s001_13_the_buyer_bears_both_ways_unless_the_goods_are_not_as_described() {
    let labelled = |q: &mut belay_domain::policy::Question| q.carrier.return_label = true;
    let back = |reason| {
        asked_by(Buyer, Delivered, Path::ReturnUnopened)
            .with(labelled)
            .with(because(reason))
    };
    let rows = vec![
        (
            back("NO_LONGER_WANTED"),
            "returned-unopened: PARCEL_RECEIPT, BY_SCHEDULE BUYER/BUYER",
        ),
        (
            back("NOT_AS_DESCRIBED"),
            "returned-unopened-not-as-described: PARCEL_RECEIPT, BY_SCHEDULE SELLER/SELLER",
        ),
    ];
    check_told(&declaration(), rows);
}

#[test]
fn s001_15_three_working_days_where_the_buyer_lives() {
    let refunds = declaration().refunds;
    assert_eq!(
        (refunds.due, refunds.overdue_after),
        (RefundDue::WorkingDays(3), SignedDuration::ZERO)
    );
    // A Wednesday, with Thanksgiving the next day in the United States.
    let from: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
    for (country, due_by) in [
        ("FR", "2026-12-01T00:00:00Z"),
        ("DE", "2026-11-30T23:00:00Z"),
        ("US", "2026-12-02T05:00:00Z"),
        ("SA", "2026-11-30T21:00:00Z"),
    ] {
        assert_eq!(
            refunds.due_by(from, country),
            due_by.parse().unwrap(),
            "{country}"
        );
    }
}

#[test]
fn s001_16_how_much_comes_back_hangs_on_time_condition_and_reason() {
    let returns = declaration().returns;
    let day = |days: i64| Some(hours(24 * days));
    for (since_delivered, condition, reason, percent) in [
        (None, GoodsCondition::Unopened, "PARCEL_RETURNED", 100),
        (day(0), GoodsCondition::Unopened, "NO_LONGER_WANTED", 100),
        (
            day(30).map(|age| age - SECOND),
            GoodsCondition::Unopened,
            "NO_LONGER_WANTED",
            100,
        ),
        (day(30), GoodsCondition::Unopened, "NO_LONGER_WANTED", 80),
        (
            day(30).map(|age| age - SECOND),
            GoodsCondition::Opened,
            "NO_LONGER_WANTED",
            60,
        ),
        (day(30), GoodsCondition::Opened, "NO_LONGER_WANTED", 40),
        (day(1), GoodsCondition::Damaged, "NO_LONGER_WANTED", 40),
        (day(99), GoodsCondition::Damaged, "NOT_AS_DESCRIBED", 100),
    ] {
        let found = returns.percent(since_delivered, condition, Some(reason));
        assert_eq!(
            found, percent,
            "{condition} after {since_delivered:?} for {reason}"
        );
    }
}
