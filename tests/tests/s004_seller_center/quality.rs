//! "Your cancellation will be classified as a seller-fault cancellation and will be included in the
//! SFCR": what the policy says of that rate and what a cancellation records for it is proved here;
//! each test says what is still to come.

use belay_client::model::{CancellationFault, EventDetail};
use belay_client::{Kind, Role, Units};
use belay_tests::market::Market;
use belay_tests::{refused, run_at};

use super::{MONDAY, open};

/// The reasons that a seller may give, whose fault each is, and whether it counts.
const REASONS: [(&str, CancellationFault, bool); 5] = [
    ("OUT_OF_STOCK", CancellationFault::Seller, true),
    ("PRICING_ERROR", CancellationFault::Seller, true),
    ("BUYER_ASKED", CancellationFault::Buyer, false),
    ("ADDRESS_NOT_DELIVERABLE", CancellationFault::Buyer, false),
    ("OTHER", CancellationFault::None, false),
];

/// What the events of an order say of whether its cancellations count.
async fn told(market: &Market<'_>, order_id: &str) -> Vec<bool> {
    let history = market.history(order_id).await;
    let told = history.into_iter().filter_map(|event| match event.detail {
        Some(EventDetail::CancellationChanged { counted, .. }) => Some(counted),
        _ => None,
    });
    told.collect()
}

/// The policy's own words, and that each of these faults in them is found and its place told.
async fn defines(market: &Market<'_>, words: &[&str], faults: &[(&str, &str, &str)]) {
    let operator = market.as_role(Role::Operator, "ops");
    let document = operator.get_policy().await.unwrap().document;
    for word in words {
        assert!(document.contains(word), "the policy does not say {word}");
    }
    for (right, wrong, field) in faults {
        assert!(document.contains(right), "the policy does not say {right}");
        let wrong = operator.create_policy(document.replace(right, wrong)).await;
        let error = refused(wrong, Kind::InvalidArgument, "POLICY_INVALID");
        assert_eq!(error.field_violations()[0].field, *field);
    }
}

#[test]
fn s004_08_only_what_the_seller_did_wrong_counts() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for (reason, fault, counted) in REASONS {
            market.place_paid(reason, "standard").await;
            let request = market
                .sellers_request(reason, reason)
                .note("as the page has it");
            let cancellation = request.await.unwrap().cancellation;
            assert_eq!(
                (cancellation.fault, cancellation.counted),
                (Some(fault), counted),
                "{reason}"
            );
            assert_eq!(told(&market, reason).await, [counted, counted], "{reason}");
        }
        // "If you initiate the cancellation": what a buyer asked for does not, granted or agreed
        // to.
        market.place_paid("BUYERS", "standard").await;
        market
            .buyers_request("BUYERS", "FOUND_BETTER")
            .await
            .unwrap();
        assert_eq!(told(&market, "BUYERS").await, [false, false]);
    });
}

/// Still to come: the rate that would result, beside whether it counts.
#[test]
fn s004_09_the_preview_says_whether_it_will_count() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-1", "standard").await;
        let before = market.order("A-1").await;
        for (reason, _, counted) in REASONS {
            let preview = market
                .seller()
                .preview_cancellation("A-1", Units::all())
                .reason(reason)
                .await
                .unwrap();
            assert_eq!(
                (preview.allowed, preview.counted),
                (true, counted),
                "{reason}"
            );
        }
        // Asked, not done.
        assert_eq!(market.order("A-1").await, before);
        let preview = market
            .seller()
            .preview_cancellation("A-1", Units::all())
            .reason("PRICING_ERROR")
            .await
            .unwrap();
        let done = market
            .sellers_request("A-1", "PRICING_ERROR")
            .quote(preview.quote.unwrap())
            .await
            .unwrap();
        assert_eq!(done.cancellation.counted, preview.counted);
    });
}

/// Still to come: the rate itself, 25 % for 100 orders of which 25 were cancelled so.
#[test]
fn s004_10_the_rate_is_defined_as_counted_cancellations_over_all_orders_of_seven_days() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let words = [
            "numerator: COUNTED_CANCELLATIONS",
            "denominator: ORDERS_PLACED",
            "window_days: 7",
        ];
        let faults = [
            (
                "numerator: COUNTED_CANCELLATIONS",
                "numerator: ALL",
                "document.quality.numerator",
            ),
            (
                "denominator: ORDERS_PLACED",
                "denominator: ORDERS",
                "document.quality.denominator",
            ),
            (
                "window_days: 7",
                "window_days: 367",
                "document.quality.window_days",
            ),
            ("  window_days: 7\n", "", "document.quality.window_days"),
            (
                "    counted: true\n",
                "    counted: maybe\n",
                "document.reasons[3].counted",
            ),
        ];
        defines(&market, &words, &faults).await;
        // Of four orders one counts: what the rate will be made of is on each record.
        for order_id in ["A-1", "A-2", "A-3", "A-4"] {
            market.place_paid(order_id, "standard").await;
        }
        market.sellers_request("A-1", "OUT_OF_STOCK").await.unwrap();
        market.sellers_request("A-2", "BUYER_ASKED").await.unwrap();
        market
            .buyers_request("A-3", "NO_LONGER_WANTED")
            .await
            .unwrap();
        let listed = market
            .seller()
            .list_cancellations()
            .seller_id("acme")
            .await
            .unwrap()
            .items;
        let counted: Vec<_> = listed
            .iter()
            .filter(|each| each.counted)
            .map(|each| each.order_id.as_str())
            .collect();
        assert_eq!((listed.len(), counted), (3, vec!["A-1"]));
    });
}

/// Still to come: the event that a threshold raises when it is crossed, once.
#[test]
fn s004_11_the_thresholds_of_the_rate_are_the_policys() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let words = [
            "{name: WARNING, percent: 10}",
            "{name: EXCEEDED, percent: 20}",
        ];
        let faults = [
            (
                "percent: 20}",
                "percent: 101}",
                "document.quality.thresholds[1].percent",
            ),
            (
                "percent: 10}",
                "percent: 0}",
                "document.quality.thresholds[0].percent",
            ),
            (
                "name: WARNING",
                "name: warning",
                "document.quality.thresholds[0].name",
            ),
            // Ascending, so that one crossing is one step.
            (
                "percent: 20}",
                "percent: 5}",
                "document.quality.thresholds[1].percent",
            ),
        ];
        defines(&market, &words, &faults).await;
        let operator = market.as_role(Role::Operator, "ops");
        let edited = operator
            .get_policy()
            .await
            .unwrap()
            .document
            .replace("percent: 10}", "percent: 15}");
        assert_eq!(
            operator
                .create_policy(edited.clone())
                .await
                .unwrap()
                .document,
            edited
        );
    });
}
