//! The time that 10,000 cancellations take in process: `cargo run -p belay-testing --example
//! many_cancellations`. They are asked for one after the other, and then by a caller for each core.
//! Orders are created and paid before a clock starts.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Instant;

use belay_client::{Error, Store, Units, reason};
use belay_testing::{Server, place_paid};
use tokio::task::JoinSet;

const CANCELLATIONS: usize = 10_000;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Server::start().await;
    let store = server.store("shop", "independent-site").await?;
    cancel_by(1, &store).await?;
    cancel_by(available_parallelism().map_or(1, NonZero::get), &store).await
}

/// Creates orders, and has so many callers at once cancel them.
async fn cancel_by(callers: usize, store: &Store) -> Result<(), Error> {
    let name = move |number: usize| format!("{callers}-{number}");
    for number in 0..CANCELLATIONS {
        place_paid(store, &name(number)).await?;
    }

    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = store.clone();
        tasks.spawn(async move {
            for number in (caller..CANCELLATIONS).step_by(callers) {
                let call = store.request_cancellation(name(number), Units::all());
                call.reason(reason::NO_LONGER_WANTED).await?;
            }
            Ok::<(), Error>(())
        });
    }
    for cancelled in tasks.join_all().await {
        cancelled?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{CANCELLATIONS} cancellations by {callers} at once in {seconds:.1} s");
    Ok(())
}
