//! Cancellation requests that make no sense.

use belay_proto::v1 as pb;
use belay_proto::v1::request_cancellation_request::Selection;
use belay_tests::{SHOP, run};
use tonic::Code;

use super::{Row, each_is_an_invalid_field, is_refused, is_taken, long};

const METHOD: &str = "CancellationService/RequestCancellation";

fn lines(lines: &[(&str, i32)]) -> Option<Selection> {
    let quantity = |&(line_id, quantity): &(&str, i32)| pb::LineQuantity {
        line_id: line_id.to_owned(),
        quantity,
    };
    Some(Selection::Lines(pb::LineSelection {
        lines: lines.iter().map(quantity).collect(),
    }))
}

fn on_behalf_of(buyer: Option<pb::on_behalf_of::Buyer>) -> Option<pb::OnBehalfOf> {
    Some(pb::OnBehalfOf { buyer })
}

fn right() -> pb::RequestCancellationRequest {
    pb::RequestCancellationRequest {
        store_id: SHOP.to_owned(),
        order_id: "A-1".to_owned(),
        selection: lines(&[("A-1:l1", 1)]),
        reason: "NO_LONGER_WANTED".to_owned(),
        ..Default::default()
    }
}

#[test]
fn each_field_of_a_request_is_checked() {
    use pb::on_behalf_of::Buyer::{BuyerEmail, BuyerUsername};
    let rows: Vec<Row<pb::RequestCancellationRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("request_id", |r| {
            r.request_id = "{0b1f4a8e-93c7-4b53-8c8c-0d6fd62e0a11}".to_owned()
        }),
        ("order_id", |r| {
            r.order_id = "A 1".to_owned();
            r.selection = Some(Selection::All(pb::AllUnits {}));
        }),
        ("etag", |r| r.etag = "2".to_owned()),
        ("etag", |r| r.etag = "\"02\"".to_owned()),
        ("etag", |r| r.etag = "\"99999999999999999999\"".to_owned()),
        ("all", |r| r.selection = None),
        ("lines.lines", |r| r.selection = lines(&[])),
        ("lines.lines", |r| {
            r.selection = lines(&[("A-1:l1", 1); 201])
        }),
        ("lines.lines[0].line_id", |r| {
            r.selection = lines(&[("", 1)])
        }),
        ("lines.lines[0].line_id", |r| {
            r.selection = lines(&[("A-1:s1", 1)])
        }),
        ("lines.lines[0].line_id", |r| {
            r.selection = lines(&[("A-2:l1", 1)])
        }),
        ("lines.lines[1].line_id", |r| {
            r.selection = lines(&[("A-1:l1", 1), ("A-1:l1", 1)])
        }),
        ("lines.lines[0].quantity", |r| {
            r.selection = lines(&[("A-1:l1", 0)])
        }),
        ("lines.lines[0].quantity", |r| {
            r.selection = lines(&[("A-1:l1", -1)])
        }),
        ("lines.lines[0].quantity", |r| {
            r.selection = lines(&[("A-1:l1", 1_000_001)])
        }),
        ("shipment_id", |r| {
            r.selection = Some(Selection::ShipmentId(String::new()))
        }),
        ("shipment_id", |r| {
            r.selection = Some(Selection::ShipmentId("A-2:s1".to_owned()))
        }),
        ("reason", |r| r.reason = "no longer wanted".to_owned()),
        ("reason", |r| r.reason = "A".repeat(64)),
        ("note", |r| r.note = long(2_001)),
        ("note", |r| r.note = "a\0b".to_owned()),
        ("evidence", |r| r.evidence = vec!["x".to_owned(); 11]),
        ("evidence[0]", |r| r.evidence = vec![String::new()]),
        ("evidence[1]", |r| {
            r.evidence = vec!["x".to_owned(), long(513)]
        }),
        ("paths[0]", |r| r.paths = vec![0]),
        ("paths[0]", |r| r.paths = vec![99]),
        ("paths[1]", |r| r.paths = vec![1, 1]),
        ("on_ineligible_units", |r| r.on_ineligible_units = 3),
        ("on_ineligible_units", |r| r.on_ineligible_units = -1),
        ("on_behalf_of", |r| r.on_behalf_of = on_behalf_of(None)),
        ("on_behalf_of.buyer_email", |r| {
            r.on_behalf_of = on_behalf_of(Some(BuyerEmail(long(255))))
        }),
        ("on_behalf_of.buyer_email", |r| {
            r.on_behalf_of = on_behalf_of(Some(BuyerEmail(" ".to_owned())))
        }),
        ("on_behalf_of.buyer_username", |r| {
            r.on_behalf_of = on_behalf_of(Some(BuyerUsername(long(129))))
        }),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        each_is_an_invalid_field(t, "support", METHOD, &right(), &rows).await;
        let mut at_the_bounds = right();
        at_the_bounds.note = "é".repeat(2_000);
        at_the_bounds.evidence = vec![long(512); 10];
        at_the_bounds.paths = vec![1, 2, 3, 4, 5];
        let answer: pb::RequestCancellationResponse =
            is_taken(&t.raw(), "support", METHOD, at_the_bounds).await;
        assert_eq!(answer.cancellation.unwrap().note, "é".repeat(2_000));
    });
}

#[test]
fn a_list_of_reasons_checks_as_the_request_does() {
    use pb::list_reasons_request::Selection as Listed;
    let rows: Vec<Row<pb::ListReasonsRequest>> = vec![
        ("order_id", |r| r.order_id.clear()),
        ("all", |r| r.selection = None),
        ("shipment_id", |r| {
            r.selection = Some(Listed::ShipmentId("x".to_owned()))
        }),
        ("paths[0]", |r| r.paths = vec![-1]),
        ("on_ineligible_units", |r| r.on_ineligible_units = 9),
        ("on_behalf_of", |r| r.on_behalf_of = on_behalf_of(None)),
        ("languages[1]", |r| {
            r.languages = vec!["de".to_owned(), "de_AT".to_owned()]
        }),
        ("languages[0]", |r| r.languages = vec![long(36)]),
        ("languages", |r| r.languages = vec!["de".to_owned(); 9]),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        let right = pb::ListReasonsRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
            selection: Some(Listed::All(pb::AllUnits {})),
            ..Default::default()
        };
        let method = "CancellationService/ListReasons";
        each_is_an_invalid_field(t, "support", method, &right, &rows).await;
        let mut at_the_bounds = right;
        at_the_bounds.languages = vec!["i-default".to_owned(); 8];
        let _: pb::ListReasonsResponse = is_taken(&t.raw(), "support", method, at_the_bounds).await;
    });
}

#[test]
fn a_preview_checks_as_the_request_does() {
    use pb::preview_cancellation_request::Selection as Preview;
    let rows: Vec<Row<pb::PreviewCancellationRequest>> = vec![
        ("order_id", |r| r.order_id.clear()),
        ("all", |r| r.selection = None),
        ("shipment_id", |r| {
            r.selection = Some(Preview::ShipmentId("x".to_owned()))
        }),
        ("reason", |r| r.reason = "1".to_owned()),
        ("paths[0]", |r| r.paths = vec![-1]),
        ("on_ineligible_units", |r| r.on_ineligible_units = 9),
        ("on_behalf_of", |r| r.on_behalf_of = on_behalf_of(None)),
        ("at_time", |r| r.at_time = super::time(7_258_118_400, 0)),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        let right = pb::PreviewCancellationRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
            selection: Some(Preview::All(pb::AllUnits {})),
            ..Default::default()
        };
        let method = "CancellationService/PreviewCancellation";
        each_is_an_invalid_field(t, "support", method, &right, &rows).await;
        let _: pb::PreviewCancellationResponse = is_taken(&t.raw(), "support", method, right).await;
    });
}

#[test]
fn what_does_not_exist_is_named() {
    run(async |t| {
        t.place_paid("A-1").await;
        let with = |change: fn(&mut pb::RequestCancellationRequest)| {
            let mut request = right();
            change(&mut request);
            request
        };
        let line = with(|r| r.selection = lines(&[("A-1:l1", 1), ("A-1:l3", 1)]));
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            line,
            Code::NotFound,
            "LINE_NOT_FOUND",
        )
        .await;
        assert_eq!(refused.metadata["line_id"], "A-1:l3");
        let shipment = with(|r| r.selection = Some(Selection::ShipmentId("A-1:s2".to_owned())));
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            shipment,
            Code::NotFound,
            "SHIPMENT_NOT_FOUND",
        )
        .await;
        assert_eq!(refused.metadata["shipment_id"], "A-1:s2");
        let order = with(|r| {
            r.order_id = "A-2".to_owned();
            r.selection = Some(Selection::All(pb::AllUnits {}));
        });
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            order,
            Code::NotFound,
            "ORDER_NOT_FOUND",
        )
        .await;
        assert_eq!(refused.metadata["order_id"], "A-2");
        let reason = with(|r| r.reason = "A".repeat(63));
        is_refused(
            t,
            "storefront",
            METHOD,
            reason,
            Code::InvalidArgument,
            "REASON_UNKNOWN",
        )
        .await;
        let none = with(|r| r.reason.clear());
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            none,
            Code::InvalidArgument,
            "REASON_REQUIRED",
        )
        .await;
        assert_eq!(refused.fields, ["reason"]);
        let too_many = with(|r| r.selection = lines(&[("A-1:l1", 1_000_000)]));
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            too_many,
            Code::FailedPrecondition,
            "QUANTITY_UNAVAILABLE",
        )
        .await;
        assert_eq!(refused.metadata["available"], "3");
        assert_eq!(
            refused.preconditions,
            [("QUANTITY_UNAVAILABLE".to_owned(), "A-1:l1".to_owned())]
        );
        let stale = with(|r| r.etag = "\"1\"".to_owned());
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            stale,
            Code::Aborted,
            "ETAG_MISMATCH",
        )
        .await;
        assert_eq!(refused.metadata["etag"], "\"2\"");
    });
}

#[test]
fn a_request_id_is_not_reused_for_another_request() {
    run(async |t| {
        t.place_paid("A-1").await;
        let mut first = right();
        first.request_id = "0b1f4a8e-93c7-4b53-8c8c-0d6fd62e0a11".to_owned();
        let answer: pb::RequestCancellationResponse =
            is_taken(&t.raw(), "storefront", METHOD, first.clone()).await;
        assert_eq!(answer.request_id, first.request_id);
        let changes: [fn(&mut pb::RequestCancellationRequest); 5] = [
            |r| r.selection = Some(Selection::All(pb::AllUnits {})),
            |r| r.reason = "FOUND_BETTER".to_owned(),
            |r| r.note = "x".to_owned(),
            |r| r.paths = vec![2],
            |r| r.on_ineligible_units = 2,
        ];
        for change in changes {
            let mut other = first.clone();
            change(&mut other);
            let refused = is_refused(
                t,
                "storefront",
                METHOD,
                other,
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
            )
            .await;
            assert_eq!(refused.metadata["request_id"], first.request_id);
        }
        // A default that is spelt out is the same content, and so is the key in capitals.
        let mut same = first.clone();
        same.paths = vec![1];
        same.on_ineligible_units = 1;
        same.request_id = same.request_id.to_uppercase();
        let again: pb::RequestCancellationResponse =
            is_taken(&t.raw(), "storefront", METHOD, same).await;
        assert_eq!(again, answer);
    });
}

#[test]
fn only_support_acts_on_behalf_of_a_buyer() {
    run(async |t| {
        t.place_paid("A-1").await;
        let mut request = right();
        request.on_behalf_of = on_behalf_of(Some(pb::on_behalf_of::Buyer::BuyerUsername(
            "ann-1".to_owned(),
        )));
        for role in ["storefront", "seller", "warehouse", "carrier"] {
            let refused = is_refused(
                t,
                role,
                METHOD,
                request.clone(),
                Code::PermissionDenied,
                "ROLE_NOT_ALLOWED",
            )
            .await;
            assert_eq!(refused.metadata["role"], role.to_uppercase());
        }
        let _: pb::RequestCancellationResponse =
            is_taken(&t.raw(), "support", METHOD, request).await;
    });
}
