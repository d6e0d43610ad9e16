//! The stacks of the threads that are busy, by a timer of the process. They are followed by their
//! frame pointers: the tables of unwinding, which a signal may not read at any time, have crashed
//! servers of others.

use std::time::Duration;

use pprof::{ProfilerGuard, ProfilerGuardBuilder};

use super::{HERTZ, format};

pub(super) async fn sample(seconds: u32) -> Result<Vec<u8>, String> {
    let begun = ProfilerGuardBuilder::default().frequency(HERTZ).build();
    let guard = begun.map_err(|error| error.to_string())?;
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    // Names are looked up in the tables of the program, which takes a while.
    let named = tokio::task::spawn_blocking(move || named(&guard));
    named.await.map_err(|error| error.to_string())?
}

fn named(guard: &ProfilerGuard<'_>) -> Result<Vec<u8>, String> {
    let report = guard.report().build();
    let report = report.map_err(|error| error.to_string())?;
    Ok(format::encoded(&report, HERTZ))
}
