//! The ClockService: time by hand, on servers that were started so and on no other.

use std::sync::Arc;

use belay_proto::testing::v1 as pb;
use belay_proto::testing::v1::clock_service_server::ClockService;
use belay_wire::parse::clock as parse;
use belay_wire::values::time;
use tonic::Request;

use super::call::{Call, MethodResult, answer};
use crate::App;
use crate::admin::clock;

#[derive(Debug)]
pub(super) struct ManualClock {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl ClockService for ManualClock {
    async fn get_time(
        &self,
        request: Request<pb::GetTimeRequest>,
    ) -> MethodResult<pb::GetTimeResponse> {
        answer(async {
            let (_, pb::GetTimeRequest {}) = Call::of(request)?;
            let time = Some(time(clock::now(&self.app).await?));
            Ok(pb::GetTimeResponse { time })
        })
        .await
    }

    async fn advance_time(
        &self,
        request: Request<pb::AdvanceTimeRequest>,
    ) -> MethodResult<pb::AdvanceTimeResponse> {
        answer(async {
            let (_, by) = self.app.read(request, parse::advance_time)?;
            let time = Some(time(clock::advance(&self.app, by).await?));
            Ok(pb::AdvanceTimeResponse { time })
        })
        .await
    }
}
