//! The gRPC services: each method parses, asks the engine or reads, and renders. What is decided is
//! decided elsewhere.
//!
//! Every call passes the `edge` first: is it gRPC, and of a size that is taken? Those of our own
//! services pass the `guard` next: who calls, whether that role may, and until when the answer
//! counts.

mod answers;
mod bounds;
mod bulk;
mod call;
mod cancellations;
mod clock;
mod deadline;
pub mod edge;
mod events;
pub mod fields;
mod fulfillment;
mod guard;
mod inventory;
pub mod limits;
mod method;
mod orders;
pub mod personal;
mod policies;
mod refunds;
mod sellers;
mod stores;
mod watching;

use std::sync::Arc;

use belay_proto::testing::v1::clock_service_server::ClockServiceServer;
use belay_proto::v1::bulk_service_server::BulkServiceServer;
use belay_proto::v1::cancellation_service_server::CancellationServiceServer;
use belay_proto::v1::event_service_server::EventServiceServer;
use belay_proto::v1::fulfillment_service_server::FulfillmentServiceServer;
use belay_proto::v1::inventory_service_server::InventoryServiceServer;
use belay_proto::v1::order_service_server::OrderServiceServer;
use belay_proto::v1::policy_service_server::PolicyServiceServer;
use belay_proto::v1::refund_service_server::RefundServiceServer;
use belay_proto::v1::seller_service_server::SellerServiceServer;
use belay_proto::v1::store_service_server::StoreServiceServer;
use belay_wire::status::MESSAGE_BYTES_MAX;
use tonic::service::Routes;

pub(crate) use self::answers::{Flow, IfFull, counted};
pub use self::bounds::{
    ANSWER_BYTES_DEFAULT, BODY_MAX, BoundSettings, CALL_BYTES, CONNECTION_STANDARD_CALLS_MAX,
    REQUEST_BYTES_DEFAULT,
};
pub(crate) use self::bounds::{ConnectionBounds, Held, PortBounds};
pub(crate) use self::call::status;
use self::guard::Guard;
pub(crate) use self::method::is_read;
use self::watching::Watching;
use crate::App;
use crate::auth::Authentication;
use crate::caller_limits::{CallerLimits, CallerSettings};
use crate::db::clock::Clock;

/// All services of `belay.v1`, each behind the guard; and the manual clock, where time is moved by
/// hand.
pub fn routes(app: Arc<App>, authentication: &Authentication, callers: CallerSettings) -> Routes {
    let limits = CallerLimits::new(callers);
    macro_rules! served {
        ($server:expr) => {
            $server
                .accept_compressed(edge::COMPRESSION)
                .send_compressed(edge::COMPRESSION)
                // Of a message that comes compressed; others are measured before.
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    macro_rules! guarded {
        ($Server:ident, $service:expr) => {
            guard!(served!($Server::new($service)))
        };
    }
    macro_rules! guard {
        ($served:expr) => {
            Guard::new(
                $served,
                authentication.clone(),
                limits.clone(),
                app.positions.clone(),
                app.telemetry.clone(),
            )
        };
    }
    let events = Arc::new(events::Events { app: app.clone() });
    let routes = Routes::new(guarded!(
        OrderServiceServer,
        orders::Orders { app: app.clone() }
    ))
    .add_service(guarded!(
        CancellationServiceServer,
        cancellations::Cancellations { app: app.clone() }
    ))
    .add_service(guarded!(
        FulfillmentServiceServer,
        fulfillment::Fulfillment { app: app.clone() }
    ))
    .add_service(guarded!(
        RefundServiceServer,
        refunds::Refunds { app: app.clone() }
    ))
    .add_service(guarded!(
        StoreServiceServer,
        stores::Stores { app: app.clone() }
    ))
    .add_service(guarded!(
        PolicyServiceServer,
        policies::Policies { app: app.clone() }
    ))
    .add_service(guard!(Watching::new(
        served!(EventServiceServer::from_arc(events.clone())),
        events::WatchEvents(events)
    )))
    .add_service(guarded!(
        InventoryServiceServer,
        inventory::Inventory { app: app.clone() }
    ))
    .add_service(guarded!(
        SellerServiceServer,
        sellers::Sellers { app: app.clone() }
    ))
    .add_service(guarded!(BulkServiceServer, bulk::Bulk::new(app.clone())));
    match app.clock {
        Clock::Manual => routes.add_service(guarded!(
            ClockServiceServer,
            clock::ManualClock { app: app.clone() }
        )),
        Clock::Database => routes,
    }
}
