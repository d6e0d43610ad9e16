//! A primary gives way to its replica, again and again, while connections to both are open. Whoever
//! was told of a write reads it at any server, and nobody is told of a bug.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use belay_client::model::{OrderState, PaymentFact};
use belay_client::{CallError, Kind, RequestId, Role, Store};
use belay_server::db::ErrorKind;
use belay_server::db::pool::{Pool, PoolSettings};
use belay_tests::instance::{Instance, Service, literal, session, storefront};
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{HANG, until};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const SWITCHES: usize = 6;
/// Orders between two switches, at least.
const ORDERS: usize = 5;

/// One address for two databases: it leads new connections to one of them, and leaves those that
/// are open where they are.
struct Forwarder {
    port: u16,
    leads_to: Arc<AtomicU16>,
    _tasks: JoinSet<()>,
}

impl Forwarder {
    async fn start(leads_to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has an address").port();
        let leads_to = Arc::new(AtomicU16::new(leads_to));
        let mut tasks = JoinSet::new();
        let target = leads_to.clone();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let address = SocketAddr::from(([127, 0, 0, 1], target.load(Ordering::SeqCst)));
                open.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(address).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            port,
            leads_to,
            _tasks: tasks,
        }
    }
}

fn port(url: &SecretString) -> u16 {
    let options = Opts::from_url(url.expose_secret()).expect("a URL");
    options.tcp_port()
}

/// Takes what it is given.
async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        let done = conn.query_drop(*statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// A mysqld of two, and a session on it that no switch ends.
struct Member {
    port: u16,
    session: Conn,
}

impl Member {
    async fn of(instance: &Instance) -> Self {
        Self {
            port: port(&instance.url()),
            session: session(&instance.url()).await,
        }
    }

    async fn follow(&mut self, primary: u16) {
        let source = format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {primary}, \
             SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, \
             GET_SOURCE_PUBLIC_KEY = 1"
        );
        let follow = ["SET GLOBAL super_read_only = ON", &source, "START REPLICA"];
        run(&mut self.session, &follow).await;
    }

    /// Until it has all that the other one has.
    async fn catch_up(&mut self, other: &mut Member) {
        let executed = "SELECT @@GLOBAL.gtid_executed";
        let executed: Option<String> = other.session.query_first(executed).await.expect("it says");
        let executed = executed.expect("a set").replace('\n', "");
        let wait = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', 1)");
        until("the replica has caught up", async || {
            let behind: Option<u8> = self.session.query_first(&wait).await.expect("it waits");
            (behind == Some(0)).then_some(())
        })
        .await;
    }

    async fn lead(&mut self) {
        let lead = [
            "STOP REPLICA",
            "RESET REPLICA ALL",
            "SET GLOBAL super_read_only = OFF",
            "SET GLOBAL read_only = OFF",
        ];
        run(&mut self.session, &lead).await;
    }
}

/// The planned switch: writes end here, go over, and begin there; then the address leads there.
async fn switch(from: &mut Member, to: &mut Member, forwarder: &Forwarder) {
    run(&mut from.session, &["SET GLOBAL super_read_only = ON"]).await;
    to.catch_up(from).await;
    to.lead().await;
    forwarder.leads_to.store(to.port, Ordering::SeqCst);
    from.follow(to.port).await;
}

/// Whether a write was acknowledged; what fails otherwise than it may is a defect.
fn is_written<C>(written: Result<(), CallError<C>>, order_id: &str) -> Option<()> {
    let Err(error) = written else { return Some(()) };
    let kind = belay_client::Error::from(error).kind();
    // It was placed by an attempt whose answer was lost.
    let is_expected = [Kind::Unavailable, Kind::OutcomeUnknown, Kind::AlreadyExists];
    assert!(is_expected.contains(&kind), "{order_id}: {kind:?}");
    (kind == Kind::AlreadyExists).then_some(())
}

/// Reads an order that was told to be in this state.
async fn read_until(read: &Store, order_id: &str, state: OrderState) {
    until("the order is read", async || {
        match read.get_order(order_id).await {
            Ok(order) => {
                assert_eq!(order.state, state, "{order_id}: an answer of before");
                Some(())
            }
            Err(error) => {
                let error = belay_client::Error::from(error);
                assert_eq!(error.kind(), Kind::Unavailable, "{order_id}: {error}");
                None
            }
        }
    })
    .await;
}

/// Places an order at one server and reads it at the other, pays it and reads that, until told to
/// stop.
pub(super) async fn write_and_read(
    write: &Store,
    read: &Store,
    placed: &AtomicUsize,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let order_id = format!("O-{}", RequestId::mint());
        until("the order is placed", async || {
            is_written(new_order(write, &order_id).await.map(drop), &order_id)
        })
        .await;
        read_until(read, &order_id, OrderState::AwaitingPayment).await;
        let till = write.with_role(Role::Payments, "psp").expect("a role");
        let (payment, event) = (format!("pay-{order_id}"), format!("evt-{order_id}"));
        until("the order is paid", async || {
            let paid = till.record_payment(
                order_id.as_str(),
                payment.as_str(),
                event.as_str(),
                PaymentFact::Captured,
            );
            let paid = paid.amount(eur(TOTAL)).method("CREDIT_CARD").await;
            is_written(paid.map(drop), &order_id)
        })
        .await;
        read_until(read, &order_id, OrderState::ToShip).await;
        placed.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_told_of_a_write_reads_it_after_a_switch_of_the_primary() {
    let flags = |id| ["--gtid-mode=ON", "--enforce-gtid-consistency=ON", id];
    let (first, second) = tokio::join!(
        async { Instance::start(&flags("--server-id=1")).await },
        async { Instance::start(&flags("--server-id=2")).await },
    );
    let (mut one, mut two) = (Member::of(&first).await, Member::of(&second).await);
    // It begins as a copy.
    let forget = [
        "DROP DATABASE belay",
        "DROP USER belay_serve",
        "RESET BINARY LOGS AND GTIDS",
    ];
    run(&mut two.session, &forget).await;
    two.follow(one.port).await;
    two.catch_up(&mut one).await;

    let forwarder = Forwarder::start(one.port).await;
    let url = first.serve_url().expose_secret().to_owned();
    let url = url.replace(&format!(":{}/", one.port), &format!(":{}/", forwarder.port));
    let serve = async || Service::start(SecretString::from(url.clone()), |_| {}).await;
    let (left, right) = (serve().await, serve().await);
    left.create_shop().await;

    let (placed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let store = |service: &Service| storefront(&literal(service.address()));
    let (to_left, to_right) = (store(&left), store(&right));
    let switches = async {
        for turn in 0..SWITCHES {
            let wanted = placed.load(Ordering::Relaxed) + ORDERS;
            until("orders go on", async || {
                (placed.load(Ordering::Relaxed) >= wanted).then_some(())
            })
            .await;
            if turn % 2 == 0 {
                switch(&mut one, &mut two, &forwarder).await;
            } else {
                switch(&mut two, &mut one, &forwarder).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        write_and_read(&to_left, &to_right, &placed, &stop),
        write_and_read(&to_right, &to_left, &placed, &stop),
        switches
    );
    eprintln!("{} orders", placed.load(Ordering::Relaxed));
    left.stop().await;
    right.stop().await;
}

/// It may be the next primary, and the silent one was the last.
#[tokio::test]
async fn a_place_that_takes_no_writes_is_asked_again_while_another_one_is_silent() {
    /// More than a search asks that waits for all places before it asks again.
    const ASKED: u64 = 3;
    let replica = Instance::start(&[]).await;
    let mut root = session(&replica.root_url()).await;
    run(&mut root, &["SET GLOBAL read_only = ON"]).await;
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = silent.local_addr().map(|address| (address, silent));
    let (address, _silent) = silent.expect("it has an address");
    let places = format!("{address},{}", replica.place());
    let url = replica.serve_url().expose_secret().to_owned();
    let url = SecretString::from(url.replacen(&replica.place(), &places, 1));
    let settings = PoolSettings {
        size: 1,
        wait_max: HANG,
        create_max: HANG,
        ..PoolSettings::default()
    };
    let pool = Pool::new(&url, settings).expect("a URL");
    let mut asked = async || {
        let status = "SHOW GLOBAL STATUS LIKE 'Connections'";
        let row: Option<(String, u64)> = root.query_first(status).await.expect("it says");
        row.expect("there is one").1
    };
    // On a slow machine one search may come to less.
    until("one search asks it again and again", async || {
        let before = asked().await;
        let refused = pool.checkout().await.expect_err("none takes writes");
        assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{refused}");
        (asked().await - before >= ASKED).then_some(())
    })
    .await;
    run(&mut root, &["SET GLOBAL read_only = OFF"]).await;
    let found = pool.checkout().await.expect("it takes writes");
    found.finish();
}
