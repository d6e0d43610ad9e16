//! Every two commands that can meet on one order, at the same time. What comes of them must be what
//! would have come of one after the other: the same answers, the same order, the same money. Which
//! pairs leave exactly one winner, the rules say; here the server itself is asked first, with
//! nobody else about, once for each of the two orders. The same command twice under one request_id,
//! a double click, is a pair too.

mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use belay_client::calls::{FirstPolicy, NewShipment};
use belay_client::{RequestId, Store};
use belay_proto::v1 as pb;
use belay_server::server::ServerSettings;
use belay_tests::instance::Service;
use belay_tests::shop::{new_order, pay};
use belay_tests::{TestServer, documents, run};
use futures_util::StreamExt;
use tokio::join;

use self::steps::{Answer, Click, Side, Step};

/// Of each pair, half of them on one server and half on two. BELAY_PAIR_TRIALS makes more of them.
const TRIALS: usize = 4;
/// Trials that run at the same time, each on an order of its own, so that batches hold many.
const AT_ONCE: usize = 32;
/// Connections of one server.
const CONNECTIONS: usize = 12;
/// The store of these tests: its policy has a reason for each gate.
const STORE: &str = "pairs";

/// The state of an order when two callers meet on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Unpaid,
    Paid,
    /// The buyer's request waits for the seller.
    ConsentWaits,
    /// The buyer's request waits for the warehouse.
    StopWaits,
    InTransit,
    /// The buyer's request waits for the carrier.
    InterceptWaits,
    /// The carrier brings the parcel back.
    ReceiptWaits,
    /// It was cancelled, and scanned out all the same.
    Contested,
    Held,
    /// Money is to go back, and no worker has it yet.
    RefundDue,
    /// A worker asks the provider to give money back.
    RefundLeased,
    /// The provider could not give it back.
    RefundFailed,
}

impl Scene {
    const ALL: [Scene; 12] = [
        Scene::Unpaid,
        Scene::Paid,
        Scene::ConsentWaits,
        Scene::StopWaits,
        Scene::InTransit,
        Scene::InterceptWaits,
        Scene::ReceiptWaits,
        Scene::Contested,
        Scene::Held,
        Scene::RefundDue,
        Scene::RefundLeased,
        Scene::RefundFailed,
    ];

    /// What somebody may send just then.
    #[rustfmt::skip]
    fn steps(self) -> &'static [Step] {
        use Step::*;
        match self {
            Scene::Unpaid => &[Cancel, CancelOne, CancelTwo, Pay, Decline, Hold, Split],
            Scene::Paid => &[
                Cancel, CancelOne, CancelTwo, AskSeller, AskWarehouse, Pay, Chargeback, Prepare, MarkReady, Dispatch,
                ScanOut, Hold, Split,
            ],
            Scene::ConsentWaits => {
                &[Approve, Reject, Withdraw, Cancel, Prepare, MarkReady, Dispatch, ScanOut, Chargeback, Hold, Split]
            }
            Scene::StopWaits => {
                &[Stop, StopSome, CannotStop, Withdraw, Prepare, MarkReady, Dispatch, ScanOut, ScanLost, Hold, Split]
            }
            Scene::InTransit => &[AskCarrier, Cancel, ScanDelivered, ScanLost, ScanReturned, Receive, Hold, Split],
            Scene::InterceptWaits => {
                &[Confirm, CannotIntercept, Withdraw, ScanDelivered, ScanLost, ScanReturned, Receive, Hold, Split]
            }
            Scene::ReceiptWaits => {
                &[Receive, ReceiveSome, Withdraw, ScanDelivered, ScanLost, ScanReturned, Hold, Split]
            }
            Scene::Contested => {
                &[RefundAnyway, DropRefund, Receive, ScanDelivered, Confirm, LeaseRefund, Hold, Split]
            }
            Scene::Held => &[Release, Dispatch, Cancel, CancelOne, AskWarehouse, ScanOut, Hold, Split],
            Scene::RefundDue => &[LeaseRefund, SettleRefund, FailRefund, Chargeback, ScanOut],
            Scene::RefundLeased => {
                &[LeaseRefund, SettleRefund, SettleLess, FailRefund, LoseRefund, Chargeback, ScanOut]
            }
            Scene::RefundFailed => &[RetryRefund, AcceptIncident, SettleRefund, LeaseRefund, Chargeback],
        }
    }

    /// What brings a paid order there.
    fn way(self) -> &'static [Step] {
        match self {
            Scene::Unpaid | Scene::Paid => &[],
            Scene::ConsentWaits => &[Step::AskSeller],
            Scene::StopWaits => &[Step::AskWarehouse],
            Scene::InTransit => &[Step::ScanOut],
            Scene::InterceptWaits => &[Step::ScanOut, Step::AskCarrier],
            Scene::ReceiptWaits => &[Step::ScanOut, Step::AskCarrier, Step::Confirm],
            Scene::Contested => &[Step::Cancel, Step::ScanOut],
            Scene::Held => &[Step::Hold],
            Scene::RefundDue => &[Step::Cancel],
            Scene::RefundLeased => &[Step::Cancel, Step::LeaseRefund],
            Scene::RefundFailed => &[Step::Cancel, Step::LeaseRefund, Step::FailRefund],
        }
    }

    /// Every two steps, also one with itself: as two callers would send it, and as one that clicks
    /// twice.
    fn pairs(self) -> Vec<Pair> {
        let steps = self.steps();
        let mut pairs = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            pairs.extend(steps[at..].iter().map(|other| Pair {
                steps: [*step, *other],
                is_double_click: false,
            }));
            pairs.push(Pair {
                steps: [*step, *step],
                is_double_click: true,
            });
        }
        pairs
    }
}

/// Two commands that meet.
#[derive(Debug, Clone, Copy)]
struct Pair {
    steps: [Step; 2],
    /// Both have the same request_id.
    is_double_click: bool,
}

impl Pair {
    fn clicks(self, order: &str, fence: i64) -> [Click; 2] {
        let ids = match (RequestId::mint(), self.is_double_click) {
            (id, true) => [id, id],
            (id, false) => [id, RequestId::mint()],
        };
        [0, 1].map(|at| Click {
            step: self.steps[at],
            order: order.to_owned(),
            fence,
            id: ids[at],
        })
    }
}

/// The answers to two callers, in the order of the pair, and what became of their order.
type Outcome = ([String; 2], String);

/// All that may come of a pair: of the first step before the second, and of the second before the
/// first.
type Serial = [Outcome; 2];

/// The numbers of times that a pair came out as each of the two orders, where they differ.
type Wins = [usize; 2];

/// Everything of an order that is not an id of chance, a time or a counter.
fn digest(order: &pb::Order) -> String {
    let money = |money: &Option<pb::Money>| money.as_ref().map_or(0, |money| money.minor_units);
    let totals = order.totals.as_ref().expect("an order has totals");
    let mut text = format!(
        "{:?} {}-{}",
        order.state(),
        money(&totals.captured),
        money(&totals.refunded)
    );
    for line in &order.lines {
        write!(
            text,
            " l{}-{}-{}",
            line.quantity, line.pending_quantity, line.cancelled_quantity
        )
        .expect("text");
    }
    for payment in &order.payments {
        write!(
            text,
            " m:{:?}:{}",
            payment.state(),
            money(&payment.captured)
        )
        .expect("text");
    }
    for shipment in &order.shipments {
        let units: Vec<i32> = shipment
            .contents
            .iter()
            .map(|content| content.quantity)
            .collect();
        let intercept = shipment.intercept.as_ref().map(pb::Intercept::state);
        write!(
            text,
            " s:{:?}:{units:?}:{}:{intercept:?}",
            shipment.stage(),
            shipment.hold.is_some()
        )
        .expect("text");
    }
    for cancellation in &order.cancellations {
        write!(
            text,
            " c:{:?}:{}",
            cancellation.state(),
            cancellation.close_reason
        )
        .expect("text");
        for part in &cancellation.parts {
            let units: Vec<i32> = part
                .contents
                .iter()
                .map(|content| content.quantity)
                .collect();
            let gates: Vec<_> = part.gates.iter().map(pb::Gate::state).collect();
            write!(
                text,
                " p:{:?}:{}:{units:?}:{gates:?}",
                part.state(),
                part.refused_reason
            )
            .expect("text");
        }
    }
    for refund in &order.refunds {
        let total = refund
            .amount
            .as_ref()
            .map_or(0, |amount| money(&amount.total));
        write!(
            text,
            " r:{:?}:{total}:{}",
            refund.state(),
            refund.worker_id.is_empty()
        )
        .expect("text");
    }
    for incident in &order.incidents {
        write!(
            text,
            " i:{:?}:{:?}:{:?}",
            incident.kind(),
            incident.state(),
            incident.resolution()
        )
        .expect("text");
    }
    text
}

/// The servers and the store that they share.
struct Arena<'a> {
    scene: Scene,
    left: &'a Side,
    /// With what these callers are called: on the same server, and on another one.
    right: [(&'static str, &'a Side); 2],
    store: &'a Store,
}

impl Arena<'_> {
    /// An order that has come as far as the scene.
    async fn prepare(&self, order: &str) {
        let shipment = NewShipment::new([(1, 3), (2, 1)]).carrier_id("express");
        new_order(self.store, order)
            .shipments([shipment])
            .await
            .expect("an order");
        if self.scene != Scene::Unpaid {
            pay(self.store, order).await;
        }
        for step in self.scene.way() {
            let click = Click {
                step: *step,
                order: order.to_owned(),
                fence: 0,
                id: RequestId::mint(),
            };
            let (word, _) = self.left.take(&click).await;
            assert!(
                word.starts_with("ok"),
                "{:?}: {step:?} is answered {word}",
                self.scene
            );
        }
    }

    /// One after the other, in both orders. Gives also the fence that every caller of the scene
    /// sees.
    async fn one_after_the_other(&self, at: usize, pair: Pair) -> (i64, Serial) {
        let name = |which: &str| format!("{:?}-{at}-{which}", self.scene);
        let (ab, ba) = (name("AB"), name("BA"));
        join!(self.prepare(&ab), self.prepare(&ba));
        let fence = self.left.order(&ab).await.shipments[0].fence;
        let [first, second] = pair.clicks(&ab, fence);
        let answers = [
            self.left.take(&first).await.0,
            self.left.take(&second).await.0,
        ];
        let forth = (answers, digest(&self.left.order(&ab).await));
        let [first, second] = pair.clicks(&ba, fence);
        let last_first = [
            self.left.take(&second).await.0,
            self.left.take(&first).await.0,
        ];
        let [later, earlier] = last_first;
        (
            fence,
            [
                forth,
                ([earlier, later], digest(&self.left.order(&ba).await)),
            ],
        )
    }

    async fn at_once(&self, pair: Pair, order: String, fence: i64, trial: usize) -> Outcome {
        self.prepare(&order).await;
        let [first, second] = pair.clicks(&order, fence);
        let (_, right) = self.right[trial % 2];
        // Each is sent before the other as often.
        let (left, right): (Answer, Answer) = match trial / 2 % 2 {
            0 => join!(self.left.take(&first), right.take(&second)),
            _ => {
                let (right, left) = join!(right.take(&second), self.left.take(&first));
                (left, right)
            }
        };
        if pair.is_double_click {
            assert_eq!(
                left, right,
                "{:?}: whoever clicks twice is answered twice the same",
                pair.steps
            );
        }
        ([left.0, right.0], digest(&self.left.order(&order).await))
    }

    /// Lets every pair meet and gives how often each side was first: on one server and on two, pair
    /// by pair.
    async fn meet(&self, trials: usize) -> [BTreeMap<String, Wins>; 2] {
        let pairs = self.scene.pairs();
        let serials = pairs
            .iter()
            .enumerate()
            .map(|(at, pair)| self.one_after_the_other(at, *pair));
        let serials: Vec<(i64, Serial)> = futures_util::stream::iter(serials)
            .buffered(AT_ONCE)
            .collect()
            .await;
        let meetings = (0..trials).flat_map(|trial| (0..pairs.len()).map(move |at| (at, trial)));
        let meetings = meetings.map(async |(at, trial)| {
            let order = format!("{:?}-{at}-{trial}", self.scene);
            (
                at,
                trial,
                self.at_once(pairs[at], order, serials[at].0, trial).await,
            )
        });
        let mut outcomes = futures_util::stream::iter(meetings).buffer_unordered(AT_ONCE);
        let mut wins: [BTreeMap<String, Wins>; 2] = [BTreeMap::new(), BTreeMap::new()];
        while let Some((at, trial, outcome)) = outcomes.next().await {
            let (pair, serial) = (pairs[at], &serials[at].1);
            let found = serial.iter().position(|allowed| *allowed == outcome).unwrap_or_else(|| {
                panic!(
                    "{:?} on {} server: {pair:?} at once came to {outcome:#?}, one after the other to {serial:#?}",
                    self.scene,
                    self.right[trial % 2].0
                )
            });
            if serial[0] != serial[1] {
                wins[trial % 2]
                    .entry(format!("{:?}", pair.steps))
                    .or_default()[found] += 1;
            }
        }
        wins
    }
}

/// Lets every pair of a scene meet, on one server and on two.
fn meet(scene: Scene) {
    let trials = std::env::var("BELAY_PAIR_TRIALS")
        .ok()
        .and_then(|trials| trials.parse().ok())
        .unwrap_or(TRIALS);
    run(async |t: &TestServer| {
        let store = &t
            .create_shop(STORE, FirstPolicy::document(documents::every_gate()))
            .await;
        let connections = |settings: &mut ServerSettings| settings.connections = CONNECTIONS;
        let (one, other) = (
            Service::start(t.database.serve_url().await, connections).await,
            Service::start(t.database.serve_url().await, connections).await,
        );
        let week = t.now().await.as_second() + 7 * 24 * 3600;
        let hold_until = prost_types::Timestamp {
            seconds: week,
            nanos: 0,
        };
        let sides = [&one, &one, &other].map(|service| Side::of(service, hold_until));
        let right = [("the same", &sides[1]), ("another", &sides[2])];
        let arena = Arena {
            scene,
            left: &sides[0],
            right,
            store,
        };
        let wins = arena.meet(trials).await;
        let mut first = [0, 0];
        for ((servers, _), wins) in right.iter().zip(&wins) {
            let sum = wins
                .values()
                .fold([0, 0], |sum, wins| [sum[0] + wins[0], sum[1] + wins[1]]);
            let one_sided = wins.values().filter(|wins| wins.contains(&0)).count();
            eprintln!(
                "{scene:?} on {servers} server, {} trials of each of {} pairs: the order shows in {}, first {sum:?}, \
                 one-sided {one_sided}: {wins:?}",
                trials / 2,
                scene.pairs().len(),
                wins.len(),
            );
            first = [first[0] + sum[0], first[1] + sum[1]];
        }
        assert!(
            first[0] > 0 && first[1] > 0,
            "{scene:?} is no race: one side was always first: {first:?}"
        );
        one.stop().await;
        other.stop().await;
    });
}

/// A test for each scene, so that they run beside each other.
macro_rules! scenes {
    ($($test:ident: $scene:ident,)*) => {
        $(
            #[test]
            fn $test() {
                meet(Scene::$scene);
            }
        )*

        #[test]
        fn every_scene_has_a_test() {
            assert_eq!([$(Scene::$scene),*], Scene::ALL);
        }
    };
}

scenes! {
    two_commands_meet_on_an_unpaid_order: Unpaid,
    two_commands_meet_on_a_paid_order: Paid,
    two_commands_meet_while_a_consent_waits: ConsentWaits,
    two_commands_meet_while_a_stop_waits: StopWaits,
    two_commands_meet_on_a_parcel_under_way: InTransit,
    two_commands_meet_while_an_intercept_waits: InterceptWaits,
    two_commands_meet_while_a_receipt_waits: ReceiptWaits,
    two_commands_meet_on_a_contested_order: Contested,
    two_commands_meet_on_a_held_shipment: Held,
    two_commands_meet_on_a_refund_that_is_due: RefundDue,
    two_commands_meet_on_a_refund_that_a_worker_has: RefundLeased,
    two_commands_meet_on_a_refund_that_failed: RefundFailed,
}
