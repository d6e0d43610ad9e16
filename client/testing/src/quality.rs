//! The quality of sellers: what is counted of them, and the thresholds that they have crossed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderKey, SellerId, StoreId};
use belay_domain::policy::Quality;
use belay_domain::quality::{
    CrossingRecord, FactKind, Rate, SellerFact, Window, crossings, next_day, reached,
};
use belay_proto::v1 as pb;
use belay_wire::events::seller_facts;
use belay_wire::parse::sellers as parse;
use belay_wire::render::quality as render;
use belay_wire::status::CallError;
use jiff::Timestamp;

use crate::call::{Answer, Call};

#[derive(Debug, Default)]
pub(crate) struct Sellers {
    of_sellers: BTreeMap<(StoreId, SellerId), Seller>,
    known: HashSet<(OrderKey, FactKind, u32)>,
}

#[derive(Debug)]
struct Seller {
    facts: Vec<SellerFact>,
    /// The thresholds that its rate has reached.
    reached: BTreeSet<String>,
    crossings: Vec<CrossingRecord>,
    /// Whether something was counted since it was last looked at.
    has_news: bool,
    /// When its window moves on.
    evaluate_time: Timestamp,
}

/// A seller's quality, and how it is measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) quality: Quality,
    window: Window,
    pub(crate) rate: Rate,
}

/// The facts of one kind in a window.
fn in_window(
    facts: &[SellerFact],
    kind: FactKind,
    window: Window,
) -> impl Iterator<Item = &SellerFact> {
    let times = window.begin..window.end;
    facts
        .iter()
        .filter(move |fact| fact.kind == kind && times.contains(&fact.time))
}

fn measure(facts: &[SellerFact], config: &StoreConfig, now: Timestamp) -> Option<Measured> {
    let (_, policy) = config.policies.active_at(now)?;
    let quality = policy.quality.clone()?;
    let window = Window::at(now, &quality, &config.time_zone);
    let count = |kind| {
        let count = in_window(facts, kind, window).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    let rate = Rate {
        numerator: count(FactKind::of_numerator(quality.numerator)),
        denominator: count(FactKind::of_denominator(quality.denominator)),
    };
    Some(Measured {
        quality,
        window,
        rate,
    })
}

impl Sellers {
    /// What the events of one command count. Each fact counts once.
    pub(crate) fn hear(&mut self, events: &[pb::Event]) -> Answer<()> {
        let facts = seller_facts(events).map_err(|error| CallError::Internal(error.to_string()))?;
        for fact in facts {
            let of = (fact.store.clone(), fact.seller.clone());
            let seller = self.of_sellers.entry(of).or_insert_with(|| Seller {
                facts: Vec::new(),
                reached: BTreeSet::new(),
                crossings: Vec::new(),
                has_news: true,
                evaluate_time: Timestamp::MAX,
            });
            seller.has_news = true;
            if self
                .known
                .insert((fact.order_key(), fact.kind, fact.number))
            {
                seller.facts.push(fact);
            }
        }
        Ok(())
    }

    fn facts(&self, of: (&StoreId, &SellerId)) -> &[SellerFact] {
        let seller = self.of_sellers.get(&(of.0.clone(), of.1.clone()));
        seller.map_or(&[], |seller| &seller.facts)
    }

    /// The quality of a seller; None where the policy does not measure it.
    pub(crate) fn measure(
        &self,
        config: &StoreConfig,
        of: (&StoreId, &SellerId),
        now: Timestamp,
    ) -> Option<Measured> {
        measure(self.facts(of), config, now)
    }

    /// Looks at the sellers whose windows have moved on, and at those of whom something was
    /// counted, and records what their rates have crossed. A real server does so once a second;
    /// this one when somebody asks, and before and after its clock is moved.
    pub(crate) fn evaluate(
        &mut self,
        now: Timestamp,
        config: impl Fn(&StoreId) -> Option<Arc<StoreConfig>>,
    ) {
        for ((store, _), seller) in &mut self.of_sellers {
            if seller.evaluate_time > now && !seller.has_news {
                continue;
            }
            seller.has_news = false;
            let Some(config) = config(store) else {
                continue;
            };
            let Some(measured) = measure(&seller.facts, &config, now) else {
                seller.evaluate_time = next_day(now, &config.time_zone);
                continue;
            };
            for crossing in crossings(&seller.reached, &measured.quality, measured.rate) {
                let last = seller.crossings.last().map_or(0, |last| last.number);
                seller.crossings.push(CrossingRecord {
                    number: last + 1,
                    crossing,
                    rate: measured.rate,
                    time: now,
                });
            }
            seller.reached = reached(&measured.quality, measured.rate);
            seller.evaluate_time = measured.window.moves_at;
        }
    }
}

impl Call<'_> {
    /// A seller's quality spans orders, shipments and so warehouses and carriers: who does not see
    /// all of them sees none.
    pub(crate) fn sees(&self, seller: &SellerId) -> bool {
        let scope = &self.caller.scope;
        scope.sellers.contains(seller) && scope.sees_every_route()
    }
}

pub(crate) fn get_seller_quality(
    call: &mut Call<'_>,
    request: pb::GetSellerQualityRequest,
) -> Answer<pb::GetSellerQualityResponse> {
    let (store, seller) = parse::get_seller_quality(request, &call.reader())?;
    let config = call.config(&store)?;
    call.world.project()?;
    let of = (&store, &seller);
    let measured = call.world.sellers.measure(&config, of, call.now);
    let quality = measured.map(|measured| {
        let nothing = Rate {
            numerator: 0,
            denominator: 0,
        };
        let seen = call.sees(&seller);
        let rate = if seen { measured.rate } else { nothing };
        render::seller_quality(of, &measured.quality, measured.window, rate)
    });
    Ok(pb::GetSellerQualityResponse { quality })
}

/// The key by which a list of facts is sorted: the instant in microseconds, the order and the
/// number.
type FactPlace = (i64, [u8; 16], u32);

fn place(fact: &SellerFact) -> FactPlace {
    (fact.time.as_microsecond(), fact.order_key().0, fact.number)
}

pub(crate) fn list_counted_cancellations(
    call: &mut Call<'_>,
    request: pb::ListCountedCancellationsRequest,
) -> Answer<pb::ListCountedCancellationsResponse> {
    let list = parse::list_counted_cancellations(request, &call.reader())?;
    let config = call.config(&list.store)?;
    call.world.project()?;
    let after: Option<FactPlace> = list.page.after()?;
    let seller = &list.filter;
    if !call.sees(seller) {
        return Ok(pb::ListCountedCancellationsResponse::default());
    }
    let sellers = &call.world.sellers;
    let of = (&list.store, seller);
    let mut found: Vec<&SellerFact> = Vec::new();
    if let Some(measured) = sellers.measure(&config, of, call.now) {
        let kind = FactKind::of_numerator(measured.quality.numerator);
        let facts = in_window(sellers.facts(of), kind, measured.window);
        found.extend(facts.filter(|fact| after.is_none_or(|after| place(fact) > after)));
    }
    found.sort_by_key(|fact| place(fact));
    found.truncate(list.page.limit().into());
    let show = |fact: &&SellerFact| Some(render::counted_cancellation(fact));
    let (counted, next_page_token) = list.page.cut(&found, show, |fact| place(fact));
    Ok(pb::ListCountedCancellationsResponse {
        counted,
        next_page_token,
    })
}

pub(crate) fn list_threshold_crossings(
    call: &mut Call<'_>,
    request: pb::ListThresholdCrossingsRequest,
) -> Answer<pb::ListThresholdCrossingsResponse> {
    let list = parse::list_threshold_crossings(request, &call.reader())?;
    call.config(&list.store)?;
    call.world.evaluate_sellers()?;
    let before: Option<u32> = list.page.after()?;
    let seller = list.filter;
    if !call.sees(&seller) {
        return Ok(pb::ListThresholdCrossingsResponse::default());
    }
    let of_seller = call.world.sellers.of_sellers.get(&(list.store, seller));
    let crossings = of_seller.into_iter().flat_map(|seller| &seller.crossings);
    let before = crossings.filter(|record| before.is_none_or(|before| record.number < before));
    let mut found: Vec<&CrossingRecord> = before.collect();
    found.reverse();
    found.truncate(list.page.limit().into());
    let show = |record: &&CrossingRecord| Some(render::threshold_crossing(record));
    let (crossings, next_page_token) = list.page.cut(&found, show, |record| record.number);
    Ok(pb::ListThresholdCrossingsResponse {
        crossings,
        next_page_token,
    })
}
