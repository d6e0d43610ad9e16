//! How long 10,000 cancellations take in process: `cargo run -p belay-testing --example many_cancellations`.
//! Orders are created and paid before the clock starts.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Instant;

use belay_client::{Error, Units, reason};
use belay_testing::{Server, place_paid};

const CANCELLATIONS: u32 = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let server = Server::start().await;
    let store = server.store("shop", "independent-site").await?;
    for number in 0..CANCELLATIONS {
        place_paid(&store, &format!("A-{number}")).await?;
    }

    let start = Instant::now();
    for number in 0..CANCELLATIONS {
        let call = store.request_cancellation(format!("A-{number}"), Units::all());
        call.reason(reason::NO_LONGER_WANTED).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{CANCELLATIONS} cancellations in {seconds:.1} s");
    Ok(())
}
