//! Writes beside those who read the largest pages without a pause.
//!
//! The same callers place orders alone and beside the readers, in turns. A reader asks for a page
//! of large orders, and for the next one as soon as it has it; where it is turned away it comes
//! back when it was told to, as every client does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use belay_proto::v1;
use belay_proto::v1::order_service_client::OrderServiceClient;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::callers::{Connections, Task, request};
use crate::load::{self, Window, count};
use crate::report::{hundredths, median, whole};
use crate::shop::STORE;
use crate::{Bench, say};

/// Callers that place orders.
const WRITERS: usize = 64;
/// Orders that the readers read, and lines of each.
const LARGE_ORDERS: usize = 45;
/// What their ids begin with. They are for the readers alone, and no caller has placed them.
pub(crate) const LARGE_ORDER: &str = "LARGE-";
const LINES: usize = 200;
const BUYER: &str = "u-wholesale";
/// As many as a list takes.
const PAGE_SIZE: i32 = 1_000;

/// Windows of the writers alone, and beside the readers.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: usize,
    alone: Vec<Window>,
    beside: Vec<Window>,
    pages_per_second: f64,
    shed_per_second: f64,
}

/// The counts of all readers.
#[derive(Debug, Default)]
struct Tally {
    is_over: AtomicBool,
    pages: AtomicU64,
    shed: AtomicU64,
}

/// In turns, like everything.
pub(crate) async fn measure(
    bench: &mut Bench,
    url: &str,
    readers: usize,
) -> anyhow::Result<Readers> {
    let of_readers = Connections::open(url, bench.args.connections).await?;
    place_large_orders(of_readers.channel(0)).await?;
    let mut measured = Readers {
        readers,
        alone: Vec::new(),
        beside: Vec::new(),
        pages_per_second: 0.0,
        shed_per_second: 0.0,
    };
    let (mut pages, mut shed, mut seconds) = (0, 0, 0.0);
    for round in 0..bench.args.rounds {
        let turns = if round.is_multiple_of(2) {
            [0, readers]
        } else {
            [readers, 0]
        };
        for readers in turns {
            let tally = Arc::<Tally>::default();
            let mut reading = JoinSet::new();
            for reader in 0..readers {
                reading.spawn(read(of_readers.channel(reader), reader, tally.clone()));
            }
            let begun = tokio::time::Instant::now();
            let writers =
                bench
                    .connections
                    .callers(WRITERS, &Task::create_without_end(), &bench.shop);
            let window = load::measure(writers, bench.timing(), &mut bench.meters).await?;
            tally.is_over.store(true, Ordering::Relaxed);
            let lasted = begun.elapsed().as_secs_f64();
            while let Some(ended) = reading.join_next().await {
                ended.context("a reader died")??;
            }
            say(&format!(
                "round {} CreateOrder beside {readers:>3} readers {:>8.0}/s, {} pages, {} shed",
                round + 1,
                window.per_second(),
                tally.pages.load(Ordering::Relaxed),
                tally.shed.load(Ordering::Relaxed),
            ));
            if readers == 0 {
                measured.alone.push(window);
            } else {
                pages += tally.pages.load(Ordering::Relaxed);
                shed += tally.shed.load(Ordering::Relaxed);
                seconds += lasted;
                measured.beside.push(window);
            }
        }
    }
    measured.pages_per_second = count(pages) / seconds;
    measured.shed_per_second = count(shed) / seconds;
    Ok(measured)
}

async fn place_large_orders(channel: Channel) -> anyhow::Result<()> {
    let mut orders = OrderServiceClient::new(channel);
    for order in 0..LARGE_ORDERS {
        let money = |minor_units| {
            Some(v1::Money {
                currency_code: "EUR".to_owned(),
                minor_units,
            })
        };
        let line = |line: usize| v1::NewLine {
            sku: format!("SKU-{line:04}"),
            title: format!("Something worth ordering in numbers, model {line}"),
            quantity: 2,
            goods: money(3_998),
            discount: None,
            tax: money(760),
        };
        let create = v1::CreateOrderRequest {
            store_id: STORE.to_owned(),
            order_id: format!("{LARGE_ORDER}{order}"),
            buyer: Some(v1::Buyer {
                id: BUYER.to_owned(),
                ..Default::default()
            }),
            seller_id: "acme".to_owned(),
            destination: Some(v1::Destination {
                country_code: "DE".to_owned(),
                ..Default::default()
            }),
            lines: (1..=LINES).map(line).collect(),
            ..Default::default()
        };
        orders
            .create_order(request(create, "storefront"))
            .await
            .context("CreateOrder")?;
    }
    Ok(())
}

/// Each reader is a caller of its own.
async fn read(channel: Channel, reader: usize, tally: Arc<Tally>) -> anyhow::Result<()> {
    let mut orders = OrderServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024);
    let actor = format!("auditor-{reader}").parse()?;
    let mut page_token = String::new();
    while !tally.is_over.load(Ordering::Relaxed) {
        let list = v1::ListOrdersRequest {
            store_id: STORE.to_owned(),
            buyer_id: BUYER.to_owned(),
            page_size: PAGE_SIZE,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let mut list = request(list, "auditor");
        list.metadata_mut()
            .insert("belay-actor", tonic::metadata::MetadataValue::clone(&actor));
        match orders.list_orders(list).await {
            Ok(page) => {
                page_token = page.into_inner().next_page_token;
                tally.pages.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                let wait = retry_delay(&status)
                    .with_context(|| format!("a page was refused: {status:?}"))?;
                tally.shed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(wait).await;
            }
        }
    }
    Ok(())
}

/// When the server asks to be left alone until; none of what it says otherwise.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    if status.code() != Code::ResourceExhausted {
        return None;
    }
    status.get_details_retry_info()?.retry_delay
}

impl Readers {
    fn ratios(&self) -> (f64, f64) {
        let p99 = |windows: &[Window]| median(windows, |window| window.latency_ms(0.99));
        (
            median(&self.beside, Window::per_second) / median(&self.alone, Window::per_second),
            p99(&self.beside) / p99(&self.alone),
        )
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let (speed, p99) = self.ratios();
        let ms = |windows: &[Window]| median(windows, |window| window.latency_ms(0.99));
        vec![
            format!(
                "CreateOrder of {WRITERS} callers: {:.0} a second alone (p99 {:.1} ms), {:.0} beside {} readers (p99 {:.1} ms)",
                median(&self.alone, Window::per_second),
                ms(&self.alone),
                median(&self.beside, Window::per_second),
                self.readers,
                ms(&self.beside),
            ),
            format!(
                "beside readers: {speed:.2} times as many, p99 {p99:.2} times as long; {:.0} pages a second, {:.0} shed",
                self.pages_per_second, self.shed_per_second
            ),
        ]
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let (speed, p99) = self.ratios();
        let rps = |windows: &[Window]| whole(Some(median(windows, Window::per_second)));
        let ms = |windows: &[Window]| {
            hundredths(Some(median(windows, |window| window.latency_ms(0.99))))
        };
        object.insert("readers".to_owned(), json!(self.readers));
        object.insert("write_rps_alone".to_owned(), rps(&self.alone));
        object.insert("write_p99_ms_alone".to_owned(), ms(&self.alone));
        object.insert("write_rps_beside_readers".to_owned(), rps(&self.beside));
        object.insert("write_p99_ms_beside_readers".to_owned(), ms(&self.beside));
        object.insert(
            "write_ratio_beside_readers".to_owned(),
            hundredths(Some(speed)),
        );
        object.insert(
            "write_p99_ratio_beside_readers".to_owned(),
            hundredths(Some(p99)),
        );
        object.insert(
            "pages_per_second_beside_writes".to_owned(),
            hundredths(Some(self.pages_per_second)),
        );
        object.insert(
            "pages_shed_per_second_beside_writes".to_owned(),
            hundredths(Some(self.shed_per_second)),
        );
    }
}
