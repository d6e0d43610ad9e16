//! The limits of callers as they are given to the process.

use clap::Args;

use super::{
    CALLS_PER_SECOND_MAX, CONCURRENT_CALLS_MAX, CallerSettings, REQUEST_BYTES_PER_SECOND_MAX,
};

/// The limits of one caller, which is a role with an id. All are off unless they are given: what
/// a caller is, a till or the whole web shop, only its operator knows.
#[derive(Debug, Args)]
pub struct CallerArguments {
    /// Calls of one caller a second, from 1 to 1,000,000; twice as many at once. 0: any number.
    #[arg(long, env = "BELAY_CALLER_CALLS_PER_SECOND", default_value_t = 0, value_name = "CALLS",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(CALLS_PER_SECOND_MAX)))]
    caller_calls_per_second: u32,
    /// Calls of one caller under way at the same time, open streams included, from 1 to 1,000,000.
    /// 0: any number.
    #[arg(long, env = "BELAY_CALLER_CONCURRENT_CALLS", default_value_t = 0, value_name = "CALLS",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(CONCURRENT_CALLS_MAX)))]
    caller_concurrent_calls: u32,
    /// Bytes of one caller's requests a second, from 1 to 1,073,741,824; what comes beyond twice as
    /// many is waited for before its next call. 0: any number.
    #[arg(long, env = "BELAY_CALLER_REQUEST_BYTES_PER_SECOND", default_value_t = 0, value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(REQUEST_BYTES_PER_SECOND_MAX)))]
    caller_request_bytes_per_second: u32,
}

impl CallerArguments {
    pub fn settings(&self) -> CallerSettings {
        CallerSettings {
            calls_per_second: self.caller_calls_per_second,
            concurrent_calls: self.caller_concurrent_calls,
            request_bytes_per_second: self.caller_request_bytes_per_second,
        }
    }
}
