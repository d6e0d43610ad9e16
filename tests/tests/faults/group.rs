//! A group of real members, all of which the servers know by their addresses: primaries are
//! switched, killed and cut off under load. Whoever was told of a write reads it, and nobody is
//! told of a defect.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use belay_server::auth::Authentication;
use belay_server::db::pool::{Pool, PoolSettings};
use belay_server::server::{Server, ServerSettings};
use belay_tests::database::{Session, other_sessions};
use belay_tests::group::{Group, SHORT_GAP};
use belay_tests::instance::{Instance, Service, literal, session, storefront};
use belay_tests::process::built;
use belay_tests::{HANG, invariants, until};
use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::failover::write_and_read;

/// Planned, one after the other.
const SWITCHES: usize = 4;
/// Orders between two changes, at least.
const ORDERS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_told_of_a_write_reads_it_while_members_of_a_group_take_over() {
    let group = Group::start(3, SHORT_GAP).await;
    a_member_that_is_cut_off_answers_nothing(&group).await;

    let serve = async || Service::start(group.serve_url(), |_| {}).await;
    let (left, right) = (serve().await, serve().await);
    left.create_shop().await;
    let (placed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let store = |service: &Service| storefront(&literal(service.address()));
    let (to_left, to_right) = (store(&left), store(&right));
    let more_orders = async || {
        let wanted = placed.load(Ordering::Relaxed) + ORDERS;
        until("orders go on", async || {
            (placed.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    };
    let changes = async {
        let mut primary = group.whole().await;
        for _ in 0..SWITCHES {
            more_orders().await;
            let next = (primary + 1) % group.len();
            group.switch(next).await;
            primary = next;
        }
        more_orders().await;
        group.kill(primary).await;
        more_orders().await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        write_and_read(&to_left, &to_right, &placed, &stop),
        write_and_read(&to_right, &to_left, &placed, &stop),
        changes
    );
    let primary = group.primary().await.expect("it was written to");
    let database = group.member(primary).database().await;
    let broken = invariants::violations(&database).await;
    assert!(broken.is_empty(), "{broken:#?}");
    left.stop().await;
    right.stop().await;
}

/// The others are silent: it cannot know whether they have another primary by now.
async fn a_member_that_is_cut_off_answers_nothing(group: &Group) {
    let primary = group.whole().await;
    let settings = PoolSettings {
        size: 1,
        wait_max: HANG,
        create_max: HANG,
        ..PoolSettings::default()
    };
    let pool = Pool::new(&group.serve_url(), settings).expect("a URL");
    let mut conn = pool.checkout().await.expect("a primary");
    let mut beside = session(&group.member(primary).root_url()).await;
    let others = (0..group.len()).filter(|member| *member != primary);
    let others: Vec<usize> = others.collect();
    join_all(others.iter().map(|member| group.freeze(*member))).await;
    let read = async {
        let read = conn.batch_execute("DO (SELECT COUNT(*) FROM orders)").await;
        read.expect("it is answered once the others are back");
    };
    let thaw = async {
        until("the read waits for the group", async || {
            let sessions = other_sessions(&mut beside).await.into_iter();
            let waits = |session: &Session| {
                let info = session.info.as_deref().unwrap_or_default();
                session.state.as_deref() == Some("Executing hook on transaction begin.")
                    && info.starts_with("DO (SELECT")
            };
            (sessions.filter(waits).count() == 1).then_some(())
        })
        .await;
        others.iter().for_each(|member| group.thaw(*member));
    };
    tokio::join!(read, thaw);
    conn.finish();
    group.whole().await;
}

#[tokio::test]
async fn several_primaries_are_refused_unless_they_are_asked_for() {
    // As a member is set whose group has several primaries.
    let arguments = [
        "--plugin-load-add=group_replication.so",
        "--loose-group-replication-group-name=5f0f8b7a-3c0e-4a53-9d0c-52b1f2c3a002",
        "--loose-group-replication-single-primary-mode=OFF",
        "--loose-group-replication-start-on-boot=OFF",
    ];
    let instance = Instance::start(&arguments).await;
    let start = async |several_primaries| {
        let mut settings = ServerSettings::new(instance.serve_url(), Authentication::Dev);
        settings.several_primaries = several_primaries;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Server::start(settings, listener).await
    };
    let refused = start(false)
        .await
        .expect_err("nobody asked for it")
        .to_string();
    for told in [
        "group_replication_single_primary_mode=OFF",
        "--several-primaries",
    ] {
        assert!(refused.contains(told), "{refused}");
    }
    start(true).await.expect("it was asked for").stop().await;

    let mut doctor = Command::new(built("belay"));
    doctor.arg("doctor").env_clear();
    doctor.env("BELAY_DATABASE_URL", instance.serve_url().expose_secret());
    let done = doctor.output().await.expect("it can be run");
    let out = String::from_utf8(done.stdout).expect("text");
    assert_eq!(done.status.code(), Some(1), "{out}");
    assert!(
        out.contains("FATAL    several members of the database take writes"),
        "{out}"
    );
}
