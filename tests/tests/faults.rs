//! What breaks: the database, the server, the connection between them, the caller's patience.
//! Whatever it is, what was acknowledged stays, nothing happens twice, and the same request id
//! finds out what became of a call.

mod bulk;
mod callers_gone;
mod database_killed;
mod database_refuses;
mod deliver;
mod failover;
mod feed;
mod group;
mod locked_orders;
mod lost_replies;
mod proxy;
mod pruning;
mod server_killed;
mod silence;
