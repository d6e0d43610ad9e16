//! "Your cancellation will be classified as a seller-fault cancellation and will be included in the
//! SFCR": what the policy says of that rate and what a cancellation records for it is proved here.

use belay_client::model::{CancellationFault, EventDetail, QualityPreview, SellerQuality};
use belay_client::{Kind, Role, Store, Units};
use belay_tests::market::Market;
use belay_tests::{TestServer, pages, refused, run_at, stock, until};
use jiff::{SignedDuration, ToSpan as _};

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

#[test]
fn s004_09_the_preview_says_whether_it_will_count_and_the_resulting_rate() {
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
        // One order is placed, and none counts yet: the rate would be 1 of 1. Of others nothing is
        // said, nor to others than the seller.
        stock::projected(&t.database).await;
        let previewed = async |store: &Store, reason: &str| {
            let preview = store.preview_cancellation("A-1", Units::all());
            let preview = preview.reason(reason).await.unwrap();
            let rates = |quality: QualityPreview| {
                (quality.rate_basis_points, quality.rate_after_basis_points)
            };
            preview.quality.map(rates)
        };
        let seller = market.seller();
        assert_eq!(previewed(&seller, "OUT_OF_STOCK").await, Some((0, 10_000)));
        assert_eq!(previewed(&seller, "BUYER_ASKED").await, None);
        let support = market.support();
        assert_eq!(previewed(&support, "NO_LONGER_WANTED").await, None);
        for order_id in ["B-1", "B-2", "B-3"] {
            market.place_paid(order_id, "standard").await;
        }
        stock::projected(&t.database).await;
        assert_eq!(previewed(&seller, "OUT_OF_STOCK").await, Some((0, 2_500)));
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

#[test]
fn s004_10_the_rate_is_counted_cancellations_over_all_orders_of_seven_days() {
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

        // 100 orders, 25 counted: 25 %.
        for number in 5..=100 {
            market.place_paid(&format!("A-{number}"), "standard").await;
        }
        for number in 5..29 {
            let request = market.sellers_request(&format!("A-{number}"), "OUT_OF_STOCK");
            request.await.unwrap();
        }
        let quality = quality(t, &market).await;
        assert_eq!((quality.numerator, quality.denominator), (25, 100));
        assert_eq!(quality.rate_basis_points, 2_500);
        let names = (&*quality.numerator_name, &*quality.denominator_name);
        assert_eq!(names, ("COUNTED_CANCELLATIONS", "ORDERS_PLACED"));
        assert_eq!((quality.window_days, quality.lag_days), (7, 0));
        assert_eq!(quality.last_date - quality.first_date, 6.days().fieldwise());
        let seller = market.seller();
        let counted = pages(async |token| {
            let list = seller.list_counted_cancellations("acme");
            list.page_size(10).page_token(token).await
        });
        let counted: Vec<usize> = counted.await.iter().map(Vec::len).collect();
        assert_eq!(counted, [10, 10, 5]);
        // The window moves on, and all of them with it.
        t.advance(SignedDuration::from_hours(7 * 24)).await;
        let empty = self::quality(t, &market).await;
        assert_eq!((empty.numerator, empty.denominator), (0, 0));
        assert_eq!(empty.rate_basis_points, 0);
    });
}

/// The quality of the seller acme, once all is heard of.
async fn quality(t: &TestServer, market: &Market<'_>) -> SellerQuality {
    stock::projected(&t.database).await;
    let quality = market.seller().get_seller_quality("acme").await.unwrap();
    quality.expect("the policy measures it")
}

#[test]
fn s004_11_a_threshold_that_is_crossed_is_raised_once() {
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

        // Of ten orders the first that counts reaches WARNING, the second EXCEEDED.
        for number in 1..=10 {
            market.place_paid(&format!("A-{number}"), "standard").await;
        }
        let seller = market.seller();
        let raised = async |expected: &[(&str, bool)]| {
            until("the crossings are raised", async || {
                let crossings = seller.list_threshold_crossings("acme").await.unwrap();
                let raised = crossings.items.into_iter().rev();
                let raised: Vec<_> = raised
                    .map(|crossing| (crossing.threshold, crossing.reached))
                    .collect();
                let expected = expected.iter().map(|(name, up)| ((*name).to_owned(), *up));
                raised.iter().cloned().eq(expected).then_some(())
            })
            .await;
        };
        market.sellers_request("A-1", "OUT_OF_STOCK").await.unwrap();
        raised(&[("WARNING", true)]).await;
        market.sellers_request("A-2", "OUT_OF_STOCK").await.unwrap();
        raised(&[("WARNING", true), ("EXCEEDED", true)]).await;
        let thresholds = quality(t, &market).await.thresholds;
        assert!(thresholds.iter().all(|threshold| threshold.reached));
        // One more crosses nothing; once the window is empty, both are left.
        market.sellers_request("A-3", "OUT_OF_STOCK").await.unwrap();
        assert_eq!(quality(t, &market).await.numerator, 3);
        t.advance(SignedDuration::from_hours(8 * 24)).await;
        let all = [
            ("WARNING", true),
            ("EXCEEDED", true),
            ("WARNING", false),
            ("EXCEEDED", false),
        ];
        raised(&all).await;
    });
}
