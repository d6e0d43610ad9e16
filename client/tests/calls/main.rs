//! What lies between a call and its answer, against a server in the test's own process.

#![allow(
    clippy::as_conversions,
    reason = "small counts and the numbers of enums"
)]

mod backlogs;
mod in_process;
mod messages;
mod network;
mod proxies;
mod refund_workers;
mod repeats;
mod running;
mod streams;
mod support;
mod tls;
mod tokens;
mod unsent;
mod waits;
mod watch;
mod world;
