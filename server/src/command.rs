//! A command of a caller, on its way to the engine and back.

use std::sync::Arc;

use belay_domain::commands::Work;
use belay_domain::context::StoreConfig;
use belay_domain::ids::OrderKey;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use belay_wire::auth::check_settings;
use belay_wire::batch::{Answered, Reply};
use belay_wire::parse::CommandRequest;
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use tokio::time::Instant;

use crate::engine::{Priority, Submission};
use crate::reads::Sight;
use crate::{App, failure, ids};

impl App {
    /// Lets the engine decide, and returns the answer that it gives now or gave when the request
    /// first came.
    pub(crate) async fn decide(
        &self,
        store: Arc<StoreConfig>,
        caller: &Caller,
        deadline: Instant,
        command: CommandRequest,
    ) -> Result<Answered, CallError> {
        check_settings(&store, caller.actor.role, &command.work)?;
        let envelope = command.envelope;
        let request_id = envelope.request_id.unwrap_or_else(ids::request_id);
        let named = RequestIds {
            order: envelope.order.clone(),
            child: envelope.child,
            request_id: Some(request_id),
        };
        // The engine would lock and load an order that is not there for this caller.
        if let Some(sight) = sight_of(caller, &command.work)
            && !self
                .reads
                .is_seen(
                    &caller.actor,
                    OrderKey::of(&command.store, &envelope.order),
                    sight,
                )
                .await?
        {
            return Err(CallError::rejected(Rejection::OrderNotFound, named));
        }
        let submission = Submission {
            store,
            caller: caller.clone(),
            order: envelope.order,
            request_id,
            expected_version: envelope.expected_version,
            work: command.work,
            deadline,
            priority: Priority::Interactive,
        };
        match self.engine.submit(submission).await {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Rejected(rejection)) => Err(CallError::rejected(rejection, named)),
            Err(error) => Err(failure::of_engine(error, request_id)),
        }
    }
}

/// How far the caller of a command sees; None where every order is there for it, or none need be.
fn sight_of(caller: &Caller, work: &Work) -> Option<Sight> {
    let Work::Decide(command) = work else {
        return None;
    };
    let sight = Sight {
        scope: caller.scope.clone(),
        buyer: command.identities(),
    };
    (!sight.sees_every_order()).then_some(sight)
}
