//! What the tests of `db` share: a database of their own, and an order that has some of everything.

#![allow(dead_code, reason = "each test file uses some of it")]

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{Cancellation, Fault, Gate, GateKind, GateState, Part, PartState, Path};
use belay_domain::ids::{BuyerId, CarrierId, ExternalId, OrderId, SellerId, Sku, StoreId, WarehouseId, WorkerId};
use belay_domain::incident::{Incident, IncidentKind, IncidentState};
use belay_domain::money::{Amounts, Currency};
use belay_domain::order::{Buyer, Destination, Line, Order, OrderState};
use belay_domain::payment::{Payment, PaymentState};
use belay_domain::policy::{Effect, GateSpec, NextAction, OnDispatch, OnLost, OnTimeout, RefundPlan};
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::shipment::{Shipment, Stage};
use belay_domain::units::{UnitRange, UnitSet};
use belay_server::db::pool::{self, Pool, PoolSettings};
use belay_server::db::{Conn, migrate};
use diesel::QueryableByName;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

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
        root().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let url = SecretString::from(format!("{}/{name}", root_url()));
        Self { name, url }
    }

    pub(crate) async fn connect(&self) -> Conn {
        pool::connect(&self.url).await.unwrap()
    }

    /// The URL for another account.
    pub(crate) fn url_as(&self, user: &str) -> SecretString {
        SecretString::from(self.url.expose_secret().replace("://root@", &format!("://{user}@")))
    }

    pub(crate) fn pool(&self, size: usize) -> Pool {
        Pool::new(&self.url, PoolSettings { size, ..PoolSettings::default() }).unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Also while a failed test unwinds, when its own runtime can run nothing more.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
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
    let connected =
        format!("SELECT processlist_id AS id FROM performance_schema.threads WHERE processlist_db = '{name}'");
    let connected: Vec<Connected> = diesel::sql_query(connected).load(&mut root).await.unwrap();
    for Connected { id } in connected {
        let _ = root.batch_execute(&format!("KILL {id}")).await;
    }
    root.batch_execute(&format!("DROP DATABASE {name}")).await.unwrap();
}

fn root_url() -> String {
    let url = std::env::var("BELAY_TEST_DATABASE_URL");
    let url = url.expect("BELAY_TEST_DATABASE_URL names a MySQL to test on; `make test` starts one");
    url.trim_end_matches('/').to_owned()
}

/// A connection to the server, to no database.
pub(crate) async fn root() -> Conn {
    pool::connect(&SecretString::from(root_url())).await.unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn store() -> StoreId {
    StoreId::parse("demo").unwrap()
}

fn units(ranges: &[(u32, u32, u32)]) -> UnitSet {
    UnitSet::new(ranges.iter().map(|(line, first, count)| UnitRange { line: *line, first: *first, count: *count }))
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
        buyer: Buyer { id: BuyerId::parse("b-1").unwrap(), email_hash: Some([7; 32]), username_hash: None },
        seller: SellerId::parse("s-1").unwrap(),
        destination: Destination { country_code: "DE".into(), region: "Bayern".into(), city: "München".into() },
        currency: Currency::parse("EUR").unwrap(),
        shipping: 499,
        shipping_tax: 95,
        policy_version: 1,
        create_time,
        update_time: create_time,
        pay_by: time("2026-03-01T11:00:00Z"),
        pay_by_moved: false,
        paid_time: None,
        create_fingerprint: [9; 32],
        lines: (1..=lines).map(line).collect(),
        payments: Vec::new(),
        shipments: vec![shipment(1, (1..=lines).map(|line| (line, 0, 3)).collect::<Vec<_>>().as_slice())],
        cancellations: Vec::new(),
        refunds: Vec::new(),
        incidents: Vec::new(),
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
        dispatch_time: None,
        deliver_time: None,
        update_time: time("2026-03-01T10:00:00.123456Z"),
        last_tracking_time: None,
        carrier_event_ids: Vec::new(),
    }
}

pub(crate) fn refund(number: u32, state: RefundState, due_by: Timestamp) -> Refund {
    Refund {
        number,
        payment: 1,
        cancellation: Some(1),
        kind: RefundKind::Refund,
        state,
        amounts: Amounts { goods: 333, tax: 63, shipping: 0, excess: 1 },
        due_by,
        worker: None,
        lease_until: None,
        provider_refund_id: None,
        failure_code: None,
        create_time: time("2026-03-02T10:00:00Z"),
        update_time: time("2026-03-02T10:00:00Z"),
        settle_time: None,
    }
}

/// The order of [`order`] after much has happened: something in every table and in every column.
pub(crate) fn eventful(id: &str) -> Order {
    let at = time("2026-03-02T10:00:00.000001Z");
    let before = order(id, 3);
    let payment = Payment {
        number: 1,
        provider_payment_id: ExternalId::parse("pay_1").unwrap(),
        method: "CREDIT_CARD".into(),
        state: PaymentState::Captured,
        authorized: 4_161,
        captured: 4_161,
        returned_outside: 5,
        create_time: at,
        update_time: at,
        capture_time: Some(at),
        provider_event_ids: vec![ExternalId::parse("evt_1").unwrap(), ExternalId::parse(r#"evt_"\'2"#).unwrap()],
    };
    let mut first = shipment(1, &[(1, 0, 3), (2, 0, 1)]);
    first.stage = Stage::Delivered;
    first.fence = 4;
    first.tracking_number = Some(ExternalId::parse("TRACK-1").unwrap());
    first.dispatch_time = Some(at);
    first.deliver_time = Some(at);
    first.last_tracking_time = Some(at);
    first.carrier_event_ids = vec![ExternalId::parse("scan-1").unwrap()];
    let settled = Refund {
        worker: Some(WorkerId::parse("worker-1").unwrap()),
        lease_until: Some(at),
        provider_refund_id: Some(ExternalId::parse("re_1").unwrap()),
        failure_code: Some("expired_card".into()),
        settle_time: Some(at),
        cancellation: None,
        ..refund(1, RefundState::Failed, at)
    };
    let incident = Incident {
        number: 1,
        kind: IncidentKind::RefundMismatch,
        state: IncidentState::Resolved,
        shipment: Some(1),
        refund: Some(1),
        create_time: at,
        resolve_time: Some(at),
    };
    Order {
        version: 7,
        state: OrderState::PartlyShipped,
        update_time: at,
        pay_by: time("2026-03-01T11:30:00Z"),
        pay_by_moved: true,
        paid_time: Some(at),
        payments: vec![payment],
        shipments: vec![first, shipment(2, &[(2, 1, 2), (3, 0, 3)])],
        cancellations: vec![cancellation(1), cancellation(2)],
        refunds: vec![settled, refund(2, RefundState::Due, at)],
        incidents: vec![incident],
        ..before
    }
}

/// With a part that is over and one that waits for two gates.
pub(crate) fn cancellation(number: u32) -> Cancellation {
    let at = time("2026-03-02T10:00:00.000001Z");
    let gate = |kind, state| Gate {
        spec: GateSpec {
            kind,
            respond_within: Some(SignedDuration::from_hours(48)),
            on_timeout: OnTimeout::Escalate,
            on_dispatch: OnDispatch::Bar,
            on_lost: OnLost::Pass,
        },
        state,
        open_time: Some(at),
        respond_by: Some(at + SignedDuration::from_hours(48)),
        close_time: None,
    };
    let over = Part {
        shipment: 1,
        units: units(&[(1, 0, 1), (1, 2, 1)]),
        path: Path::Intercept,
        state: PartState::Refused,
        rule: Some("no-intercept".into()),
        plan: RefundPlan::None,
        refused_reason: Some("NOT_INTERCEPTABLE".into()),
        next_actions: vec![NextAction::RefuseDelivery, NextAction::ContactSupport],
        refund: Amounts::ZERO,
        gates: Vec::new(),
    };
    let waiting = Part {
        shipment: 2,
        units: units(&[(3, 0, 3)]),
        path: Path::Cancel,
        state: PartState::Waiting,
        rule: None,
        plan: RefundPlan::Full,
        refused_reason: None,
        next_actions: Vec::new(),
        refund: Amounts { goods: 999, tax: 190, shipping: 249, excess: 0 },
        gates: vec![
            gate(GateKind::SellerConsent, GateState::Open),
            Gate {
                spec: GateSpec { respond_within: None, ..gate(GateKind::WarehouseStop, GateState::Queued).spec },
                open_time: None,
                respond_by: None,
                ..gate(GateKind::WarehouseStop, GateState::Queued)
            },
        ],
    };
    Cancellation {
        number,
        reason: "CHANGED_MIND".into(),
        fault: Fault::Buyer,
        note: Some("zwei Zeilen\n\"und\" 🥄".into()),
        evidence: vec!["https://example.org/1".into()],
        counted: true,
        effects: vec![Effect::Restock],
        requester: Actor::new(Role::Buyer, "b-1"),
        submitted_by: Actor::new(Role::Storefront, "web"),
        policy_version: 1,
        parts: vec![over, waiting],
        create_time: at,
        close_time: None,
    }
}
