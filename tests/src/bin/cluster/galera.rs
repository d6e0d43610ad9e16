//! Galera, against advice: two servers write to one store through two nodes, and fight for the same
//! orders.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_client::model::PaymentFact;
use belay_client::{CallError, Error, Kind as ErrorKind, RequestId, Role, Store, Units};
use belay_server::auth::Authentication;
use belay_server::server::{Server, ServerSettings};
use belay_tests::galera::Galera;
use belay_tests::instance::Service;
use belay_tests::shop::{TOTAL, eur, new_order};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::load::{PAUSE, Seen, Stage};
use crate::report::{Event, Kind, Report};
use crate::{Args, store, writes_go_on};

const NODES: usize = 3;
/// How long a majority of the nodes is silent; they are missed after 5 seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Runs the load, and says what came of it.
pub(crate) async fn run(args: &Args, events: &[Kind]) -> Report {
    eprintln!("forming a cluster of {NODES}");
    let cluster = Galera::start(NODES).await;
    is_refused_unless_asked_for(&cluster).await;
    let serve = async |node| Service::start(cluster.serve_url(node), several_primaries).await;
    let (left, right) = (serve(0).await, serve(1).await);
    left.create_shop().await;
    let seen = Arc::new(Seen::new());
    let mut callers = JoinSet::new();
    for index in 0..args.callers {
        let (seen, left, right) = (seen.clone(), store(&left), store(&right));
        if index % 2 == 0 {
            callers.spawn(async move { fight(&seen, &left, &right).await });
        } else {
            callers.spawn(async move { seen.call(&left, &right).await });
        }
    }
    let begun_at = Instant::now();
    let mut ended = Vec::new();
    for (turn, kind) in events.iter().enumerate() {
        let event = one(&cluster, *kind, turn % NODES, &seen, args.calm).await;
        eprintln!("{}", event.line(&seen));
        ended.push(event);
    }
    sleep(Duration::from_secs_f64(args.calm)).await;
    let lasted = begun_at.elapsed();
    seen.stop.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    cluster.whole().await;
    let database = cluster.node(2).database().await;
    let report = Report::of(&seen, &ended, lasted, &database).await;
    left.stop().await;
    right.stop().await;
    report
}

fn several_primaries(settings: &mut ServerSettings) {
    settings.several_primaries = true;
}

async fn is_refused_unless_asked_for(cluster: &Galera) {
    let settings = ServerSettings::new(cluster.serve_url(0), Authentication::Dev);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let refused = Server::start(settings, listener).await;
    let refused = refused.expect_err("nobody asked for it").to_string();
    for told in ["wsrep_on=ON", "--several-primaries"] {
        assert!(refused.contains(told), "{refused}");
    }
    eprintln!("refused without --several-primaries: {refused}");
}

async fn one(cluster: &Galera, kind: Kind, node: usize, seen: &Seen, calm: f64) -> Event {
    sleep(Duration::from_secs_f64(calm)).await;
    let begun_at = Instant::now();
    eprintln!("{:.1?}: {} begins", seen.elapsed(), kind.name());
    match kind {
        Kind::Kill => {
            cluster.node(node).kill().await;
            writes_go_on(seen, Instant::now()).await;
            cluster.node(node).restart().await;
        }
        Kind::Freeze => {
            let others = || (0..NODES).filter(|other| *other != node);
            join_all(others().map(|other| cluster.node(other).freeze())).await;
            sleep(SILENCE).await;
            others().for_each(|other| cluster.node(other).thaw());
        }
        // The command line refuses these with `--galera`.
        Kind::Switch
        | Kind::Stop
        | Kind::Partition
        | Kind::Isolate
        | Kind::Unreachable
        | Kind::Blip => unreachable!("{} of nodes of Galera", kind.name()),
    }
    cluster.whole().await;
    writes_go_on(seen, Instant::now()).await;
    let ended_at = Instant::now();
    Event {
        kind,
        begun_at,
        ended_at,
    }
}

/// Everything is asked of both servers at once, as by two callers who know nothing of each other.
/// One order comes of it, one payment and one cancellation.
async fn fight(seen: &Seen, left: &Store, right: &Store) {
    let tills = [left, right].map(|store| store.with_role(Role::Payments, "psp").expect("a role"));
    while !seen.stop.load(Ordering::Relaxed) {
        let order_id = format!("O-{}", RequestId::mint());
        let id = order_id.as_str();
        let (of_left, of_right) = tokio::join!(
            decided(seen, "CreateOrder", new_order(left, id)),
            decided(seen, "CreateOrder", new_order(right, id))
        );
        if of_left.is_none() && of_right.is_none() {
            continue;
        }
        seen.written(id, Stage::Placed);
        let pay = |till: &Store| {
            let (payment, event) = (format!("pay-{id}"), format!("evt-{id}"));
            let paid = till.record_payment(id, payment, event, PaymentFact::Captured);
            paid.amount(eur(TOTAL)).method("CREDIT_CARD")
        };
        let (of_left, of_right) = tokio::join!(
            decided(seen, "RecordPayment", pay(&tills[0])),
            decided(seen, "RecordPayment", pay(&tills[1]))
        );
        if of_left.is_none() && of_right.is_none() {
            continue;
        }
        seen.written(id, Stage::Paid);
        let cancel = |store: &Store| {
            let cancelled = store.request_cancellation(id, Units::all());
            cancelled.reason("NO_LONGER_WANTED")
        };
        let (of_left, of_right) = tokio::join!(
            decided(seen, "RequestCancellation", cancel(left)),
            decided(seen, "RequestCancellation", cancel(right))
        );
        if of_left.is_none() && of_right.is_none() {
            continue;
        }
        seen.written(id, Stage::Cancelled);
        // Who asks for what is cancelled already is told of the cancellation that did it.
        if let (Some(of_left), Some(of_right)) = (of_left, of_right)
            && of_left.cancellation.cancellation_id != of_right.cancellation.cancellation_id
        {
            seen.doubled(id);
        }
    }
}

/// Sends a call until it is decided; what came of it, if it was accepted.
async fn decided<C, T>(seen: &Seen, what: &str, mut call: C) -> Option<T>
where
    C: IntoFuture<Output = Result<T, CallError<C>>>,
{
    loop {
        match call.await {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                let cause: &Error = &error;
                if matches!(cause.kind(), ErrorKind::Rejected | ErrorKind::AlreadyExists) {
                    return None;
                }
                seen.failed(what, cause);
                call = error.resume();
                sleep(PAUSE).await;
            }
        }
    }
}
