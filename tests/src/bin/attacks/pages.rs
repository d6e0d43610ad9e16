//! Attacks by pages: read without a pause, or never.

use std::collections::BTreeMap;
use std::time::Duration;

use belay_client::model::Page;
use belay_client::{Kind, Role};
use belay_proto::v1 as pb;
use belay_tests::SHOP;
use belay_tests::http2::{Http2, head};
use belay_tests::shop::new_order;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::floods::health;
use crate::victim::{Victim, middle_and_longest};

const READERS: usize = 24;
/// Orders are placed for so long, alone and beside the readers.
const WINDOW: Duration = Duration::from_secs(15);
/// Between two orders.
const PLACED_EVERY: Duration = Duration::from_millis(100);
/// Of pages that are never read.
const PAGES: usize = 60;
/// A caller that takes nothing is cut before this is over.
const HELD: Duration = Duration::from_secs(50);

/// Orders that were placed, with what they took and what else they were told.
async fn placed(victim: &Victim, prefix: &str) -> String {
    let web = victim.client().with_role(Role::Storefront, "web");
    let store = web.expect("a role").store(SHOP);
    let (mut clock, mut orders) = (interval(PLACED_EVERY), JoinSet::new());
    for number in 0..WINDOW.as_millis() / PLACED_EVERY.as_millis() {
        clock.tick().await;
        let (store, id) = (store.clone(), format!("{prefix}-{number}"));
        orders.spawn(async move {
            let begun = Instant::now();
            let placed = new_order(&store, &id).await;
            placed
                .map(|_| begun.elapsed())
                .map_err(|error| error.kind())
        });
    }
    let outcomes = orders.join_all().await;
    let took: Vec<Duration> = outcomes.iter().filter_map(|one| one.ok()).collect();
    let (all, landed) = (outcomes.len(), took.len());
    let (middle, longest) = middle_and_longest(took);
    let others = told(outcomes.into_iter().filter_map(Result::err));
    format!("{landed} of {all} orders{others}, p50 {middle:.0} ms, at most {longest:.0} ms")
}

fn told(kinds: impl Iterator<Item = Kind>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for kind in kinds {
        *counts.entry(format!("{kind:?}")).or_default() += 1;
    }
    let counts = counts
        .iter()
        .map(|(kind, count)| format!(", {count} {kind}"));
    counts.collect()
}

pub(crate) async fn readers(victim: &Victim) -> String {
    let alone = placed(victim, "ALONE").await;
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let auditor = victim
            .client()
            .with_role(Role::Auditor, &format!("reader-{reader}"));
        let store = auditor.expect("a role").store(SHOP);
        readers.spawn(async move {
            let until = Instant::now() + WINDOW;
            let (mut pages, mut others) = (0, Vec::new());
            while Instant::now() < until {
                match store.list_orders().page_size(1_000).await {
                    Ok(Page { .. }) => pages += 1,
                    Err(error) => others.push(error.kind()),
                }
            }
            (pages, others)
        });
    }
    let beside = placed(victim, "BESIDE").await;
    let read = readers.join_all().await;
    let pages: usize = read.iter().map(|(pages, _)| pages).sum();
    let others = told(read.into_iter().flat_map(|(_, others)| others));
    let ill = victim.belay.messages(|message| {
        message.contains("not serving") || message.contains("could not be read")
    });
    format!("alone {alone}; beside {beside}; {pages} pages{others}; lines that say ill: {ill}")
}

pub(crate) async fn unread(victim: &Victim) -> String {
    unread_on(victim, 1).await
}

pub(crate) async fn unread_by_many(victim: &Victim) -> String {
    unread_on(victim, 16).await
}

/// Asks for pages and lets none of their bytes come.
async fn unread_on(victim: &Victim, connections: usize) -> String {
    let before = victim.belay.running.resident_bytes();
    let request = pb::ListOrdersRequest {
        store_id: SHOP.to_owned(),
        page_size: 1_000,
        ..Default::default()
    };
    let message = request.encode_to_vec();
    let message = Bytes::from([head(message.len()), message].concat());
    let (mut open, mut held) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let connection = Http2::with_window(victim.belay.address, 0).await;
        for _ in 0..PAGES {
            let metadata = [("belay-role", "auditor"), ("belay-actor", "eve")];
            let path = "/belay.v1.OrderService/ListOrders";
            let begun = timeout(HELD, connection.try_begin(path, &metadata)).await;
            let Ok(Ok((answer, mut body))) = begun else {
                break;
            };
            // It may be refused already.
            let _ = body.send_data(message.clone(), true);
            open.push((answer, body));
        }
        held.push(connection);
    }
    sleep(HELD).await;
    let health = health(victim.belay.address, 5).await;
    let cut = victim.more_than(before);
    let asked = open.len();
    format!(
        "{asked} asked for; {cut} MiB more after {} s, before the caller left; {health}",
        HELD.as_secs()
    )
}
