//! The presets that ship: each is a document without faults, and answers what its source says.

use std::fs;
use std::path::PathBuf;

use belay_domain::actor::Role;
use belay_domain::cancellation::{Fault, GateKind, Path};
use belay_domain::order::{OrderState, PAYMENT_EXPIRED};
use belay_domain::policy::{
    CarrierFacts, DenyCode, Effect, NextAction, Notification, OnTimeout, Policy, RefundDue, RefundPlan, Verdict, Wait,
    parse,
};
use belay_domain::shipment::Stage;

use crate::support::{hours, question};

fn preset(name: &str) -> Policy {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../presets").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"))
}

fn independent_site() -> Policy {
    preset("independent-site.yaml")
}

#[test]
fn every_preset_is_a_document_that_is_called_like_its_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../presets");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !file.ends_with(".yaml") {
            continue;
        }
        let policy = preset(&file);
        assert_eq!(format!("{}.yaml", policy.name), file);
        assert!(!policy.source.is_empty(), "{file} does not name its source");
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn independent_site_answers_as_its_help_page_says() {
    use NextAction::{ContactSupport, Intercept, ReturnUnopened};
    use Role::{Buyer, Carrier, Seller, Support, System};
    let policy = independent_site();
    let ways_back = vec![ReturnUnopened, ContactSupport];
    let deny = |code, next_actions: &[NextAction]| Verdict::Deny {
        code,
        next_actions: next_actions.to_vec(),
        available_in: None,
    };
    let able = CarrierFacts { in_transit_cancel: true, ..CarrierFacts::default() };
    let unable = CarrierFacts::default();
    // Who, stage, path, carrier, rule, refusal.
    for (actor, stage, path, carrier, rule, refusal) in [
        (Buyer, Stage::Unreleased, Path::Cancel, unable, Some("before-dispatch"), None),
        (Buyer, Stage::Planned, Path::Cancel, unable, Some("before-dispatch"), None),
        (Seller, Stage::Preparing, Path::Cancel, able, Some("before-dispatch"), None),
        (Support, Stage::Ready, Path::Cancel, unable, Some("before-dispatch"), None),
        (System, Stage::Unreleased, Path::Cancel, unable, Some("before-dispatch"), None),
        (Carrier, Stage::Planned, Path::Cancel, unable, None, Some(deny(DenyCode::NotAllowed, &[]))),
        (
            Buyer,
            Stage::InTransit,
            Path::Cancel,
            able,
            Some("shipped-interceptable"),
            Some(deny(DenyCode::Shipped, &[Intercept, ContactSupport])),
        ),
        (Buyer, Stage::InTransit, Path::Cancel, unable, Some("shipped"), Some(deny(DenyCode::Shipped, &ways_back))),
        (Buyer, Stage::Delivered, Path::Cancel, able, Some("delivered"), Some(deny(DenyCode::Delivered, &ways_back))),
        (Buyer, Stage::InTransit, Path::Intercept, able, Some("intercept"), None),
        (Buyer, Stage::Returning, Path::Intercept, able, Some("intercept"), None),
        (Buyer, Stage::Returned, Path::Intercept, able, Some("intercept"), None),
        (
            Buyer,
            Stage::InTransit,
            Path::Intercept,
            unable,
            Some("not-interceptable"),
            Some(deny(DenyCode::NotInterceptable, &ways_back)),
        ),
        (
            Support,
            Stage::Delivered,
            Path::Intercept,
            able,
            Some("not-interceptable"),
            Some(deny(DenyCode::NotInterceptable, &ways_back)),
        ),
        (Buyer, Stage::Delivered, Path::ReturnUnopened, unable, Some("return-unopened"), None),
        (Buyer, Stage::Returning, Path::ReturnUnopened, unable, Some("return-unopened"), None),
        (Buyer, Stage::Returned, Path::ReturnUnopened, unable, Some("return-unopened"), None),
        (
            Buyer,
            Stage::Lost,
            Path::Cancel,
            able,
            Some("ask-support"),
            Some(deny(DenyCode::NotAllowed, &[ContactSupport])),
        ),
        (Carrier, Stage::Lost, Path::Cancel, able, None, Some(deny(DenyCode::NotAllowed, &[]))),
        (Carrier, Stage::Returning, Path::RefuseDelivery, unable, Some("came-home"), None),
    ] {
        let mut asked = question();
        (asked.actor, asked.stage, asked.path, asked.carrier) = (actor, stage, path, carrier);
        let answer = policy.answer(&asked);
        assert_eq!(answer.rule.as_deref(), rule, "{asked:#?}");
        match (answer.verdict, refusal) {
            (Verdict::Allow { refund, .. }, None) => assert_eq!(refund, RefundPlan::FULL),
            (verdict, refusal) => assert_eq!(Some(verdict), refusal, "{asked:#?}"),
        }
    }
}

#[test]
fn independent_site_waits_for_the_parcel() {
    let policy = independent_site();
    let gates = |stage, path, in_transit_cancel| {
        let mut asked = question();
        (asked.stage, asked.path, asked.carrier.in_transit_cancel) = (stage, path, in_transit_cancel);
        match policy.answer(&asked).verdict {
            Verdict::Allow { gates, .. } => gates,
            Verdict::Deny { code, .. } => panic!("{path} at {stage} is refused {code}"),
        }
    };
    assert_eq!(gates(Stage::Ready, Path::Cancel, false), []);
    let intercept = gates(Stage::InTransit, Path::Intercept, true);
    let waits: Vec<_> = intercept.iter().map(|gate| (gate.kind, gate.respond_within, gate.on_timeout)).collect();
    let receipt = (GateKind::ParcelReceipt, Some(Wait::Time(hours(30 * 24))), OnTimeout::Refuse);
    assert_eq!(waits, [(GateKind::CarrierIntercept, Some(Wait::Time(hours(48))), OnTimeout::Refuse), receipt]);
    assert_eq!(gates(Stage::Delivered, Path::ReturnUnopened, false), intercept[1..]);
}

#[test]
fn independent_site_declares_what_its_help_page_names() {
    let policy = independent_site();
    for code in ["NO_LONGER_WANTED", "WRONG_PURCHASE", "FOUND_BETTER"] {
        let reason = policy.reason(code).unwrap();
        assert_eq!((&reason.actors[..], reason.fault), (&[Role::Buyer, Role::Support][..], Fault::Buyer), "{code}");
        assert!(!reason.note_required && !reason.counted);
    }
    assert_eq!(policy.reason(PAYMENT_EXPIRED).unwrap().actors, [Role::System]);
    assert_eq!(policy.reason("OUT_OF_STOCK").unwrap().effects, [Effect::ZeroStock]);
    assert!(policy.reason("OUT_OF_STOCK").unwrap().counted);
    assert!(policy.reason("OTHER").unwrap().note_required);
    assert_eq!(policy.reason_required, [Role::Buyer, Role::Support]);
    assert!(policy.notifies(Notification::CancellationRequested));
    for state in OrderState::ALL {
        assert!(policy.labels.contains_key(state), "{state} has no label");
    }
    assert_eq!(policy.label(OrderState::ToShip), "Paid, to be shipped");
    assert_eq!(policy.label(OrderState::Processing), "Processing");
    assert_eq!(policy.label(OrderState::Shipped), "Shipped");
    assert_eq!(policy.refunds.due, RefundDue::Immediate);
    assert_eq!(policy.unpaid.expire_after, hours(24));
}
