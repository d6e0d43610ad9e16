//! The feed: lists and streams of events, and who reads them by name.

use belay_proto::v1 as pb;

use super::known::{CARRIERS, PARTITIONS, Run, SELLERS, WAREHOUSES};
use super::pair::Caller;
use super::reads::walk;

/// Pages of the feed that are read.
const PAGES_MAX: usize = 10;

impl Run<'_> {
    /// Someone who begins to keep how far it has read.
    pub(crate) async fn begin_to_read(&mut self, consumer_id: &str) {
        let caller = Caller::new("storefront", "mailer");
        let listed = self
            .pair
            .ask(&caller, pb::ListEventsRequest::default())
            .await;
        let resume_token = listed.expect("the feed can be read").resume_token;
        let commit = pb::CommitPositionRequest {
            consumer_id: consumer_id.to_owned(),
            store_id: String::new(),
            resume_token,
        };
        let committed = self.pair.ask(&caller, commit).await;
        committed.expect("its position can be kept");
    }

    /// How far that one is.
    pub(crate) async fn read_position(&mut self, consumer_id: &str) {
        let read = pb::GetConsumerRequest {
            consumer_id: consumer_id.to_owned(),
            store_id: String::new(),
        };
        let caller = Caller::new("storefront", "mailer");
        let read = self.pair.ask(&caller, read).await;
        read.expect("its position is kept");
    }

    pub(crate) async fn feed_step(&mut self) {
        match self.random.below(10) {
            0..4 => self.list_events().await,
            4 => self.watch_events().await,
            5..8 => self.commit().await,
            _ => self.consumers().await,
        }
    }

    fn event_filter(&mut self) -> pb::EventFilter {
        let order = self.order();
        let (store, order) = order
            .map(|order| (order.store_id, order.order_id))
            .unwrap_or_default();
        let is_of_order = self.random.chance(20);
        let store_id = self.spoil(store, 3);
        pb::EventFilter {
            store_id: if is_of_order || self.random.chance(40) {
                store_id
            } else {
                String::new()
            },
            order_id: if is_of_order { order } else { String::new() },
            seller_ids: self.some(SELLERS),
            warehouse_ids: self.some(WAREHOUSES),
            carrier_ids: self.some(CARRIERS),
            event_types: self
                .random
                .maybe(25, |random| {
                    vec![1, 5, i32::try_from(random.number(0, 27)).expect("small")]
                })
                .unwrap_or_default(),
        }
    }

    fn some(&mut self, ids: &[&str]) -> Vec<String> {
        let some = self.random.maybe(15, |random| random.some_of(ids, 60));
        some.unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    async fn list_events(&mut self) {
        use pb::list_events_request::Begin;

        let mut caller = self.reader();
        let mut filter = self.event_filter();
        let mut begin = None;
        if !self.resume_tokens.is_empty() && self.random.chance(35) {
            let (by, of, token) = self.random.pick(&self.resume_tokens.clone());
            begin = Some(Begin::ResumeToken(token));
            if self.random.chance(90) {
                (caller, filter) = (by, of);
            }
        } else if self.random.chance(15) {
            let partition = i32::from(PARTITIONS.count.get()) - 1;
            let positions =
                self.random
                    .pick(&[(0, 1), (3, 0), (partition, 99_999), (partition + 1, 0)]);
            let at = pb::PartitionPosition {
                partition: positions.0,
                position: positions.1,
            };
            begin = Some(Begin::Positions(pb::FeedPositions {
                partitions: vec![at],
            }));
        }
        let mut request = pb::ListEventsRequest {
            filter: Some(filter.clone()),
            begin,
            page_size: self.page_size(),
            page_token: String::new(),
        };
        for _ in 0..PAGES_MAX {
            let Ok(page) = self.pair.ask(&caller, request.clone()).await else {
                return;
            };
            self.resume_tokens
                .push((caller.clone(), filter.clone(), page.resume_token));
            let oldest = self.resume_tokens.len().saturating_sub(12);
            self.resume_tokens.drain(..oldest);
            if page.next_page_token.is_empty() {
                return;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// All that there is of a filter is listed and then watched.
    async fn watch_events(&mut self) {
        use pb::watch_events_request::Begin;

        let (caller, filter) = (self.reader(), self.event_filter());
        let Ok(count) = self.count_events(&caller, &filter).await else {
            // It is refused like a list.
            let request = pb::WatchEventsRequest {
                filter: Some(filter),
                begin: None,
            };
            _ = self.pair.watch(&caller, request, 0).await;
            return;
        };
        let request = pb::WatchEventsRequest {
            filter: Some(filter),
            begin: Some(Begin::Start(pb::FeedStart::Oldest.into())),
        };
        _ = self.pair.watch(&caller, request, count).await;
    }

    async fn count_events(
        &mut self,
        caller: &Caller,
        filter: &pb::EventFilter,
    ) -> Result<usize, ()> {
        let mut request = pb::ListEventsRequest {
            filter: Some(filter.clone()),
            page_size: 1_000,
            ..Default::default()
        };
        let mut count = 0;
        loop {
            let page = self.pair.ask(caller, request.clone()).await.map_err(drop)?;
            count += page.events.len();
            if page.next_page_token.is_empty() {
                return Ok(count);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Every event that there is: listed, and watched.
    pub(crate) async fn every_event(&mut self) {
        use pb::watch_events_request::Begin;

        let ops = Caller::operator();
        let filter = pb::EventFilter::default();
        let count = self
            .count_events(&ops, &filter)
            .await
            .expect("the feed can be read");
        let request = pb::WatchEventsRequest {
            filter: None,
            begin: Some(Begin::Start(pb::FeedStart::Oldest.into())),
        };
        let watched = self.pair.watch(&ops, request, count).await;
        assert_eq!(watched.expect("the feed can be watched").len(), count);
    }

    async fn commit(&mut self) {
        if self.resume_tokens.is_empty() {
            return self.list_events().await;
        }
        let (caller, filter, token) = self.random.pick(&self.resume_tokens.clone());
        let request = pb::CommitPositionRequest {
            consumer_id: self.random.pick(&["ledger", "mail", "no id!"]).to_owned(),
            store_id: if self.random.chance(70) {
                filter.store_id
            } else {
                self.store_id()
            },
            resume_token: self
                .random
                .pick(&[token.clone(), token.clone(), token, "00".to_owned()]),
        };
        let (consumer_id, store_id) = (request.consumer_id.clone(), request.store_id.clone());
        _ = self.pair.ask(&caller, request).await;
        let read = pb::GetConsumerRequest {
            consumer_id,
            store_id,
        };
        _ = self.pair.ask(&caller, read).await;
    }

    async fn consumers(&mut self) {
        let mut caller = self.reader();
        let mut store_id = if self.random.chance(50) {
            String::new()
        } else {
            self.store_id()
        };
        if let Some((by, filter, _)) = self.resume_tokens.last().filter(|_| self.random.chance(60))
        {
            caller = by.clone();
            store_id.clone_from(&filter.store_id);
        }
        let consumer_id = self
            .random
            .pick(&["ledger", "mail", "ledger", "nobody"])
            .to_owned();
        match self.random.below(6) {
            0 => {
                let request = pb::DeleteConsumerRequest {
                    consumer_id,
                    store_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            1..4 => {
                let request = pb::GetConsumerRequest {
                    consumer_id,
                    store_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            _ => {
                let request = pb::ListConsumersRequest {
                    store_id,
                    page_size: self.page_size(),
                    page_token: String::new(),
                };
                walk!(self, caller, request);
            }
        }
    }
}
