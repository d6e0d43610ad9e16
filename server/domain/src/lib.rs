//! The rules of Belay, as pure functions of plain data.
//!
//! A command is decided from the whole order: [`commands::decide`] takes an [`order::Order`], a
//! [`commands::Command`] and a [`context::Context`] and says what the order becomes, what the world
//! is told and what the caller is answered. There is no clock, no randomness and no I/O in this
//! crate, and its `Cargo.toml` keeps it so.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod actor;
pub mod annotations;
pub mod bulk;
pub mod calendar;
pub mod cancellation;
pub mod chain;
pub mod commands;
pub mod context;
pub mod decision;
pub mod document;
pub mod erasure;
pub mod error_reason;
pub mod event;
pub mod feed;
pub mod ids;
pub mod incident;
pub mod language;
pub mod ledger;
mod lifecycle;
pub mod money;
mod names;
pub mod order;
pub mod payment;
pub mod period;
pub mod policy;
pub mod presets;
pub mod projection;
pub mod quality;
pub mod query;
pub mod records;
pub mod refund;
pub mod rejection;
pub mod scope;
pub mod shipment;
pub mod simulation;
pub mod stock;
pub mod store;
pub mod terms;
pub mod units;
pub mod weight;
