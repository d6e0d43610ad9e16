//! Belay from outside: a server in this process on a real MySQL, the client in front of it, and
//! checks of the database behind it.
//!
//! A test is a function that calls [`run`] or [`run_at`]. It is given a server with a database of
//! its own that holds the store [`SHOP`] of the preset `independent-site`. When the test has ended,
//! the invariants of the domain are checked on every order that it made, and the database is
//! dropped; neither can be forgotten, because there is no other way to get a server.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod certificates;
pub mod console;
pub mod credentials;
pub mod database;
pub mod deliver;
pub mod descriptors;
pub mod documents;
pub mod expect;
pub mod feed;
pub mod front;
pub mod galera;
pub mod group;
mod history;
pub mod http;
pub mod http2;
pub mod inside;
pub mod instance;
pub mod invariants;
pub mod load;
pub mod market;
pub mod network;
pub mod process;
pub mod program;
pub mod proxies;
pub mod raw;
pub mod receiver;
pub mod replication;
pub mod rewind;
pub mod server;
pub mod shop;
pub mod stock;
pub mod upgrade;

pub use expect::{HANG, pages, refused, until};
pub use server::{
    BULK_ORDERS_MAX, SHOP, TestServer, run, run_at, run_at_without_looks, run_over_http,
};
