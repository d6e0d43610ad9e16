//! The ClockService: time by hand, on servers that were started so and on no other.

use std::sync::Arc;

use belay_proto::testing::v1 as pb;
use belay_proto::testing::v1::clock_service_server::ClockService;
use belay_wire::parse::clock as parse;
use belay_wire::values::time;
use tonic::Request;

use super::call::{Call, MethodResult, answer};
use crate::App;
use crate::admin::write_failure;
use crate::db::clock;

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
            let mut conn = self.app.pools.reads.checkout().await?;
            let read = clock::manual(&mut conn).await;
            let time = Some(time(conn.finish_with(read)?));
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
            let mut conn = self.app.pools.reads.checkout().await?;
            let write = clock::advance_manual(&mut conn, by).await;
            let time = Some(time(conn.finish_with(write).map_err(write_failure)?));
            Ok(pb::AdvanceTimeResponse { time })
        })
        .await
    }
}
