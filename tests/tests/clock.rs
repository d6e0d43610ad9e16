//! The ClockService: there for servers with the manual clock, and for nobody else.

use belay_proto::testing::v1::clock_service_client::ClockServiceClient;
use belay_proto::testing::v1::{AdvanceTimeRequest, GetTimeRequest};
use belay_tests::raw::Refused;
use belay_tests::{TestServer, run, run_at};
use jiff::SignedDuration;
use prost_types::{Duration, Timestamp};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

const MONDAY: &str = "2026-03-02T10:00:00Z";

async fn clock(t: &TestServer) -> ClockServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", t.address())).unwrap();
    ClockServiceClient::new(endpoint.connect().await.unwrap())
}

fn hour(role: &'static str) -> Request<AdvanceTimeRequest> {
    let mut request = Request::new(AdvanceTimeRequest {
        duration: Some(Duration {
            seconds: 3_600,
            nanos: 0,
        }),
    });
    request
        .metadata_mut()
        .insert("belay-role", role.parse().unwrap());
    request
}

#[test]
fn time_stands_until_an_operator_moves_it() {
    run_at(MONDAY, async |t| {
        let mut clock = clock(t).await;
        let monday = t.now().await;
        let shown = clock
            .get_time(GetTimeRequest {})
            .await
            .unwrap()
            .into_inner()
            .time;
        assert_eq!(
            shown,
            Some(Timestamp {
                seconds: monday.as_second(),
                nanos: 0
            })
        );

        let moved = clock
            .advance_time(hour("operator"))
            .await
            .unwrap()
            .into_inner()
            .time;
        assert_eq!(
            moved,
            Some(Timestamp {
                seconds: monday.as_second() + 3_600,
                nanos: 0
            })
        );
        assert_eq!(t.now().await, monday + SignedDuration::from_hours(1));
        assert_eq!(
            clock
                .get_time(GetTimeRequest {})
                .await
                .unwrap()
                .into_inner()
                .time,
            moved
        );
        // Orders go by it.
        assert_eq!(t.place("A-1").await.create_time, t.now().await);

        let refused = Refused::of(&clock.advance_time(hour("support")).await.unwrap_err());
        assert_eq!(refused.what(), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
        let refused = Refused::of(
            &clock
                .advance_time(AdvanceTimeRequest { duration: None })
                .await
                .unwrap_err(),
        );
        assert_eq!(
            (refused.what(), &refused.fields[..]),
            (
                (Code::InvalidArgument, "INVALID_FIELD"),
                &["duration".to_owned()][..]
            )
        );
        assert_eq!(
            clock
                .get_time(GetTimeRequest {})
                .await
                .unwrap()
                .into_inner()
                .time,
            moved
        );
    });
}

#[test]
fn a_server_that_goes_by_the_databases_clock_has_no_such_service() {
    run(async |t| {
        let mut clock = clock(t).await;
        assert_eq!(
            clock.get_time(GetTimeRequest {}).await.unwrap_err().code(),
            Code::Unimplemented
        );
        assert_eq!(
            clock
                .advance_time(hour("operator"))
                .await
                .unwrap_err()
                .code(),
            Code::Unimplemented
        );
    });
}
