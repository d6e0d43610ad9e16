//! What lies between a call and its answer, against a server in the test's own process.

mod messages;
mod network;
mod refund_workers;
mod repeats;
mod streams;
mod support;
mod tls;
mod waits;
mod watch;
mod world;
