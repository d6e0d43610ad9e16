//! That an order is read whole by clients which take no more than 4 MiB: its weight is never less
//! than its message, however long its ids and texts are, and what one command tells fits as well.

#[path = "../../../domain/tests/commands/acts.rs"]
#[allow(dead_code)]
mod acts;
#[path = "../../../domain/tests/commands/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "../../../domain/tests/commands/states.rs"]
#[allow(dead_code)]
mod states;

mod answers;
mod events;
mod extremes;
mod messages;
mod responses;

/// What a client takes that was told nothing else.
const CLIENT_BYTES_MAX: usize = 4 * 1024 * 1024;
