//! Guessed tokens.

use std::time::Duration;

use belay_client::Kind;
use belay_tests::SHOP;
use belay_tests::credentials::NEXT;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::victim::Victim;

/// For as long they are tried.
const TRIED: Duration = Duration::from_secs(5);

pub(crate) async fn guesses(victim: &Victim) -> String {
    let until = Instant::now() + TRIED;
    let guess = async || {
        let client = victim.client().with_token(NEXT).expect("a token");
        let (store, mut tries, mut cut) = (client.store(SHOP), 0, 0);
        while Instant::now() < until {
            let refused = store.get_order("A-1").await.expect_err("a wrong token");
            let is_refused = refused.kind() == Kind::Unauthenticated;
            // Its connection may be ended, for it has had so many calls refused before they were
            // sent.
            assert!(
                is_refused || refused.kind() == Kind::Unavailable,
                "{refused}"
            );
            tries += u32::from(is_refused);
            cut += u32::from(!is_refused);
        }
        (tries, cut)
    };
    let before = victim.cpu_seconds();
    let guessed = join_all((0..4).map(|_| guess())).await;
    let tries: u32 = guessed.iter().map(|(tries, _)| tries).sum();
    let cut: u32 = guessed.iter().map(|(_, cut)| cut).sum();
    let cpu = (victim.cpu_seconds() - before) * 1_000.0 / f64::from(tries);
    let lines = victim
        .belay
        .messages(|message| message.starts_with("a login failed"));
    let metrics = victim.belay.get("/metrics").await.body;
    let counter = "belay_logins_failed_total{belay_cause=\"token_unknown\"} ";
    let counted = metrics.lines().find_map(|line| line.strip_prefix(counter));
    format!(
        "{tries} tries in {} s, {cut} of connections that were cut, {cpu:.2} ms of CPU each; counted: {}, lines of the log: {lines}",
        TRIED.as_secs(),
        counted.unwrap_or("none")
    )
}
