//! The EventService.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use belay_domain::feed::{Consumer, ConsumerKey, PartitionEnds};
use belay_domain::ids::StoreId;
use belay_proto::v1 as pb;
use belay_proto::v1::event_service_server::EventService;
use belay_wire::parse::events as parse;
use belay_wire::parse::events::NamedConsumer;
use belay_wire::render;
use belay_wire::resume::{FilterHash, ResumeTokens, partition_positions};
use belay_wire::status::CallError;
use futures_util::{Stream, StreamExt as _};
use tonic::server::ServerStreamingService;
use tonic::{Request, Response, Status};

use super::call::{Call, MethodResult, answer, status};
use super::watching::WatchMessage;
use crate::App;
use crate::admin::consumers as admin;
use crate::feed::Delivery;
use crate::queries::consumers as queries;

#[derive(Debug)]
pub(super) struct Events {
    pub(super) app: Arc<App>,
}

impl Events {
    fn tokens(&self) -> ResumeTokens {
        ResumeTokens::new(&self.app.identity_key, self.app.partitions)
    }

    /// A store that is named must be one that the caller sees.
    async fn check_store(&self, call: &Call, asked: Option<&StoreId>) -> Result<(), CallError> {
        if let Some(store) = asked {
            self.app.config(call, store).await?;
        }
        Ok(())
    }

    async fn key(&self, call: &Call, named: NamedConsumer) -> Result<ConsumerKey, CallError> {
        self.check_store(call, named.store.as_ref()).await?;
        Ok(ConsumerKey {
            store: named.store,
            id: named.id,
            owner: call.caller.actor.clone(),
        })
    }

    fn show(&self, consumer: &Consumer, ends: &[PartitionEnds]) -> pb::Consumer {
        render::consumer(consumer, ends, &self.tokens())
    }
}

/// The stream that [`super::watching`] sends.
pub(super) type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchMessage, Status>> + Send>>;

impl Events {
    /// WatchEvents, as it is served.
    pub(super) async fn watch(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> MethodResult<WatchStream> {
        answer(async {
            let partitions = self.app.partitions;
            let (call, asked) = self.app.read(request, |request, reader| {
                parse::watch_events(request, reader, partitions)
            })?;
            self.check_store(&call, asked.store.as_ref()).await?;
            let ends = self.app.feed.ends().await?;
            let positions = asked.begin.resolve(&ends).map_err(CallError::Position)?;
            let (filter, tokens) = (asked.filter, self.tokens());
            let messages = self.app.feed.watch(asked.selector, positions, asked.order);
            let messages = messages.ok_or(CallError::Overloaded)?.map(move |message| {
                message
                    .map(|delivery| shown(&delivery, filter, &tokens))
                    .map_err(|error| status(error.into()))
            });
            let messages: WatchStream = Box::pin(messages);
            Ok(messages)
        })
        .await
    }
}

/// The method, for [`super::watching`].
#[derive(Debug, Clone)]
pub(super) struct WatchEvents(pub(super) Arc<Events>);

impl ServerStreamingService<pb::WatchEventsRequest> for WatchEvents {
    type Response = WatchMessage;
    type ResponseStream = WatchStream;
    type Future = Pin<Box<dyn Future<Output = MethodResult<WatchStream>> + Send>>;

    fn call(&mut self, request: Request<pb::WatchEventsRequest>) -> Self::Future {
        let events = self.0.clone();
        Box::pin(async move { events.watch(request).await })
    }
}

type WholeStream = Pin<Box<dyn Stream<Item = Result<pb::WatchEventsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream = WholeStream;

    /// The same with its messages as the generated server would encode them. It is not asked:
    /// [`super::watching`] stands before it.
    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> MethodResult<WholeStream> {
        let stream = self.watch(request).await?.into_inner();
        let whole = stream.map(|message| message?.whole().map_err(status));
        Ok(Response::new(Box::pin(whole)))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> MethodResult<pb::ListEventsResponse> {
        answer(async {
            let partitions = self.app.partitions;
            let (call, (asked, size)) = self.app.read(request, |request, reader| {
                parse::list_events(request, reader, partitions)
            })?;
            self.check_store(&call, asked.store.as_ref()).await?;
            let _turn = self.app.page_turn(&call).await?;
            let ends = self.app.feed.ends().await?;
            let positions = asked.begin.resolve(&ends).map_err(CallError::Position)?;
            let feed = &self.app.feed;
            let page = feed
                .page(positions, &ends, asked.order, &asked.selector, size)
                .await?;
            let resume_token = self.tokens().seal(asked.filter, &page.positions);
            Ok(pb::ListEventsResponse {
                events: page.events,
                next_page_token: if page.is_last {
                    String::new()
                } else {
                    resume_token.clone()
                },
                resume_token,
            })
        })
        .await
    }

    async fn commit_position(
        &self,
        request: Request<pb::CommitPositionRequest>,
    ) -> MethodResult<pb::CommitPositionResponse> {
        answer(async {
            let partitions = self.app.partitions;
            let (call, (named, point)) = self.app.read(request, |request, reader| {
                parse::commit_position(request, reader, partitions)
            })?;
            let key = self.key(&call, named).await?;
            let (consumer, ends) = admin::commit(&self.app, key, point).await?;
            Ok(pb::CommitPositionResponse {
                consumer: Some(self.show(&consumer, &ends)),
            })
        })
        .await
    }

    async fn delete_consumer(
        &self,
        request: Request<pb::DeleteConsumerRequest>,
    ) -> MethodResult<pb::DeleteConsumerResponse> {
        answer(async {
            let (call, named) = self.app.read(request, parse::delete_consumer)?;
            let key = self.key(&call, named).await?;
            admin::delete(&self.app, &key).await?;
            Ok(pb::DeleteConsumerResponse {})
        })
        .await
    }

    async fn get_consumer(
        &self,
        request: Request<pb::GetConsumerRequest>,
    ) -> MethodResult<pb::GetConsumerResponse> {
        answer(async {
            let (call, named) = self.app.read(request, parse::get_consumer)?;
            let key = self.key(&call, named).await?;
            let (found, ends) = queries::get(&self.app, &key).await?;
            let consumer = found.ok_or(CallError::ConsumerNotFound { consumer: key.id })?;
            Ok(pb::GetConsumerResponse {
                consumer: Some(self.show(&consumer, &ends)),
            })
        })
        .await
    }

    async fn list_consumers(
        &self,
        request: Request<pb::ListConsumersRequest>,
    ) -> MethodResult<pb::ListConsumersResponse> {
        answer(async {
            let (call, (store, page)) = self.app.read(request, parse::list_consumers)?;
            self.check_store(&call, store.as_ref()).await?;
            let after = page.after()?;
            let _turn = self.app.page_turn(&call).await?;
            let (caller, limit) = (&call.caller, page.limit());
            let (found, ends) = queries::list(&self.app, caller, store, after, limit).await?;
            let show = |consumer: &Consumer| Some(self.show(consumer, &ends));
            let (consumers, next_page_token) = page.cut(&found, show, queries::place);
            Ok(pb::ListConsumersResponse {
                consumers,
                next_page_token,
            })
        })
        .await
    }
}

/// A message of a watch. A bookmark says where it is.
fn shown(delivery: &Delivery, filter: FilterHash, tokens: &ResumeTokens) -> WatchMessage {
    let events = delivery.events();
    let rest = pb::WatchEventsResponse {
        events: Vec::new(),
        resume_token: tokens.seal(filter, &delivery.positions),
        positions: if events.is_empty() {
            partition_positions(&delivery.positions)
        } else {
            Vec::new()
        },
    };
    WatchMessage { events, rest }
}
