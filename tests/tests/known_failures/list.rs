//! Each failure that is known, in the order in which they were gathered, and the test that shows
//! that Belay does not have it.

use std::collections::BTreeSet;

use crate::tidy::{read_to_string, rust_files};

/// The answer to a known failure.
enum Answer {
    /// These tests show that Belay does not have it: here by their module, or in the tests of the
    /// domain.
    Shown(&'static [&'static str]),
    /// Why Belay cannot have it.
    NotApplicable(&'static str),
}
use Answer::{NotApplicable, Shown};

const NO_STOCK: Answer =
    NotApplicable("Belay keeps no stock yet: it says which units go back, and stock comes later");

// The tests that show several.
const LATE_CHARGE: &str = "known_failures::late_money::a_charge_reported_after_the_order_closed_goes_back_and_revives_nothing";
const CAPTURE_OR_VOID: &str = "known_failures::late_money::of_a_capture_and_a_void_whichever_comes_first_nothing_is_kept_or_paid_twice";
const TO_THE_CENT: &str =
    "known_failures::amounts::partial_cancellations_give_back_what_was_paid_to_the_cent";
const RESTOCKED_ONCE: &str =
    "known_failures::goods::each_cancelled_unit_goes_back_on_sale_once_and_where_it_came_from";

/// All of them, by number: each gathering has its own range.
const KNOWN: &[(usize, &str, Answer)] = &[
    // An unpaid order's timer and money that comes late.
    (
        1,
        "closed while the buyer is paying; charged, and closed it stays",
        Shown(&[
            "orders::an_attempt_in_time_moves_the_deadline_once_and_a_late_decline_closes_at_once",
            LATE_CHARGE,
        ]),
    ),
    (
        2,
        "closed for its time although the gateway had charged; no trace of that",
        Shown(&[LATE_CHARGE]),
    ),
    (
        3,
        "closed because the gateway's message was lost",
        Shown(&[LATE_CHARGE]),
    ),
    (
        4,
        "the gateway reports 40 minutes late, and the order is stuck between two states",
        Shown(&[LATE_CHARGE]),
    ),
    (
        5,
        "a success that comes after the cancellation is ignored, or given back more than once",
        Shown(&[
            "cancellations::an_unpaid_order_is_cancelled_without_a_refund_and_money_that_comes_later_goes_back",
            LATE_CHARGE,
        ]),
    ),
    (
        6,
        "a paid order whose status was lost to a race closes as unpaid",
        Shown(&[
            "known_failures::expiry::no_order_closes_as_unpaid_that_was_paid_whatever_became_of_its_money",
            "races::a_payment_at_the_last_moment_pays_or_goes_back",
        ]),
    ),
    (
        7,
        "cancelling means refunding, so that delivered orders are refunded with no goods back",
        Shown(&["denials::what_is_delivered_is_returned_and_not_cancelled"]),
    ),
    (
        8,
        "a timer that was switched off closes orders, or one that is on never runs",
        Shown(&[
            "known_failures::expiry::a_time_to_pay_that_is_empty_or_nothing_is_no_policy",
            "orders::an_unpaid_order_closes_at_its_time_without_any_caller",
        ]),
    ),
    (
        9,
        "one time to pay for ways to pay that take minutes or days",
        Shown(&[
            "known_failures::expiry::a_slow_way_to_pay_has_its_time_and_who_does_nothing_does_not_get_it",
        ]),
    ),
    (
        10,
        "slow money turns a closed order into one that is being prepared",
        Shown(&[LATE_CHARGE]),
    ),
    (
        11,
        "orders whose money went back in part or whole are closed as unpaid",
        Shown(&[
            "known_failures::expiry::no_order_closes_as_unpaid_that_was_paid_whatever_became_of_its_money",
        ]),
    ),
    (
        12,
        "one order that cannot be closed keeps all others from closing",
        Shown(&["engine::a_due_order_that_always_fails_blocks_nobody"]),
    ),
    (
        13,
        "an order that cannot be closed is tried again without end",
        Shown(&["engine::a_due_order_that_always_fails_blocks_nobody"]),
    ),
    (
        14,
        "the time to pay is added up in the wrong unit, and closes by a stale read",
        Shown(&[
            "known_failures::expiry::a_time_to_pay_is_as_long_as_it_says",
            "races::a_payment_at_the_last_moment_pays_or_goes_back",
        ]),
    ),
    (
        15,
        "what was paid and cannot be supplied keeps its money for hours",
        Shown(&["known_failures::goods::what_cannot_be_supplied_is_paid_back_in_the_same_breath"]),
    ),
    (
        16,
        "polling closes late; two ways of closing run side by side",
        Shown(&[
            "orders::money_is_in_time_until_the_last_microsecond_and_too_late_at_the_deadline",
            "commands::settling::to_settle_twice_writes_nothing",
        ]),
    ),
    (
        17,
        "closing writes over the payment that came between its look and its write",
        Shown(&[
            "races::a_payment_at_the_last_moment_pays_or_goes_back",
            "races::money_that_arrives_while_its_order_is_cancelled_goes_back",
        ]),
    ),
    (
        18,
        "a payment after the cancellation vanishes; a second cancellation is told as a new one",
        Shown(&[
            "cancellations::an_unpaid_order_is_cancelled_without_a_refund_and_money_that_comes_later_goes_back",
            "known_failures::repeats::nobody_is_told_twice",
        ]),
    ),
    (
        19,
        "goods are sold again when their order closes, and then its money comes",
        Shown(&[LATE_CHARGE]),
    ),
    (
        20,
        "a message that overtakes its order is acknowledged and never comes again",
        Shown(&[
            "known_failures::late_money::a_fact_that_comes_before_its_order_is_refused_and_counts_when_it_comes_again",
        ]),
    ),
    (
        21,
        "what was not captured is refunded, which fails, where it had to be released",
        Shown(&[
            "cancellations::what_was_only_authorised_is_voided",
            CAPTURE_OR_VOID,
        ]),
    ),
    (
        22,
        "cancelling what was only authorised alarms people",
        Shown(&["known_failures::late_money::cancelling_what_was_only_authorised_alarms_nobody"]),
    ),
    // Refunds that come twice or not at all.
    (
        23,
        "a provider's silence forgets the refund; trying again under a new key pays twice",
        Shown(&[
            "refunds::a_lease_that_ends_without_a_result_leaves_it_unknown_and_it_is_handed_out_again",
            "known_failures::repeats::a_refund_that_was_paid_after_all_holds_back_the_one_that_stands_for_it",
        ]),
    ),
    (
        24,
        "a new key for each message; or one key for equal amounts",
        Shown(&[
            "known_failures::repeats::equal_refunds_of_one_order_have_keys_of_their_own_and_keep_them",
        ]),
    ),
    (
        25,
        "a key for each payment, so that there is no second partial refund",
        Shown(&[
            "known_failures::repeats::equal_refunds_of_one_order_have_keys_of_their_own_and_keep_them",
        ]),
    ),
    (
        26,
        "a queued message refunds again; a cancelled order is captured",
        Shown(&["refunds::a_settled_refund_is_told_of_once", CAPTURE_OR_VOID]),
    ),
    (
        27,
        "two cancellations at once both pass a stale look",
        Shown(&["races::of_two_cancellations_of_the_same_units_one_has_an_effect"]),
    ),
    (
        28,
        "the refund's own result and the provider's message about it cross",
        Shown(&[
            "known_failures::repeats::of_a_refunds_result_and_the_providers_message_one_counts",
        ]),
    ),
    (
        29,
        "releasing fails, the order is cancelled, and its money can still be captured",
        Shown(&[
            CAPTURE_OR_VOID,
            "known_failures::late_money::a_capture_at_the_very_moment_of_a_void_goes_back_once",
        ]),
    ),
    (
        30,
        "captured in part and cancelled: a debt for ever",
        Shown(&[
            "known_failures::late_money::of_an_order_that_was_paid_in_part_that_part_comes_back",
        ]),
    ),
    (
        31,
        "what is captured cannot be cancelled, or not be refunded",
        Shown(&[
            "s000_independent_site::s000_02_paid_and_not_shipped_is_cancelled_directly",
            "s000_independent_site::s000_07_an_immediate_refund_is_due_at_once_to_the_original_payment",
        ]),
    ),
    (
        32,
        "the cancellation leaves the money captured and no way to refund it",
        Shown(&[
            "s000_independent_site::s000_07_an_immediate_refund_is_due_at_once_to_the_original_payment",
            "answers::an_incident_is_listed_with_what_may_be_done_and_settled_once",
        ]),
    ),
    (
        33,
        "what was refunded cannot be cancelled, for it looks paid",
        Shown(&[
            "known_failures::amounts::money_given_back_by_hand_takes_no_goods_off_and_is_not_given_back_again",
        ]),
    ),
    (
        34,
        "refunding and cancelling are two steps whose order matters",
        Shown(&[
            "commands::cancellations::the_events_of_a_cancellation_tell_it_from_the_request_to_the_money",
            "known_failures::repeats::nobody_is_told_twice",
        ]),
    ),
    (
        35,
        "of several refunds one fails: half refunded and not cancelled",
        Shown(&[
            "known_failures::repeats::a_refund_that_fails_undoes_neither_the_cancellation_nor_the_other_refund",
        ]),
    ),
    (
        36,
        "a cancellation fails for something far away, and only says that it failed",
        Shown(&[
            "denials::every_code_of_a_denial_reaches_the_caller_with_its_rule_and_actions",
            "contract::every_error_reason_is_met_by_a_test",
        ]),
    ),
    (
        37,
        "the answer is an error, and the order is cancelled",
        Shown(&[
            "commands::properties::a_refused_command_leaves_a_settled_order_as_it_was",
            "faults::lost_replies::a_cancellation_survives_a_cut_at_any_of_its_steps",
        ]),
    ),
    // Wrong amounts.
    (
        38,
        "the tax on the shipping does not come back",
        Shown(&[TO_THE_CENT]),
    ),
    (
        39,
        "discounts are forgotten, so that more is refunded than was paid",
        Shown(&[TO_THE_CENT]),
    ),
    (
        40,
        "the amount is worked out after the cancellation and is nothing",
        Shown(&[
            "known_failures::amounts::what_is_shown_before_is_what_is_promised_and_what_is_paid",
        ]),
    ),
    (
        41,
        "a second cancellation or refund on the same line is refused",
        Shown(&[TO_THE_CENT]),
    ),
    (42, "tax is taken off twice", Shown(&[TO_THE_CENT])),
    (
        43,
        "a discount on the whole order is wrong for one unit of it; shipping counts what is cancelled",
        Shown(&[
            TO_THE_CENT,
            "cancellations::one_shipment_of_several_is_cancelled_with_its_share_of_the_shipping",
        ]),
    ),
    (
        44,
        "each refund is rounded down, and a cent stays behind",
        Shown(&[
            TO_THE_CENT,
            "commands::returns::a_schedule_rounds_each_part_down_and_never_pays_more_than_was_paid",
        ]),
    ),
    (
        45,
        "tax is rounded by line, and the whole refund is a cent too much",
        Shown(&[TO_THE_CENT]),
    ),
    (
        46,
        "a part of the order takes the whole discount back",
        Shown(&[TO_THE_CENT]),
    ),
    (
        47,
        "the discount is shared out over amounts after tax",
        Shown(&[TO_THE_CENT]),
    ),
    (
        48,
        "the discount on the whole order comes back with its first part",
        Shown(&[TO_THE_CENT]),
    ),
    (
        49,
        "money given back is booked as goods given back",
        Shown(&[
            "known_failures::amounts::money_given_back_by_hand_takes_no_goods_off_and_is_not_given_back_again",
        ]),
    ),
    (
        50,
        "a line with a discount cannot be cancelled in part",
        Shown(&[TO_THE_CENT]),
    ),
    // Stock.
    (
        51,
        "a cancellation gives the stock back twice",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (
        52,
        "given back with the partial refund and again with the cancellation",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (
        53,
        "cancelled in parts: all is given back, or nothing, or twice",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (
        54,
        "given back although that was switched off",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (
        55,
        "late money revives an order whose goods are not set aside any more",
        Shown(&[LATE_CHARGE]),
    ),
    (
        56,
        "cancelling a shipment does not set goods aside again, or below nothing",
        NO_STOCK,
    ),
    (
        57,
        "of two partial cancellations at once one is lost",
        Shown(&["races::two_cancellations_never_take_more_units_than_were_ordered"]),
    ),
    (
        58,
        "what is given back fills the backorders of the order that is being cancelled",
        NO_STOCK,
    ),
    (
        59,
        "cancelling the only line marks its shipment as shipped",
        Shown(&[
            "commands::cancellations::a_shipment_that_loses_its_last_unit_is_cancelled_and_others_go_on",
            "commands::order_state::every_pair_of_stages_makes_the_state_of_the_table",
        ]),
    ),
    (
        60,
        "units are given back once for each of them all; a revived order takes stock that is not there",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (
        61,
        "cancelled while goods are being set aside, which then fails, and given back all the same",
        NO_STOCK,
    ),
    (
        62,
        "given back to the wrong shelf",
        Shown(&[RESTOCKED_ONCE]),
    ),
    (63, "given back though never taken", NO_STOCK),
    (
        64,
        "a product on two lines is given back for the first only",
        Shown(&[RESTOCKED_ONCE]),
    ),
    // Shipping against cancelling; the warehouse.
    (
        65,
        "the warehouse ships before it sees the cancellation, and then nothing can be done",
        Shown(&[
            "fulfillment::a_cancelled_shipment_that_is_scanned_out_is_an_incident_and_holds_the_money_back",
            "commands::incidents::what_left_though_it_was_cancelled_is_settled_by_its_receipt",
        ]),
    ),
    (
        66,
        "one shipment that cannot be cancelled fails the whole",
        Shown(&[
            "cancellations::units_that_cannot_be_cancelled_refuse_the_whole_or_are_left_out_as_asked",
        ]),
    ),
    (
        67,
        "a shipped order on credit is cancelled, for only its payment is looked at",
        Shown(&[
            "known_failures::goods::what_was_shipped_before_it_was_paid_is_not_cancelled_as_unpaid",
        ]),
    ),
    (
        68,
        "whatever is not forbidden can be cancelled, delivered goods too",
        Shown(&[
            "policy::answers::what_no_rule_matches_is_not_allowed",
            "fulfillment::a_dispatched_shipment_cannot_be_cancelled_and_a_cancelled_one_cannot_be_dispatched",
        ]),
    ),
    (
        69,
        "the warehouse is faster than any cancellation, for nothing tells it to stop",
        Shown(&[
            "answers::a_warehouse_stops_all_or_some_or_cannot",
            "races::of_a_cancellation_and_a_dispatch_exactly_one_wins",
        ]),
    ),
    (
        70,
        "what was marked as shipped and never left or got lost cannot be cancelled",
        Shown(&[
            "s003_seller_warehouse::in_transit::s003_15_lost_is_what_its_carrier_has_lost_under_way",
            "commands::outside::what_is_lost_already_passes_when_it_is_asked_for",
        ]),
    ),
    (
        71,
        "what is packed cannot be cancelled by those who may",
        Shown(&[
            "s003_seller_warehouse::packing::s003_02_what_awaits_packaging_shipment_or_its_carrier_is_cancelled_with_a_reason",
        ]),
    ),
    (
        72,
        "putting goods back is a task of whoever picked them, and of nobody else",
        NotApplicable("Belay tells the warehouse what to put back and hands out no tasks"),
    ),
    (
        73,
        "cancelling one customer's goods cancels all that are picked together",
        Shown(&["s003_seller_warehouse::packing::s003_07_of_several_shipments_the_others_stay"]),
    ),
    (
        74,
        "of picking, packing and shipping one step is cancelled and the others cannot be",
        Shown(&["commands::shipments::every_stage_takes_every_command_as_the_table_says"]),
    ),
    (
        75,
        "goods that are being picked are cancelled without anybody being asked",
        Shown(&[
            "s001_cross_border_declaration::paid::s001_07_what_is_being_prepared_is_stopped_by_its_warehouse_or_not",
        ]),
    ),
    (
        76,
        "a return that is cancelled leaves a paid label that can still be used",
        NotApplicable("Belay buys no labels: it says whether a carrier has one, and what it costs"),
    ),
    (
        77,
        "a label can only be withdrawn by cancelling the shipment",
        NotApplicable("Belay prints no labels and no waybills"),
    ),
    (
        78,
        "orders that buyers want to cancel cannot be listed, and are shipped",
        Shown(&[
            "lists::what_waits_for_a_party_is_listed_and_counted_with_the_nearest_deadline",
            "gates::a_waiting_consent_bars_the_dispatch_where_the_policy_says_so",
        ]),
    ),
    (
        79,
        "sellers have no call to cancel with, and no answer for each part",
        Shown(&[
            "cancellations::a_seller_cancels_for_itself_and_it_counts",
            "commands::outside::a_whole_order_ends_differently_where_its_shipments_stand",
        ]),
    ),
    (
        80,
        "a rejection meets another request; both sides see different states, and nothing fixes it",
        Shown(&[
            "known_failures::repeats::after_a_rejection_the_order_goes_on_and_may_be_asked_for_again",
            "pairs::every_scene_has_a_test",
        ]),
    ),
    (
        81,
        "the answer says cancelled, and nothing is; or the other way round",
        Shown(&[
            "races::whoever_was_told_of_a_write_reads_it",
            "answers::a_parcel_is_turned_round_comes_home_and_is_paid_for",
        ]),
    ),
    // Several at once, on the database.
    (
        82,
        "two ways of locking the same rows end in a deadlock",
        Shown(&[
            "races::of_a_cancellation_and_a_dispatch_exactly_one_wins",
            "engine::positions_have_no_gaps_at_any_moment_though_two_servers_write",
        ]),
    ),
    (
        83,
        "a lock on one order holds up others",
        Shown(&["faults::locked_orders::a_locked_order_holds_up_nobody_else"]),
    ),
    (
        84,
        "the caller is shown the database's own error",
        Shown(&[
            "faults::database_refuses::a_database_that_refuses_is_unavailable_until_it_does_not",
            "contract::every_error_reason_names_its_code_and_they_stand_in_order",
        ]),
    ),
    (
        85,
        "the return page and the gateway's message write the same order at once",
        Shown(&["races::facts_of_one_payment_from_two_sides_count_once"]),
    ),
    (
        86,
        "a lock that has grown old is taken from one who is still at work",
        Shown(&[
            "refunds::a_lease_that_ends_without_a_result_leaves_it_unknown_and_it_is_handed_out_again",
            "fulfillment::a_shipment_that_changed_since_the_warehouse_looked_does_not_leave",
        ]),
    ),
    // What else goes wrong wherever orders are cancelled.
    (
        87,
        "whoever knows the number of an order cancels it",
        Shown(&[
            "s000_independent_site::s000_10_who_does_not_know_the_buyer_does_not_learn_that_the_order_exists",
            "callers::an_order_of_others_looks_like_one_that_is_not_there",
        ]),
    ),
    (
        88,
        "somebody cancels in another's name",
        Shown(&[
            "bad_input::cancellations::only_support_acts_on_behalf_of_a_buyer",
            "cancellations::a_reason_must_be_one_that_the_policy_takes_from_this_requester",
        ]),
    ),
    (
        89,
        "entries of one instant are left out of pages or come twice",
        Shown(&[
            "orders::orders_of_one_instant_come_once_each_across_pages_and_in_the_same_order_each_time",
        ]),
    ),
    (
        90,
        "a page's token is used with other filters",
        Shown(&["bad_input::lists::a_page_token_is_good_for_its_own_list_store_and_filters_only"]),
    ),
    (
        91,
        "a day is counted by the server's clock, or an hour is missing or comes twice in spring and autumn",
        Shown(&[
            "policy::calendar::the_days_end_where_the_buyer_lives",
            "policy::calendar::a_local_time_that_is_skipped_is_taken_as_late_as_it_can_be",
            "policy::calendar::a_local_time_that_comes_twice_is_taken_the_first_time",
            "s001_cross_border_declaration::paid::s001_08_a_stop_counts_its_time_by_the_calendar_and_the_clock_of_its_warehouse",
        ]),
    ),
    (
        92,
        "buyers get the same message again and again",
        Shown(&["known_failures::repeats::nobody_is_told_twice"]),
    ),
    (
        93,
        "what the bank took back is refunded as well",
        Shown(&[
            "orders::what_the_provider_took_back_is_not_given_back_twice",
            "commands::payments::a_refund_that_was_not_sent_yet_waits_for_support_once_the_money_went_back_outside",
        ]),
    ),
    (
        94,
        "what was paid twice or too much is kept",
        Shown(&["orders::money_above_what_is_due_goes_back_at_once"]),
    ),
    // What trying reports about other systems found.
    (
        95,
        "captured in part, then cancelled: the rest of the authorisation stays",
        Shown(&[
            "commands::money::the_rest_of_an_authorisation_is_released_where_nothing_is_due_for_it",
        ]),
    ),
    (
        96,
        "charged for each parcel, and the authorisation of a cancelled parcel stays or all of it is released",
        Shown(&[
            "commands::money::the_rest_of_an_authorisation_is_released_where_nothing_is_due_for_it",
            "commands::money::captured_money_outlives_the_lapse_of_the_rest",
        ]),
    ),
    (
        97,
        "authorised twice, and one of the two stays on the buyer's card",
        Shown(&[
            "commands::money::of_two_authorisations_the_one_that_is_not_needed_is_released",
            "commands::money::an_authorisation_that_is_needed_after_all_is_kept",
        ]),
    ),
    (
        98,
        "an authorisation has lapsed and the order goes on as paid",
        Shown(&[
            "commands::money::what_takes_back_a_payment_takes_back_the_release_at_whatever_stage",
            "commands::money::a_lapse_is_told_and_ends_where_the_order_is_paid_again",
            "commands::money::a_lapse_that_is_not_paid_again_closes_the_order_as_an_unpaid_one",
            "known_failures::money::a_lapse_keeps_the_goods_in_until_the_order_is_paid_again_or_closes",
        ]),
    ),
    (
        99,
        "the capture was declined and the order goes on as paid",
        Shown(&[
            "commands::money::what_takes_back_a_payment_takes_back_the_release_at_whatever_stage",
            "commands::money::what_left_before_the_lapse_is_for_support_when_the_order_closes",
        ]),
    ),
    (
        100,
        "support is alarmed by the release of an authorisation that has lapsed by itself",
        Shown(&[
            "commands::money::an_authorisation_that_lapsed_by_itself_sends_nobody_and_alarms_nobody",
            "known_failures::money::what_nothing_is_due_for_is_released_and_what_has_lapsed_is_not",
        ]),
    ),
    (
        101,
        "a partial capture that overtakes its authorisation closes a paid order",
        Shown(&[
            "commands::money::a_partial_capture_that_overtakes_its_authorisation_leaves_the_order_paid",
            "commands::money::facts_count_in_the_order_in_which_they_happened",
        ]),
    ),
    (
        102,
        "an order that was charged back promises the bank's money again",
        Shown(&["commands::money::the_bank_s_money_is_not_promised_again"]),
    ),
    (
        103,
        "refunded and disputed as well, and nobody is told",
        Shown(&["commands::money::somebody_is_told_where_more_went_back_than_came"]),
    ),
    (
        104,
        "a dispute was won and the order still counts as refunded",
        Shown(&[
            "commands::money::a_dispute_that_is_won_brings_the_money_back",
            "commands::money::a_refund_that_a_dispute_held_back_goes_on_once_the_dispute_is_won",
        ]),
    ),
    (
        105,
        "a dispute in the card's currency is refused, and the order does not know of it",
        Shown(&[
            "commands::money::a_dispute_in_the_cards_currency_is_on_record_and_nothing_is_promised_of_it",
        ]),
    ),
    (
        106,
        "the provider's message about our own refund is booked as a second one",
        Shown(&[
            "commands::money::the_providers_message_about_our_refund_settles_it_and_counts_once",
            "known_failures::money::the_provider_tells_of_our_refund_before_the_worker_does",
        ]),
    ),
    (
        107,
        "two messages tell of one capture, and half of both goes back",
        Shown(&[
            "commands::money::two_messages_of_one_movement_count_once",
            "known_failures::money::one_movement_is_one_movement_however_many_messages_tell_of_it",
            "commands::money::one_capture_told_twice_without_a_movement_is_unconfirmed_and_not_refunded",
        ]),
    ),
    (
        108,
        "paid twice, the second sent back by hand, and the first is sent back too",
        Shown(&[
            "commands::money::what_is_paid_twice_goes_back_on_the_second_payment",
            "known_failures::money::what_went_back_by_hand_is_not_sent_again",
            "commands::money::what_went_back_outside_on_any_payment_is_not_sent_again",
            "commands::money::what_went_back_outside_in_part_leaves_the_rest_to_be_sent",
        ]),
    ),
    (
        109,
        "both of two payments went back, and the goods leave all the same",
        Shown(&["commands::money::somebody_is_told_before_goods_leave_that_nothing_pays_for"]),
    ),
    (
        110,
        "an older failure that is told late loses a newer authorisation",
        Shown(&["commands::money::an_older_failure_does_not_lose_a_newer_authorisation"]),
    ),
    (
        111,
        "the provider paid less than asked, and the books say all was paid",
        Shown(&[
            "commands::money::what_was_paid_short_is_due_under_a_key_of_its_own",
            "known_failures::money::what_was_paid_short_goes_out_again_for_the_rest_alone",
        ]),
    ),
    (
        112,
        "the provider paid more than asked, and the books do not say so",
        Shown(&["commands::money::what_was_paid_above_is_taken_off_what_goes_back_later"]),
    ),
    (
        113,
        "who paid nothing is shown money that goes back",
        Shown(&[
            "commands::money::nothing_paid_nothing_promised",
            "known_failures::money::nothing_is_promised_that_is_not_there",
            "commands::money::an_authorisation_is_promised_as_a_release",
        ]),
    ),
    (
        114,
        "who paid a part is promised the whole",
        Shown(&["commands::money::who_paid_a_part_is_promised_that_part"]),
    ),
    (
        115,
        "a favour by hand makes the next promise wrong",
        Shown(&[
            "commands::money::a_favour_by_hand_is_taken_off_the_next_refund_and_off_its_promise",
        ]),
    ),
    (
        116,
        "a return in pieces gives less than the same return at once",
        Shown(&["commands::money::a_percentage_does_not_depend_on_how_a_return_is_split"]),
    ),
    (
        117,
        "the quote of one order is taken with another, by another role, or past its time",
        Shown(&[
            "commands::money::a_quote_is_for_one_order_and_one_role",
            "known_failures::money::a_quote_is_good_for_its_order_its_requester_and_its_time",
            "commands::money::a_quote_does_not_outlive_the_money_it_promised",
        ]),
    ),
    // Goods that come home, and when facts count.
    (
        130,
        "of a return that comes in several boxes, the one that comes after its time is swallowed",
        Shown(&[
            "known_failures::undeliverable_returns::what_comes_after_its_time_is_for_support_and_is_paid_whole",
            "commands::goods::the_third_that_comes_after_its_time_is_for_support",
        ]),
    ),
    (
        131,
        "a unit that comes home by itself is taken for one that was cancelled before the parcel left",
        Shown(&[
            "known_failures::undeliverable_returns::only_what_has_left_and_is_not_home_comes_home",
            "commands::goods::units_that_never_left_do_not_come_home",
        ]),
    ),
    (
        132,
        "one of three was cancelled before it left; of the two that come home one is paid",
        Shown(&["commands::goods::both_that_left_come_home_at_once"]),
    ),
    (
        133,
        "a second receipt of the same quantity is taken for the first one told again",
        Shown(&[
            "known_failures::undeliverable_returns::only_what_has_left_and_is_not_home_comes_home",
            "commands::goods::what_is_home_does_not_come_home_again",
            "commands::goods::a_receipt_that_is_told_twice_is_one_and_two_receipts_are_two",
        ]),
    ),
    (
        134,
        "cancelled, sent all the same and home in two parcels: its money stays blocked, or is free after the first",
        Shown(&[
            "known_failures::undeliverable_returns::money_that_waits_for_goods_goes_when_all_of_them_are_home",
            "commands::goods::what_left_though_it_was_cancelled_may_come_home_in_two_parcels",
        ]),
    ),
    (
        135,
        "the window to send back and the better rate count from when the scan arrived, not from the delivery",
        Shown(&[
            "known_failures::undeliverable_returns::a_delivery_counts_from_when_it_was_and_not_from_when_it_was_told",
            "commands::goods::a_delivery_counts_from_when_it_was_and_never_before_the_parcel_left",
        ]),
    ),
    (
        136,
        "after as many cancellations as callers may ask for, what comes home opens nothing and its money is kept",
        Shown(&[
            "commands::goods::no_limit_of_callers_keeps_money",
            "commands::goods::what_belay_opens_takes_no_room_from_callers",
            "commands::goods::a_scan_that_moves_the_parcel_is_never_one_too_many",
        ]),
    ),
    (
        137,
        "a parcel that comes home while support is asked about it is not paid for, and silence then refuses",
        Shown(&[
            "known_failures::undeliverable_returns::a_parcel_that_comes_home_while_support_is_asked_is_paid_for",
            "commands::goods::a_parcel_that_is_found_while_support_is_asked_is_paid_for",
            "commands::goods::a_parcel_that_comes_after_the_receipt_was_escalated_is_paid_for",
            "commands::goods::goods_that_are_home_do_not_wait_for_a_consent_in_vain",
            "commands::ends::every_parcel_comes_to_the_end_that_the_table_says",
        ]),
    ),
    (
        138,
        "a scan that the parcel is on its way back leaves the carrier's gate open, and its time ends in a no",
        Shown(&[
            "known_failures::undeliverable_returns::a_parcel_that_comes_home_while_support_is_asked_is_paid_for",
            "commands::goods::a_scan_on_the_way_home_answers_the_carriers_gate",
            "commands::goods::a_carriers_gate_whose_turn_comes_while_the_parcel_comes_home_asks_nobody",
        ]),
    ),
    (
        139,
        "history leaves out what was left out, and what becomes of a hold when its shipment is split",
        Shown(&[
            "commands::goods::what_is_left_out_has_its_end_in_history",
            "commands::goods::a_hold_passes_to_the_halves_and_history_says_so",
        ]),
    ),
    (
        140,
        "support decides to pay for late goods, and one of several parcels is paid",
        Shown(&[
            "commands::goods::support_pays_for_all_that_came_late_and_each_that_comes_later_is_news",
        ]),
    ),
    (
        141,
        "what comes home of an order that closed unpaid, or of lines that were cancelled whole, is recorded nowhere",
        Shown(&[
            "commands::goods::what_was_sent_and_never_paid_comes_home_and_is_on_record",
            "commands::goods::lines_that_were_cancelled_whole_before_the_rest_left_are_not_in_the_parcel",
            "commands::goods::what_was_settled_by_hand_and_comes_home_later_is_on_record",
        ]),
    ),
    (
        142,
        "a delivery that nobody dispatched leaves no time of departure",
        Shown(&["commands::goods::whoever_tells_of_a_delivery_first_tells_of_the_departure"]),
    ),
];

/// Every test of these folders: its module, as the binary knows it, and its name.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for folder in ["tests/tests/", "server/domain/tests/"] {
        for file in rust_files(folder.trim_end_matches('/')) {
            let module = file
                .strip_prefix(folder)
                .and_then(|file| file.strip_suffix(".rs"))
                .expect("a Rust file of it");
            let module = module.replace('/', "::");
            let mut is_test = false;
            for line in read_to_string(&file).lines() {
                let line = line.trim_start();
                match line
                    .strip_prefix("async fn ")
                    .or_else(|| line.strip_prefix("fn "))
                {
                    Some(rest) if is_test => {
                        let name = rest.split('(').next().unwrap_or_default();
                        tests.insert(format!("{module}::{name}"));
                        is_test = false;
                    }
                    _ => is_test |= line == "#[test]" || line.starts_with("#[tokio::test"),
                }
            }
        }
    }
    tests
}

#[test]
fn every_known_failure_has_its_test_or_a_reason_why_not() {
    let tests = tests();
    assert!(
        KNOWN.is_sorted_by(|(one, ..), (next, ..)| one < next),
        "each number stands once, and they ascend"
    );
    for (number, failure, answer) in KNOWN {
        match answer {
            Shown(shown_by) => {
                assert!(!shown_by.is_empty(), "{number}: {failure}");
                for test in *shown_by {
                    assert!(
                        tests.contains(*test),
                        "{number}: {failure}: there is no test {test}"
                    );
                }
            }
            NotApplicable(why) => assert!(why.len() > 20, "{number}: {failure}"),
        }
    }
}

#[test]
fn every_test_that_was_written_for_a_known_failure_is_named_by_one() {
    let named: BTreeSet<&str> = KNOWN
        .iter()
        .flat_map(|(.., answer)| match answer {
            Shown(shown_by) => *shown_by,
            NotApplicable(_) => &[],
        })
        .copied()
        .collect();
    let here = tests()
        .into_iter()
        .filter(|test| test.starts_with("known_failures::") && !test.contains("::list::"));
    let idle: Vec<String> = here.filter(|test| !named.contains(&**test)).collect();
    assert_eq!(idle, [""; 0]);
}
