//! What every sequence begins with: an order for each answer that somebody may be asked for. Chance
//! alone gets there late.

use belay_proto::v1 as pb;
use jiff::SignedDuration;
use pb::request_cancellation_request::Selection;

use super::known::{Run, stamp};
use super::pair::Caller;

fn euros(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    })
}

impl Run<'_> {
    pub(crate) async fn overture(&mut self) {
        let stop = self.asked("of-cross-border-declaration", true, false).await;
        let request = pb::AnswerStopRequest {
            store_id: stop.store_id.clone(),
            shipment_id: format!("{}:s1", stop.order_id),
            answer: Some(pb::answer_stop_request::Answer::Stopped(
                pb::Stopped::default(),
            )),
            ..Default::default()
        };
        self.answered(&stop, Caller::new("warehouse", "main"), request)
            .await;

        let intercept = self.asked("of-independent-site", true, true).await;
        let confirmed = pb::answer_intercept_request::Answer::Confirmed(pb::InterceptConfirmed {});
        let request = pb::AnswerInterceptRequest {
            store_id: intercept.store_id.clone(),
            shipment_id: format!("{}:s1", intercept.order_id),
            answer: Some(confirmed),
            ..Default::default()
        };
        self.answered(&intercept, Caller::new("carrier", "express"), request)
            .await;

        let store = "of-supplier-agreement";
        let order = self.asked(store, false, false).await;
        let request = pb::ApproveCancellationRequest {
            store_id: store.to_owned(),
            cancellation_id: format!("{}:c1", order.order_id),
            ..Default::default()
        };
        self.answered(&order, Caller::new("seller", "acme"), request)
            .await;
        let order = self.asked(store, false, false).await;
        let request = pb::RejectCancellationRequest {
            store_id: store.to_owned(),
            cancellation_id: format!("{}:c1", order.order_id),
            code: "PACKED".to_owned(),
            ..Default::default()
        };
        self.answered(&order, Caller::new("seller", "acme"), request)
            .await;
        let order = self.asked(store, false, false).await;
        let request = pb::WithdrawCancellationRequest {
            store_id: store.to_owned(),
            cancellation_id: format!("{}:c1", order.order_id),
            ..Default::default()
        };
        self.answered(&order, Caller::new("storefront", "web"), request)
            .await;
        self.annotations(&order).await;
        self.parcels().await;
        self.administration().await;
        self.begin_to_read("mail").await;
        // A few that wait.
        self.asked(store, false, false).await;
        self.asked("of-seller-center", true, false).await;
        self.asked("of-cross-border-declaration", true, false).await;
    }

    /// What is kept with a cancellation, a note, and the order found by its id.
    async fn annotations(&mut self, order: &pb::Order) {
        let (store_id, order_id) = (order.store_id.clone(), order.order_id.clone());
        let kept = pb::UpdateCancellationMetadataRequest {
            store_id: store_id.clone(),
            cancellation_id: format!("{order_id}:c1"),
            set_metadata: [("case".to_owned(), "17".to_owned())].into(),
            ..Default::default()
        };
        self.answered(order, Caller::operator(), kept).await;
        let note = pb::AddNoteRequest {
            store_id: store_id.clone(),
            order_id: order_id.clone(),
            text: "she called".to_owned(),
            visibility: pb::NoteVisibility::Private.into(),
            ..Default::default()
        };
        self.answered(order, Caller::operator(), note).await;
        let find = pb::FindOrdersRequest {
            store_id,
            by: Some(pb::find_orders_request::By::OrderIdPrefix(order_id)),
            ..Default::default()
        };
        let found = self.pair.ask(&Caller::operator(), find).await;
        assert_eq!(found.expect("it is found").orders.len(), 1);
    }

    /// An order that is held, let go, and sent in two parcels.
    async fn parcels(&mut self) {
        let order = self.placed("of-independent-site").await;
        let (store_id, shipment_id) = (order.store_id.clone(), format!("{}:s1", order.order_id));
        let hold = pb::HoldShipmentRequest {
            store_id: store_id.clone(),
            shipment_id: shipment_id.clone(),
            hold_until: Some(stamp(self.pair.now + SignedDuration::from_hours(3))),
            ..Default::default()
        };
        self.answered(&order, Caller::new("seller", "acme"), hold)
            .await;
        let release = pb::ReleaseHoldRequest {
            store_id: store_id.clone(),
            shipment_id: shipment_id.clone(),
            ..Default::default()
        };
        self.answered(&order, Caller::new("seller", "acme"), release)
            .await;
        let parcel = pb::Parcel {
            contents: vec![pb::LineQuantity {
                line_id: format!("{}:l1", order.order_id),
                quantity: 1,
            }],
        };
        let split = pb::SplitShipmentRequest {
            store_id,
            shipment_id,
            parcels: vec![parcel.clone(), parcel],
            ..Default::default()
        };
        self.answered(&order, Caller::new("warehouse", "main"), split)
            .await;
    }

    async fn administration(&mut self) {
        let ops = Caller::operator();
        let store_id = self.stores[0].id.clone();
        self.pair.projected().await;
        let request_id = self.uuid();
        let archive = pb::ArchiveSkuRequest {
            store_id: store_id.clone(),
            warehouse_id: "main".to_owned(),
            sku: "HAT".to_owned(),
            request_id,
        };
        self.pair.ask(&ops, archive).await.expect("it is archived");
        let stock = pb::GetStockRequest {
            store_id: store_id.clone(),
            warehouse_id: "main".to_owned(),
            sku: "HAT".to_owned(),
        };
        self.pair.ask(&ops, stock).await.expect("it is known");
        let update = pb::UpdateStoreRequest {
            store_id: store_id.clone(),
            display_name: "A shop".to_owned(),
            ..Default::default()
        };
        self.pair.ask(&ops, update).await.expect("it is renamed");
        let read = pb::GetStoreRequest {
            store_id: store_id.clone(),
        };
        self.pair.ask(&ops, read).await.expect("it is there");
        let document = self.stores[0].documents[0].clone() + "\n";
        let create = pb::CreatePolicyRequest {
            store_id: store_id.clone(),
            document: document.clone(),
            validate_only: false,
        };
        self.pair.ask(&ops, create).await.expect("it is a policy");
        self.stores[0].learn(&document);
        let activate = pb::ActivatePolicyRequest {
            store_id,
            version: 1,
            effective_time: None,
        };
        self.pair.ask(&ops, activate).await.expect("it is there");
        let consumer_id = "mail".to_owned();
        let delete = pb::DeleteConsumerRequest {
            consumer_id,
            store_id: String::new(),
        };
        self.pair
            .ask(&Caller::new("storefront", "mailer"), delete)
            .await
            .expect("it goes");
    }

    async fn answered<R>(&mut self, order: &pb::Order, caller: Caller, mut request: R)
    where
        R: belay_proto::rpc::Rpc + super::pair::Asked,
        R::Response: super::pair::Answered,
    {
        let request_id = self.uuid();
        self.pair.brings(&request_id);
        request.set_request_id(request_id);
        let answer = self.pair.ask(&caller, request).await;
        answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", R::PATH));
        self.pair.wrote();
        self.pair.settled().await;
        self.look_at(&order.store_id, &order.order_id).await;
    }

    /// A paid order of two mugs.
    async fn placed(&mut self, store: &str) -> pb::Order {
        let store_id = store.to_owned();
        let order_id = self.new_order_id(store).expect("there is room");
        let line = pb::NewLine {
            sku: "MUG".to_owned(),
            quantity: 2,
            goods: euros(2_000),
            ..Default::default()
        };
        let shipment = pb::NewShipment {
            warehouse_id: "main".to_owned(),
            carrier_id: "express".to_owned(),
            contents: vec![pb::NewShipmentContent {
                line_number: 1,
                quantity: 2,
            }],
        };
        let order = pb::Order {
            store_id: store_id.clone(),
            order_id: order_id.clone(),
            ..Default::default()
        };
        let request = pb::CreateOrderRequest {
            store_id: store_id.clone(),
            order_id: order_id.clone(),
            buyer: Some(pb::Buyer {
                id: "ann".to_owned(),
                ..Default::default()
            }),
            seller_id: "acme".to_owned(),
            destination: Some(pb::Destination {
                country_code: "DE".to_owned(),
                ..Default::default()
            }),
            lines: vec![line],
            shipments: vec![shipment],
            ..Default::default()
        };
        self.answered(&order, Caller::new("storefront", "web"), request)
            .await;
        let request = pb::RecordPaymentRequest {
            store_id: store_id.clone(),
            order_id: order_id.clone(),
            provider_payment_id: "pay-0".to_owned(),
            provider_event_id: "captured".to_owned(),
            fact: pb::PaymentFact::Captured.into(),
            amount: euros(2_000),
            method: "PAYPAL".to_owned(),
            ..Default::default()
        };
        self.answered(&order, Caller::new("payments", "psp"), request)
            .await;
        order
    }

    /// A paid order that its buyer has asked to cancel: as it was placed, as it is prepared, or on
    /// its way.
    async fn asked(&mut self, store: &str, is_prepared: bool, is_sent: bool) -> pb::Order {
        let order = self.placed(store).await;
        let (store_id, order_id) = (order.store_id.clone(), order.order_id.clone());
        let shipment_id = format!("{order_id}:s1");
        if is_prepared {
            let (store_id, shipment_id) = (store_id.clone(), shipment_id.clone());
            let request = pb::StartPreparationRequest {
                store_id,
                shipment_id,
                ..Default::default()
            };
            self.answered(&order, Caller::new("warehouse", "main"), request)
                .await;
        }
        if is_sent {
            let store_id = store_id.clone();
            let request = pb::DispatchShipmentRequest {
                store_id,
                shipment_id,
                fence: 1,
                ..Default::default()
            };
            self.answered(&order, Caller::new("warehouse", "main"), request)
                .await;
        }
        let reason = match store {
            "of-supplier-agreement" => "NO_LONGER_NEEDED",
            _ => "NO_LONGER_WANTED",
        };
        let path = if is_sent {
            pb::CancellationPath::Intercept
        } else {
            pb::CancellationPath::Cancel
        };
        let request = pb::RequestCancellationRequest {
            store_id,
            order_id,
            selection: Some(Selection::All(pb::AllUnits {})),
            reason: reason.to_owned(),
            paths: vec![path.into()],
            ..Default::default()
        };
        self.answered(&order, Caller::new("storefront", "web"), request)
            .await;
        order
    }
}
