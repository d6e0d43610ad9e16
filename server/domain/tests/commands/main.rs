//! What every command does to an order, on the pure core: no server, no database.
//!
//! A ladder has one file per command and shows the rejections in their order of precedence. The
//! other files are tables of the state machines; `properties` drives random commands and holds the
//! invariants against them.

mod acts;
mod annotations;
mod as_made;
mod bounces;
mod cancellations;
mod consents;
mod deadlines;
mod ends;
mod erasure;
mod goods;
mod history;
mod home;
mod incidents;
mod invariants;
mod kit;
mod ladder_add_note;
mod ladder_answer_intercept;
mod ladder_answer_stop;
mod ladder_approve_cancellation;
mod ladder_create_order;
mod ladder_dispatch_shipment;
mod ladder_hold_shipment;
mod ladder_lease_refunds;
mod ladder_mark_ready;
mod ladder_receive_parcel;
mod ladder_record_payment;
mod ladder_record_refund_result;
mod ladder_record_tracking;
mod ladder_request_cancellation;
mod ladder_resolve_incident;
mod ladder_split_shipment;
mod ladder_start_preparation;
mod ladder_update_metadata;
mod ladder_withdraw_cancellation;
mod money;
mod order_state;
mod outside;
mod parcels;
mod payments;
mod previews;
mod properties;
mod provider;
mod quotes;
mod random;
mod reasons;
mod refunds;
mod rejections;
mod releases;
mod returns;
mod scans;
mod scope;
mod settling;
mod shipments;
mod simulation;
mod states;
mod stops;
mod tables;
mod weight;
