//! What health says: whether this server can write. And what is told while it cannot.

use std::future::IntoFuture;

use belay_client::calls::FirstPolicy;
use belay_client::model::PaymentFact;
use belay_client::{Belay, Error, Kind, RequestId, Role, Units, reason};
use belay_server::db::shares::Share;
use belay_tests::database::other_sessions;
use belay_tests::instance::{Health, Instance, Service, literal, payments, session, storefront};
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{SHOP, TestServer, documents, refused, run, until};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mysql_async::prelude::Queryable;
use secrecy::{ExposeSecret, SecretString};
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as _;
use tonic_health::server::{HealthReporter, HealthService};

/// An account of the test's database that may only read, until it is granted more.
struct Reader {
    name: String,
    url: SecretString,
}

impl Reader {
    async fn create(t: &TestServer) -> Self {
        let name = format!(
            "reader_{}",
            &RequestId::mint().to_string().replace('-', "")[..16]
        );
        let url = SecretString::from(t.database.url().expose_secret().replacen(
            "root@",
            &format!("{name}@"),
            1,
        ));
        let reader = Self { name, url };
        reader.administrate(t, "CREATE USER USER_").await;
        reader
            .administrate(t, "GRANT SELECT ON DATABASE_.* TO USER_")
            .await;
        reader
    }

    async fn end_sessions(&self, t: &TestServer) {
        let mut root = session(&t.database.url()).await;
        let sessions = other_sessions(&mut root).await.into_iter();
        for session in sessions.filter(|session| session.user == self.name) {
            // It may have gone by itself.
            let _ = root.query_drop(format!("KILL {}", session.id)).await;
        }
    }

    async fn administrate(&self, t: &TestServer, sql: &str) {
        let url = t.database.url();
        let (_, database) = url
            .expose_secret()
            .rsplit_once('/')
            .expect("a URL with a database");
        let sql = sql
            .replace("USER_", &self.name)
            .replace("DATABASE_", database);
        session(&url)
            .await
            .query_drop(sql)
            .await
            .expect("root may administrate");
    }
}

#[test]
fn an_account_that_may_not_write_is_not_serving_and_no_defect() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.place("UNPAID").await;
        let reader = Reader::create(t).await;
        let all = "INSERT, UPDATE, DELETE ON DATABASE_.*";
        // No server starts that could not write.
        reader
            .administrate(t, &format!("GRANT {all} TO USER_"))
            .await;
        let service = Service::start(reader.url.clone(), |_| {}).await;
        let mut health = Health::of(service.address());
        reader
            .administrate(t, &format!("REVOKE {all} FROM USER_"))
            .await;
        // Sessions that are there know the grants that they began with.
        reader.end_sessions(t).await;
        for name in ["", "belay.v1.OrderService", "belay.v1.PolicyService"] {
            until("the server does not serve", async || {
                (!health.is_serving(name).await).then_some(())
            })
            .await;
        }
        every_write_is_unavailable(&literal(service.address())).await;
        storefront(service.belay())
            .get_order("A-1")
            .await
            .expect("reads go on");

        reader
            .administrate(t, "GRANT INSERT, UPDATE, DELETE ON DATABASE_.* TO USER_")
            .await;
        until("the server serves", async || {
            health.is_serving("").await.then_some(())
        })
        .await;
        assert!(health.is_serving("belay.v1.OrderService").await);
        new_order(&service.storefront(), "A-2")
            .await
            .expect("an order");

        // One grant of many is enough to be missed.
        reader
            .administrate(t, "REVOKE DELETE ON DATABASE_.* FROM USER_")
            .await;
        until("the server does not serve", async || {
            (!health.is_serving("").await).then_some(())
        })
        .await;
        service.stop().await;
        reader.administrate(t, "DROP USER USER_").await;
    });
}

async fn every_write_is_unavailable(belay: &Belay) {
    let unavailable =
        |outcome: Result<(), _>| refused(outcome, Kind::Unavailable, "DATABASE_UNAVAILABLE");
    let shop = storefront(belay);
    let operator = belay
        .with_role(Role::Operator, "ops")
        .expect("a role to call in");
    let store = operator.store(SHOP);
    let paid = payments(belay)
        .record_payment("UNPAID", "pay", "evt", PaymentFact::Captured)
        .amount(eur(TOTAL));
    let request = shop
        .request_cancellation("A-1", Units::all())
        .reason(reason::NO_LONGER_WANTED);
    unavailable(new_order(&shop, "NEW").await.map(drop).map_err(Error::from));
    unavailable(
        paid.method("CREDIT_CARD")
            .await
            .map(drop)
            .map_err(Error::from),
    );
    unavailable(request.await.map(drop).map_err(Error::from));
    unavailable(
        operator
            .create_store("other", FirstPolicy::preset("independent-site"))
            .await
            .map(drop)
            .map_err(Error::from),
    );
    unavailable(
        store
            .put_carrier("new", "New")
            .await
            .map(drop)
            .map_err(Error::from),
    );
    unavailable(
        store
            .put_warehouse("new", "New")
            .await
            .map(drop)
            .map_err(Error::from),
    );
    unavailable(
        store
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .map(drop)
            .map_err(Error::from),
    );
    unavailable(
        store
            .update_store()
            .display_name("Other")
            .await
            .map(drop)
            .map_err(Error::from),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_is_not_serving() {
    let mysqld = Instance::start(&[]).await;
    let service = Service::start(mysqld.serve_url(), |_| {}).await;
    service.create_shop().await;
    let (belay, mut health) = (literal(service.address()), Health::of(service.address()));
    new_order(&storefront(&belay), "UNPAID")
        .await
        .expect("an order");
    new_order(&storefront(&belay), "A-1")
        .await
        .expect("an order");
    assert!(health.is_serving("").await);
    let mut somebody = session(&mysqld.url()).await;
    for (no_writes, writes) in [
        (
            "SET GLOBAL super_read_only = ON",
            "SET GLOBAL read_only = OFF",
        ),
        // Of new sessions: those that are there go on writing until they end.
        (
            "SET GLOBAL transaction_read_only = ON",
            "SET GLOBAL transaction_read_only = OFF",
        ),
    ] {
        somebody.query_drop(no_writes).await.unwrap();
        until("the server does not serve", async || {
            // It may have gone by itself.
            let sessions = other_sessions(&mut somebody).await.into_iter();
            for session in sessions.filter(|session| session.database.as_deref() == Some("belay")) {
                let _ = somebody.query_drop(format!("KILL {}", session.id)).await;
            }
            (!health.is_serving("").await).then_some(())
        })
        .await;
        every_write_is_unavailable(&belay).await;
        somebody.query_drop(writes).await.unwrap();
        until("the server serves", async || {
            health.is_serving("").await.then_some(())
        })
        .await;
        // The connections that were refused are closed one by one.
        let placed = async || {
            new_order(&storefront(&belay), &format!("AFTER-{}", no_writes.len()))
                .await
                .ok()
        };
        until("it writes again", placed).await;
    }
    service.stop().await;
}

#[test]
fn a_crowded_pool_is_no_ill_health() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |_| {}).await;
        let reporter = HealthReporter::new();
        let told = HealthService::from_health_reporter(reporter.clone());
        let mut watch = service.inside().watch_health(reporter);
        let inside = service.inside();
        let mut held = Vec::new();
        for share in Share::ALL {
            let pool = inside.pool(share);
            for _ in 0..pool.status().max {
                held.push(pool.checkout().await.unwrap());
            }
        }
        for _ in 0..2 {
            watch.look().await;
            let answer = told
                .check(Request::new(HealthCheckRequest::default()))
                .await
                .expect("an answer");
            assert_eq!(
                answer.into_inner().status(),
                ServingStatus::Serving,
                "only the pool has no connection left"
            );
        }
        drop(held);
        service.stop().await;
    });
}

#[test]
fn what_fails_for_the_databases_sake_is_noted_and_not_logged() {
    run(async |t| {
        let reader = Reader::create(t).await;
        let all = "INSERT, UPDATE, DELETE ON DATABASE_.*";
        reader
            .administrate(t, &format!("GRANT {all} TO USER_"))
            .await;
        let service = Service::start(reader.url.clone(), |_| {}).await;
        reader
            .administrate(t, &format!("REVOKE {all} FROM USER_"))
            .await;
        reader.end_sessions(t).await;
        let inside = service.inside();
        let notes = inside.database_notes();
        notes.take();
        let refused = new_order(&storefront(&literal(service.address())), "NEW").await;
        refused.expect_err("it may not write");
        // The health worker may have taken it by now.
        let noted = async || Some(notes.take()).filter(|noted| noted.last.contains("denied"));
        let again = async || {
            new_order(&storefront(&literal(service.address())), "NEW")
                .await
                .expect_err("it may not write");
            noted().await
        };
        let noted = until("a failure is noted", again).await;
        assert!(noted.failures > 0, "{noted:?}");
        service.stop().await;
        reader.administrate(t, "DROP USER USER_").await;
    });
}

/// All connections are in the hands of those who wait for it: that is no crowd, and nobody is told
/// of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_unavailable_to_those_who_find_no_connection() {
    /// More than there are connections for reads, and fewer than would wait for them beside those.
    const CALLS: usize = 48;
    const ANSWERS: usize = 16;
    let mysqld = Instance::start(&[]).await;
    let service = Service::start(mysqld.serve_url(), |_| {}).await;
    service.create_shop().await;
    let mut health = Health::of(service.address());
    assert!(health.is_serving("").await);
    mysqld.freeze().await;
    until("the server does not serve", async || {
        (!health.is_serving("").await).then_some(())
    })
    .await;
    let operator = literal(service.address())
        .with_role(Role::Operator, "ops")
        .expect("a role to call in")
        .store(SHOP);
    let policy = || documents::consent("REFUSE", "BAR");
    let calls = (0..CALLS).map(|_| operator.create_policy(policy()).into_future());
    let mut calls: FuturesUnordered<_> = calls.collect();
    for _ in 0..ANSWERS {
        let told = calls.next().await.expect("there are more of them");
        refused(told, Kind::Unavailable, "DATABASE_UNAVAILABLE");
    }
    drop(calls);
    mysqld.thaw();
    until("the server serves", async || {
        health.is_serving("").await.then_some(())
    })
    .await;
    service.stop().await;
}
