"""The README's tour in Python, with the code that `buf generate` makes of proto/buf.gen.python.yaml.

It needs grpcio, protobuf and googleapis-common-protos, and passes `mypy --strict`. proto/README.md shows parts of it.

    tour.py ADDRESS STORE
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it says nothing of its types

from belay.v1 import actor_pb2, cancellation_service_pb2, cancellation_service_pb2_grpc
from belay.v1 import cancellation_pb2, carrier_pb2, event_pb2, event_service_pb2, event_service_pb2_grpc
from belay.v1 import fulfillment_service_pb2, fulfillment_service_pb2_grpc
from belay.v1 import money_pb2, order_pb2, order_service_pb2, order_service_pb2_grpc
from belay.v1 import payment_pb2, refund_pb2, refund_service_pb2, refund_service_pb2_grpc
from belay.v1 import shipment_pb2, store_service_pb2, store_service_pb2_grpc

T = TypeVar("T")
Detail = TypeVar("Detail", bound=Message)

# Of each attempt, in seconds. Belay's own default is the same; with it the client gives up too.
DEADLINE = 10.0
# Of a call with all its attempts, in seconds.
PATIENCE = 60.0
# Answers may be larger than the 4 MiB that gRPC takes of itself.
OPTIONS = [("grpc.keepalive_time_ms", 20_000)]


def caller(role: str, actor: str) -> tuple[tuple[str, str], ...]:
    """The headers that `belay dev` believes; by key file it is one, `authorization: Bearer <secret>`."""
    return (("belay-role", role), ("belay-actor", actor))


# docs: details
def details(error: grpc.RpcError, kind: type[Detail]) -> list[Detail]:
    """What the status says beyond code and message: of the error of a call, its details of this kind."""
    found = []
    for entry in error.trailing_metadata() or ():
        if entry.key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(entry.value).details:
                detail = kind()
                if packed.Unpack(detail):
                    found.append(detail)
    return found


def reason(error: grpc.RpcError) -> str:
    """The name of an ErrorReason, such as "SHIPPED"; empty where the error is not Belay's, but the network's, say."""
    infos = details(error, error_details_pb2.ErrorInfo)
    return next((info.reason for info in infos if info.domain == "belay"), "")
# docs: end


# docs: retry
def repeated(call: Callable[[], T]) -> T:
    """Makes a call again that may be repeated: a read, or a write with the same request_id each time."""
    give_up = time.monotonic() + PATIENCE
    backoff = 0.05
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            asked = [info.retry_delay.ToTimedelta().total_seconds() for info in details(error, error_details_pb2.RetryInfo)]
            # Without RetryInfo it is too large a message, which would be as large again.
            is_overloaded = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and bool(asked)
            is_lost = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            delay = max(asked, default=0.0) + random.uniform(backoff, 2 * backoff)
            if not (is_overloaded or is_lost) or time.monotonic() + delay > give_up:
                raise
            print(f"  again, after {error.code().name} {reason(error)}", flush=True)
            time.sleep(delay)
            backoff = min(2 * backoff, 1.0)
# docs: end


def eur(minor_units: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="EUR", minor_units=minor_units)


def new_order(store_id: str, order_id: str, carrier_id: str) -> order_service_pb2.CreateOrderRequest:
    content = order_service_pb2.NewShipmentContent(line_number=1, quantity=2)
    return order_service_pb2.CreateOrderRequest(
        store_id=store_id,
        order_id=order_id,
        request_id=str(uuid.uuid4()),
        buyer=order_pb2.Buyer(id="ann", email="ann@example.com"),
        seller_id="acme",
        destination=order_pb2.Destination(country_code="DE", city="Berlin"),
        lines=[order_service_pb2.NewLine(sku="mug", title="Mug", quantity=2, goods=eur(1998), tax=eur(380))],
        shipping=order_pb2.ShippingCharge(amount=eur(490)),
        shipments=[order_service_pb2.NewShipment(carrier_id=carrier_id, contents=[content])],
    )


class Tour:
    def __init__(self, channel: grpc.Channel, store_id: str) -> None:
        self.store_id = store_id
        self.stores = store_service_pb2_grpc.StoreServiceStub(channel)
        self.orders = order_service_pb2_grpc.OrderServiceStub(channel)
        self.cancellations = cancellation_service_pb2_grpc.CancellationServiceStub(channel)
        self.shipments = fulfillment_service_pb2_grpc.FulfillmentServiceStub(channel)
        self.refunds = refund_service_pb2_grpc.RefundServiceStub(channel)
        self.events = event_service_pb2_grpc.EventServiceStub(channel)
        self.operator = caller("operator", "tour")
        self.storefront = caller("storefront", "web")
        self.payments = caller("payments", "checkout")
        self.warehouse = caller("warehouse", "main")

    def open_store(self) -> None:
        create = store_service_pb2.CreateStoreRequest(
            store_id=self.store_id, time_zone="Europe/Berlin", preset="independent-site"
        )
        created = repeated(lambda: self.stores.CreateStore(create, timeout=DEADLINE, metadata=self.operator))
        express = carrier_pb2.Carrier(carrier_id="express", display_name="Brings parcels back", in_transit_cancel=True)
        put = store_service_pb2.PutCarrierRequest(store_id=self.store_id, carrier=express)
        repeated(lambda: self.stores.PutCarrier(put, timeout=DEADLINE, metadata=self.operator))
        print(f"store {created.store.store_id} in {created.store.time_zone}")

    def place(self, order_id: str, carrier_id: str = "") -> order_pb2.Order:
        request = new_order(self.store_id, order_id, carrier_id)
        created = repeated(lambda: self.orders.CreateOrder(request, timeout=DEADLINE, metadata=self.storefront))
        assert created.request_id == request.request_id
        due = created.order.totals.due
        print(f"{order_id} is {order_pb2.OrderState.Name(created.order.state)}, {due.minor_units} {due.currency_code} due")
        return created.order

    def pay(self, order: order_pb2.Order) -> None:
        request = order_service_pb2.RecordPaymentRequest(
            store_id=self.store_id,
            request_id=str(uuid.uuid4()),
            order_id=order.order_id,
            provider_payment_id=f"pay-{order.order_id}",
            provider_event_id="event-1",
            fact=payment_pb2.PAYMENT_FACT_CAPTURED,
            method="CREDIT_CARD",
            amount=order.totals.due,
        )
        paid = repeated(lambda: self.orders.RecordPayment(request, timeout=DEADLINE, metadata=self.payments))
        print(f"{order.order_id} is {order_pb2.OrderState.Name(paid.order.state)}")

    def preview(self, order: order_pb2.Order) -> str:
        request = cancellation_service_pb2.PreviewCancellationRequest(
            store_id=self.store_id,
            order_id=order.order_id,
            all=cancellation_pb2.AllUnits(),
            reason="NO_LONGER_WANTED",
        )
        preview = repeated(
            lambda: self.cancellations.PreviewCancellation(request, timeout=DEADLINE, metadata=self.storefront)
        )
        assert preview.allowed and not preview.rejections
        total = preview.expected_refund.total
        rules = ", ".join(option.rule for option in preview.options if option.chosen)
        print(f"it may be cancelled by the rule {rules}: {total.minor_units} {total.currency_code} would go back")
        return preview.quote

    def cancellation(self, order_id: str, reason: str, quote: str = "") -> cancellation_service_pb2.RequestCancellationRequest:
        return cancellation_service_pb2.RequestCancellationRequest(
            store_id=self.store_id,
            request_id=str(uuid.uuid4()),
            order_id=order_id,
            all=cancellation_pb2.AllUnits(),
            reason=reason,
            quote=quote,
        )

    def cancel(self, order: order_pb2.Order, quote: str) -> None:
        request = self.cancellation(order.order_id, "NO_LONGER_WANTED", quote)

        def ask() -> cancellation_service_pb2.RequestCancellationResponse:
            return self.cancellations.RequestCancellation(request, timeout=DEADLINE, metadata=self.storefront)

        cancelled = repeated(ask)
        state = cancellation_pb2.CancellationState.Name(cancelled.cancellation.state)
        order_state = order_pb2.OrderState.Name(cancelled.order_state)
        print(f"{cancelled.cancellation.cancellation_id} is {state}, the order {order_state}")
        # The same request again has no second effect: it gets the answer of the first time.
        assert ask() == cancelled

    def settle(self) -> None:
        claim = refund_service_pb2.ClaimRefundsRequest(store_id=self.store_id, worker_id="worker-1")
        # Each call claims other refunds: an answer that is lost is left to the end of its lease, and not asked for again.
        for refund in self.refunds.ClaimRefunds(claim, timeout=DEADLINE, metadata=self.payments).refunds:
            result = refund_service_pb2.RecordRefundResultRequest(
                store_id=self.store_id,
                request_id=str(uuid.uuid4()),
                refund_id=refund.refund_id,
                result=refund_pb2.REFUND_RESULT_SETTLED,
                provider_refund_id=f"re-{refund.refund_id}",
            )
            settled = repeated(
                lambda: self.refunds.RecordRefundResult(result, timeout=DEADLINE, metadata=self.payments)
            )
            total = settled.refund.amount.total
            state = refund_pb2.RefundState.Name(settled.refund.state)
            print(f"{settled.refund.refund_id} of {total.minor_units} {total.currency_code} is {state}")

    def history(self, order: order_pb2.Order) -> None:
        request = order_service_pb2.ListOrderHistoryRequest(store_id=self.store_id, order_id=order.order_id, page_size=2)
        while True:
            page = repeated(lambda: self.orders.ListOrderHistory(request, timeout=DEADLINE, metadata=self.storefront))
            for event in page.events:
                print(f"  {event.order_version} {event_pb2.EventType.Name(event.event_type)}")
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def dispatch(self, order: order_pb2.Order) -> None:
        shipment = order.shipments[0]
        request = fulfillment_service_pb2.DispatchShipmentRequest(
            store_id=self.store_id,
            request_id=str(uuid.uuid4()),
            shipment_id=shipment.shipment_id,
            fence=shipment.fence,
        )
        left = repeated(lambda: self.shipments.DispatchShipment(request, timeout=DEADLINE, metadata=self.warehouse))
        print(f"{left.shipment.shipment_id} is {shipment_pb2.ShipmentStage.Name(left.shipment.stage)}")

    # docs: refused
    def be_refused(self, order_id: str, why: str) -> None:
        request = self.cancellation(order_id, why)
        try:
            repeated(lambda: self.cancellations.RequestCancellation(request, timeout=DEADLINE, metadata=self.storefront))
        except grpc.RpcError as error:
            print(f"{error.code().name} {reason(error)}")
            for info in details(error, error_details_pb2.ErrorInfo):
                for key in sorted(info.metadata):
                    print(f"  {key}: {info.metadata[key]}")
            for precondition in details(error, error_details_pb2.PreconditionFailure):
                for against in precondition.violations:
                    print(f"  against it: {against.type} of {against.subject}")
            for bad in details(error, error_details_pb2.BadRequest):
                for field in bad.field_violations:
                    print(f"  field {field.field}: {field.description}")
        else:
            raise AssertionError("it is refused")
    # docs: end

    # docs: watch
    def watch(self, resume_token: str, until: event_pb2.EventType.ValueType) -> str:
        """Watches from a token on, or from now, until an event of this type, or the first message. Gives the token behind it."""
        request = event_service_pb2.WatchEventsRequest(filter=event_service_pb2.EventFilter(store_id=self.store_id))
        if resume_token:
            request.resume_token = resume_token
        # Without a deadline, which would end the stream.
        stream = self.events.WatchEvents(request, metadata=self.storefront)
        try:
            for message in stream:
                # Handle what is new, and keep the token with the effect.
                for event in message.events:
                    if event.event_type == until:
                        print(f"saw {event_pb2.EventType.Name(event.event_type)} of {event.order_id}")
                        return message.resume_token
                if until == event_pb2.EVENT_TYPE_UNSPECIFIED:
                    return message.resume_token
                resume_token = message.resume_token
        finally:
            stream.cancel()
        # It ended with OK: begin again with the token.
        return self.watch(resume_token, until)
    # docs: end


def main() -> None:
    address, store_id = sys.argv[1:]
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        tour = Tour(channel, store_id)
        tour.open_store()
        token = repeated(lambda: tour.watch("", event_pb2.EVENT_TYPE_UNSPECIFIED))
        mugs = tour.place("mugs")
        tour.pay(mugs)
        tour.cancel(mugs, tour.preview(mugs))
        tour.settle()
        tour.history(mugs)
        parcel = tour.place("parcel", "express")
        tour.pay(parcel)
        tour.dispatch(parcel)
        tour.be_refused("parcel", "NO_LONGER_WANTED")
        tour.be_refused("parcel", "")
        repeated(lambda: tour.watch(token, event_pb2.EVENT_TYPE_CANCELLATION_COMPLETED))


main()
