//! Between the protos and the domain: `parse` checks what comes in, `render` shows what stands,
//! `answers` and `events` make the bytes that are stored, `refusals` puts a rejection into the
//! words of the protos.
//!
//! Nothing here knows of calls, connections or SQL.

pub mod answers;
mod enums;
pub mod events;
pub(crate) mod identity;
pub(crate) mod parse;
pub(crate) mod quote;
pub(crate) mod refusals;
pub(crate) mod render;
pub(crate) mod values;

pub(crate) use enums::Wire;
