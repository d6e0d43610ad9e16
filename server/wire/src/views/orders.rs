//! Orders and what belongs to them, and their events: which group each field is in.

use belay_proto::v1 as pb;

use super::{Group, ParcelView, Row, Viewed, details, own, views, words};

views! {
    Order {
        order_id: Parcel,
        store_id: Parcel,
        etag: Parcel,
        state: Parcel,
        display_state: Parcel,
        cancellable_now: Sale,
        cancellable_explanation: Sale,
        buyer: Buyer,
        seller_id: Parcel,
        destination: Parcel > deep,
        lines: Parcel > deep,
        shipping: Money,
        totals: Money,
        payments: Money,
        shipments: Parcel > deep,
        cancellations: Parcel > deep,
        refunds: Money,
        incidents: Incidents > deep,
        policy_version: Parcel,
        create_time: Parcel,
        update_time: Parcel,
        pay_by: Money,
        paid_time: Money,
        verifying_until: Money,
        payment_lapse_time: Money,
        metadata: Sale,
        external_references: Sale,
        notes: Sale,
    }
    Destination {
        country_code: Parcel,
        region: Parcel,
        city: Parcel,
    }
    Line own(own::line) {
        line_id: Parcel,
        sku: Parcel,
        title: Parcel,
        quantity: Sale,
        goods: Money,
        discount: Money,
        tax: Money,
        cancelled_quantity: Sale,
        pending_quantity: Sale,
        shipped_quantity: Sale,
    }
    Shipment own(own::shipment) {
        shipment_id: Parcel,
        order_id: Parcel,
        warehouse_id: Parcel,
        carrier_id: Parcel,
        stage: Parcel,
        fence: Parcel,
        tracking_number: Parcel,
        contents: Parcel > deep,
        create_time: Parcel,
        dispatch_time: Parcel,
        deliver_time: Parcel,
        update_time: Parcel,
        order_etag: Parcel,
        prepare_by: Parcel,
        preparation_overdue: Parcel,
        hold: Parcel > deep,
        intercept: Parcel > deep,
        customs_flag: Parcel > deep,
        split_from_id: Parcel,
        do_not_hand_over: Parcel,
    }
    ShipmentContent {
        line_id: Parcel,
        sku: Parcel,
        quantity: Parcel,
        cancelled_quantity: Parcel,
        dispatched_quantity: Parcel,
        received_quantity: Parcel,
    }
    Hold words(words::placed) {
        hold_until: Parcel,
        note: Words,
        placed_by: Parcel > deep,
        create_time: Parcel,
    }
    Actor words(words::self_named) {
        role: Parcel,
        id: Words,
    }
    Intercept {
        state: Parcel,
        request_time: Parcel,
        update_time: Parcel,
    }
    CustomsFlag {
        sku: Parcel,
        quantity: Parcel,
        units_max: Parcel,
        remedies: Parcel,
    }
    Cancellation own(own::cancellation) words(words::asked) {
        cancellation_id: Parcel,
        order_id: Parcel,
        state: Parcel,
        outcome: Parcel,
        close_reason: Parcel,
        reason: Parcel,
        fault: Parcel,
        note: Words,
        evidence: Words,
        counted: Sale,
        effects: Parcel,
        requester: Parcel > deep,
        submitted_by: Parcel > deep,
        parts: Parcel > deep,
        expected_refund: Money,
        refund_ids: Money,
        refund_due_by: Money,
        policy_version: Parcel,
        create_time: Parcel,
        close_time: Parcel,
        next_actions: Parcel,
        auto_approved: Parcel,
        expected_release: Money,
        metadata: Sale,
        external_references: Sale,
    }
    CancellationPart own(own::part) {
        shipment_id: Parcel,
        path: Parcel,
        state: Parcel,
        rule: Parcel,
        refused_reason: Parcel,
        contents: Parcel > deep,
        gates: Parcel > deep,
        expected_refund: Money,
        next_actions: Parcel,
        deductions: Money,
        label: Parcel,
        label_instructions: Parcel,
        receipt: Parcel > deep,
        effects: Parcel,
        return_state: Parcel,
        credit: Money,
    }
    LineQuantity {
        line_id: Parcel,
        quantity: Parcel,
    }
    Gate words(words::asked_gate) {
        kind: Parcel,
        party: Parcel,
        state: Parcel,
        open_time: Parcel,
        respond_by: Parcel,
        on_timeout: Parcel,
        on_dispatch: Parcel,
        on_lost: Parcel,
        answer: Words > deep,
        remind_time: Parcel,
        close_time: Parcel,
        instead_of: Parcel,
    }
    GateAnswer {
        by: Parcel > deep,
        code: Parcel,
        note: Parcel,
        evidence: Parcel,
        stage_seen: Parcel,
        put_back: Parcel > deep,
    }
    ParcelReceipt {
        condition: Parcel,
        receive_time: Parcel,
    }
    Incident own(own::incident) words(words::resolved) {
        incident_id: Parcel,
        order_id: Parcel,
        kind: Parcel,
        state: Parcel,
        subject_id: Parcel,
        create_time: Parcel,
        resolve_time: Parcel,
        cancellation_id: Parcel,
        resolution: Parcel,
        resolved_by: Parcel > deep,
        note: Words,
        allowed_resolutions: Parcel,
        amount: Money,
    }
    Event {
        event_type: Parcel,
        partition: Parcel,
        position: Parcel,
        store_id: Parcel,
        order_id: Parcel,
        order_version: Parcel,
        event_time: Parcel,
        actor: Parcel > deep,
        on_behalf_of: Parcel > deep,
        policy_version: Parcel,
        rule: Parcel,
        cause: Parcel,
        notify_buyer: Parcel,
        seller_id: Parcel,
        warehouse_id: Parcel,
        carrier_id: Parcel,
        detail: Parcel > deep,
    }
    ShipmentStageChanged {
        shipment_id: Parcel,
        from_stage: Parcel,
        to_stage: Parcel,
        fence: Parcel,
        contents: Parcel > deep,
    }
    SkuQuantity {
        line_id: Parcel,
        quantity: Parcel,
        sku: Parcel,
    }
    TrackingRecorded {
        shipment_id: Parcel,
        fact: Parcel,
        occurred_time: Parcel,
    }
    GateChanged {
        cancellation_id: Parcel,
        shipment_id: Parcel,
        kind: Parcel,
        party: Parcel,
        state: Parcel,
        respond_by: Parcel,
        fence: Parcel,
        contents: Parcel > deep,
        reason: Parcel,
    }
    PartEnded {
        cancellation_id: Parcel,
        shipment_id: Parcel,
        state: Parcel,
        refused_reason: Parcel,
        contents: Parcel > deep,
        effects: Parcel,
        fault: Parcel,
        counted: Sale,
        stage: Parcel,
        path: Parcel,
        reason: Parcel,
    }
    ShipmentHeld {
        shipment_id: Parcel,
        hold_until: Parcel,
    }
    HoldEnded {
        shipment_id: Parcel,
    }
    ShipmentSplit {
        shipment_id: Parcel,
        into_shipment_ids: Parcel,
    }
    InterceptChanged {
        shipment_id: Parcel,
        state: Parcel,
    }
    ParcelReceived {
        shipment_id: Parcel,
        condition: Parcel,
        contents: Parcel > deep,
        receipt_id: Parcel,
        receive_time: Parcel,
    }
    PreparationOverdue {
        shipment_id: Parcel,
        prepare_by: Parcel,
    }
    PreviewCancellationResponse {
        allowed: Parcel,
        rejections: Parcel > deep,
        options: Parcel > deep,
        expected_refund: Money,
        refund_due: Money,
        note_required: Parcel,
        evidence_required: Parcel,
        counted: Sale,
        effects: Parcel,
        policy_version: Parcel,
        order_etag: Parcel,
        decide_time: Parcel,
        next_actions: Parcel,
        quote: Parcel,
        quote_valid_until: Parcel,
        expected_release: Money,
        quality: Sale,
    }
    ListReasonsResponse {
        reasons: Parcel > deep,
        reason_required: Parcel,
        policy_version: Parcel,
        order_etag: Parcel,
        decide_time: Parcel,
    }
    CancellationReason {
        code: Parcel,
        label: Parcel,
        language: Parcel,
        note_required: Parcel,
        evidence_required: Parcel,
        evidence_channels: Parcel,
        allowed: Parcel,
        rejection: Parcel > deep,
        waits: Parcel,
        expected_refund: Money,
        expected_release: Money,
        counted: Sale,
        effects: Parcel,
        next_actions: Parcel,
    }
    Rejection {
        reason: Parcel,
        subject: Parcel,
        message: Parcel,
        metadata: Parcel,
    }
    PathOption own(own::option) {
        shipment_id: Parcel,
        path: Parcel,
        allowed: Parcel,
        chosen: Parcel,
        rule: Parcel,
        refused_reason: Parcel,
        contents: Parcel > deep,
        gates: Parcel > deep,
        expected_refund: Money,
        refund_due: Money,
        next_actions: Parcel,
        available_from: Parcel,
        available_until: Parcel,
        deductions: Money,
        label: Parcel,
        label_instructions: Parcel,
        credit: Money,
    }
    GatePreview {
        kind: Parcel,
        party: Parcel,
        respond_within: Parcel,
        on_timeout: Parcel,
        on_dispatch: Parcel,
        on_lost: Parcel,
        respond_by: Parcel,
    }
}

details! {
    OrderCreated: order_created Sale,
    PaymentRecorded: payment_recorded Money,
    ShipmentStageChanged: shipment_stage_changed Parcel > deep,
    TrackingRecorded: tracking_recorded Parcel > deep,
    CancellationChanged: cancellation_changed Sale,
    GateChanged: gate_changed Parcel > deep,
    RefundChanged: refund_changed Money,
    IncidentChanged: incident_changed Sale,
    PartEnded: part_ended Parcel > deep,
    ShipmentHeld: shipment_held Parcel > deep,
    HoldEnded: hold_ended Parcel > deep,
    ShipmentSplit: shipment_split Parcel > deep,
    InterceptChanged: intercept_changed Parcel > deep,
    ParcelReceived: parcel_received Parcel > deep,
    PreparationOverdue: preparation_overdue Parcel > deep,
    RefundOverdue: refund_overdue Money,
    PaymentLapsed: payment_lapsed Money,
    RequestRejected: request_rejected Sale,
    MetadataChanged: metadata_changed Sale,
    NoteAdded: note_added Sale,
}
