//! The connection to the database is cut in the middle of a command. The caller is given one right
//! answer all the same, and what it asked has happened once.

use std::time::Duration;

use belay_client::{RequestId, Store, Units, reason};
use belay_server::db::shares::Shares;
use belay_tests::instance::{Service, insistent, literal, payments, storefront};
use belay_tests::load::whole_payment;
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{TestServer, run};
use futures_util::future::join_all;

use super::proxy::{At, Cut, Proxy};

/// COMMITs that are cut, of each kind.
const COMMITS: usize = 20;
/// Callers whose commands may share the transaction that is cut.
const CALLERS: usize = 8;
/// When a silent connection is given up. A machine that is slow beyond measure gives up others too,
/// and repeats.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// When mysqld ends a connection that is silent, and so gives back what its transaction has locked.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(2);
/// More packets than a cancellation's transaction has on any connection; a bound for the test
/// alone.
const STEPS_MAX: usize = 64;
/// A connection that has prepared its statements needs fewer packets than one that was just opened,
/// so the end of a transaction is believed when so many steps in a row were not reached.
const UNREACHED: usize = 3;

/// How often a test tries to cut the transaction that it means.
const ATTEMPTS_MAX: usize = 50;

/// A server behind a proxy, with one lane, so that commands share transactions.
async fn behind_a_proxy(t: &TestServer) -> (Proxy, Service) {
    let proxy = Proxy::start(&t.database.url()).await;
    let service = Service::start(proxy.url(), |settings| {
        settings.lanes = 1;
        settings.connections = Shares::least(1);
    });
    (proxy, service.await)
}

async fn cancel(shop: &Store, t: &TestServer, order_id: &str) {
    let request_id = RequestId::mint();
    let request = shop
        .request_cancellation(order_id, Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .request_id(request_id);
    let answer = request
        .clone()
        .await
        .unwrap_or_else(|error| panic!("{order_id}: {error}"));
    assert_eq!(request.await.expect("the same answer"), answer);
    let order = t.order(order_id).await;
    assert_eq!(order.cancellations, [answer.cancellation], "{order_id}");
    assert_eq!(
        (order.refunds.len(), &order.refunds[0].amount.total),
        (1, &eur(TOTAL))
    );
    assert_eq!(order.etag, answer.order_etag, "nothing happened twice");
}

#[test]
fn a_commit_without_a_reply_is_found_out() {
    run(async |t| {
        let (proxy, service) = behind_a_proxy(t).await;
        // What the caller is told is what the server says: this client repeats nothing.
        let belay = literal(service.address());
        let (shop, money) = (storefront(&belay), payments(&belay));
        for cut in [Cut::BeforeRequest, Cut::BeforeReply] {
            for round in 0..COMMITS {
                let order_ids: Vec<String> = (0..CALLERS)
                    .map(|caller| format!("{cut:?}-{round}-{caller}"))
                    .collect();
                // A round cuts creations, payments or cancellations.
                if round % 3 == 0 {
                    proxy.cut(At::Commit, cut);
                }
                let placed = join_all(order_ids.iter().map(|id| new_order(&shop, id).send())).await;
                if round % 3 == 1 {
                    proxy.cut(At::Commit, cut);
                }
                let paid =
                    join_all(order_ids.iter().map(|id| whole_payment(&money, id).send())).await;
                if round % 3 == 2 {
                    proxy.cut(At::Commit, cut);
                }
                join_all(order_ids.iter().map(|id| cancel(&shop, t, id))).await;
                assert_eq!(proxy.take_cut().as_deref(), Some("COMMIT"), "round {round}");
                for (placed, paid) in placed.into_iter().zip(paid) {
                    let (placed, paid) = (placed.expect("an order"), paid.expect("a payment"));
                    assert_eq!(placed.value.totals.captured, eur(0));
                    assert_eq!(
                        (paid.value.totals.captured, paid.value.payments.len()),
                        (eur(TOTAL), 1)
                    );
                }
            }
        }
        service.stop().await;
        let (versions,): (String,) = t
            .database
            .row("SELECT GROUP_CONCAT(DISTINCT version) FROM orders", ())
            .await;
        assert_eq!(
            versions, "3",
            "each order was placed, paid and cancelled once"
        );
    });
}

#[test]
fn a_claim_whose_commit_has_no_reply_hands_its_refunds_out() {
    run(async |t| {
        let (proxy, service) = behind_a_proxy(t).await;
        let money = payments(&literal(service.address()));
        let lost = |found: &str| {
            let told = service.inside().metrics();
            let line = format!("belay_engine_lost_commits_total{{belay_outcome=\"{found}\"}} ");
            let count = told.lines().find_map(|told| told.strip_prefix(&line));
            count.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        for (cut, found) in [
            (Cut::BeforeRequest, "absent"),
            (Cut::BeforeReply, "committed"),
        ] {
            // Now and then the COMMIT that is cut is that of a projection, behind the same proxy.
            for attempt in 0..ATTEMPTS_MAX {
                let order_id = format!("{cut:?}-{attempt}");
                t.place_paid(&order_id).await;
                t.cancel(&order_id).await;
                proxy.cut(At::Commit, cut);
                let claimed = money.claim_refunds("w-1").await.expect("a claim");
                assert_eq!(proxy.take_cut().as_deref(), Some("COMMIT"));
                let claimed: Vec<&str> = claimed
                    .iter()
                    .map(|refund| refund.order_id.as_str())
                    .collect();
                assert_eq!(claimed, [&*order_id]);
                if lost(found) == "1" {
                    break;
                }
            }
            assert_eq!(lost(found), "1", "{cut:?}");
        }
        assert_eq!(lost("given_up"), "0");
        service.stop().await;
    });
}

#[test]
fn a_database_that_falls_silent_holds_no_lane() {
    run(async |t| {
        let proxy = Proxy::start(&t.database.url()).await;
        let service = Service::start(proxy.url(), |settings| {
            settings.lanes = 1;
            settings.connections = Shares::least(1);
            settings.database_wait_max = SILENCE_MAX;
            settings.statement_wait_max = STATEMENT_WAIT_MAX;
        });
        let service = service.await;
        let shop = storefront(&insistent(service.address()));
        for cut in [Cut::SilentBeforeRequest, Cut::SilentBeforeReply] {
            for at in [At::Step(0), At::Step(2), At::Commit] {
                let order_id = format!("{cut:?}-{at:?}").replace(['(', ')'], "-");
                t.place_paid(&order_id).await;
                proxy.cut(at, cut);
                // A lane that is held would never answer.
                cancel(&shop, t, &order_id).await;
                assert!(proxy.take_cut().is_some(), "{order_id}");
            }
        }
        service.stop().await;
    });
}

#[test]
fn a_cancellation_survives_a_cut_at_any_of_its_steps() {
    run(async |t| {
        let (proxy, service) = behind_a_proxy(t).await;
        let shop = storefront(&literal(service.address()));
        for cut in [Cut::BeforeRequest, Cut::BeforeReply] {
            let mut cuts: Vec<String> = Vec::new();
            let mut unreached = 0;
            for step in 0..STEPS_MAX {
                let order_id = format!("{cut:?}-{step}");
                t.place_paid(&order_id).await;
                proxy.cut(At::Step(step), cut);
                cancel(&shop, t, &order_id).await;
                match proxy.take_cut() {
                    Some(text) => {
                        cuts.push(
                            text.split_whitespace()
                                .take(3)
                                .collect::<Vec<_>>()
                                .join(" "),
                        );
                        unreached = 0;
                    }
                    None => unreached += 1,
                }
                if unreached == UNREACHED {
                    break;
                }
            }
            eprintln!("{cut:?}: {cuts:#?}");
            assert_eq!(unreached, UNREACHED, "the transaction has an end: {cuts:?}");
            // Some are of projections, whose transactions go through the same proxy.
            assert_eq!(cuts.first().map(String::as_str), Some("BEGIN"), "{cuts:?}");
        }
        service.stop().await;
    });
}
