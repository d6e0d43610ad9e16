//! Shared by the tests of `db`: a database of their own, and an order that has some of everything.

#![allow(dead_code, reason = "each test file uses some of it")]

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::{Annotations, Note, NoteSubject, NoteVisibility, Reference};
use belay_domain::cancellation::{
    Cancellation, Deductions, Gate, GateAnswer, GateState, LabelState, Part, PartState, Receipt,
};
use belay_domain::chain::ChainKey;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, MetadataKey, OrderId, SellerId, Sku, StoreId, SystemId,
    WarehouseId, WorkerId,
};
use belay_domain::incident::{Incident, IncidentKind, IncidentState, Resolution};
use belay_domain::money::{Amounts, Currency, Money};
use belay_domain::order::{Buyer, Destination, Line, Order, OrderState};
use belay_domain::payment::{
    Balance, Payment, PaymentFact, PaymentState, RecordedFact, ReportedAmount,
};
use belay_domain::period::Period;
use belay_domain::records::{NewDecision, NewRequest};
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::shipment::{
    Accepted, CustomsFlag, Hold, Intercept, InterceptState, Scan, Shipment, Stage, TrackingFact,
    Whereabouts,
};
use belay_domain::terms::{
    Effect, Fault, GateKind, GateSpec, GoodsCondition, NextAction, OnDispatch, OnLost, OnTimeout,
    Path, Payer, RefundPlan, RefundShare,
};
use belay_domain::units::{LineQuantity, UnitRange, UnitSet};
use belay_server::db::address::PerMessage;
use belay_server::db::pool::{self, Pool, PoolSettings};
use belay_server::db::writes::Writes;
use belay_server::db::{Conn, DbError, aggregate, decisions, migrate, requests};
use diesel::QueryableByName;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// What takes longer than this hangs; no test is about it.
pub(crate) const HANG: Duration = Duration::from_secs(180);

/// Of the chains of the feed.
pub(crate) fn chain_key() -> ChainKey {
    ChainKey::of(&[7; 32])
}

pub(crate) async fn insert_orders(conn: &mut Conn, new: &[(&Order, u16)]) -> Result<(), DbError> {
    let mut writes = Writes::default();
    aggregate::insert(&mut writes, new)?;
    writes.send(conn, PerMessage::Many).await
}

pub(crate) async fn update_orders(
    conn: &mut Conn,
    changed: &[(&Order, &Order)],
) -> Result<(), DbError> {
    let mut writes = Writes::default();
    aggregate::update(&mut writes, changed)?;
    writes.send(conn, PerMessage::Many).await
}

pub(crate) async fn insert_requests(conn: &mut Conn, new: &[NewRequest]) -> Result<(), DbError> {
    let mut writes = Writes::default();
    requests::insert(&mut writes, new)?;
    writes.send(conn, PerMessage::Many).await
}

pub(crate) async fn insert_decisions(conn: &mut Conn, new: &[NewDecision]) -> Result<(), DbError> {
    let mut writes = Writes::default();
    decisions::insert(&mut writes, new)?;
    writes.send(conn, PerMessage::Many).await
}

/// A database that one test has to itself; it is dropped with this.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    pub(crate) name: String,
    pub(crate) url: SecretString,
}

impl TestDatabase {
    /// With all migrations.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        migrate::run(&database.url).await.unwrap();
        database
    }

    pub(crate) async fn empty() -> Self {
        let name = format!("belay_test_{:016x}", fastrand::u64(..));
        root()
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let url = SecretString::from(format!("{}/{name}", root_url()));
        Self { name, url }
    }

    pub(crate) async fn connect(&self) -> Conn {
        pool::connect(&self.url).await.unwrap()
    }

    /// The URL for another account.
    pub(crate) fn url_as(&self, user: &str) -> SecretString {
        SecretString::from(
            self.url
                .expose_secret()
                .replace("://root@", &format!("://{user}@")),
        )
    }

    pub(crate) fn pool(&self, size: usize) -> Pool {
        // However slow the machine is, a wait for a connection that comes is no failure.
        Pool::new(
            &self.url,
            PoolSettings {
                size,
                wait_max: HANG,
                ..PoolSettings::default()
            },
        )
        .unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Also while a failed test unwinds, when its own runtime can run nothing more.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(drop_database(&name))
        });
        let _ = dropped.join();
    }
}

/// Kills who is connected first: a transaction that a test left open would hold the tables.
async fn drop_database(name: &str) {
    #[derive(QueryableByName)]
    struct Connected {
        #[diesel(sql_type = diesel::sql_types::Unsigned<diesel::sql_types::BigInt>)]
        id: u64,
    }
    let mut root = root().await;
    let connected = format!(
        "SELECT processlist_id AS id FROM performance_schema.threads WHERE processlist_db = '{name}'"
    );
    let connected: Vec<Connected> = diesel::sql_query(connected).load(&mut root).await.unwrap();
    for Connected { id } in connected {
        let _ = root.batch_execute(&format!("KILL {id}")).await;
    }
    root.batch_execute(&format!("DROP DATABASE {name}"))
        .await
        .unwrap();
}

fn root_url() -> String {
    let url = std::env::var("BELAY_TEST_DATABASE_URL");
    let url =
        url.expect("BELAY_TEST_DATABASE_URL names a MySQL to test on; `make test` starts one");
    url.trim_end_matches('/').to_owned()
}

/// A connection to the server, to no database.
pub(crate) async fn root() -> Conn {
    pool::connect(&SecretString::from(root_url()))
        .await
        .unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn store() -> StoreId {
    StoreId::parse("demo").unwrap()
}

pub(crate) fn units(ranges: &[(u32, u32, u32)]) -> UnitSet {
    UnitSet::new(ranges.iter().map(|(line, first, count)| UnitRange {
        line: *line,
        first: *first,
        count: *count,
    }))
}

/// An unpaid order of so many lines in one shipment.
pub(crate) fn order(id: &str, lines: u32) -> Order {
    let line = |number| Line {
        number,
        sku: Sku::parse(format!("SKU-{number}")).unwrap(),
        title: format!("Ложка №{number} 🥄"),
        quantity: 3,
        goods: 1_000,
        discount: 1,
        tax: 190,
    };
    let create_time = time("2026-03-01T10:00:00.123456Z");
    Order {
        store: store(),
        id: OrderId::parse(id).unwrap(),
        version: 1,
        state: OrderState::AwaitingPayment,
        buyer: Buyer {
            id: BuyerId::parse("b-1").unwrap(),
            email_hash: Some([7; 32]),
            username_hash: None,
        },
        seller: SellerId::parse("s-1").unwrap(),
        destination: Destination {
            country_code: "DE".into(),
            region: "Bayern".into(),
            city: "München".into(),
        },
        currency: Currency::parse("EUR").unwrap(),
        shipping: 499,
        shipping_tax: 95,
        policy_version: 1,
        create_time,
        update_time: create_time,
        pay_by: time("2026-03-01T11:00:00Z"),
        pay_by_moved: false,
        paid_time: None,
        lapse_time: None,
        verified_at: None,
        create_fingerprint: [9; 32],
        lines: (1..=lines).map(line).collect(),
        payments: Vec::new(),
        shipments: vec![shipment(
            1,
            (1..=lines)
                .map(|line| (line, 0, 3))
                .collect::<Vec<_>>()
                .as_slice(),
        )],
        cancellations: Vec::new(),
        refunds: Vec::new(),
        incidents: Vec::new(),
        annotations: annotations("order"),
        notes: vec![
            Note {
                number: 1,
                visibility: NoteVisibility::Private,
                text: "zwei Zeilen\n\"und\" 🥄".into(),
                author: Actor::new(Role::Support, "sam"),
                subject: None,
                create_time,
            },
            Note {
                number: 2,
                visibility: NoteVisibility::Public,
                text: "Sorry.".into(),
                author: Actor::new(Role::Seller, "acme"),
                subject: Some(NoteSubject::Shipment(1)),
                create_time,
            },
        ],
    }
}

pub(crate) fn shipment(number: u32, ranges: &[(u32, u32, u32)]) -> Shipment {
    Shipment {
        number,
        warehouse: WarehouseId::parse("w-1").unwrap(),
        carrier: CarrierId::parse("c-1").unwrap(),
        stage: Stage::Unreleased,
        fence: 1,
        units: units(ranges),
        shipping: 499,
        shipping_tax: 95,
        tracking_number: None,
        whereabouts: Whereabouts::default(),
        dispatch_time: None,
        deliver_time: None,
        update_time: time("2026-03-01T10:00:00.123456Z"),
        last_tracking_time: None,
        carrier_event_ids: Vec::new(),
        prepare_by: None,
        preparation_overdue: false,
        hold: None,
        intercept: None,
        customs_flag: None,
        split_from: None,
    }
}

fn fact(event: &str, fact: PaymentFact, amount: i64, time: Timestamp) -> RecordedFact {
    RecordedFact {
        provider_event_id: Some(ExternalId::parse(event).unwrap()),
        fact,
        amount: Some(ReportedAmount::Own(amount)),
        movement: None,
        refund: None,
        time,
        confirmed: false,
    }
}

pub(crate) fn refund(number: u32, state: RefundState, due_by: Timestamp) -> Refund {
    Refund {
        number,
        payment: 1,
        cancellation: Some(1),
        kind: RefundKind::Refund,
        state,
        amounts: Amounts {
            goods: 333,
            tax: 63,
            shipping: 0,
            excess: 1,
        },
        due_by,
        worker: None,
        lease_until: None,
        provider_refund_id: None,
        failure_code: None,
        create_time: time("2026-03-02T10:00:00Z"),
        update_time: time("2026-03-02T10:00:00Z"),
        settle_time: None,
        overdue_at: due_by + SignedDuration::from_hours(24),
        overdue: false,
        retry_of: None,
        settled_amount: None,
    }
}

/// The order of [`order`] after much has happened: something in every table and in every column.
pub(crate) fn eventful(id: &str) -> Order {
    let at = time("2026-03-02T10:00:00.000001Z");
    let before = order(id, 3);
    let dollars = Money {
        currency: Currency::parse("USD").unwrap(),
        minor_units: 7,
    };
    let payment = Payment {
        number: 1,
        provider_payment_id: ExternalId::parse("pay_1").unwrap(),
        method: "CREDIT_CARD".into(),
        create_time: at,
        update_time: at,
        facts: vec![
            fact("evt_1", PaymentFact::Authorized, 4_161, at),
            RecordedFact {
                movement: Some(ExternalId::parse("ch_1").unwrap()),
                refund: Some(1),
                confirmed: true,
                ..fact(r#"evt_"\'2"#, PaymentFact::Captured, 4_161, at)
            },
            RecordedFact {
                provider_event_id: None,
                amount: None,
                ..fact("-", PaymentFact::Voided, 0, at)
            },
            RecordedFact {
                amount: Some(ReportedAmount::Foreign(dollars)),
                ..fact("evt_3", PaymentFact::Chargeback, 0, at)
            },
        ],
        balance: Balance {
            state: PaymentState::Captured,
            authorized: 4_161,
            held: 1,
            captured: 4_161,
            unconfirmed: 2,
            returned_outside: 5,
            disputed: 3,
            capture_time: Some(at),
        },
    };
    let mut first = shipment(1, &[(1, 0, 3), (2, 0, 1)]);
    first.stage = Stage::Delivered;
    first.fence = 4;
    first.tracking_number = Some(ExternalId::parse("TRACK-1").unwrap());
    first.whereabouts = Whereabouts {
        left: units(&[(1, 0, 3), (2, 0, 1)]),
        home: units(&[(1, 1, 2)]),
        receipt_ids: vec![ExternalId::parse(r#"box_"\'1"#).unwrap()],
        scans: vec![Scan {
            fact: TrackingFact::Delivered,
            time: at,
        }],
        left_unseen: true,
        accepted: vec![Accepted {
            cancellation: Some(1),
            units: units(&[(1, 2, 1)]),
        }],
    };
    first.dispatch_time = Some(at);
    first.deliver_time = Some(at);
    first.last_tracking_time = Some(at);
    first.carrier_event_ids = vec![ExternalId::parse("scan-1").unwrap()];
    first.prepare_by = Some(at);
    first.preparation_overdue = true;
    first.hold = Some(Hold {
        until: at + SignedDuration::from_hours(72),
        note: Some("Zoll \"prüft\"".into()),
        placed_by: Actor::new(Role::Seller, "s-1"),
        create_time: at,
    });
    first.intercept = Some(Intercept {
        state: InterceptState::Confirmed,
        request_time: at,
        update_time: at + SignedDuration::from_secs(1),
    });
    first.customs_flag = Some(CustomsFlag {
        sku: Sku::parse("SKU-1").unwrap(),
        quantity: 3,
        units_max: 2,
    });
    let mut second = shipment(2, &[(2, 1, 2), (3, 0, 3)]);
    second.split_from = Some(1);
    let settled = Refund {
        worker: Some(WorkerId::parse("worker-1").unwrap()),
        lease_until: Some(at),
        provider_refund_id: Some(ExternalId::parse("re_1").unwrap()),
        failure_code: Some("expired_card".into()),
        settled_amount: Some(396),
        settle_time: Some(at),
        cancellation: None,
        overdue: true,
        ..refund(1, RefundState::Failed, at)
    };
    let retry = Refund {
        retry_of: Some(1),
        ..refund(2, RefundState::Due, at)
    };
    let incident = Incident {
        number: 1,
        kind: IncidentKind::RefundMismatch,
        state: IncidentState::Resolved,
        shipment: Some(1),
        refund: Some(1),
        payment: Some(1),
        amount: Some(17),
        create_time: at,
        cancellation: Some(2),
        resolve_time: Some(at),
        resolution: Some(Resolution::RetryRefund),
        resolved_by: Some(Actor::new(Role::Support, "ann")),
        note: Some("zweimal gebucht".into()),
    };
    Order {
        version: 7,
        state: OrderState::PartlyShipped,
        update_time: at,
        pay_by: time("2026-03-01T11:30:00Z"),
        pay_by_moved: true,
        paid_time: Some(at),
        lapse_time: Some(at),
        verified_at: Some(at),
        payments: vec![payment],
        shipments: vec![first, second],
        cancellations: vec![cancellation(1), cancellation(2)],
        refunds: vec![settled, retry],
        incidents: vec![incident],
        ..before
    }
}

/// A gate that is open.
pub(crate) fn gate(kind: GateKind) -> Gate {
    let at = time("2026-03-02T10:00:00.000001Z");
    Gate {
        spec: GateSpec {
            kind,
            respond_within: Some(Period::Time(SignedDuration::from_hours(48))),
            remind_before: Some(SignedDuration::from_micros(3_600_000_001)),
            on_timeout: OnTimeout::Escalate,
            escalate_within: Some(Period::WorkingDays(2)),
            on_dispatch: OnDispatch::Bar,
            on_lost: OnLost::Pass,
        },
        instead_of: None,
        state: GateState::Open,
        open_time: Some(at),
        respond_by: Some(at + SignedDuration::from_hours(48)),
        remind_at: Some(at + SignedDuration::from_hours(47)),
        close_time: None,
        answer: None,
    }
}

pub(crate) fn annotations(of: &str) -> Annotations {
    let reference = Reference {
        id: ExternalId::parse("4711").unwrap(),
        url: Some("https://erp.example.org/4711?a=\"b\"".into()),
    };
    Annotations {
        metadata: [(MetadataKey::parse("of").unwrap(), of.to_owned())].into(),
        references: [(SystemId::parse("sap").unwrap(), reference)].into(),
    }
}

/// With a part that is over, one that has come back and one that waits for its gates.
pub(crate) fn cancellation(number: u32) -> Cancellation {
    let at = time("2026-03-02T10:00:00.000001Z");
    let stopped = Gate {
        state: GateState::Passed,
        remind_at: None,
        close_time: Some(at),
        answer: Some(GateAnswer {
            code: Some("FOUND".into()),
            note: Some("im \"Regal\"\n🥄".into()),
            evidence: vec!["CHAT:1".into()],
            stage_seen: Some(Stage::Ready),
            put_back: vec![LineQuantity {
                line: 3,
                quantity: 2,
            }],
            ..GateAnswer::by(Actor::new(Role::Warehouse, "w-1"))
        }),
        ..gate(GateKind::WarehouseStop)
    };
    let queued = Gate {
        spec: GateSpec {
            respond_within: Some(Period::CalendarDays(7)),
            remind_before: None,
            escalate_within: None,
            ..gate(GateKind::ParcelReceipt).spec
        },
        state: GateState::Queued,
        open_time: None,
        respond_by: None,
        remind_at: None,
        ..gate(GateKind::ParcelReceipt)
    };
    let review = Gate {
        instead_of: Some(GateKind::ParcelReceipt),
        state: GateState::Closed,
        close_time: Some(at),
        ..gate(GateKind::SupportReview)
    };
    let endless = Gate {
        spec: GateSpec {
            respond_within: None,
            ..queued.spec.clone()
        },
        ..queued.clone()
    };
    let over = Part {
        shipment: 1,
        units: units(&[(1, 0, 1), (1, 2, 1)]),
        path: Path::Intercept,
        state: PartState::Refused,
        rule: Some("no-intercept".into()),
        plan: RefundPlan::NONE,
        refused_reason: Some(ErrorReason::NotInterceptable),
        next_actions: vec![NextAction::RefuseDelivery, NextAction::ContactSupport],
        refund: Amounts::ZERO,
        deductions: Deductions::default(),
        label: Some(LabelState::UnavailableInRegion),
        receipt: None,
        effects: Vec::new(),
        gates: Vec::new(),
    };
    let returned = Part {
        units: units(&[(2, 0, 1)]),
        path: Path::ReturnOpened,
        state: PartState::Cancelled,
        plan: RefundPlan {
            share: RefundShare::BySchedule,
            outbound_shipping: Payer::Seller,
            return_shipping: Payer::Buyer,
        },
        refused_reason: None,
        next_actions: Vec::new(),
        deductions: Deductions {
            outbound_shipping: 499,
            return_shipping: 350,
            by_schedule: 33,
        },
        label: Some(LabelState::Issued),
        receipt: Some(Receipt {
            condition: GoodsCondition::Opened,
            receive_time: at,
        }),
        effects: vec![Effect::Restock, Effect::ZeroStock],
        ..over.clone()
    };
    let waiting = Part {
        shipment: 2,
        units: units(&[(3, 0, 3)]),
        path: Path::Cancel,
        state: PartState::Waiting,
        rule: None,
        plan: RefundPlan::FULL,
        refused_reason: None,
        next_actions: Vec::new(),
        refund: Amounts {
            goods: 999,
            tax: 190,
            shipping: 249,
            excess: 0,
        },
        deductions: Deductions::default(),
        label: None,
        receipt: None,
        effects: Vec::new(),
        gates: vec![
            stopped,
            gate(GateKind::SellerConsent),
            queued,
            endless,
            review,
        ],
    };
    Cancellation {
        number,
        reason: Some("CHANGED_MIND".into()),
        fault: Fault::Buyer,
        note: Some("zwei Zeilen\n\"und\" 🥄".into()),
        evidence: vec!["https://example.org/1".into()],
        counted: true,
        effects: vec![Effect::Restock],
        next_actions: vec![NextAction::SetStock],
        requester: Actor::new(Role::Buyer, "b-1"),
        submitted_by: Actor::new(Role::Storefront, "web"),
        policy_version: 1,
        parts: vec![over, waiting, returned],
        create_time: at,
        close_time: None,
        annotations: annotations("cancellation"),
    }
}
