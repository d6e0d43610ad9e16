//! What lies outside a caller's scope is not there for it, whatever it asks.

use std::collections::BTreeSet;

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::{AnnotationsChange, NoteSubject, NoteVisibility};
use belay_domain::calendar::Calendar;
use belay_domain::commands::{
    AddNote, AnswerIntercept, AnswerStop, ApproveCancellation, Command, CreateOrder,
    DispatchShipment, HOLD_MAX, HoldShipment, InterceptAnswer, LeaseRefunds, MarkReady,
    ReceiveParcel, RecordPayment, RecordRefundResult, RecordTracking, RefundResult,
    RejectCancellation, ReleaseHold, ResolveIncident, SplitShipment, StartPreparation, StopAnswer,
    UpdateMetadata, WithdrawCancellation, create, create_again, decide, preview,
};
use belay_domain::context::{Context, WarehouseProfile};
use belay_domain::decision::Answer;
use belay_domain::ids::{CarrierId, ExternalId, SellerId, StoreId, WarehouseId, WorkerId};
use belay_domain::incident::Resolution;
use belay_domain::payment::PaymentFact;
use belay_domain::policy::Policy;
use belay_domain::rejection::Rejection;
use belay_domain::scope::{IdFilter, Scope};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::GoodsCondition;
use uuid::Uuid;

use crate::kit::{CancellationRequest, Cart, Case, LEASE, PLACED, PLAIN, eur, gate, gated, policy};

/// Seller `seller-1` ships one mug from `main` and one from `east`, both by `post`.
fn two_routes() -> Cart {
    let mut cart = Cart::of(&[(2, 1_000)]).split(&[&[(1, 1)], &[(1, 1)]]);
    cart.0.shipments[1].warehouse = WarehouseId::parse("east").ok();
    cart
}

fn case() -> Case {
    two_routes_under(policy(PLAIN))
}

fn two_routes_under(policy: Policy) -> Case {
    let mut case = Cart::of(&[(2, 1_000)])
        .split(&[&[(1, 1)], &[(1, 1)]])
        .paid_under(policy);
    case.order.shipments[1].warehouse = WarehouseId::parse("east").unwrap();
    case
}

fn only<T: Ord>(id: T) -> IdFilter<T> {
    IdFilter::Only(BTreeSet::from([id]))
}

fn sellers(id: &str) -> Scope {
    Scope {
        sellers: only(SellerId::parse(id).unwrap()),
        ..Scope::EVERYTHING
    }
}

fn warehouses(id: &str) -> Scope {
    Scope {
        warehouses: only(WarehouseId::parse(id).unwrap()),
        ..Scope::EVERYTHING
    }
}

fn carriers(id: &str) -> Scope {
    Scope {
        carriers: only(CarrierId::parse(id).unwrap()),
        ..Scope::EVERYTHING
    }
}

fn stores(id: &str) -> Scope {
    Scope {
        stores: only(StoreId::parse(id).unwrap()),
        ..Scope::EVERYTHING
    }
}

/// One of each, about this shipment where it is about one.
fn commands(shipment: u32) -> Vec<Command> {
    vec![
        Command::RecordPayment(RecordPayment {
            provider_payment_id: ExternalId::parse("p2").unwrap(),
            provider_event_id: ExternalId::parse("e2").unwrap(),
            fact: PaymentFact::Captured,
            amount: Some(eur(1)),
            movement: None,
            refund: None,
            method: None,
            occurred_time: None,
        }),
        Command::RequestCancellation(CancellationRequest::all().request),
        Command::RequestCancellation(CancellationRequest::lines(&[(1, 1)]).request),
        Command::RequestCancellation(CancellationRequest::shipment(shipment).request),
        Command::StartPreparation(StartPreparation {
            shipment,
            fence: None,
        }),
        Command::MarkReady(MarkReady {
            shipment,
            fence: None,
        }),
        Command::DispatchShipment(DispatchShipment {
            shipment,
            fence: 1,
            tracking_number: None,
        }),
        Command::RecordTracking(RecordTracking {
            shipment,
            carrier_event_id: ExternalId::parse("scan").unwrap(),
            fact: TrackingFact::PickedUp,
            occurred_time: None,
        }),
        Command::LeaseRefunds(LeaseRefunds {
            refunds: vec![1],
            worker: WorkerId::parse("w").unwrap(),
            lease: LEASE,
        }),
        Command::RecordRefundResult(RecordRefundResult {
            refund: 1,
            result: RefundResult::Unknown,
        }),
        Command::AnswerStop(AnswerStop {
            shipment,
            cancellation: None,
            answer: StopAnswer::CannotStop { code: None },
            note: None,
        }),
        Command::AnswerIntercept(AnswerIntercept {
            shipment,
            answer: InterceptAnswer::Confirmed,
            note: None,
        }),
        Command::ReceiveParcel(ReceiveParcel {
            shipment,
            condition: GoodsCondition::Unopened,
            quantities: Vec::new(),
            receipt_id: None,
            receive_time: None,
            note: None,
        }),
        Command::HoldShipment(HoldShipment {
            shipment,
            fence: None,
            until: PLACED + HOLD_MAX,
            note: None,
        }),
        Command::ReleaseHold(ReleaseHold {
            shipment,
            fence: None,
        }),
        Command::SplitShipment(SplitShipment {
            shipment,
            fence: None,
            parcels: Vec::new(),
        }),
        Command::ApproveCancellation(ApproveCancellation {
            cancellation: 1,
            note: None,
        }),
        Command::RejectCancellation(RejectCancellation {
            cancellation: 1,
            code: "NO".to_owned(),
            note: None,
            evidence: Vec::new(),
        }),
        Command::WithdrawCancellation(WithdrawCancellation { cancellation: 1 }),
        Command::ResolveIncident(ResolveIncident {
            incident: 1,
            resolution: Resolution::Accept,
            note: None,
        }),
        Command::UpdateMetadata(UpdateMetadata {
            cancellation: None,
            change: AnnotationsChange::default(),
        }),
        Command::UpdateMetadata(UpdateMetadata {
            cancellation: Some(1),
            change: AnnotationsChange::default(),
        }),
        note(None),
        note(Some(NoteSubject::Cancellation(1))),
        note(Some(NoteSubject::Shipment(shipment))),
        Command::Settle,
    ]
}

fn note(subject: Option<NoteSubject>) -> Command {
    Command::AddNote(AddNote {
        text: "Called back.".to_owned(),
        visibility: NoteVisibility::Private,
        subject,
    })
}

/// What a decision comes to for a caller of this scope: the rejection's name, or OK.
fn decided(case: &Case, command: &Command, scope: &Scope) -> (&'static str, bool) {
    let caller = Actor::new(Role::Operator, "ops");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    // A stale etag too: what is not there has none.
    let decision = decide(&case.order, command, Some(99), &context);
    let is_as_before =
        decision.order == case.order && decision.events.is_empty() && decision.log.is_none();
    (
        decision
            .result
            .map_or_else(|refused| refused.reason().name(), |_| "OK"),
        is_as_before,
    )
}

#[test]
fn an_order_outside_is_not_there_and_not_even_settled() {
    let mut unpaid = Cart::of(&[(2, 1_000)])
        .split(&[&[(1, 1)], &[(1, 1)]])
        .place();
    // Its deadline has passed: the next to look would close it.
    unpaid.wait_until("2099-01-01T00:00:00Z".parse().unwrap());
    for case in [case(), unpaid] {
        for scope in [
            sellers("seller-2"),
            warehouses("west"),
            carriers("dove"),
            stores("store-2"),
        ] {
            for command in commands(1) {
                assert_eq!(
                    decided(&case, &command, &scope),
                    ("ORDER_NOT_FOUND", true),
                    "{command:?} {scope:?}"
                );
            }
        }
    }
}

#[test]
fn an_order_inside_is_decided_as_for_everybody() {
    let case = case();
    let store_and_seller = Scope {
        stores: only(StoreId::parse("store-1").unwrap()),
        ..sellers("seller-1")
    };
    for scope in [store_and_seller, carriers("post")] {
        for command in commands(1) {
            assert_eq!(
                decided(&case, &command, &scope),
                decided(&case, &command, &Scope::EVERYTHING),
                "{command:?}"
            );
        }
    }
}

#[test]
fn another_warehouses_shipment_is_not_there() {
    let case = case();
    for (shipment, others) in [(1, 2), (2, 1)] {
        let scope = warehouses(case.shipment(shipment).warehouse.as_str());
        for command in commands(others) {
            let expected = match &command {
                Command::RequestCancellation(cancel_request)
                    if *cancel_request != CancellationRequest::shipment(others).request =>
                {
                    "OUT_OF_SCOPE"
                }
                Command::RequestCancellation(_)
                | Command::StartPreparation(_)
                | Command::MarkReady(_)
                | Command::DispatchShipment(_)
                | Command::RecordTracking(_)
                | Command::AnswerStop(_)
                | Command::AnswerIntercept(_)
                | Command::ReceiveParcel(_)
                | Command::HoldShipment(_)
                | Command::ReleaseHold(_)
                | Command::SplitShipment(_)
                | Command::AddNote(AddNote {
                    subject: Some(NoteSubject::Shipment(_)),
                    ..
                }) => "SHIPMENT_NOT_FOUND",
                // There is no cancellation yet.
                Command::ApproveCancellation(_)
                | Command::RejectCancellation(_)
                | Command::WithdrawCancellation(_)
                | Command::ResolveIncident(_)
                | Command::RecordPayment(_)
                | Command::LeaseRefunds(_)
                | Command::RecordRefundResult(_)
                | Command::UpdateMetadata(_)
                | Command::AddNote(_)
                | Command::Settle => decided(&case, &command, &Scope::EVERYTHING).0,
            };
            assert_eq!(decided(&case, &command, &scope).0, expected, "{command:?}");
        }
        let own = Command::StartPreparation(StartPreparation {
            shipment,
            fence: None,
        });
        assert_eq!(
            decided(&case, &own, &scope).0,
            "ETAG_MISMATCH",
            "only the etag stands against it"
        );
    }
}

#[test]
fn a_cancellation_is_answered_by_who_sees_all_of_it() {
    let consent = gated("PLANNED", &[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    let mut case = two_routes_under(consent);
    case.cancel(CancellationRequest::all()).unwrap();
    let approve = Command::ApproveCancellation(ApproveCancellation {
        cancellation: 1,
        note: None,
    });
    assert_eq!(
        decided(&case, &approve, &warehouses("main")).0,
        "OUT_OF_SCOPE"
    );
    assert_eq!(
        decided(&case, &approve, &carriers("post")).0,
        "ETAG_MISMATCH"
    );
}

#[test]
fn a_preview_sees_as_far_as_the_request_would() {
    let case = case();
    let previewed = |cancel_request: CancellationRequest, scope: &Scope| {
        let caller = Actor::new(Role::Storefront, "shop");
        let context = Context {
            now: case.now,
            caller: &caller,
            scope,
            request_id: Uuid::nil(),
            store: &case.store,
        };
        preview(&case.order, &cancel_request.request, &context)
            .map_or_else(|refused| refused.reason().name(), |_| "OK")
    };
    assert_eq!(
        previewed(CancellationRequest::all(), &sellers("seller-2")),
        "ORDER_NOT_FOUND"
    );
    assert_eq!(
        previewed(CancellationRequest::all(), &warehouses("east")),
        "OUT_OF_SCOPE"
    );
    assert_eq!(
        previewed(CancellationRequest::shipment(1), &warehouses("east")),
        "SHIPMENT_NOT_FOUND"
    );
    assert_eq!(
        previewed(CancellationRequest::shipment(2), &warehouses("east")),
        "OK"
    );
    assert_eq!(
        previewed(CancellationRequest::all(), &carriers("post")),
        "OK"
    );
}

#[test]
fn nobody_places_what_is_not_theirs() {
    let case = case();
    let mut store = case.store.clone();
    store.warehouses.insert(
        WarehouseId::parse("east").unwrap(),
        WarehouseProfile {
            country_code: None,
            calendar: Calendar::monday_to_friday(),
        },
    );
    let caller = Actor::new(Role::Storefront, "shop");
    let place = |command: &CreateOrder, scope: &Scope| {
        let context = Context {
            now: PLACED,
            caller: &caller,
            scope,
            request_id: Uuid::nil(),
            store: &store,
        };
        create(command, [1; 32], &context).map(|decision| decision.result)
    };
    let (by_default, split) = (Cart::of(&[(2, 1_000)]).0, two_routes().0);
    for (command, scope, is_theirs) in [
        (&by_default, sellers("seller-1"), true),
        (&by_default, sellers("seller-2"), false),
        (&by_default, warehouses("main"), true),
        (&by_default, warehouses("east"), false),
        (&by_default, carriers("dove"), false),
        (&split, carriers("post"), true),
        (&split, warehouses("main"), false),
    ] {
        let expected = if is_theirs {
            Ok(Ok(Answer::Order))
        } else {
            Err(Rejection::OutOfScope)
        };
        assert_eq!(place(command, &scope), expected, "{scope:?}");
    }
}

#[test]
fn an_id_that_a_foreign_order_has_taken_looks_like_an_order_that_may_not_be_placed() {
    let case = case();
    let caller = Actor::new(Role::Storefront, "shop");
    let command = Cart::of(&[(2, 1_000)]).0;
    let again = |scope: &Scope, seller: &str, fingerprint| {
        let command = CreateOrder {
            seller: SellerId::parse(seller).unwrap(),
            ..command.clone()
        };
        let context = Context {
            now: PLACED,
            caller: &caller,
            scope,
            request_id: Uuid::nil(),
            store: &case.store,
        };
        create_again(&case.order, &command, fingerprint, &context)
    };
    let (same, other) = (case.order.create_fingerprint, [9; 32]);
    assert_eq!(again(&Scope::EVERYTHING, "seller-1", same), Ok(()));
    assert_eq!(
        again(&Scope::EVERYTHING, "seller-1", other),
        Err(Rejection::OrderAlreadyExists)
    );
    assert_eq!(again(&sellers("seller-1"), "seller-1", same), Ok(()));
    assert_eq!(
        again(&sellers("seller-1"), "seller-2", other),
        Err(Rejection::OutOfScope)
    );
    for fingerprint in [same, other] {
        assert_eq!(
            again(&sellers("seller-2"), "seller-2", fingerprint),
            Err(Rejection::OutOfScope)
        );
    }
}

#[test]
fn a_scope_is_narrow_in_each_of_its_dimensions_alone() {
    let case = case();
    let (order, main, east) = (&case.order, case.shipment(1), case.shipment(2));
    assert_eq!(main.stage, Stage::Planned);
    for (scope, sees) in [
        (Scope::EVERYTHING, (true, true, true)),
        (sellers("seller-1"), (true, true, true)),
        (warehouses("main"), (true, true, false)),
        (warehouses("east"), (true, false, true)),
        (carriers("post"), (true, true, true)),
        (carriers("dove"), (false, false, false)),
        // Each half is there, but on no shipment both.
        (
            Scope {
                carriers: carriers("dove").carriers,
                ..warehouses("main")
            },
            (false, false, false),
        ),
        (
            Scope {
                sellers: only(SellerId::parse("seller-2").unwrap()),
                ..warehouses("main")
            },
            (false, true, false),
        ),
        (
            Scope {
                warehouses: IdFilter::Only(BTreeSet::new()),
                ..Scope::EVERYTHING
            },
            (false, false, false),
        ),
    ] {
        let found = (
            scope.sees_order(order),
            scope.sees_shipment(main),
            scope.sees_shipment(east),
        );
        assert_eq!(found, sees, "{scope:?}");
    }
}
