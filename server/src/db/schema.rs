//! The tables, as diesel knows them. Kept by hand beside the migrations; a test compares it with a
//! migrated database.

diesel::table! {
    orders (order_key) {
        order_key -> Binary,
        store_id -> Text,
        order_id -> Text,
        shard_partition -> Unsigned<SmallInt>,
        version -> Unsigned<BigInt>,
        state -> Text,
        buyer_id -> Text,
        buyer_email_hash -> Nullable<Binary>,
        buyer_username_hash -> Nullable<Binary>,
        seller_id -> Text,
        country_code -> Text,
        region -> Text,
        city -> Text,
        currency -> Text,
        shipping -> BigInt,
        shipping_tax -> BigInt,
        policy_version -> Unsigned<Integer>,
        create_time -> Datetime,
        update_time -> Datetime,
        pay_by -> Datetime,
        pay_by_moved -> Bool,
        paid_time -> Nullable<Datetime>,
        create_fingerprint -> Binary,
        next_due -> Nullable<Datetime>,
        line_count -> Unsigned<Integer>,
        payment_count -> Unsigned<Integer>,
        shipment_count -> Unsigned<Integer>,
        cancellation_count -> Unsigned<Integer>,
        refund_count -> Unsigned<Integer>,
        incident_count -> Unsigned<Integer>,
        verified_at -> Nullable<Datetime>,
        lapse_time -> Nullable<Datetime>,
        document -> Nullable<Binary>,
        annotations -> Nullable<Text>,
        note_count -> Unsigned<Integer>,
    }
}

diesel::table! {
    order_lines (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        sku -> Text,
        title -> Text,
        quantity -> Unsigned<Integer>,
        goods -> BigInt,
        discount -> BigInt,
        tax -> BigInt,
        store_id -> Nullable<Text>,
        create_time -> Nullable<Datetime>,
    }
}

diesel::table! {
    payments (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        provider_payment_id -> Text,
        method -> Text,
        state -> Text,
        authorized -> BigInt,
        captured -> BigInt,
        returned_outside -> BigInt,
        create_time -> Datetime,
        update_time -> Datetime,
        capture_time -> Nullable<Datetime>,
        provider_event_ids -> Text,
        held -> BigInt,
        unconfirmed -> BigInt,
        disputed -> BigInt,
        facts -> Nullable<Text>,
    }
}

diesel::table! {
    shipments (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        store_id -> Text,
        seller_id -> Text,
        warehouse_id -> Text,
        carrier_id -> Text,
        stage -> Text,
        fence -> Unsigned<Integer>,
        shipping -> BigInt,
        shipping_tax -> BigInt,
        tracking_number -> Nullable<Text>,
        create_time -> Datetime,
        update_time -> Datetime,
        dispatch_time -> Nullable<Datetime>,
        deliver_time -> Nullable<Datetime>,
        last_tracking_time -> Nullable<Datetime>,
        carrier_event_ids -> Text,
        prepare_by -> Nullable<Datetime>,
        preparation_overdue -> Bool,
        hold -> Nullable<Text>,
        intercept_state -> Nullable<Text>,
        intercept_request_time -> Nullable<Datetime>,
        intercept_update_time -> Nullable<Datetime>,
        customs_flag -> Nullable<Text>,
        split_from -> Nullable<Unsigned<Integer>>,
        whereabouts -> Nullable<Text>,
        units -> Nullable<Text>,
    }
}

diesel::table! {
    cancellations (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        store_id -> Text,
        seller_id -> Text,
        state -> Text,
        outcome -> Nullable<Text>,
        close_reason -> Nullable<Text>,
        reason -> Text,
        fault -> Text,
        note -> Nullable<Text>,
        evidence -> Text,
        counted -> Bool,
        effects -> Text,
        requester_role -> Text,
        requester_id -> Text,
        submitted_by_role -> Text,
        submitted_by_id -> Text,
        policy_version -> Unsigned<Integer>,
        create_time -> Datetime,
        close_time -> Nullable<Datetime>,
        next_actions -> Text,
    }
}

diesel::table! {
    cancellation_parts (order_key, cancellation_number, part_number) {
        order_key -> Binary,
        cancellation_number -> Unsigned<Integer>,
        part_number -> Unsigned<Integer>,
        shipment_number -> Unsigned<Integer>,
        path -> Text,
        state -> Text,
        rule -> Nullable<Text>,
        plan -> Text,
        refused_reason -> Nullable<Text>,
        next_actions -> Text,
        refund_goods -> BigInt,
        refund_tax -> BigInt,
        refund_shipping -> BigInt,
        refund_excess -> BigInt,
        outbound_shipping -> Text,
        return_shipping -> Text,
        deducted_outbound_shipping -> BigInt,
        deducted_return_shipping -> BigInt,
        deducted_by_schedule -> BigInt,
        label -> Nullable<Text>,
        receipt_condition -> Nullable<Text>,
        receive_time -> Nullable<Datetime>,
        effects -> Text,
        store_id -> Nullable<Text>,
        warehouse_id -> Nullable<Text>,
        carrier_id -> Nullable<Text>,
        create_time -> Nullable<Datetime>,
        units -> Nullable<Text>,
    }
}

diesel::table! {
    gates (order_key, cancellation_number, part_number, gate_number) {
        order_key -> Binary,
        cancellation_number -> Unsigned<Integer>,
        part_number -> Unsigned<Integer>,
        gate_number -> Unsigned<Integer>,
        kind -> Text,
        state -> Text,
        on_timeout -> Text,
        on_dispatch -> Text,
        on_lost -> Text,
        open_time -> Nullable<Datetime>,
        respond_by -> Nullable<Datetime>,
        close_time -> Nullable<Datetime>,
        respond_within -> Nullable<Text>,
        remind_before_micros -> Nullable<BigInt>,
        escalate_within -> Nullable<Text>,
        remind_at -> Nullable<Datetime>,
        answer -> Nullable<Text>,
        store_id -> Nullable<Text>,
        seller_id -> Nullable<Text>,
        warehouse_id -> Nullable<Text>,
        carrier_id -> Nullable<Text>,
        create_time -> Nullable<Datetime>,
        awaiting -> Nullable<Text>,
        instead_of -> Nullable<Text>,
    }
}

diesel::table! {
    refunds (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        store_id -> Text,
        seller_id -> Text,
        payment_number -> Unsigned<Integer>,
        cancellation_number -> Nullable<Unsigned<Integer>>,
        kind -> Text,
        state -> Text,
        goods -> BigInt,
        tax -> BigInt,
        shipping -> BigInt,
        excess -> BigInt,
        due_by -> Datetime,
        worker_id -> Nullable<Text>,
        lease_until -> Nullable<Datetime>,
        provider_refund_id -> Nullable<Text>,
        failure_code -> Nullable<Text>,
        create_time -> Datetime,
        update_time -> Datetime,
        settle_time -> Nullable<Datetime>,
        overdue_at -> Datetime,
        overdue -> Bool,
        retry_of -> Nullable<Unsigned<Integer>>,
        settled_amount -> Nullable<BigInt>,
    }
}

diesel::table! {
    incidents (order_key, number) {
        order_key -> Binary,
        number -> Unsigned<Integer>,
        store_id -> Text,
        kind -> Text,
        state -> Text,
        shipment_number -> Nullable<Unsigned<Integer>>,
        refund_number -> Nullable<Unsigned<Integer>>,
        create_time -> Datetime,
        resolve_time -> Nullable<Datetime>,
        cancellation_number -> Nullable<Unsigned<Integer>>,
        resolution -> Nullable<Text>,
        resolved_by_role -> Nullable<Text>,
        resolved_by_id -> Nullable<Text>,
        note -> Nullable<Text>,
        payment_number -> Nullable<Unsigned<Integer>>,
        amount -> Nullable<BigInt>,
    }
}

diesel::table! {
    decisions (order_key, request_id, caller, entry) {
        order_key -> Binary,
        request_id -> Binary,
        caller -> Text,
        store_id -> Text,
        decision_time -> Datetime,
        policy_version -> Unsigned<Integer>,
        accepted -> Bool,
        record -> Text,
        entry -> Unsigned<Integer>,
    }
}

diesel::table! {
    requests (order_key, request_id, caller) {
        order_key -> Binary,
        request_id -> Binary,
        caller -> Text,
        fingerprint -> Binary,
        answer -> Binary,
        create_time -> Datetime,
    }
}

diesel::table! {
    events (shard_partition, position) {
        shard_partition -> Unsigned<SmallInt>,
        position -> Unsigned<BigInt>,
        event_count -> Unsigned<Integer>,
        order_key -> Binary,
        store_id -> Text,
        order_version -> Unsigned<BigInt>,
        event_time -> Datetime,
        payload -> Binary,
        chain -> Nullable<Binary>,
        erased_digest -> Nullable<Binary>,
        erased_seal -> Nullable<Binary>,
    }
}

diesel::table! {
    partition_heads (shard_partition) {
        shard_partition -> Unsigned<SmallInt>,
        head -> Unsigned<BigInt>,
        chain -> Nullable<Binary>,
    }
}

diesel::table! {
    partition_tails (shard_partition) {
        shard_partition -> Unsigned<SmallInt>,
        pruned -> Unsigned<BigInt>,
        expiring -> Unsigned<BigInt>,
    }
}

diesel::table! {
    order_history (order_key, position) {
        order_key -> Binary,
        position -> Unsigned<BigInt>,
        shard_partition -> Unsigned<SmallInt>,
        event_count -> Unsigned<Integer>,
        order_version -> Unsigned<BigInt>,
        event_time -> Datetime,
        payload -> Binary,
        chain -> Nullable<Binary>,
        erased_digest -> Nullable<Binary>,
        erased_seal -> Nullable<Binary>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(partition_heads, partition_tails);

diesel::table! {
    consumers (store_id, consumer_id, role, actor_id) {
        store_id -> Text,
        consumer_id -> Text,
        role -> Text,
        actor_id -> Text,
        filter -> Binary,
        positions -> Text,
        commit_time -> Datetime,
    }
}

diesel::table! {
    manual_clock (id) {
        id -> Unsigned<TinyInt>,
        now -> Datetime,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    stores (store_id) {
        store_id -> Text,
        display_name -> Text,
        time_zone -> Text,
        default_warehouse_id -> Nullable<Text>,
        default_carrier_id -> Nullable<Text>,
        version -> Unsigned<BigInt>,
        create_time -> Datetime,
        update_time -> Datetime,
        fingerprint -> Binary,
        storefront_records_payments -> Bool,
    }
}

diesel::table! {
    policies (store_id, version) {
        store_id -> Text,
        version -> Unsigned<Integer>,
        name -> Text,
        document -> Text,
        create_time -> Datetime,
        author_id -> Nullable<Text>,
    }
}

diesel::table! {
    policy_activations (store_id, effective_time) {
        store_id -> Text,
        effective_time -> Datetime,
        version -> Unsigned<Integer>,
    }
}

diesel::table! {
    carriers (store_id, carrier_id) {
        store_id -> Text,
        carrier_id -> Text,
        display_name -> Text,
        in_transit_cancel -> Bool,
        partner_delivery -> Bool,
        version -> Unsigned<BigInt>,
        return_labels -> Text,
    }
}

diesel::table! {
    warehouses (store_id, warehouse_id) {
        store_id -> Text,
        warehouse_id -> Text,
        display_name -> Text,
        time_zone -> Text,
        version -> Unsigned<BigInt>,
        country_code -> Nullable<Text>,
        weekend -> Text,
        holidays -> Text,
    }
}

diesel::table! {
    projections (projection) {
        projection -> Text,
        serving -> Unsigned<Integer>,
        building -> Nullable<Unsigned<Integer>>,
        is_replayed -> Bool,
    }
}

diesel::table! {
    projection_positions (projection, generation, shard_partition) {
        projection -> Text,
        generation -> Unsigned<Integer>,
        shard_partition -> Unsigned<SmallInt>,
        position -> Unsigned<BigInt>,
    }
}

diesel::table! {
    stock_tellings (store_id, request_id) {
        store_id -> Text,
        request_id -> Binary,
        warehouse_id -> Text,
        sku -> Text,
        kind -> Text,
        quantity -> Unsigned<Integer>,
        role -> Text,
        actor_id -> Text,
        tell_time -> Datetime,
    }
}

diesel::table! {
    stock_entries (generation, store_id, warehouse_id, sku, place) {
        generation -> Unsigned<Integer>,
        store_id -> Text,
        warehouse_id -> Text,
        sku -> Text,
        place -> Binary,
        kind -> Text,
        quantity -> Unsigned<Integer>,
        on_hand -> BigInt,
        reserved -> BigInt,
        previous -> Nullable<BigInt>,
        order_id -> Nullable<Text>,
        shipment -> Nullable<Unsigned<Integer>>,
        cancellation -> Nullable<Unsigned<Integer>>,
        role -> Nullable<Text>,
        actor_id -> Nullable<Text>,
    }
}

diesel::table! {
    stock_balances (generation, store_id, warehouse_id, sku) {
        generation -> Unsigned<Integer>,
        store_id -> Text,
        warehouse_id -> Text,
        sku -> Text,
        on_hand -> BigInt,
        reserved -> BigInt,
        is_archived -> Bool,
        set_place -> Binary,
        told_place -> Binary,
        last_place -> Binary,
    }
}

diesel::table! {
    seller_facts (generation, order_key, kind, number) {
        generation -> Unsigned<Integer>,
        order_key -> Binary,
        kind -> Text,
        number -> Unsigned<Integer>,
        store_id -> Text,
        seller_id -> Text,
        order_id -> Text,
        cancellation -> Nullable<Unsigned<Integer>>,
        fact_time -> Datetime,
    }
}

diesel::table! {
    seller_standings (store_id, seller_id) {
        store_id -> Text,
        seller_id -> Text,
        evaluate_time -> Datetime,
        reached -> Text,
        crossings -> Unsigned<Integer>,
    }
}

diesel::table! {
    seller_crossings (store_id, seller_id, number) {
        store_id -> Text,
        seller_id -> Text,
        number -> Unsigned<Integer>,
        threshold -> Text,
        percent -> Unsigned<Integer>,
        is_reached -> Bool,
        numerator -> Unsigned<BigInt>,
        denominator -> Unsigned<BigInt>,
        cross_time -> Datetime,
    }
}

diesel::table! {
    bulk_cancellations (job_key) {
        job_key -> Binary,
        store_id -> Text,
        bulk_id -> Binary,
        role -> Text,
        actor_id -> Text,
        scope -> Text,
        selection -> Text,
        command -> Text,
        is_dry_run -> Bool,
        orders_per_second -> Unsigned<SmallInt>,
        fingerprint -> Binary,
        state -> Text,
        selected_through -> Nullable<Text>,
        total -> Unsigned<Integer>,
        completed -> Unsigned<Integer>,
        pending -> Unsigned<Integer>,
        rejected -> Unsigned<Integer>,
        failed -> Unsigned<Integer>,
        refunds -> Text,
        failure -> Nullable<Text>,
        create_time -> Datetime,
        end_time -> Nullable<Datetime>,
        owner -> Nullable<Binary>,
        owned_until -> Nullable<Datetime>,
    }
}

diesel::table! {
    bulk_orders (job_key, order_key) {
        job_key -> Binary,
        order_key -> Binary,
        order_id -> Text,
        outcome -> Text,
        cancellation -> Nullable<Unsigned<Integer>>,
        currency -> Nullable<Text>,
        refund -> Nullable<BigInt>,
        rejection -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    delivery_instances (consumer_id, instance_id) {
        consumer_id -> Text,
        instance_id -> Binary,
        lease_until -> Datetime,
    }
}

diesel::table! {
    delivery_partitions (consumer_id, shard_partition) {
        consumer_id -> Text,
        shard_partition -> Unsigned<SmallInt>,
        position -> Unsigned<BigInt>,
        instance_id -> Binary,
        fence -> Unsigned<BigInt>,
        lease_until -> Datetime,
        changes -> Unsigned<Integer>,
    }
}

diesel::table! {
    held_events (consumer_id, shard_partition, position) {
        consumer_id -> Text,
        shard_partition -> Unsigned<SmallInt>,
        position -> Unsigned<BigInt>,
        order_key -> Binary,
        state -> Text,
        attempts -> Unsigned<Integer>,
        attempt_time -> Datetime,
        failure -> Text,
        payload -> Binary,
    }
}

diesel::table! {
    erasures (order_key) {
        order_key -> Binary,
        store_id -> Text,
        order_id -> Text,
        erase_time -> Datetime,
    }
}

diesel::table! {
    heartbeats (server_id) {
        server_id -> Binary,
        beat -> Unsigned<BigInt>,
        beat_time -> Datetime,
    }
}

diesel::table! {
    stock_orders (generation, order_key) {
        generation -> Unsigned<Integer>,
        order_key -> Binary,
        store_id -> Text,
        order_id -> Text,
        seller_id -> Nullable<Text>,
        holdings -> Text,
    }
}

diesel::table! {
    stock_holders (generation, store_id, warehouse_id, sku, order_key, shipment) {
        generation -> Unsigned<Integer>,
        store_id -> Text,
        warehouse_id -> Text,
        sku -> Text,
        order_key -> Binary,
        shipment -> Unsigned<Integer>,
    }
}
