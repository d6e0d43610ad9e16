//! Everything that Belay promises, tried through the client on a real database. One binary, so that
//! it links once.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect is a failure, whatever it is"
)]

mod answers;
mod audit;
mod backup;
mod bad_input;
mod bulk;
mod callers;
mod cancellations;
mod chains;
mod circles;
mod clock;
mod console;
mod contract;
mod credentials;
mod currencies;
mod database_tls;
mod decisions;
mod deliver;
mod denials;
mod deployment;
mod differential;
mod doctor;
mod engine;
mod erasure;
mod fairness;
mod faults;
mod feed;
mod foreign_calls;
mod fulfillment;
mod gates;
mod grants;
mod grpcurl;
mod harness;
mod health;
mod identity_key;
mod known_failures;
mod languages;
mod lists;
mod notes;
mod observed;
mod orders;
mod pairs;
mod people;
mod port;
mod previews;
mod profiles;
mod projections;
mod proxies;
mod python;
mod races;
mod readme;
mod reasons;
mod refund_worker;
mod refunds;
mod releases;
mod replay;
mod reports;
mod retention;
mod roles;
mod rolling;
mod rush;
mod s000_independent_site;
mod s001_cross_border_declaration;
mod s002_supplier_agreement;
mod s003_seller_warehouse;
mod s004_seller_center;
mod s005_invented;
mod searches;
mod seeds;
mod simulation;
mod site;
mod stock;
mod stopping;
mod store_settings;
mod stores_and_policies;
mod tidy;
mod tls;
mod trust;
mod upgrades;
mod watched;
mod weight;
