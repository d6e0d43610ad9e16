//! What the steps are made of: the two servers, the seed's numbers, and what is known of both, for
//! ids are taken from what they answered.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use belay_domain::actor::Role;
use belay_domain::ids::{OrderId, OrderKey, Partitions, StoreId};
use belay_domain::policy;
use belay_proto::rpc::Rpc;
use belay_proto::v1 as pb;
use jiff::{SignedDuration, Timestamp};

use super::pair::{Answered, Asked, Caller, Pair};
use crate::replay::random::Random;

/// Partitions of the feed.
pub(crate) const PARTITIONS: Partitions = Partitions::ranges(NonZeroU16::new(64).expect("not 0"));
/// Orders while time passes. Each has a partition of its own: what comes due of two orders at one
/// instant comes in no order that anybody promises.
const ORDERS_MAX: usize = 56;
pub(crate) const SKUS: &[&str] = &["MUG", "PEN", "BOWL"];
pub(crate) const SELLERS: &[&str] = &["acme", "bolt"];
pub(crate) const BUYERS: &[&str] = &["ann", "bob", "cat"];
pub(crate) const WAREHOUSES: &[&str] = &["main", "east", "far"];
pub(crate) const CARRIERS: &[&str] = &["standard", "express", "partner"];
const ROLES: &[&str] = &[
    "storefront",
    "seller",
    "warehouse",
    "carrier",
    "payments",
    "support",
    "operator",
    "auditor",
];

pub(crate) struct KnownStore {
    pub(crate) id: String,
    /// The documents of its policies.
    pub(crate) documents: Vec<String>,
    /// Codes, who may give them, and where proof of them may come from.
    pub(crate) reasons: Vec<(String, Vec<Role>, Vec<String>)>,
}

impl KnownStore {
    pub(crate) fn new(id: &str, document: &str) -> Self {
        let mut known = Self {
            id: id.to_owned(),
            documents: Vec::new(),
            reasons: Vec::new(),
        };
        known.learn(document);
        known
    }

    pub(crate) fn learn(&mut self, document: &str) {
        let policy = policy::parse(document).expect("a policy");
        let reasons = policy.reasons.into_iter();
        self.reasons
            .extend(reasons.map(|reason| (reason.code, reason.actors, reason.evidence_channels)));
        self.documents.push(document.to_owned());
    }
}

/// A command that was answered: its caller may repeat it.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) order: (String, String),
    pub(crate) caller: Caller,
    pub(crate) request_id: String,
}

pub(crate) struct Run<'t> {
    pub(crate) pair: Pair<'t>,
    pub(crate) random: Random,
    pub(crate) stores: Vec<KnownStore>,
    /// As they were answered last.
    pub(crate) orders: Vec<pb::Order>,
    pub(crate) before: Vec<Before>,
    pub(crate) quotes: Vec<(Caller, pb::RequestCancellationRequest)>,
    pub(crate) page_tokens: Vec<String>,
    pub(crate) resume_tokens: Vec<(Caller, pb::EventFilter, String)>,
    /// Store and id.
    pub(crate) jobs: Vec<(String, String)>,
    pub(crate) claimed: Vec<(String, pb::Refund)>,
    /// Whether no time passes any more.
    pub(crate) is_still: bool,
}

impl<'t> Run<'t> {
    pub(crate) fn new(pair: Pair<'t>, seed: u64) -> Self {
        Self {
            pair,
            random: Random::from_seed(seed),
            stores: Vec::new(),
            orders: Vec::new(),
            before: Vec::new(),
            quotes: Vec::new(),
            page_tokens: Vec::new(),
            resume_tokens: Vec::new(),
            jobs: Vec::new(),
            claimed: Vec::new(),
            is_still: false,
        }
    }

    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0_u8; 16];
        for byte in &mut bytes {
            *byte = u8::try_from(self.random.below(256)).expect("a byte");
        }
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    pub(crate) fn store(&mut self) -> usize {
        self.random.below(self.stores.len())
    }

    pub(crate) fn store_id(&mut self) -> String {
        let store = self.store();
        let id = self.stores[store].id.clone();
        self.spoil(id, 2)
    }

    /// An order that is known, the newer the likelier, and one that waits for an answer too.
    pub(crate) fn order(&mut self) -> Option<pb::Order> {
        let pending: Vec<usize> = (0..self.orders.len())
            .filter(|at| {
                let mut cancellations = self.orders[*at].cancellations.iter();
                cancellations.any(|of| of.state() == pb::CancellationState::Pending)
            })
            .collect();
        if !pending.is_empty() && self.random.chance(25) {
            let at = self.random.pick(&pending);
            return Some(self.orders[at].clone());
        }
        let count = self.orders.len();
        let back = if self.random.chance(60) { 8 } else { count };
        let back = self.random.below(back.min(count)) + 1;
        (count > 0).then(|| self.orders[count - back].clone())
    }

    /// An id for an order that is to come. None where there is no place for one.
    pub(crate) fn new_order_id(&mut self, store: &str) -> Option<String> {
        let store = StoreId::parse(store).expect("a store's id");
        if !self.is_still && self.orders.len() >= ORDERS_MAX {
            return None;
        }
        let taken = self.orders.iter().map(|order| {
            let store = StoreId::parse(order.store_id.as_str()).expect("a store's id");
            partition(&store, &order.order_id)
        });
        let taken: BTreeSet<u16> = taken.collect();
        loop {
            let id = format!("A-{}", self.random.below(1_000_000));
            if self.is_still || !taken.contains(&partition(&store, &id)) {
                return Some(id);
            }
        }
    }

    /// The same id, or rarely nonsense or what belongs to something else.
    pub(crate) fn spoil(&mut self, id: String, percent: usize) -> String {
        if !self.random.chance(percent) {
            return id;
        }
        let other = self
            .order()
            .map_or_else(String::new, |order| order.order_id);
        self.random.pick(&[
            String::new(),
            "no id!".to_owned(),
            format!("{id}9"),
            "A-1:s1".to_owned(),
            format!("{other}:s1"),
            format!("{other}:c1"),
            format!("{other}:r9"),
        ])
    }

    /// Mostly none, else the right one, one that has passed, or none at all.
    pub(crate) fn etag(&mut self, present: &str) -> String {
        let etags = [present, present, "\"1\"", "\"99\"", "one"];
        let etag = self.random.maybe(10, |random| random.pick(&etags));
        etag.unwrap_or_default().to_owned()
    }

    /// Mostly the caller itself, now and then in another role or with less to see.
    pub(crate) fn perhaps(&mut self, caller: Caller) -> Caller {
        if self.random.chance(5) {
            return self.any_caller();
        }
        if self.random.chance(5) {
            return self.within(caller);
        }
        caller
    }

    pub(crate) fn any_caller(&mut self) -> Caller {
        let role = self.random.pick(ROLES);
        let names: Vec<&str> = match role {
            "seller" => [SELLERS, &["zed", ""]].concat(),
            "warehouse" => [WAREHOUSES, &["nowhere"]].concat(),
            "carrier" => [CARRIERS, &["pigeon"]].concat(),
            _ => vec!["web", "sam", ""],
        };
        let caller = Caller::new(role, self.random.pick(&names));
        if self.random.chance(25) {
            return self.within(caller);
        }
        caller
    }

    /// Sees less than before.
    fn within(&mut self, mut caller: Caller) -> Caller {
        let stores: Vec<String> = self.stores.iter().map(|store| store.id.clone()).collect();
        let text = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let headers = [
            ("belay-stores", stores),
            ("belay-sellers", text(SELLERS)),
            ("belay-warehouses", text(WAREHOUSES)),
            ("belay-carriers", text(CARRIERS)),
        ];
        for (header, ids) in headers {
            if self.random.chance(35) {
                let mut ids = self.random.some_of(&ids, 60);
                if ids.is_empty() {
                    ids.push(self.random.pick(&["zed", "no id!"]).to_owned());
                }
                caller.within.push((header, ids.join(",")));
            }
        }
        caller
    }

    /// A moment near now, as requests name it.
    pub(crate) fn near(&mut self) -> Option<prost_types::Timestamp> {
        let hours = i64::try_from(self.random.below(200)).expect("a small number") - 150;
        let at = self.pair.now + SignedDuration::from_hours(hours);
        let at = self.random.pick(&[at, at, self.pair.now]);
        Some(stamp(at))
    }

    /// Sends a command, sometimes twice, sometimes under an id that another one had; and looks at
    /// its order afterwards.
    pub(crate) async fn command<R>(
        &mut self,
        order: (String, String),
        caller: Caller,
        mut request: R,
    ) -> Option<R::Response>
    where
        R: Rpc + Asked,
        R::Response: Answered,
    {
        let mut caller = caller;
        let mut request_id = self.uuid();
        let of_order: Vec<Before> = self.before.iter().rev().take(200).cloned().collect();
        let of_order: Vec<Before> = of_order
            .into_iter()
            .filter(|before| before.order == order)
            .collect();
        if !of_order.is_empty() && self.random.chance(3) {
            let before = self.random.pick(&of_order);
            request_id = before.request_id;
            if self.random.chance(80) {
                caller = before.caller;
            }
        } else if self.random.chance(1) {
            request_id = "no-uuid".to_owned();
        }
        request.set_request_id(request_id.clone());
        self.pair.brings(&request_id);
        let answer = self.pair.ask(&caller, request.clone()).await;
        self.pair.wrote();
        if answer.is_ok() {
            self.before.push(Before {
                order: order.clone(),
                caller: caller.clone(),
                request_id,
            });
        }
        if self.random.chance(6) {
            self.tick().await;
            // The same again has the same answer, whatever it was.
            _ = self.pair.ask(&caller, request).await;
        }
        self.pair.settled().await;
        self.look_at(&order.0, &order.1).await;
        answer.ok()
    }

    /// Reads an order, for it is as both have it now.
    pub(crate) async fn look_at(&mut self, store_id: &str, order_id: &str) {
        let request = pb::GetOrderRequest {
            store_id: store_id.to_owned(),
            order_id: order_id.to_owned(),
        };
        let found = self.pair.ask(&Caller::operator(), request).await;
        let Some(order) = found.ok().and_then(|found| found.order) else {
            return;
        };
        let is_same =
            |known: &&mut pb::Order| known.store_id == store_id && known.order_id == order_id;
        match self.orders.iter_mut().find(is_same) {
            Some(known) => *known = order,
            None => self.orders.push(order),
        }
    }

    /// Lets a moment pass, while time passes.
    pub(crate) async fn tick(&mut self) {
        if !self.is_still {
            let micros = self.random.pick(&[1, 1_000, 1_000_001, 7_500_000]);
            self.pair.advance(SignedDuration::from_micros(micros)).await;
        }
    }
}

fn partition(store: &StoreId, order_id: &str) -> u16 {
    let order = OrderId::parse(order_id).expect("an order's id");
    OrderKey::of(store, &order).partition(PARTITIONS)
}

pub(crate) fn stamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}
