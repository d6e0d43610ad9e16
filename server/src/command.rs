//! A command of a caller, on its way to the engine and back.

use std::sync::Arc;

use belay_domain::context::StoreConfig;
use belay_domain::scope::Caller;
use belay_wire::batch::Reply;
use belay_wire::parse::CommandRequest;
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use tokio::time::Instant;

use crate::engine::{Priority, Submission};
use crate::{App, failure, ids};

impl App {
    /// Lets the engine decide, and returns the encoded answer that it gives now or gave when the
    /// request first came.
    pub(crate) async fn decide(
        &self,
        store: Arc<StoreConfig>,
        caller: &Caller,
        deadline: Instant,
        command: CommandRequest,
    ) -> Result<Vec<u8>, CallError> {
        let envelope = command.envelope;
        let request_id = envelope.request_id.unwrap_or_else(ids::request_id);
        let submission = Submission {
            store,
            caller: caller.clone(),
            order: envelope.order.clone(),
            request_id,
            expected_version: envelope.expected_version,
            work: command.work,
            deadline,
            priority: Priority::Interactive,
        };
        match self.engine.submit(submission).await {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Rejected(rejection)) => {
                let named = RequestIds {
                    order: envelope.order,
                    child: envelope.child,
                    request_id: Some(request_id),
                };
                Err(CallError::rejected(rejection, named))
            }
            Err(error) => Err(failure::of_engine(error, request_id)),
        }
    }
}
