//! The boundary between the protos and the domain: `auth` says who calls, `parse` checks what
//! comes in, `batch` lets commands be decided, `render` shows what stands, `answers` and `events`
//! make the bytes that are stored, `views` cuts messages to what a role sees, `rejections` and
//! `status` say why a call does not get its answer, `pages` cuts lists and says where they go on,
//! `cloud_events` tells events in JSON, and `json` reads and writes any message as such.
//!
//! Nothing here knows of connections, SQL, a runtime or a clock: with this crate and the domain
//! alone, orders can be served from whatever keeps them. A reader of [`parse`] makes a
//! [`CommandRequest`](parse::CommandRequest) of a message, a [`Batch`](batch::Batch) decides it and
//! makes the response, and [`CallError`](status::CallError) the status of a call that has none.

// tonic's Status is large by design.
#![allow(clippy::result_large_err)]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod answers;
pub mod auth;
pub mod batch;
pub mod cloud_events;
pub mod enums;
pub mod events;
pub mod freshness;
#[doc(hidden)]
pub mod fuzz;
pub mod identity;
pub mod json;
pub mod openapi;
pub mod pages;
pub mod parse;
pub mod quote;
pub mod rejections;
pub mod render;
pub mod resume;
pub mod status;
pub mod values;
pub mod views;

pub use enums::Wire;
