//! The ClockService: time by hand, on servers that were started so and on no other.

use std::sync::Arc;

use belay_proto::testing::v1 as pb;
use belay_proto::testing::v1::clock_service_server::ClockService;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::status::Failure;
use super::stores::written;
use crate::App;
use crate::db::clock;
use crate::wire::parse::{self, clock as parse_clock};
use crate::wire::values::time;

#[derive(Debug)]
pub(super) struct Clock {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl ClockService for Clock {
    async fn get_time(
        &self,
        request: Request<pb::GetTimeRequest>,
    ) -> Result<Response<pb::GetTimeResponse>, Status> {
        let (_, pb::GetTimeRequest {}) = Call::of(request)?;
        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let read = clock::manual(&mut conn).await;
        let now = conn.finish_with(read).map_err(Failure::from)?;
        Ok(Response::new(pb::GetTimeResponse {
            time: Some(time(now)),
        }))
    }

    async fn advance_time(
        &self,
        request: Request<pb::AdvanceTimeRequest>,
    ) -> Result<Response<pb::AdvanceTimeResponse>, Status> {
        let (_, request) = Call::of(request)?;
        let by = parse::parse(|v| parse_clock::advance(v, request)).map_err(Failure::from)?;
        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let write = clock::advance_manual(&mut conn, by).await;
        let now = conn.finish_with(write).map_err(written)?;
        Ok(Response::new(pb::AdvanceTimeResponse {
            time: Some(time(now)),
        }))
    }
}
