//! All other messages that a warehouse or a carrier is answered with: which group each field is in.

use belay_proto::v1 as pb;

use super::{Group, ParcelView, Row, Viewed, views};

views! {
    GetOrderResponse {
        order: Parcel > deep,
    }
    ListOrderHistoryResponse {
        events: Parcel > deep,
        next_page_token: Parcel,
    }
    RequestCancellationResponse {
        cancellation: Parcel > deep,
        order_state: Parcel,
        order_etag: Parcel,
        request_id: Parcel,
    }
    GetCancellationResponse {
        cancellation: Parcel > deep,
        order_etag: Parcel,
    }
    ListCancellationsResponse {
        cancellations: Parcel > deep,
        next_page_token: Parcel,
    }
    WithdrawCancellationResponse {
        cancellation: Parcel > deep,
        order_state: Parcel,
        order_etag: Parcel,
        request_id: Parcel,
    }
    ListIncidentsResponse {
        incidents: Parcel > deep,
        next_page_token: Parcel,
    }
    SummarizeActionsResponse {
        auto_approved: Parcel > deep,
        requested: Parcel > deep,
        total: Parcel > deep,
        nearest_deadline: Parcel,
    }
    BoundedCount {
        value: Parcel,
        at_least: Parcel,
    }
    GetShipmentResponse {
        shipment: Parcel > deep,
    }
    ListShipmentsResponse {
        shipments: Parcel > deep,
        next_page_token: Parcel,
    }
    StartPreparationResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    MarkReadyResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    DispatchShipmentResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    RecordTrackingResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    SplitShipmentResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
        into_shipments: Parcel > deep,
    }
    AnswerStopResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    AnswerInterceptResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    ReceiveParcelResponse {
        shipment: Parcel > deep,
        request_id: Parcel,
    }
    GetStoreResponse {
        store: Parcel > deep,
    }
    Store {
        store_id: Parcel,
        display_name: Parcel,
        etag: Parcel,
        time_zone: Parcel,
        active_policy_version: Parcel,
        default_warehouse_id: Parcel,
        default_carrier_id: Parcel,
        create_time: Parcel,
        update_time: Parcel,
        storefront_records_payments: Parcel,
    }
    ListCarriersResponse {
        carriers: Parcel > deep,
        next_page_token: Parcel,
    }
    Carrier {
        carrier_id: Parcel,
        display_name: Parcel,
        in_transit_cancel: Parcel,
        partner_delivery: Parcel,
        etag: Parcel,
        return_labels: Parcel > deep,
    }
    ReturnLabel {
        country_code: Parcel,
        price: Parcel > deep,
    }
    Money {
        currency_code: Parcel,
        minor_units: Parcel,
    }
    ListWarehousesResponse {
        warehouses: Parcel > deep,
        next_page_token: Parcel,
    }
    Warehouse {
        warehouse_id: Parcel,
        display_name: Parcel,
        time_zone: Parcel,
        etag: Parcel,
        country_code: Parcel,
        calendar: Parcel > deep,
    }
    WarehouseCalendar {
        weekend: Parcel,
        holidays: Parcel,
    }
    SetStockResponse {
        stock: Parcel > deep,
    }
    Stock {
        store_id: Parcel,
        warehouse_id: Parcel,
        sku: Parcel,
        on_hand_quantity: Parcel,
        reserved_quantity: Parcel,
        available_quantity: Parcel,
        archived: Parcel,
        tell_time: Parcel,
        update_time: Parcel,
    }
    ArchiveSkuResponse {
        stock: Parcel > deep,
    }
    GetStockResponse {
        stock: Parcel > deep,
    }
    ListStockResponse {
        stocks: Parcel > deep,
        next_page_token: Parcel,
    }
    ListStockEntriesResponse {
        entries: Parcel > deep,
        next_page_token: Parcel,
    }
    StockEntry {
        kind: Parcel,
        quantity: Parcel,
        on_hand_change: Parcel,
        reserved_change: Parcel,
        previous_quantity: Parcel,
        entry_time: Parcel,
        order_id: Parcel,
        shipment_id: Parcel,
        cancellation_id: Parcel,
        actor: Parcel > deep,
    }
    ListStockHoldersResponse {
        holders: Parcel > deep,
        next_page_token: Parcel,
    }
    StockHolder {
        order_id: Parcel,
        shipment_id: Parcel,
        stage: Parcel,
        quantity: Parcel,
        reserved_quantity: Parcel,
    }
    WatchEventsResponse {
        events: Parcel > deep,
        resume_token: Parcel,
        positions: Parcel > deep,
    }
    PartitionPosition {
        partition: Parcel,
        position: Parcel,
    }
    ListEventsResponse {
        events: Parcel > deep,
        next_page_token: Parcel,
        resume_token: Parcel,
    }
    CommitPositionResponse {
        consumer: Parcel > deep,
    }
    Consumer {
        consumer_id: Parcel,
        store_id: Parcel,
        owner: Parcel > deep,
        positions: Parcel > deep,
        resume_token: Parcel,
        lag_events: Parcel,
        commit_time: Parcel,
        expired_events: Parcel,
        expired_partitions: Parcel,
    }
    DeleteConsumerResponse {
    }
    GetConsumerResponse {
        consumer: Parcel > deep,
    }
    ListConsumersResponse {
        consumers: Parcel > deep,
        next_page_token: Parcel,
    }
}
